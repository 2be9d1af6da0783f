"""Mail that nobody may answer, our own mail coming back, and what a header block alone settles."""

from __future__ import annotations

import pytest

from triage.mail.automatic import (
    answers_by_itself,
    automatic,
    is_of_mailer,
    is_ours_returning,
    settled,
)
from triage.mail.message import OWN_PREFIX, Mail
from triage.mail.parse import parse

OWN = f"<{OWN_PREFIX}0123456789abcdef0123456789abcdef@example.com>"


def octets(*fields: str, subject: str = "Integration errors", body: str = "text") -> bytes:
    head = ["From: Priya <priya@northwind.example>", f"Subject: {subject}", *fields]
    return ("\r\n".join(head) + "\r\n\r\n" + body + "\r\n").encode()


def mail(*fields: str, subject: str = "Integration errors") -> Mail:
    return parse(octets(*fields, subject=subject))


AUTOMATIC = [
    "Auto-Submitted: auto-replied",
    "Auto-Submitted: auto-generated (rejected)",
    'Auto-Submitted: auto-notified; owner-email="x@y.example"',
    "AUTO-SUBMITTED: Auto-Replied",
    "Return-Path: <>",
    "Precedence: bulk",
    "Precedence: LIST",
    "Precedence: junk",
    "Precedence: auto_reply",
    "List-Id: Admins <admins.lists.example.org>",
    "List-Unsubscribe: <https://lists.example.org/u>",
    "List-Post: <mailto:admins@lists.example.org>",
    "X-Auto-Response-Suppress: All",
    "X-Auto-Response-Suppress: DR, OOF, AutoReply",
    "X-Autoreply: yes",
    "X-Autorespond: Re: x",
    "X-Loop: priya@northwind.example",
    "X-Triage-Id: 01234",
]


@pytest.mark.parametrize("field", AUTOMATIC)
def test_headers_of_automatic_mail_forbid_an_answer(field: str) -> None:
    assert automatic(mail(field)) is not None


@pytest.mark.parametrize(
    "field",
    ["Auto-Submitted: no", "Return-Path: <priya@northwind.example>", "Precedence: first-class",
     "X-Auto-Response-Suppress: none", "X-Mailer: Outlook", "References: <a@b.example>"],
)  # fmt: skip
def test_a_persons_mail_may_be_answered(field: str) -> None:
    assert automatic(mail(field)) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Integration errors",
        "Auto-Reply: x",
        "Out of Office: Re: x",
        "Out of the office",
        "Abwesenheitsnotiz: x",
        "Automatische Antwort: x",
        "Réponse automatique : x",
        "Absence du bureau",
        "Respuesta automática: x",
        "Fuera de la oficina",
        "Risposta automatica: x",
        "Automatisch antwoord: x",
        "Autosvar: x",
        "Autoodpowiedź: x",
        "Автоответ: x",
        "自動応答: x",
        "[EXTERNAL] Automatic reply: x",
    ],
)
def test_out_of_office_answers_are_known_by_their_subject(subject: str) -> None:
    encoded = subject.encode()
    read = parse(b"From: a@b.example\r\nSubject: " + encoded + b"\r\n\r\nx")
    assert automatic(read)
    assert answers_by_itself(read)


@pytest.mark.parametrize(
    "subject",
    ["Our office moves", "Automatic replies switched on?", "Missing employee", "Absent fields: x"],
)
def test_other_subjects_say_nothing(subject: str) -> None:
    assert automatic(mail(subject=subject)) is None


def test_our_own_list_does_not_make_its_mail_automatic() -> None:
    fields = (
        "List-Id: Errors <errors.example.com>",
        "List-Unsubscribe: <https://example.com/u>",
        "Precedence: list",
    )
    assert automatic(mail(*fields), ["Errors.Example.com"]) is None
    assert automatic(mail(*fields), ["<errors.example.com>"]) is None
    assert automatic(mail(*fields), ["other.example.com"]) is not None


def test_what_came_over_our_list_may_still_be_automatic() -> None:
    read = mail("List-Id: <errors.example.com>", "Auto-Submitted: auto-replied")
    assert automatic(read, ["errors.example.com"]) is not None
    two = mail("List-Id: <errors.example.com>", "List-Id: <admins.example.org>")
    assert automatic(two, ["errors.example.com"]) is not None


