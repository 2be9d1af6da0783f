"""One request to an address that the operator wrote down, with bounds on everything."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from triage.adapters.connection import is_loopback

_ANSWER_OCTETS = 65_536
_LONGEST_PAUSE = 86_400.0
"""Seconds; who wants to be left alone for longer is asked all the same."""
FAULTS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)
"""All that `request` raises."""


def require_https(url: str, key: str) -> None:
    """Raise ValueError where a secret would cross a network in clear text; `key` is named."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise ValueError(f"{key} must be https, or http on loopback")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes


def request(
    method: str,
    url: str,
    *,
    seconds: float,
    headers: Mapping[str, str],
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    most_octets: int = _ANSWER_OCTETS,
    transport: httpx.BaseTransport | None = None,
) -> Answer:
    """The answer. Redirects are not followed, certificates are verified.

    The answer is bounded in octets and, once connected, in time: not even one octet at a time
    outlasts `seconds`. Raises one of FAULTS.
    """
    with (
        httpx.Client(verify=tls or True, transport=transport, timeout=seconds / 2) as client,
        _Deadline(seconds) as deadline,
        client.stream(
            method,
            url,
            data=form,
            content=content,
            headers={**headers, "Accept-Encoding": "identity"},
            extensions={"trace": deadline.watch},
        ) as response,
    ):
        if "Content-Encoding" in response.headers:
            raise ValueError("the answer is packed, which could make a small one large")
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > most_octets:
                raise ValueError(f"the answer is over {most_octets} octets")
        return Answer(response.status_code, response.headers, body)


def retry_after(answer: Answer) -> float | None:
    """Seconds to wait, at most a day, which a server gives as such or as a date (RFC 9110, 10.2.3).

    None where it says nothing of the kind.
    """
    value = answer.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), _LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_PAUSE)


class _Deadline:
    """Ends a connection from outside: the library's own time-outs begin anew with every octet."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._over = False

    def watch(self, event: str, facts: Mapping[str, Any]) -> None:
        """What the library says of its steps; the connection is among it."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = facts["return_value"].get_extra_info("socket")
            if self._over:
                self._end()

    def _end(self) -> None:
        self._over = True
        if self._socket is not None:
            with suppress(OSError):  # it may have ended by itself
                # Not through TLS: that would wait for the other side.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._over:  # also without an error: what was read may end where the line was cut
            raise TimeoutError(f"the answer took over {self._seconds:.0f} seconds") from error
