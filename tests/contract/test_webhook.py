"""Alarms over the web, against real servers: signed, bounded, and never led elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import pytest

from tests.servers.hook import SECRET, Hook
from tests.servers.script import Line, Script
from triage.adapters.webhook import WebhookSender
from triage.ports import Fault, SendError

BODY = json.dumps({"id": "1", "title": "it stands still"}).encode()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        yield server


def call(url: str, seconds: float = 5.0) -> SendError | None:
    try:
        WebhookSender(url, SECRET, seconds=seconds).send(BODY, "", ())
    except SendError as error:
        return error
    return None


def test_the_signature_proves_body_and_time(hook: Hook) -> None:
    assert call(hook.url) is None
    ((signed, body),) = hook.calls
    assert body == BODY
    at, mac = (part.partition("=")[2] for part in signed.split(","))
    assert abs(int(at) - time.time()) < 60
    expected = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert mac == expected


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_server_that_cannot_now_is_asked_again(hook: Hook, status: int) -> None:
    hook.status = status
    error = call(hook.url)
    assert error is not None
    assert error.fault is Fault.TRANSIENT
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_final_and_shows_no_secret(hook: Hook, status: int) -> None:
    hook.status = status
    error = call(hook.url)
    assert error is not None
    assert error.fault is Fault.PERMANENT
    assert "no, ***" in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    with Hook() as other:
        hook.status, hook.location = status, other.url
        error = call(hook.url)
        assert error is not None
        assert error.fault is Fault.PERMANENT
        assert "redirect" in str(error)
        assert other.calls == []


def test_a_server_that_is_down_is_asked_again() -> None:
    with Hook() as hook:
        url = hook.url
    error = call(url)
    assert error is not None
    assert error.fault is Fault.TRANSIENT


def _silent(line: Line) -> None:
    line.until_gone()
    line.until_gone()
    time.sleep(20)


def _trickle(line: Line) -> None:
    line.raw(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        line.raw(b"x")
        time.sleep(0.1)


def _endless(line: Line) -> None:
    line.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        line.raw(b"x" * 10_000)


@pytest.mark.parametrize("play", [_silent, _trickle, _endless])
def test_no_answer_outlasts_its_bounds_and_may_mean_that_it_was_taken(play: object) -> None:
    with Script(play) as server:  # type: ignore[arg-type]
        begun = time.monotonic()
        error = call(f"http://127.0.0.1:{server.port}/", seconds=1.0)
        assert time.monotonic() - begun < 10
    assert error is not None
    assert error.fault is Fault.AMBIGUOUS


def test_a_secret_does_not_cross_a_network_in_clear_text() -> None:
    with pytest.raises(ValueError, match="https"):
        WebhookSender("http://alarms.example.com/", SECRET)
