"""A server that takes webhooks, and keeps what it was told."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

SECRET = "a secret of the test"


class Hook:
    """`with Hook() as hook`: answers `status`; `calls` has the signature and body of each call."""

    def __init__(self) -> None:
        self.status, self.location = 204, ""
        self.calls: list[tuple[str, bytes]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._request_class())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/hook"

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

    def _request_class(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Request(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                hook.calls.append((self.headers["X-Triage-Signature"], body))
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("Location", hook.location)
                self.end_headers()
                if hook.status >= 400:
                    # What a careless server repeats must not get into a log.
                    self.wfile.write(f"no, {SECRET}".encode())

            def log_message(self, *args: object) -> None:
                """Tests are quiet."""

        return Request
