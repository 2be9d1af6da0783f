"""The whole service against a real Dovecot and a real SMTP server: mails in, messages out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line.waiting import until
from tests.servers.dovecot import PASSWORD, Dovecot
from triage.demo.promise import fixture_settings
from triage.demo.servers import SmtpServer
from triage.settings import shipped

EMAILS = shipped("fixtures") / "emails"
EXPECTED = [json.loads(line) for line in (EMAILS / "expected.jsonl").read_text().splitlines()]
TRIAGE = str(Path(sys.executable).parent / "triage")
MAILS = 200


class World:
    """A mailbox on Dovecot, an SMTP server, and a configured Triage that is not running."""

    def __init__(self, folder: Path, dovecot: Dovecot, smtp: SmtpServer) -> None:
        self.folder, self.dovecot, self.smtp = folder, dovecot, smtp
        self.config = folder / "triage.toml"
        (folder / "password").write_text(PASSWORD)
        self.configure()

    def configure(self, policy: str = 'group_wait = "1s"\n', mailbox: str = "") -> None:
        text = fixture_settings(self.dovecot.port, self.smtp.port, "errors", policy)
        text = text.replace('name = "support"\n', f'name = "support"\nstart = "all"\n{mailbox}')
        text += '\n[budgets]\nper_recipient = "900/d"\nper_tenant = "900/d"\ntotal = "900/h"\n'
        self.config.write_text(text)

    def triage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [TRIAGE, *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    def start(self) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        command = [TRIAGE, "run", "--config", str(self.config)]
        return subprocess.Popen(command, stderr=log, start_new_session=True)

    def deliver(self, names: list[str]) -> None:
        """By APPEND; a name that comes again gets a Message-ID of its own."""
        client = self.dovecot.client()
        for number, name in enumerate(names):
            octets = (EMAILS / name).read_bytes()
            if name in names[:number]:
                octets = octets.replace(b"Message-ID: <", b"Message-ID: <%d." % number, 1)
            client.append("INBOX", octets)
        client.logout()

    def mailbox(self) -> dict[str, list[tuple[int, tuple[bytes, ...]]]]:
        client = self.dovecot.client()
        found = {}
        for attributes, _, folder in client.list_folders():
            if rb"\Noselect" in attributes:
                continue
            client.select_folder(folder, readonly=True)
            flags = client.get_flags(client.search())
            found[folder] = [(uid, tuple(one)) for uid, one in flags.items()]
        client.logout()
        return found

    def replies(self) -> Counter[str]:
        return Counter(r for to, _ in self.smtp.messages() for r in to if r != "team@example.com")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Dovecot() as dovecot, SmtpServer() as smtp:
        yield World(tmp_path, dovecot, smtp)


def _names(mails: int = MAILS) -> list[str]:
    """All fixtures, and some of them again until there are so many."""
    names = [promise["path"] for promise in EXPECTED]
    again = [name for name in names if name.startswith(("agent_connect/", "not_ours/"))]
    return (names + again * 10)[:mails]


def _promised(names: list[str]) -> tuple[set[str], set[str]]:
    """Who must receive something, and which fixtures are moved."""
    lines = {promise["path"]: promise for promise in EXPECTED}
    readers = {r for name in names if lines[name]["actions"] for r in lines[name]["recipients"]}
    return readers, {name for name in names if lines[name].get("verdict") == "known"}


def _check_outcome(world: World, names: list[str]) -> None:
    readers, _ = _promised(names)
    assert {r for to, _ in world.smtp.messages() for r in to} == readers
    lines = {promise["path"]: promise for promise in EXPECTED}
    verdicts = Counter(lines[name].get("verdict") for name in names)
    folders = world.mailbox()
    unsure = verdicts[None]
    assert 0 <= len(folders["Triage/Known"]) - verdicts["known"] <= unsure
    assert len(folders["INBOX"]) + len(folders["Triage/Known"]) == len(names)
    untouched = sum(not flags for _, flags in folders["INBOX"])
    assert 0 <= untouched - verdicts["not_ours"] <= unsure
    assert not any(b"\\Seen" in flags for mails in folders.values() for _, flags in mails)
    ids = Counter(str(message["Message-ID"]) for _, message in world.smtp.messages())
    assert ids.most_common(1)[0][1] == 1, "a message was sent twice"


def test_two_hundred_mails_give_the_right_messages_and_a_second_run_gives_none(
    world: World,
) -> None:
    names = _names()
    world.deliver(names)
    first = world.triage("run", "--once")
    assert first.returncode == 0, first.stderr[-2000:]
    _check_outcome(world, names)
    sent = len(world.smtp.received)
    second = world.triage("run", "--once")
    assert second.returncode == 0
    assert len(world.smtp.received) == sent


def test_killed_in_the_middle_it_ends_as_if_nothing_had_happened(world: World) -> None:
    names = _names(2 * MAILS)
    world.deliver(names)
    for _ in range(3):  # of eight batches each life may see two through
        process = world.start()
        moved = len(world.mailbox().get("Triage/Known", ()))
        until(lambda moved=moved: len(world.mailbox().get("Triage/Known", ())) > moved)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for _ in range(2):
        assert world.triage("run", "--once").returncode == 0
    _check_outcome(world, names)


def test_a_mail_that_comes_while_it_idles_is_answered_and_sigterm_stops_it(world: World) -> None:
    world.configure('group_wait = "0s"\n')
    process = world.start()
    until(lambda: "mailbox_open" in (world.folder / "log").read_text())
    world.deliver(["agent_connect/employee_is_queue-01.eml"])
    until(lambda: world.replies()["priya@northwind.example"] == 1)
    assert world.triage("status", "--check").returncode == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    message = world.smtp.messages()[0][1]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    text = message.get_body(("plain",)).get_content()
    assert "northwind.lightning.force.com/lightning/r/500" in text


def test_in_shadow_nothing_is_sent_moved_or_flagged_and_leaving_it_sends_nothing_old(
    world: World,
) -> None:
    world.deliver(["agent_connect/employee_is_queue-01.eml", "salesforce/cpu_time_limit-01.eml"])
    text = world.config.read_text()
    world.config.write_text(text.replace("shadow = false", "shadow = true"))
    assert world.triage("run", "--once").returncode == 0
    assert world.mailbox().keys() == {"INBOX"}
    assert not any(flags for _, flags in world.mailbox()["INBOX"])
    world.configure()
    assert world.triage("run", "--once").returncode == 0
    assert world.smtp.received == []


def test_a_hold_keeps_everything_back_until_it_is_resumed(world: World) -> None:
    world.deliver(["agent_connect/employee_is_queue-01.eml"])
    assert world.triage("outbox", "hold").returncode == 0
    assert world.triage("run", "--once").returncode == 0
    assert world.smtp.received == []
    assert "on hold" in world.triage("outbox", "list").stdout
    assert world.triage("outbox", "resume").returncode == 0
    assert world.triage("run", "--once").returncode == 0
    assert world.replies() == {"priya@northwind.example": 1}


def test_a_second_service_on_the_same_file_is_refused_with_status_2(world: World) -> None:
    process = world.start()
    until(lambda: "mailbox_open" in (world.folder / "log").read_text())
    second = world.triage("run", "--once")
    assert second.returncode == 2
    assert str(process.pid) in second.stderr
    assert "Traceback" not in second.stderr
    process.terminate()
    process.wait(120)


def test_a_wrong_password_names_the_mailbox_and_the_others_go_on(world: World) -> None:
    inbox = world.folder / "inbox"
    inbox.mkdir()
    fixture = EMAILS / "agent_connect/employee_is_queue-01.eml"
    (inbox / "one.eml").write_bytes(fixture.read_bytes())
    (world.folder / "password").write_text("wrong")
    files = (
        '[[mailboxes]]\nname = "files"\ntype = "folder"\npath = "inbox"\nstart = "all"\n'
        'authserv_ids = ["mx.example.com"]\n\n[smtp]'
    )
    world.config.write_text(world.config.read_text().replace("[smtp]", files, 1))
    outcome = world.triage("run", "--once")
    assert outcome.returncode == 1
    assert "support" in outcome.stderr
    assert "password" in outcome.stderr
    assert world.replies() == {"priya@northwind.example": 1}


def test_the_weekly_digest_goes_to_each_reader_once(world: World) -> None:
    world.deliver(["agent_connect/employee_is_queue-01.eml"])
    assert world.triage("run", "--once").returncode == 0
    running = time.strftime("%G-W%V", time.gmtime())
    assert "queue" in world.triage("digest", "--week", running).stdout
    early = world.triage("digest", "--week", running, "--send")
    assert (early.returncode, "not over" in early.stderr) == (2, True)
    for _ in range(2):
        assert world.triage("digest", "--send").returncode == 0
        assert world.triage("run", "--once").returncode == 0
    assert world.replies()["leads@example.com"] == 1


def test_a_folder_that_cannot_be_filed_into_keeps_no_mail_from_being_read(world: World) -> None:
    inbox = world.folder / "inbox"
    inbox.mkdir()
    fixture = EMAILS / "agent_connect/employee_is_queue-01.eml"
    (inbox / "one.eml").write_bytes(fixture.read_bytes())
    (inbox / "Triage").write_text("a file where a folder should be")
    text = world.config.read_text()
    start, end = text.index("[[mailboxes]]"), text.index("[smtp]")
    files = (
        '[[mailboxes]]\nname = "files"\ntype = "folder"\npath = "inbox"\nstart = "all"\n'
        'authserv_ids = ["mx.example.com"]\n\n'
    )
    world.config.write_text(text[:start] + files + text[end:])
    assert world.triage("run", "--once").returncode == 1
    other = EMAILS / "agent_connect/missing_customer_email-01.eml"
    (inbox / "two.eml").write_bytes(other.read_bytes())
    time.sleep(1.2)  # a file is left alone until it has rested for a second
    assert world.triage("run", "--once").returncode == 1
    assert world.replies() == {"priya@northwind.example": 2}
    assert world.triage("status", "--check").returncode == 1


def test_wrong_settings_are_all_named_at_once_with_status_2(world: World) -> None:
    text = world.config.read_text().replace("group_wait", "group_wiat")
    world.config.write_text(text.replace('language = "de"', 'language = "german"', 1))
    outcome = world.triage("run")
    assert outcome.returncode == 2
    assert "did you mean group_wait?" in outcome.stderr
    assert "language" in outcome.stderr
    assert "Traceback" not in outcome.stderr
