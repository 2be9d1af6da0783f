"""A digest is what its week was, whenever it is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.line.desk import EMAILS, QUEUE, Line, other_record
from triage.response.message import OutboundMessage
from triage.tenant import Tenant

WEEK = "2026-W47"
OFF = "agent_connect/job_monitor_shutoff-01.eml"
UNKNOWN = "salesforce/unknown_exception-01.eml"
BOUNCE = "automatic/dsn_failed-01.eml"


Readers = list[tuple[Tenant | None, str]]


def digests(line: Line, readers: Readers) -> list[OutboundMessage]:
    with line.store.unit() as unit:
        return [line.weekly._message(unit, WEEK, tenant, reader) for tenant, reader in readers]


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
    (told, *_) = line.later(minutes=1)
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
