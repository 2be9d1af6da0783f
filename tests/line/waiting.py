"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(done: Callable[[], object], seconds: float = 120) -> None:
    """Return when it is done; fail when that takes so long that it never will be."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "did not happen in time"
        time.sleep(0.05)


def in_time(take: Callable[[], float], bound: float, usual: float = 0.0) -> None:
    """What is to take less than so many seconds does; `take` answers how many it took.

    On a slow machine all takes longer: `usual` is what the same takes when nothing is wrong. One
    that was busy with other things just then gets two more tries.
    """
    took = [take()]
    while took[-1] >= bound + 3 * usual:
        assert len(took) < 3, took
        took.append(take())
