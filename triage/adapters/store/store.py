"""The store: transactions, the outbox's claims, and the lock of the one service on a file."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from triage.adapters.store.engine import make_engine
from triage.adapters.store.faults import fault, name_of
from triage.adapters.store.leases import Leasing
from triage.adapters.store.migrate import prepare
from triage.adapters.store.outbox import Sending
from triage.adapters.store.unit import SqlUnit
from triage.ports import Clock, StoreError
from triage.rows import OutboxRow, Way

_DATABASE_NOW = select(func.now())


def open_store(
    url: str, *, clock: Clock | None = None, owner: str | None = None, upgrade: bool = False
) -> SqlStore:
    """Open the store, and create its schema in an empty database.

    `clock` times leases on SQLite; on PostgreSQL, which many machines share, the database's own
    clock does. `owner` names this process in the rows that it claims, unique among all. An older
    schema is upgraded on SQLite, and on PostgreSQL only with `upgrade`.

    Raises StoreError.
    """
    engine = make_engine(url)
    try:
        prepare(engine, upgrade=upgrade)
    except SQLAlchemyError as error:
        engine.dispose()
        raise fault(name_of(engine.url), None, error) from error
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, clock, owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}")


class SqlStore:
    """`triage.ports.Store` on SQLAlchemy Core. Thread-safe; every failure is a StoreError."""

    def __init__(self, engine: Engine, clock: Clock | None, owner: str) -> None:
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._lock: IO[str] | None = None

    @contextmanager
    def unit(self) -> Iterator[SqlUnit]:
        """Begin a write transaction; commit it at the end, or undo all of it on an exception."""
        with self._transaction() as connection:
            yield SqlUnit(connection, self._now)

    def lease(self, name: str, seconds: float) -> int | None:
        """Take or renew a lease: its fencing token, or None while another process holds it."""
        with self._transaction() as connection:
            return Leasing(connection, self._now).take(name, seconds, self._owner)

    def renew(self, seconds: float) -> int:
        """Extend all leases of this process; answers how many processes live."""
        with self._transaction() as connection:
            return Leasing(connection, self._now).renew(seconds, self._owner)

    def give_back(self, name: str) -> None:
        """End a lease of this process before its time."""
        with self._transaction() as connection:
            Leasing(connection, self._now).give_back(name, self._owner)

    def now(self) -> datetime:
        """The time that decides: on PostgreSQL, which many machines share, the database's."""
        if self._engine.dialect.name != "postgresql":
            return self._clock.now() if self._clock else datetime.now(UTC)
        with self._transaction() as connection:
            return self._now(connection)

    def claim(self, limit: int, lease_seconds: float, way: Way = Way.MAIL) -> Sequence[OutboxRow]:
        """Due pending rows, and sending ones whose lease ran out, now `sending` and ours.

        The longest due come first; those of a process that no longer lives are due at once. No
        mail is claimed while sending is held. Counts an attempt. Own commit. The lease must
        outlast the sending of all claimed rows.
        """
        with self._transaction() as connection:
            return Sending(connection, self._now).claim(limit, lease_seconds, self._owner, way)

    def mark_sent(self, row_id: int) -> None:
        """It was accepted, whoever holds the row now and whatever was thought of it meanwhile."""
        with self._transaction() as connection:
            Sending(connection, self._now).sent(row_id)

    def mark_failed(self, row_id: int, error: str, retry_at: datetime | None) -> None:
        """Pending again at `retry_at`, or dead when None.

        Nothing changes if the lease ran out and another process took the row over: what becomes
        of it is told by that one.
        """
        with self._transaction() as connection:
            Sending(connection, self._now).failed(row_id, error, retry_at, self._owner)

    def lock_service(self) -> None:
        """Make this the one service on an SQLite file, until `close` or the end of the process.

        On PostgreSQL many services share the work, and nothing is locked. Raises StoreError when
        another service runs; it names its process.
        """
        if self._engine.dialect.name != "sqlite" or self._lock is not None:
            return
        path = Path(f"{Path(str(self._engine.url.database)).resolve()}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            lock = os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with lock:
                    raise StoreError(_other_service(self._engine, path, lock.read(20))) from None
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
        except OSError as error:
            raise StoreError(
                f"{name_of(self._engine.url)}: {path} cannot be locked: {error.strerror}: "
                "check the permissions of its folder; network file systems may know no locks"
            ) from error
        # A forked child must not keep the lock when this process is killed.
        os.register_at_fork(after_in_child=lock.close)
        self._lock = lock
        # Whoever held these leases had this lock, and is dead: nobody needs to wait for them.
        with self._transaction() as connection:
            Leasing(connection, self._now).forget()

    def close(self) -> None:
        """Close every connection and give the service lock back."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """What the engine's own events do not translate, such as an exhausted pool, is here."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise fault(name_of(self._engine.url), None, error) from error

    def _now(self, connection: Connection) -> datetime:
        if connection.dialect.name == "postgresql":
            return connection.execute(_DATABASE_NOW).scalar_one()
        return self._clock.now() if self._clock else datetime.now(UTC)


def _other_service(engine: Engine, lock: Path, pid: str) -> str:
    return (
        f"{name_of(engine.url)}: another triage service runs on this file, process "
        f"{pid.strip() or 'unknown'} ({lock}): stop it first (ps -p {pid.strip() or 'PID'}), "
        "or use PostgreSQL to share the work among several"
    )
