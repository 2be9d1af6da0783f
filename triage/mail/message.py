"""The values of the reading room: RawMail, Mail, Notification and what they consist of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

OWN_PREFIX: Final = "triage."
"""How the Message-ID of every mail that Triage sends begins: `triage.<32 hex>@domain`."""


class Kind(StrEnum):
    """Which of the three notifications; `OTHER` is a mail without one."""

    MANAGED_PACKAGE = "managed_package"
    APEX_EXCEPTION = "apex_exception"
    API_ERROR_ALERT = "api_error_alert"
    OTHER = "other"


class Route(StrEnum):
    """How a notification got into the mailbox."""

    DIRECT = "direct"
    FORWARDED = "forwarded"
    """Inline, below a forward mark, by a person."""
    ATTACHED = "attached"
    """As message/rfc822 or .eml inside a person's mail."""
    PASTED = "pasted"
    """Words of a notification in a person's own newest text, without marks."""


@dataclass(frozen=True, slots=True)
class RawMail:
    """The octets of one message and where they stood (RFC 9051)."""

    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    internal_date: datetime
    """Aware, UTC."""
    octets: bytes
    truncated: bool = False
    """True when only the first part of a too large mail was fetched."""
    flags: frozenset[str] = frozenset()
    """Flags and keywords as it was fetched, in lower case."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of an address header. `spec` is lower-cased; "" when it is no address."""

    spec: str
    display: str = ""

    @property
    def domain(self) -> str:
        """What stands behind the last @."""
        return self.spec.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not read as text. Its octets are not kept."""

    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a delivery status notification says of one recipient (RFC 3464)."""

    recipient: str
    """addr-spec in lower case."""
    action: str
    """failed | delayed | delivered | relayed | expanded"""
    status: str
    """Enhanced status code such as 5.1.1 (RFC 3463), "" when there is none."""
    diagnostic: str
    original_message_id: str
    """Message-ID of the returned mail without angle brackets, "" when it was not returned."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as far as Triage reads it. Strings are decoded and unfolded."""

    headers: tuple[tuple[str, str], ...]
    """(name in lower case, unfolded value), in order of appearance, top first."""
    subject: str
    from_: tuple[Address, ...]
    """The mailboxes of all From fields; a sane mail has one."""
    message_id: str
    """Without angle brackets; "" when absent."""
    date: datetime | None
    """Aware, UTC; None when absent or unreadable."""
    newest: str
    """What the sender wrote or generated: without quoted history, signature and forwards."""
    forwards: tuple[Forward, ...] = ()
    """Inline forwards found in the text, top first."""
    attached: tuple[Mail, ...] = ()
    """message/rfc822 and .eml parts, read the same way."""
    html_links: tuple[str, ...] = ()
    """href values of visible links in the HTML that counts as newest."""
    attachments: tuple[Attachment, ...] = ()
    reports: tuple[DeliveryReport, ...] = ()
    content_types: tuple[str, ...] = ()
    """Of every part, outermost first, in lower case."""
    truncated: bool = False
    limits_met: tuple[str, ...] = ()
    """Names of limits at which reading stopped early without quarantine."""

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, topmost first."""
        return tuple(value for key, value in self.headers if key == name)

    def first(self, name: str) -> str | None:
        """The topmost value of a header."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Forward:
    """A mail that a person passed on inside the text of their own."""

    subject: str
    from_: Address
    text: str
    """The forwarded body, newest part only, marks and `>` removed."""
    links: tuple[str, ...] = ()
    is_marked: bool = True
    """False when a header block stands there and nothing says forward, nor answer."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One `caused by:` of an Apex exception mail, or its only message."""

    exception: str
    """Type such as System.LimitException, "" when the mail names none."""
    message: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it leads, after offline decoding of rewritten ones."""

    url: str
    host: str
    """Lower case; "" when the URL has none."""
    start: int
    """Offset in the notification's text, -1 when only the HTML has it."""
    record_id: str | None = None
    """18 characters, when it leads to a failing record on a Salesforce host."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text of a notification says of its source.

    Ids of org, user and job have 15 characters, record ids 18.
    """

    org_ids: tuple[str, ...] = ()
    user_id: str | None = None
    job_id: str | None = None
    class_name: str | None = None
    """With its namespace: `StellaConnect.RequestSender`."""
    unit: str | None = None
    """trigger | batch | queueable | future | scheduled | visualforce"""
    job_name: str | None = None
    causes: tuple[Cause, ...] = ()
    """Outermost first, the root cause last."""
    namespaces: tuple[str, ...] = ()
    """Of managed packages that unit, class, frames, fields or messages name, in order."""
    frames: tuple[str, ...] = ()
    """Classes and triggers of the visible stack."""
    hosts: tuple[str, ...] = ()
    """Salesforce hosts in text and links, lower case."""
    sub_domains: tuple[str, ...] = ()
    """Agent Connect sub-domains in text and links, lower case."""
    record_ids: tuple[str, ...] = ()
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """One error notification found in a mail."""

    kind: Kind
    route: Route
    subject: str
    text: str
    """Original text with LF line ends, at most `Limits.notification_text` characters."""
    by: Address | None = None
    """Who forwarded, attached or pasted it; None when direct, or when a machine did."""
    note: str = ""
    """What that person wrote above it."""
    links: tuple[Link, ...] = ()
    facts: Facts = field(default_factory=Facts)
    claimed_from: Address | None = None
    """From of the notification itself: of the mail when direct, else of the inner mail."""
    lk: str | None = None
    """Org id in X-SFDC-LK of the mail that carried it (inner one when attached), 15 characters."""
    envelope_org: str | None = None
    """What the bnc.salesforce.com envelope says of the org (lower case, zeros removed)."""
