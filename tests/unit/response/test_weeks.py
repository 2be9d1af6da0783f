from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.incident.trend import WEEKS
from triage.response.weeks import last_complete_week, week_bounds, week_edges

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
DAY = timedelta(days=1)


@given(
    st.dates(date(1971, 1, 10), date(2100, 12, 1)),
    st.sampled_from(ZONES),
)
def test_weeks_follow_each_other_without_gap_or_overlap(day, zone):
    timezone = ZoneInfo(zone)
    year, week, _ = day.isocalendar()
    later, next_week, _ = (day + timedelta(days=7)).isocalendar()
    start, end = week_bounds(f"{year:04}-W{week:02}", timezone)

    assert end == week_bounds(f"{later:04}-W{next_week:02}", timezone)[0]
    assert timedelta(days=6) <= end - start <= timedelta(days=8)


@given(
    st.integers(0, 4_000_000_000),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_the_last_complete_week_ends_before_now_and_less_than_a_week_ago(seconds, zone):
    now = datetime(1971, 1, 10, tzinfo=UTC) + timedelta(seconds=seconds)
    start, end = week_bounds(last_complete_week(now, ZoneInfo(zone)), ZoneInfo(zone))

    assert start < end <= now < end + timedelta(days=7, hours=2)


@pytest.mark.parametrize(
    ("week", "zone", "start", "hours"),
    [
        ("2026-W47", "Europe/Berlin", "2026-11-15T23:00:00+00:00", 168),
        ("2026-W13", "Europe/Berlin", "2026-03-22T23:00:00+00:00", 167),
        ("2026-W43", "Europe/Berlin", "2026-10-18T22:00:00+00:00", 169),
        ("2026-W53", "Europe/London", "2026-12-28T00:00:00+00:00", 168),
        ("2027-W01", "Europe/London", "2027-01-04T00:00:00+00:00", 168),
        ("2026-W01", "UTC", "2025-12-29T00:00:00+00:00", 168),
        ("2026-W47", "Asia/Tokyo", "2026-11-15T15:00:00+00:00", 168),
    ],
)
def test_week_bounds_know_daylight_saving_and_week_53(week, zone, start, hours):
    begins, ends = week_bounds(week, ZoneInfo(zone))

    assert begins.isoformat() == start
    assert ends - begins == timedelta(hours=hours)


@pytest.mark.parametrize(
    "week", ["2025-W53", "2026-W00", "2026-W54", "2026-47", "W47", "", "0000-W01"]
)
def test_a_week_that_is_none_is_refused(week):
    with pytest.raises(ValueError, match=r"."):
        week_bounds(week, UTC)


def test_monday_morning_belongs_to_the_week_of_the_reader():
    at = datetime(2027, 1, 3, 23, 30, tzinfo=UTC)

    assert last_complete_week(at, UTC) == "2026-W52"
    assert last_complete_week(at, BERLIN) == "2026-W53"


@given(st.dates(date(1975, 1, 10), date(2100, 12, 1)), st.sampled_from(ZONES))
def test_eight_weeks_meet_where_each_of_them_begins(day, zone):
    timezone = ZoneInfo(zone)
    names = ["{:04}-W{:02}".format(*(day - 7 * DAY * n).isocalendar()[:2]) for n in range(8)]
    edges = week_edges(names[0], timezone, WEEKS)

    assert list(edges[:-1]) == [week_bounds(name, timezone)[0] for name in reversed(names)]
    assert edges[-1] == week_bounds(names[0], timezone)[1]
