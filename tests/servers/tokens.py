"""A token endpoint of the test's own (RFC 6749), with introspection (RFC 7662) for Dovecot."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qs

from tests.servers.httpd import HttpServer, Request

CLIENT_ID = "triage"
CLIENT_SECRET = "very secret"
REFRESH_TOKEN = "refresh-0"


class TokenServer(HttpServer):
    """`with TokenServer() as server`: tokens are for `user` and end after `lifetime` seconds."""

    def __init__(self, user: str = "errors", lifetime: float = 3600.0) -> None:
        self.user = user
        self.lifetime = lifetime
        self.forms: list[dict[str, str]] = []
        """What clients asked for tokens with."""
        self._ends: dict[str, float] = {}
        self._rotated = 0
        super().__init__(self._request_class())

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return f"{self.url}/token"

    def withdraw_all(self) -> None:
        """No token given until now is good any more."""
        self._ends.clear()

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.forms.append(form)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            described = f"wrong secret {form.get('client_secret')}"
            return 401, {"error": "invalid_client", "error_description": described}
        expected = f"refresh-{self._rotated}"
        if form["grant_type"] == "refresh_token" and form.get("refresh_token") != expected:
            return 400, {"error": "invalid_grant", "error_description": "used before"}
        token = f"access-{len(self.forms)}"
        self._ends[token] = time.monotonic() + self.lifetime
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        if form["grant_type"] == "refresh_token":
            self._rotated += 1
            answer["refresh_token"] = f"refresh-{self._rotated}"
        return 200, answer

    def _introspect(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        active = self._ends.get(form.get("token", ""), 0.0) > time.monotonic()
        return 200, {"active": active, "username": self.user} if active else {"active": False}

    def _request_class(self) -> type[Request]:
        server = self

        class Answer(Request):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                answer = server._token if self.path == "/token" else server._introspect
                status, said = answer(form)
                octets = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

        return Answer
