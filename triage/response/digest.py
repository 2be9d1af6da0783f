"""The week in one mail: what is off, what was counted, what was held back and why.

Everything follows from stored rows and the week, so a digest can be made again later.
"""

# ruff: noqa: D102 - attributes of rows are said by the class

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, Protocol

from triage.incident.incident import Incident, Reason
from triage.response.markdown import Bar
from triage.response.message import Audience, OutboundMessage
from triage.response.render import body, triage_id
from triage.response.templates import Templates
from triage.response.ticket import SENTENCES
from triage.tenant import Tenant

MAX_ROWS = 30
"""Rows of one list; of the others the number is given."""
UNKNOWN_TENANT = "unknown tenant"

# Weeks -----------------------------------------------------------------------------------

_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")


def week_bounds(week: str, timezone: tzinfo) -> tuple[datetime, datetime]:
    """Start and end, half-open, in UTC, of an ISO 8601 week such as `2026-W47`.

    A week starts on Monday 00:00 of the zone, so it has 167 or 169 hours when the clock changes.
    Raises ValueError when there is no such week.
    """
    found = _WEEK.fullmatch(week)
    if found is None:
        raise ValueError(f"not an ISO week such as 2026-W47: {week!r}")
    monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    return _midnight(monday, timezone), _midnight(monday + timedelta(days=7), timezone)


def week_of(moment: datetime, timezone: tzinfo) -> str:
    """The ISO week that holds an aware moment in this zone."""
    year, week, _ = moment.astimezone(timezone).isocalendar()
    return f"{year:04}-W{week:02}"


def last_complete_week(now: datetime, timezone: tzinfo) -> str:
    """The ISO week before the one that holds `now`."""
    monday = now.astimezone(timezone).date()
    year, week, _ = (monday - timedelta(days=7)).isocalendar()
    return f"{year:04}-W{week:02}"


def _midnight(day: date, timezone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, timezone).astimezone(UTC)


def digest_key(week: str, audience: str, recipient: str) -> str:
    """By which a digest is known to be queued already, from the schedule or by command."""
    return f"digest:{week}:{audience}:{recipient}"


# Rows ------------------------------------------------------------------------------------


class OccurrenceRow(Protocol):
    """One notification that belongs to an incident."""

    @property
    def tenant(self) -> str | None: ...
    @property
    def rule(self) -> str | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def reason(self) -> str: ...


class MailRow(Protocol):
    """One mail that was judged."""

    @property
    def seen_at(self) -> datetime: ...
    @property
    def verdict(self) -> str: ...
    @property
    def tenant(self) -> str | None: ...


