"""What processes tell each other of the tickets that they made lately, on every store."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from triage.adapters.fresh import SWITCH, Fresh, Made
from triage.ports import Store

ONE, OTHER = Made("7", "t1", 0, 300.0), Made("", "t2", 1, 150.0)
FAR = {"left": 4e9}


class Clock:
    """A test moves it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def wait(self, **passed: float) -> None:
        self.time += timedelta(**passed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_one_process_made_the_others_know(store: Store, clock: Clock) -> None:
    Fresh(store, clock).keep("triage-1", ONE)
    Fresh(store, clock).keep("triage-2", OTHER)
    clock.wait(seconds=100)
    other = Fresh(store, clock)
    assert other.of("triage-1") == replace(ONE, left=200.0)
    assert other.of("triage-2") == replace(OTHER, left=50.0)
    assert other.of("triage-3") is None
    other.keep("triage-1", None)
    assert Fresh(store, clock).of("triage-1") is None


def test_only_one_begins_until_a_search_must_find_it(store: Store, clock: Clock) -> None:
    assert Fresh(store, clock).begin("triage-1", ONE, None)
    assert not Fresh(store, clock).begin("triage-1", OTHER, Fresh(store, clock).of("triage-1"))
    clock.wait(seconds=300)
    assert Fresh(store, clock).begin("triage-1", OTHER, Fresh(store, clock).of("triage-1"))
    assert Fresh(store, clock).of("triage-1") == OTHER


def test_who_searched_before_another_was_done_does_not_begin(store: Store, clock: Clock) -> None:
    fresh, done = Fresh(store, clock), replace(ONE, left=0.0)
    before = fresh.of("triage-1")
    assert before is None
    fresh.keep("triage-1", done)
    assert not fresh.begin("triage-1", OTHER, before)
    assert not fresh.begin("triage-1", OTHER, replace(done, telling="t0"))
    assert fresh.begin("triage-1", OTHER, done)


def test_it_does_not_grow_without_end(store: Store, clock: Clock) -> None:
    fresh = Fresh(store, clock)
    fresh.keep("triage-1", ONE)
    clock.wait(days=2)
    fresh.keep("triage-2", OTHER)
    assert fresh.of("triage-1") is None
    with store.unit() as unit:
        unit.set_switch(SWITCH, json.dumps({f"triage-{n}": asdict(ONE) | FAR for n in range(1000)}))
    fresh.keep("triage-new", ONE)
    assert fresh.of("triage-0") is None
    assert fresh.of("triage-1") is not None
    assert fresh.of("triage-new") == ONE


def test_a_store_without_fresh_tickets_holds_nothing_of_them(store: Store, clock: Clock) -> None:
    fresh = Fresh(store, clock)
    fresh.keep("triage-1", ONE)
    fresh.keep("triage-1", None)
    with store.unit() as unit:
        assert unit.switch(SWITCH) is None
