"""What hostile mails are built of, and the register of them."""

from __future__ import annotations

import base64
from collections.abc import Callable

MB = 1_000_000
LARGE = 25 * MB
WHOLE = 10 * MB - 2_000
"""Just small enough to be read whole."""
HEAD = b"From: Priya Nair <priya@northwind.example>\r\nTo: errors@example.com\r\nSubject: x\r\n"
ALERT = (
    b"From: alerts@northwind.example\r\nSubject: Stella Connect Error\r\n"
    b"X-SFDC-LK: 00D8x000001AbCd\r\n"
)
FORWARD = b"From: Priya Nair <priya@northwind.example>\r\nSubject: Fwd: Apex error\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
MARK = b"---------- Forwarded message ---------\r\n"
FILE = b'Content-Type: application/octet-stream; name="a.eml"\r\n'
"""Of a mail that is attached as a file."""
BASE64 = b"Content-Transfer-Encoding: base64\r\n\r\n"
QUEUE = b"Stella Connect Employee cannot be a Queue"
RECORD = b"https://northwind.my.salesforce.com/5008x00000Ab1CdAAJ"
APEX = b"Apex script unhandled exception by user/organization: 0058x000001AbCd/00D8x000001AbCd\r\n"

Build = Callable[[], bytes]
MAILS: dict[str, Build] = {}
"""All hostile mails by name."""
QUICK: set[str] = set()
"""Names of those that `--quick` runs: the cheapest to build of every kind."""


def mail(name: str, octets: Build, *, quick: bool = False) -> None:
    """Register a mail."""
    MAILS[name] = octets
    if quick:
        QUICK.add(name)


def fill(piece: bytes, size: int) -> bytes:
    """A piece repeated up to `size` octets."""
    return piece * (size // len(piece))


def header(name: bytes, value: bytes) -> bytes:
    """A mail with one more header field."""
    kept = b"".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(name))
    return kept + name + b": " + value + b"\r\n\r\nx\r\n"


def html(markup: str | bytes) -> bytes:
    """A mail of HTML, base64 so that no line is too long."""
    octets = markup.encode() if isinstance(markup, str) else markup
    head = HEAD + b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
    return head + b"\r\n" + base64.encodebytes(octets)


def many_parts(part: bytes, count: int, head: bytes = HEAD) -> bytes:
    """A multipart of equal parts, each with its own header block."""
    return head + MIXED + (b"--b\r\n" + part + b"\r\n") * count + b"--b--\r\n"


def nested(depth: int, size: int, boundary: bytes = b"b%d", declared: bytes = b"=%s") -> bytes:
    """Multiparts in each other with `size` octets of short lines in the innermost one."""
    levels = b"".join(
        b"Content-Type: multipart/mixed; boundary%s\r\n\r\n--%s\r\n"
        % (declared % (boundary % n), boundary % n)
        for n in range(depth)
    )
    return HEAD + levels + b"\r\n" + fill(b"0123456789012345678901234567890\r\n", size)


def eml_chain(levels: int, size: int) -> bytes:
    """Mails attached to each other as files, not encoded, so that each is read whole again."""
    inner = HEAD + b"\r\n" + fill(b"line of text line of text line of text\r\n", size)
    for n in range(levels):
        inner = (
            HEAD
            + b"Content-Type: multipart/mixed; boundary=c%d\r\n\r\n--c%d\r\n" % (n, n)
            + b'Content-Type: application/octet-stream; name="a.eml"\r\n\r\n'
            + inner
            + b"\r\n--c%d--\r\n" % n
        )
    return inner
