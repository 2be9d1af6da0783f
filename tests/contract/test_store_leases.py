"""Leases with fencing tokens, and what becomes of a dead process's claims; over both engines."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.test_store_outbox import message
from tests.servers.postgres import Postgres
from triage.adapters.store import SqlStore, open_store
from triage.adapters.store.engine import make_engine
from triage.ports import LeaseLost, StoreError
from triage.rows import OutboxState
from triage.service.leases import Leases
from triage.service.run import StoreClock

SHORT, LONG = 0.3, 600.0
_FREEZES = """
import sys
from triage.adapters.store import open_store
from triage.ports import StoreError

store = open_store(sys.argv[1])
store.renew(4.5)
token = store.lease("mailbox:a", 4.5)
try:
    with store.unit() as unit:
        unit.fenced("mailbox:a", token)
        print(flush=True)
        sys.stdin.readline()
        unit.hold("too late")
except StoreError as error:
    print(type(error).__name__, error)
try:
    with store.unit() as unit:
        unit.fenced("mailbox:a", token)
except StoreError as error:
    print(type(error).__name__)
"""
"""A process that waits in the middle of a unit, and what becomes of it then."""


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
    store.renew(LONG)
    assert len(store.claim(1, LONG)) == 1
    other.renew(LONG)
    assert other.claim(1, LONG) == []
    store.renew(SHORT)
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


@pytest.mark.server
def test_a_process_that_is_frozen_in_a_unit_loses_its_mailbox_and_stops_no_other(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    patience = "?options=-c%20idle_in_transaction_session_timeout%3D7500"
    with closing(open_store(url)) as store, ThreadPoolExecutor() as threads:
        frozen = subprocess.Popen(
            [sys.executable, "-c", _FREEZES, url + patience],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "\n"
        frozen.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        leases = Leases(store, 2, LONG)
        leases.beat()
        assert leases.take("a") is None
        assert time.monotonic() - began < 4.2  # before the lease ends nobody waits for its holder
        time.sleep(max(0.0, 4.8 - time.monotonic() + began))
        taken = threads.submit(leases.take, "a")
        time.sleep(0.1)
        assert not leases.is_surplus("b")
        assert not taken.done()
        assert taken.result(30) == 2
        assert time.monotonic() - began < 15
        frozen.send_signal(signal.SIGCONT)
        said, _ = frozen.communicate("\n", timeout=60)
        assert "StoreError the store" in said
        assert "stood still" in said
        assert said.endswith("LeaseLost\n")
        with store.unit() as unit:
            assert unit.held() is None
            assert not unit.outbox()


@pytest.mark.server
def test_sessions_end_well_within_a_lease_unless_the_operator_says_otherwise(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    for options, idle in (
        ("", "10s"),
        ("?options=-c%20idle_in_transaction_session_timeout=0", "0"),
    ):
        engine = make_engine(url + options)
        with engine.connect() as connection:
            show = connection.exec_driver_sql
            assert show("SHOW idle_in_transaction_session_timeout").scalar() == idle
            assert show("SHOW lock_timeout").scalar() == "15s"
            assert show("SHOW tcp_keepalives_idle").scalar() == "5"
        engine.dispose()


@pytest.mark.server
def test_who_waits_too_long_for_another_process_gives_up_and_blames_no_row(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    hasty = "?options=-c%20lock_timeout%3D100"
    with closing(open_store(url)) as store, closing(open_store(url + hasty)) as other:
        with store.unit() as unit:
            unit.exclusive("budgets")
            with pytest.raises(StoreError, match="tried again") as error, other.unit() as late:
                late.exclusive("budgets")
        assert type(error.value) is StoreError
        with other.unit() as late:
            late.exclusive("budgets")


@pytest.mark.server
def test_no_open_unit_keeps_another_thread_from_time_and_leases(postgres: Postgres) -> None:
    many = 16
    with (
        closing(open_store(postgres.database())) as store,
        ThreadPoolExecutor(many) as threads,
    ):
        clock = StoreClock(store.now, every=0.0)
        clock.now()
        meeting = threading.Barrier(many + 1)

        def ask(number: int) -> float:
            with store.unit() as unit:
                unit.exclusive(str(number))
                meeting.wait(60)
                began = time.monotonic()
                clock.now()
                return time.monotonic() - began

        waits = [threads.submit(ask, number) for number in range(many)]
        meeting.wait(60)
        began = time.monotonic()
        store.renew(LONG)
        assert time.monotonic() - began < 12
        assert max(wait.result() for wait in waits) < 12


@pytest.mark.server
def test_processes_that_find_each_other_dead_after_an_outage_both_live_on(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    with (
        closing(open_store(url)) as third,
        closing(open_store(url)) as one,
        closing(open_store(url)) as other,
        ThreadPoolExecutor() as threads,
    ):
        tokens = {}
        for store, name in ((one, "mailbox:a"), (other, "mailbox:b")):
            store.renew(SHORT)
            tokens[name] = store.lease(name, SHORT) or 0
        time.sleep(SHORT)
        # Both have renewed the first of their leases, and neither has the second, until it ends.
        with third.unit() as unit:
            for name, token in tokens.items():
                unit.fenced(name, token)
            living = [threads.submit(store.renew, LONG) for store in (one, other)]
            time.sleep(SHORT)
        assert max(each.result(60) for each in living) == 2
        assert third.renew(LONG) == 3


def test_who_comes_late_itself_takes_nobody_for_dead(store: SqlStore, other: SqlStore) -> None:
    with store.unit() as unit:
        unit.enqueue(message(), datetime.now(UTC) - timedelta(hours=1))
    store.renew(SHORT)
    other.renew(SHORT)
    assert len(store.claim(1, LONG)) == 1
    time.sleep(SHORT)
    other.renew(LONG)
    store.renew(LONG)
    other.renew(LONG)
    assert other.claim(1, LONG) == []


@pytest.mark.server
def test_names_asked_for_at_once_are_had_in_one_order(postgres: Postgres) -> None:
    url = postgres.database()
    names = [str(number) for number in range(200)]
    with closing(open_store(url)) as store, ThreadPoolExecutor() as threads:
        meeting = threading.Barrier(2)

        def both(wanted: list[str]) -> None:
            for _ in range(20):
                meeting.wait(60)
                with store.unit() as unit:
                    unit.exclusive(*wanted)

        for done in [threads.submit(both, names), threads.submit(both, names[::-1])]:
            done.result()
