"""The store as a whole: transactions, schema, locks, faults and kills; over both engines."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import triage.adapters.store.migrations
from tests.servers.postgres import PASSWORD, Postgres
from triage.adapters.store import SqlStore, open_store, schema
from triage.ports import StoreError
from triage.rows import MailboxRow, NewOutbox

NOW = datetime(2026, 11, 16, 8, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "triage.db"


@pytest.fixture
def sqlite_store(sqlite_file: Path) -> Iterator[SqlStore]:
    store = open_store(f"sqlite:///{sqlite_file}")
    yield store
    store.close()


def mailbox(cursor: int = 7) -> MailboxRow:
    return MailboxRow("support", "INBOX", 1, cursor, NOW, NOW)


def message(key: str) -> NewOutbox:
    return NewOutbox(
        key, "reply", "northwind", "bounce@example.com", ("priya@northwind.example",),
        f"{key}@example.com", "subject", b"octets",
    )  # fmt: skip


# Transactions


def test_what_a_unit_wrote_is_there_after_it(store: SqlStore) -> None:
    with store.unit() as unit:
        unit.save_mailbox(mailbox())
    with store.unit() as unit:
        assert unit.mailbox("support") == mailbox()


def test_an_exception_in_a_unit_leaves_nothing_of_it_and_passes_unchanged(store: SqlStore) -> None:
    with pytest.raises(OSError, match="of the caller"), store.unit() as unit:  # noqa: PT012
        unit.save_mailbox(mailbox())
        unit.enqueue(message("one"), NOW)
        raise OSError("of the caller")
    with store.unit() as unit:
        assert unit.mailbox("support") is None
        assert not unit.outbox()


def test_everything_is_there_after_a_restart(store_url: str) -> None:
    first = open_store(store_url)
    with first.unit() as unit:
        unit.save_mailbox(mailbox())
        unit.enqueue(message("one"), NOW)
        unit.hold("maintenance")
    first.close()
    second = open_store(store_url)
    with second.unit() as unit:
        assert unit.mailbox("support") == mailbox()
        assert unit.has_key("one")
        assert unit.held() == "maintenance"
    second.close()


def test_many_threads_write_at_the_same_time(store: SqlStore) -> None:
    def work(name: str) -> None:
        for number in range(10):
            with store.unit() as unit:
                unit.enqueue(message(f"{name}-{number}"), NOW)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.unit() as unit:
        assert len(unit.outbox()) == 80


def test_times_keep_their_microseconds_and_come_back_as_utc(store: SqlStore) -> None:
    tokyo = timezone(timedelta(hours=9))
    with store.unit() as unit:
        unit.save_mailbox(MailboxRow("support", "INBOX", 1, 0, NOW.astimezone(tokyo), NOW))
    with store.unit() as unit:
        row = unit.mailbox("support")
    assert row is not None
    assert row.started_at == NOW
    assert row.started_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(store: SqlStore) -> None:
    naive = datetime(2026, 11, 16)  # noqa: DTZ001 - what is tested
    with pytest.raises(StoreError, match="time zone"), store.unit() as unit:
        unit.save_mailbox(MailboxRow("support", "INBOX", 1, 0, naive, NOW))


def test_text_that_a_database_refuses_is_replaced(store: SqlStore) -> None:
    row = MailboxRow("support", "INBOX", 1, 0, NOW, NOW, error="nul \x00, surrogate \udc80")
    with store.unit() as unit:
        unit.save_mailbox(row)
    with store.unit() as unit:
        saved = unit.mailbox("support")
    assert saved is not None
    assert saved.error == "nul \ufffd, surrogate ?"


# Schema


def test_the_first_start_makes_the_schema_that_the_program_works_with(store: SqlStore) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema.REVISIONS[-1]


def test_every_revision_is_known_to_the_program() -> None:
    folder = Path(triage.adapters.store.migrations.__file__).parent
    revisions = [script.revision for script in ScriptDirectory(folder).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.REVISIONS


def test_two_first_starts_at_the_same_time_make_one_schema(store_url: str) -> None:
    failures: list[Exception] = []

    def start() -> None:
        try:
            open_store(store_url).close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def set_revision(url: str, revision: str) -> None:
    store = open_store(url)
    with store._engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'"))
    store.close()


def test_a_schema_newer_than_the_program_is_refused(store_url: str) -> None:
    set_revision(store_url, "9999")
    with pytest.raises(StoreError, match="9999 is newer than this program"):
        open_store(store_url)


def test_an_older_schema_on_postgresql_waits_for_the_command(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.database()
    open_store(url).close()
    monkeypatch.setattr("triage.adapters.store.migrate.REVISIONS", (*schema.REVISIONS, "9000"))
    with pytest.raises(StoreError, match="run triage db upgrade"):
        open_store(url)


def test_a_current_schema_opens_without_alembic(sqlite_file: Path) -> None:
    open_store(f"sqlite:///{sqlite_file}").close()
    script = (
        "import sys; from triage.adapters.store import open_store;"
        f"open_store('sqlite:///{sqlite_file}').close(); print('alembic' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert printed.stdout.strip() == "False"


# The file


def test_the_file_is_its_owners_only_and_commits_reach_the_disk(
    sqlite_store: SqlStore, sqlite_file: Path
) -> None:
    with sqlite_store.unit() as unit:
        unit.save_mailbox(mailbox())
    for path in sqlite_file.parent.glob("triage.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    with sqlite_store._engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 2, 1, 30_000]


def test_a_second_service_on_the_file_is_refused_and_told_where_the_first_is(
    sqlite_store: SqlStore, sqlite_file: Path
) -> None:
    sqlite_store.lock_service()
    second = open_store(f"sqlite:///{sqlite_file}")
    with pytest.raises(StoreError, match=f"another triage service.*process {os.getpid()} "):
        second.lock_service()
    with second.unit() as unit:  # other commands work beside the service
        assert unit.mailbox("support") is None
    sqlite_store.close()
    second.lock_service()
    second.close()


def test_a_killed_service_leaves_no_lock_although_its_children_live(sqlite_file: Path) -> None:
    script = (
        "import os, time; from triage.adapters.store import open_store;"
        f"open_store('sqlite:///{sqlite_file}').lock_service();"
        "child = os.getpid() if os.fork() == 0 else 0;"
        "print(child, flush=True) if child else None; time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        child = int(service.stdout.readline())
        store = open_store(f"sqlite:///{sqlite_file}")
        with pytest.raises(StoreError, match=f"process {service.pid} "):
            store.lock_service()
        service.kill()
        service.wait()
        store.lock_service()
        store.close()
        os.kill(child, signal.SIGKILL)


def test_many_services_share_postgresql(postgres: Postgres) -> None:
    url = postgres.database()
    first, second = open_store(url), open_store(url)
    first.lock_service()
    second.lock_service()
    first.close()
    second.close()


# Faults


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("no url: s3cret", "is not a URL"),
        ("postgresql://u:s3cret@h:port/db", "is not a URL"),
        ("mysql://u:s3cret@h/db", "no store on 'mysql'"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////no/such/folder/triage.db", "check that its folder exists"),
        ("postgresql://u:s3cret@127.0.0.1:1/db", "check that the server runs"),
        ("postgresql://u:s3cret@no-such-host.invalid/db", "check that the server runs"),
    ],
)
def test_a_wrong_url_is_named_without_its_secrets(url: str, text: str) -> None:
    with pytest.raises(StoreError, match=text) as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_password_is_told_and_not_shown(postgres: Postgres) -> None:
    with pytest.raises(StoreError, match="check user and password") as caught:
        open_store(postgres.url(password="wr0ng"))
    assert "wr0ng" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_file_that_must_exist_is_not_made(sqlite_file: Path) -> None:
    with pytest.raises(StoreError, match="does not exist: check"):
        open_store(f"sqlite:///{sqlite_file}", must_exist=True)
    assert not sqlite_file.exists()


def test_a_missing_database_is_told(postgres: Postgres) -> None:
    with pytest.raises(StoreError, match="check that the server runs, and host, port and database"):
        open_store(postgres.url("no_such_database"))


def test_a_file_that_is_no_database_is_told(sqlite_file: Path) -> None:
    sqlite_file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        open_store(f"sqlite:///{sqlite_file}")


def test_a_full_disk_is_told_leaves_nothing_and_mends_itself(sqlite_store: SqlStore) -> None:
    def pages(count: int) -> None:
        with sqlite_store._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {count}")

    def fill() -> None:
        with sqlite_store.unit() as unit:
            for number in range(1000):
                unit.enqueue(message(str(number)), NOW)

    pages(1)  # no more than there are
    with pytest.raises(StoreError, match=r"INSERT INTO outbox: .*full: free space"):
        fill()
    pages(1_000_000)
    with sqlite_store.unit() as unit:
        assert not unit.outbox()
        assert unit.enqueue(message("after"), NOW)


def test_a_read_only_file_is_told(sqlite_store: SqlStore) -> None:
    with sqlite_store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with (
        pytest.raises(StoreError, match="check owner and permissions"),
        sqlite_store.unit() as unit,
    ):
        unit.save_mailbox(mailbox())


def test_a_locked_file_is_told(sqlite_store: SqlStore, sqlite_file: Path) -> None:
    with sqlite_store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(StoreError, match="another program holds the file locked"),
        sqlite_store.unit(),
    ):
        pass
    other.close()
    with sqlite_store.unit() as unit:
        assert unit.mailboxes() == []


def test_a_server_that_stops_and_comes_back_is_used_again() -> None:
    with Postgres() as server:
        store = open_store(server.database())
        with store.unit() as unit:
            unit.save_mailbox(mailbox())
        server.stop()
        with pytest.raises(StoreError), store.unit():
            pass
        server.start()
        with store.unit() as unit:
            assert unit.mailbox("support") == mailbox()
        store.close()


# Kills

WRITER = """
import sys
from datetime import UTC, datetime
from triage.adapters.store import open_store
from triage.catalog.rule import Severity
from triage.rows import NewOutbox

store, now = open_store(sys.argv[1]), datetime.now(UTC)
for number in range(100_000):
    with store.unit() as unit:
        incident = unit.open_incident("f") or unit.start_incident(
            fingerprint="f", tenant=None, rule=None, kind="other", title="", at=now, detail={},
            severity=Severity.LOW)
        unit.add_occurrence(incident.id, mail_id=None, at=now, reason="", record_ids=[], detail={})
        unit.enqueue(NewOutbox(str(number), "own", None, "", ("a@example.com",), "", "", b""), now)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_whole_units_and_all_that_it_committed(store_url: str) -> None:
    open_store(store_url).close()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, store_url], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        committed = next(int(line) for line in writer.stdout if int(line) >= 50) + 1
        writer.kill()
        committed = max([committed, *(int(line) + 1 for line in writer.stdout if line[-1] == "\n")])
    store = open_store(store_url)
    with store.unit() as unit:
        incident = unit.open_incident("f")
        assert incident is not None
        queued = len(unit.outbox(limit=1_000_000))
    with store._engine.connect() as connection:
        counting = sa.select(sa.func.count()).select_from(schema.occurrences)
        counted = connection.execute(counting).scalar_one()
    store.close()
    assert committed <= queued == incident.notifications == counted <= committed + 1
