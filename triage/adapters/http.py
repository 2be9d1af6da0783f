"""A small HTTP server for health and metrics: a few fixed pages, and bounds on every request."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from triage.adapters.connection import TimedSocket

_REQUEST_OCTETS = 8_192
_SECONDS = 5.0
"""In which a request must have come, and its answer must have been taken."""
_CONNECTIONS = 16
"""At a time; each has a thread. Those beyond are closed."""
_ALLOWED = "GET, HEAD"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    status: int
    body: bytes
    content_type: str = TEXT


class Endpoint:
    """Serves `pages` by their paths, in threads of its own, until it is closed.

    A page is made anew for each request; it must answer within seconds. Raises OSError where the
    address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pages: Mapping[str, Callable[[], Page]],
        *,
        seconds: float = _SECONDS,
    ) -> None:
        self._server = _Server(host, port, pages, seconds)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more. What is being answered ends by itself within seconds."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * _CONNECTIONS

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Callable[[], Page]], seconds: float
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages, self.seconds = pages, seconds
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((host, port), _Request)

    def server_bind(self) -> None:
        """Without asking the DNS for our own name, as the library's does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The whole life of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke, or a page that could not be made."""
        del request, client_address
        structlog.get_logger().debug("http_request_failed", exc_info=True)


class _Bounded(io.RawIOBase):
    """So many octets, and then the end."""

    def __init__(self, source: io.RawIOBase, octets: int) -> None:
        self._source, self._left = source, octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._source.readinto(view) or 0 if len(view) else 0
        self._left -= count
        return int(count)

    @property
    def used_up(self) -> bool:
        return self._left <= 0


class _Request(BaseHTTPRequestHandler):
    """One request a connection (HTTP/1.0). Nothing of it stands in an answer or in the log."""

    server: _Server
    server_version, sys_version = "triage", ""

    def setup(self) -> None:
        super().setup()
        self._ends = time.monotonic() + self.server.seconds
        self._bounded = _Bounded(TimedSocket(self.connection, self._arm), _REQUEST_OCTETS)
        self.rfile = io.BufferedReader(self._bounded)

    def _arm(self) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request came too slowly")
        self.connection.settimeout(left)

    def parse_request(self) -> bool:
        """False, and the answer is given, where there is nothing to be answered with a page."""
        if not super().parse_request():
            return False
        if self._bounded.used_up:
            self.send_error(431)
            return False
        return True

    def do_GET(self) -> None:
        """One of the pages, by its path; a query counts for nothing."""
        page = self.server.pages.get(self.path.partition("?")[0])
        self._answer(page() if page is not None else Page(404, b"not found\n"))

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The library's own pages repeat parts of the request."""
        del message, explain
        status = 405 if int(code) == 501 else int(code)
        allow = {"Allow": _ALLOWED} if status == 405 else {}
        self._answer(Page(status, f"{HTTPStatus(status).phrase}\n".encode()), allow)

    def _answer(self, page: Page, more: Mapping[str, str] | None = None) -> None:
        self.close_connection = True
        self.connection.settimeout(self.server.seconds)
        self.send_response(page.status)
        headers = {
            "Content-Type": page.content_type,
            "Content-Length": str(len(page.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(more or {}),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Requests are not logged."""
