"""ISO 8601 weeks in a reader's time zone, half-open."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})")


def week_bounds(week: str, timezone: tzinfo) -> tuple[datetime, datetime]:
    """Start and end, half-open, in UTC, of an ISO 8601 week such as `2026-W47`.

    A week starts on Monday 00:00 of the zone, so it has 167 or 169 hours when the clock changes.
    Raises ValueError when there is no such week.
    """
    start, end = week_edges(week, timezone, 1)
    return start, end


def week_edges(week: str, timezone: tzinfo, weeks: int) -> tuple[datetime, ...]:
    """Where so many weeks meet, of which the named one is the last: one moment more than weeks.

    In UTC, ascending. Raises ValueError when there is no such week.
    """
    found = _WEEK.fullmatch(week)
    if found is None:
        raise ValueError(f"not an ISO week such as 2026-W47: {week!r}")
    monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
    try:
        days = [monday + timedelta(weeks=number) for number in range(1 - weeks, 2)]
        return tuple(_midnight(day, timezone) for day in days)
    except OverflowError as error:
        raise ValueError(f"too near to the end of time: {week!r}") from error


def last_complete_week(now: datetime, timezone: tzinfo) -> str:
    """The ISO week before the one that holds `now`."""
    year, week, _ = (now.astimezone(timezone).date() - timedelta(days=7)).isocalendar()
    return f"{year:04}-W{week:02}"


def _midnight(day: date, timezone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, timezone).astimezone(UTC)
