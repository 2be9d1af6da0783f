"""Copies of an SQLite store: made while a service runs on it, and put back when none does."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from triage.adapters.store.engine import parse
from triage.adapters.store.faults import fault
from triage.adapters.store.lock import take
from triage.adapters.store.schema import VERSION_TABLE
from triage.adapters.store.store import SqlStore, open_store
from triage.ports import StoreError

_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file that is in use, or was when its process died."""
_MAGIC = b"SQLite format 3\0"
_NO_STORE = "{} is no store of triage: name one that triage db backup made"


@dataclass(frozen=True, slots=True)
class Restoring:
    """A backup on its way to become the store."""

    store: SqlStore
    """A copy of the backup. It takes the store's place when the block ends without exception."""
    kept: Path | None
    """Where the old store will lie then; None when there is none."""


def back_up(url: str, target: Path) -> int:
    """Copy the store as it is at this moment; answers the copy's octets.

    Writers go on meanwhile. The copy is whole and checked before it gets its name, belongs to
    its owner only, and never takes the place of another file. Raises StoreError and OSError.
    """
    source = _file(url, "pg_dump --format=custom --file=FILE DATABASE makes a backup")
    if not source.exists():
        raise StoreError(f"the store {source} does not exist: check [store] url")
    if target.exists():
        raise StoreError(f"{target} exists already: a backup never takes another file's place")
    if not target.parent.is_dir():
        raise StoreError(f"{target.parent}: there is no such folder")
    with _new_file(target) as new:
        _sqlite(source, "VACUUM INTO ?", str(new))
        _check(new)
        _sync(new)
        _name(new, target)
        _sync(target.parent)
        return target.stat().st_size


@contextmanager
def restoring(url: str, source: Path) -> Iterator[Restoring]:
    """Put a backup in the place of the store, which is kept beside it.

    No service may run on the store, and none can start meanwhile. An older backup is brought
    to the schema of this program. On an exception all stays as it was. Raises StoreError and
    OSError.
    """
    after = "triage db restore, without FILE, makes a database safe that pg_restore brought back"
    file = _file(url, after)
    if not source.is_file():
        raise StoreError(f"{source}: there is no such file")
    with closing(take(file)), _new_file(file) as new:
        _check(source)
        _sqlite(source, "VACUUM INTO ?", str(new))
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = file.with_name(f"{file.name}.before-restore-{stamp}")
        store = open_store(f"sqlite:///{new}", upgrade=True)
        try:
            yield Restoring(store, kept if file.exists() else None)
        finally:
            store.close()
        _sync(new)
        if file.exists():
            _put_aside(file, kept)
        new.replace(file)
        _sync(file.parent)


def _file(url: str, instead: str) -> Path:
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"PostgreSQL has its own tools for this: {instead}")
    return Path(str(parsed.database)).resolve()


@contextmanager
def _new_file(beside: Path) -> Iterator[Path]:
    """An empty file in the same folder, for its owner only; gone at the end unless renamed."""
    descriptor, name = tempfile.mkstemp(prefix=f".{beside.name}-", dir=beside.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for path in (name, *(name + end for end in (*_BESIDE, ".lock"))):
            Path(path).unlink(missing_ok=True)


def _check(file: Path) -> None:
    """Raises StoreError unless it is a whole store."""
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise StoreError(_NO_STORE.format(file))
    answer = _sqlite(file, "PRAGMA integrity_check(1)")
    if answer != "ok":
        raise StoreError(f"{file} is damaged: {str(answer)[:200]}: use another backup")
    if not _sqlite(file, "SELECT count(*) FROM sqlite_schema WHERE name = ?", VERSION_TABLE):
        raise StoreError(_NO_STORE.format(file))


def _sqlite(file: Path, statement: str, *values: str) -> object:
    """The first value that SQLite answers. The file is not made if it is missing."""
    try:
        with closing(
            sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
        ) as connection:
            row = connection.execute(statement, values).fetchone()
    except sqlite3.Error as error:
        raise fault(f"the store {file}", statement, error) from error
    return row[0] if row else None


def _name(new: Path, target: Path) -> None:
    """Give it its name, in one step, unless that is taken."""
    try:
        os.link(new, target)
    except FileExistsError:
        raise StoreError(f"{target} exists already: a backup never takes its place") from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise
        new.rename(target)


def _put_aside(file: Path, kept: Path) -> None:
    """Keep the old store; the file itself stays until the new one takes its place."""
    with suppress(StoreError):  # a damaged file keeps its journal
        _sqlite(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    _name(file, kept)
    for end in _BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{file}{end}").rename(f"{kept}{end}")


def _sync(path: Path) -> None:
    """What stands there outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
