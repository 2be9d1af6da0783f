"""What is durable: one transaction of it, and what commits by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from triage.catalog.rule import Severity
from triage.incident.incident import History, Incident
from triage.incident.silence import Silence
from triage.incident.trend import IncidentTrend
from triage.mail.message import RawMail
from triage.rows import (
    AfterDue,
    KeptMail,
    Level,
    MailboxRow,
    MailRow,
    NewMail,
    NewOccurrence,
    NewOutbox,
    OutboxRow,
    OutboxState,
    PendingResponse,
    QuarantineRow,
    Tally,
    Undeliverable,
    Way,
)


class StoreError(Exception):
    """The database cannot be used. The text says what was being done and what to do next."""


class RowRefusedError(StoreError):
    """The database works, and refuses what was to be written: the fault is in the values."""


class LeaseLost(StoreError):  # noqa: N818 - it names what happened
    """Another process does now what this one was doing; nothing of this unit was kept."""


class Unit(Protocol):
    """One transaction: all of it is committed, or nothing. Raises StoreError."""

    # among several processes
    def fenced(self, name: str, token: int) -> None:
        """Raises LeaseLost unless the token is the newest of this lease; holds it for the unit."""

    def exclusive(self, *names: str) -> None:
        """From here to the end of the unit, no other process is in a unit of any of these names.

        Whoever needs several asks for all at once, so that none waits for another for ever.
        """

    # mailboxes and mails
    def mailbox(self, name: str) -> MailboxRow | None: ...
    def mailboxes(self) -> Sequence[MailboxRow]: ...
    def save_mailbox(self, row: MailboxRow) -> None: ...
    def attempts(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> Mapping[int, int]:
        """How often each of these UIDs was attempted; those never attempted are left out."""

    def count_attempt(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> Mapping[int, int]:
        """Add one to the attempts of each UID and answer the counts, this one included."""

    def forget_attempts(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> None:
        """As if these UIDs had not been attempted: what failed was not their fault."""

    def seen(self, octets_sha256: str, content_sha256: str) -> bool:
        """Whether a mail with either digest was recorded before, in any mailbox."""

    def recorded(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> frozenset[int]:
        """Those of these UIDs whose mails were recorded."""

    def seen_of(
        self, octets: Collection[str], content: Collection[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Those digests of octets, and those of content, that were recorded in any mailbox."""

    def add_mails(self, new: Sequence[NewMail]) -> Sequence[int]:
        """Record mails of one folder, clear their attempts, and answer their ids, in order."""

    def mails_between(self, start: datetime, end: datetime) -> Sequence[MailRow]:
        """seen_at in [start, end), oldest first."""

    def newest_mails(self, limit: int) -> Sequence[MailRow]:
        """Those judged last, newest first."""

    def handled_since(self, at: datetime) -> Mapping[str, int]:
        """How many mails were judged since then, by mailbox; mailboxes without any are left out."""

    def first_seen(self) -> datetime | None:
        """When the first mail was judged."""

    def after_due(
        self, mailbox: str, folder: str, uidvalidity: int, above: int = 0, limit: int = 500
    ) -> Sequence[AfterDue]:
        """What is still to be moved or flagged, by UID: the first `limit` above a UID."""

    def after_done(self, mail_ids: Sequence[int]) -> None: ...

    def kept(self, after: int, since: datetime, limit: int, most_octets: int) -> Sequence[KeptMail]:
        """The next mails above the id `after` that were seen since then, by id.

        At most `limit`, and no more once they have so many octets together.
        """

    def erase_kept(self, before: datetime, limit: int) -> int:
        """Erase octets kept before then, and of what left quarantine before then.

        At most `limit` of each; answers how many.
        """

    # incidents
    def open_incident(self, fingerprint: str) -> Incident | None:
        """The open one of this fingerprint, as in `open_incidents`."""

    def incident(self, incident_id: int) -> Incident:
        """Raises StoreError when there is none of this id."""

    def start_incident(
        self,
        *,
        fingerprint: str,
        tenant: str | None,
        rule: str | None,
        kind: str,
        title: str,
        severity: Severity,
        at: datetime,
        detail: Mapping[str, object],
    ) -> Incident:
        """Open the next episode of this fingerprint, with no notifications yet."""

    def add_occurrence(
        self,
        incident_id: int,
        *,
        mail_id: int | None,
        at: datetime,
        reason: str,
        record_ids: Sequence[str],
        detail: Mapping[str, object],
    ) -> Incident:
        """Count a notification, as in `add_occurrences`; answers the incident as it is then.

        Raises StoreError when there is none of this id.
        """

    def open_incidents(self, fingerprints: Collection[str]) -> Mapping[str, Incident]:
        """The open ones of these fingerprints, by fingerprint.

        From here to the end of the unit no other process changes them or answers them.
        """

    def histories(self, incident_ids: Collection[int]) -> Mapping[tuple[int, str], History]:
        """What each recipient has heard of these, by incident and recipient."""

    def known_records(self, records: Collection[tuple[int, str]]) -> frozenset[tuple[int, str]]:
        """Those of these pairs of incident and record that are recorded."""

    def waiting(self, incident_ids: Collection[int]) -> frozenset[tuple[int, str, str]]:
        """Incident, audience and recipient of the responses that wait."""

    def add_occurrences(self, new: Sequence[NewOccurrence]) -> None:
        """Count notifications; of each incident the last detail stays, unknown records are added.

        Their incidents are this unit's already.
        """

    def close_incidents(self, quiet_since: datetime, at: datetime) -> Sequence[Incident]:
        """Close those last seen before `quiet_since`; answers them."""

    def close_incident(self, incident_id: int, at: datetime) -> None: ...
    def came_back(self, incident_id: int) -> bool:
        """Whether a later episode of it was opened."""

    def told_of(self, incident_id: int) -> Sequence[str]:
        """Who had a response about it from this store, and none since from one that is lost."""

    def uncertain_since(self, since: datetime) -> Mapping[str, datetime]:
        """By tenant, when the last mail came after `since` of which it is not known what it tells.

        What is suspicious and names the tenant, unknown, or drifted; software of others is not.
        """

    def incidents_between(self, start: datetime, end: datetime) -> Sequence[Incident]:
        """Those open at any time in [start, end), oldest first."""

    def history(self, incident_id: int, recipient: str) -> History:
        """What the recipient has heard."""

    # responses
    def add_pending(
        self, incident_id: int, audience: str, recipient: str, at: datetime, due_at: datetime
    ) -> bool:
        """At most one waits per incident and recipient; a second one changes nothing: False."""

    def pending(
        self, due_before: datetime | None = None, *, ids: Sequence[int] | None = None
    ) -> Sequence[PendingResponse]:
        """Those due by then, those of these ids, or all, with their incidents as they are now."""

    def postpone(self, pending_ids: Sequence[int], until: datetime, reason: str = "") -> None:
        """They are due then. With a reason, it is also that of the mails which asked for them."""

    def due_again(self, reason: str, at: datetime) -> None:
        """What was postponed for this reason beyond `at` is due then."""

    def responded(self, pending_ids: Sequence[int], at: datetime, thread: str = "") -> None:
        """Remove them; the recipient's history now has one more response and all records.

        `thread` is the Message-ID; of several responses the first one's counts.
        """

    def told(self, incident_id: int, recipient: str, at: datetime) -> None:
        """The recipient heard all of it, the last time at `at`, from a store that is lost."""

    def drop_pending(self, pending_ids: Sequence[int], reason: str = "") -> None:
        """Remove them, nothing was told; the reason as in `postpone`."""

    # outbox
    def enqueue(self, message: NewOutbox, at: datetime, held: str = "") -> bool:
        """False, and no change, when the key is there already. `held`: until it is released."""

    def has_key(self, key: str) -> bool: ...
    def holds(self) -> Mapping[str, int]:
        """What messages are held by, and how many by each."""

    def let_go(self, at: datetime, *, row_id: int | None = None, tenant: str | None = None) -> int:
        """This held message, or those of this tenant, or all, are due; answers how many."""

    def levels(self, names: Sequence[str]) -> Mapping[str, Level]:
        """How full these buckets were left; until the unit ends they are its own."""

    def save_levels(self, levels: Mapping[str, Level]) -> None: ...
    def outbox(
        self, states: Iterable[OutboxState] = (), limit: int = 1000
    ) -> Sequence[OutboxRow]: ...
    def outbox_row(self, row_id: int) -> OutboxRow | None: ...
    def by_message_id(self, message_id: str) -> OutboxRow | None: ...
    def retry(self, row_id: int, at: datetime) -> bool:
        """Dead or dropped rows become pending again; False for any other."""

    def drop(self, row_id: int) -> bool: ...
    def withdraw(self, row_id: int, why: str) -> None:
        """Do not send what was claimed to be sent."""

    def drop_unsent(self, error: str) -> Sequence[OutboxRow]:
        """Send nothing of what waits or is being sent, for this reason; answers those rows."""

    def held(self) -> str | None:
        """The reason of the hold, None when sending is allowed."""

    def hold(self, reason: str | None) -> None: ...

    # silences
    def add_silence(self, silence: Silence) -> int: ...
    def silences(self, at: datetime | None = None) -> Sequence[Silence]:
        """Those in force at this time, or all."""

    def expire_silence(self, silence_id: int, at: datetime) -> bool:
        """It ends now; False when it is over, or when there is none."""

    # the digest
    def trends(self, edges: Sequence[datetime]) -> Sequence[IncidentTrend]:
        """All incidents open at any time in the eight weeks that meet at these nine moments.

        Oldest first, as they were when the last week ended.
        """

    def verdicts(self, start: datetime, end: datetime) -> Mapping[tuple[str, str | None], int]:
        """How many mails were judged in [start, end), by verdict and tenant."""

    # the rest
    def tally(self) -> Tally: ...
    def sent_since(self, at: datetime) -> Mapping[Way, int]:
        """How many messages left since then, by each way."""

    def switch(self, name: str) -> str | None:
        """What a switch says, such as that the store was restored; None when it is off."""

    def set_switch(self, name: str, words: str | None) -> None: ...
    def quarantine(
        self, raw: RawMail, subject: str, reason: str, detail: str, at: datetime
    ) -> int: ...
    def quarantined(self, row_id: int | None = None) -> Sequence[QuarantineRow]: ...
    def release(self, row_id: int, at: datetime) -> bool: ...
    def mark_undeliverable(
        self, address: str, status: str, diagnostic: str, at: datetime
    ) -> None: ...
    def undeliverable(self) -> Sequence[Undeliverable]: ...
    def clear_undeliverable(self, address: str) -> bool:
        """Forget what delivery reports said of the address; False when there was none."""


