"""A server that takes webhooks, and keeps what it was told."""

from __future__ import annotations

from tests.servers.httpd import HttpServer, Request

SECRET = "a secret of the test"


class Hook(HttpServer):
    """`with Hook() as hook`: answers `status`; `calls` has the signature and body of each call."""

    def __init__(self) -> None:
        self.status, self.location = 204, ""
        self.calls: list[tuple[str, bytes]] = []
        super().__init__(self._request_class(), "/hook")

    def _request_class(self) -> type[Request]:
        hook = self

        class Answer(Request):
            def answer(self) -> None:
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

        return Answer
