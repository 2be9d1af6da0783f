"""The loop that watches Triage itself, in a thread of its own: no server that hangs stops it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

import structlog

from triage.ports import Clock, Stop, Store, StoreError
from triage.service.health import Health, Symptom, health
from triage.service.trouble import trouble
from triage.settings import Settings

_LONGEST_PAUSE = timedelta(seconds=10)
_NOTED_EVERY = timedelta(minutes=10)
"""How often an incident is told that it goes on."""


class Watch:
    """Turns symptoms that last into incidents. One thread uses one Watch."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        *,
        just_started: bool = False,
        refused: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`just_started`: what stood still before the first look has time to begin.

        `refused` answers what is wrong with files that are not taken over.
        """
        self._refused = refused
        self._settings, self._store, self._clock = settings, store, clock
        self._just_started = just_started
        self._started: datetime | None = None
        self._found: dict[str, datetime] = {}
        """Since when each symptom was found without a break."""
        self._told: set[str] = set()
        self._log = structlog.get_logger()

    def look(self) -> None:
        """Look once; support is told of what has lasted too long. Raises StoreError."""
        now = self._clock.now()
        lasting = self._lasting(health(self._settings, self._store, now, self._refused()), now)
        for key in lasting.keys() - self._told:
            self._log.warning("not_well", what=key, title=lasting[key].title)
        self._told = set(lasting)
        if not lasting:
            return
        with self._store.unit() as unit:
            for key, one in lasting.items():
                trouble(
                    unit,
                    self._settings,
                    key,
                    one.title,
                    str(one),
                    now,
                    every=_NOTED_EVERY,
                    second_way=key != "sending alarm",
                )

    def _lasting(self, found: Health, now: datetime) -> dict[str, Symptom]:
        """By their keys, the symptoms that lasted longer than their patience."""
        if self._started is None and self._just_started:
            self._started = now
        self._found = {one.key: self._found.get(one.key, now) for one in found.symptoms}
        lasting = {}
        for one in found.symptoms:
            since = one.since or self._found[one.key]
            since = max(since, self._started) if self._started is not None else since
            if one.patience is not None and now - since >= one.patience:
                lasting[one.key] = one
        return lasting

    def keep_looking(self, stop: Stop) -> None:
        """Until `stop`."""
        pause = min(_LONGEST_PAUSE, self._settings.health.silence).total_seconds()
        while not stop.is_set():
            try:
                self.look()
            except StoreError as error:
                self._log.error("store_failed", error=str(error))
            except Exception as error:  # noqa: BLE001 - who watches must not end
                self._log.exception("watch_fault", error=str(error))
            stop.wait(pause)


class Pulse:
    """Whether the loops of this process turn. Thread-safe."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        """By loop, the longest that one turn may take, in seconds."""
        self._limits = dict(limits)
        self._turned = dict.fromkeys(limits, time.monotonic())
        self._lock = Lock()

    def turned(self, loop: str) -> None:
        """This loop begins another turn."""
        with self._lock:
            self._turned[loop] = time.monotonic()

    def taken(self, loop: str, stop: Stop) -> Stop:
        """`stop`, which notes that this loop turns whenever the loop asks it."""
        return _Taken(stop, partial(self.turned, loop))

    def late(self) -> list[str]:
        """The loops that stand still."""
        now = time.monotonic()
        with self._lock:
            return [loop for loop, at in self._turned.items() if now - at > self._limits[loop]]


class _Taken:
    """A `Stop` with a pulse."""

    def __init__(self, stop: Stop, turned: Callable[[], None]) -> None:
        self._stop, self._turned = stop, turned

    def is_set(self) -> bool:
        self._turned()
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._turned()
        return self._stop.wait(timeout)
