"""Every bound stops a mail before it costs anything, and has its own name."""

from __future__ import annotations

import base64
import pickle
import time
from dataclasses import replace

import pytest

from triage.mail.html import html_to_text
from triage.mail.limits import DEFAULT, LimitExceeded, Unreadable
from triage.mail.parse import parse
from triage.mail.unwrap import notifications

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
    "limit_line_steps": nested(18) + b"a line\r\n" * 80_000,
    "limit_parameters": HEAD + parameters(150) + b"\r\n",
    "limit_report_blocks": HEAD
    + b"Content-Type: message/delivery-status\r\n\r\n"
    + b"a: b\r\n\r\n" * 20_001,
    "limit_parameter_octets": HEAD
    + b"Content-Disposition: attachment; name*=punycode''a-"
    + b"a" * 50_000
    + b"\r\n\r\nx",
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


def boundaries(form: bytes, depth: int = 25) -> bytes:
    """Nested multiparts whose boundaries are written in an unusual form."""
    level = b"Content-Type: multipart/mixed; boundary" + form + b"\r\n\r\n--%s\r\n"
    return HEAD + b"".join(level.replace(b"%s", b"q%d" % n) for n in range(depth)) + b"\r\nx\r\n"


@pytest.mark.parametrize(
    "form",
    [b'*0=q; boundary*1="%s"', b"*=us-ascii''%s", b'="\\%s"', b"=%s (first)", b'=\r\n "%s"'],
    ids=["pieces", "extended", "escaped", "with a comment", "folded"],
)
def test_no_way_to_write_a_boundary_escapes_the_limit_of_depth(form: bytes) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse(boundaries(form))
    assert caught.value.reason == "limit_depth"


def test_files_that_hold_each_other_are_not_read_over_and_over() -> None:
    inner = HEAD + b"Date: x\r\n\r\n" + b"x" * 3_000_000
    head = HEAD + b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n"
    file = b'Content-Type: application/octet-stream; name="a.eml"\r\n\r\n'
    for mark in (b"b1", b"b2", b"b3", b"b4"):
        inner = head % (mark, mark) + file + inner + b"\r\n--%s--\r\n" % mark
    with pytest.raises(LimitExceeded) as caught:
        parse(inner)
    assert caught.value.reason == "limit_attached_octets"


def test_many_texts_together_have_a_limit_too() -> None:
    part = b"--b\r\n\r\n" + b"word " * 60_000 + b"\r\n"
    mail = parse(MULTIPART + part * 5 + b"--b--\r\n")
    assert len(mail.newest) <= DEFAULT.texts + 5
    assert mail.limits_met == ("texts",)


def test_lines_of_text_beyond_the_limit_are_left_out_and_said_so() -> None:
    mail = parse(HEAD + b"\r\n" + b"word\r\n" * 40_000)
    assert mail.newest.count("\n") < DEFAULT.text_lines
    assert mail.limits_met == ("text_lines",)


def test_html_beyond_its_limits_is_left_out_and_said_so() -> None:
    head = HEAD + b"Content-Type: text/html\r\n\r\n"
    long, many = parse(head + b"<p>x" + b"y" * 300_000), parse(head + b"<i>x</i>" * 30_000)
    assert (long.limits_met, many.limits_met) == (("html",), ("html_tags",))
    assert long.newest.startswith("xy")
    assert many.newest.startswith("xx")


def test_a_text_is_cut_between_characters() -> None:
    head = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    mail = parse(head + b"." + "\u3042\u3044".encode() * 300_000)
    assert mail.newest.strip(".\u3042\u3044") == ""


@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0300\uff9e"])
def test_combining_marks_that_would_be_sorted_are_cut(marks: str) -> None:
    subject = b"=?utf-8?b?" + base64.b64encode((marks * 6_000).encode()) + b"?="
    body = f"\r\n\r\na{marks * 30_000}b".encode()
    mail = parse(b"From: priya@northwind.example\r\nSubject: " + subject + body)
    assert max(len(mail.subject), len(mail.newest) - 2) <= DEFAULT.marks
    assert mail.newest[-1] == "b"


def test_the_first_mark_too_many_is_cut_wherever_it_stands() -> None:
    most = "\u0301" * DEFAULT.marks
    body = f"\r\n\r\nHallo {most}\u0301 Welt\r\n{most} \u2013 ende".encode()
    assert parse(b"From: a@b.example" + body).newest == f"Hallo {most} Welt\n{most} \u2013 ende"


