"""What the store's questions cost as history grows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from triage.adapters.store import open_store
from triage.catalog.rule import Severity
from triage.ports import Unit
from triage.rows import Level, NewOutbox, OutboxState

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ask_everything(unit: Unit) -> None:
    """Every method whose tables grow."""
    unit.count_attempt("m", "f", 1, [1])
    unit.seen("a", "b")
    unit.recorded("m", "f", 1, [1])
    unit.seen_of(["a"], ["b"])
    unit.mails_between(NOW, NOW)
    unit.after_due("m", "f", 1)
    unit.after_done([1])
    unit.open_incident("f")
    incident = unit.start_incident(
        fingerprint="f", tenant=None, rule=None, kind="other", title="", severity=Severity.LOW,
        at=NOW, detail={},
    )  # fmt: skip
    unit.add_occurrence(incident.id, mail_id=None, at=NOW, reason="", record_ids=["a"], detail={})
    unit.close_incidents(NOW - HOUR, NOW)
    unit.close_incident(incident.id, NOW)
    unit.came_back(incident.id)
    unit.told_of(incident.id)
    unit.uncertain_since(NOW)
    unit.incidents_between(NOW, NOW)
    unit.trends([NOW] * 9)
    unit.verdicts(NOW, NOW)
    unit.history(incident.id, "r")
    unit.open_incidents(["f", "g"])
    unit.histories([incident.id])
    unit.known_records({(incident.id, "a")})
    unit.waiting([incident.id])
    unit.add_pending(incident.id, "reply", "r", NOW, NOW)
    due = [each.id for each in unit.pending(NOW)]
    unit.postpone(due, NOW, "budget")
    unit.due_again("budget", NOW)
    unit.responded(due, NOW)
    unit.enqueue(NewOutbox("k", "reply", "t", "s", ("r",), "m", "", b""), NOW)
    unit.has_key("k")
    unit.enqueue(NewOutbox("h", "reply", "t", "s", ("r",), "m", "", b""), NOW, "tenant t")
    unit.holds()
    unit.let_go(NOW, tenant="t")
    unit.let_go(NOW, row_id=1)
    unit.let_go(NOW)
    unit.save_levels({name: Level(1.0, NOW) for name in unit.levels(["total"])})
    unit.silences(NOW)
    unit.expire_silence(1, NOW)
    unit.outbox([OutboxState.PENDING, OutboxState.DEAD])
    unit.by_message_id("m")
    unit.retry(1, NOW)
    unit.drop(1)
    unit.withdraw(1, "")
    unit.quarantined(1)
    unit.release(1, NOW)


def test_no_question_reads_a_whole_table_and_no_claim_sorts_one(tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = []
    store = open_store(f"sqlite:///{tmp_path}/triage.db")

    def note(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        if re.match("SELECT|UPDATE|DELETE|WITH", sql):
            asked.append((sql, values[0] if isinstance(values, list) else values))

    sa.event.listen(store._engine, "before_cursor_execute", note)
    with store.unit() as unit:
        ask_everything(unit)
    store.claim(5, 1.0, rates=[(5, timedelta(hours=1))])
    sa.event.remove(store._engine, "before_cursor_execute", note)
    with store._engine.connect() as connection:
        plans = {
            sql: [
                step for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            ]
            for sql, values in asked
        }
    store.close()
    assert len(plans) > 25
    whole = re.compile(r"SCAN (?!picked|CONSTANT ROW|\d+ CONSTANT)")
    faults = {
        sql: steps
        for sql, steps in plans.items()
        if any(whole.match(step) or ("picked" in sql and "B-TREE" in step) for step in steps)
    }
    assert not faults, faults
