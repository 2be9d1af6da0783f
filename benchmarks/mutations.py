"""Ways to spoil a mail that know what a mail is made of.

Number N of a seed is always the same mail.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
from collections.abc import Callable, Sequence
from typing import Final

CHARSETS: Final = (
    b"utf-8 us-ascii iso-8859-1 utf-16 utf-16le utf-32 utf-7 iso-2022-jp iso-2022-kr shift_jis "
    b"euc-jp gb18030 big5 hz koi8-r windows-1252 cp037 punycode idna unicode_escape base64 rot13 "
    b"hex undefined mbcs x-unknown \xff utf_8_sig"
).split()
TOKENS: Final = (
    b"\r\n\r\n|\n|\r|\x00|--b|--|--b--|=?utf-8?b?|=?utf-8?q?=C3?=|?=|Content-Type: |charset=|"
    b"boundary=|boundary*0=a; boundary*1=b|Content-Type: message/rfc822\r\n\r\n|"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n|Content-Transfer-Encoding: base64\r\n|"
    b"Content-Transfer-Encoding: x-uuencode\r\n|Content-Disposition: attachment; filename=a.eml|"
    b"From: |From a@b Wed Apr  1 10:00:00 2026\r\n|Received: by mx.example.com\r\n|"
    b"Authentication-Results: mx.example.com; dkim=pass header.d=salesforce.com\r\n|"
    b"---------- Forwarded message ---------\r\n|-----Original Message-----\r\n|> |>> |-- \r\n|"
    b"On 1 Apr 2026 at 10:00, A <a@b.example> wrote:\r\n|<div|</div>|<!--|-->|<![CDATA[|&#0;|"
    b'&#xD800;|<blockquote type=cite>|<a href="https://[">|style="display:none"|]]>|'
    b"https://[::1|https://northwind.my.salesforce.com/5008x00000Ab1CdAAJ|"
    b"5008x00000Ab1CdAAJ|00D5g00000QwErT|First error: |caused by: |Date: Wed, 99 Apr 99999|"
    b"Apex script unhandled exception by user/organization: |Employee cannot be a Queue|"
    b"\xef\xbb\xbf|\xff\xfe|\xed\xa0\x80|\xe2\x80\xae|\xcc\x80\xcc\x96|\xf0\x9f\x98\x80|\xc2\x85|"
    b'\xe2\x80\xa8|\x1b$B|\x1b(B|+ADw-|=00|=\r\n|=ZZ|%00|\\|"|;|(|<|>|:|,|@|\t'
).split(b"|")
LARGEST: Final = 300_000
"""Octets of a mutant; larger mails are another benchmark's."""
WORDS: Final = re.compile(rb"[0-9A-Za-z]+")
NUMBERS: Final = re.compile(rb"[0-9]+")
LINES: Final = re.compile(rb"[^\n]*\n|[^\n]+")
BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{40,76}\r?\n)+[A-Za-z0-9+/]*={0,2}")
CHARSET: Final = re.compile(rb"charset=[\"']?([\w-]+)", re.IGNORECASE)
ENCODED: Final = re.compile(rb"=\?([^?]{1,40})\?([bBqQ])\?([^?]*)\?=")
BOUNDARY: Final = re.compile(rb"boundary=[\"']?([^\s\"';]+)", re.IGNORECASE)
TAGS: Final = re.compile(rb"<[^<>]{1,200}>")
HOSTS: Final = re.compile(rb"[\w-]+(?:\.[\w-]+)+")

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def _span(chance: random.Random, octets: bytes, most: int = 200) -> tuple[int, int]:
    start = chance.randrange(len(octets) + 1)
    return start, min(len(octets), start + chance.randint(0, most))