def test_reports_are_never_answered() -> None:
    kind = "Content-Type: multipart/report; report-type=disposition-notification; boundary=b"
    assert automatic(mail(kind)) is not None


# Our own mail


@pytest.mark.parametrize(
    "field",
    [f"Message-ID: {OWN}", f"In-Reply-To: {OWN}", f"References: <a@b.example>\r\n {OWN}",
     "X-Triage-Id: digest"],
)  # fmt: skip
def test_our_mail_and_answers_to_it_are_known(field: str) -> None:
    assert is_ours_returning(mail(field))


@pytest.mark.parametrize(
    "field",
    ["Message-ID: <triage.me@example.com>", "In-Reply-To: <triage.0123@example.com>",
     f"X-Other: {OWN}", "References: <a@b.example>"],
)  # fmt: skip
def test_other_mail_is_not_ours(field: str) -> None:
    assert not is_ours_returning(mail(field))


# What the header block settles


@pytest.mark.parametrize("field", AUTOMATIC)
def test_automatic_mail_is_settled_by_its_header_block(field: str) -> None:
    assert settled(octets(field), ())


@pytest.mark.parametrize(
    "field",
    [
        "X-SFDC-LK: 00D8x000001AbCd",
        "Return-Path: <a=b__0-1@c.8x-1abcdeak.na1.bnc.salesforce.com>",
        "Received: from smtp02-ia6-sp4.mta.salesforce.com ([13.110.242.177]) by mx.example.com",
        "Received: from [10.0.0.1] (helo=na247-app1-27-ia6.ops.sfdc.net) by mx.example.com",
        "Sender: info@na231.salesforce.com",
        "From: admin@stellaconnect.net",
        "From: email@00d5g00000qwerteav.sfcustomeremail.com",
        f"In-Reply-To: {OWN}",
        f"References: <a@b.example>\r\n {OWN}",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    ],
)
def test_what_may_be_ours_is_read_although_it_is_automatic(field: str) -> None:
    assert settled(octets("Auto-Submitted: auto-generated", "Precedence: bulk", field), ()) is None


def test_an_alert_by_its_subject_is_read_although_it_is_bulk_mail() -> None:
    assert settled(octets("Precedence: bulk", subject="[x] API Error Alert"), ()) is None
    encoded = "=?utf-8?q?API_Error_Alert?="
    assert settled(octets("Precedence: bulk", subject=encoded), ()) is None


def test_a_look_alike_host_does_not_count() -> None:
    field = "Received: from mta.salesforce.com.mailer.example by mx.example.com"
    assert settled(octets("Precedence: bulk", field), ())


def test_a_persons_mail_is_always_read() -> None:
    assert settled(octets(), ()) is None
    assert settled(octets("List-Id: <errors.example.com>"), ["errors.example.com"]) is None


@pytest.mark.parametrize(
    "field", ["X: " + "y" * 70_000, "\r\n".join(["X: y"] * 1_100), "X: " + "=?u?q?a?=" * 1_100]
)
def test_a_block_over_a_limit_is_left_to_quarantine(field: str) -> None:
    assert settled(octets("Precedence: bulk", field), ()) is None


@pytest.mark.parametrize("raw", [b"", b"\x00\xff" * 50, b"\r\n\r\n", b"x" * 100_000])
def test_octets_that_are_no_mail_settle_nothing(raw: bytes) -> None:
    assert settled(raw, ()) is None


def test_only_the_header_block_is_looked_at() -> None:
    assert settled(octets(body="Precedence: bulk\r\n\r\nPrecedence: bulk"), ()) is None


@pytest.mark.parametrize(
    ("sender", "reports"),
    [
        ("MAILER-DAEMON@mx.example.net", True),
        ("MAILER-DAEMON <>", True),
        ("Mail Delivery Subsystem <MAILER-DAEMON>", True),
        ("Mail Delivery Service <post_master@mail.example.net>", True),
        ("<>", True),
        ("Postmaster <priya@northwind.example>", False),
        ("Postmaster's friend", False),
        ("priya", False),
    ],
)
def test_a_mail_system_is_known_by_what_stands_for_its_address(sender: str, reports: bool) -> None:
    octets = f"From: {sender}\r\nSubject: x\r\n\r\ntext\r\n".encode()
    assert is_of_mailer(parse(octets)) is reports