def test_long_rows_of_signs_are_no_marks() -> None:
    row = "\u2014" * 80 + "\u2728" * 80 + "\u0915\u094d" * 80
    assert parse(HEAD + b"\r\n" + row.encode()).newest == row


def test_the_words_of_a_broken_header_do_not_get_into_logs(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = b"<1" + b"=?utf-8?b?" * 3 + b"ZXUP00oB0BnYo_bZ4lvrA0rrW-F@sfdc.example>"
    parse(b"From: priya@northwind.example\r\nMessage-ID: " + broken + b"\r\n\r\nx")
    assert not caplog.records
    assert capfd.readouterr().err == ""


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
        '<p a=">" ' + " ".join(f"a{n}=1" for n in range(50_000)) + ">",
        "<p a=< " + " ".join(f"a{n}=<" for n in range(50_000)) + ">",
        "<p>" + "".join(f"<b a={n}>" for n in range(800)) + "</p>" + "<p>x</p>" * 600,
        "<div>" + "".join(f"<b a={n}><table><td></b></td></table>" for n in range(6_000)),
    ],
    ids=[
        "depth",
        "options",
        "attributes",
        "depth times tags",
        "attributes behind a quoted bracket",
        "attributes after a bracket",
        "formatting opened again",
        "formatting kept by cells",
    ],
)
def test_html_that_would_keep_its_parser_busy_is_refused_at_once(html: str) -> None:
    start = time.process_time()
    with pytest.raises(LimitExceeded) as caught:
        html_to_text(html)
    assert caught.value.reason == "limit_html"
    assert time.process_time() - start < 1.0


def test_a_style_that_hides_is_found_at_once_however_long_it_is() -> None:
    html = ('<p style="' + ";max-height:0;" * 1_100 + '">x</p>') * 15
    start = time.process_time()
    assert html_to_text(html).text.count("x") == 15
    assert time.process_time() - start < 0.3
    assert not html_to_text('<p style="max-height:0; color:red; overflow:hidden">x</p>').text


def test_large_pictures_inside_html_do_not_count() -> None:
    html = '<p>a</p><img src="data:image/png;base64,' + "QUJD" * 50_000 + '"><p>b</p>'
    assert html_to_text(html).text == "a\n\nb"


@pytest.mark.parametrize("error", [LimitExceeded("parts", "600 parts"), Unreadable("limit_header")])
def test_errors_survive_the_way_back_from_a_worker(error: LimitExceeded | Unreadable) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.reason, copy.detail) == (type(error), error.reason, error.detail)


def test_the_catalog_is_not_asked_without_end_while_a_notification_is_looked_for() -> None:
    record = b"https://northwind.my.salesforce.com/5008x00000Ab1CdAAJ\r\n"
    mail = parse(HEAD + b"\r\n" + record + b"we got a known error yet again\r\n" * 1_500)
    asked = []

    def known(text: str) -> bool:
        asked.append(len(text))
        return "known error" in text

    with pytest.raises(LimitExceeded) as caught:
        notifications(mail, known, replace(DEFAULT, asked_text=100_000))
    assert caught.value.reason == "limit_asked_text"
    assert sum(asked) <= 100_000


MARK = b"---------- Forwarded message ---------\r\nFrom: a@salesforce.com\r\n\r\n"
APEX = b"Apex script unhandled exception by user/organization: 0058x000001AbCd/00D8x000001AbCd\r\n"


def test_forwards_and_notifications_of_one_mail_have_limits_and_the_answer_says_so() -> None:
    texts = [MARK + APEX + b"\r\nSystem.X: %d\r\n" % number for number in range(30)]
    head = HEAD.replace(b"Subject: ", b"Subject: Fwd: ")
    mail = parse(head + b"\r\n" + b"".join(texts))
    few = notifications(mail, lambda _: False, replace(DEFAULT, forwards=7))
    short = notifications(mail, lambda _: False, replace(DEFAULT, all_notification_text=1_000))
    assert len(few.notifications) == 7
    assert 1_000 <= sum(len(one.text) for one in short.notifications) <= 1_200
    assert short.why.endswith("at the limit of notifications")
