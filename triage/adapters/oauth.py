"""Access tokens for XOAUTH2: client credentials or a refresh token (RFC 6749, 4.4 and 6)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import httpx

from triage.adapters.connection import Password, printable
from triage.adapters.web import FAULTS, Answer, request, require_https

_SECONDS = 20.0
_EARLY = 60.0
"""How long before its end a token is replaced, in seconds."""
_SHARE = 0.8
"""Of a short lifetime, the part that is used."""
_LIFETIME = 300.0
"""Assumed where the answer has no expires_in."""
_OPERATOR_FAULTS = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Error codes of RFC 6749, 5.2: the same request will be refused again."""


@dataclass(frozen=True, slots=True)
class OAuth2:
    """How tokens are obtained. Secrets are never shown."""

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    grant: Literal["client_credentials", "refresh_token"] = "client_credentials"
    scope: str = ""
    refresh_token: str = field(default="", repr=False)


class OAuthError(Exception):
    """No token could be had. The text says from where and why; `permanent` as in MailboxError."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class TokenSource:
    """Hands out an access token and replaces it in time. Thread-safe.

    A refresh token that the server replaces (RFC 6749, 6) is used from then on, but only as long
    as this object lives: the operator's own must stay valid over restarts.
    Raises ValueError for a token URL that is neither https nor on loopback.
    """

    def __init__(
        self,
        settings: OAuth2,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_https(settings.token_url, "token_url")
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._lock = threading.Lock()
        self._refresh_token = settings.refresh_token
        self._token = ""
        self._replace_at = 0.0

    def token(self) -> str:
        """The cached token, or a new one. Raises OAuthError."""
        with self._lock:
            if not self._token or self._clock() >= self._replace_at:
                self._token = ""
                asked_at = self._clock()
                answer = self._request()
                self._token = _access_token(answer, self._settings.token_url)
                self._replace_at = asked_at + _use_for(answer.get("expires_in"))
                replaced = answer.get("refresh_token")
                if isinstance(replaced, str) and replaced:
                    self._refresh_token = replaced
            return self._token

    def invalidate(self) -> None:
        """Forget the token, because a server refused it."""
        with self._lock:
            self._token = ""

    def _request(self) -> Mapping[str, object]:
        url = self._settings.token_url
        try:
            said = self._post()
        except FAULTS as error:
            raise OAuthError(
                f"no token from {url}: {self._clean(str(error) or type(error).__name__)}; "
                "check `token_url`, the network and the server's certificate"
            ) from error
        status, answer = said.status, _json_object(said.body)
        if status == httpx.codes.OK and answer is not None:
            return answer
        code, described = "", f"HTTP status {status}"
        if answer is not None and isinstance(answer.get("error"), str):
            code = str(answer["error"])
            described += f", {code}: {answer.get('error_description', '')}"
        elif status == httpx.codes.OK:
            described += " without a JSON object"
        permanent = code in _OPERATOR_FAULTS
        advice = "; check client id, secret, scope and refresh token" if permanent else ""
        raise OAuthError(
            f"no token from {url}: {self._clean(described)}{advice}", permanent=permanent
        )

    def _post(self) -> Answer:
        return request(
            "POST",
            self._settings.token_url,
            seconds=_SECONDS,
            headers={"Accept": "application/json"},
            form=self._form(),
            transport=self._transport,
        )

    def _form(self) -> dict[str, str]:
        settings = self._settings
        form = {
            "grant_type": settings.grant,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "scope": settings.scope,
            "refresh_token": self._refresh_token if settings.grant == "refresh_token" else "",
        }
        return {name: value for name, value in form.items() if value}

    def _clean(self, text: str) -> str:
        settings = self._settings
        return printable(text, settings.client_secret, settings.refresh_token, self._refresh_token)


@dataclass(frozen=True, slots=True)
class XOAuth2:
    """A login with an access token, as Gmail and Microsoft 365 take it."""

    username: str
    tokens: TokenSource = field(repr=False)

    def bearer(self) -> bytes:
        """The message of SASL XOAUTH2. Raises OAuthError when there is no token to be had."""
        return f"user={self.username}\1auth=Bearer {self.tokens.token()}\1\1".encode()


Login = Password | XOAuth2


def _json_object(body: bytes) -> Mapping[str, object] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _access_token(answer: Mapping[str, object], url: str) -> str:
    """The token, if it is one that can stand in a SASL message (RFC 6750, 2.1)."""
    token = answer.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise OAuthError(f"no token from {url}: the answer has no usable access_token")
    return token


def _use_for(expires_in: object) -> float:
    """Seconds for which a token is used; some servers write the lifetime as a string."""
    try:
        lifetime = float(str(expires_in))
    except ValueError:
        lifetime = _LIFETIME
    if not 0 <= lifetime < float("inf"):
        lifetime = _LIFETIME
    return max(lifetime - _EARLY, lifetime * _SHARE)
