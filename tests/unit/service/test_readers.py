"""Readers are used up by those who began with them, and what is refused is a symptom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from tests.unit.service.test_health import WELL, Kept
from triage.service.health import health
from triage.service.readers import Readers
from triage.service.status import Status, as_text
from triage.settings import Settings, load, shipped

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Pool:
    """Workers that only know whether they were sent home."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


@cache
def settings() -> Settings:
    return load(shipped("fixtures") / "triage.toml")


def readers() -> tuple[Readers, Pool]:
    pool = Pool()
    return Readers(settings(), pool, None), pool  # type: ignore[arg-type]


def test_workers_stay_until_the_last_mailbox_has_finished() -> None:
    one, pool = readers()
    with one.used() as over, one.used():
        one.end()
        assert over.is_set()
        assert not pool.is_closed
    assert pool.is_closed


def test_workers_that_nobody_uses_end_at_once() -> None:
    one, pool = readers()
    one.end()
    assert pool.is_closed


def test_workers_are_kept_while_they_are_in_force() -> None:
    one, pool = readers()
    with one.used():
        pass
    assert not pool.is_closed


def of(faults: Sequence[str]) -> list[str]:
    state = health(settings(), Kept(WELL), NOON, faults)
    lines = as_text(Status(state, refused=len(faults)), settings())
    return [line for line in lines if line.startswith("tenants")]


def test_refused_contacts_are_a_symptom_of_which_support_hears_after_a_while() -> None:
    faults = [f"t.csv: line {line}: tenant: is missing" for line in range(30)]
    (symptom,) = health(settings(), Kept(WELL), NOON, faults).symptoms
    assert symptom.title == "tenants and contacts are refused for 30 faults"
    assert "t.csv: line 19: " in symptom.text
    assert "and 10 more" in symptom.text
    assert symptom.patience == timedelta(minutes=10)
    assert health(settings(), Kept(WELL), NOON).symptoms == ()


def test_the_status_counts_tenants_and_contacts_and_says_when_they_are_refused() -> None:
    assert of([]) == ["tenants     3 with 3 contacts"]
    assert of(["x"])[0].startswith("tenants     triage.toml refused for 1 faults: triage check")
