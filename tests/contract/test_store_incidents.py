"""The store's incidents and the responses that wait for them; over both engines."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from triage.adapters.store import SqlStore
from triage.catalog.rule import Severity
from triage.incident.incident import History, Incident
from triage.ports import StoreError, Unit
from triage.rows import Earlier

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def start(unit: Unit, fingerprint: str = "f", at: datetime = NOW) -> Incident:
    return unit.start_incident(
        fingerprint=fingerprint,
        tenant="northwind",
        rule="agent_connect/employee_is_queue",
        kind="managed_package",
        title="The record's employee is a queue",
        severity=Severity.MEDIUM,
        at=at,
        detail={"facts": {"org_id": "00D8x000001AbCd"}},
    )


def occur(unit: Unit, incident: Incident, *records: str, at: datetime = NOW) -> Incident:
    return unit.add_occurrence(
        incident.id, mail_id=None, at=at, reason="first_in_incident", record_ids=records,
        detail={"excerpt": "Employee cannot be a Queue", "sandbox": False, "list": [1, None]},
    )  # fmt: skip


def test_an_incident_opens_with_no_notifications_yet(store: SqlStore) -> None:
    with store.unit() as unit:
        assert unit.open_incident("f") is None
        started = start(unit)
    with store.unit() as unit:
        assert unit.open_incident("f") == started == unit.incident(started.id)
        assert unit.open_incident("g") is None
    assert started == Incident(
        id=started.id, fingerprint="f", episode=1, tenant="northwind",
        rule="agent_connect/employee_is_queue", kind="managed_package",
        title="The record's employee is a queue", severity=Severity.MEDIUM, opened_at=NOW,
        last_seen_at=NOW, closed_at=None, notifications=0,
        detail={"facts": {"org_id": "00D8x000001AbCd"}},
    )  # fmt: skip
    assert isinstance(started.severity, Severity)


def test_an_incident_that_does_not_exist_is_told(store: SqlStore) -> None:
    with store.unit() as unit:
        with pytest.raises(StoreError, match="no incident 99"):
            unit.incident(99)
        with pytest.raises(StoreError, match="no incident 99"):
            unit.add_occurrence(99, mail_id=None, at=NOW, reason="", record_ids=["500"], detail={})


def test_an_occurrence_is_counted_and_its_detail_replaces_the_incidents(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = start(unit)
        occur(unit, incident, at=NOW + HOUR)
        late = occur(unit, incident, at=NOW - HOUR)
        assert late == unit.incident(incident.id)
    assert late.notifications == 2
    assert late.last_seen_at == NOW + HOUR
    assert late.opened_at == NOW
    assert late.detail["list"] == [1, None]
    assert "facts" not in late.detail


def test_a_fingerprint_has_one_open_episode(store: SqlStore) -> None:
    with store.unit() as unit:
        first = start(unit)
        assert start(unit, at=NOW + HOUR) == first


def test_after_closing_the_next_episode_opens(store: SqlStore) -> None:
    with store.unit() as unit:
        first, other = start(unit), start(unit, "g", at=NOW + HOUR)
        assert unit.close_incidents(NOW, NOW + HOUR) == []
        assert [one.id for one in unit.close_incidents(NOW + HOUR, NOW + 2 * HOUR)] == [first.id]
        assert unit.close_incidents(NOW + HOUR, NOW + 3 * HOUR) == []
        assert unit.open_incident("f") is None
        assert unit.open_incident("g") == other
        assert unit.incident(first.id).closed_at == NOW + 2 * HOUR
        second = start(unit)
    assert (first.episode, second.episode) == (1, 2)


def test_two_writers_that_open_the_same_incident_get_the_same_one(store: SqlStore) -> None:
    answered: list[Incident] = []

    def second() -> None:
        with store.unit() as unit:
            answered.append(start(unit))

    thread = threading.Thread(target=second)
    with store.unit() as unit:
        first = start(unit)
        thread.start()
        time.sleep(0.2)  # the second now waits for this unit
        assert answered == []
    thread.join()
    assert answered == [first]


def test_an_incident_that_was_asked_for_is_the_units_own(store: SqlStore) -> None:
    changed: list[Incident] = []
    with store.unit() as unit:
        incident = start(unit)

    def second() -> None:
        with store.unit() as unit:
            changed.append(occur(unit, incident))

    thread = threading.Thread(target=second)
    with store.unit() as unit:
        assert unit.open_incident("f") == incident
        thread.start()
        time.sleep(0.2)
        assert changed == []
        assert unit.incident(incident.id).notifications == 0
    thread.join()
    assert changed[0].notifications == 1


def test_incidents_of_a_time_are_those_open_at_any_moment_of_it(store: SqlStore) -> None:
    with store.unit() as unit:
        for name, opened, seen in (("a", 0, 0), ("b", 1, 1), ("c", 2, 9), ("d", 4, 9), ("e", 0, 9)):
            occur(unit, start(unit, name, NOW + opened * HOUR), at=NOW + seen * HOUR)
        unit.close_incidents(NOW + HOUR, NOW + 2 * HOUR)  # a, at the start: not in it
        unit.close_incidents(NOW + 2 * HOUR, NOW + 3 * HOUR)  # b, within
        found = unit.incidents_between(NOW + 2 * HOUR, NOW + 4 * HOUR)
    assert [incident.fingerprint for incident in found] == ["e", "b", "c"]


# Responses


def wait(
    unit: Unit, incident: Incident, recipient: str = "p@northwind.example", hours: int = 1
) -> None:
    unit.add_pending(incident.id, "reply", recipient, NOW, NOW + hours * HOUR)


def test_one_response_waits_per_incident_and_recipient(store: SqlStore) -> None:
    with store.unit() as unit:
        incident, other = start(unit), start(unit, "g")
        wait(unit, incident, hours=2)
        wait(unit, incident, hours=1)
        wait(unit, incident, "q@northwind.example", hours=1)
        wait(unit, other, hours=3)
    with store.unit() as unit:
        found = unit.pending()
    assert [(each.incident.id, each.recipient, each.due_at) for each in found] == [
        (incident.id, "q@northwind.example", NOW + HOUR),
        (incident.id, "p@northwind.example", NOW + 2 * HOUR),
        (other.id, "p@northwind.example", NOW + 3 * HOUR),
    ]


def test_a_pending_response_has_its_incident_and_records_as_they_are_now(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), "b", "a")
        wait(unit, incident)
        latest = occur(unit, incident, "a", "c", "c")
        (found,) = unit.pending()
    assert found.incident == latest
    assert (found.audience, found.created_at) == ("reply", NOW)
    assert found.record_ids == found.new_record_ids == ("b", "a", "c")
    assert found.history == History(0, None, has_new_records=True)


def test_only_what_is_due_is_answered_and_can_be_postponed(store: SqlStore) -> None:
    with store.unit() as unit:
        wait(unit, start(unit))
        assert unit.pending(NOW + HOUR / 2) == []
        (found,) = unit.pending(NOW + HOUR)
        unit.postpone([found.id], NOW + 2 * HOUR)
        unit.postpone([], NOW)
        assert unit.pending(NOW + HOUR) == []
        assert unit.pending(NOW + 2 * HOUR)[0].id == found.id


def test_after_a_response_only_later_records_are_new_to_that_recipient(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), "a", "b")
        wait(unit, incident)
        unit.responded([each.id for each in unit.pending()], NOW + HOUR)
        assert unit.pending() == []
        told = unit.history(incident.id, "p@northwind.example")
        assert told == History(1, NOW + HOUR, has_new_records=False)
        assert unit.history(incident.id, "q@northwind.example") == History()
        occur(unit, incident, "b", "c")
        assert unit.history(incident.id, "p@northwind.example").has_new_records
        wait(unit, incident)
        wait(unit, incident, "q@northwind.example")
        first, second = unit.pending()
        unit.responded([first.id], NOW + 2 * HOUR)
        again = unit.history(incident.id, "p@northwind.example")
    assert (first.record_ids, first.new_record_ids) == (("a", "b", "c"), ("c",))
    assert first.history == History(1, NOW + HOUR, has_new_records=True)
    assert second.new_record_ids == ("a", "b", "c")
    assert again == History(2, NOW + 2 * HOUR, has_new_records=False)


def test_what_came_since_the_last_response_is_counted_for_each_recipient(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit))
        wait(unit, incident)
        (first,) = unit.pending()
        unit.responded([first.id], NOW + HOUR, "triage.1@example.com")
        occur(unit, incident)
        occur(unit, incident)
        wait(unit, incident)
        wait(unit, incident, "q@northwind.example")
        again, other = unit.pending()
        unit.responded([again.id], NOW + HOUR, "triage.2@example.com")
        wait(unit, incident)
        _, last = unit.pending()
    assert (first.new_notifications, first.thread) == (None, "")
    assert (again.new_notifications, again.thread) == (2, "triage.1@example.com")
    assert (other.new_notifications, other.thread) == (None, "")
    assert (last.new_notifications, last.thread) == (0, "triage.1@example.com")


def test_of_what_a_lost_store_told_nobody_hears_the_end(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit))
        for recipient in ("p@northwind.example", "q@northwind.example"):
            wait(unit, incident, recipient)
        unit.responded([each.id for each in unit.pending()], NOW)
        assert unit.told_of(incident.id) == ["p@northwind.example", "q@northwind.example"]
        unit.told(incident.id, "p@northwind.example", NOW)
        unit.told(incident.id, "r@northwind.example", NOW)
        assert unit.told_of(incident.id) == ["q@northwind.example"]
        wait(unit, incident)
        assert unit.pending()[0].new_notifications is None


def test_a_response_to_a_closed_incident_is_its_closing_until_it_comes_back(
    store: SqlStore,
) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), "a")
        wait(unit, incident)
        unit.close_incident(incident.id, NOW + HOUR)
        assert not unit.pending()[0].is_closing, "it is the first"
        unit.responded([each.id for each in unit.pending()], NOW + HOUR)
        wait(unit, incident)
        assert unit.pending()[0].is_closing
        assert not unit.came_back(incident.id)
        unit.close_incident(incident.id, NOW + 2 * HOUR)
        assert unit.incident(incident.id).closed_at == NOW + HOUR
        back = start(unit, at=NOW + 3 * HOUR)
        wait(unit, back)
        wait(unit, back, "q@northwind.example")
        assert unit.came_back(incident.id)
        assert not unit.came_back(back.id)
        old, known, other = unit.pending()
    assert (old.came_back, old.is_closing, old.earlier) == (True, False, None)
    assert (known.came_back, known.earlier) == (False, Earlier(NOW, NOW + HOUR))
    assert other.earlier is None


def test_records_are_new_until_they_were_told(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), "a", "b")
        assert unit.history(incident.id, "p@northwind.example") == History()
        wait(unit, incident)
        unit.responded([unit.pending()[0].id], NOW)

        def new() -> bool:
            return unit.history(incident.id, "p@northwind.example").has_new_records

        assert not new()
        occur(unit, incident, "b", "a")
        assert not new()
        occur(unit, incident, "a", "c")
        assert new()


def test_a_response_to_an_incident_without_records_leaves_nothing_new(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit))
        wait(unit, incident)
        unit.responded([unit.pending()[0].id], NOW)
        assert not unit.history(incident.id, "p@northwind.example").has_new_records


def test_of_very_many_records_the_newest_are_answered_and_the_others_counted(
    store: SqlStore,
) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), *(f"{n:018}" for n in range(1500)))
        wait(unit, incident)
        (found,) = unit.pending()
        unit.responded([found.id], NOW + HOUR)
        occur(unit, incident, *(f"{n:018}" for n in range(1500, 3001)))
        wait(unit, incident)
        (again,) = unit.pending()
    assert found.record_ids == tuple(f"{n:018}" for n in range(500, 1500))
    assert (found.more_records, found.more_new_records) == (500, 500)
    assert (again.more_records, again.more_new_records) == (2001, 501)


def test_more_responses_are_asked_for_than_a_database_takes_values(store: SqlStore) -> None:
    with store.unit() as unit:
        wait(unit, start(unit))
        wait(unit, start(unit, "g"), hours=0)
        last, first = (one.id for one in unit.pending()[::-1])
        found = unit.pending(ids=[last, *range(10**6, 10**6 + 66_000), first])
    assert [one.id for one in found] == [first, last]


def test_a_dropped_response_was_never_told(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = occur(unit, start(unit), "a")
        wait(unit, incident)
        unit.drop_pending([each.id for each in unit.pending()])
        assert unit.pending() == []
        assert unit.history(incident.id, "p@northwind.example") == History()


def test_two_renderers_at_the_same_time_answer_each_response_once(store: SqlStore) -> None:
    rendered: list[int] = []

    def render() -> None:
        with store.unit() as unit:
            found = [each.id for each in unit.pending(NOW + HOUR)]
            time.sleep(0.2)
            unit.responded(found, NOW + HOUR)
            rendered.extend(found)

    with store.unit() as unit:
        for number in range(10):
            wait(unit, start(unit, str(number)))
    threads = [threading.Thread(target=render) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rendered) == len(set(rendered)) == 10