def flip(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Some bits."""
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 2, 8, 64))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def delete(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """A piece."""
    start, end = _span(chance, octets, chance.choice((1, 20, 2_000)))
    return octets[:start] + octets[end:]


def repeat(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """A piece, a few or many times."""
    start, end = _span(chance, octets, chance.choice((1, 40, 2_000)))
    return octets[:end] + octets[start:end] * chance.choice((1, 3, 30, 300)) + octets[end:]


def insert(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Words that mean something to a parser."""
    for _ in range(chance.choice((1, 1, 3, 10))):
        at = chance.randrange(len(octets) + 1)
        token = chance.choice(TOKENS) * chance.choice((1, 1, 1, 50))
        octets = octets[:at] + token + octets[at:]
    return octets


def splice(chance: random.Random, octets: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of one mail and the end of another."""
    other = chance.choice(others)
    if chance.random() < 0.5:
        return (
            octets.partition(b"\n\n")[0]
            + b"\n\n"
            + other.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        )
    return octets[: chance.randrange(len(octets) + 1)] + other[chance.randrange(len(other) + 1) :]


def cut(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The end, or the beginning."""
    at = chance.randrange(len(octets) + 1)
    return octets[:at] if chance.random() < 0.7 else octets[at:]


def line_ends(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Other ends of lines."""
    plain = octets.replace(b"\r\n", b"\n")
    return plain.replace(b"\n", chance.choice((b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\x85")))


def fields(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Lines of the header block: dropped, doubled, moved, folded, without colon."""
    head, blank, body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.split(b"\n")
    at = chance.randrange(len(lines))
    line = lines[at]
    how = chance.randrange(7)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines[at:at] = [line] * chance.choice((1, 5, 200))
    elif how == 2:
        chance.shuffle(lines)
    elif how == 3:
        lines[at] = line.replace(b" ", b"\n ")
    elif how == 4:
        lines[at] = line.replace(b":", b"", 1)
    elif how == 5:
        lines[at] = line + chance.choice(TOKENS) * chance.choice((1, 100, 3_000))
    else:
        lines[at] = b" " + line
    return b"\n".join(lines) + blank + body


def _replace(
    chance: random.Random, octets: bytes, pattern: re.Pattern[bytes], group: int, by: bytes
) -> bytes:
    """Another value in one place where a pattern holds, or in all of them."""
    found = [match.span(group) for match in pattern.finditer(octets)]
    if not found:
        return octets + by
    if chance.random() < 0.7:
        found = [chance.choice(found)]
    pieces, last = [], 0
    for start, end in found[:1_000]:
        pieces += (octets[last:start], by)
        last = end
    return b"".join((*pieces, octets[last:]))


def charset(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Another charset than the one meant."""
    pattern = chance.choice((CHARSET, ENCODED))
    return _replace(chance, octets, pattern, 1, chance.choice(CHARSETS))


def boundary(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Another boundary in the field, or in all the text."""
    found = BOUNDARY.findall(octets)
    if not found:
        return b"Content-Type: multipart/mixed; boundary=b\n" + octets
    old, new = chance.choice(found), chance.choice((b"", b"b", b"-", b"=_" * 60, *found))
    return octets.replace(old, new) if chance.random() < 0.5 else octets.replace(old, new, 1)


def encoded(chance: random.Random, octets: bytes, others: Sequence[bytes]) -> bytes:
    """What base64 or an encoded word holds, changed and encoded again."""
    found = list(chance.choice((BASE64, ENCODED)).finditer(octets))
    if not found:
        return as_base64(chance, octets, others)
    match = chance.choice(found)
    start, end = match.span(3 if match.re is ENCODED else 0)
    try:
        inner = base64.b64decode(octets[start:end])
    except binascii.Error:
        inner = octets[start:end]
    inner = chance.choice((flip, delete, insert, repeat))(chance, inner, others)
    again = base64.encodebytes(inner)
    again = again.replace(b"\n", b"") if match.re is ENCODED else again
    return octets[:start] + again + octets[end:]


def as_base64(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The body in another transfer encoding or charset, rightly or wrongly labelled."""
    head, _, body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    text = body.decode("utf-8", "replace")
    codec = chance.choice(("utf-8", "utf-16", "utf-7", "iso2022_jp", "cp932", "cp1252", "utf-32"))
    body = text.encode(codec, "replace")
    label = codec if chance.random() < 0.8 else "us-ascii"
    head = re.sub(rb"(?im)^content-(?:type|transfer-encoding):.*\n?(?:[ \t].*\n?)*", b"", head)
    head += f"\nContent-Type: text/plain; charset={label}".encode()
    head += b"\nContent-Transfer-Encoding: base64"
    return head + b"\n\n" + base64.encodebytes(body)


def wrap(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The mail inside another one: attached, as a file, quoted, forwarded."""
    head = b"From: Sam <sam@elsewhere.example>\nSubject: Fwd: x\n"
    head += b"Date: Wed, 1 Apr 2026 10:00:00 +0000\n"
    how = chance.randrange(4)
    if how == 0:
        return head + b"Content-Type: message/rfc822\n\n" + octets
    if how == 1:
        kind = b"Content-Type: multipart/mixed; boundary=w\n\n--w\n"
        kind += b'Content-Type: application/octet-stream; name="a.eml"\n'
        code = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(octets)
        return head + kind + code + b"\n--w--\n"
    lines = LINES.findall(octets)
    if how == 2:
        return head + b"\n" + b"".join(b"> " * chance.randint(1, 5) + line for line in lines)
    return head + b"\n---------- Forwarded message ---------\n" + octets


def values(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Other numbers, words, hosts and tags."""
    pattern = chance.choice((NUMBERS, WORDS, HOSTS, TAGS))
    by = chance.choice((b"", b"9" * 5_000, b"-1", b"a" * 300, b"xn--a", chance.choice(TOKENS)))
    return _replace(chance, octets, pattern, 0, by)


def characters(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Characters that look alike, join, hide or turn around, between the letters."""
    marks = (
        "\u200b",
        "\u00ad",
        "\u0301",
        "\u202e",
        "\ufeff",
        "\u2028",
        "\u0085",
        "\u3000",
        "\u034f",
    )
    mark = chance.choice(marks).encode()
    start, end = _span(chance, octets, 400)
    return octets[:start] + mark.join(bytes([octet]) for octet in octets[start:end]) + octets[end:]


def shuffle(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Lines of the whole mail in another order."""
    lines = LINES.findall(octets)
    at = chance.randrange(len(lines) + 1)
    some = lines[at : at + chance.choice((3, 30))]
    chance.shuffle(some)
    return b"".join((*lines[:at], *some, *lines[at + len(some) :]))


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(flip, delete, repeat, insert, splice, cut, line_ends, fields, charset, boundary, encoded),
    *(as_base64, wrap, values, characters, shuffle),
)


def mutant(
    seed: int, number: int, mails: Sequence[tuple[str, bytes]]
) -> tuple[str, list[str], bytes]:
    """Mail `number` of a seed: its parent, the mutations, its octets."""
    chance = random.Random(f"{seed}:{number}")
    name, octets = chance.choice(mails)
    others = [other for _, other in mails]
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        mutation = chance.choice(MUTATIONS)
        done.append(mutation.__name__)
        octets = mutation(chance, octets, others)[:LARGEST]
    return name, done, octets
