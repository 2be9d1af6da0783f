from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.rule import Severity
from triage.incident.incident import Incident
from triage.response.digest import (
    MAX_ROWS,
    build,
    digest,
    digest_key,
    last_complete_week,
    week_bounds,
    week_of,
)
from triage.response.markdown import Bar
from triage.response.render import to_octets
from triage.response.templates import Templates
from triage.tenant import Contact, Tenant

SHIPPED = Path(__file__).parents[3] / "templates"
TEMPLATES = Templates(
    {
        path: (SHIPPED / path).read_text("utf-8")
        for path in ("layout.html.j2", "digest/en/weekly.md.j2")
    }
)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)
BEFORE = NOW - timedelta(days=7)
CONTOSO = Tenant("contoso", contacts=(Contact("jonas@contoso.example"),))


@dataclass(frozen=True)
class Rule:
    title: str
    disables_integration: str = "no"


@dataclass(frozen=True)
class Seen:
    tenant: str | None = "northwind"
    rule: str | None = "queue"
    kind: str = "managed_package"
    at: datetime = NOW
    reason: str = "first_in_incident"


@dataclass(frozen=True)
class Mail:
    seen_at: datetime = NOW
    verdict: str = "known"
    tenant: str | None = "northwind"


@dataclass(frozen=True)
class Unreachable:
    address: str
    status: str = "5.1.1"
    reported_at: datetime = NOW


RULES = {
    "queue": Rule("The employee is a queue"),
    "cpu": Rule("Apex CPU time limit", "possible"),
    "off": Rule("A job was shut off", "yes"),
}


def incident(number: int, rule: str | None, **more: object) -> Incident:
    fields = {
        "fingerprint": "f",
        "episode": 1,
        "tenant": "northwind",
        "kind": "managed_package",
        "title": RULES[rule].title if rule else "System.FooException: bar",
        "severity": Severity.HIGH,
        "opened_at": NOW,
        "last_seen_at": NOW,
        "closed_at": None,
        "notifications": 2,
    }
    return Incident(id=number, rule=rule, **(fields | more))


def content(**more: object):
    rows = {"occurrences": (), "incidents": (), "mails": (), "rules": RULES, "audience": None}
    return build("2026-W47", timezone=BERLIN, **(rows | more))


def mail(what):
    return digest(
        what,
        recipient="leads@example.com",
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
        timezone=BERLIN,
    )


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
    assert week_of(start, ZoneInfo(zone)) == last_complete_week(now, ZoneInfo(zone))


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

    assert week_of(at, UTC) == "2026-W53"
    assert week_of(at, BERLIN) == "2027-W01"
    assert last_complete_week(at, BERLIN) == "2026-W53"


def test_the_key_differs_by_week_audience_and_recipient():
    keys = {digest_key(w, a, r) for w in ("2026-W47", "2026-W48") for a in "ab" for r in "cd"}

    assert len(keys) == 8


def test_known_errors_are_counted_per_tenant_against_the_week_before():
    made = content(
        occurrences=[
            *[Seen()] * 3,
            *[Seen(at=BEFORE)] * 2,
            Seen(tenant="contoso"),
            Seen(rule="cpu", at=BEFORE),
            Seen(at=BEFORE - timedelta(days=7)),
            Seen(at=NOW + timedelta(days=7)),
            Seen(rule=None),
        ]
    )

    assert made.known == (
        Bar("The employee is a queue (northwind)", 3, 2),
        Bar("The employee is a queue (contoso)", 1, 0),
        Bar("Apex CPU time limit (northwind)", 0, 1),
    )
    assert made.tenants == (Bar("northwind", 4, 3), Bar("contoso", 1, 0))
    assert (made.notifications, made.before) == (5, 3)


def test_the_first_second_of_the_week_counts_and_the_first_of_the_next_does_not():
    start, end = week_bounds("2026-W47", BERLIN)
    made = content(
        occurrences=[Seen(at=start), Seen(at=end), Seen(at=start - timedelta(seconds=1))]
    )

    assert (made.notifications, made.before) == (1, 1)


