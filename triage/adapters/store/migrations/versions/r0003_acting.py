"""Silences, budgets as token buckets, and why a response waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add tables and a column; what counted sent messages for budgets goes, they begin full."""
    op.create_table(
        "silences",
        sa.Column("id", ID, nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("silences_end", "silences", ["ends_at"])
    op.create_table(
        "buckets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column(
        "pending_responses", sa.Column("reason", sa.Text(), nullable=False, server_default="")
    )
    op.create_index(
        "outbox_sent",
        "outbox",
        ["way", "sent_at"],
        sqlite_where=sa.text("sent_at IS NOT NULL"),
        postgresql_where=sa.text("sent_at IS NOT NULL"),
    )
    op.drop_table("outbox_recipients")
    op.drop_index("outbox_created", "outbox")
    op.drop_index("outbox_tenant", "outbox")
