"""The common answers to FETCH, read at once; all others are left to IMAPClient.

IMAPClient reads octet by octet, whatever stands there. What servers answer to what Triage asks
nearly always has one of two plain forms, and in a backlog there are many of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Parts = dict[bytes, Any]
"""As IMAPClient names them."""

_FLAG = rb"[^ ()\x00-\x1f\x7f]+"
"""More than RFC 9051 calls an atom: servers keep what others wrote, and `[` is legal."""
_ITEM = (
    rb"UID [1-9][0-9]{0,9}|RFC822\.SIZE [0-9]{1,10}|FLAGS \((?:%s(?: %s)*)?\)" % (_FLAG, _FLAG)
    + rb'|INTERNALDATE "[ 0-9][0-9]-[A-Z][a-z]{2}-[0-9]{4} [0-9:]{8} [+-][0-9]{4}"'
)
_WHOLE = re.compile(rb"[1-9][0-9]{0,9} \((?:%s)(?: (?:%s))*\)" % (_ITEM, _ITEM))
_ONE = re.compile(rb'(UID|RFC822\.SIZE|FLAGS|INTERNALDATE) (?:\(([^)]*)\)|"([^"]*)"|([0-9]+))')
_BEFORE_LITERAL = re.compile(rb"[1-9][0-9]{0,9} \(UID ([1-9][0-9]{0,9}) BODY\[\]<0> \{[0-9]+\}")
_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


def plain(answer: Sequence[object]) -> dict[int, Parts] | None:
    """The parts by UID; None unless all of the answer is in one of the two forms.

    `answer` is what imaplib gives: a line, or a pair of line and literal, and what ends it.
    """
    found: dict[int, Parts] = {}
    pieces = iter(answer)
    for piece in pieces:
        if isinstance(piece, tuple):
            head = _BEFORE_LITERAL.fullmatch(piece[0])
            if head is None or next(pieces, None) != b")":
                return None
            found.setdefault(int(head[1]), {})[b"BODY[]<0>"] = piece[1]
        elif isinstance(piece, bytes) and _WHOLE.fullmatch(piece):
            parts = _parts(piece)
            uid = parts.pop(b"UID", None)
            if not isinstance(uid, int):
                return None
            found.setdefault(uid, {}).update(parts)
        else:
            return None
    return found


def _parts(line: bytes) -> Parts:
    parts: Parts = {}
    for name, flags, date, number in _ONE.findall(line):
        if name == b"FLAGS":
            parts[name] = tuple(flags.split())
        elif name == b"INTERNALDATE":
            parts[name] = _date(date)
        else:
            parts[name] = int(number)
    return parts


def _date(text: bytes) -> datetime | None:
    """date-time of RFC 9051; None for one that never was."""
    try:
        moment = datetime(
            int(text[7:11]),
            _MONTHS.index(text[3:6]) // 3 + 1,
            int(text[:2]),
            int(text[12:14]),
            int(text[15:17]),
            int(text[18:20]),
            tzinfo=UTC,
        )
        ahead = timedelta(hours=int(text[22:24]), minutes=int(text[24:26]))
        return moment - ahead if text[21:22] == b"+" else moment + ahead
    except (ValueError, OverflowError):
        return None
