"""What IMAP, SMTP and token endpoints share."""

from __future__ import annotations

import io
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.adapters.connection import (
    Password,
    TimedSocket,
    connection_fault,
    is_loopback,
    printable,
    require_private,
)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST"]
)
def test_loopback_is_told_by_its_name(host: str) -> None:
    assert is_loopback(host)
    require_private(host, "none")


@pytest.mark.parametrize(
    "host",
    ["", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "2130706433"],
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)
    require_private(host, "implicit")
    with pytest.raises(ValueError, match="loopback"):
        require_private(host, "none")


def test_a_password_is_never_shown() -> None:
    assert "hunter2" not in repr(Password("errors", "hunter2"))


@given(st.text() | st.binary(), st.text(min_size=1))
def test_what_is_shown_is_one_short_line_without_secrets(said: str | bytes, secret: str) -> None:
    shown = printable(said, secret)
    assert len(shown) <= 300
    assert shown.isprintable()


def test_a_secret_is_blotted_out() -> None:
    assert printable(b"no: pa ss\r\nagain", "pa ss", "") == "no: *** again"


@pytest.mark.parametrize(
    ("error", "words", "permanent"),
    [
        (ConnectionRefusedError(), "refuses connections", False),
        (TimeoutError(), "does not answer in time", False),
        (ConnectionResetError(104, "reset"), "broke", False),
        (ssl.SSLEOFError(), "ended the TLS connection", False),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "check `port` and `tls`", False),
    ],
)
def test_every_fault_names_the_place_and_what_to_do(
    error: OSError, words: str, permanent: bool
) -> None:
    text, lasting = connection_fault(error, "imap.example.com", 993)
    assert "imap.example.com:993" in text
    assert words in text
    assert lasting is permanent


@given(st.binary(max_size=300), st.integers(1, 40))
def test_a_timed_socket_gives_what_was_sent(octets: bytes, buffer: int) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(octets)
        far.shutdown(socket.SHUT_WR)
        assert io.BufferedReader(TimedSocket(near, lambda: None), buffer).read() == octets


def test_a_timed_socket_asks_before_every_read() -> None:
    near, far = socket.socketpair()
    left = iter([1, 1])

    def arm() -> None:
        if next(left, None) is None:
            raise TimeoutError

    with near, far:
        far.sendall(b"abcdef")
        with pytest.raises(TimeoutError):
            io.BufferedReader(TimedSocket(near, arm), 2).readline()
