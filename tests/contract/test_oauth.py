"""Tokens from an endpoint of the test's own, and logins with them at Dovecot."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.servers.dovecot import Dovecot
from tests.servers.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TokenServer
from triage.adapters.imap import ImapMailbox
from triage.adapters.oauth import OAuth2, OAuthError, TokenSource, XOAuth2
from triage.ports import MailboxError


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture(scope="module")
def dovecot(tokens: TokenServer) -> Iterator[Dovecot]:
    with Dovecot(introspect=f"{tokens.url}/introspect") as server:
        yield server


def source(server: TokenServer, secret: str = CLIENT_SECRET, **changed: str) -> TokenSource:
    return TokenSource(OAuth2(server.token_url, CLIENT_ID, secret, **changed))


def mailbox(dovecot: Dovecot, tokens: TokenSource) -> ImapMailbox:
    login = XOAuth2("errors", tokens)
    context = dovecot.trust()
    return ImapMailbox(
        "support", "127.0.0.1", dovecot.tls_port, "implicit", login, ssl_context=context
    )


def test_client_credentials_give_a_token_that_is_kept() -> None:
    with TokenServer() as server:
        tokens = source(server, scope="mail")
        assert tokens.token() == tokens.token() == "access-1"
        assert server.forms == [
            {
                "grant_type": "client_credentials",
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scope": "mail",
            }
        ]


def test_a_refresh_token_that_the_server_replaces_is_replaced() -> None:
    with TokenServer() as server:
        tokens = source(server, grant="refresh_token", refresh_token=REFRESH_TOKEN)
        first = tokens.token()
        tokens.invalidate()
        assert tokens.token() != first
        assert [form["refresh_token"] for form in server.forms] == ["refresh-0", "refresh-1"]


def test_a_refused_client_is_told_apart_and_no_secret_is_shown() -> None:
    with TokenServer() as server:
        with pytest.raises(OAuthError) as caught:
            source(server, secret="hunter2").token()
        assert caught.value.permanent
        assert server.token_url in str(caught.value)
        assert "invalid_client: wrong secret ***" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_an_endpoint_that_is_down_may_come_back() -> None:
    with TokenServer() as server:
        tokens = source(server)
    with pytest.raises(OAuthError, match="refused") as caught:
        tokens.token()
    assert not caught.value.permanent


@pytest.mark.server
def test_dovecot_takes_the_token(dovecot: Dovecot, tokens: TokenServer) -> None:
    box = mailbox(dovecot, source(tokens))
    assert box.connect().uidvalidity > 0
    box.close()


@pytest.mark.server
def test_a_token_withdrawn_before_its_time_is_replaced(
    dovecot: Dovecot, tokens: TokenServer
) -> None:
    box = mailbox(dovecot, source(tokens))
    box.connect()
    tokens.withdraw_all()
    asked = len(tokens.forms)
    assert box.connect().uidvalidity > 0
    assert len(tokens.forms) == asked + 1
    box.close()


@pytest.mark.server
def test_a_token_that_expires_is_replaced_without_being_refused(
    dovecot: Dovecot, tokens: TokenServer
) -> None:
    tokens.lifetime = 5.0
    try:
        box = mailbox(dovecot, source(tokens))
        asked = len(tokens.forms)
        box.connect()
        time.sleep(5.05)
        box.connect()
        assert len(tokens.forms) == asked + 2
        box.close()
    finally:
        tokens.lifetime = 3600.0


@pytest.mark.server
def test_a_mailbox_whose_client_is_refused_needs_the_operator(
    dovecot: Dovecot, tokens: TokenServer
) -> None:
    box = mailbox(dovecot, source(tokens, secret="hunter2"))
    with pytest.raises(MailboxError, match=r"support.*check client id") as caught:
        box.connect()
    assert caught.value.permanent
    assert "hunter2" not in str(caught.value)


@pytest.mark.server
def test_a_token_for_somebody_else_is_refused(dovecot: Dovecot) -> None:
    with TokenServer(user="somebody") as other:
        with pytest.raises(MailboxError, match=r"login refused.*the token") as caught:
            mailbox(dovecot, source(other)).connect()
        assert caught.value.permanent
        assert len(other.forms) == 2
