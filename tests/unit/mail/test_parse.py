"""Octets to Mail: what a reader sees, whatever the sender did to it."""

from __future__ import annotations

import base64
import quopri
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.mail.limits import MailError, Unreadable
from triage.mail.message import Address, Mail
from triage.mail.parse import parse


def mail(
    body: bytes = b"text\r\n",
    *,
    content_type: str = "text/plain; charset=utf-8",
    encoding: str = "8bit",
    extra: bytes = b"",
    sender: bytes = b"Priya Raman <priya@northwind.example>",
    subject: bytes = b"a subject",
) -> bytes:
    return (
        b"From: " + sender + b"\r\nSubject: " + subject + b"\r\n"
        b"Date: Mon, 16 Nov 2026 11:02:13 +0100 (CET)\r\nMessage-ID: <one@northwind.example>\r\n"
        + extra
        + f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + body
    )


def text(body: bytes, content_type: str, encoding: str = "8bit") -> str:
    return parse(mail(body, content_type=content_type, encoding=encoding)).newest


def multipart(kind: str, *parts: tuple[str, bytes]) -> bytes:
    body = b"".join(
        b"--b\r\n" + f"Content-Type: {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return mail(body + b"--b--\r\n", content_type=f'multipart/{kind}; boundary="b"')


INNER = mail(b"inner text\r\n", subject=b"inner subject")


# Header block


def test_the_usual_fields_are_read() -> None:
    read = parse(mail())
    assert read.subject == "a subject"
    assert read.from_ == (Address("priya@northwind.example", "Priya Raman"),)
    assert read.message_id == "one@northwind.example"
    assert read.date == datetime(2026, 11, 16, 10, 2, 13, tzinfo=UTC)
    assert read.content_types == ("text/plain",)


def test_header_fields_keep_their_order_and_all_their_values() -> None:
    read = parse(mail(extra=b"Received: one\r\nX-A: 1\r\nRECEIVED: two\r\n"))
    assert read.all("received") == ("one", "two")
    assert [n for n, _ in read.headers].index("x-a") < [n for n, _ in read.headers].index(
        "content-type"
    )


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"one\r\n two", "one two"),
        (b"=?utf-8?q?caf=C3=A9?= x", "café x"),
        (b"Alert =?utf-8?b?4oCU?=\r\n status", "Alert — status"),
        (b"=?utf-8?b?5pel5pys?=\r\n =?utf-8?b?6Kqe?=", "日本語"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?no-such?q?caf=E9?=", "café"),
        (b"=?utf-8?q?one=0D=0ABcc:_x=40y.example?=", "one Bcc: x@y.example"),
        ("café".encode(), "café"),
        ("café".encode("latin-1"), "café"),
        (b"=?utf-8?b?broken", "=?utf-8?b?broken"),
        (b"", ""),
    ],
)
def test_subjects_are_decoded_onto_one_line(raw: bytes, read: str) -> None:
    assert parse(mail(subject=raw)).subject == read


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"A <A@Northwind.Example>", [Address("a@northwind.example", "A")]),
        (
            b"=?utf-8?q?info=40salesforce.com_=3Cinfo=40salesforce.com=3E?= <x@mailer.example>",
            [Address("x@mailer.example", "info@salesforce.com <info@salesforce.com>")],
        ),
        (b'"info@salesforce.com" <x@mailer.example>',
         [Address("x@mailer.example", "info@salesforce.com")]),
        (b"Team: a@x.example, B <b@x.example>;",
         [Address("a@x.example"), Address("b@x.example", "B"),
          Address("", "Team: a@x.example, B <b@x.example>;")]),
        (b'"Team: A;" <a@x.example> (Team: B)', [Address("a@x.example", "Team: A;")]),
        (b"a@x.example, b@y.example", [Address("a@x.example"), Address("b@y.example")]),
        ("Jürgen Süß <j@contoso.example>".encode("latin-1"),
         [Address("j@contoso.example", "Jürgen Süß")]),
        ("Jürgen <j@contoso.example>".encode(), [Address("j@contoso.example", "Jürgen")]),
        (b"MAILER-DAEMON", [Address("", "MAILER-DAEMON")]),
        (b"x@y@z.example", [Address("", "x@y@z.example")]),
    ],
)  # fmt: skip
def test_the_address_is_found_before_its_display_name_is_decoded(
    raw: bytes, read: list[Address]
) -> None:
    assert list(parse(mail(sender=raw)).from_) == read


def test_all_mailboxes_of_two_from_fields_are_kept() -> None:
    read = parse(mail(extra=b"From: Other <other@mailer.example>\r\n"))
    assert [a.spec for a in read.from_] == ["priya@northwind.example", "other@mailer.example"]


