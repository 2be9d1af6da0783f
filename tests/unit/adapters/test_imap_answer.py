"""Answers to FETCH are read as IMAPClient reads them, or left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.response_parser import parse_fetch_response

from triage.adapters.imap_answer import plain

flags = st.lists(
    st.sampled_from(
        [rb"\Seen", rb"\Flagged", rb"\Recent", b"$Triaged", b"NonJunk", b"a-b.c_1", b"na\xefve"]
    ),
    max_size=4,
)
zones = st.sampled_from([b"+0000", b"-0730", b"+1400", b"-1200"])
days = st.integers(1, 28).map(lambda day: b"%2d" % day)
months = st.sampled_from([b"Jan", b"Feb", b"Jun", b"Dec"])
dates = st.builds(
    lambda day, month, year, hour, zone: b"%s-%s-%d %02d:59:07 %s" % (day, month, year, hour, zone),
    days,
    months,
    st.integers(1990, 2040),
    st.integers(0, 23),
    zones,
)


@st.composite
def announced(draw: st.DrawFn) -> bytes:
    items = [
        b"UID %d" % draw(st.integers(1, 2**32 - 1)),
        b"RFC822.SIZE %d" % draw(st.integers(0, 2**32)),
        b"FLAGS (%s)" % b" ".join(draw(flags)),
        b'INTERNALDATE "%s"' % draw(dates),
    ]
    return b"%d (%s)" % (draw(st.integers(1, 10**6)), b" ".join(draw(st.permutations(items))))


@st.composite
def bodies(draw: st.DrawFn) -> list[Any]:
    octets = draw(st.binary(max_size=50))
    head = b"%d (UID %d BODY[]<0> {%d}" % (1, draw(st.integers(1, 999)), len(octets))
    return [(head, octets), b")"]


def _without_sequence(answer: list[Any]) -> dict[int, dict[bytes, Any]]:
    read = parse_fetch_response(answer, normalise_times=False)
    return {
        uid: {name: value for name, value in parts.items() if name != b"SEQ"}
        for uid, parts in read.items()
    }


@given(st.lists(announced(), max_size=5), st.lists(bodies(), max_size=5))
def test_a_plain_answer_is_read_as_imapclient_reads_it(
    lines: list[bytes], literals: list[list[Any]]
) -> None:
    answer = [*lines, *(piece for literal in literals for piece in literal)]
    assert plain(answer) == _without_sequence(answer)


@pytest.mark.parametrize(
    "answer",
    [
        [b"1 (FLAGS (\\Seen))"],
        [b"1 (UID 5 ENVELOPE NIL)"],
        [b'1 (UID 5 BODY[]<0> "short")'],
        [(b"1 (UID 5 BODY[]<0> {2}", b"ab"), b" FLAGS (\\Seen))"],
        [(b"1 (BODY[]<0> {2}", b"ab"), b" UID 5)"],
        [(b"1 (UID 5 BODY[]<0> {2}", b"ab")],
        [b"1 (UID 5 RFC822.SIZE -1)"],
        [b"nonsense"],
        [None],
    ],
)
def test_any_other_answer_is_left_to_imapclient(answer: list[Any]) -> None:
    assert plain(answer) is None


@pytest.mark.parametrize("flag", [b"a[b", b"[b]", b"a]b", b"a{3}", b"a*b", b"1", b'"'])
def test_a_flag_that_imapclient_cannot_read_costs_no_mail(flag: bytes) -> None:
    answer = [b"1 (UID 5 FLAGS (\\Seen %s) RFC822.SIZE 3)" % flag]
    assert plain(answer) == {5: {b"FLAGS": (rb"\Seen", flag), b"RFC822.SIZE": 3}}


def test_a_date_that_never_was_is_none() -> None:
    assert plain([b'1 (UID 5 INTERNALDATE "31-Feb-2026 10:00:00 +0000")']) == {
        5: {b"INTERNALDATE": None}
    }
