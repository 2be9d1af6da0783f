"""Yesterday's store beside today's mailbox: nothing is sent twice, and work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.line.waiting import until
from tests.servers.dovecot import PASSWORD, Dovecot
from triage.adapters.store import SqlStore, open_store
from triage.cli import app
from triage.demo.promise import fixture_settings
from triage.demo.servers import SmtpServer
from triage.rows import OutboxRow, OutboxState
from triage.settings import shipped

EMAILS = shipped("fixtures") / "emails"
TRIAGE = str(Path(sys.executable).parent / "triage")
QUEUE = "agent_connect/employee_is_queue-01.eml"
MISSING = "agent_connect/missing_customer_email-01.eml"
CPU = "salesforce/cpu_time_limit-01.eml"
UNKNOWN = "salesforce/unknown_exception-01.eml"
FORGED = "forged/lookalike_domain-01.eml"
CONTOSO = "agent_connect/employee_is_queue-02.eml"
CONTOSOS = {"jonas@contoso.example", "lena@contoso.example"}
EVER = datetime(1970, 1, 1, tzinfo=UTC)
PRIYA, TEAM = "priya@northwind.example", "team@example.com"
NOT_MOVED = 'after = {known = "flag", unknown = "flag", suspicious = "flag"}\n'

pytestmark = pytest.mark.server


class Desk:
    """A mailbox, a server that mail goes to, and a Triage with its store."""

    def __init__(self, folder: Path, dovecot: Dovecot, smtp: SmtpServer, after: str = "") -> None:
        self.folder, self.dovecot, self.smtp = folder, dovecot, smtp
        (folder / "password").write_text(PASSWORD)
        text = fixture_settings(dovecot.port, smtp.port, folder.name, 'group_wait = "0s"\n')
        text = text.replace('name = "support"\n', f'name = "support"\nstart = "all"\n{after}')
        text += '\n[budgets]\nper_recipient = "900/d"\nper_tenant = "900/d"\ntotal = "900/h"\n'
        (folder / "triage.toml").write_text(text)
        self._delivered = 0

    def triage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [TRIAGE, *arguments, "--config", str(self.folder / "triage.toml")]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def database(self, *arguments: str) -> str:
        """`triage db`, in this process: it starts nothing."""
        config = str(self.folder / "triage.toml")
        outcome = CliRunner().invoke(app, ["db", *arguments, "--config", config])
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    def done(self, *arguments: str) -> str:
        outcome = self.triage(*arguments)
        assert outcome.returncode == 0, outcome.stderr[-2000:]
        return outcome.stdout

    def store(self) -> SqlStore:
        return open_store(f"sqlite:///{self.folder / 'triage.db'}")

    def hold(self, reason: str | None) -> None:
        with closing(self.store()) as store, store.unit() as unit:
            unit.hold(reason)

    def outbox(self, state: OutboxState) -> list[OutboxRow]:
        with closing(self.store()) as store, store.unit() as unit:
            return list(unit.outbox((state,)))

    def start(self) -> subprocess.Popen[bytes]:
        command = [TRIAGE, "run", "--config", str(self.folder / "triage.toml")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stderr=log, start_new_session=True)

    def deliver(self, *names: str) -> None:
        """Each a mail of its own, about a record of its own."""
        client = self.dovecot.client(self.folder.name)
        for name in names:
            self._delivered += 1
            octets = (EMAILS / name).read_bytes()
            octets = octets.replace(b"Message-ID: <", b"Message-ID: <%d." % self._delivered, 1)
            if b"/500" in octets:
                start = octets.index(b"/500") + 1
                record = b"5008x00000Zz%xZzAAJ" % self._delivered  # AAJ: where capitals stand
                octets = octets.replace(octets[start : start + 18], record)
            client.append("INBOX", octets)
        client.logout()

    def in_folder(self, folder: str) -> dict[int, tuple[bytes, ...]]:
        """UIDs with their flags; none where there is no such folder."""
        client = self.dovecot.client(self.folder.name)
        flags: dict[int, tuple[bytes, ...]] = {}
        if client.folder_exists(folder):
            client.select_folder(folder, readonly=True)
            flags = client.get_flags(client.search())
        client.logout()
        return flags

    def filed(self) -> int:
        """Mails that were moved or flagged."""
        inbox = self.in_folder("INBOX").values()
        return len(self.in_folder("Triage/Known")) + sum(b"$Triaged" in one for one in inbox)

    def sent(self, begin: int = 0) -> list[tuple[str, str]]:
        """To whom, and with which subject."""
        return [(to[0], str(m["Subject"])) for to, m in self.smtp.messages()[begin:]]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_after_a_restore_nothing_is_sent_twice_and_new_mail_is_handled(
    tmp_path: Path, dovecot: Dovecot, smtp: SmtpServer
) -> None:
    desk, backup = Desk(tmp_path, dovecot, smtp), tmp_path / "backup.db"
    # Yesterday: a reply went out, one waits for its interval, and a ticket is in the outbox.
    service = desk.start()
    desk.deliver(QUEUE)
    until(lambda: desk.sent() and desk.filed() == 1)
    desk.hold("for the backup")
    desk.deliver(QUEUE, UNKNOWN)
    until(lambda: desk.outbox(OutboxState.PENDING) and desk.filed() == 3)
    desk.database("backup", str(backup))
    # Today: what waited is sent, and more mails come, of the same and of other incidents.
    desk.hold(None)
    desk.deliver(QUEUE, UNKNOWN, MISSING, CPU, FORGED)
    until(lambda: len(desk.sent()) >= 4 and desk.filed() == 8)
    time.sleep(1.5)  # whatever is still on its way
    _kill(service)
    before = len(desk.sent())

    said = desk.database("restore", str(backup))
    assert "1 messages waited" in said
    assert "1 responses were about to be written" in said
    assert PRIYA in said
    assert "on hold (for the backup)" in said
    assert "perhaps sent" in desk.outbox(OutboxState.DROPPED)[0].error
    desk.hold(None)
    desk.done("run", "--once")
    assert [to for to, _ in desk.sent(before)] == [TEAM]
    assert "Restored from a backup" in desk.sent(before)[0][1]

    # The same trouble within its interval is not told again; what is new is.
    desk.deliver(CPU, MISSING, UNKNOWN, QUEUE, CONTOSO)
    desk.done("run", "--once")
    assert {to for to, _ in desk.sent(before + 1)} == CONTOSOS
    assert desk.filed() == 13
    ids = [str(message["Message-ID"]) for _, message in smtp.messages()]
    assert len(ids) == len(set(ids))


def test_a_mailbox_that_a_lost_store_had_handled_is_counted_and_not_answered(
    tmp_path: Path, dovecot: Dovecot, smtp: SmtpServer
) -> None:
    desk = Desk(tmp_path, dovecot, smtp, NOT_MOVED)
    desk.deliver(QUEUE, UNKNOWN, FORGED)
    desk.done("run", "--once")
    before = len(desk.sent())
    assert before >= 3
    (tmp_path / "triage.db").unlink()
    desk.done("run", "--once")
    assert len(desk.sent()) == before
    with closing(desk.store()) as store, store.unit() as unit:
        mails = unit.mails_between(EVER, datetime.now(UTC))
        assert [mail.reason for mail in mails] == ["nothing_new"] * 3
        assert len(unit.incidents_between(EVER, datetime.now(UTC))) == 3
        assert not unit.pending()
