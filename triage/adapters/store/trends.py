"""Incidents over several weeks, counted by the database.

Only rows with times are asked, so that the same weeks have the same answer at any later time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import and_, bindparam, case, func, literal, or_, select

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import Moment, histories, incidents, mails, occurrences, outbox
from triage.incident.trend import WEEKS, IncidentTrend
from triage.rows import OutboxState

_EXAMPLE = 1_000
"""Characters of a notification that are answered."""

_REPLY = "reply"
"""What tells a tenant the steps; a ticket tells support."""

_REPORTED_WITHIN = timedelta(days=5)
"""So long servers try to deliver a mail before they report that they could not (RFC 5321, 4.5.4.1).
A report that comes later is about another mail to the address."""

_EDGES = [bindparam(f"edge{number}", type_=Moment) for number in range(WEEKS + 1)]
_START, _END = _EDGES[0], _EDGES[-1]
_WITHIN = (occurrences.c.at >= _START, occurrences.c.at < _END)


def _word(name: str) -> Any:
    return func.coalesce(incidents.c.detail[name].as_string(), "")


_UNKNOWN = incidents.c.rule.is_(None) & incidents.c.kind.not_in(["own", "suspicious"])
_IN_THESE_WEEKS = and_(
    or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > _START),
    incidents.c.opened_at < _END,
)
_LIVED = (
    select(
        incidents.c.id,
        incidents.c.fingerprint,
        incidents.c.episode,
        incidents.c.tenant,
        incidents.c.rule,
        incidents.c.kind,
        incidents.c.title,
        incidents.c.severity,
        incidents.c.opened_at,
        case((incidents.c.closed_at < _END, incidents.c.closed_at), else_=None).label("closed_at"),
        func.coalesce(incidents.c.detail["sandbox"].as_boolean(), False).label("sandbox"),
        _word("reason").label("reason"),
        _word("apart").label("apart"),
        _word("about").label("about"),
        case(
            (
                _UNKNOWN,
                func.substr(
                    func.coalesce(incidents.c.detail["first"].as_string(), _word("excerpt")),
                    1,
                    _EXAMPLE,
                ),
            ),
            else_=literal(""),
        ).label("example"),
    )
    .where(_IN_THESE_WEEKS)
    .order_by(incidents.c.opened_at, incidents.c.id)
)
_COUNTED = (
    select(
        occurrences.c.incident_id,
        occurrences.c.reason,
        func.max(occurrences.c.at),
        *(
            func.sum(case((occurrences.c.at < edge, 0), (occurrences.c.at < after, 1), else_=0))
            for edge, after in pairwise(_EDGES)
        ),
    )
    .where(*_WITHIN)
    .group_by(occurrences.c.incident_id, occurrences.c.reason)
)
# The first reply to each recipient; its row in the outbox has the time at which it left.
_SENT = (
    select(histories.c.incident_id, histories.c.recipient, outbox.c.sent_at, outbox.c.ends)
    .join(outbox, outbox.c.message_id == histories.c.thread)
    .join(incidents, incidents.c.id == histories.c.incident_id)
    .where(
        histories.c.thread != "",
        outbox.c.audience == _REPLY,
        outbox.c.state == OutboxState.SENT,
        outbox.c.sent_at < _END,
        _IN_THESE_WEEKS,
    )
)
_CAME_BACK = (
    select(_word("about"), occurrences.c.at)
    .join(incidents)
    .where(*_WITHIN, incidents.c.kind == "own", _word("about").startswith("bounce "))
)
_VERDICTS = (
    select(mails.c.verdict, mails.c.tenant, func.count())
    .where(mails.c.seen_at >= bindparam("start"), mails.c.seen_at < bindparam("end"))
    .group_by(mails.c.verdict, mails.c.tenant)
)


class TrendRows(Rows):
    """What the digest counts."""

    def trends(self, edges: Sequence[datetime]) -> Sequence[IncidentTrend]:
        """All incidents open at any time in these eight weeks, oldest first.

        `edges` are the nine moments where the weeks meet, ascending.
        """
        moments = {f"edge{number}": edge for number, edge in enumerate(edges)}
        counted: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for incident, *row in self._run(_COUNTED, moments):
            counted[incident].append(tuple(row))
        told = self._told(moments)
        rows: list[tuple[Any, ...]] = [
            (*row, *_weeks(counted[row[0]]), told.get(row[0])) for row in self._run(_LIVED, moments)
        ]
        return [IncidentTrend(*row) for row in rows]

    def _told(self, moments: Mapping[str, datetime]) -> dict[int, datetime]:
        """When steps left for the first time about each incident, and did not come back."""
        reports: defaultdict[str, list[datetime]] = defaultdict(list)
        for about, at in self._run(_CAME_BACK, moments):
            reports[about.split(" ")[1]].append(at)
        told: dict[int, datetime] = {}
        for incident, recipient, sent_at, ends in self._run(_SENT, moments):
            until = sent_at + _REPORTED_WITHIN
            came_back = any(sent_at <= at < until for at in reports[recipient])
            if not ends and not came_back:
                told[incident] = min(sent_at, told.get(incident, sent_at))
        return told

    def verdicts(self, start: datetime, end: datetime) -> Mapping[tuple[str, str | None], int]:
        """How many mails were judged in [start, end), by verdict and tenant."""
        rows = self._run(_VERDICTS, {"start": start, "end": end})
        return {(verdict, tenant): count for verdict, tenant, count in rows}


def _weeks(
    rows: Sequence[tuple[Any, ...]],
) -> tuple[tuple[int, ...], Mapping[str, tuple[int, int]], datetime | None]:
    """Counts of the weeks, counts by reason, and the newest notification."""
    weeks = [tuple(map(int, counts)) for _, _, *counts in rows]
    return (
        tuple(map(sum, zip(*weeks, strict=True))) if weeks else (0,) * WEEKS,
        {row[0]: (week[-1], sum(week)) for row, week in zip(rows, weeks, strict=True)},
        max((row[1] for row in rows), default=None),
    )
