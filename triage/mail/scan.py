"""What a mail would cost to parse, seen by one pass over its octets before any parser runs.

The Python parser that `mail-parser` stands on is linear in octets but multiplies the depth of
multiparts with the number of lines, and recurses; header parsers are quadratic in one block.
The pass does not parse: it counts lines, boundaries and the octets of the first header block.
`tree` then holds the parsed message against the same limits, exactly, before its fields are read.
"""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

from triage.mail.charset import PUNISHING
from triage.mail.limits import LimitExceeded, Limits, Unreadable

_BOUNDARY: Final = re.compile(
    rb"boundary(?:\*[0-9]{0,3}\*?)?[ \t]{0,20}=[ \t]{0,20}"
    rb'(?:"([^"\n]{1,200})"|([^\s;"]{1,200}))',
    re.IGNORECASE,
)
_DELIMITER: Final = re.compile(rb"^--([^\n]{1,200})$", re.MULTILINE)
_FIELD: Final = re.compile(rb"^[^\s:][^\n:]{0,200}:", re.MULTILINE)
_PARAMETER: Final = re.compile(rb";|\*[0-9]")


def unix_lines(octets: bytes) -> bytes:
    """The mail with LF line ends only, and without the mark or blank lines that precede it.

    A bare CR ends a line as well, as it does for the parser.
    """
    octets = octets.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def header_block(octets: bytes) -> bytes:
    """The octets of a mail with LF line ends up to its first blank line."""
    end = octets.find(b"\n\n")
    return octets if end < 0 else octets[: end + 1]


def before_parsing(octets: bytes, limits: Limits) -> None:
    """Raises LimitExceeded when parsing octets with LF line ends would cost too much."""
    if len(octets) > limits.mail_octets:
        raise LimitExceeded("mail_octets", f"{len(octets)} octets")
    if (lines := octets.count(b"\n")) > limits.lines:
        raise LimitExceeded("lines", f"{lines} lines")
    check_block(header_block(octets), limits)
    declared = {(m[1] or m[2]).rstrip() for m in _BOUNDARY.finditer(octets)}
    open_: list[bytes] = []
    parts = 0
    for match in _DELIMITER.finditer(octets) if declared else ():
        name = match[1].rstrip()
        if name in declared:
            parts += 1
            if name in open_:
                del open_[open_.index(name) + 1 :]
            else:
                open_.append(name)
        elif name.endswith(b"--") and name[:-2] in open_:
            del open_[open_.index(name[:-2]) :]
        if len(open_) > limits.depth:
            raise LimitExceeded("depth", f"over {limits.depth} multiparts in each other")
    if parts > limits.parts:
        raise LimitExceeded("parts", f"{parts} parts")


def check_block(block: bytes, limits: Limits) -> None:
    """Raises LimitExceeded when one header block is too large for those who read it."""
    if len(block) > limits.header_octets:
        raise LimitExceeded("header_octets", f"{len(block)} octets")
    if (fields := sum(1 for _ in _FIELD.finditer(block))) > limits.header_fields:
        raise LimitExceeded("header_fields", f"{fields} fields")
    if (words := block.count(b"=?")) > limits.encoded_words:
        raise LimitExceeded("encoded_words", f"{words} encoded words")


def tree(message: Message, limits: Limits, depth: int = 0) -> int:
    """The number of parts of a parsed message.

    Raises LimitExceeded when any header block, the depth or the number of parts passes its
    limit, Unreadable("charset") when a text declares a codec that takes quadratic time.
    """
    parts, waiting = 0, [(message, depth)]
    while waiting:
        part, depth = waiting.pop()
        parts += 1
        if depth > limits.depth:
            raise LimitExceeded("depth", f"over {limits.depth} parts in each other")
        if parts > limits.parts:
            raise LimitExceeded("parts", f"over {limits.parts} parts")
        _check_part(part, limits)
        waiting.extend((inner, depth + 1) for inner in inner_parts(part))
    return parts


def inner_parts(part: Message) -> list[Message]:
    """The parts of a multipart, or the mail or header blocks in a message part; else none."""
    if not part.is_multipart():  # else the text would be decoded here
        return []
    return [inner for inner in part.get_payload() if isinstance(inner, Message)]


def part_octets(part: Message) -> bytes:
    """What a part holds, its transfer encoding undone; b"" when that cannot be."""
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _check_part(part: Message, limits: Limits) -> None:
    """Raises as `tree` does, for the header block of one part."""
    size, content = 0, []
    for name, value in part.raw_items():
        size += len(name) + len(value) + 3
        if name.lower().startswith("content-"):
            content.append(str(value).encode("ascii", "replace"))
    if size > limits.header_octets:
        raise LimitExceeded("header_octets", f"{size} octets")
    if len(part) > limits.header_fields:
        raise LimitExceeded("header_fields", f"{len(part)} fields")
    joined = b"".join(content)
    if (count := sum(1 for _ in _PARAMETER.finditer(joined))) > limits.parameters:
        raise LimitExceeded("parameters", f"{count} parameters")
    if joined.count(b"=?") > limits.encoded_words:
        raise LimitExceeded("encoded_words", "in Content fields")
    if PUNISHING.search(joined):
        raise Unreadable("charset", "a codec that takes quadratic time")
