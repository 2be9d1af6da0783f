"""A judge to whom some mails are deadly, and who writes down each time he meets one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from triage.adapters.workers import Build
from triage.catalog.load import Catalog
from triage.mail.limits import Limits
from triage.pipeline import Judge, World, world
from triage.settings import Settings

FIELD = b"X-Poison: "
"""On top of a deadly mail: `worker`, `hang` or `service`, and what tells it from others."""


def judge(catalog: Catalog, settings: Settings, folder: Path) -> Build:
    """For a service in this process, whose store and notes are in `folder`."""
    limits = settings.limits.value
    return partial(_PoisonedJudge, catalog, world(settings), limits, folder, os.getpid())


def meetings(folder: Path) -> list[dict[str, Any]]:
    """What was met, in order: the `mail`, and `attempts` by UID as the store held them then."""
    notes = folder / "meetings"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


class _PoisonedJudge:
    def __init__(
        self, catalog: Catalog, world_: World, limits: Limits, folder: Path, service: int
    ) -> None:
        self._judge = Judge(catalog, world_, limits)
        self._folder, self._service = folder, service

    def __call__(self, octets: bytes, *others: Any) -> object:
        if octets.startswith(FIELD):
            self._die(octets.removeprefix(FIELD).partition(b"\r\n")[0].decode())
        return self._judge(octets, *others)

    def _die(self, mail: str) -> NoReturn:
        with sqlite3.connect(self._folder / "triage.db") as store:
            attempts = dict(store.execute("SELECT uid, attempts FROM attempts"))
        with (self._folder / "meetings").open("a") as notes:
            notes.write(json.dumps({"mail": mail, "attempts": attempts}) + "\n")
        if mail.startswith("hang"):
            time.sleep(1_000)
        victim = self._service if mail.startswith("service") else os.getpid()
        os.kill(victim, signal.SIGKILL)
        os._exit(1)
