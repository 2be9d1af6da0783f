"""The service: adapters wired to the line, one thread a mailbox and one that sends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from triage.adapters.connection import Password
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.http import Endpoint
from triage.adapters.imap import ImapMailbox
from triage.adapters.maildir import FolderMailbox, MaildirMailbox
from triage.adapters.oauth import OAuth2, TokenSource, XOAuth2
from triage.adapters.smtp import SmtpSender
from triage.adapters.store import SqlStore, open_store
from triage.adapters.webhook import WebhookSender
from triage.adapters.workers import Build, WorkerPool
from triage.catalog.load import Catalog
from triage.pipeline import CODE_VERSION, Judge, policy, world
from triage.ports import Clock, Mailbox, Sender, Stop, Store, StoreError
from triage.response.templates import Templates
from triage.rows import Way
from triage.service.dispatch import LEASE_SECONDS, Dispatcher
from triage.service.endpoint import Asked, open_endpoint
from triage.service.health import health
from triage.service.intake import BACKOFF_SECONDS, Intake
from triage.service.leases import Leases
from triage.service.record import Recorder
from triage.service.reread import Rereading
from triage.service.watch import Pulse, Watch
from triage.service.weekly import Weekly
from triage.settings import ConfigurationError, MailboxSection, OAuth2Section, Settings, SmtpSection
from triage.settings.health import AlarmSection
from triage.settings.sections import LoginSection

TICK_SECONDS = 1.0
STOP_SECONDS = 60.0
HOUSEKEEPING_SECONDS = 60.0
ERASED_AT_ONCE, ERASED_BATCHES = 200, 25
"""Kept mails whose time is over: so many in a transaction, so that none is long, and so many
transactions each time, so that sending goes on."""
_TURN_SECONDS = {
    "send": LEASE_SECONDS + 60,
    "alarms": LEASE_SECONDS + 60,
    "leases": 300.0,  # and its pause
    "watch": 180.0,
}
"""The longest turn of each loop: one delivery each for those that send, else the store's
time-outs; /live is red beyond."""
CLOCK_SECONDS = 10.0
"""So long the machine's own clock is believed."""


