"""The durable state, on SQLite or PostgreSQL (design 6)."""

from __future__ import annotations

from triage.adapters.store.backup import Restoring, back_up, restoring
from triage.adapters.store.store import SqlStore, open_store, upgrade_store

__all__ = ["Restoring", "SqlStore", "back_up", "open_store", "restoring", "upgrade_store"]
