"""Faults of an IMAP line, between a real Dovecot and the whole service.

Whatever the line does: nothing is lost, nothing is acted on twice, and work goes on in time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.line.waiting import in_time, until
from tests.servers import proxy as lines
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.proxy import Act, Proxy
from tests.servers.tokens import CLIENT_ID, CLIENT_SECRET, TokenServer
from triage.adapters.connection import Password
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.imap import LONGEST_WAIT_SECONDS, TIMEOUT_SECONDS, ImapMailbox
from triage.adapters.imap_wire import DONE_SECONDS
from triage.adapters.oauth import Login, OAuth2, TokenSource, XOAuth2
from triage.adapters.store import open_store
from triage.catalog.load import Catalog
from triage.demo.promise import fixture_settings
from triage.mail.limits import Limits
from triage.response.templates import Templates
from triage.rows import MailRow
from triage.service.intake import BACKOFF_SECONDS
from triage.service.run import Service
from triage.service.ways import way_in
from triage.settings import MailboxSection, Settings, load, shipped

pytestmark = pytest.mark.server

MAIL = (shipped("fixtures") / "emails" / "agent_connect/employee_is_queue-01.eml").read_bytes()
SHORT = (0.05,)
"""A backoff for tests in which many faults follow each other."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
AFTER_A_RESET = 5.0
"""Seconds until it works again, as promised."""
_users = (f"user{number}" for number in count())


@cache
def catalog() -> Catalog:
    return read_catalog()