class Store(Protocol):
    """The durable state. Thread-safe."""

    def unit(self) -> AbstractContextManager[Unit]:
        """A write transaction; an exception inside rolls it back."""

    def lease(self, name: str, seconds: float) -> int | None:
        """Take or renew a lease: its fencing token, or None while another process holds it."""

    def renew(self, seconds: float) -> int:
        """Extend all leases of this process; answers how many processes live."""

    def give_back(self, name: str) -> None:
        """End a lease of this process before its time."""

    def claim(
        self,
        limit: int,
        lease_seconds: float,
        way: Way = Way.MAIL,
        rates: Sequence[tuple[int, timedelta]] = (),
    ) -> Sequence[OutboxRow]:
        """Due pending rows, and sending ones whose lease ran out, now `sending` and ours.

        Of a process that no longer lives, at once. No mail is claimed while sending is held.
        Counts an attempt. Own commit. No more than the rates allow: so many that were sent or are
        being sent, by all processes, within so long.
        """

    def mark_sent(self, row_id: int) -> None:
        """It was accepted; who is told the end of incidents by it has heard all of them now."""

    def mark_failed(self, row_id: int, error: str, retry_at: datetime | None) -> None:
        """Pending again at `retry_at`, or dead when None."""

    def close(self) -> None: ...
