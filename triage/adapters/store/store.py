"""The store: transactions, the outbox's claims, and the lock of the one service on a file."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from triage.adapters.store.engine import make_engine
from triage.adapters.store.faults import fault, name_of
from triage.adapters.store.leases import Leasing
from triage.adapters.store.lock import take
from triage.adapters.store.migrate import prepare
from triage.adapters.store.outbox import Sending
from triage.adapters.store.schema import REVISIONS
from triage.adapters.store.unit import SqlUnit
from triage.ports import Clock, StoreError
from triage.rows import OutboxRow, Way

_DATABASE_NOW = select(func.now())


def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    owner: str | None = None,
    upgrade: bool = False,
    must_exist: bool = False,
) -> SqlStore:
    """Open the store, and create its schema in an empty database.

    An SQLite file is made if there is none, unless it `must_exist`.

    `clock` times leases on SQLite; on PostgreSQL, which many machines share, the database's own
    clock does. `owner` names this process in the rows that it claims, unique among all. An older
    schema is upgraded on SQLite, and on PostgreSQL only with `upgrade`.

    Raises StoreError.
    """
    engine = make_engine(url, must_exist=must_exist)
    _prepare(engine, upgrade=upgrade)
    return SqlStore(engine, clock, owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}")


def upgrade_store(url: str) -> tuple[str | None, str]:
    """Bring a store to the schema of this program: what it was, None when empty, and what it is.

    Raises StoreError; then it is what it was.
    """
    engine = make_engine(url)
    found = _prepare(engine, upgrade=True)
    engine.dispose()
    return found, REVISIONS[-1]


def _prepare(engine: Engine, *, upgrade: bool) -> str | None:
    try:
        return prepare(engine, upgrade=upgrade)
    except SQLAlchemyError as error:
        engine.dispose()
        raise fault(name_of(engine.url), None, error) from error
    except BaseException:
        engine.dispose()
        raise


class SqlStore:
    """`triage.ports.Store` on SQLAlchemy Core. Thread-safe; every failure is a StoreError."""

    def __init__(self, engine: Engine, clock: Clock | None, owner: str) -> None:
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._lock: IO[str] | None = None
        self._lives = False
        """Whether other processes may count on this one."""

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
        self._lives = self._engine.dialect.name == "postgresql"
        with self._transaction() as connection:
            in_time = Leasing(connection, self._now).renew(seconds, self._owner)
        with self._transaction() as connection:
            leasing = Leasing(connection, self._now)
            if in_time:
                leasing.bury()
            return leasing.living()

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

    def claim(
        self,
        limit: int,
        lease_seconds: float,
        way: Way = Way.MAIL,
        rates: Sequence[tuple[int, timedelta]] = (),
    ) -> Sequence[OutboxRow]:
        """Due pending rows, and sending ones whose lease ran out, now `sending` and ours.

        The longest due come first; those of a process that no longer lives are due at once. No
        mail is claimed while sending is held. Counts an attempt. Own commit. The lease must
        outlast the sending of all claimed rows.

        No more than each of the rates allows: so many that were sent or are being sent, by all
        processes, within so long. A message that is sent again counts once.
        """
        with self._transaction() as connection:
            sending = Sending(connection, self._now)
            if (room := sending.room(way, rates, limit)) <= 0:
                return []
            return sending.claim(room, lease_seconds, self._owner, way)

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
        self._lock = take(Path(str(self._engine.url.database)))
        # Whoever held these leases had this lock, and is dead: nobody needs to wait for them.
        with self._transaction() as connection:
            Leasing(connection, self._now).forget()

    def lock_alone(self) -> None:
        """As `lock_service`, and raises StoreError also while a service works on PostgreSQL."""
        self.lock_service()
        with self._transaction() as connection:
            living = Leasing(connection, self._now).living()
        if living:
            raise StoreError(
                f"{name_of(self._engine.url)}: {living} triage services work on it: "
                "stop them first; one that was killed counts until its lease runs out"
            )

    def close(self) -> None:
        """Close every connection and give the service lock back."""
        if self._lives:
            self._lives = False
            # Without the database the lease runs out by itself.
            with suppress(StoreError), self._transaction() as connection:
                Leasing(connection, self._now).end(self._owner)
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
