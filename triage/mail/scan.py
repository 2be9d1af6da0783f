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
from triage.mail.limits import Budget, LimitExceeded, Limits, Unreadable

_CONTENT: Final = re.compile(rb"\ncontent-(?:type|disposition)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*")
_BOUNDARY: Final = re.compile(rb'boundary\s*=\s*(?:"([^"\n\\]*)"|([^\s";\\]+))[ \t]*(?=[;\n]|\Z)')
_NAMED: Final = re.compile(rb"boundary\s*[*=]")
_DELIMITER: Final = re.compile(rb"\n--([^\n]+)")
_FIELD: Final = re.compile(rb"^[^\s:][^\n:]{0,200}:", re.MULTILINE)
_COMMENT: Final = re.compile(r"\([^()]*\)")
_PARAMETER: Final = re.compile(rb";|\*[0-9]")
_PADDED: Final = re.compile(r"=[ \t]++(?=\n)")
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/=\s]")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]{40}")
_BASE64_START: Final = 400
_FIELDS_A_PART: Final = 10
"""Content fields, with what only looks like one in a text."""


def unix_lines(octets: bytes) -> bytes:
    """The mail with LF line ends only, and without the mark or blank lines that precede it.

    A bare CR ends a line as well, as it does for the parser.
    """
    octets = octets.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if b"\r" not in octets:
        return octets
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def header_block(octets: bytes) -> bytes:
    """The octets of a mail with LF line ends up to its first blank line."""
    end = octets.find(b"\n\n")
    return octets if end < 0 else octets[: end + 1]


def before_parsing(octets: bytes, limits: Limits) -> int:
    """The lines of octets with LF line ends, each with the multiparts around it, as steps.

    Raises LimitExceeded when parsing would cost too much.
    """
    if len(octets) > limits.mail_octets:
        raise LimitExceeded("mail_octets", f"{len(octets)} octets")
    if (lines := octets.count(b"\n")) > limits.lines:
        raise LimitExceeded("lines", f"{lines} lines")
    check_block(header_block(octets), limits)
    lowered = octets.lower()
    if b"delivery-status" in lowered and (blocks := octets.count(b"\n\n")) > limits.report_blocks:
        raise LimitExceeded("report_blocks", f"{blocks} empty lines")
    declared, are_plain = _boundaries(b"\n" + lowered, limits)
    # The parser is exact about case; a delimiter that differs in it only counts as well.
    if not are_plain and lowered.count(b"multipart/") > limits.depth:
        raise LimitExceeded("depth", "boundaries of many multiparts that cannot be told")
    return lines + _inner_lines(lowered, declared, limits) if declared else lines


def _boundaries(lowered: bytes, limits: Limits) -> tuple[frozenset[bytes], bool]:
    """The boundaries that Content fields declare, and whether they are all written plainly."""
    declared: set[bytes] = set()
    are_plain = True
    for number, field in enumerate(_CONTENT.finditer(lowered)):
        if number > _FIELDS_A_PART * limits.parts:
            raise LimitExceeded("parts", f"over {number} Content fields")
        text = field.group()
        if (count := text.count(b";")) > limits.parameters:
            raise LimitExceeded("parameters", f"{count} parameters")
        found = [(m[1] or m[2] or b"").rstrip() for m in _BOUNDARY.finditer(text)]
        declared.update(found)
        are_plain = are_plain and len(found) == sum(1 for _ in _NAMED.finditer(text))
    return frozenset(declared), are_plain


def _inner_lines(lowered: bytes, declared: frozenset[bytes], limits: Limits) -> int:
    """The lines in multiparts, each as often as there are multiparts around it."""
    open_: list[bytes] = []
    parts = steps = last = 0
    for match in _DELIMITER.finditer(lowered):
        name = match[1].rstrip()
        begins = name in declared
        if not begins and not (name.endswith(b"--") and name[:-2] in open_):
            continue
        steps += lowered.count(b"\n", last, match.start() + 1) * len(open_)
        last = match.start() + 1
        if begins:
            parts += 1
            if name in open_:
                del open_[open_.index(name) + 1 :]
            else:
                open_.append(name)
        else:
            del open_[open_.index(name[:-2]) :]
        if len(open_) > limits.depth:
            raise LimitExceeded("depth", f"over {limits.depth} multiparts in each other")
    if parts > limits.parts:
        raise LimitExceeded("parts", f"{parts} parts")
    return steps + lowered.count(b"\n", last) * len(open_)


