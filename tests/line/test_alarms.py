"""Triage's own troubles reach support by a second way: in small, and with a mailbox that hangs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.line.waiting import until
from tests.servers.dovecot import PASSWORD, Dovecot, free_port
from tests.servers.hook import SECRET, Hook
from tests.servers.script import Line, Script
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.store import SqlStore, open_store
from triage.adapters.webhook import signature
from triage.demo.promise import fixture_settings
from triage.ports import Fault, SendError
from triage.response.templates import Templates
from triage.rows import MailboxRow, NewOutbox, OutboxState, Way
from triage.service.dispatch import Dispatcher
from triage.service.trouble import trouble
from triage.service.watch import Watch
from triage.settings import load, shipped

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRIAGE = str(Path(sys.executable).parent / "triage")
WEBHOOK = '[alarm]\nwebhook = "https://alarms.example.com/x"\nsecret_env = "ALARM"\n'
SECOND = """
[alarm.smtp]
host = "relay.example.net"
from = "Triage <triage@example.net>"
bounce_address = "triage+bounce@example.net"
to = ["duty@example.net", "boss@example.net"]
"""


class Out:
    """A way out that keeps or refuses what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str, Sequence[str]]] = []
        self.refusal: SendError | None = None

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((octets, sender, recipients))

    def close(self) -> None:
        """Nothing to close."""


class Desk:
    """A store, both ways out, and a clock that the test moves."""

    def __init__(self, folder: Path, alarm: str, policy: str) -> None:
        text = (shipped("fixtures") / "triage.toml").read_text()
        (folder / "triage.toml").write_text(f"{text.replace('shadow = false', policy)}\n{alarm}")
        self.settings = load(folder / "triage.toml")
        self.time = NOON
        self.store: SqlStore = open_store(f"sqlite:///{folder / 'triage.db'}", clock=self)
        self.mail, self.alarm = Out(), Out()
        parts = (self.settings, read_catalog(), Templates(read_templates()), self.store)
        self._mails = Dispatcher(*parts, self.mail, self)
        self._alarms = Dispatcher(*parts, self.alarm, self, Way.ALARM)

    def now(self) -> datetime:
        return self.time

    def trouble(self, key: str = "it broke", **options: Any) -> None:
        with self.store.unit() as unit:
            trouble(unit, self.settings, key, "It broke", "Mend it.", self.time, **options)

    def turn(self, **passed: float) -> tuple[int, int]:
        """Let time pass; answers how many mails and alarms were sent then."""
        self.time += timedelta(**passed)
        before = len(self.mail.sent), len(self.alarm.sent)
        if not self.settings.policy.shadow:
            self._mails.respond(self.time)
            self._mails.send()
        self._alarms.send()
        return len(self.mail.sent) - before[0], len(self.alarm.sent) - before[1]

    def mailbox(self, **changes: Any) -> None:
        row = MailboxRow("support", "INBOX", 7, 41, NOON, self.time, **changes)
        with self.store.unit() as unit:
            unit.save_mailbox(row)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def desk(alarm: str = WEBHOOK, policy: str = "shadow = false") -> Desk:
        desks.append(Desk(tmp_path, alarm, policy))
        return desks[-1]

    yield desk
    for one in desks:
        one.store.close()


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    return make()


def test_a_trouble_is_told_by_mail_and_by_the_second_way(desk: Desk) -> None:
    desk.trouble()
    assert desk.turn(seconds=1) == (1, 1)
    body = json.loads(desk.alarm.sent[0][0])
    assert body.keys() == {"id", "time", "title", "text"}
    assert (body["title"], body["text"]) == ("It broke", "Mend it.")
    assert datetime.fromisoformat(body["time"]) == NOON


def test_a_trouble_that_goes_on_is_told_once_in_the_repeat_interval(desk: Desk) -> None:
    for _ in range(3):  # before anything was sent, too
        desk.trouble()
    assert desk.turn(seconds=1) == (1, 1)
    for _ in range(23):
        desk.trouble()
        assert desk.turn(hours=1) == (0, 0)
    desk.turn(hours=1)
    desk.trouble()
    assert desk.turn(seconds=1) == (1, 1)
    assert len({json.loads(octets)["id"] for octets, _, _ in desk.alarm.sent}) == 2


def test_without_a_second_way_there_is_the_mail(make: Callable[..., Desk]) -> None:
    desk = make(alarm="")
    desk.trouble()
    assert desk.turn(seconds=1) == (1, 0)


def test_in_shadow_nothing_is_sent_either_way(make: Callable[..., Desk]) -> None:
    desk = make(policy="shadow = true")
    desk.trouble()
    assert desk.turn(seconds=1) == (0, 0)
    with desk.store.unit() as unit:
        assert unit.outbox() == []
        assert unit.tally().incidents == 1


def test_a_hold_of_all_mail_holds_no_alarm(desk: Desk) -> None:
    with desk.store.unit() as unit:
        unit.hold("a storm")
    desk.trouble()
    assert desk.turn(seconds=1) == (0, 1)


def test_mail_that_cannot_be_sent_delays_no_alarm(desk: Desk) -> None:
    desk.mail.refusal = SendError("421 not now", Fault.TRANSIENT)
    desk.trouble()
    assert desk.turn(seconds=1) == (0, 1)


