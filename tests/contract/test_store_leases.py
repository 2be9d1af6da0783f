"""Leases with fencing tokens, and what becomes of a dead process's claims; over both engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.test_store_outbox import message
from tests.servers.postgres import Postgres
from triage.adapters.store import SqlStore, open_store
from triage.ports import LeaseLost
from triage.rows import OutboxState

SHORT, LONG = 0.3, 600.0


@pytest.fixture
def other(store_url: str) -> Iterator[SqlStore]:
    """Another process on the same database."""
    opened = open_store(store_url)
    yield opened
    opened.close()


def write_fenced(store: SqlStore, token: int) -> None:
    with store.unit() as unit:
        unit.enqueue(message("too late"), datetime.now(UTC))
        unit.fenced("mailbox:a", token)


def test_one_process_has_a_lease_until_it_gives_it_back(store: SqlStore, other: SqlStore) -> None:
    first = store.lease("mailbox:a", LONG)
    assert first is not None
    assert other.lease("mailbox:a", LONG) is None
    assert store.lease("mailbox:a", LONG) == first
    store.give_back("mailbox:a")
    taken = other.lease("mailbox:a", LONG)
    assert taken is not None
    assert taken > first
    assert store.lease("mailbox:a", LONG) is None


def test_a_lease_that_ran_out_goes_to_another_with_a_higher_token(
    store: SqlStore, other: SqlStore
) -> None:
    first = store.lease("mailbox:a", SHORT)
    time.sleep(SHORT)
    second = other.lease("mailbox:a", LONG)
    assert first is not None
    assert second is not None
    assert second > first


def test_renewed_leases_do_not_run_out_and_the_living_are_counted(
    store: SqlStore, other: SqlStore
) -> None:
    store.lease("mailbox:a", SHORT)
    assert store.renew(LONG) == 1
    assert other.renew(SHORT) == 2
    time.sleep(SHORT)
    assert other.lease("mailbox:a", LONG) is None
    assert store.renew(LONG) == 1


def test_what_a_process_writes_after_it_lost_its_lease_is_undone(
    store: SqlStore, other: SqlStore
) -> None:
    token = store.lease("mailbox:a", SHORT) or 0
    with store.unit() as unit:
        unit.fenced("mailbox:a", token)
        unit.enqueue(message("in time"), datetime.now(UTC))
    time.sleep(SHORT)
    other.lease("mailbox:a", LONG)
    with pytest.raises(LeaseLost):
        write_fenced(store, token)
    with store.unit() as unit:
        assert [row.key for row in unit.outbox()] == ["in time"]


def test_a_lease_is_not_taken_over_in_the_middle_of_a_unit(
    store: SqlStore, other: SqlStore
) -> None:
    token = store.lease("mailbox:a", SHORT) or 0
    took: list[tuple[int | None, float]] = []

    def take() -> None:
        took.append((other.lease("mailbox:a", LONG), time.monotonic()))

    thread = threading.Thread(target=take)
    with store.unit() as unit:
        unit.fenced("mailbox:a", token)
        time.sleep(SHORT)
        thread.start()
        time.sleep(SHORT)
        ended = time.monotonic()
    thread.join()
    assert took[0][0] == token + 1
    assert took[0][1] >= ended


def test_what_a_dead_process_had_claimed_is_sent_by_another_when_its_lease_runs_out(
    store: SqlStore, other: SqlStore
) -> None:
    with store.unit() as unit:
        unit.enqueue(message(), datetime.now(UTC) - timedelta(hours=1))
    store.renew(SHORT)
    assert len(store.claim(1, LONG)) == 1
    other.renew(LONG)
    assert other.claim(1, LONG) == []
    time.sleep(SHORT)
    other.renew(LONG)
    (row,) = other.claim(1, LONG)
    assert (row.state, row.attempts) == (OutboxState.SENDING, 2)


def test_a_service_that_starts_again_on_a_file_waits_for_no_lease(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/triage.db"
    first = open_store(url)
    first.lock_service()
    first.lease("mailbox:a", LONG)
    first.close()
    second = open_store(url)
    second.lock_service()
    assert second.lease("mailbox:a", LONG) is not None
    second.close()


def test_units_of_one_name_do_not_overlap(store: SqlStore, other: SqlStore) -> None:
    order: list[str] = []

    def second() -> None:
        with other.unit() as unit:
            unit.exclusive("budgets")
            order.append("second")

    thread = threading.Thread(target=second)
    with store.unit() as unit:
        unit.exclusive("budgets")
        thread.start()
        time.sleep(SHORT)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.server
def test_a_process_that_ended_in_good_order_is_not_counted_any_more(postgres: Postgres) -> None:
    url = postgres.database()
    with closing(open_store(url)) as stays:
        with closing(open_store(url)) as goes:
            goes.renew(LONG)
            assert stays.renew(LONG) == 2
        assert stays.renew(LONG) == 1
