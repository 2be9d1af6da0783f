"""A world that answers: instances of Triage, people, servers and lists over one moved clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from tests.line.desk import EMAILS, catalog, templates
from triage.adapters.store import SqlStore, open_store
from triage.mail.message import RawMail
from triage.pipeline import Judge, world
from triage.pipeline import policy as policy_of
from triage.rows import OutboxRow, OutboxState
from triage.service.closing import close_quiet
from triage.service.dispatch import Dispatcher
from triage.service.record import Recorder
from triage.settings import Settings, load

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
LATENCY = timedelta(minutes=1)
"""Between a mail and the answer of a machine."""
_STEP = timedelta(seconds=1)

Actor = Callable[[EmailMessage, str, str], None]
"""What receives the mail, its envelope sender and the address that it was sent to."""


class World:
    """A clock, the mails on their way, and who is behind which address."""

    def __init__(self) -> None:
        self.time = START
        self.actors: dict[str, Actor] = {}
        self.instances: list[Instance] = []
        self._numbers = count()
        self._on_the_way: list[tuple[datetime, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        return self.time

    def at(self, moment: datetime, happens: Callable[[], None]) -> None:
        heappush(self._on_the_way, (moment, next(self._numbers), happens))

    def carry(self, message: EmailMessage, sender: str, to: str) -> None:
        """Deliver a mail to whoever is there, a little later; elsewhere nobody answers."""
        if actor := self.actors.get(to.lower()):
            self.at(self.time + LATENCY, lambda: actor(message, sender, to))

    def number(self) -> int:
        return next(self._numbers)

    def run(self, until: datetime) -> None:
        """Let everything happen in its order, without waiting."""
        while True:
            while self._on_the_way and self._on_the_way[0][0] <= self.time:
                heappop(self._on_the_way)[2]()
            for instance in self.instances:
                instance.act()
            due = [moment for one in self.instances if (moment := one.next_due()) is not None]
            due += [moment for moment, *_ in self._on_the_way[:1]]
            self.time = max(min(due, default=until), self.time + _STEP)
            if self.time >= until:
                return


class Instance:
    """One Triage whose mails the world carries, and whose inbox it fills."""

    def __init__(self, here: World, folder: Path, settings_text: str) -> None:
        folder.mkdir()
        (folder / "triage.toml").write_text(settings_text)
        self.world, self.settings = here, load(folder / "triage.toml")
        self.store = _quick(open_store(f"sqlite:///{folder}/triage.db", clock=here))
        self._judge = Judge(catalog(), world(self.settings))
        rules = policy_of(catalog(), self.settings)
        self._recorder = Recorder(self.settings, rules, here, self._judge.version)
        self._dispatcher = Dispatcher(self.settings, catalog(), templates(), self.store, self, here)
        self.read = 0
        here.instances.append(self)
        smtp = self.settings.smtp
        for address in (*self.settings.mailboxes[0].addresses, smtp.from_address):
            here.actors[address] = self.receive
        here.actors[smtp.bounce_address] = self.receive

    # As a sender
    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        for recipient in recipients:
            self.world.carry(parsed(octets), sender, recipient)

    def close(self) -> None:
        self.store.close()

    # As a mailbox
    def receive(self, message: EmailMessage, sender: str, to: str) -> None:
        """A mail that its server found to come from where it says."""
        domain = str(message["From"]).rpartition("@")[2].strip("> ")
        server = self.settings.mailboxes[0].authserv_ids[0]
        stamp = format_datetime(self.world.time)
        head = (
            f"Return-Path: <{sender}>\nDelivered-To: {to}\nAuthentication-Results: {server};\n"
            f"\tdkim=pass header.d={domain};\n\tspf=pass smtp.mailfrom={domain};\n"
            f"\tdmarc=pass header.from={domain}\n"
            f"Received: from mx.{domain} by {server} with ESMTPS id 1; {stamp}\n"
        )
        self.take(head.encode() + message.as_bytes())

    def take(self, octets: bytes) -> None:
        self.read += 1
        section = self.settings.mailboxes[0]
        raw = RawMail(section.name, "INBOX", 1, self.read, self.world.time, octets)
        with self.store.unit() as unit:
            self._recorder.record_all(unit, [(raw, self._judge(octets, section.trust))], section)

    # As a service
    def act(self) -> None:
        with self.store.unit() as unit:
            close_quiet(unit, self.settings, self.world.time)
        self._dispatcher.respond(self.world.time)
        self._dispatcher.send()

    def next_due(self) -> datetime | None:
        with self.store.unit() as unit:
            waiting = [one.due_at for one in unit.pending()]
            waiting += [row.next_at for row in unit.outbox([OutboxState.PENDING])]
        return min(waiting, default=None)

    def sent(self) -> list[OutboxRow]:
        with self.store.unit() as unit:
            return list(unit.outbox([OutboxState.SENT], limit=1_000_000))


def parsed(octets: bytes) -> EmailMessage:
    return message_from_bytes(octets, EmailMessage, policy=policy.SMTP.clone(linesep="\n"))


def notification(name: str, moment: datetime, number: int, **changes: str) -> bytes:
    """A fixture as if it came now, once only; `changes` are old and new words."""
    octets = (EMAILS / name).read_bytes()
    head, _, rest = octets.partition(b"\nDate: ")
    stamp = format_datetime(moment).encode()
    octets = head + b"\nDate: " + stamp + b"\n" + rest.partition(b"\n")[2]
    for old, new in changes.items():
        assert old.encode() in octets
        octets = octets.replace(old.encode(), new.encode())
    return octets.replace(b"Message-ID: <", b"Message-ID: <%d." % number, 1)


def _quick(store: SqlStore) -> SqlStore:
    """Thirty days in seconds: no power fails here."""
    connection = store._engine.raw_connection()
    connection.cursor().execute("PRAGMA synchronous = OFF")
    connection.close()
    return store


def swapped(settings_text: str, domain: str) -> str:
    """The settings of another desk, which watches and sends from its own domain."""
    return settings_text.replace("example.com", domain)


def budgets_of(settings: Settings) -> tuple[tuple[str, int, timedelta], ...]:
    """Name, count and time of each budget."""
    return tuple((name, rate.count, rate.per) for name, rate in settings.budgets)
