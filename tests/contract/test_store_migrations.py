"""From the first schema on, every store opens with all that stands in it; over both engines."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import triage.adapters.store.migrations
from triage.adapters.store import open_store, schema, upgrade_store
from triage.adapters.store.engine import make_engine
from triage.adapters.store.lock import take
from triage.ports import StoreError
from triage.rows import MailboxRow, OutboxState, Way

FOLDER = Path(triage.adapters.store.migrations.__file__).parent
NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)
AT = "'2026-11-16 08:30:00.000000+00'"
ROWS = {
    "mailboxes": f"'support', 'INBOX', 7, 42, {AT}, {AT}, '', 0",
    "attempts": "'support', 'INBOX', 7, 43, 2",
    "mails": f"1, 'support', 'INBOX', 7, 42, 'o', 'c', 'm', 's', {AT}, {AT}, 'known', "
    "'managed_package', 'first_in_incident', '[\"reply\"]', 'northwind', 'pass', "
    "'[\"agent_connect/employee_is_queue\"]', '1', 'move:Triage/Known', true",
    "incidents": f"1, 'f', 1, 'northwind', 'agent_connect/employee_is_queue', 'managed_package', "
    f"'title', 'medium', {AT}, {AT}, NULL, 3, '{{\"host\": \"h\"}}'",
    "occurrences": f"1, 1, 1, {AT}, 'first_in_incident'",
    "incident_records": "1, 1, '500'",
    "histories": f"1, 'priya@northwind.example', 1, {AT}, 1",
    "pending_responses": f"1, 1, 'support', 'ticket', {AT}, {AT}",
    "outbox": f"1, 'k', 'reply', 'northwind', 'b@example.com', '[\"priya@northwind.example\"]', "
    f"'m@example.com', 's', 'octets', 'pending', 0, {AT}, {AT}, NULL, '', ''",
    "outbox_recipients": f"'priya@northwind.example', {AT}, 1",
    "switches": "'hold', 'maintenance'",
    "quarantine": f"1, 'support', 'INBOX', 7, 9, 's', 'limit_seconds', '', {AT}, NULL, 'z'",
    "undeliverable": f"'lena@contoso.example', '5.1.1', 'no such user', {AT}",
}


def first_schema(url: str) -> None:
    """A store as the first version left it, with a row in every table."""
    engine = make_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, values in ROWS.items():
            written = values
            if connection.dialect.name == "sqlite":
                written = written.replace("+00'", "'").replace("'octets'", "CAST('octets' AS BLOB)")
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({written})")
    engine.dispose()


def tables(url: str) -> set[str]:
    engine = make_engine(url)
    with engine.connect() as connection:
        found = set(sa.inspect(connection).get_table_names())
    engine.dispose()
    return found


def revision(url: str) -> str:
    engine = make_engine(url)
    with engine.connect() as connection:
        query = sa.text(f"SELECT version_num FROM {schema.VERSION_TABLE}")
        found = str(connection.execute(query).scalar_one())
    engine.dispose()
    return found


def test_a_store_of_the_first_schema_opens_with_all_its_rows(store_url: str) -> None:
    first_schema(store_url)
    assert tables(store_url) - {schema.VERSION_TABLE} == ROWS.keys(), "a table without a row"
    assert upgrade_store(store_url) == ("0001", schema.REVISIONS[-1])
    assert upgrade_store(store_url) == (schema.REVISIONS[-1], schema.REVISIONS[-1])
    with closing(open_store(store_url)) as store, store.unit() as unit:
        assert unit.mailbox("support") == MailboxRow("support", "INBOX", 7, 42, NOW, NOW)
        assert unit.attempts("support", "INBOX", 7, [43]) == {43: 2}
        (mail,) = unit.mails_between(NOW, NOW + timedelta(days=1))
        assert (mail.uid, mail.actions, mail.tenant) == (42, ("reply",), "northwind")
        assert [due.after for due in unit.after_due("support", "INBOX", 7)] == ["move:Triage/Known"]
        incident = unit.open_incident("f")
        assert incident is not None
        assert (incident.notifications, incident.detail) == (3, {"host": "h"})
        (trend,) = unit.trends([NOW + timedelta(weeks=number) for number in range(-7, 2)])
        assert trend.by_reason == {"first_in_incident": (1, 1)}
        assert unit.history(1, "priya@northwind.example").last_response_at == NOW
        assert [(one.recipient, one.record_ids) for one in unit.pending()] == [
            ("support", ("500",))
        ]
        assert unit.told_of(1) == ["priya@northwind.example"]
        (row,) = unit.outbox()
        assert (row.state, row.way, row.octets) == (OutboxState.PENDING, Way.MAIL, b"octets")
        assert unit.levels(["total"]) == {}
        assert (unit.tally().over_budget, unit.holds()) == (0, {})
        assert unit.held() == "maintenance"
        assert [one.reason for one in unit.quarantined()] == ["limit_seconds"]
        assert [one.address for one in unit.undeliverable()] == ["lena@contoso.example"]
        assert unit.silences() == []
    gone = {"outbox_recipients"}
    assert tables(store_url) >= (ROWS.keys() - gone) | {"silences", "buckets", "leases"}
    assert not gone & tables(store_url)


def test_a_failed_upgrade_leaves_the_old_schema_and_a_later_one_works(store_url: str) -> None:
    first_schema(store_url)
    engine = make_engine(store_url)
    with engine.begin() as connection:  # what the upgrade is about to make, after another table
        connection.exec_driver_sql("CREATE TABLE kept_mails (something INTEGER)")
    with pytest.raises(StoreError):
        upgrade_store(store_url)
    assert revision(store_url) == "0001"
    assert tables(store_url) == {*ROWS, schema.VERSION_TABLE, "kept_mails"}
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kept_mails")
    engine.dispose()
    assert upgrade_store(store_url) == ("0001", schema.REVISIONS[-1])


def test_sqlite_goes_forward_at_the_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/triage.db"
    first_schema(url)
    open_store(url).close()
    assert revision(url) == schema.REVISIONS[-1]


def test_under_a_service_of_the_older_program_sqlite_stays_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/triage.db"
    first_schema(url)
    with take(tmp_path / "triage.db"):
        with pytest.raises(StoreError, match=r"schema 0001 is older .* stop it first"):
            open_store(url)
        assert revision(url) == "0001"
    open_store(url).close()
    assert revision(url) == schema.REVISIONS[-1]
