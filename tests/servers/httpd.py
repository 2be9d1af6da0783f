"""An HTTP server of the test's own, on a free port."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Request(BaseHTTPRequestHandler):
    """`answer` answers it, whatever its method; nothing is said on the terminal."""

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def log_message(self, *args: object) -> None:
        """Tests are quiet."""


class HttpServer:
    """It answers between `with HttpServer(…) as server` and the end of that block."""

    def __init__(self, request: type[Request], path: str = "") -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), request)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
