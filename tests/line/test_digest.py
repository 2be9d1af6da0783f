"""A digest is what its week was, whenever it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.line.desk import EMAILS, QUEUE, Line, catalog, other_record, templates, to
from triage.adapters.store import SqlStore
from triage.incident.trend import IncidentTrend
from triage.ports import Unit
from triage.response.message import OutboundMessage
from triage.service.closing import close_quiet
from triage.service.weekly import AT_ONCE, Weekly, _Asking
from triage.tenant import Tenant

WEEK = "2026-W47"
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
OFF = "agent_connect/job_monitor_shutoff-01.eml"
UNKNOWN = "salesforce/unknown_exception-01.eml"
AT_RISK = "salesforce/cpu_time_limit-01.eml"
BOUNCE = "automatic/dsn_failed-01.eml"


Make = Callable[..., Line]
Readers = list[tuple[Tenant | None, str]]


def digests(line: Line, readers: Readers) -> list[OutboundMessage]:
    asking = _Asking(line.store)
    return [line.weekly._message(asking, WEEK, tenant, reader) for tenant, reader in readers]


def bounce(line: Line, message_id: str) -> None:
    report = (EMAILS / BOUNCE).read_bytes()
    start = report.index(b"triage.0123")
    old = report[start : report.index(b">", start)]
    line.read(BOUNCE, (old, message_id.strip("<>").encode()))


def close(line: Line) -> None:
    now = line.hands.time
    with line.store.unit() as unit:
        unit.close_incidents(now - line.settings.policy.quiet_after, now)


def test_three_weeks_later_the_same_week_has_the_same_digests_octet_for_octet(line: Line) -> None:
    readers = list(line.weekly._readers())
    line.hands.time = datetime(2026, 11, 17, 9, tzinfo=UTC)
    line.read(QUEUE)
    line.read(OFF)
    line.read(UNKNOWN)
    (told,) = [one for one in line.later(minutes=1) if one["To"] == "priya@northwind.example"]
    bounce(line, str(told["Message-ID"]))
    line.hands.time = datetime(2026, 11, 23, 5, tzinfo=UTC)
    at_once = digests(line, readers)

    for _ in range(3):
        line.read(QUEUE, other_record())
        line.read(OFF)
        line.read(UNKNOWN, (b"line 310", b"line 311"), (b"readAnswers", b"read"))
        for message in line.later(hours=1):
            if "priya" in str(message["To"]):
                bounce(line, str(message["Message-ID"]))
        line.later(days=7)
        close(line)
    with line.store.unit() as unit:
        unit.clear_undeliverable("priya@northwind.example")

    assert line.hands.time - datetime(2026, 11, 23, tzinfo=UTC) > timedelta(weeks=3)
    assert digests(line, readers) == at_once
    support = at_once[0].text
    assert "priya@northwind.example, status 5.1.1" in support
    assert "New in this week: 3" in support
    assert "Example: " in support


def test_no_digest_goes_where_mail_comes_back_from(line: Line) -> None:
    before = [reader for _, reader in line.weekly._readers()]
    line.read(QUEUE)
    (told, *_) = line.later(minutes=1)
    bounce(line, str(told["Message-ID"]))
    after = [reader for _, reader in line.weekly._readers()]
    assert set(before) - set(after) == {"priya@northwind.example"}


def test_the_last_week_is_one_that_is_over_for_every_reader(line: Line) -> None:
    line.hands.time = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # Monday in Berlin
    assert line.weekly.texts(None)[0] == "2026-W46"
    line.hands.time = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)  # and in London
    assert line.weekly.texts(None)[0] == WEEK


class Noting:
    """A store that notes for which weeks it is asked to count incidents."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.weeks: list[datetime] = []

    @contextmanager
    def unit(self) -> Iterator[Noted]:
        with self._store.unit() as unit:
            yield Noted(unit, self.weeks)


class Noted:
    def __init__(self, unit: Unit, weeks: list[datetime]) -> None:
        self._unit, self._weeks = unit, weeks

    def __getattr__(self, name: str) -> object:
        return getattr(self._unit, name)

    def trends(self, edges: Sequence[datetime]) -> Sequence[IncidentTrend]:
        self._weeks.append(edges[-1])
        return self._unit.trends(edges)


def read_by(line: Line, readers: int) -> Noting:
    """So many addresses of support have the digest, and one of the tenant."""
    many = [f"lead{number:03}@example.com" for number in range(readers)]
    section = line.settings.digest.model_copy(update={"recipients": many})
    settings, store = line.settings.model_copy(update={"digest": section}), Noting(line.store)
    line.weekly = Weekly(settings, catalog(), templates(), store, line.hands)
    line.read(QUEUE)
    line.hands.time = MONDAY
    return store


def test_one_turn_makes_a_few_digests_and_leaves_the_rest_to_the_next(line: Line) -> None:
    read_by(line, 2 * AT_ONCE + 3)
    assert [line.weekly.send_due() for _ in range(4)] == [AT_ONCE, AT_ONCE, 4, 0]


def test_the_store_counts_a_week_once_for_all_its_readers(line: Line) -> None:
    store = read_by(line, 9)
    assert line.weekly.send_due() == 10
    assert sorted(store.weeks) == [
        datetime(2026, 11, 22, 23, tzinfo=UTC),  # support reads in Berlin
        datetime(2026, 11, 23, tzinfo=UTC),  # and the tenant in London
    ]


def test_digests_leave_half_of_the_budget_to_replies(make: Make) -> None:
    line = make(("[digest]", '[budgets]\ntotal = "4/h"\n\n[digest]'))
    read_by(line, 7)
    assert [line.weekly.send_due() for _ in range(2)] == [2, 0]
    assert "priya@northwind.example" in to(line.later(minutes=1))
    line.hands.time += timedelta(hours=1)
    assert line.weekly.send_due() == 2


def test_what_was_off_is_not_forgotten_when_it_is_quiet(line: Line) -> None:
    line.hands.time = MONDAY - timedelta(days=5)
    line.read(OFF)
    line.later(minutes=1)
    line.hands.time += timedelta(days=9)
    close(line)
    line.hands.time += timedelta(weeks=9)
    for week, heard in (("2026-W49", True), ("2026-W52", True), ("2027-W05", False)):
        support = " ".join(line.weekly.texts(week)[1][0].split())
        assert ("was reported as switched off within these eight weeks" in support) is heard
        assert ("Nothing that is known of" in support) is not heard


def test_steps_that_left_after_midnight_were_not_sent_in_the_week_before(line: Line) -> None:
    line.hands.time = datetime(2026, 11, 22, 22, 59, 50, tzinfo=UTC)  # Sunday in Berlin
    line.read(AT_RISK)
    told = line.later(minutes=1)
    assert [one["To"] for one in told if one["To"] != "team@example.com"]
    at_once = line.weekly.texts(WEEK)[1][0]
    line.hands.time += timedelta(days=9)
    with line.store.unit() as unit:
        assert close_quiet(unit, line.settings, line.hands.time) == 1
    assert line.later(hours=1)

    assert "no steps sent by the end of the week" in " ".join(at_once.split())
    assert line.weekly.texts(WEEK)[1][0] == at_once
    assert "no steps" not in line.weekly.texts("2026-W48")[1][0]