@pytest.mark.parametrize("raw", [b"never", b"", b"99 Foo 20266 99:99", b"\xff"])
def test_an_unreadable_date_is_none(raw: bytes) -> None:
    octets = mail().replace(b"Mon, 16 Nov 2026 11:02:13 +0100 (CET)", raw)
    assert parse(octets).date is None


def test_a_header_block_without_from_and_date_is_still_a_mail() -> None:
    read = parse(b"Subject: x\r\n\r\nText")
    assert (read.subject, read.newest, read.from_) == ("x", "Text", ())


@pytest.mark.parametrize("octets", [b"", b"\r\n\r\n", b"\x00\x01\xff" * 100, b"no header here\n"])
def test_octets_without_a_header_block_are_unreadable(octets: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(octets)
    assert caught.value.reason == "limit_header"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_any_line_ends_are_read_alike(end: bytes) -> None:
    read = parse(mail(b"one\r\ntwo\r\n").replace(b"\r\n", end))
    assert (read.subject, read.newest) == ("a subject", "one\ntwo")


def test_blanks_before_the_colon_of_a_field_are_left_out() -> None:
    octets = mail().replace(b"From:", b"From :").replace(b"Subject:", b"Subject \t:")
    read = parse(octets)
    assert read.subject == "a subject"
    assert [a.spec for a in read.from_] == ["priya@northwind.example"]
    folded = parse(mail(subject=b"a\r\n b :c"))
    assert folded.subject == "a b :c"
    assert parse(mail(b"Priya :\r\nwrites\r\n")).newest == "Priya :\nwrites"


def test_a_truncated_mail_is_marked() -> None:
    assert parse(mail(), truncated=True).truncated


# Charsets


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("utf-8", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-16-le"),
        ("utf-16", "utf-16-be"),
        ("utf-16le", "utf-16-le"),
        ("iso-2022-jp", "iso2022_jp"),
        ("iso-2022-jp", "cp932"),
        ("iso-2022-jp", "euc_jp"),
        ("shift_jis", "cp932"),
        ("euc-jp", "euc_jp"),
        ("x-no-such-charset", "utf-8"),
        ("iso-8859-1", "utf-8"),
        ("hex", "utf-8"),
    ],
)
def test_japanese_is_read_in_all_its_charsets(declared: str, codec: str) -> None:
    said = "エラー Queue 記録"
    assert text(said.encode(codec), f"text/plain; charset={declared}", "8bit") == said


@pytest.mark.parametrize("declared", ["utf-8", "us-ascii", "x-unknown", 'utf\0"8', "", "zip"])
def test_latin_letters_under_a_wrong_charset_fall_back_to_windows_1252(declared: str) -> None:
    body = "Prüfung – “ok”".encode("windows-1252")
    assert text(body, f"text/plain; charset={declared}") == "Prüfung – “ok”"


@pytest.mark.parametrize("declared", ["utf-8", "x-unknown", ""])
def test_a_broken_character_leaves_the_others_in_utf_8(declared: str) -> None:
    body = "Prüfung – “ok” R".encode() + b"\xc3 und mehr"
    assert text(body, f"text/plain; charset={declared}") == "Prüfung – “ok” R\ufffd und mehr"


def test_two_letters_that_could_be_utf_8_do_not_make_it_utf_8() -> None:
    body = "»Spaß« am Prüfen".encode("windows-1252")
    assert text(body, "text/plain; charset=utf-8") == "»Spaß« am Prüfen"


def test_iso_2022_jp_without_a_charset_is_recognised() -> None:
    assert text("日本語".encode("iso2022_jp"), "text/plain", "7bit") == "日本語"


def test_a_character_cut_off_costs_only_itself() -> None:
    body = "エラー".encode("cp932")[:-1]
    assert text(body, "text/plain; charset=shift_jis").startswith("エラ")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("quoted-printable", b"Employee cannot=\r\n be a Qu=65ue"),
        ("base64", b"RW1wbG95ZWUgY2Fubm90IGJlIGEgUXVldWU="),
        ("BASE64", b"RW1wbG95ZWUgY2Fubm90IGJlIGEgUXVldWU"),
        ("base64 ; x", b"RW1wbG95ZWUgY2Fubm90IGJlIGEgUXVldWU="),
        ("quoted-printable", b"Employee cannot= \t\r\n be a Qu=65ue"),
        ("quoted-printable \t", b"Employee cannot=\r\n be a Qu=65ue"),
        ("(as sent) quoted-printable", b"Employee cannot=\r\n be a Qu=65ue"),
        ("8bit", b"Employee cannot be a Queue"),
        ("no-such-encoding", b"Employee cannot be a Queue"),
    ],
)
def test_transfer_encodings_are_undone(encoding: str, body: bytes) -> None:
    assert text(body, "text/plain; charset=utf-8", encoding) == "Employee cannot be a Queue"


