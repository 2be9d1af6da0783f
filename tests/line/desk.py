"""The line without network: fixture mails in at any time, a real outbox, a sender of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache

from triage.adapters.files import read_catalog, read_templates
from triage.adapters.store import SqlStore
from triage.catalog.load import Catalog
from triage.mail.message import RawMail
from triage.pipeline import Judge, world
from triage.pipeline import policy as policy_of
from triage.ports import SendError
from triage.response.templates import Templates
from triage.service.dispatch import Dispatcher
from triage.service.record import Recorder
from triage.service.weekly import Weekly
from triage.settings import Settings, shipped

EMAILS = shipped("fixtures") / "emails"
QUEUE = "agent_connect/employee_is_queue-01.eml"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@cache
def catalog() -> Catalog:
    return read_catalog()


@cache
def templates() -> Templates:
    return Templates(read_templates())


class Hands:
    """A clock that a test moves, and a sender that keeps or refuses what it is given."""

    def __init__(self) -> None:
        self.time = NOON
        self.sent: list[EmailMessage] = []
        self.refusal: SendError | None = None

    def now(self) -> datetime:
        return self.time

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        if self.refusal is not None:
            raise self.refusal
        assert sender == "errors+bounce@example.com"
        message = message_from_bytes(octets, EmailMessage, policy=policy.SMTP)
        assert message["To"] == ", ".join(recipients)
        self.sent.append(message)

    def close(self) -> None:
        self.sent.clear()


class Line:
    """The line without network: reads fixtures at any time, answers into a real outbox."""

    def __init__(self, store: SqlStore, settings: Settings, hands: Hands, first_uid: int) -> None:
        self.store, self.settings, self.hands = store, settings, hands
        self._judge = Judge(catalog(), world(settings))
        rules = policy_of(catalog(), settings)
        self._recorder = Recorder(settings, rules, hands, self._judge.version)
        self.dispatcher = Dispatcher(settings, catalog(), templates(), store, hands, hands)
        self.weekly = Weekly(settings, catalog(), templates(), store, hands)
        self._uid = first_uid - 1

    def read(self, name: str, *changes: tuple[bytes, bytes]) -> str:
        """Take in a fixture as if it came now; answers the reason."""
        octets = (EMAILS / name).read_bytes()
        stamp = self.hands.time.strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
        head, _, rest = octets.partition(b"\nDate: ")
        octets = head + b"\nDate: " + stamp + b"\n" + rest.partition(b"\n")[2]
        for old, new in changes:
            assert old in octets
            octets = octets.replace(old, new)
        return self.take(octets)

    def take(self, octets: bytes) -> str:
        """Take in a mail that came now; answers the reason."""
        self._uid += 1
        section = self.settings.mailboxes[0]
        raw = RawMail("support", "INBOX", 1, self._uid, self.hands.time, octets)
        with self.store.unit() as unit:
            reading = self._judge(octets, section.trust)
            self._recorder.record_all(unit, [(raw, reading)], section)
        with self.store.unit() as unit:
            rows = unit.mails_between(NOON - timedelta(days=9), self.hands.time + timedelta(days=9))
        return next(row.reason for row in rows if row.uid == self._uid)

    def later(self, **passed: float) -> list[EmailMessage]:
        """Let time pass, and answer what was sent then."""
        self.hands.time += timedelta(**passed)
        before = len(self.hands.sent)
        self.dispatcher.respond(self.hands.time)
        self.dispatcher.send()
        return self.hands.sent[before:]


def to(messages: list[EmailMessage]) -> list[str]:
    return sorted(str(message["To"]) for message in messages)


def text(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return part.get_content()


def other_record(name: str = "5008x00000Zz9ZzAAJ") -> tuple[bytes, bytes]:
    octets = (EMAILS / QUEUE).read_bytes()
    start = octets.index(b"/500") + 1
    return octets[start : start + 18], name.encode()
