"""What the store keeps, as values: the rows that go through `triage.ports.Store`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from triage.incident.incident import History, Incident


@dataclass(frozen=True, slots=True)
class MailRow:
    """What is kept of a mail that was judged. Adding it also marks it as seen."""

    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    octets_sha256: str
    content_sha256: str
    """Of Message-ID, Date, From and decoded text."""
    message_id: str
    subject: str
    internal_date: datetime
    seen_at: datetime
    verdict: str
    kind: str
    reason: str
    actions: tuple[str, ...]
    tenant: str | None
    authenticity: str
    rules: tuple[str, ...]
    classifier_version: str
    after: str
    """What is due in the mailbox: `none`, `flag` or `move:FOLDER`."""


@dataclass(frozen=True, slots=True)
class NewMail:
    """A judged mail, to be recorded."""

    row: MailRow
    octets: bytes | None
    """To be kept; None for a mail whose octets are not."""
    truncated: bool
    """As in RawMail."""


@dataclass(frozen=True, slots=True)
class NewOccurrence:
    """A notification, to be counted in its incident."""

    incident_id: int
    mail_id: int | None
    """None for Triage's own troubles, and as long as the mail is not recorded."""
    at: datetime
    reason: str
    record_ids: tuple[str, ...]
    detail: Mapping[str, object]
    """Takes the place of the incident's."""


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A notification whose octets are kept, with what was decided about it."""

    mail_id: int
    row: MailRow
    octets: bytes
    truncated: bool
    """As in RawMail."""


@dataclass(frozen=True, slots=True)
class AfterDue:
    """A mail that still has to be moved or flagged in its mailbox."""

    mail_id: int
    uid: int
    after: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The episode before, of which the same recipient had heard."""

    last_seen_at: datetime
    last_response_at: datetime


@dataclass(frozen=True, slots=True)
class PendingResponse:
    """What waits for `group_wait` before it is rendered: one per incident and recipient."""

    id: int
    incident: Incident
    audience: str
    """`reply` or `ticket`"""
    recipient: str
    """Address of a reply, or `support`."""
    history: History
    created_at: datetime
    due_at: datetime
    record_ids: tuple[str, ...]
    """All records of the incident's episode, oldest first, at most 1,000."""
    new_record_ids: tuple[str, ...]
    """Those of them that this recipient has not been shown."""
    more_records: int = 0
    """How many older ones there are."""
    more_new_records: int = 0
    """How many of those this recipient has not been shown."""
    new_notifications: int | None = None
    """Since the last response to this recipient; None when it is not known, or there was none."""
    thread: str = ""
    """Message-ID of the first reply to this recipient; "" when it is not known."""
    earlier: Earlier | None = None
    came_back: bool = False
    """Whether the incident has a later episode."""

    @property
    def is_closing(self) -> bool:
        """Whether it is the last one, which says that nothing came since."""
        closed = self.incident.closed_at is not None and not self.came_back
        return closed and self.history.responses > 0


class Way(StrEnum):
    """How a message leaves."""

    MAIL = "mail"
    ALARM = "alarm"
    """The second way, for Triage's own troubles: another server or a webhook."""
    TICKET = "ticket"
    """The ticket system, or the webhook in its place."""


@dataclass(frozen=True, slots=True)
class NewOutbox:
    """A rendered message, to be queued. `key` makes queueing it twice do nothing."""

    key: str
    audience: str
    """reply | ticket | digest | own"""
    tenant: str | None
    sender: str
    """Envelope sender: the bounce address."""
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    octets: bytes
    way: Way = Way.MAIL
    ends: tuple[int, ...] = ()
    """The incidents whose end it tells: it must not be sent once one of them came back."""


class OutboxState(StrEnum):
    """The life of an outbox row."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    HELD = "held"
    """Waits for a person to release it; `error` says what holds it."""
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A queued message. Its octets never change."""

    id: int
    key: str
    audience: str
    tenant: str | None
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    octets: bytes
    state: OutboxState
    attempts: int
    created_at: datetime
    next_at: datetime
    sent_at: datetime | None
    error: str
    way: Way
    ends: tuple[int, ...]
    """As in NewOutbox."""


@dataclass(frozen=True, slots=True)
class WayOut:
    """How sending stands on one way. What was sent is not counted: that grows with history."""

    pending: int = 0
    """Those that are just being sent included."""
    dead: int = 0
    put_off_since: datetime | None = None
    """When the oldest was queued of those that failed before, or due of those never tried."""
    error: str = ""
    """Why that one failed the last time; "" when it was never tried."""
    held: int = 0
    """Those that wait to be released."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much there is of what needs somebody, at a cost that does not grow with history."""

    ways: Mapping[Way, WayOut]
    incidents: int
    """Open ones."""
    responses: int
    """That wait for their time."""
    quarantined: int
    """Mails for a person, not released."""
    over_budget: int = 0
    """Of the responses those that wait for a budget."""
    over_budget_until: datetime | None = None
    """When the first of them is tried again."""
    response_due_at: datetime | None = None
    """Of those that wait for nothing but their time, the first."""


@dataclass(frozen=True, slots=True)
class Level:
    """How full a token bucket was."""

    tokens: float
    at: datetime


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A mail that could not be handled within its limits."""

    id: int
    mailbox: str
    folder: str
    uid: int
    subject: str
    reason: str
    detail: str
    at: datetime
    released_at: datetime | None
    octets: bytes


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """Progress of one mailbox. `cursor` is the highest UID handled."""

    name: str
    folder: str
    uidvalidity: int
    cursor: int
    started_at: datetime
    last_progress: datetime
    error: str = ""
    reread_below: int = 0
    """UIDs below are met again after an UIDVALIDITY change: only those since the start count."""
    uidnext: int = 0
    """As the server said last."""
    waiting_since: datetime | None = None
    """Internal date of the oldest mail that is not yet handled; None when there is none."""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """A recipient for whom a delivery report of one of our mails came back."""

    address: str
    status: str
    diagnostic: str
    reported_at: datetime