@cache
def templates() -> Templates:
    return Templates(read_templates())


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Inbox:
    """A mailbox on Dovecot behind a proxy, and the service that watches it and sends nowhere."""

    def __init__(
        self, path: Path, dovecot: Dovecot, proxy: Proxy, user: str, name: str = "INBOX"
    ) -> None:
        self.dovecot, self.proxy, self.user, self.name = dovecot, proxy, user, name
        (path / "password").write_text(PASSWORD)
        config = path / "triage.toml"
        text = fixture_settings(proxy.port, 1, user, 'group_wait = "0s"\n')
        more = f'name = "support"\nstart = "all"\nfolder = "{name}"\n'
        config.write_text(text.replace('name = "support"\n', more))
        self.settings = load(config)
        self.store = open_store(f"sqlite:///{path}/triage.db")
        self.sent: list[bytes] = []
        self.service: Service | None = None
        self._delivered = 0

    def send(self, octets: bytes, sender: str, recipients: Sequence[str]) -> None:
        """As a sender that keeps what it is given."""
        assert sender
        assert recipients
        self.sent.append(octets)

    def close(self) -> None:
        """As a sender, and the end of it all."""
        if self.service is not None:
            service, self.service = self.service, None
            service.stop.set()
            self._running.join(120)
            assert not self._running.is_alive()
            service.close()

    def watch(
        self,
        *,
        timeout: float = 5.0,
        poll_seconds: float = 0.6,
        backoff: Sequence[float] = BACKOFF_SECONDS,
        login: Login | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Start the service; all of its seconds are scaled down."""

        def mailbox(section: MailboxSection, settings: Settings) -> ImapMailbox:
            return ImapMailbox(
                section.name,
                section.host,
                section.imap_port,
                section.tls,
                login or Password(section.username, section.password()),
                section.folder,
                limits or settings.limits.value,
                timeout=timeout,
                poll_seconds=poll_seconds,
            )

        self.service = Service(
            self.settings,
            catalog(),
            templates(),
            self.store,
            Clock(),
            mailbox=mailbox,
            sender=lambda _: self,
            backoff=backoff,
        )
        self._running = threading.Thread(target=self.service.run, daemon=True)
        self._running.start()

    def deliver(self, mails: int = 1) -> None:
        """So many mails about one trouble, each its own."""
        for _ in range(mails):
            self._delivered += 1
            octets = MAIL.replace(b"Message-ID: <", b"Message-ID: <%d." % self._delivered, 1)
            self.insist(lambda client, octets=octets: client.append(self.name, octets))

    def insist(self, step: Callable[[IMAPClient], object]) -> None:
        """Again, where Dovecot trips over a folder that goes and comes under a reader."""
        for tries_left in range(29, -1, -1):
            client = self.another()
            try:
                step(client)
            except IMAPClient.Error:
                if not tries_left:
                    raise
                time.sleep(0.1)
            else:
                client.logout()
                return

    def another(self) -> IMAPClient:
        """Another program on the mailbox; a server that has just started may not take it yet."""
        for _ in range(50):
            with suppress(OSError, IMAPClient.Error):
                return self.dovecot.client(self.user)
            time.sleep(0.05)
        return self.dovecot.client(self.user)

    def rows(self) -> list[MailRow]:
        with self.store.unit() as unit:
            return list(unit.mails_between(LONG_AGO, datetime.now(UTC) + timedelta(days=1)))

    def folder(self, name: str) -> list[bytes]:
        """Message-IDs."""
        for _ in range(20):
            # Dovecot ends sessions on a folder that is moved under them, ours among them.
            with suppress(IMAPClient.Error, OSError):
                return self._folder(name)
        return self._folder(name)

    def _folder(self, name: str) -> list[bytes]:
        client = self.another()
        try:
            if not client.folder_exists(name):
                return []
            client.select_folder(name, readonly=True)
            fetched = client.fetch(client.search(), ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
            return [
                octets
                for one in fetched.values()
                for octets in one.values()
                if isinstance(octets, bytes)
            ]
        finally:
            client.shutdown()

    def octets(self, name: str) -> list[bytes]:
        client = self.dovecot.client(self.user)
        client.select_folder(name, readonly=True)
        fetched = client.fetch(client.search(), ["BODY.PEEK[]"])
        client.logout()
        return [parts[b"BODY[]"] for parts in fetched.values()]

    def error(self) -> str:
        with self.store.unit() as unit:
            row = unit.mailbox("support")
        return row.error if row else ""

    def handled(self) -> bool:
        """All that was delivered is recorded and filed."""
        if len({row.message_id for row in self.rows()}) < self._delivered:
            return False
        with self.store.unit() as unit:
            row = unit.mailbox("support")
            return row is not None and not unit.after_due("support", row.folder, row.uidvalidity)

    def until_handled(self, seconds: float = 120) -> float:
        """How long after the last fault."""
        until(self.handled, seconds)
        return time.monotonic() - self.proxy.acted_at

    def usual(self) -> float:
        """How long some mails take when nothing is wrong."""
        began = time.monotonic()
        self.deliver(3)
        until(self.handled)
        return time.monotonic() - began

    def nothing_lost_nothing_twice(self, *, copies: bool = False, met_again: bool = False) -> None:
        """`copies`: filed ones may lie there twice. `met_again`: rows too, but for nothing."""
        rows = self.rows()
        ids = Counter(row.message_id for row in rows)
        assert len(ids) == self._delivered
        if not met_again:
            assert len(rows) == self._delivered
        assert all(row.verdict == "known" for row in rows)
        with self.store.unit() as unit:
            incidents = unit.incidents_between(LONG_AGO, datetime.now(UTC))
            assert [one.notifications for one in incidents] == [self._delivered]
        until(lambda: self.sent)
        assert len(self.sent) == 1
        assert self.folder(self.name) == []
        filed = Counter(self.folder("Triage/Known"))
        assert len(filed) == self._delivered
        assert copies or max(filed.values()) == 1


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture
def proxy(dovecot: Dovecot) -> Iterator[Proxy]:
    with Proxy(dovecot.port) as between:
        yield between


@pytest.fixture
def inbox(tmp_path: Path, dovecot: Dovecot, proxy: Proxy) -> Iterator[Inbox]:
    made = Inbox(tmp_path, dovecot, proxy, next(_users))
    yield made
    made.close()


@pytest.fixture
def inbox_of_folder(tmp_path: Path, dovecot: Dovecot, proxy: Proxy) -> Iterator[Inbox]:
    """One that watches a folder which may be deleted and renamed."""
    user = next(_users)
    client = dovecot.client(user)
    client.create_folder("Errors")
    client.logout()
    made = Inbox(tmp_path, dovecot, proxy, user, "Errors")
    yield made
    made.close()


# every fault at every command --------------------------------------------------------------

COMMANDS = (
    b"LOGIN", b"CAPABILITY", b"SELECT", b"UID SEARCH", b"UID FETCH", b"UID STORE", b"UID MOVE",
    b"CREATE", b"NOOP", b"IDLE",
)  # fmt: skip


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lines.reset, id="reset"),
        pytest.param(lines.after(1, lines.reset), id="reset-later"),
        pytest.param(lines.in_literal(100, lines.reset), id="reset-in-literal"),
        pytest.param(lines.bye, id="bye"),
        pytest.param(lines.in_literal(100, lines.bye), id="bye-in-literal"),
        pytest.param(lines.silence, id="silence"),
        pytest.param(lines.in_literal(100, lines.silence), id="silence-in-literal"),
        pytest.param(lines.trickle(0.04), id="trickle"),
        pytest.param(lines.answer(b"NO"), id="NO"),
        pytest.param(lines.answer(b"BAD"), id="BAD"),
        pytest.param(lines.huge(2**40), id="huge-literal"),
        pytest.param(lines.huge(2**20), id="large-literal"),
    ],
)
def test_a_fault_at_any_command_loses_nothing_and_repeats_nothing(inbox: Inbox, act: Act) -> None:
    inbox.deliver(5)
    for command in COMMANDS:
        inbox.proxy.arm(act, at=command)
    inbox.watch(timeout=1.5, backoff=SHORT)
    inbox.until_handled()
    inbox.deliver(5)
    inbox.until_handled()
    assert inbox.proxy.acts >= 1
    inbox.nothing_lost_nothing_twice()


# in time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "at"),
    [
        pytest.param(lines.reset, b"IDLE", id="reset-in-idle"),
        pytest.param(lines.bye, b"IDLE", id="bye-in-idle"),
        pytest.param(lines.in_literal(300, lines.reset), b"UID FETCH", id="reset-in-literal"),
        pytest.param(lines.after(1, lines.bye), b"UID FETCH", id="bye-in-fetch"),
    ],
)
def test_after_a_reset_it_works_again_within_five_seconds(
    inbox: Inbox, act: Act, at: bytes
) -> None:
    inbox.deliver()
    inbox.watch()
    inbox.until_handled()

    def handled_after_a_fault() -> float:
        before = inbox.proxy.acts
        inbox.proxy.arm(act, at=at)
        inbox.deliver(3)
        until(lambda: inbox.proxy.acts > before)
        return inbox.until_handled()

    in_time(handled_after_a_fault, AFTER_A_RESET, inbox.usual())
    inbox.nothing_lost_nothing_twice()


@pytest.mark.parametrize("where", ["idle", "fetch"])
def test_a_silent_line_is_left_after_its_time_and_work_goes_on(inbox: Inbox, where: str) -> None:
    timeout = poll = 0.8
    inbox.deliver()
    inbox.watch(timeout=timeout, poll_seconds=poll)
    inbox.until_handled()

    def handled_after_silence() -> float:
        if where == "fetch":
            before = inbox.proxy.acts
            inbox.proxy.arm(lines.in_literal(300, lines.silence), at=b"UID FETCH")
            inbox.deliver(3)
            until(lambda: inbox.proxy.acts > before)
        else:
            until(lambda: inbox.proxy.commands[-1] == b"IDLE")
            inbox.proxy.silence()
            inbox.proxy.acted_at = time.monotonic()
            inbox.deliver(3)
        return inbox.until_handled()

    bound = max(timeout, poll + min(DONE_SECONDS, timeout)) + BACKOFF_SECONDS[0]
    in_time(handled_after_silence, bound + 1.5, inbox.usual())  # to connect, to judge and to file
    inbox.nothing_lost_nothing_twice()


def test_by_default_a_silent_line_costs_less_than_75_seconds(inbox: Inbox) -> None:
    made = way_in(inbox.settings.mailboxes[0], inbox.settings)
    assert isinstance(made, ImapMailbox)
    assert made._timeout == TIMEOUT_SECONDS
    assert made._wait_seconds <= LONGEST_WAIT_SECONDS
    until_noticed = max(TIMEOUT_SECONDS, LONGEST_WAIT_SECONDS + DONE_SECONDS)
    assert until_noticed + BACKOFF_SECONDS[0] + 10 <= 75
    assert BACKOFF_SECONDS[0] + 3 <= AFTER_A_RESET


def test_a_line_that_breaks_again_and_again_but_brings_mail_is_not_left_alone_for_longer(
    inbox: Inbox,
) -> None:
    fetches: Counter[lines.Session] = Counter()

    def second_fetch(session: lines.Session, octets: bytes) -> bytes | None:
        if session.in_literal or b"BODY[]" not in octets:
            return None
        fetches[session] += 1
        return lines.reset(session, octets) if fetches[session] > 50 else None

    inbox.deliver(220)
    inbox.proxy.arm(second_fetch, at=b"UID FETCH", times=1000)
    inbox.watch(backoff=(0.05, 60.0))
    inbox.until_handled()
    assert inbox.proxy.acts >= 4
    inbox.nothing_lost_nothing_twice()


@pytest.mark.parametrize("act", [lines.reset, lines.huge(2**40)], ids=["reset", "huge-literal"])
def test_one_mail_at_which_the_line_always_breaks_is_put_aside_and_the_others_are_handled(
    inbox: Inbox, act: Act
) -> None:
    def at_the_third(session: lines.Session, octets: bytes) -> bytes | None:
        third = not session.in_literal and b"(UID 3 BODY[]" in octets
        return act(session, octets) if third else None

    inbox.deliver(6)
    inbox.proxy.arm(at_the_third, at=b"UID FETCH", times=1000)
    inbox.watch(backoff=SHORT)
    until(lambda: len(inbox.rows()) == 6)
    assert inbox.proxy.acts == 11  # once with the others, ten times alone
    verdicts = {row.uid: row.verdict for row in inbox.rows()}
    assert verdicts == {3: "unreadable"} | dict.fromkeys((1, 2, 4, 5, 6), "known")
    with inbox.store.unit() as unit:
        assert [row.uid for row in unit.quarantined()] == [3]
    until(lambda: len(inbox.folder("Triage/Known")) == 5)


# servers that lack something, or refuse it -------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [(b"IDLE",), (b"MOVE",), (b"MOVE", b"UIDPLUS"), (rb"\*",), (b"NAMESPACE",),
     (b"IDLE", b"MOVE", b"UIDPLUS", rb"\*", b"NAMESPACE")],
    ids=lambda words: "-".join(word.decode() for word in words),
)  # fmt: skip
def test_without_an_extension_all_is_handled_all_the_same(
    inbox: Inbox, words: tuple[bytes, ...]
) -> None:
    inbox.proxy.arm(lines.without(*words), times=10**6)
    inbox.deliver(3)
    inbox.watch()
    inbox.until_handled()
    inbox.deliver(3)
    inbox.until_handled()
    asked = b"\n".join(inbox.proxy.commands)
    assert b"UID STORE" in asked or rb"\*" in words
    assert not any(b"\n" + word in asked or b"UID " + word in asked for word in words)
    inbox.nothing_lost_nothing_twice()


def test_a_copy_that_was_not_followed_by_its_expunge_is_not_made_again(inbox: Inbox) -> None:
    inbox.proxy.arm(lines.without(b"MOVE"), times=10**6)
    inbox.proxy.arm(lines.reset, at=b"UID EXPUNGE")
    inbox.proxy.refuses = lambda command: rb"\DELETED" in command
    inbox.deliver(3)
    inbox.watch(backoff=SHORT)
    until(lambda: sum(rb"\DELETED" in command for command in list(inbox.proxy.commands)) >= 4)
    assert len(inbox.folder("Triage/Known")) == 3
    inbox.proxy.refuses = lambda _: False
    inbox.until_handled()
    inbox.nothing_lost_nothing_twice()


def test_nothing_is_copied_where_nothing_can_be_marked_as_deleted(inbox: Inbox) -> None:
    inbox.proxy.arm(lines.without(b"MOVE", rb"\Deleted"), times=10**6)
    inbox.deliver(3)
    inbox.watch(backoff=SHORT)
    until(lambda: "no MOVE" in inbox.error())
    assert len(inbox.folder("INBOX")) == 3
    assert inbox.folder("Triage/Known") == []


def test_one_mail_that_the_server_does_not_move_keeps_no_other_from_being_filed(
    inbox: Inbox,
) -> None:
    def moves_the_second(command: bytes) -> bool:
        return command.startswith(b"UID MOVE") and b"2" in command.split()[2].split(b",")

    inbox.deliver(6)
    inbox.proxy.refuses = moves_the_second
    inbox.watch(backoff=(60.0,))  # all of it on one line
    until(lambda: len(inbox.folder("Triage/Known")) == 5)
    until(lambda: "refused by the proxy" in inbox.error())
    inbox.deliver(3)
    until(lambda: len(inbox.folder("Triage/Known")) == 8)
    inbox.proxy.disarm()
    inbox.until_handled()
    inbox.nothing_lost_nothing_twice()


def test_a_mail_is_moved_where_the_server_refuses_our_keyword(inbox: Inbox) -> None:
    inbox.proxy.refuses = lambda command: command.startswith(b"UID STORE")
    inbox.deliver(3)
    inbox.watch(backoff=(60.0,))
    inbox.until_handled()
    assert inbox.error() == ""
    inbox.nothing_lost_nothing_twice()


def test_what_cannot_be_filed_is_told_as_the_server_said_it_and_mail_is_still_read(
    inbox: Inbox,
) -> None:
    inbox.proxy.refuses = lambda command: command.startswith(b"UID MOVE")
    inbox.deliver(2)
    inbox.watch(backoff=SHORT)
    until(lambda: len(inbox.rows()) == 2)
    inbox.deliver(2)
    until(lambda: len(inbox.rows()) == 4)
    for _ in range(20):  # at any time
        with inbox.store.unit() as unit:
            row = unit.mailbox("support")
        assert row is not None
        assert row.error == "" or "refused by the proxy" in row.error
        time.sleep(0.02)
    assert row.error
    inbox.proxy.disarm()
    inbox.until_handled()
    inbox.nothing_lost_nothing_twice()


def test_a_server_that_refuses_to_file_is_not_asked_without_end(inbox: Inbox) -> None:
    inbox.proxy.refuses = lambda command: command.startswith(b"UID MOVE")
    inbox.deliver()
    inbox.watch(backoff=(0.05, 60.0))
    until(lambda: inbox.proxy.acts >= 2)
    time.sleep(0.7)
    assert inbox.proxy.connections <= 3


# what others do to the mailbox -------------------------------------------------------------


def test_a_mail_expunged_under_us_keeps_none_of_the_others(inbox: Inbox) -> None:
    def expunge(uids: list[int]) -> Act:
        def under_us(_: lines.Session, octets: bytes) -> bytes | None:
            client = inbox.dovecot.client(inbox.user)
            client.select_folder("INBOX")
            client.delete_messages(uids)
            client.expunge()
            client.logout()
            return octets

        return under_us

    inbox.deliver(6)
    # 2 is gone between its size and its text, 4 between verdict and filing.
    inbox.proxy.arm(expunge([2]), at=b"UID FETCH")
    inbox.proxy.arm(expunge([4]), at=b"UID STORE")
    inbox.watch(backoff=(60.0,))  # all of it on one line
    until(lambda: len(inbox.rows()) == 5)
    until(lambda: inbox.sent and not inbox.folder("INBOX"))
    assert len(inbox.folder("Triage/Known")) == 4
    assert sorted(row.uid for row in inbox.rows()) == [1, 3, 4, 5, 6]
    assert len(inbox.sent) == 1


def test_after_a_new_uidvalidity_all_is_met_again_and_nothing_is_done_again(
    inbox_of_folder: Inbox,
) -> None:
    inbox = inbox_of_folder
    inbox.deliver(3)
    inbox.watch()
    inbox.until_handled()
    kept = inbox.octets("Triage/Known")
    for _ in range(2):
        inbox.insist(lambda client: client.delete_folder("Errors"))
        inbox.insist(lambda client: client.create_folder("Errors"))
        for octets in kept:
            inbox.insist(lambda client, octets=octets: client.append("Errors", octets))
        until(lambda: not inbox.folder("Errors"))
    inbox.deliver(2)
    inbox.until_handled()
    inbox.nothing_lost_nothing_twice(copies=True, met_again=True)


def test_a_folder_that_is_renamed_away_is_told_and_its_return_is_noticed(
    inbox_of_folder: Inbox,
) -> None:
    inbox = inbox_of_folder
    inbox.deliver(2)
    inbox.watch(backoff=SHORT)
    inbox.until_handled()
    client = inbox.dovecot.client(inbox.user)
    client.rename_folder("Errors", "Elsewhere")
    until(lambda: "Errors" in inbox.error())
    client.rename_folder("Elsewhere", "Errors")
    client.logout()
    inbox.deliver(2)
    inbox.until_handled()
    assert inbox.error() == ""
    inbox.nothing_lost_nothing_twice()


def test_a_jump_of_uidnext_costs_no_mail_and_no_time(inbox: Inbox) -> None:
    inbox.deliver(2)
    inbox.watch()
    inbox.until_handled()
    before = len(inbox.proxy.commands)
    for uid in (70_000, 3_000_000_000, 4_294_967_000):
        inbox.dovecot.jump_to_uid(inbox.user, "INBOX", uid)
        inbox.deliver(2)
        inbox.until_handled()
    assert len(inbox.proxy.commands) - before < 2_000  # it does not look at all UIDs between
    inbox.nothing_lost_nothing_twice()


# restarts and tokens -----------------------------------------------------------------------


def test_a_token_that_ends_in_mid_session_is_replaced(tmp_path: Path) -> None:
    with (
        TokenServer("errors") as tokens,
        Dovecot(introspect=tokens.url) as dovecot,
        Proxy(dovecot.port) as proxy,
        closing(Inbox(tmp_path, dovecot, proxy, "errors")) as inbox,
    ):
        settings = OAuth2(tokens.token_url, CLIENT_ID, CLIENT_SECRET)
        inbox.deliver(2)
        inbox.watch(timeout=5, login=XOAuth2("errors", TokenSource(settings)))
        inbox.until_handled()
        tokens.withdraw_all()
        proxy.arm(lines.bye, at=b"IDLE")  # as providers do when a token has run out
        inbox.deliver(2)
        inbox.until_handled()  # Dovecot waits for seconds before it refuses a login
        assert len(tokens.forms) == 2
        inbox.nothing_lost_nothing_twice()


def test_a_server_that_stops_and_starts_fifty_times_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    with (
        Dovecot() as dovecot,
        Proxy(dovecot.port) as proxy,
        closing(Inbox(tmp_path, dovecot, proxy, "errors")) as inbox,
    ):
        inbox.watch(backoff=SHORT)
        for number in range(50):
            inbox.deliver()
            proxy.down()
            if number % 5 == 0:  # Dovecot takes its time; to the service both look alike
                dovecot.stop()
                dovecot.start()
            time.sleep(0.05)
            before = proxy.connections  # the service may be faster than this thread
            proxy.up()
            until(lambda before=before: proxy.connections > before)
        inbox.until_handled()
        assert proxy.connections >= 50
        inbox.nothing_lost_nothing_twice()
