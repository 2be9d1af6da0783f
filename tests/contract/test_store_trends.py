"""Incidents over eight weeks, counted by both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.contract.mails import add_mail
from triage.adapters.store import SqlStore
from triage.adapters.store.outbox import Sending
from triage.catalog.rule import Severity
from triage.ports import Unit
from triage.rows import MailRow, NewOutbox

START = datetime(2026, 9, 28, tzinfo=UTC)
WEEK = timedelta(weeks=1)
EDGES = tuple(START + WEEK * number for number in range(9))
END = EDGES[-1]
INSTANT = timedelta(microseconds=1)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
PRIYA = "priya@northwind.example"


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
    return add_mail(
        unit,
        MailRow(
            "support", "INBOX", 1, uid, f"o{uid}", f"c{uid}", "", "", at, at, fields["verdict"],
            "other", "", actions, fields["tenant"], "pass", ("a/b",), "1", "none",
        ),
    )  # fmt: skip


def answered(
    store: SqlStore, incident: int, at: datetime, recipient: str, *, held: str = "", **more: object
) -> int:
    """A reply about it, queued at that time; answers its number in the outbox."""
    with store.unit() as unit:
        key = f"{incident}:{recipient}:{at}"
        unit.add_pending(incident, "reply", recipient, at, at)
        fields = {"audience": "reply", "tenant": "northwind", "sender": "s@example.com"} | more
        message = NewOutbox(
            key=key,
            recipients=(recipient,),
            message_id=f"{key}@x",
            subject="s",
            octets=b"",
            **fields,
        )
        unit.enqueue(message, at, held)
        thread = "" if recipient == "support" else message.message_id
        unit.responded([one.id for one in unit.pending()], at, thread)
        (row,) = (row for row in unit.outbox() if row.key == key)
    return row.id


def sent(store: SqlStore, number: int, at: datetime) -> None:
    """As the store marks it, at any time: a server's clock cannot be moved."""
    with store._engine.begin() as connection:
        Sending(connection, lambda _: at).sent(number)


def told(store: SqlStore) -> dict[str, datetime | None]:
    with store.unit() as unit:
        return {one.fingerprint: one.told_at for one in unit.trends(EDGES) if one.kind != "own"}


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
        late, early = opened(unit, START, "late"), opened(unit, START, "early")
        ticket = opened(unit, START, "ticket")
    numbers = [
        answered(store, late, END - 10 * SECOND, PRIYA),
        answered(store, early, END - HOUR, PRIYA),
        answered(store, ticket, END - HOUR, "support", audience="ticket"),
    ]
    for number, at in zip(numbers, (END + 30 * SECOND, END - SECOND, END - SECOND), strict=True):
        sent(store, number, at)
    first = told(store)
    for incident in (late, early):
        sent(store, answered(store, incident, END + WEEK, PRIYA), END + WEEK)

    assert first == told(store) == {"late": None, "early": END - SECOND, "ticket": None}


def test_what_was_not_sent_told_nobody_and_neither_did_what_came_back(store: SqlStore) -> None:
    with store.unit() as unit:
        held, dead, back = (opened(unit, START, name) for name in ("held", "dead", "back"))
        other, after = opened(unit, START, "other"), opened(unit, START, "after")
        report = opened(
            unit, START, "r", rule=None, kind="own", tenant=None,
            detail={"about": f"bounce {PRIYA} 5.1.1"},
        )  # fmt: skip
    answered(store, held, END - DAY, PRIYA, held="tenant northwind")
    answered(store, dead, END - DAY, PRIYA)
    replies = [
        answered(store, back, END - DAY, PRIYA),
        answered(store, other, END - DAY, "lena@northwind.example"),
        answered(store, after, END - DAY, PRIYA),
    ]
    for number, at in zip(replies, (END - DAY, END - DAY, END - HOUR), strict=True):
        sent(store, number, at)
    with store.unit() as unit:
        unit.add_occurrence(
            report, mail_id=None, at=END - 3 * HOUR, reason="", record_ids=(),
            detail={"about": f"bounce {PRIYA} 5.1.1"},
        )  # fmt: skip

    assert told(store) == {
        "held": None,
        "dead": None,
        "back": None,
        "other": END - DAY,
        "after": END - HOUR,
    }


def test_mails_are_counted_by_verdict_and_tenant(store: SqlStore) -> None:
    with store.unit() as unit:
        for uid, at in enumerate((START - INSTANT, START, START + HOUR, START + WEEK)):
            mailed(unit, uid, at)
        mailed(unit, 9, START, verdict="not_ours", tenant=None)
        found = unit.verdicts(START, START + WEEK)
    assert found == {("known", "northwind"): 2, ("not_ours", None): 1}
