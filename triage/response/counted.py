"""What a week was: counted from the incidents and mails of eight weeks, for one audience.

Everything follows from rows with times and the week, so that a digest can be made again later:
nothing in it is about the time at which it is made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from statistics import median
from typing import NamedTuple

from triage.catalog.rule import Status
from triage.catalog.verdict import Outcome
from triage.incident.fingerprint import APART, anonymous
from triage.incident.incident import Reason
from triage.incident.trend import WEEKS, IncidentTrend
from triage.response.content import (
    ALIVE_WEEKS,
    GROWS_FROM,
    MAX_ROWS,
    SUPPORT_AUDIENCE,
    UNKNOWN_TENANT,
    Bounce,
    Budget,
    Debt,
    DigestContent,
    Entry,
    Held,
    KnownError,
    Remedy,
    Running,
    Silent,
)
from triage.response.markdown import Bar
from triage.response.ticket import SENTENCES
from triage.response.weeks import week_edges
from triage.tenant import Tenant

_HELD_FOR_SUPPORT = (
    *(Reason.WITHIN_REPEAT_INTERVAL, Reason.NOTHING_NEW, Reason.SILENCED, Reason.TOO_OLD),
    *(Reason.SANDBOX, Reason.BUDGET, Reason.EXPERIMENTAL_RULE, Reason.FUZZY_ONLY),
    *(Reason.DRIFTED, Reason.NO_CONTACT, Reason.UNKNOWN_TENANT, Reason.FOREIGN_ORG),
    *(Reason.FORWARDER_NOT_ENTITLED, Reason.NOT_OUR_INTEGRATION, Reason.AUTOMATIC),
)
# What a tenant may know of: nothing of other tenants, nothing of how support works.
_HELD_FOR_TENANT = (
    *(Reason.WITHIN_REPEAT_INTERVAL, Reason.NOTHING_NEW, Reason.SILENCED, Reason.TOO_OLD),
    Reason.SANDBOX,
)
_TOLD_TO_ADMINS = frozenset({"reply", "both"})
"""Actions of rules whose summary an admin gets to read."""
_BOUNCE, _BUDGET = "bounce", "budget"
"""First words of what a trouble of our own is about."""


def build(
    week: str,
    *,
    timezone: tzinfo,
    audience: Tenant | None,
    incidents: Iterable[IncidentTrend],
    mails: Mapping[tuple[str, str | None], int],
    rules: Mapping[str, KnownError],
) -> DigestContent:
    """Count a week for support (`audience` None) or for one tenant.

    `incidents` are those of the eight weeks that end with this one, in the reader's zone, and
    `mails` counts those judged in the week by verdict and tenant. What is not the audience's
    does not count. Raises ValueError for a week that is none.
    """
    start, end = week_edges(week, timezone, 1)
    every = list(incidents)
    own = [one for one in every if one.kind == "own" and one.count]
    ours = [one for one in every if one.kind != "own" and _may_know(one, audience)]
    errors = [one for one in ours if one.kind != Outcome.SUSPICIOUS]
    off, at_risk = (_stops(errors, rules, state) for state in ("yes", "possible"))
    judged = Counter[str]()
    for (verdict, tenant), count in mails.items():
        judged[verdict] += count if audience is None or tenant == audience.name else 0
    contacts = None if audience is None else {contact.address for contact in audience.contacts}
    return DigestContent(
        week=week,
        start=start,
        end=end,
        audience=SUPPORT_AUDIENCE if audience is None else audience.name,
        off=_for_admins(_said(_open(off), rules), rules, audience),
        at_risk=_said(_open(at_risk), rules),
        off_before=_said(_gone(off), rules),
        at_risk_before=_said(_gone(at_risk), rules),
        opened=_said(_most_first(one for one in errors if one.opened_at >= start), rules),
        growing=_said(_most_first(one for one in errors if _grows(one, start)), rules),
        closed=_said(
            _most_first(one for one in errors if one.closed_at and one.closed_at >= start), rules
        ),
        known=_known(errors, rules, audience),
        tenants=() if audience else _tenants(ours),
        remedies=() if audience else _remedies(errors, rules),
        silent=() if audience else _silent(errors, {one.tenant for one in off}),
        unknown=_said(_most_first(one for one in errors if one.rule is None and one.count), rules),
        suspicious=_said((o for o in ours if o.kind == Outcome.SUSPICIOUS and o.count), rules),
        own=() if audience else _said((o for o in own if _about(o) not in {_BOUNCE, _BUDGET}), {}),
        held=_held(ours, _HELD_FOR_TENANT if audience else _HELD_FOR_SUPPORT),
        bounced=tuple(one for one in _bounced(own) if contacts is None or one.address in contacts),
        budgets=() if audience else _budgets(own),
        over_budget=() if audience else _over_budget(ours),
        debt=Debt() if audience else _debt(errors, rules),
        mails=judged.total(),
        not_ours=judged[Outcome.NOT_OURS],
        notifications=sum(one.count for one in ours),
        before=sum(one.before for one in ours),
        quarantined=0 if audience else judged[Outcome.UNREADABLE],
    )


def _may_know(one: IncidentTrend, audience: Tenant | None) -> bool:
    if audience is None:
        return True
    secret = {one.apart, one.reason} & APART or one.kind == Outcome.SUSPICIOUS
    return one.tenant == audience.name and not secret


def _stops(
    incidents: Sequence[IncidentTrend], rules: Mapping[str, KnownError], state: str
) -> list[IncidentTrend]:
    """The last episodes; neither a sandbox nor other software switches ours off."""
    last = {one.fingerprint: one.episode for one in sorted(incidents, key=lambda one: one.episode)}
    return [
        one
        for one in incidents
        if one.episode == last[one.fingerprint]
        and (rule := rules.get(one.rule or "")) is not None
        and rule.disables_integration == state
        and not one.sandbox
        and Reason.NOT_OUR_INTEGRATION not in {one.apart, one.reason}
    ]


def _open(incidents: Iterable[IncidentTrend]) -> list[IncidentTrend]:
    return [one for one in incidents if one.closed_at is None]


def _gone(incidents: Iterable[IncidentTrend]) -> list[IncidentTrend]:
    """What became quiet, the newest first: a job that does not run reports nothing."""
    gone = [one for one in incidents if one.closed_at is not None]
    return sorted(gone, key=lambda one: (one.last_at or one.opened_at, one.id), reverse=True)


def _grows(one: IncidentTrend, start: datetime) -> bool:
    more = one.count >= GROWS_FROM and 2 * one.count >= 3 * one.before
    return one.opened_at < start and one.closed_at is None and more


def _most_first(incidents: Iterable[IncidentTrend]) -> list[IncidentTrend]:
    return sorted(incidents, key=lambda one: (-one.count, -one.total, one.id))


def _said(
    incidents: Iterable[IncidentTrend], rules: Mapping[str, KnownError]
) -> tuple[Running, ...]:
    """In words: what strangers wrote stands there without what could name somebody."""
    made = []
    for one in incidents:
        rule = rules.get(one.rule or "")
        if rule is not None:
            made.append(Running(one, rule.title, rule.remediation.summary))
        elif one.kind == "own":
            made.append(Running(one, one.title))
        else:
            title = anonymous(one.title.removeprefix("Unknown error: "))
            made.append(Running(one, title, example=anonymous(one.example)))
    return tuple(made)


def _for_admins(
    those: Iterable[Running], rules: Mapping[str, KnownError], audience: Tenant | None
) -> tuple[Running, ...]:
    """Support does not get to read what an admin should do where no admin is told to do it."""
    return tuple(
        one
        if audience or rules[one.incident.rule or ""].remediation.action in _TOLD_TO_ADMINS
        else replace(one, summary="")
        for one in those
    )


# Notifications ---------------------------------------------------------------------------


class _Label(NamedTuple):
    """What the rows of a bar are counted by."""

    text: str
    key: str = ""
    tenant: str = ""


def _known(
    incidents: Iterable[IncidentTrend], rules: Mapping[str, KnownError], audience: Tenant | None
) -> tuple[Bar, ...]:
    now, before = Counter[_Label](), Counter[_Label]()
    for one in incidents:
        if one.rule is None:
            continue
        title = rules[one.rule].title if one.rule in rules else one.title
        tenant = "" if audience else one.tenant or UNKNOWN_TENANT
        label = _Label(f"{title} ({tenant})" if tenant else title, one.rule, tenant)
        now[label] += one.count
        before[label] += one.before
    return _bars(now, before)


def _tenants(incidents: Iterable[IncidentTrend]) -> tuple[Bar, ...]:
    now, before = Counter[_Label](), Counter[_Label]()
    for one in incidents:
        label = _Label(one.tenant) if one.tenant else _Label(UNKNOWN_TENANT, key=UNKNOWN_TENANT)
        now[label] += one.count
        before[label] += one.before
    return _bars(now, before)


def _bars(now: Counter[_Label], before: Counter[_Label]) -> tuple[Bar, ...]:
    """Most first; what there was only in the week before is shown as well."""
    there = {label for label in now if now[label] or before[label]}
    labels = sorted(there, key=lambda name: (-now[name], -before[name], name))
    shown = [Bar(x.text, now[x], before[x], x.key, x.tenant) for x in labels[:MAX_ROWS]]
    if rest := labels[MAX_ROWS:]:
        label = f"{len(rest)} others"
        counts = sum(now[x] for x in rest), sum(before[x] for x in rest)
        shown.append(Bar(label, *counts, key="others"))
    return tuple(shown)


def _held(incidents: Sequence[IncidentTrend], reasons: Iterable[Reason]) -> tuple[Held, ...]:
    counted = Counter[str]()
    for one in incidents:
        counted.update({reason: count for reason, (count, _) in one.by_reason.items()})
    shown = [Held(r.value, SENTENCES[r].why, counted[r.value]) for r in reasons if counted[r.value]]
    return tuple(sorted(shown, key=lambda held: (-held.count, held.reason)))


# Over eight weeks ------------------------------------------------------------------------


def _remedies(
    incidents: Sequence[IncidentTrend], rules: Mapping[str, KnownError]
) -> tuple[Remedy, ...]:
    """Those that came again most often first."""
    again = {(one.fingerprint, one.episode): one.opened_at for one in incidents}
    told: defaultdict[str, list[IncidentTrend]] = defaultdict(list)
    for one in incidents:
        if one.told_at is not None and one.rule is not None and one.rule in rules:
            told[one.rule].append(one)
    made = []
    for rule, those in told.items():
        relapses = [
            (at - (one.last_at or one.opened_at)) // timedelta(days=1)
            for one in those
            if (at := again.get((one.fingerprint, one.episode + 1))) is not None
        ]
        running = sum(one.closed_at is None for one in those)
        made.append(
            Remedy(
                rule=rule,
                title=rules[rule].title,
                template=rules[rule].remediation.template,
                told=len(those),
                quiet=len(those) - len(relapses) - running,
                relapsed=len(relapses),
                running=running,
                days=int(median(relapses)) if relapses else 0,
            )
        )
    return tuple(sorted(made, key=lambda one: (-one.relapsed, -one.told, one.rule)))


def _silent(incidents: Iterable[IncidentTrend], off: AbstractSet[str | None]) -> tuple[Silent, ...]:
    of: defaultdict[str, list[IncidentTrend]] = defaultdict(list)
    for one in incidents:
        if one.tenant and one.total:
            of[one.tenant].append(one)
    found = []
    for tenant, those in sorted(of.items()):
        counts = tuple(sum(one.counts[week] for one in those) for week in range(WEEKS))
        if not counts[-1] and (tenant in off or sum(map(bool, counts)) >= ALIVE_WEEKS):
            last_at = max(one.last_at for one in those if one.last_at)
            found.append(Silent(tenant, counts, last_at))
    return tuple(sorted(found, key=lambda one: -sum(one.counts)))


def _debt(incidents: Sequence[IncidentTrend], rules: Mapping[str, KnownError]) -> Debt:
    matched, drifted, similar = Counter[str](), Counter[str](), Counter[str]()
    for one in incidents:
        if one.rule is not None and one.rule in rules and one.total:
            matched[one.rule] += one.total
            drifted[one.rule] += Reason.DRIFTED in one.by_reason
            similar[one.rule] += Reason.FUZZY_ONLY in one.by_reason

    def entries(counted: Counter[str]) -> tuple[Entry, ...]:
        most = sorted(((-count, rule) for rule, count in counted.items() if count))
        return tuple(Entry(rule, rules[rule].title, -count) for count, rule in most)

    tried = {rule for rule in rules if rules[rule].status is Status.EXPERIMENTAL}
    return Debt(
        experimental=entries(Counter({r: n for r, n in matched.items() if r in tried})),
        drifted=entries(drifted),
        similar=entries(similar),
        never=tuple(
            rule
            for rule in sorted(rules)
            if rule not in matched and rules[rule].status is not Status.DEPRECATED
        ),
    )


# Troubles of our own ---------------------------------------------------------------------


def _about(one: IncidentTrend) -> str:
    return one.about.partition(" ")[0]


def _bounced(own: Iterable[IncidentTrend]) -> Iterable[Bounce]:
    for one in sorted(own, key=lambda one: one.about):
        if _about(one) == _BOUNCE and one.last_at is not None:
            _, address, status = (*one.about.split(" ", 2), "", "")[:3]
            yield Bounce(address, status, one.count, one.last_at)


def _budgets(own: Iterable[IncidentTrend]) -> tuple[Budget, ...]:
    hit = {one.about.partition(" ")[2] for one in own if _about(one) == _BUDGET}
    return tuple(Budget(*name.split(" of ", 1)) for name in sorted(hit))


def _over_budget(incidents: Iterable[IncidentTrend]) -> tuple[tuple[str, int], ...]:
    counted = Counter[str]()
    for one in incidents:
        if waited := one.by_reason.get(Reason.BUDGET, (0, 0))[0]:
            counted[one.tenant or UNKNOWN_TENANT] += waited
    return tuple(sorted(counted.items(), key=lambda row: (-row[1], row[0])))
