"""What the store knows of the end of incidents; over both engines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.mails import add_mail
from triage.adapters.store import SqlStore
from triage.catalog.rule import Severity
from triage.incident.incident import Incident
from triage.ports import Unit
from triage.rows import MailRow, NewOutbox, OutboxState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRIYA = "priya@northwind.example"


def start(
    unit: Unit, name: str, rule: str | None, at: datetime, reason: str, kind: str = "other"
) -> Incident:
    return unit.start_incident(
        fingerprint=name, tenant=name, rule=rule, kind=kind, title="", severity=Severity.LOW,
        at=at, detail={"reason": reason},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "reason", "kind", "uncertain"),
    [
        (None, "unknown_error", "other", True),
        ("a/b", "drifted", "other", True),
        ("a/b", "first_in_incident", "other", False),
        (None, "not_our_integration", "other", False),
        (None, "suspicious", "suspicious", False),
        (None, "", "own", False),
    ],
)
def test_uncertain_is_what_is_unknown_or_drifted_since(
    store: SqlStore, rule: str | None, reason: str, kind: str, *, uncertain: bool
) -> None:
    with store.unit() as unit:
        start(unit, "northwind", rule, NOON, reason, kind)
        expected = {"northwind": NOON} if uncertain else {}
        assert unit.uncertain_since(NOON - HOUR) == expected
        assert unit.uncertain_since(NOON) == {}


def test_uncertain_is_each_suspicious_mail_that_names_the_tenant_and_is_no_copy(
    store: SqlStore,
) -> None:
    found = (("northwind", "suspicious"), ("contoso", "nothing_new"), (None, "suspicious"))
    with store.unit() as unit:
        for uid, (tenant, reason) in enumerate(found):
            add_mail(
                unit,
                MailRow(
                    "support", "INBOX", 1, uid, f"o{uid}", f"c{uid}", "", "", NOON, NOON,
                    "suspicious", "other", reason, (), tenant, "none", (), "1", "none",
                ),
            )  # fmt: skip
        assert unit.uncertain_since(NOON - HOUR) == {"northwind": NOON}
        assert unit.uncertain_since(NOON) == {}


def message(key: str, ends: tuple[int, ...] = ()) -> NewOutbox:
    return NewOutbox(key, "reply", "northwind", "s", (PRIYA,), key, "", b"x", ends=ends)


def tell(unit: Unit, incident: Incident, thread: str) -> None:
    unit.add_pending(incident.id, "reply", PRIYA, NOON, NOON)
    (pending,) = unit.pending()
    unit.responded([pending.id], NOON, thread)


def thread_of(unit: Unit, incident: Incident) -> str:
    unit.add_pending(incident.id, "reply", PRIYA, NOON, NOON)
    (pending,) = unit.pending()
    unit.drop_pending([pending.id])
    return pending.thread


def test_who_is_told_an_end_has_heard_it_when_it_was_sent_and_once(store: SqlStore) -> None:
    with store.unit() as unit:
        incident = start(unit, "northwind", "a/b", NOON, "")
        tell(unit, incident, "first@example.com")
        unit.add_occurrence(
            incident.id, mail_id=None, at=NOON, reason="", record_ids=["500"], detail={}
        )
        unit.enqueue(message("last@example.com", (incident.id,)), store.now())
        assert unit.history(incident.id, PRIYA).has_new_records
    (row,) = store.claim(1, 60.0)
    store.mark_sent(row.id)
    store.mark_sent(row.id)
    with store.unit() as unit:
        heard = unit.history(incident.id, PRIYA)
        assert (heard.responses, heard.has_new_records) == (2, False)


@pytest.mark.parametrize("state", [OutboxState.DROPPED, OutboxState.PENDING])
def test_a_first_mail_that_never_leaves_begins_no_thread(
    store: SqlStore, state: OutboxState
) -> None:
    with store.unit() as unit:
        incident = start(unit, "northwind", "a/b", NOON, "")
        unit.enqueue(message("first@example.com"), NOON)
        tell(unit, incident, "first@example.com")
        if state is OutboxState.DROPPED:
            (row,) = unit.outbox()
            assert unit.drop(row.id)
        tell(unit, incident, "second@example.com")
        begun = "second" if state is OutboxState.DROPPED else "first"
        assert thread_of(unit, incident) == f"{begun}@example.com"
