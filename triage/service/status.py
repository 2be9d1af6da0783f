"""What `triage status` says, and what counts as standing still."""

from __future__ import annotations

from datetime import datetime, timedelta

from triage.ports import Store, Unit
from triage.rows import OutboxState
from triage.settings import Settings

STANDS_STILL = timedelta(minutes=2)
"""Without progress for so long, beyond the mailbox's own poll, a mailbox counts as dead."""


def status(settings: Settings, store: Store, now: datetime) -> tuple[list[str], list[str]]:
    """Lines for a person, and the faults; no faults means healthy. Raises StoreError."""
    lines: list[str] = []
    faults: list[str] = []
    with store.unit() as unit:
        _mailboxes(unit, settings, now, lines, faults)
        _outbox(unit, settings, now, lines, faults)
        waiting = unit.pending()
        running = list(unit.incidents_between(now, now + timedelta(seconds=1)))
        held_back = [row for row in unit.quarantined() if row.released_at is None]
        unreachable = unit.undeliverable()
    lines.append(f"incidents   {len(running)} open, {len(waiting)} responses waiting")
    worst = sorted(running, key=lambda i: i.last_seen_at, reverse=True)[:10]
    lines += [
        f"  {i.severity:<8} {i.tenant or '-':<16} {i.title[:40]:<40} {i.notifications:>4}x"
        for i in worst
    ]
    lines.append(f"quarantine  {len(held_back)} mails for a person: triage quarantine list")
    if unreachable:
        lines.append(f"unreachable {', '.join(one.address for one in unreachable)}")
    if settings.policy.shadow:
        lines.append("shadow      on: nothing is sent, moved or flagged")
    return lines, faults


def _mailboxes(
    unit: Unit, settings: Settings, now: datetime, lines: list[str], faults: list[str]
) -> None:
    rows = {row.name: row for row in unit.mailboxes()}
    for section in settings.mailboxes:
        row = rows.get(section.name)
        if row is None:
            lines.append(f"mailbox     {section.name:<16} never opened")
            faults.append(f"mailbox {section.name} was never opened; is triage run running?")
            continue
        quiet = now - row.last_progress
        seconds = int(quiet.total_seconds())
        lines.append(f"mailbox     {row.name:<16} {row.folder} up to {row.cursor}, {seconds} s ago")
        if row.error:
            lines.append(f"            {row.error}")
            faults.append(f"mailbox {row.name}: {row.error}")
        elif quiet > section.poll + STANDS_STILL:
            faults.append(
                f"mailbox {row.name} made no progress for {seconds} s; is triage run running?"
            )


def _outbox(
    unit: Unit, settings: Settings, now: datetime, lines: list[str], faults: list[str]
) -> None:
    counts = {state: len(unit.outbox((state,))) for state in OutboxState}
    shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines.append(f"outbox      {shown or 'empty'}")
    total = settings.budgets.total
    spent = unit.sent_since(now - total.per)
    lines.append(f"budget      {spent} of {total.count} mails in {total.per}")
    if (reason := unit.held()) is not None:
        lines.append(f"hold        {reason}: triage outbox resume")
    if counts[OutboxState.DEAD]:
        faults.append(f"{counts[OutboxState.DEAD]} messages are dead: triage outbox list")
