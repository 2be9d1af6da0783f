"""The durable state, on SQLite or PostgreSQL (design 6)."""

from __future__ import annotations

from triage.adapters.store.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
