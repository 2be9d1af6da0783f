"""What a recipient was told of an incident, for what is said later of it and of its end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add columns. What came between the last mail and the upgrade is counted as told."""
    op.add_column("histories", sa.Column("told_notifications", sa.Integer()))
    op.add_column("histories", sa.Column("thread", sa.Text(), nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("ends", sa.JSON(), nullable=False, server_default="[]"))
    op.execute(
        "UPDATE histories SET told_notifications = "
        "(SELECT notifications FROM incidents WHERE incidents.id = histories.incident_id)"
    )
