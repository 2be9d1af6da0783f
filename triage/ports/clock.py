"""What time it is, and when to end."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The only source of time outside the database."""

    def now(self) -> datetime:
        """Aware, UTC."""


class Stop(Protocol):
    """A `threading.Event`, as far as waiting needs it."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...
