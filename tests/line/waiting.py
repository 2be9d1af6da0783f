"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(done: Callable[[], object], seconds: float = 30) -> None:
    """Return when it is done; fail when that takes longer."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "did not happen in time"
        time.sleep(0.05)
