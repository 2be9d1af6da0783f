from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.mail.message import OWN_PREFIX
from triage.response.markdown import one_line
from triage.response.message import Audience, OutboundMessage
from triage.response.render import SUBJECT_LENGTH, RenderFault, message_id, to_octets

DATE = datetime(2026, 11, 16, 13, 5, tzinfo=UTC)
OWN_ID = message_id("priya@northwind.example", "17", 1, "example.com")
LONG_ID = "AS8PR04MB8199D7E0D6C0A4B5C2A1F0E8B5C2AS8PR04@AS8PR04MB8199.eurprd04.prod.outlook.example"
MESSAGE = OutboundMessage(
    audience=Audience.REPLY,
    from_="Integration support <support@example.com>",
    to=("priya@northwind.example",),
    subject="Two records cannot be surveyed",
    text="Hello,\n\n.\nFrom here\n" + "x" * 300 + "\n",
    html="<p>Hällo</p>\n",
    message_id=OWN_ID,
    references=("first@northwind.example", LONG_ID),
    language="de",
)


def parsed(message: OutboundMessage):
    return message_from_bytes(to_octets(message, date=DATE), policy=SMTP)


def test_a_mail_carries_the_headers_by_which_programs_know_it():
    mail = parsed(MESSAGE)

    assert {name: str(mail[name]) for name in mail} == {
        "MIME-Version": "1.0",
        "Content-Type": str(mail["Content-Type"]),
        "From": "Integration support <support@example.com>",
        "To": "priya@northwind.example",
        "Subject": "Two records cannot be surveyed",
        "Date": "Mon, 16 Nov 2026 13:05:00 +0000",
        "Message-ID": f"<{OWN_ID}>",
        "In-Reply-To": f"<{LONG_ID}>",
        "References": f"<first@northwind.example> <{LONG_ID}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Triage-Id": OWN_ID[7:39],
        "Content-Language": "de",
    }
    assert mail.get_content_type() == "multipart/alternative"


def test_text_comes_before_html_and_both_arrive_unchanged():
    text, html = parsed(MESSAGE).iter_parts()

    assert text.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert html.get_content().replace("\r\n", "\n") == MESSAGE.html


def test_lines_end_with_crlf_and_are_short_enough_for_every_server():
    octets = to_octets(MESSAGE, date=DATE)

    assert octets.count(b"\n") == octets.count(b"\r\n")
    assert octets.isascii()
    assert max(len(line) for line in octets.split(b"\r\n")) < 120


def test_the_same_message_gives_the_same_octets():
    assert to_octets(MESSAGE, date=DATE) == to_octets(replace(MESSAGE), date=DATE)


def test_a_mail_without_references_starts_a_thread():
    mail = parsed(replace(MESSAGE, references=()))

    assert mail["References"] is mail["In-Reply-To"] is None


def test_references_that_are_no_message_ids_are_left_out():
    mail = parsed(replace(MESSAGE, references=("a@b.example", "x>\r\nBcc: evil@evil.example", "")))

    assert str(mail["References"]) == "<a@b.example>"
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    ("subject", "arrives"),
    [
        ("a\r\nBcc: evil@evil.example\r\n\r\nbody", "a Bcc: evil@evil.example body"),
        ("a\u2028b\x00c\u202ed", "a bcd"),
        ("=?utf-8?q?=0D=0ABcc=3A?=", "=?utf-8?q?=0D=0ABcc=3A?="),
        ("x" * 300, "x" * (SUBJECT_LENGTH - 1) + "…"),
        ("ü 漢字 🎉 " * 9, ("ü 漢字 🎉 " * 9).strip()),
    ],
)
def test_subjects_with_strangers_words_stay_one_header(subject, arrives):
    mail = parsed(replace(MESSAGE, subject=subject))

    assert str(mail["Subject"]) == arrives
    assert mail["Bcc"] is None


@given(st.text(min_size=1, max_size=SUBJECT_LENGTH).filter(one_line))
def test_every_subject_arrives_as_it_was_meant(subject):
    assert str(parsed(replace(MESSAGE, subject=subject))["Subject"]) == one_line(subject)


@given(st.text(max_size=400))
def test_every_text_can_be_sent(text):
    assert to_octets(replace(MESSAGE, text=text, html=text), date=DATE)


@pytest.mark.parametrize(
    "from_",
    [
        "support@example.com",
        '"Support, Integration" <support@example.com>',
        "Unterstützung – Kundendienst der Beispielgesellschaft mbH und Co <support@example.com>",
    ],
)
def test_sender_names_arrive_as_configured(from_):
    assert (
        parsed(replace(MESSAGE, from_=from_))["From"].addresses[0].addr_spec
        == "support@example.com"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": ()},
        {"to": ("a@b.example, c@d.example",)},
        {"to": ("priya@northwind.example\r\nBcc: evil@evil.example",)},
        {"to": ("no address",)},
        {"to": ("prïya@northwind.example",)},
        {"from_": "nobody"},
        {"message_id": "x y@example.com"},
        {"message_id": "x@example.com>\r\nBcc: evil@evil.example"},
        {"auto_submitted": "auto-replied\r\nBcc: evil@evil.example"},
        {"language": "en\nX: y"},
        {"subject": " \r\n"},
    ],
)
def test_what_would_not_arrive_as_meant_is_refused(wrong):
    with pytest.raises(RenderFault):
        to_octets(replace(MESSAGE, **wrong), date=DATE)


def test_message_ids_follow_from_recipient_group_and_sequence():
    assert message_id("priya@northwind.example", "17", 1, "example.com") == OWN_ID
    assert OWN_ID.startswith(OWN_PREFIX)
    assert (
        len({message_id(r, g, s, "example.com") for r in "ab" for g in "ab" for s in (1, 2)}) == 8
    )
