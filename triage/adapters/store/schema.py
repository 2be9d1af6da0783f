"""The tables of the store, the same on SQLite and PostgreSQL.

Every index serves a question of `triage.ports.Unit`; none of them costs more as history grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from triage.catalog.rule import Severity
from triage.rows import OutboxState

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every schema that this program knows, oldest first; the last one is what it works with."""

VERSION_TABLE = "triage_version"
"""Alembic's note of the revision; a name of its own, as a database may be shared."""

# Conditions of partial indexes. An engine uses such an index only where the same words stand in
# the query, so queries take them from here.
AFTER_DUE = text("after_due")
OPEN = text("closed_at IS NULL")
UNFINISHED = text("due_at IS NOT NULL")
SENT = text("sent_at IS NOT NULL")

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept as UTC to the microsecond, and answered as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse naive times: nobody could say when they are. Raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """SQLite has no time zones and answers what was stored: UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text that strangers may have written.

    What a database refuses in text, NUL (PostgreSQL) and lone surrogates (UTF-8), is replaced, so
    that no mail can make its own row impossible.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """NUL becomes U+FFFD, a lone surrogate a question mark."""
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


class Strings(TypeDecorator[tuple[str, ...]]):
    """A short list of strings, as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, _dialect: Dialect) -> list[str]:
        """JSON has lists only."""
        return list(value or ())

    def process_result_value(self, value: Any, _dialect: Dialect) -> tuple[str, ...]:
        """Values are immutable here."""
        return tuple(value)


class Numbers(Strings):
    """A short list of numbers, as JSON."""

    cache_ok = True


def _choice(values: type[StrEnum]) -> Enum:
    """One of a closed set, kept as its word."""
    return Enum(
        values,
        native_enum=False,
        length=16,
        values_callable=lambda e: [member.value for member in e],
    )