class StoreClock:
    """The store's time, asked for now and then, and counted on from there.

    On PostgreSQL that is the database's: processes whose machines disagree about the time agree
    about what is due. Thread-safe. Raises StoreError until the store has answered once.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store, self._lock = store, threading.Lock()
        self._asked: tuple[float, datetime] | None = None

    def now(self) -> datetime:
        """Aware, UTC."""
        with self._lock:
            passed = time.monotonic() - self._asked[0] if self._asked else 0.0
            if self._asked is None or passed > CLOCK_SECONDS:
                try:
                    self._asked = time.monotonic(), self._store.now()
                    passed = 0.0
                except StoreError:
                    if self._asked is None:
                        raise
            return self._asked[1] + timedelta(seconds=passed)


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
    ) -> None:
        """Nothing is connected yet; servers are met when it runs.

        `mailbox` and `sender` make the ways in and out, unless IMAP, files and SMTP do; `judge`
        what reads a mail in a worker, unless the pipeline does. `backoff` is how long a mailbox
        that failed is left alone, at most: the first time, the second, and so on.
        """
        self.stop = threading.Event()
        self._settings, self._catalog, self.store, self._clock = settings, catalog, store, clock
        self._log = structlog.get_logger()
        self._wake = threading.Event()
        limits = settings.limits.value
        self._pool = WorkerPool(
            judge or partial(Judge, catalog, world(settings), limits),
            settings.limits.workers,
            limits.seconds,
            limits.memory_octets,
        )
        self._make_mailbox, self._backoff = mailbox or _mailbox, backoff
        self._sender = (sender or _sender)(settings.smtp)
        self._dispatcher = Dispatcher(settings, catalog, templates, store, self._sender, clock)
        self._alarms: Dispatcher | None = None
        if settings.alarm is not None and not settings.policy.shadow:
            way_out = _alarm_sender(settings.alarm, sender or _sender)
            self._alarms = Dispatcher(
                settings, catalog, templates, store, way_out, clock, Way.ALARM
            )
        self.weekly = Weekly(settings, catalog, templates, store, clock)
        self._leases = Leases(store, len(settings.mailboxes), settings.store.lease.total_seconds())

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """The service that the settings describe, on its own store, as its only service.

        Raises ConfigurationError, CatalogFaults or StoreError.
        """
        catalog = read_catalog(settings.catalog.rules)
        templates = Templates(read_templates(settings.catalog.templates))
        if faults := templates.faults():
            raise ConfigurationError([str(fault) for fault in faults])
        store = open_store(settings.store.url)
        try:
            store.lock_service()
            return cls(settings, catalog, templates, store, StoreClock(store))
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
        self._pool.close()
        self._sender.close()
        self.store.close()

    def once(self) -> bool:
        """Handle and send what is there now; False if a mailbox failed."""
        self._leases.beat()
        good = [intake.once() for intake in self._intakes()]
        self._housekeeping()
        Watch(self._settings, self.store, self._clock).look()
        if not self._settings.policy.shadow:
            self._dispatcher.respond(self._clock.now() + self._settings.policy.group_wait)
            self._dispatcher.send()
        if self._alarms is not None:
            self._alarms.send()
        return all(good)

    def run_until_signal(self) -> bool:
        """Run until SIGTERM or SIGINT; True when it ended in good order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        return self.run()

    def run(self) -> bool:
        """Run until `stop` is set; what is in flight is finished. True when all threads ended.

        Raises ConfigurationError when the endpoint cannot have the port that it was given.
        """
        shadow = self._settings.policy.shadow
        self._log.info("started", mailboxes=len(self._settings.mailboxes), shadow=shadow)
        leases = _TURN_SECONDS["leases"] + self._leases.pause
        pulse = Pulse(_TURN_SECONDS | {"leases": leases})
        threads = self._threads(pulse)
        endpoint = self._endpoint(pulse, threads)
        self._guarded(self._leases.beat)
        for thread in threads:
            thread.start()
        while not self.stop.wait(0.2):
            pass  # signal handlers run in this thread, between two waits
        self._wake.set()
        for thread in threads:
            thread.join(STOP_SECONDS)
        if endpoint is not None:
            endpoint.close()
        late = [thread.name for thread in threads if thread.is_alive()]
        self._log.info("stopped", still_busy=late)
        return not late

    def _threads(self, pulse: Pulse) -> list[threading.Thread]:
        """One a mailbox, one that sends, and those that look after all of it; not started."""
        steps: dict[str, Callable[[], None]] = {
            f"mailbox-{section.name}": partial(intake.watch, self.stop)
            for section, intake in zip(self._settings.mailboxes, self._intakes(), strict=True)
        }
        watch = Watch(self._settings, self.store, self._clock, just_started=True)
        loops: dict[str, Callable[[Stop], None]] = {
            "send": self._send,
            "leases": self._leases.keep_beating,
            "watch": watch.keep_looking,
            "alarms": self._send_alarms,
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

        ask = Asked(lambda: health(self._settings, self.store, self._clock.now()))
        return open_endpoint(self._settings, late, ask)

    def _send_alarms(self, stop: Stop) -> None:
        """The loop of the second way: the first one may hang, and does not delay it."""
        while not stop.wait(TICK_SECONDS):
            if self._alarms is not None:
                self._guarded(partial(self._alarms.send, stop))

    def _send(self, stop: Stop) -> None:
        """The loop that answers, sends, digests and closes incidents."""
        housekept = -HOUSEKEEPING_SECONDS
        while not stop.is_set():
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
            unit.close_incidents(now - self._settings.policy.quiet_after, now)
        for _ in range(ERASED_BATCHES):
            with self.store.unit() as unit:
                if unit.erase_kept(now - self._settings.store.retention, ERASED_AT_ONCE) == 0:
                    break
        if not self._settings.policy.shadow:
            self.weekly.send_due()

    def _way_in(self, section: MailboxSection) -> Mailbox:
        return self._make_mailbox(section, self._settings)

    def _intakes(self) -> list[Intake]:
        rules = policy(self._catalog, self._settings)
        version = f"{self._catalog.digest}-{CODE_VERSION}"
        recorder = Recorder(self._settings, rules, self._clock, version)
        return [
            Intake(
                self._way_in(section),
                section,
                self.store,
                self._pool,
                recorder,
                self._clock,
                self._leases,
                self._wake,
                Rereading(section, self._way_in, self._pool, recorder),
                self._backoff,
            )
            for section in self._settings.mailboxes
        ]


def _mailbox(section: MailboxSection, settings: Settings) -> Mailbox:
    limits = settings.limits.value
    if section.path is not None and section.type == "maildir":
        return MaildirMailbox(section.name, section.path, limits=limits)
    if section.path is not None and section.type == "folder":
        return FolderMailbox(section.name, section.path, limits=limits)
    return ImapMailbox(
        section.name,
        section.host,
        section.imap_port,
        section.tls,
        _login(section),
        section.folder,
        limits,
        ca_file=str(section.ca_file) if section.ca_file else None,
        poll_seconds=section.poll.total_seconds(),
    )


def _sender(section: SmtpSection) -> Sender:
    return SmtpSender(
        section.host,
        section.smtp_port,
        section.tls,
        _login(section) if section.username else None,
        ca_file=str(section.ca_file) if section.ca_file else None,
    )


def _alarm_sender(section: AlarmSection, by_smtp: Callable[[SmtpSection], Sender]) -> Sender:
    if section.smtp is not None:
        return by_smtp(section.smtp)
    return WebhookSender(section.webhook or "", section.secret())


def _login(section: LoginSection) -> Password | XOAuth2:
    if section.oauth2 is None:
        return Password(section.username, section.password())
    return XOAuth2(section.username, TokenSource(_oauth2(section.oauth2)))


def _oauth2(section: OAuth2Section) -> OAuth2:
    return OAuth2(
        section.token_url,
        section.client_id,
        section.client_secret(),
        section.grant,
        section.scope,
        section.refresh_token(),
    )
