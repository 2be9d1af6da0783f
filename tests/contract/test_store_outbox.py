"""The store's outbox: claims, leases, what is held, and the hold; over both engines."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from triage.adapters.store import SqlStore, open_store
from triage.rows import NewOutbox, OutboxState, Way

HOUR = timedelta(hours=1)
LONG = 600.0


def now() -> datetime:
    """Leases run by the wall clock."""
    return datetime.now(UTC)


def message(key: str = "one", **changes: Any) -> NewOutbox:
    plain = NewOutbox(
        key=key,
        audience="reply",
        tenant="northwind",
        sender="errors+bounce@example.com",
        recipients=("priya@northwind.example",),
        message_id=f"{key}@example.com",
        subject="Employee cannot be a Queue",
        octets=b"From: x\r\n\r\n\x00\xff",
    )
    return replace(plain, **changes)


def queue(store: SqlStore, *keys: str, at: datetime | None = None) -> None:
    with store.unit() as unit:
        for key in keys:
            unit.enqueue(message(key), at or now() - HOUR)


def states(store: SqlStore) -> dict[str, str]:
    with store.unit() as unit:
        return {row.key: row.state for row in unit.outbox()}


def test_a_queued_message_comes_back_as_it_was(store: SqlStore) -> None:
    at = now()
    with store.unit() as unit:
        assert unit.enqueue(message(), at)
    with store.unit() as unit:
        (row,) = unit.outbox()
        assert unit.outbox_row(row.id) == unit.by_message_id("one@example.com") == row
        assert unit.outbox_row(row.id + 1) is None
        assert unit.by_message_id("two@example.com") is None
    assert {name: getattr(row, name) for name in NewOutbox.__slots__} == {
        name: getattr(message(), name) for name in NewOutbox.__slots__
    }
    assert (row.state, row.attempts, row.created_at, row.next_at) == ("pending", 0, at, at)
    assert (row.sent_at, row.error) == (None, "")
    assert isinstance(row.state, OutboxState)


def test_what_was_claimed_can_be_withdrawn_and_nothing_else(store: SqlStore) -> None:
    with store.unit() as unit:
        unit.enqueue(message(ends=(3, 5)), now() - HOUR)
        unit.enqueue(message("two"), now() + HOUR)
    (claimed,) = store.claim(5, LONG)
    assert claimed.ends == (3, 5)
    with store.unit() as unit:
        for row in unit.outbox():
            unit.withdraw(row.id, "it came back")
        dropped = unit.outbox_row(claimed.id)
    assert dropped is not None
    assert (dropped.state, dropped.error) == ("dropped", "it came back")
    assert states(store) == {"one": "dropped", "two": "pending"}


def test_a_key_is_queued_once(store: SqlStore) -> None:
    with store.unit() as unit:
        assert unit.enqueue(message(), now())
        assert not unit.enqueue(message(octets=b"other"), now())
        assert unit.has_key("one")
        assert not unit.has_key("two")
        assert [row.octets for row in unit.outbox()] == [message().octets]


def test_the_newest_rows_are_listed_in_order_and_by_state(store: SqlStore) -> None:
    queue(store, "a", "b", "c", "d")
    with store.unit() as unit:
        (_, b, _, _) = unit.outbox()
        unit.drop(b.id)
        assert [row.key for row in unit.outbox(limit=2)] == ["c", "d"]
        assert [row.key for row in unit.outbox([OutboxState.DROPPED])] == ["b"]
        both = unit.outbox([OutboxState.PENDING, OutboxState.DROPPED])
        assert [row.key for row in both] == ["a", "b", "c", "d"]
        assert unit.outbox(iter([OutboxState.DEAD])) == []


# Claims


def test_a_claim_takes_due_rows_once_and_counts_the_attempt(store: SqlStore) -> None:
    queue(store, "a", "b", "c")
    queue(store, "later", at=now() + HOUR)
    assert [row.key for row in store.claim(2, LONG)] == ["a", "b"]
    (row,) = store.claim(9, LONG)
    assert (row.key, row.state, row.attempts) == ("c", "sending", 1)
    assert store.claim(9, LONG) == []
    assert states(store) == {"a": "sending", "b": "sending", "c": "sending", "later": "pending"}


def test_a_row_whose_lease_ran_out_is_claimed_again(store: SqlStore, store_url: str) -> None:
    queue(store, "a")
    store.claim(1, -1.0)  # as of a process that died a second ago
    other = open_store(store_url)
    (row,) = other.claim(1, LONG)
    other.close()
    assert (row.key, row.attempts) == ("a", 2)


def test_leases_on_a_file_run_by_the_clock_that_is_handed_over(tmp_path: Path) -> None:
    class Moved:
        moment = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)

        def now(self) -> datetime:
            return self.moment

    clock = Moved()
    store = open_store(f"sqlite:///{tmp_path}/triage.db", clock=clock)
    queue(store, "a", at=clock.moment + HOUR)
    assert store.claim(1, 60.0) == []
    clock.moment += HOUR
    assert len(store.claim(1, 60.0)) == 1
    clock.moment += timedelta(seconds=59)
    assert store.claim(1, 60.0) == []
    clock.moment += timedelta(seconds=1)
    (row,) = store.claim(1, 60.0)
    store.mark_sent(row.id)
    with store.unit() as unit:
        assert unit.outbox()[0].sent_at == clock.moment
    store.close()


def test_threads_claim_disjoint_rows_and_all_of_them(store: SqlStore) -> None:
    queue(store, *(f"{n:02}" for n in range(60)))
    claimed: list[str] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        while rows := store.claim(3, LONG):
            claimed.extend(row.key for row in rows)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A claim that met only locked rows may end a thread early, with rows left.
    while rows := store.claim(9, LONG):
        claimed.extend(row.key for row in rows)
    assert sorted(claimed) == [f"{n:02}" for n in range(60)]


def test_nothing_is_claimed_while_sending_is_held(store: SqlStore) -> None:
    queue(store, "a")
    with store.unit() as unit:
        assert unit.held() is None
        unit.hold("a wrong template")
        unit.hold("two wrong templates")
    assert store.claim(1, LONG) == []
    with store.unit() as unit:
        assert unit.held() == "two wrong templates"
        unit.hold(None)
        assert unit.held() is None
    assert len(store.claim(1, LONG)) == 1


# What became of it


def test_a_sent_row_is_never_claimed_again(store: SqlStore) -> None:
    queue(store, "a")
    (row,) = store.claim(1, -1.0)
    before = now()
    store.mark_sent(row.id)
    store.mark_failed(row.id, "too late", now())
    assert store.claim(1, LONG) == []
    with store.unit() as unit:
        (sent,) = unit.outbox()
    assert (sent.state, sent.error) == ("sent", "")
    assert sent.sent_at is not None
    assert abs(sent.sent_at - before) < HOUR


def test_a_failed_row_is_tried_again_at_its_time(store: SqlStore) -> None:
    queue(store, "a")
    (row,) = store.claim(1, LONG)
    store.mark_failed(row.id, "451 try later", now() + HOUR)
    assert store.claim(1, LONG) == []
    store_row = row_of(store)
    assert (store_row.state, store_row.error, store_row.attempts) == ("pending", "451 try later", 1)


def test_a_row_that_failed_for_good_is_dead_and_can_be_retried(store: SqlStore) -> None:
    queue(store, "a")
    (row,) = store.claim(1, LONG)
    store.mark_failed(row.id, "550 no such user", None)
    assert states(store) == {"a": "dead"}
    assert store.claim(1, LONG) == []
    with store.unit() as unit:
        assert unit.retry(row.id, now() - HOUR)
        assert not unit.retry(row.id, now() - HOUR)
        assert not unit.retry(row.id + 1, now())
    (again,) = store.claim(1, LONG)
    assert (again.id, again.attempts, again.octets) == (row.id, 1, message().octets)


def test_a_failure_told_after_another_process_took_over_changes_nothing(
    store: SqlStore, store_url: str
) -> None:
    queue(store, "a")
    (row,) = store.claim(1, -1.0)
    other = open_store(store_url)
    other.claim(1, LONG)
    store.mark_failed(row.id, "connection reset", now() - HOUR)
    assert store.claim(1, LONG) == []
    store.mark_sent(row.id)  # but that it was accepted is true whoever says so
    other.mark_failed(row.id, "connection reset", now() - HOUR)
    other.close()
    assert states(store) == {"a": "sent"}


def test_rows_are_dropped_unless_they_are_sent_or_on_their_way(store: SqlStore) -> None:
    queue(store, "pending", "left behind", "on its way", "sent", "dead")
    with store.unit() as unit:
        ids = {row.key: row.id for row in unit.outbox()}
        unit.drop(ids["pending"])
    _, _, sent, dead = store.claim(4, LONG)
    store.mark_sent(sent.id)
    store.mark_failed(dead.id, "550", None)
    with store._engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE outbox SET due_at = created_at WHERE key = 'left behind'")
        )
    with store.unit() as unit:
        dropped = {key: unit.drop(number) for key, number in ids.items()}
    assert dropped == {
        "pending": False, "left behind": True, "on its way": False, "sent": False, "dead": True,
    }  # fmt: skip
    assert states(store)["left behind"] == states(store)["pending"] == "dropped"


def row_of(store: SqlStore) -> Any:
    with store.unit() as unit:
        (row,) = unit.outbox()
    return row


# Held until released


def hold(store: SqlStore, *keys: str, by: str = "tenant northwind", **changes: Any) -> list[int]:
    with store.unit() as unit:
        for key in keys:
            assert unit.enqueue(message(key, **changes), now() - HOUR, by)
        return [row.id for row in unit.outbox() if row.key in keys]


def test_a_held_message_is_not_claimed_and_says_what_holds_it(store: SqlStore) -> None:
    hold(store, "a", "b")
    hold(store, "c", by="rule x/y")
    queue(store, "d")
    assert [row.key for row in store.claim(9, LONG)] == ["d"]
    with store.unit() as unit:
        assert unit.holds() == {"rule x/y": 1, "tenant northwind": 2}
        (first, *_) = unit.outbox([OutboxState.HELD])
        assert (first.error, first.attempts) == ("tenant northwind", 0)
        assert not unit.enqueue(message("a"), now())
        assert unit.tally().ways[Way.MAIL].held == 3


def test_held_messages_are_released_one_by_one_by_tenant_or_all(store: SqlStore) -> None:
    (one, _) = hold(store, "a", "b")
    hold(store, "c", tenant="contoso")
    hold(store, "d", tenant=None)
    with store.unit() as unit:
        assert unit.let_go(now(), row_id=one) == 1
        assert unit.let_go(now(), row_id=one) == 0
    (row,) = store.claim(9, LONG)
    assert (row.key, row.error) == ("a", "")
    with store.unit() as unit:
        assert unit.let_go(now(), tenant="contoso") == 1
        assert unit.let_go(now(), tenant="nobody") == 0
    assert [row.key for row in store.claim(9, LONG)] == ["c"]
    with store.unit() as unit:
        assert unit.let_go(now()) == 2
        assert unit.holds() == {}
    assert len(store.claim(9, LONG)) == 2


def test_a_held_message_can_be_dropped_and_sent_after_all(store: SqlStore) -> None:
    (one,) = hold(store, "a")
    with store.unit() as unit:
        assert not unit.retry(one, now())
        assert unit.drop(one)
        assert unit.let_go(now()) == 0
        assert unit.retry(one, now() - HOUR)
    (row,) = store.claim(9, LONG)
    assert (row.key, row.error) == ("a", "")


def test_what_is_held_in_a_backup_may_have_been_sent_since(store: SqlStore) -> None:
    hold(store, "a")
    with store.unit() as unit:
        assert [row.state for row in unit.drop_unsent("perhaps sent")] == [OutboxState.DROPPED]
        assert unit.holds() == {}


def test_the_service_that_follows_a_dead_one_takes_its_claims_over_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'triage.db'}"
    dead = open_store(url)
    dead.lock_service()
    queue(dead, "one")
    assert [row.key for row in dead.claim(1, LONG)] == ["one"]
    dead.close()
    next_one = open_store(url)
    assert next_one.claim(1, LONG) == []
    next_one.lock_service()
    assert [row.key for row in next_one.claim(1, LONG)] == ["one"]
    next_one.close()
