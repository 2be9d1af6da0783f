"""What the HTTP endpoint answers: /live, /ready and /metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event, Lock, Thread

import structlog

from triage.adapters.http import Endpoint, Page
from triage.adapters.metrics import CONTENT_TYPE, Gauge, exposed
from triage.ports import StoreError
from triage.rows import Way, WayOut
from triage.service.health import Health, without_store
from triage.settings import ConfigurationError, Settings

_KEEP_SECONDS = 1.0
_PATIENCE_SECONDS = 4.0

Late = Callable[[], Sequence[str]]
"""The loops of this process that stand still."""


class Asked:
    """Health, asked of the store at most once a second, and never waited for too long.

    One question is on its way at a time, in a thread of its own: a store that hangs costs one
    thread, however many ask. Thread-safe.
    """

    def __init__(self, ask: Callable[[], Health], patience: float = _PATIENCE_SECONDS) -> None:
        """`ask` may raise StoreError; `patience` in seconds."""
        self._ask, self._patience = ask, patience
        self._lock = Lock()
        self._answered = Event()
        self._answered.set()
        self._answer: Health | None = None
        self._at = 0.0

    def __call__(self) -> Health:
        """How things stand, or that the store does not say."""
        with self._lock:
            old = self._answer is None or time.monotonic() - self._at > _KEEP_SECONDS
            if old and self._answered.is_set():
                self._ask_in_its_thread()
            answered = self._answered
        if answered.wait(self._patience) and self._answer is not None:
            return self._answer
        return without_store("it does not answer in time", datetime.now(UTC))

    def _ask_in_its_thread(self) -> None:
        self._answered = Event()
        try:
            Thread(target=self._run, args=(self._answered,), daemon=True).start()
        except RuntimeError as error:  # no more threads to be had: the next one who asks tries
            self._answer = without_store(str(error), datetime.now(UTC))
            self._answered.set()

    def _run(self, answered: Event) -> None:
        try:
            self._answer = self._ask()
        except StoreError as error:
            self._answer = without_store(str(error), datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - an old answer must not stand for a new one
            structlog.get_logger().exception("health_fault", error=str(error))
            self._answer = without_store(type(error).__name__, datetime.now(UTC))
        finally:
            self._at = time.monotonic()
            answered.set()


def open_endpoint(settings: Settings, late: Late, asked: Callable[[], Health]) -> Endpoint | None:
    """Listen where the settings say; None when it is off, or the default port is taken.

    Raises ConfigurationError when a port that the operator named cannot be had.
    """
    address = settings.http.address
    if address is None:
        return None
    try:
        return Endpoint(*address, pages(late, asked))
    except OSError as error:
        fault = f"http.listen: {address[0]}:{address[1]} cannot be used: {error.strerror or error}"
        if settings.http.listen is not None:
            raise ConfigurationError([f"{fault}; name another one, or off"]) from error
        structlog.get_logger().warning("no_endpoint", error=fault)
        return None


def pages(late: Late, asked: Callable[[], Health]) -> Mapping[str, Callable[[], Page]]:
    """The pages by their paths."""

    def loops() -> list[str]:
        return [f"the loop {loop} stands still" for loop in late()]

    return {
        "/live": lambda: _page(loops()),
        "/ready": lambda: _page([*loops(), *(one.title for one in asked().symptoms)]),
        "/metrics": lambda: Page(200, exposed(_gauges(asked())), CONTENT_TYPE),
    }


def _page(faults: Sequence[str]) -> Page:
    lines = faults or ["ok"]
    return Page(503 if faults else 200, "".join(f"{line}\n" for line in lines).encode())


def _gauges(state: Health) -> Iterator[Gauge]:
    yield Gauge("triage_healthy", "1 while nothing is wrong.", "", {"": not state.symptoms})
    if any(one.key == "store" for one in state.symptoms):
        return
    boxes = state.mailboxes
    yield Gauge(
        "triage_mailbox_last_progress_timestamp_seconds",
        "When the mailbox was last known to be read to where it is; 0 before.",
        "mailbox",
        {one.name: one.last_progress.timestamp() if one.last_progress else 0.0 for one in boxes},
    )
    yield Gauge(
        "triage_mailbox_lag",
        "Mails that wait to be read, at most.",
        "mailbox",
        {one.name: one.lag for one in boxes},
    )
    yield Gauge(
        "triage_mailbox_oldest_waiting_seconds",
        "Age of the oldest mail that waits to be read; 0 when none does.",
        "mailbox",
        {
            one.name: (state.at - one.waiting_since).total_seconds() if one.waiting_since else 0.0
            for one in boxes
        },
    )
    yield Gauge(
        "triage_mailbox_failing",
        "1 while the mailbox has an error.",
        "mailbox",
        {one.name: bool(one.error) for one in boxes},
    )
    ways, tally = state.tally.ways, state.tally
    yield Gauge("triage_outbox", "Messages not sent yet.", "state", _states(ways[Way.MAIL]))
    yield Gauge("triage_tickets", "Tickets not sent yet.", "state", _states(ways[Way.TICKET]))
    yield Gauge("triage_alarms", "Alarms not sent yet.", "state", _states(ways[Way.ALARM]))
    yield Gauge("triage_held", "1 while all sending is held.", "", {"": state.held is not None})
    yield Gauge("triage_incidents_open", "Open incidents.", "", {"": tally.incidents})
    yield Gauge("triage_responses_waiting", "Not due yet.", "", {"": tally.responses})
    yield Gauge("triage_quarantined", "Mails for a person.", "", {"": tally.quarantined})


def _states(out: WayOut) -> dict[str, float]:
    return {"pending": out.pending, "dead": out.dead}
