"""Octets to the message tree of the standard library, mostly without its parser.

`email.feedparser` asks several questions at every line. A mail that is put together as RFC 5322 and
RFC 2046 have it can be cut at its header fields and boundaries instead; what comes out is the
same, and the tests hold the two against each other. Any other mail goes to the parser.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from email.policy import compat32
from functools import lru_cache
from typing import Final

_FIELD: Final = re.compile(r"([!-9;-~]+):[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|$)")
_SPACED: Final = re.compile(rb"^([!-9;-~]++)[ \t]++:", re.MULTILINE)
_DEPTH: Final = 5
"""Of multiparts in each other; deeper ones are rare."""

Fields = tuple[tuple[str, str], ...]


@lru_cache(maxsize=1)  # the same block is looked at before its mail is read
def fields(block: str) -> Fields | None:
    """Name and raw value of every header field of a block with LF line ends.

    The same as the `raw_items` of a parsed message; None where only the parser can tell.
    """
    found: list[tuple[str, str]] = []
    end = 0
    while end < len(block):
        match = _FIELD.match(block, end)  # to search for the next one would be quadratic
        if match is None:
            return None
        end = match.end()
        name, value = match.groups()
        if value[:1] == "\n":  # what becomes of an empty first line has changed between versions
            name, value = compat32.header_source_parse(match.group().splitlines(keepends=True))
        found.append((name, value))
    return tuple(found)


def header_fields(block: bytes) -> Fields:
    """As `fields`, of any octets."""
    found = fields(block.decode("ascii", "surrogateescape").removesuffix("\n"))
    return tuple(_parsed(block).raw_items()) if found is None else found


def message(octets: bytes) -> Message:
    """The message tree of a mail with LF line ends."""
    found = _part(octets.decode("ascii", "surrogateescape"), _DEPTH)
    return _parsed(octets) if found is None else found


def _parsed(octets: bytes) -> Message:
    """What the parser makes of it; at blanks before a colon it would end the header block.

    Old mailers put them there, and they must be read (RFC 5322, 4.5).
    """
    block, blank, body = octets.partition(b"\n\n")
    return email.message_from_bytes(_SPACED.sub(rb"\1:", block) + blank + body)


def _part(text: str, depth: int) -> Message | None:
    """A message or part; None where only the parser can tell."""
    block, blank, body = ("", "\n", text[1:]) if text[:1] == "\n" else text.partition("\n\n")
    found = fields(block)
    if not blank or found is None:
        return None
    part = Message()
    for name, value in found:
        part.set_raw(name, value)
    main = part.get_content_maintype()
    if main == "message":
        return None
    if main != "multipart":
        part.set_payload(body)
        return part
    boundary = part.get_boundary()
    if not boundary or not depth or part.get_content_subtype() == "digest":
        return None
    return _with_parts(part, body, boundary, depth)


def _with_parts(part: Message, body: str, boundary: str, depth: int) -> Message | None:
    """The multipart with what stands between its delimiters, the last of which closes it."""
    text, start = f"\n{body}", -1
    for begin, end, closes in _delimiters(text, boundary):
        if start >= 0:
            inner = _part(text[start:begin], depth - 1) if start <= begin else None
            if inner is None:
                return None
            part.attach(inner)
        if closes:
            return part if start >= 0 else None
        start = end
    return None


def _delimiters(text: str, boundary: str) -> Iterator[tuple[int, int, bool]]:
    """The begin and end of each delimiter line, with both line ends, and whether it is the last.

    The line end before a delimiter belongs to it (RFC 2046, 5.1.1); `text` begins with one.
    """
    mark = f"\n--{boundary}"
    begin = text.find(mark)
    while begin >= 0:
        end = text.find("\n", begin + len(mark))
        end = end if end >= 0 else len(text)
        rest = text[begin + len(mark) : end].rstrip(" \t")
        if rest in {"", "--"}:
            yield begin, end + 1, rest == "--"
        begin = text.find(mark, end)
