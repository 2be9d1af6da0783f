"""Run by Alembic with the connection that `triage.adapters.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from triage.adapters.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    # SQLite can undo DDL too; a failed upgrade leaves the older schema.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
