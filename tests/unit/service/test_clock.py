"""The clock of the service: the store's time, at the price of few questions."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from triage.ports import StoreError
from triage.service.run import StoreClock

NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
EVERY = 2.0


class Database:
    """It answers noon, until it is down."""

    def __init__(self, *, down: bool = False) -> None:
        self.down, self.asked = down, 0

    def now(self) -> datetime:
        self.asked += 1
        if self.down:
            raise StoreError("the database does not answer")
        return NOON


def test_time_goes_on_between_two_questions() -> None:
    database = Database()
    clock = StoreClock(database.now)
    first, second = clock.now(), clock.now()
    assert NOON <= first <= second
    assert database.asked == 1


def test_the_store_is_asked_again_after_a_while() -> None:
    database = Database()
    clock = StoreClock(database.now, EVERY)
    clock.now()
    time.sleep(2 * EVERY)
    clock.now()
    assert database.asked == 2


def test_a_store_that_is_down_is_not_asked_by_each_who_wants_to_know_the_time() -> None:
    database = Database()
    clock = StoreClock(database.now, EVERY)
    clock.now()
    database.down = True
    time.sleep(2 * EVERY)
    database.asked = 0
    assert clock.now() >= NOON
    clock.now()
    assert database.asked == 1


def test_before_the_first_answer_nobody_knows_the_time() -> None:
    with pytest.raises(StoreError):
        StoreClock(Database(down=True).now).now()
