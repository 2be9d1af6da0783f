"""Brings a database to the schema of this program, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from triage.adapters.store.faults import name_of
from triage.adapters.store.lock import take
from triage.adapters.store.schema import REVISIONS, VERSION_TABLE
from triage.ports import StoreError

_LOCK = 0x7472_6961  # any number that no other program takes for its advisory lock


def prepare(engine: Engine, *, upgrade: bool) -> str | None:
    """Create the schema in an empty database, and check or upgrade an older one.

    An older schema on PostgreSQL is upgraded only if asked to: other processes may still run
    the older program on it. On SQLite it is not while a service runs. Raises StoreError for
    both, and for a schema newer than the program.
    Answers the schema that was found, None in an empty database.
    """
    with engine.begin() as connection:
        if _found(connection) == REVISIONS[-1]:
            return REVISIONS[-1]
        if connection.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE does the same
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _found(connection)
        if found == REVISIONS[-1]:
            return found
        name = name_of(engine.url)
        if found is not None and found not in REVISIONS:
            raise StoreError(
                f"{name}: its schema {found} is newer than this program, which knows up to "
                f"{REVISIONS[-1]}: run the newer version of triage, or restore an older backup"
            )
        if found is not None and connection.dialect.name == "postgresql" and not upgrade:
            raise StoreError(
                f"{name}: its schema {found} is older than this program's {REVISIONS[-1]}: "
                "stop every triage on it, then run triage db upgrade"
            )
        with _alone(engine, name, found):
            _upgrade(connection)
        return found


@contextmanager
def _alone(engine: Engine, name: str, found: str | None) -> Iterator[None]:
    """No service of the older program may run on an SQLite file whose schema changes."""
    if found is None or engine.dialect.name != "sqlite":
        yield
        return
    try:
        lock = take(Path(str(engine.url.database)))
    except StoreError as error:
        raise StoreError(
            f"{name}: its schema {found} is older than this program's {REVISIONS[-1]}, "
            f"and it is in use: {error}"
        ) from error
    with lock:
        yield


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    # Imported here: a store whose schema is current opens without Alembic.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
