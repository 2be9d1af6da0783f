"""When a token is kept, replaced or refused, without a network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.adapters.oauth import OAuth2, OAuthError, TokenSource, XOAuth2

URL = "https://login.example.com/token"


class Endpoint:
    """Answers with the next token, or as told; counts what it was asked."""

    def __init__(self, **answer: object) -> None:
        self.answer = answer
        self.asked = 0
        self.now = 1_000.0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(200, json={"access_token": f"token-{self.asked}", **self.answer})

    def source(self) -> TokenSource:
        return source(self, clock=lambda: self.now)


def source(answer: Callable[[httpx.Request], httpx.Response], **options) -> TokenSource:
    settings = OAuth2(URL, "triage", "hunter2", "refresh_token", refresh_token="hunter3")
    return TokenSource(settings, transport=httpx.MockTransport(answer), **options)


def failure(answer: Callable[[httpx.Request], httpx.Response]) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        source(answer).token()
    assert URL in str(caught.value)
    assert "hunter" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("lifetime", "used_for"),
    [(3600, 3540), ("3600", 3540), (300, 240), (100, 80), (None, 240), ("soon", 240), (-1, 240)],
)
def test_a_token_is_used_until_shortly_before_its_end(lifetime: object, used_for: int) -> None:
    endpoint = Endpoint(expires_in=lifetime)
    tokens = endpoint.source()
    assert tokens.token() == "token-1"
    endpoint.now += used_for - 0.1
    assert tokens.token() == "token-1"
    endpoint.now += 0.2
    assert tokens.token() == "token-2"


def test_a_token_that_was_refused_is_not_handed_out_again() -> None:
    tokens = Endpoint(expires_in=3600).source()
    assert tokens.token() == "token-1"
    tokens.invalidate()
    assert tokens.token() == "token-2"


def test_threads_share_one_request() -> None:
    endpoint = Endpoint(expires_in=3600)
    tokens = endpoint.source()
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: tokens.token(), range(40)))
    assert (got, endpoint.asked) == ({"token-1"}, 1)


def test_a_login_message_is_as_xoauth2_wants_it() -> None:
    login = XOAuth2("errors@example.com", Endpoint().source())
    assert login.bearer() == b"user=errors@example.com\1auth=Bearer token-1\1\1"


def test_no_secret_is_shown() -> None:
    settings = OAuth2(URL, "triage", "hunter2", "refresh_token", refresh_token="hunter3")
    shown = repr(settings) + repr(XOAuth2("errors", TokenSource(settings)))
    assert "hunter" not in shown


@pytest.mark.parametrize("url", ["http://login.example.com/token", "ftp://127.0.0.1/x", "", "x"])
def test_a_url_without_tls_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        TokenSource(OAuth2(url, "triage"))


def test_loopback_needs_no_tls() -> None:
    for host in ("127.0.0.1:8080", "[::1]:8080", "localhost"):
        TokenSource(OAuth2(f"http://{host}/token", "triage"))


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "invalid_grant", True),
        (401, "invalid_client", True),
        (400, "invalid_scope", True),
        (503, "temporarily_unavailable", False),
        (429, "slow_down", False),
    ],
)
def test_what_the_server_said_is_repeated_without_secrets(
    status: int, code: str, permanent: bool
) -> None:
    said = {"error": code, "error_description": "not hunter2\r\nnor hunter3"}
    error = failure(lambda _: httpx.Response(status, json=said))
    assert f"HTTP status {status}, {code}: not *** nor ***" in str(error)
    assert error.permanent is permanent


def test_a_redirect_is_not_followed() -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "login.example.com"
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/token"})

    assert "HTTP status 307" in str(failure(redirect))


def test_an_answer_without_end_is_left() -> None:
    def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=(b"x" * 1_000 for _ in range(10**9)))

    assert "over 65536 octets" in str(failure(endless))


def test_a_packed_answer_is_left() -> None:
    packed = httpx.Response(200, headers={"Content-Encoding": "x"}, content=b"{}")
    assert "packed" in str(failure(lambda _: packed))


def test_a_network_fault_is_an_oauth_error() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to hunter2", request=request)

    assert "no route to ***" in str(failure(broken))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"access_token": 5}', b"[" * 60_000, b"\xff", b'""']
)
def test_nonsense_is_an_oauth_error(body: bytes) -> None:
    assert not failure(lambda _: httpx.Response(200, content=body)).permanent


@given(st.text(max_size=20))
def test_only_a_token_that_cannot_break_out_of_the_login_is_used(token: str) -> None:
    tokens = source(lambda _: httpx.Response(200, json={"access_token": token}))
    try:
        assert tokens.token().isprintable()
    except OAuthError:
        assert not (token and token.isascii() and token.isprintable())
