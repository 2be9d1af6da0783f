"""An SQLAlchemy engine as the store needs it, for SQLite or PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from triage.adapters.store.faults import fault, name_of
from triage.ports import StoreError

BUSY_SECONDS = 30.0
"""How long a writer waits for another one on the same SQLite file."""

_JOURNAL_OCTETS = 16_777_216

_POSTGRESQL = {
    "connect_timeout": "10",
    # A server that vanished without a word is noticed within a minute.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
# A process that stands still in a unit, or that the network lost, holds what it locked until the
# server ends its session: well within a lease, or nobody could take its mailboxes over. Who waits
# for such a lock waits a little longer than that. No unit of ours is idle for so long.
_SESSION = {
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
# What was set for Triage, in the URL, for its user or its database, stays. What the whole server
# has is for everybody: hosted ones let a session be idle for a day.
_SET_SESSION = """
    SELECT set_config(name, ours.value, false)
    FROM unnest(%s::text[], %s::text[]) AS ours(name, value) JOIN pg_settings USING (name)
    WHERE source NOT IN ('client', 'user', 'database', 'database user')
"""
_FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def make_engine(url: str, *, must_exist: bool = False) -> Engine:
    """An engine whose every failure is a StoreError.

    An SQLite file is made if there is none; with `must_exist` that is a StoreError.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        if must_exist and not file.exists():
            raise StoreError(
                f"the store {file} does not exist: check [store] url; triage run makes a new one"
            )
        _make_file(file)
        engine = create_engine(
            parsed,
            hide_parameters=True,
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
            pool_timeout=BUSY_SECONDS,
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    else:
        try:
            engine = create_engine(
                parsed,
                hide_parameters=True,
                connect_args={k: v for k, v in _POSTGRESQL.items() if k not in parsed.query},
                pool_pre_ping=True,
                # As many as are needed: a thread in a unit may ask for the time in another, and no
                # lease may run out while its renewal waits for one.
                pool_size=0,
            )
        except ImportError as error:
            raise StoreError(
                "PostgreSQL needs the driver psycopg: pip install 'error-email-triage[postgresql]'"
            ) from error
        event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _translate)
    return engine


def parse(url: str) -> URL:
    """The URL of a store. StoreError says what is wrong without it: it may hold a password."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StoreError(f"[store] url is not a URL of a database: write {_FORMS}") from None
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise StoreError(f"[store] url: no store on {parsed.drivername!r}: write {_FORMS}")
    if not parsed.database or parsed.database.startswith((":memory:", "file:")):
        raise StoreError(f"[store] url needs a file that outlives the program: write {_FORMS}")
    return parsed


def _make_file(path: Path) -> None:
    """Made before SQLite makes it: what stands in it is for its owner only."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be opened: {error.strerror}: "
            "check that its folder exists and that this user may write to both"
        ) from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    # The journal is copied into the file every 1,000 pages, and begins anew; what a long reader
    # such as a backup, or one large unit, made it grow beyond this, is given back then.
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_OCTETS}")
    connection.execute("PRAGMA foreign_keys = ON")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET_SESSION, (list(_SESSION), list(_SESSION.values())))
    connection.commit()


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others here, as it does everywhere else."""
    ends = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # without its details
            if not busy or time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


def _begin_immediate(connection: Connection) -> None:
    """Python's sqlite3 would begin late, at the first write, when waiting is of no use any more."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _translate(context: ExceptionContext) -> None:
    if context.engine is not None and isinstance(context.original_exception, Exception):
        name = name_of(context.engine.url)
        error = fault(name, context.statement, context.original_exception)
        raise error from context.sqlalchemy_exception or context.original_exception
