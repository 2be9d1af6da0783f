"""What servers do differently, and wrong: Dovecot in several guises, and scripted faults."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient

from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.imap_part import MAIL, Answer, imap_part, literal, said, sizes
from tests.servers.script import Line, Script
from triage.adapters.connection import Password
from triage.adapters.imap import ImapMailbox
from triage.mail.limits import Limits
from triage.ports import MailboxError

LOGIN = Password("errors", PASSWORD)
LIMITS = Limits(mail_octets=50_000, prefix_octets=1_000)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    return request.node.name.lower()[:60]


def watch(server: Dovecot, user: str = "errors", folder: str = "INBOX", **changed) -> ImapMailbox:
    settings = {"ssl_context": server.trust(), **changed}
    login = Password(user, PASSWORD)
    return ImapMailbox(
        "support", "127.0.0.1", server.tls_port, "implicit", login, folder, LIMITS, **settings
    )


def scripted(port: int, login: Password = LOGIN, **changed) -> ImapMailbox:
    settings = {"timeout": 1.0, **changed}
    return ImapMailbox("support", "127.0.0.1", port, "none", login, "INBOX", LIMITS, **settings)


def refusal(call: Callable[[], object]) -> MailboxError:
    with pytest.raises(MailboxError) as caught:
        call()
    assert "support" in str(caught.value)
    assert PASSWORD not in str(caught.value).split()
    return caught.value


# logging in ------------------------------------------------------------------------------


@pytest.mark.server
def test_a_wrong_password_names_the_mailbox_and_what_to_check(dovecot: Dovecot) -> None:
    box = ImapMailbox(
        "support",
        "127.0.0.1",
        dovecot.tls_port,
        "implicit",
        Password("errors", "not this"),
        ssl_context=dovecot.trust(),
    )
    error = refusal(box.connect)
    assert error.permanent
    assert "login refused" in str(error)
    assert "`username` and the password" in str(error)
    assert "not this" not in str(error)


@pytest.mark.server
def test_names_and_passwords_of_any_letters_log_in(dovecot: Dovecot) -> None:
    for name in ("with blank", 'with"quote', "with\\backslash", "grüße"):
        box = watch(dovecot, user=name)
        assert box.connect().uidvalidity > 0
        box.close()


@pytest.mark.server
def test_starttls_is_verified_too(dovecot: Dovecot) -> None:
    box = ImapMailbox(
        "support", "127.0.0.1", dovecot.port, "starttls", LOGIN, ssl_context=dovecot.trust()
    )
    assert box.connect().uidvalidity > 0
    box.close()
    stranger = ImapMailbox("support", "127.0.0.1", dovecot.port, "starttls", LOGIN)
    assert "self-signed" in str(refusal(stranger.connect))


@pytest.mark.server
def test_a_ca_file_is_trusted(dovecot: Dovecot) -> None:
    box = watch(dovecot, ssl_context=None, ca_file=str(dovecot.certificate.cert))
    assert box.connect().uidvalidity > 0
    box.close()


@pytest.mark.server
@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"certificate_days": -1}, "expired"),
        ({"certificate_names": "DNS:imap.contoso.example"}, "another"),
    ],
)
def test_a_bad_certificate_says_what_is_wrong_with_it(made: dict, words: str) -> None:
    with Dovecot(**made) as server:
        error = refusal(watch(server).connect)
    assert error.permanent
    assert words in str(error)


@pytest.mark.server
def test_tls_on_the_wrong_port_points_to_the_settings(dovecot: Dovecot) -> None:
    box = ImapMailbox("support", "127.0.0.1", dovecot.port, "implicit", LOGIN)
    assert "check `port` and `tls`" in str(refusal(box.connect))


@pytest.mark.server
def test_a_missing_folder_is_named(dovecot: Dovecot) -> None:
    error = refusal(watch(dovecot, folder="Errors/Salesforce").connect)
    assert error.permanent
    assert "Errors/Salesforce" in str(error)


def test_an_unknown_host_is_named() -> None:
    box = ImapMailbox("support", "imap.northwind.invalid", 993, "implicit", LOGIN)
    error = refusal(box.connect)
    assert "imap.northwind.invalid is not known" in str(error)
    assert not error.permanent


def test_a_closed_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "refuses connections" in str(refusal(scripted(port).connect))


def test_clear_text_is_for_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        ImapMailbox("support", "imap.example.com", 143, "none", LOGIN)


def test_starttls_is_never_left_out() -> None:
    with Script(imap_part()) as server:
        box = ImapMailbox("support", "127.0.0.1", server.port, "starttls", LOGIN)
        error = refusal(box.connect)
    assert error.permanent
    assert "no STARTTLS" in str(error)


def test_a_password_is_not_sent_where_login_is_disabled() -> None:
    commands: list[bytes] = []

    def login(line: Line, tag: bytes, rest: bytes) -> None:
        commands.append(rest)
        line.say(tag + b" OK done")

    disabled = said(b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED")
    with Script(imap_part(CAPABILITY=disabled, LOGIN=login, AUTHENTICATE=login)) as server:
        error = refusal(scripted(server.port).connect)
    assert error.permanent
    assert commands == []


def test_a_password_that_the_server_repeats_is_not_shown() -> None:
    def repeat(line: Line, tag: bytes, rest: bytes) -> None:
        line.say(tag + b" BAD unknown command " + rest)

    with Script(imap_part(LOGIN=repeat)) as server:
        error = refusal(scripted(server.port, Password("errors", "hunter2")).connect)
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.__cause__)


def test_a_message_with_the_password_that_the_server_repeats_is_not_shown() -> None:
    login = Password("errors", "hünter2")

    def repeat(line: Line, tag: bytes, _: bytes) -> None:
        line.say(b"+ ")
        line.say(tag + b" BAD unknown command " + line.read())

    plain = said(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN")
    with Script(imap_part(CAPABILITY=plain, AUTHENTICATE=repeat)) as server:
        error = refusal(scripted(server.port, login).connect)
    assert base64.b64encode(login.plain()).decode() not in str(error)
    assert "unknown command ***" in str(error)


@pytest.mark.parametrize("password", ["two\r\nA1 NOOP", "nul\0", "grüße"])
def test_a_password_that_is_no_plain_text_never_becomes_a_command(password: str) -> None:
    with Script(imap_part(LOGIN=said(result=b"NO should not come"))) as server:
        error = refusal(scripted(server.port, Password("errors", password)).connect)
    assert "takes no password" in str(error)


@pytest.mark.parametrize("command", ["LOGIN", "SELECT"])
@pytest.mark.parametrize("code", [b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]"])
def test_what_is_refused_for_now_is_tried_again_soon(command: str, code: bytes) -> None:
    with Script(imap_part(**{command: said(result=b"NO " + code + b" later")})) as server:
        assert not refusal(scripted(server.port).connect).permanent


def test_a_greeting_that_says_goodbye_is_repeated() -> None:
    with Script(lambda line: line.say(b"* BYE too many connections")) as server:
        assert "too many connections" in str(refusal(scripted(server.port).connect))


# fetching --------------------------------------------------------------------------------


@pytest.mark.server
def test_gaps_between_uids_cost_no_mail(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    for uid in (1, 70_000, 4_000_000_000):
        dovecot.jump_to_uid(user, "INBOX", uid)
        other.append("INBOX", MAIL)
    box = watch(dovecot, user)
    assert box.connect().uidnext == 4_000_000_001
    assert [raw.uid for raw in box.fetch(0, 10)] == [1, 70_000, 4_000_000_000]
    assert [raw.uid for raw in box.fetch(1, 1)] == [70_000]
    assert list(box.fetch(4_000_000_000, 10)) == []
    box.close()
    other.logout()


@pytest.mark.server
def test_many_mails_come_in_pieces_and_all(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    other.multiappend("INBOX", [MAIL + b"%d\r\n" % at for at in range(700)])
    box = watch(dovecot, user)
    box.connect()
    mails = list(box.fetch(0, 1000))
    assert [raw.uid for raw in mails] == list(range(1, 701))
    assert mails[699].octets == MAIL + b"699\r\n"
    pieces: list[int] = []
    while some := box.fetch(pieces[-1] if pieces else 0, 90):
        pieces += [raw.uid for raw in some]
    assert pieces == list(range(1, 701))
    box.move([raw.uid for raw in mails], "Triage/Known")
    other.select_folder("Triage/Known")
    assert len(other.search()) == 700
    box.close()
    other.logout()


def test_a_size_that_was_announced_too_small_does_not_cut_the_mail() -> None:
    large, huge = MAIL + b"x" * 20_000, MAIL + b"x" * 90_000

    def body(line: Line, tag: bytes, rest: bytes) -> None:
        whole = large if rest.startswith(b"UID FETCH 1") else huge
        uid, ask = int(rest.split()[2]), int(rest.split(b"<0.")[1].split(b">")[0])
        line.say(literal(uid, whole[:ask]), tag + b" OK done")

    for uid, expected, cut in ((1, large, False), (2, huge[:1_000], True)):
        part = imap_part(
            UID_SEARCH=said(b"* SEARCH %d" % uid),
            UID_FETCH_SIZE=sizes((uid, 10)),
            UID_FETCH_BODY=body,
        )
        with Script(part) as server:
            box = scripted(server.port)
            box.connect()
            (raw,) = box.fetch(0, 5)
        assert (raw.octets, raw.truncated) == (expected, cut)


def test_a_server_that_sends_more_than_asked_is_left() -> None:
    def flood(line: Line, _: bytes, __: bytes) -> None:
        line.say(b"* 1 FETCH (UID 1 BODY[]<0> {4000000000}")
        line.until_gone()

    with Script(imap_part(UID_FETCH_BODY=flood)) as server:
        box = scripted(server.port)
        box.connect()
        assert "more than was asked for" in str(refusal(lambda: box.fetch(0, 5)))


def test_a_mail_that_the_server_refuses_stops_the_others_only_for_a_while() -> None:
    def body(line: Line, tag: bytes, rest: bytes) -> None:
        uids = [int(uid) for uid in rest.split()[2].split(b",")]
        if 2 in uids:
            line.say(tag + b" NO cannot read it")
        else:
            line.say(*(literal(uid, MAIL) for uid in uids), tag + b" OK done")

    def search(line: Line, tag: bytes, rest: bytes) -> None:
        asked = rest.split()[-1]
        line.say(b"* SEARCH " + (asked if asked.isdigit() else b"1 2 3"), tag + b" OK done")

    sized = sizes((1, 50), (2, 50), (3, 50))
    with Script(imap_part(UID_SEARCH=search, UID_FETCH_SIZE=sized, UID_FETCH_BODY=body)) as server:
        box = scripted(server.port)
        box.connect()
        assert [raw.uid for raw in box.fetch(0, 5)] == [1]
        assert "UID 2 is not given: " in str(refusal(lambda: box.fetch(1, 5)))
        box.connect()
        broken, following = box.fetch(1, 5)
    assert (broken.uid, broken.octets, broken.truncated) == (2, b"", True)
    assert (following.uid, following.octets) == (3, MAIL)


def test_flags_that_change_meanwhile_are_no_mails() -> None:
    unasked = said(rb"* 1 FETCH (FLAGS (\Seen))", literal(1, MAIL), rb"* 2 FETCH (FLAGS ())")
    with Script(imap_part(UID_FETCH_BODY=unasked)) as server:
        box = scripted(server.port)
        box.connect()
        assert [raw.octets for raw in box.fetch(0, 5)] == [MAIL]


@pytest.mark.server
def test_a_keyword_with_a_bracket_stops_no_mail(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    for _ in range(3):
        other.append("INBOX", MAIL)
    other.select_folder("INBOX")
    assert other._imap.uid("STORE", "2", "+FLAGS", "(a[b)")[0] == "OK"
    box = watch(dovecot, user)
    box.connect()
    flags = {raw.uid: raw.flags - {r"\recent"} for raw in box.fetch(0, 5)}
    assert flags == {1: frozenset(), 2: {"a[b"}, 3: frozenset()}
    box.close()
    other.logout()


@pytest.mark.parametrize("always", [False, True], ids=["with-flags", "always"])
def test_one_description_that_cannot_be_read_keeps_no_mail_back(always: bool) -> None:
    asked: list[bytes] = []

    def sizes_of(line: Line, tag: bytes, rest: bytes) -> None:
        asked.append(rest)
        for uid in rest.split()[2].split(b","):
            broken = uid == b"2" and (always or b"FLAGS" in rest)
            line.say(b"* %b FETCH (UID %b RFC822.SIZE %b)" % (uid, uid, b"((" if broken else b"59"))
        line.say(tag + b" OK done")

    def body(line: Line, tag: bytes, rest: bytes) -> None:
        uids = [int(uid) for uid in rest.split()[2].split(b",")]
        line.say(*(literal(uid, MAIL) for uid in uids), tag + b" OK done")

    search = said(b"* SEARCH 1 2 3")
    part = imap_part(UID_SEARCH=search, UID_FETCH_SIZE=sizes_of, UID_FETCH_BODY=body)
    with Script(part) as server:
        box = scripted(server.port)
        box.connect()
        mails = [(raw.uid, raw.octets) for raw in box.fetch(0, 5)]
    assert mails == [(1, MAIL), (2, MAIL), (3, MAIL)]
    assert len(asked) == 1 + 3 + 1


def test_a_search_over_a_huge_folder_is_answered_in_small_lines() -> None:
    windows: list[tuple[int, int]] = []
    low, high = 2_000_000, 4_300_000

    def search(line: Line, tag: bytes, rest: bytes) -> None:
        first, _, last = rest.split()[3].partition(b":")
        start, end = int(first), high if last == b"*" else int(last)
        windows.append((start, end))
        found = range(max(start, low), min(end, high) + 1)
        line.say(b"* SEARCH " + b" ".join(b"%d" % uid for uid in found), tag + b" OK done")

    huge = said(b"* 2300000 EXISTS", b"* OK [UIDVALIDITY 7]", b"* OK [UIDNEXT 4300001]")
    with Script(imap_part(SELECT=huge, UID_SEARCH=search, UID_FETCH_SIZE=said())) as server:
        box = scripted(server.port)
        box.connect()
        assert list(box._fetch._search(box._state, 0, 3, None)) == [low, low + 1, low + 2]
    assert max(end - start for start, end in windows) < 200_000
    assert len(windows) < 15


def test_a_date_that_cannot_be_read_counts_as_now() -> None:
    undated = said(b'* 1 FETCH (UID 1 RFC822.SIZE 60 INTERNALDATE "99-Foo-0000 77:00:00 +9999")')
    with Script(imap_part(UID_FETCH_SIZE=undated)) as server:
        box = scripted(server.port)
        box.connect()
        before = datetime.now(UTC)
        (raw,) = box.fetch(0, 5, since=datetime(2026, 1, 1, tzinfo=UTC))
    assert before <= raw.internal_date <= datetime.now(UTC)


@pytest.mark.parametrize(
    "answer",
    [
        said(b"* 1 FETCH (UID"),
        said(b"* 1 FETCH (((((((((("),
        said(b"* 1 FETCH (UID x BODY[]<0> {1}\r\nx)"),
        said(b"no answer at all"),
        said(b"* SEARCH \xff\xfe"),
        said(result=b"NO"),
        said(result=b"BAD"),
        lambda line, _, __: line.hang_up(),
        lambda line, _, __: line.raw(b"* 1 FETCH (UID 1 BODY[]<0> {50}\r\nhalf") or line.hang_up(),
    ],
)
def test_whatever_a_server_answers_is_a_mailbox_error_or_no_mail(answer: Answer) -> None:
    for command in ("SELECT", "UID_SEARCH", "UID_FETCH_SIZE", "UID_FETCH_BODY", "UID_MOVE", "IDLE"):
        with Script(imap_part(**{command: answer})) as server:
            box = scripted(server.port)
            try:
                box.connect()
                assert all(raw.octets == MAIL for raw in box.fetch(0, 5))
                box.move([1], "Known")
                box.fetch(0, 5)
                box.wait(0.05, threading.Event())
            except MailboxError:
                assert box._client is None
            box.close()


# silence ---------------------------------------------------------------------------------


def silent(line: Line, _: bytes, __: bytes) -> None:
    line.until_gone()


def trickling(line: Line, _: bytes, __: bytes) -> None:
    while True:
        line.raw(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [silent, trickling])
@pytest.mark.parametrize("command", ["LOGIN", "SELECT", "UID_SEARCH", "UID_FETCH_BODY", "NOOP"])
def test_an_answer_that_does_not_come_ends_with_the_timeout(command: str, answer: Answer) -> None:
    with Script(imap_part(**{command: answer})) as server:
        box = scripted(server.port, timeout=0.4)
        began = time.monotonic()

        def all_of_it() -> None:
            box.connect()
            box.fetch(0, 5)
            box.wait(0.05, threading.Event())

        assert "does not answer in time" in str(refusal(all_of_it))
        assert time.monotonic() - began < 10


def test_a_silent_handshake_ends_with_the_timeout() -> None:
    with Script(Line.until_gone) as server:
        context_port = server.port
        for tls in ("implicit", "none"):
            box = ImapMailbox("support", "127.0.0.1", context_port, tls, LOGIN, timeout=0.3)
            assert "does not answer in time" in str(refusal(box.connect))


def test_a_line_that_died_in_idle_is_noticed_at_done() -> None:
    def dead(line: Line, _: bytes, __: bytes) -> None:
        line.say(b"+ idling")
        line.until_gone()

    with Script(imap_part(IDLE=dead)) as server:
        box = scripted(server.port, timeout=2)
        box.connect()
        box.fetch(0, 5)
        assert "does not answer" in str(refusal(lambda: box.wait(0.1, threading.Event())))


# waiting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines", [b"+ idling\r\n* 2 EXISTS\r\n", b"* 2 EXISTS\r\n+ idling\r\n* 2 EXISTS\r\n"]
)
def test_an_announcement_in_one_packet_with_the_continuation_is_heard(lines: bytes) -> None:
    def idle(line: Line, tag: bytes, _: bytes) -> None:
        line.raw(lines)
        line.read()
        line.say(tag + b" OK done")

    with Script(imap_part(IDLE=idle)) as server:
        box = scripted(server.port, timeout=30)
        box.connect()
        box.fetch(0, 5)
        began = time.monotonic()
        box.wait(20, threading.Event())
        assert time.monotonic() - began < 10


def test_mail_that_was_announced_during_a_fetch_is_not_waited_for() -> None:
    announced = said(literal(1, MAIL), b"* 2 EXISTS")
    with Script(imap_part(UID_FETCH_BODY=announced)) as server:
        box = scripted(server.port, timeout=30)
        box.connect()
        box.fetch(0, 5)
        began = time.monotonic()
        box.wait(20, threading.Event())
        assert time.monotonic() - began < 10


def test_a_server_that_refuses_idle_is_polled() -> None:
    with Script(imap_part(IDLE=said(result=b"NO not here"))) as server:
        box = scripted(server.port)
        box.connect()
        box.fetch(0, 5)
        for _ in range(2):
            began = time.monotonic()
            box.wait(0.2, threading.Event())
            assert 0.15 < time.monotonic() - began < 10


def test_the_end_of_the_stream_in_idle_is_an_error_at_once() -> None:
    def leave(line: Line, _: bytes, __: bytes) -> None:
        line.say(b"+ idling", b"* BYE shutting down")
        line.hang_up()

    with Script(imap_part(IDLE=leave)) as server:
        box = scripted(server.port)
        box.connect()
        box.fetch(0, 5)
        began = time.monotonic()
        assert "shutting down" in str(refusal(lambda: box.wait(20, threading.Event())))
        assert time.monotonic() - began < 10


@pytest.mark.server
def test_a_server_that_restarts_is_an_error_and_then_a_new_connection() -> None:
    with Dovecot() as server:
        box = watch(server)
        before = box.connect()
        stops = threading.Timer(0.2, server.stop)
        stops.start()
        began = time.monotonic()
        refusal(lambda: [box.wait(30, threading.Event()) for _ in range(3)])
        assert time.monotonic() - began < 20
        stops.join()
        server.start()
        assert box.connect() == before
        box.close()


@pytest.mark.server
def test_no_push_of_dovecot_is_missed(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    box = watch(dovecot, user)
    box.connect()
    for at in range(20):
        other.append("INBOX", MAIL)
        began = time.monotonic()
        while len(box.fetch(at, 5)) < 1:
            box.wait(30, threading.Event())
            assert time.monotonic() - began < 15
    box.close()
    other.logout()


# moving and flagging ---------------------------------------------------------------------


def _deleted(client: IMAPClient) -> list[int]:
    client.select_folder("INBOX")
    return client.search(["DELETED"])


@pytest.mark.server
@pytest.mark.parametrize("capability", ["UIDPLUS", "UIDPLUS MOVE", ""])
def test_what_others_marked_as_deleted_is_never_expunged(capability: str) -> None:
    with Dovecot(capability=f"IMAP4rev1 {capability}".strip()) as server:
        other = server.client()
        for _ in range(3):
            other.append("INBOX", MAIL)
        other.select_folder("INBOX")
        other.delete_messages([1])
        box = watch(server)
        box.connect()
        box.move([2], "Known")
        assert _deleted(other) == ([1] if capability else [1, 2])
        assert other.folder_status("Known", ["MESSAGES"])[b"MESSAGES"] == 1
        other.select_folder("INBOX")
        other.remove_flags([1], [r"\Deleted"])
        box.move([3], "Known")
        assert other.folder_status("Known", ["MESSAGES"])[b"MESSAGES"] == 2
        box.close()


@pytest.mark.server
def test_keywords_are_kept_where_the_server_keeps_them(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    other.append("INBOX", MAIL)
    box = watch(dovecot, user)
    box.connect()
    box.flag([1], [r"\Flagged", "$Triaged"])
    other.select_folder("INBOX", readonly=True)
    assert set(other.get_flags([1])[1]) - {rb"\Recent"} == {rb"\Flagged", b"$Triaged"}
    box.close()


def test_keywords_are_left_out_where_the_server_does_not_keep_them() -> None:
    stored: list[bytes] = []

    def store(line: Line, tag: bytes, rest: bytes) -> None:
        stored.append(rest)
        line.say(tag + b" OK done")

    with Script(imap_part(UID_STORE=store)) as server:
        box = scripted(server.port)
        box.connect()
        box.flag([1], [r"\Flagged", "$Triaged"])
        box.flag([1], ["$Triaged"])
    assert stored == [rb"UID STORE 1 +FLAGS.SILENT (\Flagged)"]


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [(b'(("INBOX." ".")) NIL NIL', b'"INBOX.Triage.Known"'), (b"NIL NIL NIL", b'"Triage/Known"')],
)
def test_folder_names_follow_the_servers_namespace(namespace: bytes, expected: bytes) -> None:
    moved: list[bytes] = []

    def move(line: Line, tag: bytes, rest: bytes) -> None:
        moved.append(rest)
        line.say(tag + b" OK done")

    part = imap_part(
        CAPABILITY=said(b"* CAPABILITY IMAP4rev1 MOVE NAMESPACE"),
        NAMESPACE=said(b"* NAMESPACE " + namespace),
        UID_MOVE=move,
    )
    with Script(part) as server:
        box = scripted(server.port)
        box.connect()
        box.move([1], "Triage/Known")
    assert moved == [b"UID MOVE 1 " + expected]


@pytest.mark.server
def test_a_folder_that_may_only_be_read_can_be_watched() -> None:
    read_only = said(
        b"* 1 EXISTS", b"* OK [UIDVALIDITY 7]", b"* OK [UIDNEXT 2]", result=b"OK [READ-ONLY] done"
    )
    with Script(imap_part(SELECT=read_only, EXAMINE=read_only)) as server:
        box = scripted(server.port)
        box.connect()
        assert [raw.octets for raw in box.fetch(0, 5)] == [MAIL]


# the libraries below ---------------------------------------------------------------------


@pytest.mark.server
def test_imaplibs_tracing_is_off_and_small_writes_are_not_delayed(dovecot: Dovecot) -> None:
    box = watch(dovecot)
    box.connect()
    wire = box._client.wire
    assert wire.debug == 0
    assert wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert wire.sock.gettimeout() is not None
    box.close()


@pytest.mark.server
def test_unasked_answers_do_not_pile_up(dovecot: Dovecot, user: str) -> None:
    other = dovecot.client(user)
    box = watch(dovecot, user)
    box.connect()
    for at in range(30):
        other.append("INBOX", MAIL)
        box.wait(5, threading.Event())
        box.move([raw.uid for raw in box.fetch(0, 5)], "Known")
        kept = sum(len(lines) for lines in box._client.wire.untagged_responses.values())
        assert kept < 20, at
    box.close()
