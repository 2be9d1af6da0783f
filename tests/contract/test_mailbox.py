"""What every kind of mailbox promises, over real servers and real files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.worlds import LIMITS, World, folder_world, imap_world, maildir_world
from triage.adapters.connection import Password
from triage.demo.servers import ImapServer
from triage.ports import MailboxError

KINDS = [
    pytest.param("dovecot_sdbox", marks=pytest.mark.server),
    pytest.param("dovecot_maildir", marks=pytest.mark.server),
    pytest.param("dovecot_bare", marks=pytest.mark.server),
    "pymap",
    "maildir",
    "folder",
]


@pytest.fixture(scope="module")
def dovecot_sdbox() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture(scope="module")
def dovecot_maildir() -> Iterator[Dovecot]:
    with Dovecot(layout="maildir", prefix="INBOX.", separator=".") as server:
        yield server


@pytest.fixture(scope="module")
def dovecot_bare() -> Iterator[Dovecot]:
    """It names none of IDLE, MOVE, UIDPLUS and NAMESPACE."""
    with Dovecot(capability="IMAP4rev1 LITERAL+ UNSELECT") as server:
        yield server


@pytest.fixture(scope="module")
def pymap() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    kind = request.param
    if kind == "maildir":
        yield maildir_world(tmp_path)
    elif kind == "folder":
        yield folder_world(tmp_path)
    elif kind == "pymap":
        server: ImapServer = request.getfixturevalue(kind)
        login = Password(server.user, server.password)
        made = imap_world(server.client, "127.0.0.1", server.port, "none", login)
        yield made
        made.clear()
    else:
        dovecot: Dovecot = request.getfixturevalue(kind)
        user = tmp_path.name
        made = imap_world(
            lambda: dovecot.client(user),
            "127.0.0.1",
            dovecot.tls_port,
            "implicit",
            Password(user, PASSWORD),
            ssl_context=dovecot.trust(),
            poll_seconds=60,
        )
        yield made
        made.clear()


@pytest.fixture
def opened(world: World) -> Iterator[World]:
    world.mailbox.connect()
    yield world
    world.mailbox.close()


def mail(subject: str, size: int = 0) -> bytes:
    head = f"From: no-reply@northwind.example\r\nSubject: {subject}\r\n\r\nSome text.\r\n"
    return head.encode() + b"x" * (size - len(head)) if size else head.encode()


def subjects(mails: list) -> list[str]:
    return [raw.octets.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for raw in mails]


def test_an_empty_folder_has_a_validity_and_no_mails(opened: World) -> None:
    state = opened.mailbox.refresh()
    assert state.uidvalidity > 0
    assert list(opened.mailbox.fetch(0, 10)) == []


def test_the_oldest_mails_above_the_cursor_come_in_order_and_whole(opened: World) -> None:
    for at in range(5):
        opened.deliver(mail(f"number{at}"))
    state = opened.mailbox.refresh()
    first = list(opened.mailbox.fetch(0, 3))
    rest = list(opened.mailbox.fetch(first[-1].uid, 3))
    assert subjects(first + rest) == [f"number{at}" for at in range(5)]
    assert first[0].octets == mail("number0")
    assert {raw.truncated for raw in first + rest} == {False}
    assert {raw.uidvalidity for raw in first + rest} == {state.uidvalidity}
    assert {raw.mailbox for raw in first + rest} == {"support"}
    assert state.uidnext > rest[-1].uid
    assert list(opened.mailbox.fetch(rest[-1].uid, 3)) == []


def test_the_cursor_survives_a_new_connection(opened: World) -> None:
    opened.deliver(mail("before"))
    before = opened.mailbox.refresh()
    (raw,) = opened.mailbox.fetch(0, 10)
    opened.deliver(mail("after"))
    assert opened.mailbox.connect().uidvalidity == before.uidvalidity
    assert subjects(opened.mailbox.fetch(raw.uid, 10)) == ["after"]


def test_fetching_marks_nothing_as_seen(opened: World) -> None:
    opened.deliver(mail("unread"))
    opened.mailbox.refresh()
    assert len(opened.mailbox.fetch(0, 10)) == 1
    assert opened.flags(b"unread") in (set(), None)


def test_a_mail_deleted_by_somebody_else_is_left_out(opened: World) -> None:
    for name in ("one", "two", "three"):
        opened.deliver(mail(name))
    opened.mailbox.refresh()
    opened.remove(b"two")
    assert subjects(opened.mailbox.fetch(0, 10)) == ["one", "three"]


def test_of_a_large_mail_only_the_beginning_comes(opened: World) -> None:
    opened.deliver(mail("small"))
    opened.deliver(mail("large", LIMITS.mail_octets + 1))
    opened.deliver(mail("just right", LIMITS.mail_octets))
    opened.mailbox.refresh()
    small, large, right = opened.mailbox.fetch(0, 10)
    assert (small.truncated, large.truncated, right.truncated) == (False, True, False)
    assert large.octets == mail("large", LIMITS.mail_octets)[: LIMITS.prefix_octets]
    assert right.octets == mail("just right", LIMITS.mail_octets)


def test_the_internal_date_is_when_it_arrived_in_utc(opened: World) -> None:
    opened.deliver(mail("dated"))
    opened.mailbox.refresh()
    (raw,) = opened.mailbox.fetch(0, 1)
    assert raw.internal_date.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - raw.internal_date) < timedelta(minutes=1)


def test_mails_from_before_the_given_day_are_left_out(opened: World) -> None:
    opened.deliver(mail("today"))
    opened.mailbox.refresh()
    assert subjects(opened.mailbox.fetch(0, 10, since=datetime.now(UTC))) == ["today"]
    assert list(opened.mailbox.fetch(0, 10, since=datetime.now(UTC) + timedelta(days=2))) == []


def test_moving_makes_the_folder_and_leaves_the_others(opened: World) -> None:
    for name in ("known", "not ours", "known too"):
        opened.deliver(mail(name))
    opened.mailbox.refresh()
    one, _, three = opened.mailbox.fetch(0, 10)
    opened.mailbox.move([one.uid, three.uid], "Triage/Known")
    moved = opened.inside("Triage/Known")
    assert moved == sorted([mail("known"), mail("known too")])
    assert opened.inside("INBOX") == [mail("not ours")]


def test_moving_what_is_gone_or_was_moved_counts_as_done(opened: World) -> None:
    opened.deliver(mail("once"))
    opened.mailbox.refresh()
    (raw,) = opened.mailbox.fetch(0, 10)
    opened.mailbox.move([raw.uid], "Triage/Known")
    opened.mailbox.move([raw.uid, raw.uid + 1000], "Triage/Known")
    opened.mailbox.move([], "Triage/Known")
    assert opened.inside("Triage/Known") == [mail("once")]


def test_a_flag_is_added_and_a_keyword_does_no_harm(opened: World) -> None:
    opened.deliver(mail("look at me"))
    opened.mailbox.refresh()
    (raw,) = opened.mailbox.fetch(0, 10)
    opened.mailbox.flag([raw.uid, raw.uid + 1000], ["\\Flagged", "$Triaged"])
    flags = opened.flags(b"look at me")
    assert flags is None or flags - {"$triaged"} == {"\\flagged"}
    assert subjects(opened.mailbox.fetch(0, 10)) == ["look at me"]


def test_waiting_ends_soon_after_a_mail_arrives(opened: World) -> None:
    arrives = threading.Timer(0.3, opened.deliver, [mail("new")])
    arrives.start()
    took = _timed(lambda: opened.mailbox.wait(60, threading.Event()))
    arrives.join()
    got = opened.mailbox.fetch(0, 10) or _after_another_wait(opened)
    assert subjects(got) == ["new"]
    assert took < 20


def test_a_mail_that_came_just_before_the_wait_is_not_slept_over(opened: World) -> None:
    for at in range(5):
        opened.deliver(mail(f"number{at}"))
        took = _timed(lambda: opened.mailbox.wait(60, threading.Event()))
        assert took < 20
        assert len(opened.mailbox.fetch(0, 10)) == at + 1


def test_waiting_ends_when_told_to_stop(opened: World) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert _timed(lambda: opened.mailbox.wait(60, stop)) < 10


def test_waiting_ends_with_its_time(opened: World) -> None:
    assert _timed(lambda: opened.mailbox.wait(0.3, threading.Event())) < 10


def test_a_new_uidvalidity_is_seen(opened: World) -> None:
    opened.deliver(mail("old"))
    before = opened.mailbox.refresh()
    opened.begin_anew()
    try:
        after = opened.mailbox.refresh()
    except MailboxError:  # a server may hang up when the open folder goes
        after = opened.mailbox.connect()
    assert after.uidvalidity != before.uidvalidity
    opened.deliver(mail("fresh"))
    opened.mailbox.refresh()
    mails = opened.mailbox.fetch(0, 10)
    assert {raw.uidvalidity for raw in mails} == {after.uidvalidity}
    assert "fresh" in subjects(mails)


def test_before_connecting_everything_says_so(world: World) -> None:
    mailbox = world.mailbox
    for call in (
        mailbox.refresh,
        lambda: mailbox.fetch(0, 1),
        lambda: mailbox.move([1], "Triage/Known"),
        lambda: mailbox.flag([1], ["\\Flagged"]),
    ):
        with pytest.raises(MailboxError, match="support"):
            call()
    mailbox.close()


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _after_another_wait(world: World) -> list:
    """A wait may end early, for no mail."""
    world.mailbox.wait(5, threading.Event())
    return list(world.mailbox.fetch(0, 10))
