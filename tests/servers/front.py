"""A proxy that stands before a ticket server, keeps what was asked, and spoils answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import httpx

from tests.servers.httpd import HttpServer, Request


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """search | create | comment | step"""
        # The external id: in the query of a search, in the body of a create.
        if b"triage-" in self.body:
            return "create"
        if self.method == "GET":
            return "search" if "triage-" in self.target else "step"
        commenting = self.method in {"PUT", "PATCH"} or "/comment" in self.target
        return "comment" if commenting else "step"


@dataclass(frozen=True)
class Answered:
    """An answer."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


Backend = Callable[[Asked], Answered]
Play = Callable[[BaseHTTPRequestHandler, Callable[[], Answered]], None]
"""Writes an answer; may ask the backend for the true one, which then has had its effect."""


class Front(HttpServer):
    """`with Front() as front`: answers what `backend` does, but for what `faults` say."""

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend: Backend = backend or (lambda _: Answered(404))
        self.asked: list[Asked] = []
        self._faults: list[tuple[str, Play]] = []
        super().__init__(self._request_class(), "/")

    def spoil(self, kind: str, *plays: Play) -> None:
        """The next requests of this kind are answered so, one each."""
        self._faults += [(kind, play) for play in plays]

    def clear(self) -> None:
        """Forget what was asked and what is still to be spoilt."""
        self.asked.clear()
        self._faults.clear()

    def forward_to(self, url: str) -> None:
        """Let a real server answer."""

        client = httpx.Client(base_url=url, timeout=60)

        def forwarded(asked: Asked) -> Answered:
            headers = {name: asked.headers[name] for name in asked.headers if name != "connection"}
            answer = client.request(asked.method, asked.target, headers=headers, content=asked.body)
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name in {"content-type", "location", "etag"}
            }
            return Answered(answer.status_code, answer.content, kept)

        self.backend = forwarded

    def _play(self, asked: Asked) -> Play:
        for number, (kind, play) in enumerate(self._faults):
            if kind == asked.kind:
                del self._faults[number]
                return play
        return true

    def _request_class(self) -> type[Request]:
        front = self

        class Answer(Request):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                front.asked.append(asked)
                front._play(asked)(self, lambda: front.backend(asked))

        return Answer


def _write(request: BaseHTTPRequestHandler, answer: Answered, missing: int = 0) -> None:
    request.send_response(answer.status)
    headers = {"Content-Type": "application/json", **answer.headers}
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(answer.body) + missing))
    request.end_headers()
    request.wfile.write(answer.body)


def true(request: BaseHTTPRequestHandler, ask: Callable[[], Answered]) -> None:
    """The backend's answer."""
    _write(request, ask())


def instead(status: int, body: bytes = b'{"message": "no"}', **headers: str) -> Play:
    """Another answer, and the backend is not asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, _: _write(request, Answered(status, body, named))


def after(status: int, body: bytes = b"it broke") -> Play:
    """Another answer, when the backend has done it."""

    def play(request: BaseHTTPRequestHandler, ask: Callable[[], Answered]) -> None:
        ask()
        _write(request, Answered(status, body))

    return play


def half(request: BaseHTTPRequestHandler, ask: Callable[[], Answered]) -> None:
    """Done, and the answer breaks off."""
    answer = ask()
    cut = Answered(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
    _write(request, cut, missing=100)


def silence(request: BaseHTTPRequestHandler, ask: Callable[[], Answered]) -> None:
    """Done, and no answer comes."""
    ask()
    time.sleep(15)
    request.close_connection = True


nonsense = after(201, b"<html>It works!</html>")
"""Done, and what is said means nothing."""
