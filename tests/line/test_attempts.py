"""Attempts at a mail: counted before its work begins, and kept or forgotten as they should be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.line.desk import EMAILS, NOON, QUEUE, Hands, catalog
from triage.adapters.metrics import exposed
from triage.adapters.store import SqlStore, open_store
from triage.adapters.workers import WorkerDied
from triage.demo.promise import fixture_settings
from triage.mail.message import RawMail
from triage.pipeline import Judge, Reading, octets_digest, policy, world
from triage.ports import FolderState, RowRefusedError, StoreError, Unit
from triage.service.intake import BATCH, Intake
from triage.service.leases import Leases, lease_of
from triage.service.record import Recorder
from triage.service.reread import Rereading
from triage.service.restored import reread_from
from triage.settings import Settings, load

MAIL = (EMAILS / QUEUE).read_bytes()
POISON = b"X-Poison: 1\r\n"
PLACE = ("support", "INBOX", 1)


class Box:
    """A mailbox that always works."""

    name = "support"

    def __init__(self, mails: int, poisoned: Sequence[int], did: Callable[[str], object]) -> None:
        self.raws = [_raw(uid, POISON if uid in poisoned else b"") for uid in range(1, mails + 1)]
        self.did, self.stop = did, Event()

    def connect(self) -> FolderState:
        return FolderState("INBOX", 1, len(self.raws) + 1)

    refresh = connect

    def fetch(self, after: int, limit: int, since: datetime | None = None) -> Sequence[RawMail]:
        del since
        return self.raws[after : after + limit]

    def wait(self, *_: object) -> None:
        self.stop.set()

    def flag(self, uids: Sequence[int], flags: Sequence[str]) -> None:
        pass

    def move(self, uids: Sequence[int], folder: str) -> None:
        pass

    def close(self) -> None:
        self.did("closed")


def _raw(uid: int, head: bytes = b"") -> RawMail:
    octets = head + MAIL.replace(b"Message-ID: <", b"Message-ID: <%d." % uid, 1)
    return RawMail(*PLACE, uid, NOON, octets)


class Pool:
    """Workers that die of poison, and read every other mail as the first."""

    def __init__(self, settings: Settings) -> None:
        self._reading = Judge(catalog(), world(settings))(MAIL, settings.mailboxes[0].trust)
        self.met = 0

    def prepare(self) -> None:
        pass

    def start(self, jobs: Iterable[tuple[Any, ...]]) -> Iterator[Reading | WorkerDied]:
        return iter([self._answer(octets) for octets, *_ in jobs])

    def run(self, jobs: Iterable[tuple[Any, ...]]) -> list[Reading | WorkerDied]:
        return list(self.start(jobs))

    def _answer(self, octets: bytes) -> Reading | WorkerDied:
        if octets.startswith(POISON):
            self.met += 1
            return WorkerDied("limit_seconds")
        digest = octets_digest(octets)
        return replace(self._reading, octets_sha256=digest, content_sha256=digest)


class Faltering:
    """A store of which some units fail, as `fails` says."""

    def __init__(self, store: SqlStore, did: Callable[[str], object]) -> None:
        self.store, self._did = store, did
        self.fails: Callable[[], bool] = lambda: False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def unit(self) -> AbstractContextManager[Unit]:
        if self.fails():
            raise StoreError("not now")
        return self.store.unit()

    def give_back(self, name: str) -> None:
        self._did("given back")
        self.store.give_back(name)


class Watch:
    """One mailbox and what watches it."""

    def __init__(self, path: Path, mails: int, poisoned: Sequence[int] = ()) -> None:
        self.settings = _settings(path)
        self.did: list[str] = []
        self.box = Box(mails, poisoned, self.did.append)
        self.pool = Pool(self.settings)
        self.store = Faltering(open_store(f"sqlite:///{path}/triage.db"), self.did.append)
        leases = Leases(self.store, 1, 30.0)
        rules = policy(catalog(), self.settings)
        self.intake = Intake(
            self.box, self.settings.mailboxes[0], self.store, self.pool,
            Recorder(self.settings, rules, Hands(), "test"),
            Hands(), leases, Event(), lambda *_: None, (0.0,),
        )  # fmt: skip

    def close(self) -> None:
        self.store.store.close()

    def verdicts(self) -> dict[int, str]:
        with self.store.store.unit() as unit:
            now = datetime.now(UTC) + timedelta(days=9_999)
            return {row.uid: row.verdict for row in unit.mails_between(NOON, now)}


def _settings(path: Path) -> Settings:
    (path / "password").write_text("unused")
    text = fixture_settings(1, 1, "errors", 'group_wait = "0s"\n')
    config = path / "triage.toml"
    config.write_text(text.replace('name = "support"\n', 'name = "support"\nstart = "all"\n'))
    return load(config)


@pytest.mark.parametrize("seed", range(4))
def test_poison_is_met_three_times_at_most_also_when_the_store_fails_now_and_then(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    with closing(Watch(tmp_path, BATCH + 3, poisoned=[2, BATCH + 2])) as watch:
        watch.store.fails = lambda: dice.random() < 0.3
        for _ in range(200):
            if watch.intake.once():
                break
        verdicts = watch.verdicts()
    assert watch.pool.met <= 2 * 3
    assert verdicts == {
        uid: "unreadable" if uid in {2, BATCH + 2} else "known" for uid in range(1, BATCH + 4)
    }


def test_what_another_process_counted_meanwhile_stands(tmp_path: Path) -> None:
    with closing(Watch(tmp_path, 1)) as watch:
        asked = count()
        watch.store.fails = lambda: next(asked) > 1  # it is counted, and cannot be recorded
        assert not watch.intake.once()
        watch.store.fails = lambda: False
        store, ours = watch.store.store, watch.store.store._owner
        store._owner = "another"
        assert store.lease(lease_of("support"), 30.0)
        with store.unit() as unit:
            assert unit.count_attempt(*PLACE, [1]) == {1: 2}
            assert unit.count_attempt(*PLACE, [1]) == {1: 3}
        store.give_back(lease_of("support"))
        store._owner = ours
        assert watch.intake.once()
        assert watch.verdicts() == {1: "unreadable"}


def test_a_batch_of_which_all_is_recorded_already_is_no_fault(tmp_path: Path) -> None:
    with closing(Watch(tmp_path, 2)) as watch, capture_logs() as logs:
        assert watch.intake.once()
        with watch.store.unit() as unit:
            row = unit.mailbox("support")
            assert row is not None
            unit.save_mailbox(replace(row, cursor=0))
        assert watch.intake.once()
        assert "batch_redone_one_by_one" not in {one["event"] for one in logs}


def test_the_connection_is_closed_before_another_process_may_take_the_mailbox(
    tmp_path: Path,
) -> None:
    with closing(Watch(tmp_path, 1)) as watch:
        watch.intake.watch(watch.box.stop)
    assert watch.did[-2:] == ["closed", "given back"]


class Tripping(Recorder):
    """It cannot record the third mail."""

    fault: Exception

    def record_all(self, unit: Unit, mails: Sequence[Any], *rest: Any, **more: Any) -> Any:
        if any(raw.uid == 3 for raw, _ in mails):
            raise self.fault
        return super().record_all(unit, mails, *rest, **more)


@pytest.mark.parametrize("fault", [ValueError("of ours"), RowRefusedError("of its values")])
def test_in_rereading_a_mail_is_counted_when_it_is_committed_and_once(
    tmp_path: Path, fault: Exception
) -> None:
    with closing(Watch(tmp_path, 4)) as watch:
        settings = watch.settings
        recorder = Tripping(settings, policy(catalog(), settings), Hands(), "test")
        recorder.fault = fault
        with watch.store.unit() as unit:
            unit.set_switch(reread_from("support"), NOON.isoformat())
        before = _counted()
        section = settings.mailboxes[0]
        after = section.after.model_copy(
            update={"unknown": "none", "suspicious": "none", "unreadable": "none"}
        )
        section = section.model_copy(update={"after": after})
        Rereading(section, lambda _: watch.box, watch.pool, recorder)(watch.store.unit, Event())
        assert sorted(watch.verdicts()) == [1, 2, 4]
    assert _counted() - before == 3


def _counted() -> float:
    lines = exposed([]).decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("triage_mails_total{"))
