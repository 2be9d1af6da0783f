"""Sending to real servers, and what each of their failures means for the next try."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.certificates import Certificate, make_certificate
from tests.servers.script import Line, Script
from tests.servers.smtp import MailServer, SmtpSink
from tests.servers.tokens import CLIENT_ID, CLIENT_SECRET, TokenServer
from triage.adapters.connection import Password
from triage.adapters.oauth import OAuth2, TokenSource, XOAuth2
from triage.adapters.smtp import SmtpSender
from triage.ports import Fault, SendError

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

MAIL = b"From: support@example.com\r\nSubject: one\r\n\r\nText.\r\n"
FROM, TO = "errors+bounce@example.com", "priya@northwind.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server_tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    return context


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as made:
        yield made


def plain(port: int, **changed) -> SmtpSender:
    settings = {"timeout": 2.0, "done_seconds": 2.0, **changed}
    return SmtpSender("127.0.0.1", port, "none", **settings)


def fault(call: Callable[[], object]) -> SendError:
    with pytest.raises(SendError) as caught:
        call()
    return caught.value


def send(sender: SmtpSender, octets: bytes = MAIL, *recipients: str) -> None:
    sender.send(octets, FROM, recipients or (TO,))


def test_octets_arrive_as_they_were_given(server: MailServer) -> None:
    dots = MAIL + b".\r\n..two\r\n.one\r\nlast line\r\n"
    sender = plain(server.port)
    send(sender, dots, TO, "jonas@contoso.example")
    sender.close()
    (received,) = server.received
    assert received.octets == dots
    assert (received.sender, received.recipients) == (FROM, (TO, "jonas@contoso.example"))


def test_bare_line_ends_cannot_end_the_mail_early(server: MailServer) -> None:
    smuggled = MAIL + b"one\n.\nMAIL FROM:<x@example.com>\r.\rtwo"
    sender = plain(server.port)
    send(sender, smuggled)
    sender.close()
    (received,) = server.received
    assert received.octets == MAIL + b"one\r\n.\r\nMAIL FROM:<x@example.com>\r\n.\r\ntwo\r\n"


def test_the_connection_is_kept_between_mails(server: MailServer) -> None:
    sender = plain(server.port)
    for _ in range(3):
        send(sender)
    sender.close()
    assert [received.session for received in server.received] == [0, 0, 0]
    send(sender)
    sender.close()
    assert server.received[3].session == 1


def test_options_are_named_only_where_they_are_needed(server: MailServer) -> None:
    sender = plain(server.port)
    send(sender)
    send(sender, MAIL.replace(b"Text", "Grüße".encode()))
    send(sender, MAIL.replace(b"one", "Grüße".encode()))
    send(sender, MAIL, "grüße@northwind.example")
    sender.close()
    options = [{o.upper() for o in received.options} for received in server.received]
    assert [("BODY=8BITMIME" in o, "SMTPUTF8" in o) for o in options] == [
        (False, False),
        (True, False),
        (True, True),
        (False, True),
    ]


def test_international_addresses_are_refused_where_the_server_cannot() -> None:
    with MailServer(utf8=False) as server:
        sender = plain(server.port)
        error = fault(lambda: send(sender, MAIL, "grüße@northwind.example"))
        assert error.fault is Fault.PERMANENT
        send(sender)
        sender.close()
        assert len(server.received) == 1


@pytest.mark.parametrize("address", ["a@example.com\r\nRCPT TO:<b@example.com>", "a\0@example.com"])
def test_an_address_with_control_characters_is_never_sent(server: MailServer, address: str) -> None:
    sender = plain(server.port)
    assert fault(lambda: send(sender, MAIL, address)).fault is Fault.PERMANENT
    assert fault(lambda: sender.send(MAIL, address, [TO])).fault is Fault.PERMANENT
    assert server.received == []


def test_one_refused_recipient_stops_the_mail_and_is_named(server: MailServer) -> None:
    server.refused = {
        "gone@northwind.example": "550 5.1.1 no such user",
        "full@northwind.example": "452 4.2.2 mailbox full",
    }
    sender = plain(server.port)
    gone = fault(lambda: send(sender, MAIL, TO, "gone@northwind.example"))
    full = fault(lambda: send(sender, MAIL, TO, "full@northwind.example"))
    assert (gone.fault, full.fault) == (Fault.PERMANENT, Fault.TRANSIENT)
    assert "recipient gone@northwind.example: 550 5.1.1 no such user" in str(gone)
    assert server.received == []
    send(sender)
    sender.close()
    assert server.received[0].recipients == (TO,)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("451 4.3.0 later", Fault.TRANSIENT),
        ("421 4.3.2 closing", Fault.TRANSIENT),
        ("554 5.7.1 spam", Fault.PERMANENT),
        ("530 5.7.0 log in first", Fault.TRANSIENT),
        ("999 what", Fault.AMBIGUOUS),
    ],
)
def test_the_reply_to_the_final_dot_decides(
    server: MailServer, reply: str, expected: Fault
) -> None:
    server.done_reply = reply
    sender = plain(server.port)
    error = fault(lambda: send(sender))
    assert error.fault is expected
    assert reply in str(error)
    server.done_reply = "250 taken"
    send(sender)
    sender.close()


# TLS and logins --------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("without", [("LOGIN",), ("PLAIN",)])
def test_passwords_of_any_letters_log_in_over_tls(
    certificate: Certificate, server_tls: ssl.SSLContext, tls: str, without: tuple[str, ...]
) -> None:
    users = {"errors": "grüße pw"}
    implicit = tls == "implicit"
    with MailServer(context=server_tls, implicit=implicit, users=users, without=without) as server:
        sender = SmtpSender(
            "127.0.0.1",
            server.port,
            tls,
            Password("errors", "grüße pw"),
            ca_file=str(certificate.cert),
        )
        send(sender)
        sender.close()
        assert server.logins == ["PLAIN" if "LOGIN" in without else "LOGIN"]
        assert len(server.received) == 1


def test_a_wrong_password_is_the_operators_fault_and_not_the_mails() -> None:
    with MailServer(users={"errors": "pw"}) as server:
        error = fault(lambda: send(plain(server.port, login=Password("errors", "hunter2"))))
    assert error.fault is Fault.TRANSIENT
    assert "refuses the login: 535" in str(error)
    assert "hunter2" not in str(error)


def test_a_login_that_is_missing_is_the_operators_fault() -> None:
    with MailServer(users={"errors": "pw"}) as server:
        error = fault(lambda: send(plain(server.port)))
    assert error.fault is Fault.TRANSIENT
    assert "530" in str(error)


def test_a_token_that_is_refused_is_replaced_once() -> None:
    with TokenServer() as tokens, MailServer(bearers={"access-2"}) as server:
        source = TokenSource(OAuth2(tokens.token_url, CLIENT_ID, CLIENT_SECRET))
        sender = plain(server.port, login=XOAuth2("errors", source))
        send(sender)
        sender.close()
        assert server.logins == ["XOAUTH2"]
        server.bearers.clear()
        error = fault(lambda: send(sender))
        assert error.fault is Fault.TRANSIENT
        assert "refuses the login" in str(error)
        assert len(tokens.forms) == 3


def test_a_token_that_cannot_be_had_is_no_fault_of_the_mail() -> None:
    with TokenServer() as tokens, MailServer(bearers=set()) as server:
        source = TokenSource(OAuth2(tokens.token_url, CLIENT_ID, "hunter2"))
        error = fault(lambda: send(plain(server.port, login=XOAuth2("errors", source))))
    assert error.fault is Fault.TRANSIENT
    assert "invalid_client" in str(error)
    assert "hunter2" not in str(error)


def test_a_way_to_log_in_that_is_not_offered_is_said(server: MailServer) -> None:
    error = fault(lambda: send(plain(server.port, login=Password("errors", "pw"))))
    assert error.fault is Fault.TRANSIENT
    assert "the server offers no login" in str(error)


def test_starttls_is_never_left_out(server: MailServer) -> None:
    error = fault(lambda: send(SmtpSender("127.0.0.1", server.port, "starttls")))
    assert error.fault is Fault.TRANSIENT
    assert "offers no STARTTLS" in str(error)
    assert server.received == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_that_is_not_trusted_is_refused(server_tls: ssl.SSLContext, tls: str) -> None:
    with MailServer(context=server_tls, implicit=tls == "implicit") as server:
        error = fault(lambda: send(SmtpSender("127.0.0.1", server.port, tls)))
    assert error.fault is Fault.TRANSIENT
    assert "self-signed" in str(error)


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    expired = make_certificate(tmp_path, days=-1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(expired.cert, expired.key)
    with MailServer(context=context) as server:
        sender = SmtpSender("127.0.0.1", server.port, ca_file=str(expired.cert))
        assert "expired" in str(fault(lambda: send(sender)))


def test_clear_text_is_for_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        SmtpSender("smtp.example.com", 25, "none")


def test_an_unknown_host_is_named() -> None:
    error = fault(lambda: send(SmtpSender("smtp.northwind.invalid")))
    assert error.fault is Fault.TRANSIENT
    assert "smtp.northwind.invalid is not known" in str(error)


# faults at every command -----------------------------------------------------------------

COMMANDS = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.server
@pytest.mark.parametrize("command", [*COMMANDS, "."])
@pytest.mark.parametrize(
    ("switch", "before", "at_dot"),
    [
        ("-q", Fault.TRANSIENT, Fault.AMBIGUOUS),
        ("-Q", Fault.TRANSIENT, Fault.TRANSIENT),
        ("-r", Fault.TRANSIENT, Fault.TRANSIENT),
        ("-f", Fault.PERMANENT, Fault.PERMANENT),
    ],
)
def test_smtp_sink_fails_at_every_command(
    switch: str, before: Fault, at_dot: Fault, command: str
) -> None:
    # A server that does not want us at all may be the operator's fault; the mail stays alive.
    greeting = command in {"CONNECT", "EHLO"}
    with SmtpSink(switch, "EHLO,HELO" if command == "EHLO" else command) as sink:
        sender = plain(sink.port)
        error = fault(lambda: send(sender))
        sender.close()
    assert error.fault is (at_dot if command == "." else Fault.TRANSIENT if greeting else before)


@pytest.mark.server
def test_smtp_sink_takes_mails_on_one_connection() -> None:
    with SmtpSink() as sink:
        sender = plain(sink.port)
        for _ in range(50):
            send(sender)
        sender.close()
    assert "refuses connections" in str(fault(lambda: send(sender)))


def smtp_part(
    silent_at: str = "", gone_at: str = "", replies: dict[str, bytes] | None = None
) -> Callable[[Line], None]:
    """A server that keeps silent or goes at a command, or at the text before the final dot."""

    def play(line: Line) -> None:
        line.say(b"220 ready")
        while command := line.read():
            word = command.split()[0].split(b":")[0].decode().upper()
            if word == silent_at:
                line.until_gone()
            if word in {silent_at, gone_at}:
                return
            if word == "DATA":
                line.say(b"354 go on")
                if not took_text(line, silent_at, gone_at):
                    return
            line.say((replies or {}).get(word, b"250 fine"))

    return play


def took_text(line: Line, silent_at: str, gone_at: str) -> bool:
    """Read up to the final dot, unless the part goes before or at it."""
    while (said := line.read()) != b".":
        if gone_at == "TEXT" and said.startswith(b"x"):
            return False
    if silent_at == ".":
        line.until_gone()
    return "." not in {silent_at, gone_at}


@pytest.mark.parametrize(
    ("command", "expected"),
    [(name, Fault.TRANSIENT) for name in ("EHLO", "MAIL", "RCPT", "DATA")]
    + [(".", Fault.AMBIGUOUS)],
)
@pytest.mark.parametrize("how", ["silent_at", "gone_at"])
def test_a_server_that_falls_silent_or_goes(how: str, command: str, expected: Fault) -> None:
    with Script(smtp_part(**{how: command})) as server:
        sender = plain(server.port, timeout=1.5, done_seconds=1.5)
        began = time.monotonic()
        error = fault(lambda: send(sender))
        assert error.fault is expected
        assert time.monotonic() - began < 20


def test_a_connection_lost_in_the_middle_of_the_text_is_no_delivery() -> None:
    with Script(smtp_part(gone_at="TEXT")) as server:
        long = MAIL + (b"x" * 70 + b"\r\n") * 300_000
        sender = plain(server.port)
        assert fault(lambda: send(sender, long)).fault is Fault.TRANSIENT


def test_a_server_that_trickles_its_reply_is_left() -> None:
    def play(line: Line) -> None:
        line.say(b"220 ready")
        line.read()
        while True:
            line.raw(b"2")
            time.sleep(0.05)

    with Script(play) as server:
        sender = plain(server.port, timeout=0.3)
        began = time.monotonic()
        assert "does not answer in time" in str(fault(lambda: send(sender)))
        assert time.monotonic() - began < 10


def test_a_reply_without_end_is_left() -> None:
    def play(line: Line) -> None:
        line.say(b"220 ready")
        line.read()
        while True:
            line.say(b"250-more")
            time.sleep(0.001)

    with Script(play) as server:
        assert fault(lambda: send(plain(server.port, timeout=0.3))).fault is Fault.TRANSIENT


@pytest.mark.parametrize("garbage", [b"what", b"", b"250", b"\xff\xfe 250", b"2" * 20_000])
@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "RSET"])
def test_nonsense_before_the_final_dot_is_transient_or_taken(command: str, garbage: bytes) -> None:
    with Script(smtp_part(replies={command: garbage})) as server:
        sender = plain(server.port, timeout=0.3)
        try:
            send(sender)
        except SendError as error:
            assert error.fault is not Fault.AMBIGUOUS  # noqa: PT017  # both outcomes are right
        sender.close()


@pytest.mark.parametrize("garbage", [b"what", b"", b"2" * 20_000])
def test_nonsense_after_the_final_dot_is_ambiguous(garbage: bytes) -> None:
    with Script(smtp_part(replies={"DATA": garbage})) as server:
        assert fault(lambda: send(plain(server.port))).fault is Fault.AMBIGUOUS


# the kept connection ---------------------------------------------------------------------


def one_mail_then(last: Callable[[Line], None]) -> Callable[[Line], None]:
    """A server that takes one mail on each connection; `last` plays what comes then."""

    def play(line: Line) -> None:
        line.say(b"220 ready")
        taken = 0
        while command := line.read():
            word = command.split()[0].upper()
            if word == b"MAIL" and taken:
                last(line)
                return
            if word == b"DATA":
                line.say(b"354 go on")
                while line.read() != b".":
                    pass
                taken += 1
            line.say(b"250 fine")

    return play


@pytest.mark.parametrize(
    "last",
    [
        Line.hang_up,
        Line.until_gone,
        lambda line: line.say(b"421 4.4.2 idle for too long"),
    ],
)
def test_a_kept_connection_that_died_is_replaced_once(last: Callable[[Line], None]) -> None:
    with Script(one_mail_then(last)) as server:
        sender = plain(server.port, timeout=2)
        for _ in range(3):
            send(sender)
        sender.close()
        assert server.connections == 3
