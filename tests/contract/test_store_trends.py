"""Incidents over eight weeks, counted by both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from triage.adapters.store import SqlStore
from triage.catalog.rule import Severity
from triage.ports import Unit
from triage.rows import MailRow

START = datetime(2026, 9, 28, tzinfo=UTC)
WEEK = timedelta(weeks=1)
EDGES = tuple(START + WEEK * number for number in range(9))
END = EDGES[-1]
INSTANT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def opened(unit: Unit, at: datetime, fingerprint: str = "f", **more: object) -> int:
    fields = {"tenant": "northwind", "rule": "a/b", "kind": "other", "title": "t", "detail": {}}
    return unit.start_incident(
        fingerprint=fingerprint, severity=Severity.LOW, at=at, **(fields | more)
    ).id


def noticed(unit: Unit, incident: int, *times: datetime, reason: str = "nothing_new") -> None:
    for at in times:
        unit.add_occurrence(incident, mail_id=None, at=at, reason=reason, record_ids=(), detail={})


def mailed(unit: Unit, uid: int, at: datetime, *actions: str, **more: object) -> int:
    fields = {"verdict": "known", "tenant": "northwind"} | more
    return unit.add_mail(
        MailRow(
            "support", "INBOX", 1, uid, f"o{uid}", f"c{uid}", "", "", at, at, fields["verdict"],
            "other", "", actions, fields["tenant"], "pass", ("a/b",), "1", "none",
        )
    )  # fmt: skip


def answered(unit: Unit, incident: int, uid: int, at: datetime, recipient: str) -> None:
    """A notification for which a reply was decided and, an hour later, went out."""
    mail = mailed(unit, uid, at, "reply", "ticket")
    unit.add_occurrence(
        incident, mail_id=mail, at=at, reason="first_in_incident", record_ids=(), detail={}
    )
    unit.add_pending(incident, "reply", recipient, at, at)
    unit.responded([one.id for one in unit.pending()], at + HOUR)


def test_notifications_are_counted_in_half_open_weeks_and_by_reason(store: SqlStore) -> None:
    with store.unit() as unit:
        one = opened(unit, START - WEEK)
        noticed(unit, one, START - INSTANT, START, EDGES[1] - INSTANT, EDGES[1])
        noticed(unit, one, END - INSTANT, END, reason="budget")
        (found,) = unit.trends(EDGES)
    assert found.counts == (2, 1, 0, 0, 0, 0, 0, 1)
    assert found.by_reason == {"nothing_new": (0, 3), "budget": (1, 1)}
    assert (found.last_at, found.tenant, found.rule) == (END - INSTANT, "northwind", "a/b")


def test_what_lived_in_these_weeks_is_answered_as_it_was_at_their_end(store: SqlStore) -> None:
    with store.unit() as unit:
        opened(unit, START - 2 * WEEK, "over")
        unit.close_incidents(START - WEEK, START - INSTANT)
        opened(unit, START, "closed")
        unit.close_incidents(END - WEEK, END - INSTANT)
        opened(unit, END - WEEK, "closed later")
        unit.close_incidents(END, END)
        opened(unit, END - INSTANT, "open")
        opened(unit, END, "too late")
        found = unit.trends(EDGES)
    assert [(one.fingerprint, one.closed_at) for one in found] == [
        ("closed", END - INSTANT),
        ("closed later", None),
        ("open", None),
    ]
    assert {one.counts for one in found} == {(0,) * 8}


def test_the_detail_says_what_a_digest_needs_and_no_more(store: SqlStore) -> None:
    with store.unit() as unit:
        known = {"sandbox": True, "reason": "sandbox", "excerpt": "secret", "apart": "foreign_org"}
        opened(unit, START, "1", detail=known)
        opened(unit, START, "2", rule=None, detail={"excerpt": "ä" * 2000})
        opened(unit, START, "3", rule=None, detail={"excerpt": "now", "first": "then"})
        opened(unit, START, "4", rule=None, kind="own", detail={"about": "x y", "excerpt": "no"})
        found = unit.trends(EDGES)
    assert [(o.sandbox, o.reason, o.apart, o.about, o.example) for o in found] == [
        (True, "sandbox", "foreign_org", "", ""),
        (False, "", "", "", "ä" * 1000),
        (False, "", "", "", "then"),
        (False, "", "", "x y", ""),
    ]


def test_when_instructions_went_out_first_stays_what_it_was(store: SqlStore) -> None:
    with store.unit() as unit:
        told, late = opened(unit, START, "told"), opened(unit, START, "late")
        support = opened(unit, START, "support")
        answered(unit, told, 1, START + HOUR, "priya@northwind.example")
        answered(unit, support, 2, START + HOUR, "support")
        answered(unit, late, 3, END - HOUR, "priya@northwind.example")
        first = {one.fingerprint: one.told_at for one in unit.trends(EDGES)}
        answered(unit, told, 4, END + WEEK, "priya@northwind.example")
        again = {one.fingerprint: one.told_at for one in unit.trends(EDGES)}
    assert first == again == {"told": START + HOUR, "late": None, "support": None}


def test_mails_are_counted_by_verdict_and_tenant(store: SqlStore) -> None:
    with store.unit() as unit:
        for uid, at in enumerate((START - INSTANT, START, START + HOUR, START + WEEK)):
            mailed(unit, uid, at)
        mailed(unit, 9, START, verdict="not_ours", tenant=None)
        found = unit.verdicts(START, START + WEEK)
    assert found == {("known", "northwind"): 2, ("not_ours", None): 1}