def test_an_alarm_by_mail_goes_to_each_reader_alone(make: Callable[..., Desk]) -> None:
    desk = make(alarm=SECOND)
    desk.trouble()
    assert desk.turn(seconds=1) == (1, 2)
    messages = [message_from_bytes(o, policy=policy.SMTP) for o, _, _ in desk.alarm.sent]
    assert {str(one["To"]) for one in messages} == {"duty@example.net", "boss@example.net"}
    assert {str(one["From"]) for one in messages} == {"Triage <triage@example.net>"}
    assert {str(one["Subject"]) for one in messages} == {"[TRIAGE] It broke"}
    assert {str(one["Auto-Submitted"]) for one in messages} == {"auto-generated"}
    assert len({str(one["Message-ID"]) for one in messages}) == 2
    assert {sender for _, sender, _ in desk.alarm.sent} == {"triage+bounce@example.net"}


def test_alarms_that_are_refused_are_told_by_mail_and_raise_no_alarm(desk: Desk) -> None:
    desk.alarm.refusal = SendError("410 gone", Fault.PERMANENT)
    desk.trouble()
    assert desk.turn(seconds=1) == (1, 0)
    assert desk.turn(seconds=1) == (1, 0), "that the alarm is dead"
    for _ in range(50):
        assert desk.turn(minutes=10) == (0, 0)
    with desk.store.unit() as unit:
        assert [Way(row.way) for row in unit.outbox((OutboxState.DEAD,))] == [Way.ALARM]


# The watch ----------------------------------------------------------------------------------


def test_a_mailbox_that_stands_still_is_told_once(desk: Desk) -> None:
    watch = Watch(desk.settings, desk.store, desk)
    desk.mailbox()
    watch.look()
    assert desk.turn(seconds=109) == (0, 0)
    watch.look()
    assert desk.turn(seconds=2) == (0, 0)
    watch.look()
    assert desk.turn(seconds=1) == (1, 1)
    for _ in range(100):
        watch.look()
        assert desk.turn(seconds=10) == (0, 0)
    assert "mailbox support made no progress" in json.loads(desk.alarm.sent[0][0])["title"]


def test_after_a_start_a_mailbox_has_time_to_be_opened(desk: Desk) -> None:
    desk.mailbox()
    desk.turn(days=1)
    watch = Watch(desk.settings, desk.store, desk, just_started=True)
    watch.look()
    assert desk.turn(seconds=100) == (0, 0)
    watch.look()
    assert desk.turn(seconds=20) == (0, 0)
    watch.look()
    assert desk.turn(seconds=1) == (1, 1)


def test_a_mailbox_that_fails_but_goes_on_is_told_when_that_lasts(desk: Desk) -> None:
    watch = Watch(desk.settings, desk.store, desk)
    for _ in range(11):
        desk.mailbox(error="the folder cannot be made")
        watch.look()
        assert desk.turn(seconds=10) == (0, 0)
    desk.mailbox(error="the folder cannot be made")
    watch.look()
    assert desk.turn(seconds=1) == (1, 1)


def test_a_fault_that_comes_and_goes_is_not_told(desk: Desk) -> None:
    watch = Watch(desk.settings, desk.store, desk)
    for turn in range(40):
        desk.mailbox(error="reset" if turn % 4 else "")
        watch.look()
        assert desk.turn(seconds=10) == (0, 0)


def test_mail_that_is_put_off_for_over_ten_minutes_is_an_alarm(desk: Desk) -> None:
    watch = Watch(desk.settings, desk.store, desk)
    desk.mail.refusal = SendError("421 not now", Fault.TRANSIENT)
    message = ("k", "reply", None, "b@example.com", ("priya@northwind.example",), "i", "s", b"o")
    with desk.store.unit() as unit:
        unit.enqueue(NewOutbox(*message), NOON)
    alarms = 0
    for _ in range(12):
        desk.mailbox()
        watch.look()
        alarms += desk.turn(minutes=1)[1]
        if desk.time < NOON + timedelta(minutes=11):
            assert alarms == 0
    assert alarms == 1
    assert "421 not now" in json.loads(desk.alarm.sent[0][0])["text"]


# The whole service --------------------------------------------------------------------------


@pytest.mark.server
def test_a_mailbox_that_hangs_turns_ready_red_and_the_webhook_tells_though_smtp_hangs_too(
    tmp_path: Path,
) -> None:
    port = free_port()

    def ready() -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=30).status_code
        except httpx.ConnectError:
            return 0

    with Dovecot() as dovecot, Script(Line.until_gone) as smtp, Hook() as hook:
        text = fixture_settings(dovecot.port, smtp.port, "errors")
        text = text.replace('name = "support"\n', 'name = "support"\npoll = "1s"\n')
        alarm = f'[alarm]\nwebhook = "{hook.url}"\nsecret_file = "secret"\n'
        http = f'[http]\nlisten = "127.0.0.1:{port}"\n[health]\nsilence = "5s"\n'
        (tmp_path / "triage.toml").write_text(f"{text}\n{http}{alarm}")
        (tmp_path / "password").write_text(PASSWORD)
        (tmp_path / "secret").write_text(SECRET)
        with (tmp_path / "log").open("wb") as log:
            command = [TRIAGE, "run", "--config", str(tmp_path / "triage.toml")]
            process = subprocess.Popen(command, stderr=log)
        try:
            until(lambda: ready() == 200)
            time.sleep(7)
            until(lambda: ready() == 200)  # idling is progress
            dovecot.freeze(signal.SIGSTOP)
            until(lambda: ready() == 503)
            until(lambda: hook.calls and smtp.connections)
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert "triage_healthy 0.0" in metrics
            assert httpx.get(f"http://127.0.0.1:{port}/live").status_code == 200
        finally:
            dovecot.freeze(signal.SIGCONT)
            process.kill()  # it would wait for the answer of the SMTP server
            process.wait()
    (signed, body), *more = hook.calls
    at = int(signed.partition(",")[0].removeprefix("t="))
    assert signed == signature(SECRET, at, body)
    assert "mailbox support made no progress" in json.loads(body)["title"]
    assert more == []
