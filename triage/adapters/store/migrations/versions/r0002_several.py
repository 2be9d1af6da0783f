"""Several processes, a second way out, mails kept for replay, lag of a mailbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add tables and columns; nothing that stands there changes."""
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "kept_mails",
        sa.Column("mail_id", ID, nullable=False),
        sa.Column("kept_at", MOMENT, nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("octets_zlib", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["mail_id"], ["mails.id"]),
        sa.PrimaryKeyConstraint("mail_id"),
    )
    op.create_index("kept_mails_at", "kept_mails", ["kept_at"])
    op.add_column(
        "mailboxes", sa.Column("uidnext", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("mailboxes", sa.Column("waiting_since", MOMENT))
    op.add_column("outbox", sa.Column("way", sa.Text(), nullable=False, server_default="mail"))
