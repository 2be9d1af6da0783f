"""Faults of an SMTP server, between a real outbox and the dispatcher.

Whatever the server does: each message has its effect once, or is a copy with the same Message-ID
where nobody can know (RFC 1047), and what cannot be delivered is visible and can be sent again.
"""

from __future__ import annotations

import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.servers.certificates import make_certificate
from tests.servers.postgres import Postgres
from tests.servers.script import Line, Script
from tests.servers.smtp import MailServer, SmtpSink
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.smtp import SmtpSender
from triage.adapters.store import SqlStore, open_store
from triage.catalog.load import Catalog
from triage.demo.promise import fixture_settings
from triage.ports import Fault, Sender, SendError, StoreError
from triage.response.templates import Templates
from triage.rows import NewOutbox, OutboxRow, OutboxState
from triage.service.dispatch import Dispatcher
from triage.settings import Settings, load

PENDING, SENT, DEAD = OutboxState.PENDING, OutboxState.SENT, OutboxState.DEAD
TRIAGE = str(Path(sys.executable).parent / "triage")
TO = "priya@northwind.example"


@cache
def catalog() -> Catalog:
    return read_catalog()


@cache
def templates() -> Templates:
    return Templates(read_templates())


class Clock:
    """Begins now and is moved by the test."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self) -> datetime:
        return self.time


class Outbox:
    """An outbox, and a dispatcher for any server."""

    def __init__(self, path: Path, *changes: tuple[str, str]) -> None:
        (path / "password").write_text("unused")
        self.config = path / "triage.toml"
        text = fixture_settings(1, 1, "errors")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.config.write_text(text)
        self.settings: Settings = load(self.config)
        self.clock = Clock()
        self._url = f"sqlite:///{path}/triage.db"
        self.store: SqlStore = open_store(self._url, clock=self.clock)
        self._queued = 0

    def close(self) -> None:
        self.store.close()

    def start_again(self) -> None:
        self.store.close()
        self.store = open_store(self._url, clock=self.clock)

    def queue(self, count: int = 1, to: str = TO) -> None:
        for _ in range(count):
            self._queued += 1
            number = self._queued
            octets = (
                f"Message-ID: <{number}@example.com>\r\nSubject: message {number}\r\n\r\nText.\r\n"
            )
            row = NewOutbox(
                str(number), "reply", "northwind", "errors+bounce@example.com", (to,),
                f"<{number}@example.com>", f"message {number}", octets.encode(),
            )  # fmt: skip
            with self.store.unit() as unit:
                unit.enqueue(row, self.clock.now())

    def send(self, sender: Sender) -> int:
        try:
            parts = (self.settings, catalog(), templates(), self.store)
            return Dispatcher(*parts, sender, self.clock).send()
        finally:
            sender.close()

    def rows(self, *states: OutboxState) -> Sequence[OutboxRow]:
        with self.store.unit() as unit:
            return unit.outbox(states)

    def later(self, **passed: float) -> None:
        self.clock.time += timedelta(**passed)

    def troubles(self) -> list[str]:
        with self.store.unit() as unit:
            return [one.incident.title for one in unit.pending() if one.incident.kind == "own"]

    def triage(self, *arguments: str) -> str:
        command = [TRIAGE, *arguments, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        return done.stdout


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path)
    yield made
    made.close()


def plain(port: int, timeout: float = 5.0, done_seconds: float = 5.0) -> SmtpSender:
    return SmtpSender("127.0.0.1", port, "none", timeout=timeout, done_seconds=done_seconds)


def ids(server: MailServer) -> list[str]:
    return [str(message_from_bytes(one.octets)["Message-ID"]) for one in server.received]


# every fault at every command --------------------------------------------------------------

GREETING = ("CONNECT", "EHLO,HELO")
COMMANDS = (*GREETING, "MAIL", "RCPT", "DATA", ".")


@pytest.mark.server
@pytest.mark.parametrize("switch", ["-q", "-Q", "-r", "-f"])
def test_whatever_smtp_sink_does_the_message_is_kept_and_arrives_once(
    outbox: Outbox, switch: str
) -> None:
    for command in COMMANDS:
        outbox.queue()
        with SmtpSink(switch, command) as sink:
            assert outbox.send(plain(sink.port)) == 0
        row = outbox.rows()[-1]
        # A server that wants no mail at all may be the operator's fault: that is tried again.
        refused = switch == "-f" and command not in GREETING
        assert row.state is (DEAD if refused else PENDING), command
        assert row.error
        assert row.attempts == 1
        if refused:
            assert outbox.troubles() == ["Mail not delivered"]
            with outbox.store.unit() as unit:
                assert unit.retry(row.id, outbox.clock.now())
        with MailServer() as server:
            outbox.later(minutes=2)
            assert outbox.send(plain(server.port)) == 1
            assert ids(server) == [row.message_id]
    assert {row.state for row in outbox.rows()} == {SENT}


class Part:
    """A server that does something bad at one command, once; what it takes is in `texts`.

    `.` is the final dot, with the text taken or not before the bad thing happens.
    """

    def __init__(self, at: str, act: Callable[[Line], None], *, taken: bool = True) -> None:
        self._faults, self._taken = {at: act}, taken
        self.texts: list[bytes] = []
        self.commands: list[str] = []

    def __call__(self, line: Line) -> None:
        line.say(b"220 ready")
        while command := line.read():
            word = command.split()[0].split(b":")[0].decode().upper()
            self.commands.append(word)
            if act := self._faults.pop(word, None):
                return act(line)
            if word == "DATA":
                line.say(b"354 go on")
                text = b"\n".join(iter(line.read, b"."))
                act = self._faults.pop(".", None)
                if self._taken or not act:
                    self.texts.append(text)
                if act:
                    return act(line)
            line.say(b"250 fine")
        return None


ACTS = {
    "gone": Line.hang_up,
    "silent": Line.until_gone,
    "421": lambda line: line.say(b"421 4.3.2 closing"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("at", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_fault_before_the_final_dot_is_no_copy(
    outbox: Outbox, at: str, act: Callable[[Line], None]
) -> None:
    outbox.queue(2)
    part = Part(at, act)
    with Script(part) as server:
        outbox.send(plain(server.port, 0.3, 0.3))
        outbox.later(minutes=2)
        outbox.send(plain(server.port))
    assert [row.state for row in outbox.rows()] == [SENT, SENT]
    assert sorted(message_from_bytes(text)["Subject"] for text in part.texts) == [
        "message 1",
        "message 2",
    ]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("act", [ACTS["gone"], ACTS["silent"]], ids=["gone", "silent"])
def test_what_was_perhaps_taken_is_sent_again_as_it_was(
    outbox: Outbox, act: Callable[[Line], None], *, taken: bool
) -> None:
    outbox.queue()
    part = Part(".", act, taken=taken)
    with Script(part) as server:
        assert outbox.send(plain(server.port, 0.3, 0.3)) == 0
        (row,) = outbox.rows()
        assert row.state is PENDING
        assert "perhaps sent" in row.error
        outbox.later(minutes=2)
        assert outbox.send(plain(server.port)) == 1
    assert len(part.texts) == 1 + taken
    assert len(set(part.texts)) == 1
    assert b"Message-ID: <1@example.com>" in part.texts[0]


# TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"454 4.7.0 TLS not available", "454"),
        (b"220 go ahead", "TLS"),  # and then it goes on in clear text
        (b"502 5.5.1 what?", "502"),
    ],
)
def test_where_tls_is_refused_nothing_is_sent_and_it_is_tried_again(
    outbox: Outbox, reply: bytes, words: str
) -> None:
    said: list[bytes] = []

    def play(line: Line) -> None:
        line.say(b"220 ready")
        while command := line.read():
            said.append(command)
            if command == b"STARTTLS":
                line.say(reply, b"250 clear")
            else:
                line.say(b"250-fine", b"250 STARTTLS")

    outbox.queue()
    with Script(play) as server:
        assert outbox.send(SmtpSender("127.0.0.1", server.port, "starttls", timeout=1)) == 0
    (row,) = outbox.rows()
    assert row.state is PENDING
    assert words in row.error
    assert not any(command.upper().startswith((b"MAIL", b"AUTH")) for command in said)


def test_a_certificate_that_is_mended_lets_the_mail_go(outbox: Outbox, tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.cert, made.key)
    outbox.queue()
    with MailServer(context=context) as server:
        assert outbox.send(SmtpSender("127.0.0.1", server.port, "starttls")) == 0
        (row,) = outbox.rows()
        assert (row.state, "not trusted" in row.error) == (PENDING, True)
        outbox.later(minutes=2)
        trusting = SmtpSender("127.0.0.1", server.port, "starttls", ca_file=str(made.cert))
        assert outbox.send(trusting) == 1
        assert ids(server) == [row.message_id]


# back-off, dead letters --------------------------------------------------------------------


class Refusing:
    """A sender that always fails in the same way, and takes its time."""

    def __init__(self, fault: Fault, slow: Callable[[], None] = lambda: None) -> None:
        self.fault, self.slow, self.tries = fault, slow, 0

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        assert octets
        assert (sender, *recipients) == ("errors+bounce@example.com", TO)
        self.tries += 1
        self.slow()
        raise SendError("451 4.7.1 not now", self.fault)

    def close(self) -> None:
        """Nothing is open."""


def test_tries_are_further_and_further_apart_with_jitter_for_five_days(outbox: Outbox) -> None:
    outbox.queue(6)
    begins = outbox.clock.time
    waits: list[list[float]] = []
    while outbox.rows(PENDING):
        outbox.send(Refusing(Fault.TRANSIENT))
        now = outbox.clock.time
        rows = outbox.rows(PENDING)
        waits.append([(row.next_at - now).total_seconds() for row in rows])
        outbox.clock.time = max((row.next_at for row in rows), default=now)
    for expected, found in zip((60, 120, 240, 480, 960, 1920, 3600, 3600), waits, strict=False):
        assert all(0.7 * expected <= one <= 1.3 * expected for one in found)
        assert len(set(found)) == 6
    assert timedelta(days=4.8) < outbox.clock.time - begins < timedelta(days=5.1)
    assert len(outbox.rows(DEAD)) == 6
    assert outbox.troubles() == ["Mail not delivered"]


def test_dead_letters_are_listed_and_one_that_is_retried_arrives(outbox: Outbox) -> None:
    outbox.queue(2)
    with MailServer() as server:
        server.refused[TO] = "550 5.1.1 no such user"
        assert outbox.send(plain(server.port)) == 0
        listed = outbox.triage("outbox", "list", "--state", "dead").splitlines()
        assert [line.split()[:2] for line in listed] == [["1", "dead"], ["2", "dead"]]
        assert all("does not take the recipient" in line for line in listed)
        server.refused.clear()
        outbox.triage("outbox", "retry", "2")
        outbox.later(minutes=1)
        assert outbox.send(plain(server.port)) == 1
        assert ids(server) == ["<2@example.com>"]
    assert [row.state for row in outbox.rows()] == [DEAD, SENT]


def test_a_server_that_fails_slowly_leaves_time_for_other_work(outbox: Outbox) -> None:
    outbox.queue(10)
    slow = Refusing(Fault.TRANSIENT, lambda: outbox.later(seconds=20))
    assert outbox.send(slow) == 0
    assert slow.tries == 2
    assert [row.attempts for row in outbox.rows()] == [1, 1, *[0] * 8]


def test_what_was_accepted_while_the_store_was_locked_is_not_sent_again(outbox: Outbox) -> None:
    path = outbox.settings.store.url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    event.listen(
        outbox.store._engine, "checkout", lambda one, *_: one.execute("PRAGMA busy_timeout = 10")
    )

    class Locking:
        sent = 0

        def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
            assert octets
            assert (sender, *recipients) == ("errors+bounce@example.com", TO)
            self.sent += 1
            if self.sent == 1:
                other.execute("BEGIN EXCLUSIVE")

    outbox.queue(2)
    sender = Locking()
    dispatcher = Dispatcher(
        outbox.settings, catalog(), templates(), outbox.store, sender, outbox.clock
    )
    with pytest.raises(StoreError, match="locked"):
        dispatcher.send()
    other.execute("ROLLBACK")
    other.close()
    outbox.later(hours=1)  # the lease on it ran out long ago
    assert dispatcher.send() == 1
    assert sender.sent == 2
    assert [row.state for row in outbox.rows()] == [SENT, SENT]


# a provider's rate -------------------------------------------------------------------------

RATE = ('from = "Integration', 'rate = ["3/m", "8/h"]\nfrom = "Integration')


@pytest.fixture
def slow_outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path, RATE)
    yield made
    made.close()


def test_no_more_is_handed_over_than_the_provider_takes(slow_outbox: Outbox) -> None:
    outbox = slow_outbox
    outbox.queue(10)
    with MailServer() as server:
        assert outbox.send(plain(server.port)) == 3
        assert outbox.send(plain(server.port)) == 0
        assert [row.attempts for row in outbox.rows()] == [1, 1, 1, *[0] * 7]
        outbox.start_again()
        outbox.later(seconds=59)
        assert outbox.send(plain(server.port)) == 0
        outbox.later(seconds=1)
        assert outbox.send(plain(server.port)) == 3
        outbox.later(minutes=1)
        assert outbox.send(plain(server.port)) == 2
        outbox.later(minutes=57)
        assert outbox.send(plain(server.port)) == 0
        outbox.later(minutes=2)
        assert outbox.send(plain(server.port)) == 2
        assert ids(server) == [f"<{number}@example.com>" for number in range(1, 11)]


def test_what_the_server_refuses_uses_up_no_rate(slow_outbox: Outbox) -> None:
    outbox = slow_outbox
    outbox.queue(4, "gone@northwind.example")
    outbox.queue(4)
    with MailServer() as server:
        server.refused["gone@northwind.example"] = "550 5.1.1 no such user"
        assert outbox.send(plain(server.port)) == 3
    assert len(outbox.rows(DEAD)) == 4


def test_without_a_rate_all_is_handed_over(outbox: Outbox) -> None:
    outbox.queue(20)
    with MailServer() as server:
        assert outbox.send(plain(server.port)) == 20


@pytest.mark.server
def test_several_processes_keep_to_one_rate_together() -> None:
    minute = timedelta(minutes=1)
    with Postgres() as server:
        url = server.database()
        stores = [open_store(url, owner=f"process {number}") for number in range(4)]
        with stores[0].unit() as unit:
            for number in range(60):
                row = NewOutbox(str(number), "reply", None, "s", (TO,), str(number), "", b"")
                unit.enqueue(row, datetime.now(UTC) - minute)
        together = threading.Barrier(4)

        def send(store: SqlStore) -> int:
            sent = 0
            together.wait()
            for _ in range(25):
                for row in store.claim(1, 60.0, rates=[(30, minute), (1000, 60 * minute)]):
                    store.mark_sent(row.id)
                    sent += 1
            return sent

        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(send, stores)) == 30
        for store in stores:
            store.close()
