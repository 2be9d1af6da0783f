"""What IMAP, SMTP and token endpoints share."""

from __future__ import annotations

import io
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.adapters.connection import (
    Password,
    TimedReader,
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


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 400))
def test_a_timed_reader_reads_what_a_file_reads(octets: bytes, buffer: int, limit: int) -> None:
    plain = io.BytesIO(octets)
    timed = TimedReader(io.BufferedReader(io.BytesIO(octets), buffer), lambda: None)
    for _ in range(5):
        assert timed.readline(limit) == plain.readline(limit)
        assert timed.read(limit) == plain.read(limit)


def test_a_timed_reader_asks_before_every_read() -> None:
    left = iter([1, 1])

    def arm() -> None:
        if next(left, None) is None:
            raise TimeoutError

    timed = TimedReader(io.BufferedReader(io.BytesIO(b"abcdef"), 2), arm)
    with pytest.raises(TimeoutError):
        timed.readline(100)
