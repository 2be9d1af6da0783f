"""Every bound stops a mail before it costs anything, and has its own name."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace

import pytest

from triage.mail.html import html_to_text
from triage.mail.limits import DEFAULT, LimitExceeded, Unreadable
from triage.mail.parse import parse

HEAD = b"From: priya@northwind.example\r\nSubject: x\r\n"


def nested(depth: int) -> bytes:
    level = b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n'
    return HEAD + b"".join(level % (n, n) for n in range(depth)) + b"\r\ntext\r\n"


def attached(inner: bytes, depth: int) -> bytes:
    for _ in range(depth):
        inner = HEAD + b"Content-Type: message/rfc822\r\n\r\n" + inner
    return inner


def parameters(count: int) -> bytes:
    pieces = b"".join(b";\r\n name*%d=a" % number for number in range(count))
    return b"Content-Type: text/plain" + pieces + b"\r\n"


MULTIPART = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"

OVER = {
    "limit_mail_octets": HEAD + b"\r\n" + b"x" * 10_000_001,
    "limit_lines": HEAD + b"\r\n" + b"\n" * 300_001,
    "limit_header_octets": HEAD + b"X-Long: " + b"y" * 65_536 + b"\r\n\r\n",
    "limit_header_fields": HEAD + b"X: y\r\n" * 1_001 + b"\r\n",
    "limit_encoded_words": HEAD + b"X: " + b"=?u?q?a?= " * 1_001 + b"\r\n",
    "limit_parts": MULTIPART + b"--b\r\n\r\nx\r\n" * 501 + b"--b--\r\n",
    "limit_depth": nested(25),
    "limit_parameters": HEAD + parameters(150) + b"\r\n",
    "limit_html": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div>" * 50_000,
}


@pytest.mark.parametrize("reason", OVER)
def test_a_mail_over_a_limit_is_refused_by_the_name_of_the_limit(reason: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse(OVER[reason])
    assert caught.value.reason == reason


@pytest.mark.parametrize("reason", OVER)
def test_refusing_takes_a_fraction_of_a_second(reason: str) -> None:
    start = time.process_time()
    with pytest.raises(LimitExceeded):
        parse(OVER[reason])
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("limit", "octets"),
    [
        ("limit_header_octets", HEAD + b"X-Long: " + b"y" * 65_536 + b"\r\n\r\nx"),
        ("limit_header_fields", HEAD + b"X: y\r\n" * 1_001 + b"\r\nx"),
        ("limit_parameters", HEAD + parameters(150) + b"\r\nx"),
    ],
)
@pytest.mark.parametrize("wrap", ["rfc822", "part", "eml"])
def test_the_header_block_of_an_inner_mail_or_part_has_the_same_limits(
    limit: str, octets: bytes, wrap: str
) -> None:
    heads = {
        "rfc822": b"--b\r\nContent-Type: message/rfc822\r\n\r\n",
        "part": b"--b\r\n",
        "eml": b'--b\r\nContent-Type: application/octet-stream; name="a.eml"\r\n\r\n',
    }
    with pytest.raises(LimitExceeded) as caught:
        parse(MULTIPART + heads[wrap] + octets + b"\r\n--b--\r\n")
    assert caught.value.reason == limit


def test_mails_within_mails_count_as_depth() -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse(attached(HEAD + b"\r\nx", 25))
    assert caught.value.reason == "limit_depth"


def test_boundaries_of_mails_within_mails_do_not_escape_the_limit_of_parts() -> None:
    inner = MULTIPART + b"--b\r\n\r\nx\r\n" * 300 + b"--b--\r\n"
    whole = HEAD + b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
    part = b'--c\r\nContent-Type: application/octet-stream; name="a.eml"\r\n\r\n' + inner
    with pytest.raises(LimitExceeded) as caught:
        parse(whole + part + part.replace(b"--b", b"--b") + b"--c--\r\n")
    assert caught.value.reason == "limit_parts"


def test_a_person_is_not_quarantined_for_a_long_thread() -> None:
    thread = b"> quoted line of an old mail, sixty characters or so, again and again\r\n" * 20_000
    mail = parse(HEAD + b"\r\nSee below.\r\n\r\n" + thread)
    assert mail.newest == "See below."


def test_text_beyond_the_limit_is_left_out_and_said_so() -> None:
    mail = parse(HEAD + b"\r\n" + b"word " * 200_000)
    assert len(mail.newest) <= DEFAULT.text
    assert mail.limits_met == ("text",)


def test_limits_can_be_set() -> None:
    small = replace(DEFAULT, mail_octets=20)
    with pytest.raises(LimitExceeded):
        parse(HEAD + b"\r\nx", small)


@pytest.mark.parametrize("codec", ["punycode", "idna", "IDNA"])
def test_codecs_that_take_quadratic_time_are_refused(codec: str) -> None:
    octets = HEAD + f"Content-Type: text/plain; charset={codec}\r\n\r\n".encode() + b"a-" * 50_000
    with pytest.raises(Unreadable) as caught:
        parse(octets)
    assert caught.value.reason == "limit_charset"


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 50_000,
        "<select>" + "<option>" * 50_000,
        "<a " + " ".join(f"a{n}=1" for n in range(50_000)) + ">",
        "<div><span>" * 2_000 + "<p>x</p>" * 30_000,
    ],
    ids=["depth", "options", "attributes", "depth times tags"],
)
def test_html_that_would_keep_its_parser_busy_is_refused_at_once(html: str) -> None:
    start = time.process_time()
    with pytest.raises(LimitExceeded) as caught:
        html_to_text(html)
    assert caught.value.reason == "limit_html"
    assert time.process_time() - start < 1.0


def test_large_pictures_inside_html_do_not_count() -> None:
    html = '<p>a</p><img src="data:image/png;base64,' + "QUJD" * 50_000 + '"><p>b</p>'
    assert html_to_text(html).text == "a\n\nb"


@pytest.mark.parametrize("error", [LimitExceeded("parts", "600 parts"), Unreadable("limit_header")])
def test_errors_survive_the_way_back_from_a_worker(error: LimitExceeded | Unreadable) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.reason, copy.detail) == (type(error), error.reason, error.detail)
