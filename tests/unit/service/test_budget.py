"""Token buckets: how much they let through, whatever comes when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from triage.rows import Level
from triage.service.budget import Budgets, Charge, tokens
from triage.settings import Settings, load, shipped
from triage.settings.types import Rate

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FOUR = Rate(count=4, per=DAY)
MOMENTS = st.integers(min_value=0, max_value=10 * 86_400_000_000)
SETTINGS: Settings = load(shipped("fixtures") / "triage.toml")


class Kept:
    """Levels as a store keeps them; support is told nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Level] = {}

    def levels(self, names: Sequence[str]) -> Mapping[str, Level]:
        return {name: self.kept[name] for name in names if name in self.kept}

    def save_levels(self, levels: Mapping[str, Level]) -> None:
        self.kept |= levels


def test_a_bucket_begins_full_and_fills_evenly_up_to_its_count() -> None:
    assert tokens(None, FOUR, NOON) == 4
    assert tokens(Level(0, NOON), FOUR, NOON + DAY / 8) == 0.5
    assert tokens(Level(3.5, NOON), FOUR, NOON + DAY) == 4
    assert tokens(Level(-2, NOON), FOUR, NOON + DAY / 2) == 0


def test_a_smaller_budget_holds_at_once() -> None:
    assert tokens(Level(20, NOON), FOUR, NOON) == 4


def test_a_clock_that_goes_back_fills_nothing() -> None:
    budgets, unit = Budgets(SETTINGS), Kept()
    budgets.spend(unit, Charge(), 1, NOON)  # type: ignore[arg-type]
    assert tokens(unit.kept["total"], SETTINGS.budgets.total, NOON - DAY) == 199
    budgets.spend(unit, Charge(), 1, NOON - DAY)  # type: ignore[arg-type]
    assert unit.kept["total"] == Level(198, NOON)


def test_a_message_is_charged_to_all_its_budgets_whatever_the_case_of_its_recipient() -> None:
    budgets, unit = Budgets(SETTINGS), Kept()
    charge = Charge("northwind", "Priya@Northwind.example")
    budgets.spend(unit, charge, 1, NOON)  # type: ignore[arg-type]
    budgets.spend(unit, Charge("northwind"), 3, NOON)  # type: ignore[arg-type]
    assert unit.kept == {
        "total": Level(196, NOON),
        "per_tenant of northwind": Level(16, NOON),
        "per_recipient of priya@northwind.example": Level(3, NOON),
    }
    assert budgets.spent(unit, NOON) == 4  # type: ignore[arg-type]


@given(st.lists(MOMENTS, max_size=60), MOMENTS, MOMENTS)
def test_in_any_time_no_more_passes_than_the_count_and_the_rate_over_it(
    asked: list[int], one: int, other: int
) -> None:
    level: Level | None = None
    passed = []
    for moment in (NOON + timedelta(microseconds=each) for each in sorted(asked)):
        has = tokens(level, FOUR, moment)
        if has >= 1:
            level = Level(has - 1, moment)
            passed.append(moment)
    start, end = (NOON + timedelta(microseconds=each) for each in sorted((one, other)))
    inside = [moment for moment in passed if start <= moment <= end]
    assert len(inside) <= 4 + (end - start) / DAY * 4 + 1e-6
