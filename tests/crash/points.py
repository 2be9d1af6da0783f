"""Thin wrappers that count the durable steps of the service, and kill it at one of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from triage.adapters.smtp import SmtpSender
from triage.adapters.store import SqlStore
from triage.mail.message import RawMail
from triage.ports import FolderState, Mailbox, Stop
from triage.response.message import Audience
from triage.rows import NewOutbox

WRITES = {
    "save_mailbox": "cursor",
    "count_attempt": "attempt",
    "add_mails": "record",
    "start_incident": "record",
    "add_occurrence": "record",
    "add_occurrences": "record",
    "add_pending": "record",
    "quarantine": "record",
    "mark_undeliverable": "record",
    "after_done": "filed",
    "enqueue": "render",
    "responded": "render",
    "postpone": "render",
    "drop_pending": "drop",
    "close_incidents": "close incidents",
    "close_incident": "record",
    "withdraw": "withdraw",
    "erase_kept": "erase",
}
"""What changes the store inside a unit, and the step that it belongs to."""
STEPS = ("lease", "renew", "give_back", "claim", "mark_sent", "mark_failed")
"""What commits by itself."""
MAY_DOUBLE = frozenset({"final dot: sent", "final dot: accepted", "mark sent: before"})
"""Killed here, the server may have the message while we do not know it (RFC 1047)."""


class Points:
    """Every step that is passed, by name; the process does not survive number `kill`."""

    def __init__(self, kill: int | None, folder: Path) -> None:
        self.names: list[str] = []
        self._kill, self._folder, self._lock = kill, folder, Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self.names.append(name)
            if len(self.names) == self._kill:
                (self._folder / "killed").write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, step: Callable[..., Any], *arguments: Any) -> Any:
        """A point before and one after."""
        self(f"{name}: before")
        answer = step(*arguments)
        self(f"{name}: after")
        return answer


class CountedMailbox:
    """A Mailbox with points around what it asks of the server."""

    def __init__(self, mailbox: Mailbox, points: Points) -> None:
        self.name = mailbox.name
        self._mailbox, self._points = mailbox, points

    def connect(self) -> FolderState:
        return self._points.around("open mailbox", self._mailbox.connect)

    def refresh(self) -> FolderState:
        return self._points.around("open mailbox", self._mailbox.refresh)

    def fetch(self, after: int, limit: int, since: datetime | None = None) -> Sequence[RawMail]:
        return self._points.around("fetch", self._mailbox.fetch, after, limit, since)

    def wait(self, seconds: float, stop: Stop) -> None:
        self._mailbox.wait(seconds, stop)

    def move(self, uids: Sequence[int], folder: str) -> None:
        self._points.around("move", self._mailbox.move, uids, folder)

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        self._points.around("flag", self._mailbox.flag, uids, flags)

    def close(self) -> None:
        self._mailbox.close()


class CountedUnit:
    """A Unit with a point at each write, before it is committed."""

    def __init__(self, unit: Any, points: Points) -> None:
        self._unit, self._points = unit, points
        self.step = ""
        """What its first write belongs to; "" while there is none."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._unit, name)
        if name not in WRITES:
            return method

        def write(*arguments: Any, **options: Any) -> Any:
            self.step = self.step or _step(name, *arguments)
            answer = method(*arguments, **options)
            self._points(f"{self.step}: in {name}")
            return answer

        return write


def _step(name: str, first: object = None, *_: object) -> str:
    if isinstance(first, NewOutbox) and first.audience == Audience.DIGEST:
        return "digest"
    if isinstance(first, NewOutbox) and first.ends:
        return "closing mail"
    return WRITES[name]


class CountedStore:
    """A Store with points at each commit and around each step that commits by itself."""

    def __init__(self, store: SqlStore, points: Points) -> None:
        self._store, self._points = store, points

    @contextmanager
    def unit(self) -> Iterator[CountedUnit]:
        with self._store.unit() as unit:
            counted = CountedUnit(unit, self._points)
            yield counted
            if counted.step:
                self._points(f"{counted.step}: before commit")
        if counted.step:
            self._points(f"{counted.step}: committed")

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._store, name)
        if name not in STEPS:
            return step
        return lambda *arguments: self._points.around(name.replace("_", " "), step, *arguments)


class CountedSender(SmtpSender):
    """The Sender, with points between the commands of the conversation."""

    points: Points

    def _new(self) -> Any:
        return _CountedSmtp(self.points.around("connect", super()._new), self.points)


class _CountedSmtp:
    def __init__(self, smtp: Any, points: Points) -> None:
        self._smtp, self._points = smtp, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._smtp, name)

    def mail(self, *arguments: Any) -> Any:
        return self._points.around("MAIL", self._smtp.mail, *arguments)

    def rcpt(self, *arguments: Any) -> Any:
        return self._points.around("RCPT", self._smtp.rcpt, *arguments)

    def docmd(self, command: str, arguments: str = "") -> Any:
        return self._points.around(command, self._smtp.docmd, command, arguments)

    def send(self, octets: bytes) -> None:
        if octets != b".\r\n":
            return self._points.around("body", self._smtp.send, octets)
        self._points("final dot: before")
        self._smtp.send(octets)
        return self._points("final dot: sent")

    def getreply(self) -> Any:
        reply = self._smtp.getreply()
        self._points("final dot: accepted")
        return reply
