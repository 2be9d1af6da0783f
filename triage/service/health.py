"""Whether everything moves: what `triage status --check`, /ready and the watch go by.

A mailbox is well while it makes progress, whatever its threads and connections look like. All of
it is read from the store, so where several processes share one, any of them may answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from triage.ports import Store, StoreError
from triage.rows import MailboxRow, Tally, Way, WayOut
from triage.settings import MailboxSection, Settings

_FAULTS = 20
"""Of refused files, so many are told."""
_ROUND = timedelta(seconds=60)
"""The longest time between two notes of progress while mails wait."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something that is not well."""

    key: str
    """The same as long as it lasts, such as `mailbox support`."""
    title: str
    """One line, without words of servers and without addresses."""
    text: str = ""
    """What is known of it, and what to do."""
    since: datetime | None = None
    """None when nobody noted it."""
    patience: timedelta | None = None
    """After so long support is told; None when support was told by whoever noticed it."""

    def __str__(self) -> str:
        return f"{self.title}: {self.text}" if self.text else self.title


@dataclass(frozen=True, slots=True)
class MailboxHealth:
    """How far one mailbox is."""

    name: str
    folder: str
    cursor: int
    """The highest UID handled."""
    lag: int
    """At most so many mails wait: UIDs of deleted ones count."""
    last_progress: datetime | None
    """None before it was opened first."""
    waiting_since: datetime | None
    """Internal date of the oldest mail that waits."""
    error: str


@dataclass(frozen=True, slots=True)
class Health:
    """How things stand; well when there are no symptoms."""

    at: datetime
    symptoms: tuple[Symptom, ...]
    mailboxes: tuple[MailboxHealth, ...] = ()
    tally: Tally = field(default_factory=lambda: Tally({way: WayOut() for way in Way}, 0, 0, 0))
    held: str | None = None
    """Why all sending is held, if it is."""


def health(settings: Settings, store: Store, now: datetime, refused: Sequence[str] = ()) -> Health:
    """How things stand. A store that cannot be asked is a symptom as well.

    `refused` are the faults of files whose tenants and contacts are not taken over.
    """
    try:
        with store.unit() as unit:
            rows = {row.name: row for row in unit.mailboxes()}
            tally, held = unit.tally(), unit.held()
    except StoreError as error:
        return without_store(str(error), now)
    symptoms: list[Symptom] = []
    for section in settings.mailboxes:
        symptoms += _of_mailbox(section, rows.get(section.name), settings, now)
    symptoms += _of_sending(settings, tally, held, now)
    symptoms += _of_contacts(settings, refused)
    return Health(
        now,
        tuple(symptoms),
        tuple(_mailbox(section, rows.get(section.name)) for section in settings.mailboxes),
        tally,
        held,
    )


def without_store(why: str, now: datetime) -> Health:
    """All that can be said when the store does not answer."""
    return Health(now, (Symptom("store", "the store cannot be used", why),))


def _mailbox(section: MailboxSection, row: MailboxRow | None) -> MailboxHealth:
    if row is None:
        return MailboxHealth(section.name, section.folder, 0, 0, None, None, "")
    # A folder that was read to its end has no lag, though the last UIDs may have been deleted.
    begun = row.waiting_since is not None
    lag = max(0, row.uidnext - 1 - row.cursor) if begun else 0
    return MailboxHealth(
        row.name, row.folder, row.cursor, lag, row.last_progress, row.waiting_since, row.error
    )


def _of_mailbox(
    section: MailboxSection, row: MailboxRow | None, settings: Settings, now: datetime
) -> Iterator[Symptom]:
    limit = settings.health.limit(section.poll)
    key = f"mailbox {section.name}"
    if row is None:
        words = "is triage run running?"
        yield Symptom(key, f"{key} was never opened", words, None, limit)
        return
    if row.waiting_since is not None:
        limit = settings.health.limit(min(section.poll, _ROUND))
    silent = now - row.last_progress
    if silent > limit:
        title = f"{key} made no progress for {int(silent.total_seconds())} s"
        words = row.error or "no error is known; is triage run running, does the server answer?"
        yield Symptom(key, title, words, row.last_progress, limit)
    elif row.error:
        yield Symptom(key, f"{key} fails", row.error, None, limit)


def _of_contacts(settings: Settings, refused: Sequence[str]) -> Iterator[Symptom]:
    if refused:
        more = len(refused) - _FAULTS
        lines = [
            *refused[:_FAULTS],
            *([f"and {more} more; triage check names all"] if more > 0 else []),
        ]
        title = f"tenants and contacts are refused for {len(refused)} faults"
        words = "those that the service runs with stay in force\n" + "\n".join(lines)
        yield Symptom("contacts", title, words, None, settings.health.overdue)


def _of_sending(
    settings: Settings, tally: Tally, held: str | None, now: datetime
) -> Iterator[Symptom]:
    names = {Way.MAIL: "mail", Way.ALARM: "alarms by the second way", Way.TICKET: "tickets"}
    for way, out in tally.ways.items():
        if out.dead:
            words = "triage outbox list --state dead"
            yield Symptom(f"dead {way}", f"{out.dead} {names[way]} could not be delivered", words)
        waits = out.put_off_since
        stopped = settings.policy.shadow or (way is not Way.ALARM and held is not None)
        if waits is None or stopped or now - waits <= settings.health.overdue:
            continue
        if not out.error and way is Way.MAIL and settings.smtp.rate:
            continue  # it waits for the provider's rate
        why = "put off by the server" if out.error else "not sent"
        title = f"{names[way]} {why} for {_minutes(now - waits)} min"
        words = out.error or "is triage run running? its log says what fails"
        yield Symptom(f"sending {way}", title, words, waits, settings.health.overdue)
    due = tally.response_due_at
    if due is not None and not settings.policy.shadow and now - due > settings.health.overdue:
        title = f"what is due was not written for {_minutes(now - due)} min"
        words = "is triage run running? its log says what fails"
        yield Symptom("responding", title, words, due, settings.health.overdue)


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
