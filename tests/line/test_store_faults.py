"""A store that takes nothing: reading pauses, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.line.waiting import until
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.store import SqlStore, open_store
from triage.demo.promise import fixture_settings
from triage.demo.servers import SmtpServer
from triage.ports import StoreError
from triage.response.templates import Templates
from triage.service.run import Service, StoreClock
from triage.settings import load, shipped

MAIL = (shipped("fixtures") / "emails" / "agent_connect/employee_is_queue-01.eml").read_bytes()
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TRIAGE = str(Path(sys.executable).parent / "triage")


def fill(store: SqlStore) -> None:
    with store.unit() as unit:
        for number in range(500):
            unit.set_switch(f"filler {number}", "words" * 100)


class Desk:
    """A folder with mails, a configuration, and the server that takes what is sent."""

    def __init__(self, path: Path, smtp: SmtpServer) -> None:
        self.path, self.smtp = path, smtp
        self.inbox = path / "inbox"
        self.inbox.mkdir()
        (path / "password").write_text("unused")
        self.config = path / "triage.toml"
        text = fixture_settings(1, smtp.port, "errors", 'group_wait = "0s"\n')
        start, end = text.index("[[mailboxes]]"), text.index("[smtp]")
        files = (
            '[[mailboxes]]\nname = "support"\ntype = "folder"\npath = "inbox"\nstart = "all"\n'
            'poll = "1s"\nauthserv_ids = ["mx.example.com"]\n\n[http]\nlisten = "off"\n\n'
        )
        self.config.write_text(text[:start] + files + text[end:])
        self.delivered = 0

    def deliver(self, mails: int) -> None:
        for _ in range(mails):
            self.delivered += 1
            own = b"Message-ID: <%d." % self.delivered
            part = self.path / "part"
            part.write_bytes(MAIL.replace(b"Message-ID: <", own, 1))
            # A file is left alone until it has rested; each is newer than the one before it.
            past = time.time_ns() - 10**10 + self.delivered * 10**6
            os.utime(part, ns=(past, past))
            part.rename(self.inbox / f"{self.delivered:03}.eml")

    def filed(self) -> int:
        return len(list((self.inbox / "Triage/Known").glob("*.eml")))

    def done(self) -> bool:
        return self.filed() == self.delivered

    def nothing_lost_nothing_twice(self) -> None:
        until(lambda: self.smtp.received)
        with closing(open_store(f"sqlite:///{self.path}/triage.db")) as store, store.unit() as unit:
            rows = unit.mails_between(LONG_AGO, datetime.now(UTC) + timedelta(days=1))
            incidents = unit.incidents_between(LONG_AGO, datetime.now(UTC))
            assert unit.quarantined() == []
        assert Counter(row.verdict for row in rows) == {"known": self.delivered}
        assert len({row.message_id for row in rows}) == self.delivered
        assert [one.notifications for one in incidents] == [self.delivered]
        assert [to for to, _ in self.smtp.received] == [("priya@northwind.example",)]
        assert list(self.inbox.glob("*.eml")) == []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with SmtpServer() as smtp:
        yield Desk(tmp_path, smtp)


class Fault:
    """What a store does while `on`."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path, self._kind, self.on = path, kind, False
        self._lock: sqlite3.Connection | None = None

    def __call__(self, connection: sqlite3.Connection, *_: object) -> None:
        """Before each transaction of the service."""
        connection.execute("PRAGMA busy_timeout = 20")
        pages = 1 if self.on and self._kind == "disk full" else 10**6
        connection.execute(f"PRAGMA max_page_count = {pages}")
        read_only = self.on and self._kind == "read-only"
        connection.execute(f"PRAGMA query_only = {int(read_only)}")

    def begin(self) -> None:
        self.on = True
        if self._kind == "locked":
            self._lock = sqlite3.connect(self._path, isolation_level=None)
            self._lock.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        self.on = False
        if self._lock is not None:
            self._lock.close()


@pytest.mark.parametrize("kind", ["disk full", "read-only", "locked"])
def test_reading_pauses_and_goes_on_by_itself(desk: Desk, kind: str) -> None:
    settings = load(desk.config)
    store: SqlStore = open_store(f"sqlite:///{desk.path}/triage.db")
    fault = Fault(desk.path / "triage.db", kind)
    event.listen(store._engine, "checkout", fault)
    parts = (settings, read_catalog(), Templates(read_templates()), store)
    with Service(*parts, StoreClock(store.now), backoff=(0.05,)) as service:
        running = threading.Thread(target=service.run, daemon=True)
        desk.deliver(2)
        running.start()
        until(desk.done)
        for _ in range(2):
            fault.begin()
            desk.deliver(8)
            time.sleep(1.5)  # many more rounds than a mail may have attempts
            # In a full file one or two may still find a place.
            assert desk.filed() < desk.delivered - 5
            with pytest.raises(StoreError):
                fill(store)
            fault.end()
            until(desk.done)
        until(lambda: desk.smtp.received)
        service.stop.set()
        running.join(120)
        assert not running.is_alive()
    desk.nothing_lost_nothing_twice()


def test_a_full_disk_under_a_running_service_and_its_log_costs_nothing_but_time(
    desk: Desk,
) -> None:
    """No file may grow: to a process that is the same as a full disk, and needs no root."""
    log = desk.path / "log"
    with log.open("ab") as stderr:
        process = subprocess.Popen([TRIAGE, "run", "--config", str(desk.config)], stderr=stderr)
    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    try:
        desk.deliver(2)
        until(desk.done)
        for _ in range(2):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
            desk.deliver(3)
            before = desk.filed()
            time.sleep(2)
            assert desk.filed() == before
            assert process.poll() is None
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            until(desk.done)
        assert log.stat().st_size
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    desk.nothing_lost_nothing_twice()
