"""Servers, mailboxes and lives: runs the service to its end, with or without a kill."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree
from types import TracebackType
from typing import Self, TypeVar

from tests.crash import state
from tests.crash.mails import MOMENTS, QUIET_AFTER, deliveries
from tests.crash.points import MAY_DOUBLE
from tests.servers.dovecot import PASSWORD, Dovecot
from triage.demo.promise import fixture_settings
from triage.demo.servers import SmtpServer

_ROOT = Path(__file__).parents[2]
_ZYGOTE = "from tests.crash.child import serve; serve()"
_POLICY = f'group_wait = "1s"\nquiet_after = "{QUIET_AFTER}"\n'
_MORE = """
[limits]
workers = 1
seconds = {seconds}

[budgets]
per_recipient = "900/d"
per_tenant = "900/d"
total = "900/h"

[log]
level = "error"
"""
_KILLED = -9
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of the uncrashed run."""

    number: int
    start: Path
    """Store and mailbox as they were before."""
    names: Sequence[str]
    """Its points, in order."""
    ending: state.Ending


@dataclass(frozen=True, slots=True)
class Life:
    """What came of one kill: where it struck, and how the moment ended after the restart."""

    number: int
    point: str
    difference: state.Difference


def sample(points: Sequence[tuple[Moment, int]], count: int) -> list[tuple[Moment, int]]:
    """So many of them, of every moment and name first the one in the middle."""
    named: dict[tuple[int, str], list[tuple[Moment, int]]] = {}
    for moment, number in points:
        key = moment.number, moment.names[number - 1]
        named.setdefault(key, []).append((moment, number))
    turns = [_from_the_middle(same) for same in named.values()]
    if count <= len(turns):
        return [turns[at * len(turns) // count][0] for at in range(count)]
    return [point for turn in zip_longest(*turns) for point in turn if point is not None][:count]


def _from_the_middle(points: Sequence[T]) -> list[T]:
    middle = len(points) // 2
    return [points[at] for at in sorted(range(len(points)), key=lambda at: abs(at - middle))]


class Account:
    """A mailbox of its own on the server, a store, and the settings for both."""

    def __init__(self, user: str, dovecot: Dovecot, smtp_port: int, seconds: int) -> None:
        self.user, self._dovecot = user, dovecot
        self._mails = dovecot.folder / "mail" / user
        self.folder = dovecot.folder / f"account-{user}"
        self.folder.mkdir()
        self.store = self.folder / "triage.db"
        (self.folder / "password").write_text(PASSWORD)
        text = fixture_settings(dovecot.port, smtp_port, user, _POLICY)
        text = text.replace('name = "support"\n', 'name = "support"\nstart = "all"\n')
        (self.folder / "triage.toml").write_text(text + _MORE.format(seconds=seconds))

    def deliver(self, mails: Iterable[bytes], at: datetime) -> None:
        """By one APPEND, in this order; nothing when there are none."""
        if arrived := [{"msg": octets, "date": at} for octets in mails]:
            with self._dovecot.client(self.user) as client:
                client.multiappend("INBOX", arrived)

    def save(self, place: Path) -> None:
        """Copy what is durable, while nothing runs."""
        place.mkdir()
        _copy(self._mails, place / "mails")
        if self.store.exists():
            _copy(self.store, place / "triage.db")

    def restore(self, place: Path) -> None:
        """Be as that other account was; this one must be new."""
        _copy(place / "mails", self._mails)
        if (place / "triage.db").exists():
            _copy(place / "triage.db", self.store)

    def read(self, name: str) -> str:
        """A file of its folder, "" when there is none."""
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def mailbox(self) -> state.Counter[state.Row]:
        """What `state.mailbox` says of it."""
        with self._dovecot.client(self.user) as client:
            return state.mailbox(client)

    def remove(self) -> None:
        """Nothing of it is left on the disk."""
        rmtree(self.folder, ignore_errors=True)
        rmtree(self._mails, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """With all owners, which the server looks at."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


class Lane:
    """One service at a time, with an SMTP server of its own. Use it as a context manager."""

    def __init__(self, name: str, dovecot: Dovecot) -> None:
        self._name, self._dovecot = name, dovecot
        self._accounts = 0
        self.smtp = SmtpServer()

    def __enter__(self) -> Self:
        self.smtp.__enter__()
        self._zygote = subprocess.Popen(
            [sys.executable, "-c", _ZYGOTE],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zygote.kill()
        self._zygote.communicate()
        self.smtp.__exit__()

    def account(self, seconds: int = 10) -> Account:
        """A new one; `seconds` bound the work on one mail."""
        self.smtp.received.clear()
        self._accounts += 1
        return Account(f"{self._name}{self._accounts}", self._dovecot, self.smtp.port, seconds)

    def live(
        self, account: Account, moment: int, *, kill: int | None = None, poison: bool = False
    ) -> int:
        """One process of the service until all is done; answers its exit code."""
        job = {"folder": str(account.folder), "moment": moment, "kill": kill, "poison": poison}
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(job) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())

    def uncrashed(self) -> list[Moment]:
        """All moments, one after the other, with the points of each and how it ends."""
        moments: list[Moment] = []
        account = self.account()
        for number, at in enumerate(MOMENTS):
            account.deliver(deliveries(number, _bounced(account.store)), at)
            start = self._dovecot.folder / f"moment-{number}"
            account.save(start)
            account.remove()
            account = self.account()
            account.restore(start)
            if status := self.live(account, number):
                raise RuntimeError(f"exit status {status}: {account.read('log')[-4000:]}")
            names = json.loads(account.read("points.json"))
            moments.append(Moment(number, start, names, self._ending(account)))
        account.remove()
        return moments

    def crash(self, moment: Moment, number: int) -> Life:
        """Kill at this point of the moment, start again, and compare."""
        account = self.account()
        account.restore(moment.start)
        killed = self.live(account, moment.number, kill=number)
        status = self.live(account, moment.number)
        if killed != _KILLED or status:
            log = account.read("log")[-4000:]
            raise RuntimeError(f"point {number}: exit status {killed}, then {status}: {log}")
        point = account.read("killed")
        may_double = point in MAY_DOUBLE
        found = state.compare(self._ending(account), moment.ending, may_double=may_double)
        account.remove()
        return Life(number, point, found)

    def _ending(self, account: Account) -> state.Ending:
        sent = state.sent(self.smtp.received)
        return state.Ending(account.mailbox(), state.store(account.store), sent)


def _bounced(store: Path) -> str:
    """The Message-ID of the first reply to her; "" before anything was sent."""
    if not store.exists():
        return ""
    with sqlite3.connect(store) as rows:
        found = "SELECT message_id FROM outbox WHERE recipients = '[\"priya@northwind.example\"]'"
        return str(rows.execute(f"{found} ORDER BY id").fetchone()[0])


def lives(lanes: Sequence[Lane], points: Iterable[tuple[Moment, int]]) -> Iterator[Life]:
    """The outcome of a kill at each of these points, as they come."""
    free: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def crash(moment: Moment, number: int) -> Life:
        lane = free.get()
        try:
            return lane.crash(moment, number)
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes)) as threads:
        for future in as_completed([threads.submit(crash, *point) for point in points]):
            yield future.result()
