"""Silences, token buckets, and why a response waits; over both engines."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.mails import add_mail
from triage.adapters.store import SqlStore, open_store
from triage.catalog.rule import Severity
from triage.incident.silence import Silence, matchers
from triage.ports import Unit
from triage.rows import Level, MailRow

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULE = "rule=agent_connect/employee_is_queue"


def silence(*texts: str, starts: datetime = NOON, ends: datetime = NOON + HOUR) -> Silence:
    return Silence(matchers(texts or (RULE,)), "a release", "dana", starts, ends)


# Silences


def test_a_silence_is_in_force_from_its_start_to_its_end(store: SqlStore) -> None:
    with store.unit() as unit:
        number = unit.add_silence(silence(RULE, "class_name=~Stella.*"))
        (kept,) = unit.silences(NOON)
        assert (kept.id, kept.author, kept.reason) == (number, "dana", "a release")
        assert list(map(str, kept.matchers)) == [RULE, "class_name=~Stella.*"]
        assert (kept.starts_at, kept.ends_at) == (NOON, NOON + HOUR)
        assert len(unit.silences(NOON + HOUR - timedelta(microseconds=1))) == 1
        assert unit.silences(NOON + HOUR) == []
        assert unit.silences(NOON - timedelta(microseconds=1)) == []


def test_an_expired_silence_is_over_and_still_listed(store: SqlStore) -> None:
    with store.unit() as unit:
        number = unit.add_silence(silence())
        assert unit.expire_silence(number, NOON + HOUR / 2)
        assert not unit.expire_silence(number, NOON + HOUR / 2)
        assert not unit.expire_silence(number + 1, NOON)
        assert unit.silences(NOON + HOUR / 2) == []
        assert [one.ends_at for one in unit.silences()] == [NOON + HOUR / 2]


# Buckets


def test_levels_are_kept_and_replaced_and_unknown_ones_are_left_out(store: SqlStore) -> None:
    with store.unit() as unit:
        assert unit.levels(["total"]) == {}
        unit.save_levels({"total": Level(2.25, NOON), "per_tenant of x": Level(-1.0, NOON)})
        unit.save_levels({"total": Level(1 / 3, NOON + HOUR)})
        unit.save_levels({})
    with store.unit() as unit:
        assert unit.levels(["total", "nothing"]) == {"total": Level(1 / 3, NOON + HOUR)}
        assert unit.levels(["per_tenant of x"]) == {"per_tenant of x": Level(-1.0, NOON)}


def test_processes_that_spend_at_the_same_time_take_each_token_once(
    store: SqlStore, store_url: str
) -> None:
    with store.unit() as unit:
        unit.save_levels({"total": Level(30.0, NOON)})
    taken: list[str] = []
    together = threading.Barrier(4)

    def spend() -> None:
        mine = open_store(store_url)
        together.wait()
        for _ in range(12):
            with mine.unit() as unit:
                left = unit.levels(["total"])["total"].tokens
                if left >= 1:
                    unit.save_levels({"total": Level(left - 1, NOON)})
                    taken.append("one")
        mine.close()

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.unit() as unit:
        assert unit.levels(["total"])["total"].tokens == 0
    assert len(taken) == 30


def test_what_a_unit_spent_is_there_again_when_the_unit_fails(store: SqlStore) -> None:
    with pytest.raises(OSError, match="of the caller"), store.unit() as unit:  # noqa: PT012
        unit.save_levels({"total": Level(1.0, NOON)})
        raise OSError("of the caller")
    with store.unit() as unit:
        assert unit.levels(["total"]) == {}


# Why a response waits


def asked(unit: Unit, *at: datetime) -> int:
    """An incident whose notifications came at these times; the first asked for a response."""
    incident = unit.start_incident(
        fingerprint="f", tenant="northwind", rule="a/b", kind="other", title="t",
        severity=Severity.LOW, at=at[0], detail={},
    )  # fmt: skip
    for uid, moment in enumerate(at):
        reason = "within_repeat_interval" if uid else "first_in_incident"
        mail = add_mail(
            unit,
            MailRow(
                "support", "INBOX", 1, uid, f"o{uid}", f"c{uid}", "", "", moment, moment, "known",
                "other", reason, ("reply",), "northwind", "pass", ("a/b",), "1", "none",
            ),
        )  # fmt: skip
        unit.add_occurrence(
            incident.id, mail_id=mail, at=moment, reason=reason, record_ids=["500"], detail={}
        )
    unit.add_pending(incident.id, "reply", "priya@northwind.example", at[0], at[0])
    return unit.pending()[0].id


def reasons(unit: Unit) -> tuple[list[str], list[str]]:
    """Of the mails in order, and of their notifications, as the digest counts them."""
    week = timedelta(weeks=1)
    (trend,) = unit.trends([NOON + number * week for number in range(-7, 2)])
    return (
        [row.reason for row in unit.mails_between(NOON, NOON + week)],
        sorted(Counter({name: count for name, (count, _) in trend.by_reason.items()}).elements()),
    )


def test_a_response_over_budget_says_so_in_the_mail_that_asked_for_it(store: SqlStore) -> None:
    with store.unit() as unit:
        one = asked(unit, NOON, NOON + HOUR)
        unit.postpone([one], NOON + 2 * HOUR)
        assert unit.tally().over_budget == 0
        unit.postpone([one], NOON + 3 * HOUR, "budget")
        assert reasons(unit) == (["budget", "within_repeat_interval"],) * 2
        tally = unit.tally()
        assert (tally.over_budget, tally.over_budget_until) == (1, NOON + 3 * HOUR)
        unit.due_again("silenced", NOON)
        assert unit.pending(NOON + 2 * HOUR) == []
        unit.due_again("budget", NOON + 2 * HOUR)
        assert [each.due_at for each in unit.pending()] == [NOON + 2 * HOUR]
        unit.responded([one], NOON + 3 * HOUR)
        assert (unit.tally().over_budget, unit.tally().over_budget_until) == (0, None)
        assert reasons(unit) == (["budget", "within_repeat_interval"],) * 2


def test_a_response_that_is_dropped_for_a_reason_leaves_it_and_tells_nobody(
    store: SqlStore,
) -> None:
    with store.unit() as unit:
        one = asked(unit, NOON)
        incident = unit.pending()[0].incident.id
        unit.drop_pending([one], "silenced")
        assert unit.pending() == []
        assert reasons(unit) == (["silenced"], ["silenced"])
        assert unit.history(incident, "priya@northwind.example").responses == 0