metadata = MetaData()

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("name", Words, primary_key=True),
    Column("folder", Words, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("last_progress", Moment, nullable=False),
    Column("error", Words, nullable=False),
    Column("reread_below", BigInteger, nullable=False),
    # UIDNEXT as the server said last, and the internal date of the oldest mail not yet handled.
    Column("uidnext", BigInteger, nullable=False, server_default="0"),
    Column("waiting_since", Moment),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    # Goes up whenever another process takes it: the fencing token.
    Column("token", BigInteger, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("mailbox", Words, primary_key=True),
    Column("folder", Words, primary_key=True),
    Column("uidvalidity", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("attempts", Integer, nullable=False),
)

mails = Table(
    "mails",
    metadata,
    Column("id", Id, primary_key=True),
    Column("mailbox", Words, nullable=False),
    Column("folder", Words, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("octets_sha256", Words, nullable=False),
    Column("content_sha256", Words, nullable=False),
    Column("message_id", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("internal_date", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("verdict", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("actions", Strings, nullable=False),
    Column("tenant", Words),
    Column("authenticity", Words, nullable=False),
    Column("rules", Strings, nullable=False),
    Column("classifier_version", Words, nullable=False),
    Column("after", Words, nullable=False),
    Column("after_due", Boolean, nullable=False),
    UniqueConstraint("mailbox", "folder", "uidvalidity", "uid", name="mails_place"),
    Index("mails_octets", "octets_sha256"),
    Index("mails_content", "content_sha256"),
    Index("mails_seen", "seen_at"),
    Index(
        "mails_due", "mailbox", "folder", "uidvalidity", "uid",
        sqlite_where=AFTER_DUE, postgresql_where=AFTER_DUE,
    ),
)  # fmt: skip

kept_mails = Table(
    "kept_mails",
    metadata,
    Column("mail_id", ForeignKey("mails.id"), primary_key=True, autoincrement=False),
    Column("kept_at", Moment, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("octets_zlib", LargeBinary, nullable=False),
    Index("kept_mails_at", "kept_at"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("fingerprint", Words, nullable=False),
    Column("episode", Integer, nullable=False),
    Column("tenant", Words),
    Column("rule", Words),
    Column("kind", Words, nullable=False),
    Column("title", Words, nullable=False),
    Column("severity", _choice(Severity), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("notifications", Integer, nullable=False),
    Column("detail", JSON, nullable=False),
    UniqueConstraint("fingerprint", "episode", name="incidents_episode"),
    # One open episode a fingerprint, whoever writes at the same time.
    Index(
        "incidents_open", "fingerprint", unique=True,
        sqlite_where=OPEN, postgresql_where=OPEN,
    ),
    Index(
        "incidents_quiet", "last_seen_at",
        sqlite_where=OPEN, postgresql_where=OPEN,
    ),
    Index("incidents_closed", "closed_at"),
)  # fmt: skip

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("mail_id", ForeignKey("mails.id")),
    Column("at", Moment, nullable=False),
    Column("reason", Words, nullable=False),
    Index("occurrences_at", "at"),
)

incident_records = Table(
    "incident_records",
    metadata,
    # Ascending within an incident: writers of one incident wait for each other.
    Column("id", Id, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("record_id", Words, nullable=False),
    UniqueConstraint("incident_id", "record_id", name="incident_records_once"),
    Index("incident_records_order", "incident_id", "id"),
)

histories = Table(
    "histories",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True, autoincrement=False),
    Column("recipient", Words, primary_key=True),
    Column("responses", Integer, nullable=False),
    Column("last_response_at", Moment, nullable=False),
    # The newest incident_records.id that this recipient was told; 0 for none.
    Column("told_record", BigInteger, nullable=False),
    # How many notifications there were then; NULL where a store that is lost told it.
    Column("told_notifications", Integer),
    # Message-ID of the first reply; "" where it is not known.
    Column("thread", Words, nullable=False, server_default=""),
)

pending_responses = Table(
    "pending_responses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("recipient", Words, nullable=False),
    Column("audience", Words, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    # Why it waits for longer than it was meant to: `budget`.
    Column("reason", Words, nullable=False, server_default=""),
    UniqueConstraint("incident_id", "recipient", "audience", name="pending_responses_once"),
    Index("pending_responses_due", "due_at", "id"),
    sqlite_autoincrement=True,  # rows go; a number must not come back for another response
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", Words, nullable=False, unique=True),
    Column("audience", Words, nullable=False),
    Column("tenant", Words),
    Column("sender", Words, nullable=False),
    Column("recipients", Strings, nullable=False),
    Column("message_id", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Column("state", _choice(OutboxState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    # When it may be claimed: while it is being sent, the end of the lease; NULL when it is over.
    Column("due_at", Moment),
    Column("sent_at", Moment),
    Column("error", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("way", Words, nullable=False, server_default="mail"),
    # The ids of the incidents whose end it tells.
    Column("ends", Numbers, nullable=False, server_default="[]"),
    Index(
        "outbox_due", "due_at", "id",
        sqlite_where=UNFINISHED, postgresql_where=UNFINISHED,
    ),
    Index("outbox_state", "state", "id"),
    Index("outbox_message", "message_id"),
    # A provider's rate counts what was handed over in a window.
    Index(
        "outbox_sent", "way", "sent_at",
        sqlite_where=SENT, postgresql_where=SENT,
    ),
)  # fmt: skip

buckets = Table(
    "buckets",
    metadata,
    Column("name", Words, primary_key=True),
    # Below zero when a message to several people took more than there was.
    Column("tokens", Double, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("matchers", Strings, nullable=False),
    Column("reason", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Index("silences_end", "ends_at"),
)

switches = Table(
    "switches",
    metadata,
    Column("name", Words, primary_key=True),
    Column("reason", Words, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Id, primary_key=True),
    Column("mailbox", Words, nullable=False),
    Column("folder", Words, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("subject", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("detail", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("released_at", Moment),
    Column("octets_zlib", LargeBinary, nullable=False),
)

undeliverable = Table(
    "undeliverable",
    metadata,
    Column("address", Words, primary_key=True),
    Column("status", Words, nullable=False),
    Column("diagnostic", Words, nullable=False),
    Column("reported_at", Moment, nullable=False),
)
