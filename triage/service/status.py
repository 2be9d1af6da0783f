"""What `triage status` says, to a person in 80 columns and to programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from textwrap import wrap

from rich.cells import set_cell_size

from triage.adapters.connection import printable
from triage.incident.incident import Incident
from triage.ports import Store
from triage.rows import Way, WayOut
from triage.service.budget import Budgets
from triage.service.health import Health, MailboxHealth, health
from triage.service.reach import unreachable as who_is_unreachable
from triage.settings import Settings

_WIDTH = 80
_LABEL = 12
_INCIDENTS = 10


@dataclass(frozen=True, slots=True)
class Status:
    """Health, and what else an operator wants to see."""

    health: Health
    newest: tuple[Incident, ...] = ()
    """Of the open incidents those that were last seen last, newest first."""
    unreachable: tuple[str, ...] = ()
    """Addresses from which a delivery report came back."""
    spent: int = 0
    """Mails of the budget `total` that are used up."""
    refused: int = 0
    """Faults for which tenants and contacts are not taken over."""


def status(settings: Settings, store: Store, now: datetime, refused: Sequence[str] = ()) -> Status:
    """How things stand; `refused` are the faults of contact files. Raises StoreError."""
    with store.unit() as unit:
        running = unit.incidents_between(now, now + timedelta(seconds=1))
        unreachable = tuple(one.address for one in who_is_unreachable(unit, now))
        spent = Budgets(settings).spent(unit, now)
    newest = sorted(running, key=lambda one: one.last_seen_at, reverse=True)[:_INCIDENTS]
    return Status(
        health(settings, store, now, refused), tuple(newest), unreachable, spent, len(refused)
    )


def as_text(status: Status, settings: Settings) -> Iterator[str]:
    """Lines of at most 80 columns, but for single words that are longer."""
    state = status.health
    for mailbox in state.mailboxes:
        yield from _line("mailbox", _mailbox(mailbox, state.at))
        if mailbox.error:
            yield from _line("", mailbox.error)
    yield from _line("outbox", _way(state.tally.ways[Way.MAIL]))
    if settings.alarm is not None:
        yield from _line("alarms", _way(state.tally.ways[Way.ALARM]))
    if not settings.tickets.by_mail:
        yield from _line("tickets", _way(state.tally.ways[Way.TICKET]))
    total = settings.budgets.total
    yield from _line("budget", f"{status.spent} of {total.count} mails in {total.per}")
    if state.tally.over_budget_until is not None:
        until = f"{state.tally.over_budget_until:%Y-%m-%d %H:%M} UTC"
        yield from _line(
            "", f"{state.tally.over_budget} wait for a budget, the first until about {until}"
        )
    if state.tally.ways[Way.MAIL].held:
        yield from _line("", "held messages: triage outbox list --state held")
    if state.held is not None:
        yield from _line("hold", f"{state.held}: triage outbox resume")
    tally = state.tally
    yield from _line("tenants", _contacts(status, settings))
    yield from _line("incidents", f"{tally.incidents} open, {tally.responses} responses waiting")
    yield from map(_incident, status.newest)
    more = "" if not tally.quarantined else ": triage quarantine list"
    yield from _line("quarantine", f"{tally.quarantined} mails for a person{more}")
    if status.unreachable:
        yield from _line("unreachable", ", ".join(status.unreachable))
    if settings.policy.shadow:
        yield from _line("shadow", "on: nothing is sent, moved or flagged")


def as_json(status: Status, settings: Settings) -> str:
    """The same facts as one JSON object; times are ISO 8601 in UTC."""
    state, tally, total = status.health, status.health.tally, settings.budgets.total
    facts = {
        "at": state.at,
        "healthy": not state.symptoms,
        "faults": [
            {"key": one.key, "title": one.title, "text": one.text, "since": one.since}
            for one in state.symptoms
        ],
        "mailboxes": [asdict(mailbox) for mailbox in state.mailboxes],
        "outbox": asdict(tally.ways[Way.MAIL]),
        "alarms": asdict(tally.ways[Way.ALARM]) if settings.alarm is not None else None,
        "tickets": None if settings.tickets.by_mail else asdict(tally.ways[Way.TICKET]),
        "budget": {
            "spent": status.spent,
            "count": total.count,
            "seconds": int(total.per.total_seconds()),
            "waiting": tally.over_budget,
            "until": tally.over_budget_until,
        },
        "hold": state.held,
        "incidents": {
            "open": tally.incidents,
            "responses_waiting": tally.responses,
            "newest": [
                {
                    "severity": one.severity,
                    "tenant": one.tenant,
                    "rule": one.rule,
                    "title": one.title,
                    "notifications": one.notifications,
                    "last_seen_at": one.last_seen_at,
                }
                for one in status.newest
            ],
        },
        "tenants": len(settings.tenants),
        "contacts": _people(settings),
        "contact_files": {
            "files": [str(file) for file in settings.contacts.file],
            "faults": status.refused,
        },
        "quarantined": tally.quarantined,
        "unreachable": status.unreachable,
        "shadow": settings.policy.shadow,
    }
    return json.dumps(facts, indent=2, default=_moment)


def _moment(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _line(label: str, words: str) -> list[str]:
    """The words behind their label; more than one line holds are indented."""
    rest = " " * _LABEL
    return wrap(
        f"{label:<{_LABEL}}{printable(words)}",
        _WIDTH,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _mailbox(mailbox: MailboxHealth, now: datetime) -> str:
    if mailbox.last_progress is None:
        return f"{mailbox.name}: never opened"
    words = [f"{mailbox.name}: {mailbox.folder} read up to UID {mailbox.cursor}"]
    if mailbox.lag:
        words.append(f"at most {mailbox.lag} waiting")
    if mailbox.waiting_since is not None:
        words.append(f"oldest of {mailbox.waiting_since:%Y-%m-%d %H:%M} UTC")
    seconds = max(0, int((now - mailbox.last_progress).total_seconds()))
    return ", ".join([*words, f"progress {seconds} s ago"])


def _people(settings: Settings) -> int:
    return sum(len(tenant.contacts) for tenant in settings.tenants)


def _contacts(status: Status, settings: Settings) -> str:
    files = ", ".join(file.name for file in settings.contacts.file)
    if status.refused:
        faults = f"refused for {status.refused} faults: triage check --config"
        return f"{files or 'triage.toml'} {faults}; what was in force stays"
    words = f"{len(settings.tenants)} with {_people(settings)} contacts"
    out = sum(contact.opt_out for tenant in settings.tenants for contact in tenant.contacts)
    words += f", of whom {out} opted out" if out else ""
    return f"{words}; {files} read" if files else words


def _way(out: WayOut) -> str:
    counts = {"pending": out.pending, "dead": out.dead, "held": out.held}
    shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    waits = f"; put off since {out.put_off_since:%Y-%m-%d %H:%M} UTC" if out.put_off_since else ""
    return f"{shown or 'nothing waits'}{waits}"


def _incident(one: Incident) -> str:
    tenant = set_cell_size(one.tenant or "-", 16)
    title = set_cell_size(printable(one.title), 42)
    return f"  {one.severity:<8} {tenant} {title} {one.notifications:>6}x"
