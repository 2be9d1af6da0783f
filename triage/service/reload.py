"""Tenants and contacts that change while the service runs: looked for, checked, and taken over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

import structlog

from triage.ports import Stop
from triage.settings import ConfigurationError, Settings, load

LOOK_SECONDS = 2.0
_LOGGED = 50
"""Faults of one reload."""

Stamps = dict[Path, tuple[int, int, int] | None]


class Reload:
    """Looks at triage.toml and the files of [contacts]; one thread looks.

    Only tenants and contacts are taken over, as a whole, and only if all of it is good; else what
    is in force stays so. All other keys need a restart, which is logged.
    """

    def __init__(
        self, config: Path | None, settings: Settings, take_over: Callable[[Settings], None]
    ) -> None:
        """`settings` are in force; without the file that they come from nothing is looked at."""
        self._config, self._settings, self._take_over = config, settings, take_over
        self._files: Iterable[Path] = settings.contacts.file
        self._read: Stamps = {}
        self._seen: Stamps = {}
        self._asked = Event()
        self.refused: tuple[str, ...] = ()
        """What is wrong with the files as they are now."""
        self._log = structlog.get_logger()

    def ask(self) -> None:
        """Read the files at the next look, whatever they look like."""
        self._asked.set()

    def look(self) -> None:
        """Look once. A file that changed is read when it stands still between two looks."""
        if self._config is None:
            return
        asked = self._asked.is_set()
        stamps: Stamps = {file: _stamp(file) for file in (self._config, *self._files)}
        still, self._seen = stamps == self._seen, stamps
        if not asked and (stamps == self._read or not still):
            return
        self._asked.clear()
        self._read = stamps
        try:
            self._load(self._config)
        except ConfigurationError as error:
            self.refused = error.faults
            self._log.error(
                "tenants_refused",
                faults=error.faults[:_LOGGED],
                more=max(0, len(error.faults) - _LOGGED),
            )

    def keep_looking(self, stop: Stop) -> None:
        """Until `stop`."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - who looks must not end
                self._log.exception("reload_fault", error=str(error))

    def _load(self, config: Path) -> None:
        """Raises ConfigurationError, and nothing has changed."""
        began = time.monotonic()
        self._files = load(config, contacts=False).contacts.file
        found = load(config)
        settings = self._settings.with_tenants_of(found)
        self.refused = ()
        if others := _others(found, self._settings):
            self._log.warning("restart_needed", sections=others)
        tenants = list(settings.all_tenants())
        if tenants == list(self._settings.all_tenants()):
            self._settings = settings
            return
        self._take_over(settings)
        self._settings = settings
        self._log.info(
            "tenants_taken_over",
            tenants=len(tenants),
            contacts=sum(len(tenant.contacts) for tenant in tenants),
            seconds=round(time.monotonic() - began, 3),
        )


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _others(found: Settings, in_force: Settings) -> list[str]:
    """The sections besides tenants and contacts that differ."""
    names = type(found).model_fields.keys() - {"tenants", "contacts"}
    return sorted(name for name in names if getattr(found, name) != getattr(in_force, name))
