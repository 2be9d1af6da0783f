"""Who reads mails as long as tenants and contacts stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from triage.adapters.workers import WorkerPool
from triage.service.record import Recorder
from triage.settings import Settings


class Readers:
    """Workers that judge and a recorder that decides, by the same settings.

    When other settings come into force, `over` is set: whoever watches a mailbox finishes the
    mails in flight with these readers and goes on with the next ones, so no mail is judged by one
    list of tenants and acted on by another. Thread-safe.
    """

    def __init__(self, settings: Settings, pool: WorkerPool, recorder: Recorder) -> None:
        self.settings, self.pool, self.recorder = settings, pool, recorder
        self.over = Event()
        self._users = 0
        self._lock = Lock()

    @contextmanager
    def used(self) -> Iterator[Event]:
        """Read with these, until the event that it answers is set."""
        with self._lock:
            self._users += 1
        try:
            yield self.over
        finally:
            with self._lock:
                self._users -= 1
            self._close_unused()

    def end(self) -> None:
        """Begin nothing new with these; the workers end after the last mail in flight."""
        self.over.set()
        self._close_unused()

    def _close_unused(self) -> None:
        with self._lock:
            unused = self._users == 0 and self.over.is_set()
        if unused:
            self.pool.close()
