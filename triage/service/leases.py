"""Which mailboxes this process watches, where several processes share the work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from threading import Event, Lock, Thread

import structlog

from triage.ports import Stop, Store, StoreError

_END_SECONDS = 60.0
_LASTS, _BEATS = 0.6, 1 / 6
"""Of the time in which another process must have taken over: how long a lease lasts, and how often
it is renewed, the living are counted and a mailbox is asked for. Two beats may fail."""


class Leases:
    """A fair share of the mailboxes, held by leases that are renewed while the process lives.

    When a process died, or stands still, others have its mailboxes within `seconds`; the fencing
    token keeps what it may still write from counting (`Unit.fenced`). Thread-safe.
    """

    def __init__(self, store: Store, mailboxes: int, seconds: float) -> None:
        """All processes watch the same `mailboxes`."""
        self._store, self._mailboxes = store, mailboxes
        self._seconds, self._pause = seconds * _LASTS, seconds * _BEATS
        self._share = mailboxes
        self._held: set[str] = set()
        self._lock, self._taking = Lock(), Lock()
        self._log = structlog.get_logger()

    @property
    def pause(self) -> float:
        """Seconds until it may be worth asking again for a mailbox that others watch."""
        return self._pause

    def beat(self) -> None:
        """Show that this process lives, and see among how many the work is shared."""
        living = self._store.renew(self._seconds)
        self._share = ceil(self._mailboxes / max(living, 1))

    @contextmanager
    def beating(self, pulse: Callable[[Stop], Stop]) -> Iterator[Thread]:
        """Keep the leases to the end of the block, in the thread that it answers.

        What another process may take over must no longer be in our hands then. `pulse` answers
        the stop that the thread asks.
        """
        stop = Event()
        thread = Thread(target=self.keep_beating, args=(pulse(stop),), name="leases", daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join(_END_SECONDS)

    def keep_beating(self, stop: Stop) -> None:
        """Until `stop`; without the store, leases run out, and others may take them."""
        while not stop.wait(self.pause):
            try:
                self.beat()
            except StoreError as error:
                self._log.error("leases_not_renewed", error=str(error))
            except Exception as error:  # noqa: BLE001 - without it every mailbox would be lost
                self._log.exception("leases_fault", error=str(error))

    def take(self, mailbox: str) -> int | None:
        """The fencing token; None while it is another's, or beyond our share."""
        # One after the other, because of our share. Nobody else waits until the store answers.
        with self._taking:
            with self._lock:
                if len(self._held) >= self._share and mailbox not in self._held:
                    return None
            token = self._store.lease(lease_of(mailbox), self._seconds)
            if token is not None:
                with self._lock:
                    self._held.add(mailbox)
        return token

    def give_back(self, mailbox: str) -> None:
        """Others may take it at once. Never raises: without the store it runs out by itself."""
        with self._lock:
            if mailbox not in self._held:
                return
            self._held.remove(mailbox)
        try:
            self._store.give_back(lease_of(mailbox))
        except StoreError as error:
            self._log.error("lease_not_given_back", mailbox=mailbox, error=str(error))

    def until_surplus(self, mailbox: str, stop: Stop) -> Stop:
        """`stop`, or that this process holds more than its share and this one should go."""
        return _UntilSurplus(self, mailbox, stop)

    def is_surplus(self, mailbox: str) -> bool:
        """Whether to give it back, because there are more processes now."""
        with self._lock:
            return mailbox in sorted(self._held)[self._share :]


class _UntilSurplus:
    """A `Stop` that also ends when a mailbox is to be given back."""

    def __init__(self, leases: Leases, mailbox: str, stop: Stop) -> None:
        self._leases, self._mailbox, self._stop = leases, mailbox, stop

    def is_set(self) -> bool:
        return self._stop.is_set() or self._leases.is_surplus(self._mailbox)

    def wait(self, timeout: float | None = None) -> bool:
        ends = time.monotonic() + (timeout or 0.0)
        while not self.is_set() and (left := ends - time.monotonic()) > 0:
            self._stop.wait(min(left, 1.0))
        return self.is_set()


def lease_of(mailbox: str) -> str:
    """The name of a mailbox's lease."""
    return f"mailbox:{mailbox}"