class UnreachableRow(Protocol):
    """A recipient for whom a delivery report came back."""

    @property
    def address(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def reported_at(self) -> datetime: ...


class KnownError(Protocol):
    """What the digest needs of a rule."""

    @property
    def title(self) -> str: ...
    @property
    def disables_integration(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Held:
    """How many notifications were not answered, for one reason."""

    reason: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class DigestContent:
    """Everything that one digest says."""

    week: str
    start: datetime
    end: datetime
    audience: str
    """`support`, or the name of a tenant."""
    off: tuple[Incident, ...]
    """Open at the end of the week, and the integration is switched off."""
    at_risk: tuple[Incident, ...]
    """Open at the end of the week, and the integration may be switched off."""
    known: tuple[Bar, ...]
    """Notifications per known error, and per tenant for support; most first."""
    tenants: tuple[Bar, ...]
    """Notifications per tenant; empty in a tenant's own digest."""
    unknown: tuple[Incident, ...]
    suspicious: tuple[Incident, ...]
    own: tuple[Incident, ...]
    """Triage's own troubles."""
    held: tuple[Held, ...]
    unreachable: tuple[UnreachableRow, ...]
    mails: int
    """Mails judged in the week."""
    not_ours: int
    notifications: int
    before: int
    """Notifications in the week before."""
    quarantined: int
    waiting: int
    dead: int


_HELD_FOR_SUPPORT = (
    *(Reason.WITHIN_REPEAT_INTERVAL, Reason.NOTHING_NEW, Reason.SILENCED, Reason.TOO_OLD),
    *(Reason.SANDBOX, Reason.BUDGET, Reason.EXPERIMENTAL_RULE, Reason.FUZZY_ONLY),
    *(Reason.DRIFTED, Reason.NO_CONTACT, Reason.UNKNOWN_TENANT, Reason.FOREIGN_ORG),
    *(Reason.FORWARDER_NOT_ENTITLED, Reason.NOT_OUR_INTEGRATION, Reason.AUTOMATIC),
)
# What a tenant may know of: nothing of other tenants, nothing of how support works.
_HELD_FOR_TENANT = _HELD_FOR_SUPPORT[:5]


def build(
    week: str,
    *,
    timezone: tzinfo,
    audience: Tenant | None,
    occurrences: Iterable[OccurrenceRow],
    incidents: Iterable[Incident],
    mails: Iterable[MailRow],
    rules: Mapping[str, KnownError],
    undeliverable: Iterable[UnreachableRow] = (),
    quarantined: int = 0,
    waiting: int = 0,
    dead: int = 0,
) -> DigestContent:
    """Count a week for support (`audience` None) or for one tenant.

    `occurrences` are those of this week and the one before; rows of other times, and of other
    tenants than the audience, do not count. `quarantined` are mails kept for a person in this
    week, `waiting` and `dead` the outbox's rows. Raises ValueError for a week that is none.
    """
    start, end = week_bounds(week, timezone)
    earlier = week_bounds(week_of(start - timedelta(hours=12), timezone), timezone)[0]
    ours = [row for row in occurrences if audience is None or row.tenant == audience.name]
    now = [row for row in ours if start <= row.at < end]
    before = [row for row in ours if earlier <= row.at < start]
    seen = [
        row
        for row in mails
        if start <= row.seen_at < end and (audience is None or row.tenant == audience.name)
    ]
    lived = [
        incident
        for incident in incidents
        if incident.opened_at < end
        and (incident.closed_at is None or incident.closed_at >= start)
        and (audience is None or incident.tenant == audience.name)
    ]
    contacts = None if audience is None else {contact.address for contact in audience.contacts}
    return DigestContent(
        week=week,
        start=start,
        end=end,
        audience="support" if audience is None else audience.name,
        off=_open(lived, end, rules, "yes"),
        at_risk=_open(lived, end, rules, "possible"),
        known=_bars(_by_error(now, rules, audience), _by_error(before, rules, audience)),
        tenants=() if audience else _bars(_by_tenant(now), _by_tenant(before)),
        unknown=tuple(i for i in lived if i.rule is None and i.kind not in {"suspicious", "own"}),
        suspicious=() if audience else tuple(i for i in lived if i.kind == "suspicious"),
        own=() if audience else tuple(i for i in lived if i.kind == "own"),
        held=_held(now, _HELD_FOR_TENANT if audience else _HELD_FOR_SUPPORT),
        unreachable=tuple(
            row
            for row in sorted(undeliverable, key=lambda row: row.address)
            if row.reported_at < end and (contacts is None or row.address in contacts)
        ),
        mails=len(seen),
        not_ours=sum(row.verdict == "not_ours" for row in seen),
        notifications=len(now),
        before=len(before),
        quarantined=0 if audience else quarantined,
        waiting=0 if audience else waiting,
        dead=0 if audience else dead,
    )


def _open(
    incidents: Iterable[Incident], end: datetime, rules: Mapping[str, KnownError], state: str
) -> tuple[Incident, ...]:
    """Those still open at the end; neither a sandbox nor other software switches ours off."""
    return tuple(
        incident
        for incident in incidents
        if (incident.closed_at is None or incident.closed_at >= end)
        and (rule := rules.get(incident.rule or "")) is not None
        and rule.disables_integration == state
        and not incident.detail.get("sandbox")
        and incident.detail.get("reason") != Reason.NOT_OUR_INTEGRATION
    )


class _Label(NamedTuple):
    """What the rows of a bar are counted by."""

    text: str
    key: str = ""
    tenant: str = ""


def _by_error(
    rows: Iterable[OccurrenceRow], rules: Mapping[str, KnownError], audience: Tenant | None
) -> Counter[_Label]:
    counted: Counter[_Label] = Counter()
    for row in rows:
        if row.rule is None:
            continue
        title = rules[row.rule].title if row.rule in rules else row.rule
        tenant = "" if audience else row.tenant or UNKNOWN_TENANT
        counted[_Label(f"{title} ({tenant})" if tenant else title, row.rule, tenant)] += 1
    return counted


def _by_tenant(rows: Iterable[OccurrenceRow]) -> Counter[_Label]:
    nobody = _Label(UNKNOWN_TENANT, key=UNKNOWN_TENANT)
    return Counter(_Label(row.tenant) if row.tenant else nobody for row in rows)


def _bars(now: Counter[_Label], before: Counter[_Label]) -> tuple[Bar, ...]:
    """Most first; what there was only in the week before is shown as well."""
    labels = sorted(now.keys() | before.keys(), key=lambda name: (-now[name], -before[name], name))
    shown = [Bar(x.text, now[x], before[x], x.key, x.tenant) for x in labels[:MAX_ROWS]]
    if rest := labels[MAX_ROWS:]:
        label = f"{len(rest)} others"
        counts = sum(now[x] for x in rest), sum(before[x] for x in rest)
        shown.append(Bar(label, *counts, key="others"))
    return tuple(shown)


def _held(rows: Sequence[OccurrenceRow], reasons: Iterable[Reason]) -> tuple[Held, ...]:
    counted = Counter(row.reason for row in rows)
    shown = [Held(r.value, SENTENCES[r].why, counted[r.value]) for r in reasons if counted[r.value]]
    return tuple(sorted(shown, key=lambda held: (-held.count, held.reason)))


def digest(
    content: DigestContent,
    *,
    recipient: str,
    from_: str,
    templates: Templates,
    message_id: str,
    timezone: tzinfo,
    language: str = "en",
) -> OutboundMessage:
    """The digest as a mail to one reader. Raises TemplateFault."""
    path, language = templates.localised("digest", (language,), "weekly.md.j2")
    rendered = body(
        templates,
        path,
        language=language,
        timezone=timezone,
        hosts=frozenset(),
        digest=_in_language(content, templates, language),
        last_day=content.end - timedelta(seconds=1),
        most=MAX_ROWS,
    )
    return OutboundMessage(
        audience=Audience.DIGEST,
        from_=from_,
        to=(recipient,),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        message_id=message_id,
        triage_id=triage_id(message_id),
        language=language,
    )


def _in_language(content: DigestContent, templates: Templates, language: str) -> DigestContent:
    """The same with the titles, reasons and labels for which the language has words."""

    def said(key: str, english: str) -> str:
        return next(iter(templates.words(language, key)), english) if key else english

    def incidents(those: tuple[Incident, ...]) -> tuple[Incident, ...]:
        return tuple(replace(one, title=said(one.rule or "", one.title)) for one in those)

    def bars(those: tuple[Bar, ...]) -> tuple[Bar, ...]:
        return tuple(replace(bar, label=label(bar)) for bar in those)

    def label(bar: Bar) -> str:
        own = bar.label.removesuffix(f" ({bar.tenant})") if bar.tenant else bar.label
        tenant = said(bar.tenant, bar.tenant) if bar.tenant == UNKNOWN_TENANT else bar.tenant
        return said(bar.key, own) + (f" ({tenant})" if tenant else "")

    return replace(
        content,
        off=incidents(content.off),
        at_risk=incidents(content.at_risk),
        known=bars(content.known),
        tenants=bars(content.tenants),
        held=tuple(replace(held, why=said(held.reason, held.why)) for held in content.held),
    )
