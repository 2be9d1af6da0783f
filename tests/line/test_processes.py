"""Several processes on one PostgreSQL: killed at random, every effect once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import deliver, fail_over, storm, verdict, world

from tests.line.desk import EMAILS, NOON, QUEUE, Hands, catalog
from tests.line.waiting import in_time
from tests.servers.postgres import Postgres
from triage.adapters.store import SqlStore, open_store
from triage.mail.message import RawMail
from triage.pipeline import Judge, Reading, policy
from triage.pipeline import world as world_of
from triage.ports import Unit
from triage.service.record import Recorder
from triage.settings import Settings, load, shipped

MAILS, MAILBOXES, TENANTS, PROCESSES, LEASE = 200, 4, 20, 3, 8.0


@pytest.mark.server
def test_processes_that_are_killed_at_random_lose_nothing_and_do_nothing_twice() -> None:
    with world(MAILBOXES, TENANTS, LEASE) as on:
        deliver(on, MAILS)
        storm(on, PROCESSES, MAILS, random.Random(1), every=2.0, least=1)
        kills, counts = on.kills, verdict(on, MAILS)
        # Another process must also log in.
        in_time(lambda: fail_over(on), LEASE + 4)
    copies = counts.pop("copies_with_the_same_id")
    assert kills, "nobody was killed while there was work"
    assert not any(counts.values()), counts
    assert copies <= kills


OTHER = "agent_connect/endpoint_misconfigured-01.eml"


class Watched:
    """A unit that tells when it was asked something for the first time."""

    def __init__(self, unit: Unit, name: str, asked: Callable[[], object]) -> None:
        self._unit, self._name, self._asked = unit, name, [asked]

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._unit, name)
        if name != self._name or not self._asked:
            return asked

        def first(*values: Any, **named: Any) -> Any:
            answer = asked(*values, **named)
            self._asked.pop()()
            return answer

        return first


class Desk:
    """Two processes on one database that record mails of their own mailboxes."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.stores = open_store(url), open_store(url)
        self._section = settings.mailboxes[0]
        self._judge = Judge(catalog(), world_of(settings))
        rules = policy(catalog(), settings)
        self._recorder = Recorder(settings, rules, Hands(), self._judge.version)

    def mail(self, name: str, uid: int, mailbox: str) -> tuple[RawMail, Reading]:
        octets = (EMAILS / name).read_bytes()
        octets = octets.replace(b"Message-ID: <", b"Message-ID: <%d." % uid, 1)
        raw = RawMail(mailbox, "INBOX", 1, uid, NOON, octets)
        return raw, self._judge(octets, self._section.trust)

    def record(
        self,
        store: SqlStore,
        mails: Sequence[tuple[RawMail, Reading]],
        asked: tuple[str, Callable[[], object]] = ("", list),
    ) -> None:
        with store.unit() as unit:
            self._recorder.record_all(Watched(unit, *asked), mails, self._section)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    text = (shipped("fixtures") / "triage.toml").read_text()
    (config := tmp_path / "triage.toml").write_text(
        text.replace("[policy]\n", '[policy]\nmax_age = "520w"\n')
    )
    with Postgres() as server:
        desk = Desk(server.database(), load(config))
        with closing(desk.stores[0]), closing(desk.stores[1]):
            yield desk


@pytest.mark.server
def test_who_was_answered_by_one_process_is_not_answered_again_by_another(desk: Desk) -> None:
    one, other = desk.stores
    looked, go_on = threading.Event(), threading.Event()

    def look() -> None:
        looked.set()
        go_on.wait(60)

    def answer() -> int:
        desk.record(other, [desk.mail(QUEUE, 2, "two")])
        with other.unit() as unit:
            waiting = unit.pending()
            unit.responded([each.id for each in waiting], NOON)
        return len(waiting)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(
            desk.record, one, [desk.mail(QUEUE, 1, "one")], ("open_incidents", look)
        )
        assert looked.wait(60)
        # As far as it comes before the first, which found no incident, goes on.
        second = threads.submit(answer)
        threading.Event().wait(0.5)
        go_on.set()
        first.result(60)
        assert second.result(60) > 0
    with one.unit() as unit:
        assert not unit.pending()
        (incident,) = unit.incidents_between(NOON - timedelta(1), NOON + timedelta(1))
    assert incident.notifications == 2


@pytest.mark.server
def test_two_processes_begin_the_same_incidents_in_opposite_order(desk: Desk) -> None:
    meeting = threading.Barrier(2)

    def meet() -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.5)

    with ThreadPoolExecutor() as threads:
        done = [
            threads.submit(
                desk.record,
                store,
                [desk.mail(name, uid, mailbox) for uid, name in enumerate(names, base)],
                ("start_incident", meet),
            )
            for store, mailbox, base, names in (
                (desk.stores[0], "one", 10, (QUEUE, OTHER)),
                (desk.stores[1], "two", 20, (OTHER, QUEUE)),
            )
        ]
        for each in done:
            each.result(60)
    with desk.stores[0].unit() as unit:
        found = unit.incidents_between(NOON - timedelta(1), NOON + timedelta(1))
    assert [one.notifications for one in found] == [2, 2]
