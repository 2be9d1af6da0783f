"""Contacts that change while the service runs: taken over as a whole, or refused as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.line.waiting import until
from triage.demo.promise import fixture_settings
from triage.demo.servers import SmtpServer
from triage.service.reload import Reload
from triage.settings import Settings, load, shipped

EMAILS = shipped("fixtures") / "emails"
QUEUE = "agent_connect/employee_is_queue-01.eml"
TRIAGE = str(Path(sys.executable).parent / "triage")
HEAD = "tenant,org_ids,my_domains,domains,contact,role\n"
NORTHWIND = "northwind,00D8x000001AbCd,northwind.my.salesforce.com,northwind.example"
PRIYA, TOM = "priya@northwind.example", "tom@northwind.example"


def rows(*contacts: str) -> str:
    return HEAD + "".join(f"{NORTHWIND},{contact},\n" for contact in contacts)


def in_files(text: str) -> str:
    """The settings without [[tenants]], and with a file of contacts."""
    start, end = text.index("[[tenants]]"), text.index("[support]")
    return f'{text[:start]}[contacts]\nfile = "tenants.csv"\n\n{text[end:]}'


# What is looked at -------------------------------------------------------------------------


class Desk:
    """Files, and what was taken over of them."""

    def __init__(self, folder: Path) -> None:
        self.config, self.csv = folder / "triage.toml", folder / "tenants.csv"
        self.config.write_text(in_files((shipped("fixtures") / "triage.toml").read_text()))
        self.csv.write_text(rows(PRIYA))
        self.taken: list[Settings] = []
        self.reload = Reload(self.config, load(self.config), self.taken.append)
        self.looks(2)
        assert self.taken == []

    def looks(self, times: int = 2) -> list[list[str]]:
        """Look so often; the contacts that were taken over then, each time that they were."""
        before = len(self.taken)
        for _ in range(times):
            self.reload.look()
        return [
            [contact.address for tenant in one.tenants for contact in tenant.contacts]
            for one in self.taken[before:]
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_changed_file_is_taken_over_once_it_stands_still(desk: Desk) -> None:
    desk.csv.write_text(rows(PRIYA, TOM))
    assert desk.looks(1) == []
    desk.csv.write_text(rows(TOM))  # the export goes on
    assert desk.looks(1) == []
    assert desk.looks(5) == [[TOM]]


def test_a_file_that_is_replaced_by_another_of_the_same_size_and_time_is_seen(desk: Desk) -> None:
    old = desk.csv.stat()
    new = desk.csv.with_name("new")
    new.write_text(rows(PRIYA).replace("priya", "sofia"))
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.replace(desk.csv)
    assert desk.looks() == [["sofia@northwind.example"]]


def test_when_asked_it_reads_at_once(desk: Desk) -> None:
    desk.csv.write_text(rows(TOM))
    desk.reload.ask()
    assert desk.looks(1) == [[TOM]]


def test_what_says_the_same_in_other_words_changes_nothing(desk: Desk) -> None:
    desk.csv.write_text(rows(PRIYA, PRIYA).replace("\n", "\r\n"))
    assert desk.looks() == []
    assert desk.reload.refused == ()


FAULTS = {
    "a Latin-1 file with semicolons": rows("jörg@northwind.example").replace(",", ";"),
    "half a file": rows(PRIYA)[:-20],
    "an empty file": "",
    "an org of two tenants": rows(PRIYA) + "contoso,00D8x000001AbCd,,,,\n",
    "a watched address": rows("errors@example.com"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_refused_and_the_good_one_after_it_is_taken(desk: Desk, name: str) -> None:
    desk.csv.write_text(FAULTS[name], encoding="latin-1")
    assert desk.looks(5) == []
    assert all("tenants.csv" in fault for fault in desk.reload.refused)
    assert desk.reload.refused
    desk.csv.write_text(rows(TOM))
    assert desk.looks() == [[TOM]]
    assert desk.reload.refused == ()


def test_a_missing_file_is_refused_until_it_is_back(desk: Desk) -> None:
    desk.csv.unlink()
    assert desk.looks() == []
    assert "cannot be read" in desk.reload.refused[0]
    desk.csv.write_text(rows(PRIYA))
    assert desk.looks() == []
    assert desk.reload.refused == ()


def test_tenants_of_triage_toml_are_taken_over_and_nothing_else_of_it(desk: Desk) -> None:
    text = desk.config.read_text().replace("shadow = false", "shadow = true")
    desk.config.write_text(f'{text}\n[[tenants]]\nname = "contoso"\n')
    assert desk.looks() == [[PRIYA]]
    (taken,) = desk.taken
    assert [tenant.name for tenant in taken.tenants] == ["contoso", "northwind"]
    assert taken.policy.shadow is False


def test_a_file_that_triage_toml_names_anew_is_watched_also_while_it_is_faulty(desk: Desk) -> None:
    other = desk.csv.with_name("other.csv")
    other.write_text("nonsense")
    desk.config.write_text(desk.config.read_text().replace("tenants.csv", "other.csv"))
    assert desk.looks() == []
    assert "other.csv" in desk.reload.refused[0]
    other.write_text(rows(TOM))
    assert desk.looks() == [[TOM]]


def test_contacts_must_go_together_with_the_mailboxes_that_are_watched_now(desk: Desk) -> None:
    # The file would be good after a restart; until then its contact is a watched address.
    text = desk.config.read_text().replace("errors@example.com", "inbox@example.com")
    desk.config.write_text(text.replace("errors+bounce@", "inbox+bounce@"))
    desk.csv.write_text(rows("errors@example.com"))
    assert desk.looks() == []
    assert "errors@example.com is also" in desk.reload.refused[0]


# The service -------------------------------------------------------------------------------


class World:
    """A folder of mails, an SMTP server, and a running `triage run`."""

    def __init__(self, folder: Path, smtp: SmtpServer) -> None:
        self.folder, self.smtp, self.csv = folder, smtp, folder / "tenants.csv"
        self.config, self.inbox = folder / "triage.toml", folder / "inbox"
        self.inbox.mkdir()
        text = in_files(fixture_settings(1, smtp.port, "errors", 'group_wait = "0s"\n'))
        start, end = text.index('host = "127.0.0.1"\nport = 1\n'), text.index("addresses = ")
        files = 'type = "folder"\npath = "inbox"\nstart = "all"\npoll = "1s"\n'
        text = f'{text[:start]}{files}{text[end:]}\n[http]\nlisten = "off"\n'
        self.config.write_text(text + '[health]\noverdue = "1s"\n')
        self.csv.write_text(rows(PRIYA))
        self._mails = 0

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [TRIAGE, "run", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log)

    def deliver(self) -> None:
        """A mail with a record of its own."""
        self._mails += 1
        octets = (EMAILS / QUEUE).read_bytes()
        start = octets.index(b"/500") + 1
        octets = octets.replace(octets[start : start + 15], b"5008x00000Zz9Z%d" % self._mails)
        octets = octets.replace(b"Message-ID: <", b"Message-ID: <%d." % self._mails)
        new = self.inbox / "new"
        new.write_bytes(octets)
        before = time.time() - 5
        os.utime(new, (before, before))
        new.rename(self.inbox / f"{self._mails}.eml")

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = (self.folder / "log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [one for one in found if one["event"] == event]

    def readers(self) -> list[str]:
        return [to[0] for to, _ in self.smtp.messages()]

    def triage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [TRIAGE, *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with SmtpServer() as smtp:
        one = World(tmp_path, smtp)
        one.start()
        until(lambda: one.log("started"))
        yield one
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(120) == 0


def test_the_service_goes_on_with_new_contacts_and_refuses_faulty_ones(world: World) -> None:
    world.deliver()
    until(lambda: world.readers() == [PRIYA])
    world.csv.write_text(rows(TOM))
    until(lambda: world.log("tenants_taken_over"))
    world.deliver()
    until(lambda: world.readers() == [PRIYA, TOM])
    world.csv.write_text(rows("sofía@northwind.example", "x@y"), encoding="latin-1")
    until(lambda: world.log("tenants_refused"))
    (refused,) = world.log("tenants_refused")
    assert "tenants.csv: line 2: is not UTF-8" in refused["faults"][0]
    status = world.triage("status", "--check")
    assert status.returncode == 1
    assert "tenants.csv refused for 1 faults" in status.stdout
    assert "line 2: is not UTF-8" in status.stderr
    assert world.triage("outbox", "list").returncode == 0
    # What lasts is told to support; what was in force stays so.
    until(lambda: "team@example.com" in world.readers())
    world.deliver()
    world.csv.write_text(rows(PRIYA, TOM))
    world.process.send_signal(signal.SIGHUP)
    until(lambda: len(world.log("tenants_taken_over")) == 2)
    assert world.triage("status", "--check").returncode == 0
    assert "1 with 2 contacts; tenants.csv read" in world.triage("status").stdout
    until(lambda: len(world.log("mail")) == 3)
    assert {one["tenant"] for one in world.log("mail")} == {"northwind"}


def test_mails_that_come_while_contacts_change_are_all_answered_once(world: World) -> None:
    for number in range(12):
        world.deliver()
        world.csv.write_text(rows(*[PRIYA, TOM][: 1 + number % 2]))
        world.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
    until(lambda: len(world.log("mail")) == 12)
    assert {one["verdict"] for one in world.log("mail")} == {"known"}
    assert {one["tenant"] for one in world.log("mail")} == {"northwind"}
    assert not world.log("mailbox_fault")
    assert not world.log("mailbox_failed")
    until(lambda: PRIYA in world.readers())
    assert world.readers().count(PRIYA) == 1
    assert world.readers().count(TOM) <= 1
