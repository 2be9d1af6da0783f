"""What is asked and written for many mails at once; over both engines."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.mails import add_mail
from tests.contract.test_store_mails import mail
from tests.servers.postgres import Postgres
from triage.adapters.store import SqlStore, open_store
from triage.catalog.rule import Severity
from triage.incident.incident import History, Incident
from triage.ports import RowRefusedError, StoreError, Unit
from triage.rows import NewMail, NewOccurrence

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _started(unit: Unit, fingerprint: str) -> Incident:
    return unit.start_incident(
        fingerprint=fingerprint, tenant=None, rule=None, kind="other", title="",
        severity=Severity.LOW, at=NOW, detail={},
    )  # fmt: skip


def test_mails_get_their_ids_in_order_and_lose_their_attempts(store: SqlStore) -> None:
    new = [NewMail(mail(uid), b"octets", truncated=False) for uid in (5, 3, 9)]
    with store.unit() as unit:
        unit.count_attempt("support", "INBOX", 4_294_967_295, [3, 5, 7, 9])
        ids = unit.add_mails([replace(new[0], octets=None), *new[1:]])
        assert unit.attempts("support", "INBOX", 4_294_967_295, [3, 5, 7, 9]) == {7: 1}
        kept = unit.kept(0, NOW - HOUR, 9, 10**6)
        assert {one.row.uid: (one.mail_id, one.octets) for one in kept} == {
            3: (ids[1], b"octets"),
            9: (ids[2], b"octets"),
        }
        assert unit.seen_of(["octets 3", "x", ""], ["content 9", "octets 9"]) == (
            frozenset(("octets 3",)),
            frozenset(("content 9",)),
        )
        assert unit.add_mails([]) == []


def test_notifications_counted_together_leave_the_last_detail(store: SqlStore) -> None:
    with store.unit() as unit:
        one, other = _started(unit, "one"), _started(unit, "other")
        ids = unit.add_mails([NewMail(mail(uid), None, truncated=False) for uid in (1, 2, 3)])
        unit.add_occurrences(
            [
                NewOccurrence(one.id, ids[0], NOW, "first", ("a", "b"), {"at": 0}),
                NewOccurrence(other.id, ids[1], NOW, "first", (), {}),
                NewOccurrence(one.id, ids[2], NOW + HOUR, "again", ("b", "c"), {"at": 2}),
            ]
        )
        unit.add_pending(one.id, "reply", "ann@northwind.example", NOW, NOW)
    with store.unit() as unit:
        found = unit.open_incidents(["one", "other", "none"])
        assert found.keys() == {"one", "other"}
        counted = found["one"]
        assert (counted.notifications, counted.last_seen_at) == (2, NOW + HOUR)
        assert counted.detail == {"at": 2}
        assert found["other"].notifications == 1
        pairs = {(one.id, name) for name in "abcd"} | {(other.id, "a")}
        assert unit.known_records(pairs) == {(one.id, name) for name in "abc"}
        assert unit.waiting([one.id, other.id]) == {(one.id, "reply", "ann@northwind.example")}
        assert unit.histories([one.id, other.id]) == {}
        unit.told(one.id, "ann@northwind.example", NOW)
        heard = unit.histories([one.id])
        assert heard == {(one.id, "ann@northwind.example"): History(1, NOW, has_new_records=False)}


def test_a_fault_in_the_values_is_told_from_one_of_the_database(store: SqlStore) -> None:
    with store.unit() as unit:
        add_mail(unit, mail(1))
    with pytest.raises(RowRefusedError), store.unit() as unit:
        add_mail(unit, mail(1))
    with pytest.raises(StoreError) as error, store.unit() as unit:
        unit.incident(999)
    assert not isinstance(error.value, RowRefusedError)


@pytest.mark.server
def test_an_incident_that_another_process_is_at_is_not_closed_nor_waited_for(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    with closing(open_store(url)) as store, closing(open_store(url)) as other:
        with store.unit() as unit:
            quiet, busy = _started(unit, "quiet"), _started(unit, "busy")
        with store.unit() as unit:
            assert unit.open_incidents(["busy"]).keys() == {"busy"}
            with other.unit() as closes:
                closed = closes.close_incidents(NOW + HOUR, NOW + HOUR)
        assert [one.id for one in closed] == [quiet.id]
        with other.unit() as closes:
            closed = closes.close_incidents(NOW + HOUR, NOW + HOUR)
        assert [one.id for one in closed] == [busy.id]
