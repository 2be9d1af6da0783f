"""Incidents over several weeks, counted by the database.

Only rows with times are asked, so that the same weeks have the same answer at any later time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Text, bindparam, case, cast, func, literal, or_, select

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import Moment, histories, incidents, mails, occurrences
from triage.incident.incident import Action, Reason
from triage.incident.trend import WEEKS, IncidentTrend

_EXAMPLE = 1_000
"""Characters of a notification that are answered."""

_SUPPORT = "support"
"""Whose histories are about tickets."""

_EDGES = [bindparam(f"edge{number}", type_=Moment) for number in range(WEEKS + 1)]
_START, _END = _EDGES[0], _EDGES[-1]
_WITHIN = (occurrences.c.at >= _START, occurrences.c.at < _END)


def _word(name: str) -> Any:
    return func.coalesce(incidents.c.detail[name].as_string(), "")


_UNKNOWN = incidents.c.rule.is_(None) & incidents.c.kind.not_in(["own", "suspicious"])
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
    .where(
        or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > _START),
        incidents.c.opened_at < _END,
    )
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
# That a reply was decided stands in the mail. That it went out stands in the history, which keeps
# the time of the last one only: it tells nothing of the first one when it came after the end.
_TOLD_AT = (
    select(occurrences.c.incident_id, func.min(occurrences.c.at))
    .join(mails, mails.c.id == occurrences.c.mail_id)
    .where(
        *_WITHIN,
        occurrences.c.reason.in_([Reason.FIRST_IN_INCIDENT, Reason.REPEAT_DUE, Reason.BUDGET]),
        cast(mails.c.actions, Text).contains(f'"{Action.REPLY}"'),
        select(histories.c.incident_id)
        .where(
            histories.c.incident_id == occurrences.c.incident_id,
            histories.c.recipient != _SUPPORT,
            or_(histories.c.responses > 1, histories.c.last_response_at < _END),
        )
        .exists(),
    )
    .group_by(occurrences.c.incident_id)
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
        told: dict[int, datetime] = {row[0]: row[1] for row in self._run(_TOLD_AT, moments)}
        rows: list[tuple[Any, ...]] = [
            (*row, *_weeks(counted[row[0]]), told.get(row[0])) for row in self._run(_LIVED, moments)
        ]
        return [IncidentTrend(*row) for row in rows]

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
