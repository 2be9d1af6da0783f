"""Backup of a store in use, and what is put back."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers.postgres import Postgres
from triage.adapters.store import SqlStore, back_up, open_store, restoring, schema
from triage.ports import StoreError
from triage.rows import NewOutbox

NOW = datetime(2026, 11, 16, 8, 30, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/triage.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


def queue(store: SqlStore, *keys: str) -> None:
    with store.unit() as unit:
        for key in keys:
            unit.enqueue(NewOutbox(key, "own", None, "", ("a@example.com",), key, "", b"x"), NOW)


def keys(url: str) -> list[str]:
    with closing(open_store(url)) as store, store.unit() as unit:
        return [row.key for row in unit.outbox()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_backup_of_a_store_in_use_is_whole_and_its_owners_only(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    target, stop = tmp_path / "backups" / "one.db", threading.Event()
    target.parent.mkdir()
    store.lock_service()
    queue(store, "before")

    def write() -> None:
        number = 0
        while not stop.is_set():
            queue(store, f"{number}-a", f"{number}-b")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    octets = back_up(url, target)
    stop.set()
    writer.join()
    queue(store, "after")
    assert octets == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(target.parent) == ["one.db"]
    found = keys(f"sqlite:///{target}")
    assert "before" in found
    assert "after" not in found
    assert len(found) % 2 == 1, "half of a unit"


def test_a_backup_takes_no_other_files_place(store: SqlStore, url: str, tmp_path: Path) -> None:
    queue(store, "one")
    target = tmp_path / "precious"
    target.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        back_up(url, target)
    assert target.read_text() == "precious"


def test_a_backup_into_a_folder_that_is_missing_names_the_folder(store: SqlStore, url: str) -> None:
    queue(store, "one")
    with pytest.raises(StoreError, match=r"^/no/such/folder: there is no such folder"):
        back_up(url, Path("/no/such/folder/backup.db"))


def test_a_store_that_does_not_exist_is_not_made_by_its_backup(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        back_up(f"sqlite:///{tmp_path}/typo.db", tmp_path / "backup.db")
    assert names(tmp_path) == []


def test_what_is_restored_takes_the_stores_place_and_the_old_one_is_kept(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    queue(store, "one")
    back_up(url, tmp_path / "backup.db")
    queue(store, "two")
    store.close()
    with restoring(url, tmp_path / "backup.db") as restored:
        queue(restored.store, "made safe")
    assert keys(url) == ["one", "made safe"]
    assert restored.kept is not None
    assert keys(f"sqlite:///{restored.kept}") == ["one", "two"]
    assert keys(f"sqlite:///{tmp_path}/backup.db") == ["one"]
    assert stat.S_IMODE((tmp_path / "triage.db").stat().st_mode) == 0o600


def test_a_store_that_was_killed_is_kept_with_all_that_it_committed(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    back_up(url, tmp_path / "backup.db")
    queue(store, "only in the journal")  # and the store stays open, as after a kill
    with restoring(url, tmp_path / "backup.db") as restored:
        pass
    assert restored.kept is not None
    assert keys(f"sqlite:///{restored.kept}") == ["only in the journal"]
    store.close()
    assert keys(url) == []


def test_a_lost_or_damaged_store_is_restored_too(url: str, tmp_path: Path) -> None:
    with closing(open_store(url)) as store:
        queue(store, "one")
    back_up(url, tmp_path / "backup.db")
    (tmp_path / "triage.db").write_bytes(b"damaged" * 1000)
    with restoring(url, tmp_path / "backup.db") as restored:
        pass
    assert restored.kept is not None
    assert restored.kept.read_bytes() == b"damaged" * 1000
    (tmp_path / "triage.db").unlink()
    with restoring(url, tmp_path / "backup.db") as restored:
        assert restored.kept is None
    assert keys(url) == ["one"]


def test_nothing_is_restored_while_a_service_runs(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    back_up(url, tmp_path / "backup.db")
    store.lock_service()
    with (
        pytest.raises(StoreError, match="another triage service"),
        restoring(url, tmp_path / "backup.db"),
    ):
        pass


def test_no_service_starts_while_something_is_restored(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    back_up(url, tmp_path / "backup.db")
    with (
        restoring(url, tmp_path / "backup.db"),
        pytest.raises(StoreError, match="another triage service"),
    ):
        store.lock_service()
    store.lock_service()


def test_when_it_cannot_be_made_safe_all_stays_as_it_was(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    back_up(url, tmp_path / "backup.db")
    queue(store, "two")
    store.close()
    with pytest.raises(OSError, match="of the caller"), restoring(url, tmp_path / "backup.db"):
        raise OSError("of the caller")
    assert keys(url) == ["two"]
    assert names(tmp_path) == ["backup.db", "triage.db"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("cut", "damaged|malformed|no SQLite database"), ("other", "no store of triage"),
     ("newer", "newer than this program"), ("none", "no such file"),
     ("text", "no store of triage")],
)  # fmt: skip
def test_what_is_no_whole_backup_is_refused(
    store: SqlStore, url: str, tmp_path: Path, content: str, said: str
) -> None:
    queue(store, *map(str, range(2000)))
    backup = tmp_path / "backup.db"
    back_up(url, backup)
    store.close()
    if content == "cut":
        backup.write_bytes(backup.read_bytes()[:100_000])
    elif content == "none":
        backup.unlink()
    elif content == "text":
        backup.write_text("something else")
    else:
        with closing(sqlite3.connect(backup)) as other:
            change = {
                "other": f"DROP TABLE {schema.VERSION_TABLE}",
                "newer": f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'",
            }
            other.execute(change[content])
            other.commit()
    with pytest.raises(StoreError, match=said), restoring(url, backup):
        pass
    assert len(keys(url)) == 1000  # as many as are shown


@pytest.mark.server
def test_on_postgresql_its_own_tools_are_named(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()
    with pytest.raises(StoreError, match="pg_dump"):
        back_up(url, tmp_path / "backup.db")
    with pytest.raises(StoreError, match="pg_restore"), restoring(url, tmp_path / "backup.db"):
        pass


@pytest.mark.server
def test_on_postgresql_a_living_service_is_seen(postgres: Postgres) -> None:
    url = postgres.database()
    with closing(open_store(url)) as service, closing(open_store(url)) as command:
        command.lock_alone()
        service.renew(30)
        with pytest.raises(StoreError, match="1 triage services work on it"):
            command.lock_alone()
