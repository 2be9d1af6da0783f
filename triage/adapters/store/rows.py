"""What the parts of a unit have in common.

Statements are built once, when their module is imported, and get their values when they run:
to build one costs several times as much as to run it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

Values = Mapping[str, Any]
Statement = Executable | Mapping[str, Executable]


def on_both(build: Callable[[Callable[[Table], Any]], Executable]) -> Mapping[str, Executable]:
    """An INSERT … ON CONFLICT …: both engines spell it the same, SQLAlchemy builds it for each."""
    return {"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)}


def replacing(statement: Any, *unique: str) -> Any:
    """An INSERT whose row takes the place of the one with the same values in `unique`."""
    new = {column.key: column for column in statement.excluded if column.key not in unique}
    return statement.on_conflict_do_update(index_elements=unique, set_=new)


class Rows:
    """Some of the tables, inside one transaction that its maker begins and ends."""

    def __init__(self, connection: Connection, now: Callable[[Connection], datetime]) -> None:
        self._connection = connection
        self._engine = connection.dialect.name
        self._now = now

    def _run(
        self, statement: Statement, values: Values | Sequence[Values] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run it once with these values, or once for each of a list that is not empty."""
        if isinstance(statement, Mapping):
            statement = statement[self._engine]
        return self._connection.execute(statement, values)