def test_nul_and_lone_surrogates_never_reach_the_text() -> None:
    read = text(b"a\x00b +2AA-", "text/plain; charset=utf-7", "7bit")
    assert "\0" not in read
    assert read.encode()


# Parts


def test_plain_text_is_preferred_and_links_come_from_html() -> None:
    html = b'<p>See <a href="https://northwind.my.salesforce.com/500">the case</a></p>'
    read = parse(multipart("alternative", ("text/plain", b"See the case"), ("text/html", html)))
    assert read.newest == "See the case"
    assert read.html_links == ("https://northwind.my.salesforce.com/500",)


@pytest.mark.parametrize("stub", [b"", b"  \r\n", b"Your mail program does not show HTML."])
def test_html_is_read_where_the_plain_text_says_nothing(stub: bytes) -> None:
    octets = multipart(
        "alternative", ("text/plain", stub), ("text/html", b"<p>The <b>text</b></p>")
    )
    assert parse(octets).newest == "The text"


def test_html_alone_is_read() -> None:
    octets = mail(b"<p>Stella Connect Employee</p>", content_type="text/html")
    assert parse(octets).newest == "Stella Connect Employee"


def test_html_that_is_declared_as_plain_text_is_read_as_html() -> None:
    assert parse(mail(b"<html><body><p>a</p></body></html>")).newest == "a"


@pytest.mark.parametrize("cut", ["One and two...", "One and two\u2026"])
def test_html_is_read_where_the_plain_text_is_its_beginning(cut: str) -> None:
    plain = ("text/plain; charset=utf-8", cut.encode())
    longer = ("text/html", b"<p>One and two and three.</p>")
    assert parse(multipart("alternative", plain, longer)).newest == "One and two and three."
    other = ("text/html", b"<p>Two and three.</p>")
    assert parse(multipart("alternative", plain, other)).newest == cut


def test_plain_text_that_is_declared_as_base64_is_read_as_it_stands() -> None:
    plain = "Error: café\r\nRecord: 1".encode()
    assert text(plain, "text/plain; charset=utf-8", "base64") == "Error: café\nRecord: 1"
    broken = base64.b64encode(b"one two three four five six seven eight nine") + b" !\r\n"
    assert text(broken, "text/plain", "base64").startswith("one two three")


def test_a_multipart_without_a_boundary_is_read_as_text() -> None:
    assert text(b"Error: x\r\n", "multipart/mixed") == "Error: x"


def test_several_text_parts_are_read_in_order() -> None:
    octets = multipart("mixed", ("text/plain", b"one"), ("text/html", b"<p>two</p>"))
    assert parse(octets).newest == "one\n\ntwo"


def test_attached_text_files_are_not_text_of_the_mail() -> None:
    octets = multipart("mixed", ("text/plain", b"one"), ('text/plain; name="log.txt"', b"Apex log"))
    read = parse(octets)
    assert read.newest == "one"
    assert [a.filename for a in read.attachments] == ["log.txt"]


def test_unnamed_attachments_have_the_same_name_on_every_reading() -> None:
    octets = multipart("mixed", ("text/plain", b"one"), ("application/pdf", b"%PDF"))
    assert parse(octets) == parse(octets)
    assert parse(octets).attachments[0].filename == ""


def test_file_names_in_rfc_2231_are_decoded() -> None:
    octets = multipart("mixed", ("application/pdf; name*=utf-8''Pr%C3%BCfung.pdf", b"%PDF"))
    assert parse(octets).attachments[0].filename == "Prüfung.pdf"


# Mails in the mail


@pytest.mark.parametrize(
    "head",
    [
        "message/rfc822",
        'application/octet-stream; name="alert.eml"',
        "application/octet-stream",
        'application/x-mail; name="ALERT.EML"',
        'text/plain; name="alert.eml"',
    ],
)
def test_enclosed_mails_are_read_apart(head: str) -> None:
    read = parse(multipart("mixed", ("text/plain", b"see attached"), (head, INNER)))
    assert read.newest == "see attached"
    assert [(m.subject, m.newest) for m in read.attached] == [("inner subject", "inner text")]
    assert read.attachments == ()


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_message_part_is_read_as_well(encoding: str) -> None:
    body = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}[encoding](INNER)
    part = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: %s\r\n\r\n"
    octets = mail(
        b"--b\r\n" + part % encoding.encode() + body + b"\r\n--b--\r\n",
        content_type="multipart/mixed; boundary=b",
    )
    assert [m.newest for m in parse(octets).attached] == ["inner text"]


def test_mails_within_mails_are_read_to_the_innermost() -> None:
    middle = multipart("mixed", ("text/plain", b"middle"), ("message/rfc822", INNER))
    middle = middle.replace(b'"b"', b'"c"').replace(b"--b", b"--c")
    outer = parse(multipart("mixed", ("text/plain", b"outer"), ("message/rfc822", middle)))
    assert outer.attached[0].attached[0].newest == "inner text"


