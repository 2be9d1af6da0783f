"""A store that was restored from a backup does not know what was done since.

Nothing may be sent twice, so what may have been sent is not sent by itself, a person is told of
it, and each mailbox first reads again what was filed since (`triage.service.reread`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from triage.ports import Unit
from triage.rows import OutboxRow, PendingResponse
from triage.service.trouble import trouble
from triage.settings import Settings

RESTORED = "restored"
"""The switch that says when."""
PERHAPS_SENT = "restored from a backup: perhaps sent"
_LISTED = 20


def restored_at(unit: Unit) -> datetime | None:
    """When this store was restored the last time; None for one that never was."""
    words = unit.switch(RESTORED)
    return datetime.fromisoformat(words) if words else None


def reread_from(mailbox: str) -> str:
    """The switch that says from when on a mailbox is still to be read again."""
    return f"reread:{mailbox}"


def make_safe(unit: Unit, settings: Settings, now: datetime) -> list[str]:
    """Let nothing be sent that may have been sent; answers what was done, for a person."""
    dropped = unit.drop_unsent(PERHAPS_SENT)
    waiting = unit.pending()
    unit.responded([one.id for one in waiting], now)
    known = [row.last_progress for row in unit.mailboxes()]
    for section in settings.mailboxes:
        row, before = unit.mailbox(section.name), unit.switch(reread_from(section.name))
        since = [row.last_progress if row else max(known, default=now)]
        since += [row.waiting_since] if row and row.waiting_since else []
        since += [datetime.fromisoformat(before)] if before else []
        unit.set_switch(reread_from(section.name), min(since).isoformat())
    unit.set_switch(RESTORED, now.isoformat())
    words = _told(dropped, waiting)
    if dropped or waiting:
        key = f"{RESTORED} {now.isoformat()}"
        trouble(unit, settings, key, "Restored from a backup", "\n".join(words), now)
    if (reason := unit.held()) is not None:
        words.append(f"Sending is on hold ({reason}), as in the backup: triage outbox resume.")
    return words


def _told(dropped: Sequence[OutboxRow], waiting: Sequence[PendingResponse]) -> list[str]:
    messages = [f"  {one.id}: to {', '.join(one.recipients)}: {one.subject}" for one in dropped]
    responses = [f"  to {one.recipient}: {one.incident.title}" for one in waiting]
    return [
        f"{len(dropped)} messages waited in the outbox. They were perhaps sent since, so they",
        "are dropped; triage outbox retry sends one all the same.",
        *_some(messages),
        f"{len(waiting)} responses were about to be written. They count as sent; one that was",
        "not is for a person to write.",
        *_some(responses),
    ]


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _LISTED
    return [*lines[:_LISTED], f"  and {more} more"] if more > 0 else lines
