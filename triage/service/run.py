"""The service: adapters wired to the line, one thread a mailbox and one that sends."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from triage.adapters.files import read_catalog, read_templates
from triage.adapters.http import Endpoint
from triage.adapters.store import open_store
from triage.adapters.workers import Build, WorkerPool
from triage.catalog.load import Catalog
from triage.pipeline import CODE_VERSION, Judge, policy, world
from triage.ports import Clock, Mailbox, Sender, Stop, Store, StoreError
from triage.response.templates import Templates
from triage.rows import Way
from triage.service.closing import close_quiet
from triage.service.dispatch import LEASE_SECONDS, Dispatcher
from triage.service.endpoint import Asked, open_endpoint
from triage.service.health import Health, health
from triage.service.hold import check_holds
from triage.service.intake import BACKOFF_SECONDS, Intake
from triage.service.leases import Leases
from triage.service.readers import Readers
from triage.service.record import Recorder
from triage.service.reload import Reload
from triage.service.reread import Rereading
from triage.service.status import Status, status
from triage.service.tickets import tickets_sender
from triage.service.watch import Pulse, Watch
from triage.service.ways import alarm_way_out, way_in, way_out
from triage.service.weekly import Weekly
from triage.settings import ConfigurationError, MailboxSection, Settings, SmtpSection

TICK_SECONDS = 1.0
STOP_SECONDS = 60.0
HOUSEKEEPING_SECONDS = 60.0
ERASED_AT_ONCE, ERASED_BATCHES = 200, 25
"""Kept mails whose time is over: so many in a transaction, so that none is long, and so many
transactions each time, so that sending goes on."""
_TURN_SECONDS = {
    "send": LEASE_SECONDS + 60,
    "alarms": LEASE_SECONDS + 60,
    "tickets": LEASE_SECONDS + 60,
    "leases": 300.0,  # and its pause
    "watch": 180.0,
    "contacts": 180.0,
}
"""The longest turn of each loop: one delivery each for those that send, else the store's
time-outs; /live is red beyond."""
_HEED_SECONDS = 0.5
"""How often it is looked whether `stop` was set."""
CLOCK_SECONDS = 10.0
"""So long the machine's own clock is believed."""


class StoreClock:
    """The store's time, asked for now and then, and counted on from there.

    On PostgreSQL that is the database's: processes whose machines disagree about the time agree
    about what is due. Thread-safe. Raises StoreError until the store has answered once.
    """

    def __init__(self, ask: Callable[[], datetime], every: float = CLOCK_SECONDS) -> None:
        """`ask` is the store's `now`; it is asked once in so many seconds."""
        self._ask, self._every, self._lock = ask, every, threading.Lock()
        self._answer: tuple[float, datetime] | None = None
        self._ask_again = 0.0

    def now(self) -> datetime:
        """Aware, UTC."""
        with self._lock:
            if self._answer is None or time.monotonic() >= self._ask_again:
                try:
                    self._answer = time.monotonic(), self._ask()
                except StoreError:
                    if self._answer is None:
                        raise
                # Also where the store did not answer: not every thread waits for its time-out.
                self._ask_again = time.monotonic() + self._every
            asked_at, answer = self._answer
            return answer + timedelta(seconds=time.monotonic() - asked_at)