def test_other_files_as_octet_stream_stay_files() -> None:
    octets = multipart("mixed", ("application/octet-stream", b"Hello: world\r\n\r\nx"))
    assert parse(octets).attached == ()


@pytest.mark.parametrize("kind", ["message/partial", "message/external-body"])
def test_message_parts_that_are_no_mail_are_attachments(kind: str) -> None:
    octets = multipart("mixed", (f"{kind}; id=1; number=1", b"Subject: x\r\n\r\ny"))
    read = parse(octets)
    assert read.attached == ()
    assert [a.content_type for a in read.attachments] == [kind]


# Delivery reports

OWN = b"triage.0123456789abcdef0123456789abcdef@example.com"
STATUS = (
    b"Reporting-MTA: dns; mx.northwind.example\r\n\r\n"
    b"Final-Recipient: rfc822; Priya@Northwind.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
    b"Original-Recipient: rfc822;tom@northwind.example\r\n"
    b"Final-Recipient: rfc822;other@relay.example\r\nAction: delayed\r\nStatus: 4.4.7\r\n"
)
RETURNED = b"From: a@example.com\r\nMessage-ID: <" + OWN + b">\r\nSubject: s\r\n\r\nStella\r\n"


def report(returned_as: str = "message/rfc822") -> Mail:
    octets = multipart(
        "report; report-type=delivery-status",
        ("text/plain", b"Could not be delivered."),
        ("message/delivery-status", STATUS),
        (returned_as, RETURNED),
    )
    return parse(octets)


@pytest.mark.parametrize("returned_as", ["message/rfc822", "text/rfc822-headers"])
def test_a_delivery_report_names_each_recipient_and_our_mail(returned_as: str) -> None:
    first, second = report(returned_as).reports
    assert (first.recipient, first.action, first.status) == (
        "priya@northwind.example",
        "failed",
        "5.1.1",
    )
    assert first.diagnostic == "smtp; 550 5.1.1 User unknown"
    assert first.original_message_id == OWN.decode()
    assert (second.recipient, second.action, second.status) == (
        "tom@northwind.example",
        "delayed",
        "4.4.7",
    )


def test_the_returned_mail_is_not_passed_on_by_anybody() -> None:
    assert report().attached == ()


def test_an_old_bounce_of_our_mail_is_known_by_our_message_id() -> None:
    body = (
        b"<lena@contoso.example>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
        b"--- Below this line is a copy of the message.\r\n\r\nMessage-ID: <" + OWN + b">\r\n"
    )
    read = parse(mail(body, sender=b"MAILER-DAEMON@mx.contoso.example", subject=b"failure notice"))
    assert [(r.recipient, r.action, r.status, r.original_message_id) for r in read.reports] == [
        ("lena@contoso.example", "failed", "5.1.1", OWN.decode())
    ]


def test_a_persons_answer_that_quotes_our_message_id_is_no_bounce() -> None:
    assert parse(mail(b"what is <" + OWN + b"> for lena@contoso.example?")).reports == ()


# Laws


def reading(octets: bytes) -> bool:
    """Whether octets are read into sound text, or refused with a reason."""
    try:
        read = parse(octets)
    except MailError as error:
        return error.reason.startswith("limit_")
    return "\n" not in read.subject and bool((read.newest + read.subject + "x").encode())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=2_000))
def test_no_octets_raise_anything_but_mail_errors(octets: bytes) -> None:
    assert reading(octets)


PIECES = st.sampled_from(
    [
        b"From: a@b.example\r\n", b"Subject: =?utf-8?q?x?=\r\n", b"\r\n", b"\r", b"--b\r\n",
        b"--b--\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"=?x?b?!?=",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html; charset=utf-16\r\n",
        b"Content-Type: message/delivery-status\r\n", b"<p hidden>", b"<blockquote type=cite>",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Disposition: attachment; filename*=x''%\r\n",
        b"Content-Type: text/plain; charset*=utf-8'en'x\r\n", b"\x00", b"\xff\xfe", b"> ",
        b"-----Original Message-----\r\n", b"On 1.1.2026 x <a@b.example> wrote:\r\n",
        b"Begin forwarded message:\r\n", b"Content-Type: multipart/alternative; boundary=b\r\n",
        b"Content-Type: multipart/report; boundary=b\r\n", b"Date: x\r\n", b"-- \r\n",
        b"From: x\r\n",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30))
def test_no_patchwork_of_mail_raises_anything_but_mail_errors(pieces: list[bytes]) -> None:
    assert reading(b"From: a@b.example\r\n" + b"".join(pieces))