def check_block(block: bytes, limits: Limits) -> None:
    """Raises LimitExceeded when one header block is too large for those who read it."""
    if len(block) > limits.header_octets:
        raise LimitExceeded("header_octets", f"{len(block)} octets")
    # Only where there are so many lines can there be so many fields.
    if block.count(b"\n") >= limits.header_fields:
        fields = sum(1 for _ in _FIELD.finditer(block))
        if fields > limits.header_fields:
            raise LimitExceeded("header_fields", f"{fields} fields")
    if (words := block.count(b"=?")) > limits.encoded_words:
        raise LimitExceeded("encoded_words", f"{words} encoded words")
    if block.count(b";") > limits.parameters:
        _boundaries(b"\n" + block.lower(), limits)


def tree(message: Message, limits: Limits, budget: Budget, depth: int = 0) -> None:
    """Counts the parts of a parsed message.

    Raises LimitExceeded when any header block, the depth or the number of parts passes its
    limit, Unreadable("limit_charset") when a text declares a codec that takes quadratic time.
    """
    waiting = [(message, depth)]
    while waiting:
        part, depth = waiting.pop()
        budget.use("parts", 1)
        if depth > limits.depth:
            raise LimitExceeded("depth", f"over {limits.depth} parts in each other")
        _check_part(part, limits, budget)
        waiting.extend((inner, depth + 1) for inner in inner_parts(part))


def inner_parts(part: Message) -> list[Message]:
    """The parts of a multipart, or the mail or header blocks in a message part; else none."""
    if not part.is_multipart():  # else the text would be decoded here
        return []
    return [inner for inner in part.get_payload() if isinstance(inner, Message)]


def part_octets(part: Message) -> bytes:
    """What a part holds, its transfer encoding undone; b"" when that cannot be.

    What says that it is in base64 and is plainly not, is taken as it stands.
    """
    try:
        encoding = _named_encoding(part)
        if encoding == "base64" and _is_not_base64(part):
            del part["content-transfer-encoding"]
        if encoding == "quoted-printable":
            _remove_padding(part)
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _named_encoding(part: Message) -> str:
    """The transfer encoding in lower case, "" for none.

    It then stands alone in its field: the parser knows none that a blank or comment follows.
    """
    raw = str(part.get("content-transfer-encoding", ""))
    if not raw.isalnum() and (named := _COMMENT.sub("", raw).partition(";")[0].strip()) != raw:
        part.replace_header("content-transfer-encoding", named)
        raw = named
    return raw.lower()


def _remove_padding(part: Message) -> None:
    """Remove the blanks that a mail server put behind soft line breaks (RFC 2045, 6.7, rule 3)."""
    text = part.get_payload()
    # Octets beyond ASCII, which have no place here, would not come back as they were.
    if isinstance(text, str) and text.isascii() and ("= " in text or "=\t" in text):
        part.set_payload(_PADDED.sub("=", text))


def _is_not_base64(part: Message) -> bool:
    if part.is_multipart():
        return False
    start = str(part.get_payload())[:_BASE64_START].lstrip()
    # A character may be broken, and what a list adds below may be plain.
    first = "".join(start.split("\n", 2)[:2])
    return _NOT_BASE64.search(first) is not None and _BASE64.search(first) is None


def _check_part(part: Message, limits: Limits, budget: Budget) -> None:
    """Raises as `tree` does, for the header block of one part."""
    fields = list(part.raw_items())
    size = sum([len(name) + len(value) + 3 for name, value in fields])
    if size > limits.header_octets:
        raise LimitExceeded("header_octets", f"{size} octets")
    if len(part) > limits.header_fields:
        raise LimitExceeded("header_fields", f"{len(part)} fields")
    content = [str(v) for n, v in fields if n[:1] in "Cc" and n.lower().startswith("content-")]
    joined = "".join(content).encode("ascii", "replace")
    if (count := sum(1 for _ in _PARAMETER.finditer(joined))) > limits.parameters:
        raise LimitExceeded("parameters", f"{count} parameters")
    if b"*" in joined:
        budget.use("parameter_octets", len(joined))
    if joined.count(b"=?") > limits.encoded_words:
        raise LimitExceeded("encoded_words", "in Content fields")
    if PUNISHING.search(joined):
        raise Unreadable("limit_charset", "a codec that takes quadratic time")