class Service:
    """Everything that runs. Use it as a context manager, so that it is closed."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        templates: Templates,
        store: Store,
        clock: Clock,
        *,
        mailbox: Callable[[MailboxSection, Settings], Mailbox] | None = None,
        sender: Callable[[SmtpSection], Sender] | None = None,
        judge: Build | None = None,
        backoff: Sequence[float] = BACKOFF_SECONDS,
        config: Path | None = None,
    ) -> None:
        """Nothing is connected yet; servers are met when it runs.

        `mailbox` and `sender` make the ways in and out, unless IMAP, files and SMTP do; `judge`
        what reads a mail in a worker, unless the pipeline does. `backoff` is how long a mailbox
        that failed is left alone, at most: the first time, the second, and so on. `config` is
        the file of the settings, whose tenants and contacts are read again when they change.
        """
        self.stop = threading.Event()
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        """What came; a handler that set an event could wait for ever for the thread it is in."""
        self._settings, self._catalog, self.store, self._clock = settings, catalog, store, clock
        self._templates = templates
        self._log = structlog.get_logger()
        self._wake = threading.Event()
        self._judge = judge
        self._readers = self._new_readers(settings)
        self._reload = Reload(config, settings, self._take_over)
        self._make_mailbox, self._backoff = mailbox or way_in, backoff
        self._sender = (sender or way_out)(settings.smtp)
        self._dispatcher = Dispatcher(settings, catalog, templates, store, self._sender, clock)
        self._others = {
            name: Dispatcher(settings, catalog, templates, store, out, clock, way)
            for name, way, out in _other_ways(settings, sender or way_out, store, clock)
        }
        """What leaves otherwise than by mail, by the name of its loop."""
        self.weekly = Weekly(settings, catalog, templates, store, clock)
        self._leases = Leases(store, len(settings.mailboxes), settings.store.lease.total_seconds())

    @classmethod
    def of(cls, settings: Settings, config: Path | None = None) -> Service:
        """The service that the settings describe, on its own store, as its only service.

        Raises ConfigurationError, CatalogFaults or StoreError.
        """
        catalog = read_catalog(settings.catalog.rules)
        templates = Templates(read_templates(settings.catalog.templates))
        # To look at the shipped ones, which tests prove, would take a third of the start.
        unread = templates.faults(proved=read_templates())
        if faults := [*map(str, unread), *check_holds(settings, catalog)]:
            raise ConfigurationError(faults)
        store = open_store(settings.store.url)
        try:
            store.lock_service()
            return cls(settings, catalog, templates, store, StoreClock(store.now), config=config)
        except BaseException:
            store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and close the store."""
        self.stop.set()
        self._readers.pool.close()
        self._sender.close()
        self.store.close()

    def status(self) -> Status:
        """How things stand, by the settings that are in force. Raises StoreError."""
        settings, refused = self._readers.settings, self._reload.refused
        return status(settings, self.store, self._clock.now(), refused)

    def once(self) -> bool:
        """Handle and send what is there now; False if a mailbox failed."""
        self._leases.beat()
        readers = self._readers
        with self._leases.beating(lambda stop: stop):
            good = [self._intake(one, readers).once() for one in self._settings.mailboxes]
            self._housekeeping()
            self._act()
            Watch(self._settings, self.store, self._clock).look()
            self._act()  # on what that found
        return all(good)

    def _act(self) -> None:
        """Answer and send what is due, responses that wait for their group included."""
        if not self._settings.policy.shadow:
            self._dispatcher.respond(self._clock.now() + self._settings.policy.group_wait)
            self._dispatcher.send()
        for dispatcher in self._others.values():
            dispatcher.send()

    def run_until_signal(self) -> bool:
        """Run until SIGTERM or SIGINT; True when it ended in good order."""
        numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
        for number in numbers:
            signal.signal(number, lambda number, _: self._signals.put(number))
        try:
            return self.run()
        finally:
            for number in numbers:  # it ends already, and in good order
                signal.signal(number, signal.SIG_IGN)

    def run(self) -> bool:
        """Run until `stop` is set; what is in flight is finished. True when all threads ended.

        Raises ConfigurationError when the endpoint cannot have the port that it was given.
        """
        loops = self._loops()
        limits = {name: _TURN_SECONDS[name] for name in loops}
        pulse = Pulse(limits | {"leases": _TURN_SECONDS["leases"] + self._leases.pause})
        working = self._threads(loops, pulse)
        threads = list(working)
        endpoint = self._endpoint(pulse, threads)
        shadow = self._settings.policy.shadow
        self._log.info("started", mailboxes=len(self._settings.mailboxes), shadow=shadow)
        self._guarded(self._leases.beat)
        with self._leases.beating(partial(pulse.taken, "leases")) as beating:
            threads.append(beating)
            for thread in working:
                thread.start()
            while not self.stop.is_set():
                self._heed()
            self._wake.set()
            self._readers.end()
            for thread in working:
                thread.join(STOP_SECONDS)
        if endpoint is not None:
            endpoint.close()
        late = [thread.name for thread in threads if thread.is_alive()]
        self._log.info("stopped", still_busy=late)
        return not late

    def _heed(self) -> None:
        """Wait a moment for a signal, and do what it asks for."""
        with contextlib.suppress(queue.Empty):
            if self._signals.get(timeout=_HEED_SECONDS) == signal.SIGHUP:
                self._reload.ask()
            else:
                self.stop.set()

    def _loops(self) -> dict[str, Callable[[Stop], None]]:
        """What sends, and what looks after all of it, each until its stop is set."""
        watch = Watch(
            self._settings,
            self.store,
            self._clock,
            just_started=True,
            refused=lambda: self._reload.refused,
        )
        return {
            "send": self._send,
            "watch": watch.keep_looking,
            "contacts": self._reload.keep_looking,
            **{name: partial(self._send_by, one) for name, one in self._others.items()},
        }

    def _threads(
        self, loops: Mapping[str, Callable[[Stop], None]], pulse: Pulse
    ) -> list[threading.Thread]:
        """One a mailbox, and one a loop; not started."""
        steps: dict[str, Callable[[], None]] = {
            f"mailbox-{section.name}": partial(self._watch, section)
            for section in self._settings.mailboxes
        }
        steps |= {name: partial(loop, pulse.taken(name, self.stop)) for name, loop in loops.items()}
        return [
            threading.Thread(target=step, name=name, daemon=True) for name, step in steps.items()
        ]

    def _endpoint(self, pulse: Pulse, threads: Sequence[threading.Thread]) -> Endpoint | None:
        """What answers for this process and, from the store, for all. Raises ConfigurationError."""

        def late() -> list[str]:
            ended = [one.name for one in threads if one.ident is not None and not one.is_alive()]
            return [*ended, *pulse.late()]

        def now() -> Health:
            return health(self._settings, self.store, self._clock.now(), self._reload.refused)

        ask = Asked(now)
        return open_endpoint(self._settings, late, ask)

    def _send_by(self, dispatcher: Dispatcher, stop: Stop) -> None:
        """The loop of another way than mail: one that hangs delays none of the others."""
        while not stop.wait(TICK_SECONDS):
            self._guarded(partial(dispatcher.send, stop))

    def _send(self, stop: Stop) -> None:
        """The loop that answers, sends, digests and closes incidents."""
        housekept = -HOUSEKEEPING_SECONDS
        in_force = self._readers.settings
        while not stop.is_set():
            if in_force is not self._readers.settings:
                in_force = self._readers.settings
                self._dispatcher.take_over(in_force)
                self.weekly = Weekly(
                    in_force, self._catalog, self._templates, self.store, self._clock
                )
            if not self._settings.policy.shadow:
                self._guarded(lambda: self._dispatcher.respond(self._clock.now()))
                self._guarded(lambda: self._dispatcher.send(stop))
            if time.monotonic() - housekept >= HOUSEKEEPING_SECONDS:
                housekept = time.monotonic()
                self._guarded(self._housekeeping)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _guarded(self, step: Callable[[], object]) -> None:
        """A step that fails keeps none of the others from being done."""
        try:
            step()
        except StoreError as error:
            self._log.error("store_failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - sending must not end while watching goes on
            self._log.exception("sending_fault", error=str(error))

    def _housekeeping(self) -> None:
        now = self._clock.now()
        with self.store.unit() as unit:
            close_quiet(unit, self._settings, now)
        for _ in range(ERASED_BATCHES):
            with self.store.unit() as unit:
                if unit.erase_kept(now - self._settings.store.retention, ERASED_AT_ONCE) == 0:
                    break
        if not self._settings.policy.shadow:
            self.weekly.send_due()

    def _way_in(self, section: MailboxSection) -> Mailbox:
        return self._make_mailbox(section, self._settings)

    def _new_readers(self, settings: Settings) -> Readers:
        limits, catalog = settings.limits.value, self._catalog
        judge = self._judge or partial(Judge, catalog, world(settings), limits)
        workers = settings.limits.workers
        pool = WorkerPool(judge, workers, limits.seconds, limits.memory_octets)
        version = f"{catalog.digest}-{CODE_VERSION}"
        recorder = Recorder(settings, policy(catalog, settings), self._clock, version)
        return Readers(settings, pool, recorder)

    def _take_over(self, settings: Settings) -> None:
        """From the next mails on, read and answer by these settings."""
        before, self._readers = self._readers, self._new_readers(settings)
        before.end()
        self._wake.set()

    def _watch(self, section: MailboxSection) -> None:
        """Watch a mailbox until it is over, by the settings that are in force."""
        while not self.stop.is_set():
            readers = self._readers
            with readers.used() as over:
                self._intake(section, readers).watch(over)

    def _intake(self, section: MailboxSection, readers: Readers) -> Intake:
        return Intake(
            self._way_in(section),
            section,
            self.store,
            readers.pool,
            readers.recorder,
            self._clock,
            self._leases,
            self._wake,
            Rereading(section, self._way_in, readers.pool, readers.recorder),
            self._backoff,
        )


def _other_ways(
    settings: Settings, by_smtp: Callable[[SmtpSection], Sender], store: Store, clock: Clock
) -> Iterator[tuple[str, Way, Sender]]:
    """Name, way and sender of each that is configured; in shadow nothing leaves."""
    if settings.policy.shadow:
        return
    if settings.alarm is not None:
        yield "alarms", Way.ALARM, alarm_way_out(settings.alarm, by_smtp)
    if (desk := tickets_sender(settings, store, clock)) is not None:
        yield "tickets", Way.TICKET, desk
