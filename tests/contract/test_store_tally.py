"""What waits for somebody, counted on both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from triage.adapters.store import SqlStore
from triage.catalog.rule import Severity
from triage.mail.message import RawMail
from triage.rows import NewOutbox, Tally, Way, WayOut

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def queue(store: SqlStore, key: str, at: datetime, way: Way = Way.MAIL) -> None:
    message = ("ticket", None, "b@example.com", ("team@example.com",), key, "s", b"o", way)
    with store.unit() as unit:
        assert unit.enqueue(NewOutbox(key, *message), at)


def tally(store: SqlStore) -> Tally:
    with store.unit() as unit:
        return unit.tally()


def test_an_empty_store_has_nothing_to_count(store: SqlStore) -> None:
    assert tally(store) == Tally({way: WayOut() for way in Way}, 0, 0, 0)


def test_each_way_is_counted_for_itself_and_what_was_sent_is_not_counted(store: SqlStore) -> None:
    for number in range(4):
        queue(store, f"m{number}", NOON + timedelta(minutes=number))
    queue(store, "a", NOON, Way.ALARM)
    sent, dead, put_off = store.claim(3, 900)
    store.mark_sent(sent.id)
    store.mark_failed(dead.id, "550 no", None)
    store.mark_failed(put_off.id, "421 not now", NOON + timedelta(hours=1))
    ways = tally(store).ways
    assert ways[Way.MAIL] == WayOut(2, 1, NOON + timedelta(minutes=2), "421 not now")
    assert ways[Way.ALARM] == WayOut(1, 0, NOON, "")


def test_of_all_that_was_put_off_the_oldest_counts_until_it_is_sent(store: SqlStore) -> None:
    for number in range(3):
        queue(store, f"m{number}", NOON + timedelta(minutes=number))
    for row in store.claim(3, 900):
        store.mark_failed(row.id, f"421 {row.key}", NOON)
    assert tally(store).ways[Way.MAIL] == WayOut(3, 0, NOON, "421 m0")
    store.mark_sent(store.claim(1, 900)[0].id)
    assert tally(store).ways[Way.MAIL].error == "421 m1"


def test_what_left_since_then_is_counted_by_each_way(store: SqlStore) -> None:
    before = store.now()
    for key, way in (("m", Way.MAIL), ("n", Way.MAIL), ("a", Way.ALARM)):
        queue(store, key, NOON, way)
    store.mark_sent(store.claim(1, 900)[0].id)
    store.mark_sent(store.claim(1, 900, Way.ALARM)[0].id)
    with store.unit() as unit:
        assert unit.sent_since(before) == {Way.MAIL: 1, Way.ALARM: 1, Way.TICKET: 0}
        assert set(unit.sent_since(store.now() + timedelta(hours=1)).values()) == {0}


def test_open_incidents_waiting_responses_and_mails_in_quarantine_are_counted(
    store: SqlStore,
) -> None:
    with store.unit() as unit:
        for number in range(3):
            incident = unit.start_incident(
                fingerprint=f"f{number}",
                tenant=None,
                rule=None,
                kind="own",
                title="t",
                severity=Severity.LOW,
                at=NOON + timedelta(days=number),
                detail={},
            )
            unit.add_pending(incident.id, "ticket", "support", NOON, NOON)
        unit.close_incidents(NOON + timedelta(hours=1), NOON + timedelta(days=3))
        for uid in (1, 2):
            raw = RawMail("support", "INBOX", 7, uid, NOON, b"x")
            row = unit.quarantine(raw, "", "limit_seconds", "", NOON)
        unit.release(row, NOON)
    found = tally(store)
    assert (found.incidents, found.responses, found.quarantined) == (2, 3, 1)