def test_what_is_off_and_at_risk_counts_only_while_open_and_outside_sandboxes():
    _, end = week_bounds("2026-W47", BERLIN)
    made = content(
        incidents=[
            incident(1, "off"),
            incident(2, "cpu"),
            incident(3, "off", closed_at=NOW),
            incident(4, "off", closed_at=end + timedelta(days=1)),
            incident(5, "off", detail={"sandbox": True}),
            incident(6, "queue"),
            incident(7, "off", opened_at=end),
        ]
    )

    assert [i.id for i in made.off] == [1, 4]
    assert [i.id for i in made.at_risk] == [2]


def test_unknown_suspicious_and_own_troubles_are_told_apart():
    made = content(
        incidents=[
            incident(1, None, kind="apex_exception"),
            incident(2, None, kind="suspicious"),
            incident(3, None, kind="own"),
        ]
    )

    assert [[i.id for i in group] for group in (made.unknown, made.suspicious, made.own)] == [
        [1],
        [2],
        [3],
    ]


def test_what_was_held_back_is_told_with_its_reason():
    made = content(
        occurrences=[*[Seen(reason="within_repeat_interval")] * 3, Seen(reason="budget"), Seen()]
    )

    assert [(held.count, held.reason) for held in made.held] == [
        (3, "within_repeat_interval"),
        (1, "budget"),
    ]


def test_a_tenant_sees_nothing_of_others_and_nothing_of_how_support_works():
    made = content(
        audience=CONTOSO,
        occurrences=[Seen(), Seen(tenant="contoso"), Seen(tenant="contoso", reason="no_contact")],
        incidents=[
            incident(1, "off"),
            incident(2, "cpu", tenant="contoso"),
            incident(3, None, kind="suspicious", tenant="contoso"),
        ],
        mails=[Mail(), Mail(tenant="contoso")],
        undeliverable=[
            Unreachable("priya@northwind.example"),
            Unreachable("jonas@contoso.example"),
        ],
        quarantined=3,
        dead=2,
    )
    text = mail(made).text

    assert (made.notifications, made.mails, made.off, made.suspicious) == (2, 1, (), ())
    assert made.known == (Bar("The employee is a queue", 2, 0),)
    assert [row.address for row in made.unreachable] == ["jonas@contoso.example"]
    assert not made.held
    assert not any(word in text for word in ("northwind", "quarantine", "Triage itself"))


def test_many_rows_are_summed_up_in_the_last_one():
    made = content(occurrences=[Seen(tenant=f"t{n:03}") for n in range(MAX_ROWS + 5)])

    assert len(made.tenants) == MAX_ROWS + 1
    assert made.tenants[-1] == Bar("5 others", 5, 0)


def test_a_digest_reads_well_as_text():
    made = content(
        occurrences=[*[Seen()] * 4, Seen(tenant="contoso", at=BEFORE)],
        incidents=[incident(1, "off", episode=2)],
        mails=[Mail(), Mail(verdict="not_ours", tenant=None)],
        undeliverable=[Unreachable("jonas@contoso.example")],
        quarantined=1,
    )
    message = mail(made)

    assert message.subject == "Agent Connect, week 2026-W47: 4 error notifications, 1 switched off"
    assert message.text.startswith("""\
This is the week from Mon 16 Nov 2026 to Sun 22 Nov 2026. 4 error
notifications came, 1 the week before. 2 mails were read; 1 of them had
nothing to do with Agent Connect and stayed untouched.

Switched off, or about to be
============================

The integration was switched off when the week ended:

- A job was shut off - northwind, 2 notifications since Tue 17 Nov 2026,
  10:00 CET, last Tue 17 Nov 2026, 10:00 CET, episode 2

Known errors
============

Notifications in this week, and in brackets the change against the week
before.

The employee is a queue (northwind)
  ████████████████████████     4  (+4)
The employee is a queue (contoso)
                               0  (-1)
""")
    assert "- jonas@contoso.example, status 5.1.1, Tue 17 Nov 2026, 10:00 CET" in message.text
    assert "1 mail is in quarantine" in message.text
    assert to_octets(message, date=NOW)


def test_a_quiet_week_does_not_claim_that_all_is_well():
    assert "no proof that all is well" in mail(content()).text


def test_strangers_words_in_a_title_are_shown_and_not_obeyed():
    made = content(incidents=[incident(1, None, title="<b>[x](http://evil.example)</b>\n# y")])
    message = mail(made)

    assert "<b>[x](hxxp://evil[.]example)</b> # y" in message.text
    assert "<a " not in message.html
