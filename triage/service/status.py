"""What `triage status` says, to a person in 80 columns and to programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from textwrap import wrap

from rich.cells import set_cell_size

from triage.adapters.connection import printable
from triage.incident.incident import Incident
from triage.ports import Store
from triage.rows import MailRow, Way, WayOut
from triage.service.budget import Budgets
from triage.service.health import Health, MailboxHealth, health
from triage.service.reach import unreachable as who_is_unreachable
from triage.settings import Settings

_WIDTH = 80
_LABEL = 12
_INCIDENTS = 10
_MAILS = 5
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


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
    latest: tuple[MailRow, ...] = ()
    """The mails that were judged last, newest first."""
    handled: Mapping[str, int] = field(default_factory=dict)
    """Mails that were judged in the last minute, by mailbox."""
    sent: Mapping[Way, int] = field(default_factory=dict)
    """Messages that left in the last hour."""


def status(settings: Settings, store: Store, now: datetime, refused: Sequence[str] = ()) -> Status:
    """How things stand; `refused` are the faults of contact files. Raises StoreError."""
    with store.unit() as unit:
        running = unit.incidents_between(now, now + timedelta(seconds=1))
        unreachable = tuple(one.address for one in who_is_unreachable(unit, now))
        spent = Budgets(settings).spent(unit, now)
        latest, handled = unit.newest_mails(_MAILS), unit.handled_since(now - _MINUTE)
        sent = unit.sent_since(now - _HOUR)
    newest = sorted(running, key=lambda one: one.last_seen_at, reverse=True)[:_INCIDENTS]
    return Status(
        health(settings, store, now, refused),
        tuple(newest),
        unreachable,
        spent,
        len(refused),
        tuple(latest),
        handled,
        sent,
    )


def as_text(status: Status, settings: Settings) -> Iterator[str]:
    """Lines of at most 80 columns, but for single words that are longer."""
    state = status.health
    for mailbox in state.mailboxes:
        handled = status.handled.get(mailbox.name, 0)
        yield from _line("mailbox", _mailbox(mailbox, state.at, handled))
        if mailbox.error:
            yield from _line("", mailbox.error)
    for label, way in ways_shown(settings).items():
        yield from _line(label, _way(state.tally.ways[way], status.sent.get(way, 0)))
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


def ways_shown(settings: Settings) -> dict[str, Way]:
    """What leaves by the ways that are configured, each by its name for people."""
    shown = {"outbox": Way.MAIL}
    shown |= {"alarms": Way.ALARM} if settings.alarm is not None else {}
    return shown | ({} if settings.tickets.by_mail else {"tickets": Way.TICKET})


def as_json(status: Status, settings: Settings) -> str:
    """The same facts as one JSON object; times are ISO 8601 in UTC."""
    state, tally, total = status.health, status.health.tally, settings.budgets.total
    ways = {
        label: asdict(tally.ways[way]) | {"sent_last_hour": status.sent.get(way, 0)}
        for label, way in ways_shown(settings).items()
    }
    facts = {
        "at": state.at,
        "healthy": not state.symptoms,
        "faults": [
            {"key": one.key, "title": one.title, "text": one.text, "since": one.since}
            for one in state.symptoms
        ],
        "mailboxes": [
            asdict(mailbox) | {"mails_last_minute": status.handled.get(mailbox.name, 0)}
            for mailbox in state.mailboxes
        ],
        "outbox": ways["outbox"],
        "alarms": ways.get("alarms"),
        "tickets": ways.get("tickets"),
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


def _mailbox(mailbox: MailboxHealth, now: datetime, handled: int) -> str:
    if mailbox.last_progress is None:
        return f"{mailbox.name}: never opened"
    words = [f"{mailbox.name}: {mailbox.folder} read up to UID {mailbox.cursor}"]
    if mailbox.lag:
        words.append(f"at most {mailbox.lag} waiting")
    if mailbox.waiting_since is not None:
        words.append(f"oldest of {mailbox.waiting_since:%Y-%m-%d %H:%M} UTC")
    if handled:
        words.append(f"{handled} judged in the last minute")
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


def _way(out: WayOut, sent: int) -> str:
    counts = {"pending": out.pending, "dead": out.dead, "held": out.held}
    shown = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    waits = f"; put off since {out.put_off_since:%Y-%m-%d %H:%M} UTC" if out.put_off_since else ""
    left = f"; {sent} sent in the last hour" if sent else ""
    return f"{shown or 'nothing waits'}{waits}{left}"


def _incident(one: Incident) -> str:
    tenant = set_cell_size(one.tenant or "-", 16)
    title = set_cell_size(printable(one.title), 42)
    return f"  {one.severity:<8} {tenant} {title} {one.notifications:>6}x"
