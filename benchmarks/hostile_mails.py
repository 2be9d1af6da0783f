"""Mails made to hurt whoever reads them, built in memory, each named by what it attacks.

Every mail is a function, so that only one of them is held at a time. None exceeds 25 MB.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

MB = 1_000_000
LARGE = 25 * MB
WHOLE = 10 * MB - 2_000
"""Just small enough to be read whole."""
BLOCK = 65_000
"""Just small enough for one header block."""

HEAD = b"From: Priya Nair <priya@northwind.example>\r\nTo: errors@example.com\r\nSubject: x\r\n"
ALERT = b"From: alerts@northwind.example\r\nSubject: Stella Connect Error\r\nX-SFDC-LK: 00D8x000001AbCd\r\n"
FORWARD = b"From: Priya Nair <priya@northwind.example>\r\nSubject: Fwd: Apex error\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
QUEUE = b"Stella Connect Employee cannot be a Queue"
RECORD = b"https://northwind.my.salesforce.com/5008x00000Ab1CdAAJ"
APEX = b"Apex script unhandled exception by user/organization: 0058x000001AbCd/00D8x000001AbCd\r\n"

Build = Callable[[], bytes]
MAILS: dict[str, Build] = {}
"""All hostile mails by name."""
QUICK: set[str] = set()
"""Names of those that `--quick` runs: the cheapest to build of every kind."""


def mail(name: str, *, quick: bool = False) -> Callable[[Build], Build]:
    """Register a mail."""

    def register(build: Build) -> Build:
        MAILS[name] = build
        if quick:
            QUICK.add(name)
        return build

    return register


def simple(name: str, octets: Build, *, quick: bool = False) -> None:
    """Register a mail that is one expression."""
    mail(name, quick=quick)(octets)


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


# Structure ------------------------------------------------------------------------------------

simple("multiparts, 5,000 deep", lambda: nested(5_000, 1_000), quick=True)
simple("multiparts, 20 deep, 9 MB of lines", lambda: nested(20, 9 * MB))
simple(
    "multiparts, 300 deep, boundaries of 250 octets",
    lambda: nested(300, 8 * MB, b"%d" + b"x" * 250, b'="%s"'),
)
simple(
    "multiparts, 300 deep, boundaries in pieces",
    lambda: nested(300, 8 * MB, b"ab%d", b'*0=a; boundary*1="%s"').replace(b'1="ab', b'1="b'),
)
simple(
    "multiparts, 300 deep, boundaries with escapes",
    lambda: nested(300, 8 * MB, b"q%d", b'="\\%s"'),
)
simple("20,000 parts", lambda: many_parts(b"\r\nx", 20_000), quick=True)
simple(
    "499 parts of 20 kB of text", lambda: many_parts(b"\r\n" + fill(b"word word\r\n", 19_000), 499)
)
simple("499 parts, one boundary a part", lambda: HEAD + b"\r\n" + fill(b"boundary=%d " % 1, MB))
simple(
    "800,000 boundaries that are only named",
    lambda: HEAD + b"\r\n" + b"".join(b"boundary=%06d\r\n" % n for n in range(0, 290_000)),
)
simple(
    "message/rfc822, 5,000 deep",
    lambda: (HEAD + b"Content-Type: message/rfc822\r\n\r\n") * 5_000 + HEAD + b"\r\nx",
    quick=True,
)
simple(
    "message/rfc822, 100,000 deep",
    lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 100_000 + HEAD + b"\r\nx",
)
simple(
    "message/rfc822, 19 deep, 9 MB of lines",
    lambda: (
        (HEAD + b"Content-Type: message/rfc822\r\n\r\n") * 19
        + HEAD
        + b"\r\n"
        + fill(b"0123456789012345678901234567890\r\n", 9 * MB)
    ),
)
simple("files .eml in each other, 15 deep, 9 MB", lambda: eml_chain(15, 9 * MB))
simple("files .eml in each other, 19 deep, 1 MB", lambda: eml_chain(19, MB), quick=True)
simple(
    "480 files .eml of 20 kB",
    lambda: many_parts(
        b'Content-Type: application/octet-stream; name="a.eml"\r\n\r\n'
        + HEAD
        + b"Date: Wed, 1 Apr 2026 10:00:00 +0000\r\n\r\n"
        + fill(QUEUE + b"\r\n", 19_000),
        240,
    ),
)
simple(
    "delivery report of 140,000 blocks",
    lambda: HEAD + b"Content-Type: message/delivery-status\r\n\r\n" + b"a: b\r\n\r\n" * 140_000,
)
simple(
    "delivery report of 20,000 blocks",
    lambda: HEAD + b"Content-Type: message/delivery-status\r\n\r\n" + b"a: b\r\n\r\n" * 20_000,
    quick=True,
)
simple("290,000 empty lines", lambda: HEAD + b"\r\n" + b"\r\n" * 290_000, quick=True)
simple("290,000 lines of a word", lambda: HEAD + b"\r\n" + b"ab\r\n" * 290_000)

# Header blocks --------------------------------------------------------------------------------

simple(
    "header block of 60 kB without a colon",
    lambda: (
        HEAD + b"X: y\r\n\t" + fill(b"<![", 30_000) + b"\r\n" + fill(b"<![", 30_000) + b"\r\n\r\nx"
    ),
    quick=True,
)
simple(
    "100 parts of 60 kB without a colon",
    lambda: many_parts(fill(b"<![", 60_000) + b"\r\n\r\nx", 100),
)
simple(
    "header block of colons",
    lambda: HEAD + fill(b"a:", 30_000) + b"\r\n" + fill(b":", 30_000) + b"\r\n\r\nx",
)
simple("60 kB of folds", lambda: HEAD + b"X: y" + fill(b"\r\n\t", 60_000) + b"\r\n\r\nx")
simple(
    "From of bad encoded words",
    lambda: header(b"From", fill(b"=?utf-8?b?QXJlPg=-?= <a@b.example>, ", 12_000)),
)
simple("address field of 1 MB", lambda: header(b"To", fill(b"a@b.example, ", MB)), quick=True)
simple("header field of 25 MB", lambda: header(b"X-Long", fill(b"x", LARGE)))
for _name, _piece in {
    "brackets": b"(",
    "angle brackets": b"<",
    "addresses": b"a@b.example,",
    "commas": b",",
    "quotes": b'"',
    "escapes": b"\\",
    "at signs": b"@",
    "groups": b"a:b@c.example;",
    "words": b"a ",
    "empty encoded words": b"=?u?q??= ",
}.items():
    simple(
        f"From of 60 kB of {_name}",
        lambda piece=_piece: header(b"From", fill(piece, 9_000 if b"=?" in piece else 60_000)),
        quick=_name in {"brackets", "addresses"},
    )
simple(
    "10,000 Received",
    lambda: HEAD + b"Received: by mx.example.com\r\n" * 10_000 + b"\r\nx",
    quick=True,
)
simple(
    "990 Authentication-Results",
    lambda: (
        HEAD
        + b"Authentication-Results: mx.example.com; dkim=pass (((\r\n" * 900
        + b"Received: by mx.example.com\r\n\r\n"
        + APEX
    ),
)
simple(
    "10 Authentication-Results of 4 kB",
    lambda: (
        (
            b"Authentication-Results: mx.example.com;"
            + fill(b" dkim=pass header.d=a.b;", 4_000)
            + b" spf=pass\r\n"
        )
        * 12
        + b"Received: by mx.example.com\r\n"
        + ALERT.replace(b"alerts@northwind.example", b"a@salesforce.com")
        + b"\r\n"
        + APEX
    ),
    quick=True,
)
simple(
    "Received of 60 kB of by",
    lambda: HEAD + b"Received: " + fill(b"by ", 60_000) + b"\r\n\r\n" + APEX,
)
simple("encoded words, 30,000", lambda: header(b"Subject", fill(b"=?utf-8?q?a?= ", MB)), quick=True)
simple(
    "encoded words, 1,000 with blanks",
    lambda: header(b"Subject", b"=?utf-8?q?a?= ".ljust(60) * 990),
)
simple(
    "encoded word of 60 kB",
    lambda: header(b"Subject", b"=?utf-8?b?" + fill(b"4peP", 60_000) + b"?="),
)
simple(
    "encoded words in a quadratic codec",
    lambda: header(b"Subject", b"=?punycode?q?" + fill(b"a-b", 60_000) + b"?="),
)
simple(
    "marks of combining classes in turn, in the subject",
    lambda: header(
        b"Subject", b"=?utf-8?b?" + base64.b64encode(fill("\u0300\u0316".encode(), 44_000)) + b"?="
    ),
    quick=True,
)
simple(
    "marks that only the halves of Kana become, in the subject",
    lambda: header(
        b"Subject", b"=?utf-8?b?" + base64.b64encode(fill("\u0300\uff9e".encode(), 44_000)) + b"?="
    ),
)
simple("Date of 60 kB of digits", lambda: header(b"Date", fill(b"9", 60_000)))
simple(
    "Date beyond all years",
    lambda: header(b"Date", b"Wed, 1 Apr " + b"9" * 4_000 + b" 10:00:00 +0000"),
    quick=True,
)
simple("Message-ID of 60 kB", lambda: header(b"Message-ID", b"<" + fill(b"a@", 60_000) + b">"))
simple(
    "References of 60 kB of our own ids",
    lambda: header(b"References", fill(b"<triage." + b"a" * 31 + b"@x> ", 60_000)),
)
simple(
    "RFC 2231, 50,000 parameters",
    lambda: (
        HEAD
        + b"Content-Type: text/plain"
        + b"".join(b";\r\n n*%d=a" % n for n in range(50_000))
        + b"\r\n\r\nx"
    ),
    quick=True,
)
simple(
    "RFC 2231, 190 pieces, huge numbers",
    lambda: (
        HEAD
        + b"Content-Disposition: attachment"
        + b"".join(b"; filename*%d*=%%61" % (n + 10**12) for n in range(190))
        + b"\r\n\r\nx"
    ),
)
simple(
    "semicolons in quotes, 60 kB",
    lambda: HEAD + b'Content-Type: multipart/mixed; a="' + fill(b";", 60_000) + b"\r\n\r\nx",
    quick=True,
)
simple(
    "semicolons in quotes, 1 MB, in a part",
    lambda: many_parts(b'Content-Type: multipart/mixed; a="' + fill(b";", MB) + b"\r\n\r\nx", 1),
)
simple(
    "quotes in a parameter, 60 kB, in 100 parts",
    lambda: many_parts(b'Content-Type: text/plain; a="' + fill(b'"', 60_000) + b"\r\n\r\nx", 100),
)
simple(
    "file name in a quadratic codec",
    lambda: (
        HEAD
        + b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*=punycode''a-"
        + fill(b"a", 60_000)
        + b"\r\n\r\nx"
    ),
    quick=True,
)
simple(
    "file name in a quadratic codec, in pieces",
    lambda: (
        HEAD
        + b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*0*=%70unycode''"
        + b"".join(b"; filename*%d*=%s" % (n, fill(b"a-b", 300)) for n in range(1, 150))
        + b"\r\n\r\nx"
    ),
)

# Texts ----------------------------------------------------------------------------------------

simple(
    "base64 of 25 MB",
    lambda: (
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + fill(b"QUJD" * 19 + b"\r\n", LARGE)
    ),
)
simple(
    "base64 of 10 MB",
    lambda: (
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + fill(b"QUJD" * 19 + b"\r\n", WHOLE)
    ),
)
simple(
    "base64 of 10 MB of junk in one line",
    lambda: HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + fill(b"QU*=", WHOLE),
)
simple(
    "quoted-printable of 10 MB",
    lambda: (
        HEAD
        + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        + fill(b"=3D=\r\n=", WHOLE // 4)
    ),
)
simple(
    "uuencode of 10 MB",
    lambda: (
        HEAD
        + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n"
        + fill(b"M" + b"A" * 60 + b"\r\n", WHOLE)
    ),
)
simple("25 MB of text in one line", lambda: HEAD + b"\r\n" + fill(b"x", LARGE))
simple("10 MB of text in one line", lambda: HEAD + b"\r\n" + fill(b"word ", WHOLE))
simple("25 MB of HTML in one line", lambda: HEAD + HTML + fill(b"<b>x</b>", LARGE))
simple("10 MB of HTML in one line", lambda: HEAD + HTML + fill(b"<b>x</b>", WHOLE))
simple("10 MB of zeros", lambda: HEAD + b"\r\n" + bytes(WHOLE))
simple(
    "10 MB of 0xFF in a wide charset",
    lambda: HEAD + b"Content-Type: text/plain; charset=gb18030\r\n\r\n" + fill(b"\xff", WHOLE),
)
simple("10 MB that no charset explains", lambda: HEAD + b"\r\n" + fill(b"\x81\x8d", WHOLE))
simple(
    "10 MB of UTF-7",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-7\r\n\r\n"
        + fill(b"+ADw-\r\n" * 1 + b"+2AA-" * 9, WHOLE)
    ),
)
simple(
    "10 MB of escapes in ISO-2022-JP",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
        + fill(b"\x1b$B\x1b(B", WHOLE)
    ),
)
simple(
    "lone surrogates in UTF-16",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-16-le\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(fill(b"\x00\xd8", MB))
    ),
    quick=True,
)
simple("lone surrogates in UTF-8", lambda: HEAD + b"\r\n" + fill(b"\xed\xa0\x80", MB))
simple(
    "marks of combining classes in turn",
    lambda: (
        ALERT
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + QUEUE
        + b"\r\n"
        + RECORD
        + fill("\u0300\u0316".encode(), 500_000)
    ),
    quick=True,
)
simple(
    "marks as entities in HTML",
    lambda: html(f"<p>{QUEUE.decode()} {RECORD.decode()}</p>" + "&#768;&#790;" * 30_000),
)
simple(
    "bidi overrides",
    lambda: (
        ALERT
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + fill("\u202e\u202d\u2066".encode(), 500_000)
        + QUEUE
    ),
    quick=True,
)
simple(
    "words that grow when folded",
    lambda: (
        ALERT
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + QUEUE
        + fill("\ufdfa".encode(), 190_000)
    ),
)
simple(
    "499 texts of 20 kB of another charset",
    lambda: many_parts(
        b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
        + fill(b"\x1b$B0!\x1b(B\r\n", 19_000),
        490,
    ),
)

# HTML -----------------------------------------------------------------------------------------


def formatting(count: int, blocks: int) -> str:
    """Open formatting elements, which the parser opens again in every block."""
    return "<p>" + "".join(f"<b a={n}>" for n in range(count)) + "</p>" + "<p>x</p>" * blocks


simple("HTML, 60,000 elements deep", lambda: html("<div>" * 60_000), quick=True)
simple("HTML, 900 deep, 20,000 blocks", lambda: html("<div>" * 900 + "<p>x</p>" * 20_000))
simple("HTML, formatting opened again, 16 kB", lambda: html(formatting(800, 600)), quick=True)
simple(
    "HTML, formatting opened again, 499 parts",
    lambda: many_parts(HTML + formatting(500, 1_000).encode(), 400),
)
simple("HTML, formatting opened again, within the limits", lambda: html(formatting(150, 9_000)))
simple(
    "HTML, formatting kept by cells",
    lambda: html("".join(f"<b a={n}><table><td></b></td></table>" for n in range(12_000))),
)
simple("HTML, depth kept by tables", lambda: html("<div><table></div></table><p>" * 17_000))
simple("HTML, many tags that say nothing", lambda: html("<b></b>" * 70_000))
simple(
    "HTML, attributes behind a quoted bracket",
    lambda: html('<p a=">" ' + " ".join(f"a{n}=1" for n in range(50_000)) + ">"),
    quick=True,
)
simple(
    "HTML, attributes in end tags",
    lambda: html('</p a=">" ' + " ".join(f"a{n}=1" for n in range(50_000)) + ">"),
)
simple(
    "HTML, attributes after a less-than sign",
    lambda: html("<p a=< " + " ".join(f"a{n}=<" for n in range(50_000)) + ">"),
)
simple(
    "HTML, attributes just within the limit",
    lambda: html(("<p " + " ".join(f"a{n}" for n in range(2_700)) + ">") * 30),
)
simple(
    "HTML, style that hides slowly",
    lambda: html(('<p style="' + ";max-height:0;" * 1_100 + '">') * 30),
    quick=True,
)
simple("HTML, options", lambda: html("<select>" + "<option>" * 60_000))
simple("HTML, tables in tables", lambda: html("<table><tr><td>" * 10_000))
simple("HTML, text beside cells", lambda: html("<table>" + "<b>x<tr>" * 20_000))
simple(
    "HTML, 120,000 links",
    lambda: html("".join(f'<a href="https://a.example/{n}">x</a>' for n in range(120_000))),
)
simple(
    "HTML, entities", lambda: html("&CounterClockwiseContourIntegral;&#x10FFFF;&notin;" * 12_000)
)
simple("HTML, comments and processing", lambda: html("<!--<![CDATA[<?x " * 30_000))
simple("HTML, unclosed everything", lambda: html("<a b='<!--\"" * 40_000))
simple("HTML, quotations in each other", lambda: html("<blockquote type=cite>" * 3_000 + "x"))
simple("HTML, 20 parts of 500 kB", lambda: many_parts(HTML + fill(b"<i>x</i>\r\n", 490_000), 20))
simple(
    "HTML, 20 parts of 500 kB in long lines",
    lambda: many_parts(HTML + fill(b"<i>x</i>", 490_000), 20),
)
simple(
    "20 texts of 500 kB in short lines",
    lambda: many_parts(
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(fill(b"From: a\n", 370_000)),
        20,
    ),
)
simple(
    "40 files .eml of 150,000 empty lines",
    lambda: many_parts(
        b'Content-Type: application/octet-stream; name="a.eml"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.b64encode(HEAD + b"Date: x\r\n\r\n" + b"\n" * 150_000),
        40,
    ),
)
simple("HTML, cells of 500 kB", lambda: html("<td>x" * 100_000))

# What our own patterns look for ---------------------------------------------------------------

simple(
    "known error on every line",
    lambda: HEAD + b"\r\n" + fill(QUEUE + b" x\r\n" + RECORD + b"\r\n", 500_000),
    quick=True,
)
simple(
    "known error on every line, forwarded 60 times",
    lambda: (
        FORWARD
        + b"\r\n"
        + (
            b"---------- Forwarded message ---------\r\nFrom: A <a@b.example>\r\nSubject: Error\r\n\r\n"
            + fill(QUEUE + b" in it\r\n", 8_000)
            + RECORD
            + b"\r\n"
        )
        * 60
    ),
)
simple(
    "known error and its exception, 1,000 times",
    lambda: ALERT + b"\r\n" + fill(b"Error: " + QUEUE + b"\r\n\r\n" + RECORD + b"\r\n\r\n", 65_000),
    quick=True,
)
simple(
    "first error on every line",
    lambda: HEAD + b"\r\n" + fill(b"First error: " + QUEUE + b"\r\n", 65_000),
)
simple("links, 20,000", lambda: HEAD + b"\r\n" + fill(b"https://a.example/ ", 500_000))
simple("links without scheme", lambda: HEAD + b"\r\n" + fill(b"a.com/x ", 500_000))
simple(
    "links with marks",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + fill(b"https://" + "\u0300\u0316".encode() * 2_000 + b"/ ", 64_000)
    ),
)
simple(
    "links rewritten over and over",
    lambda: (
        HEAD
        + b"\r\n"
        + fill(
            b"https://x.safelinks.protection.outlook.com/?url=https%3A%2F%2F"
            + b"%CC%80%CC%96" * 600
            + b" ",
            500_000,
        )
    ),
)
simple(
    "links rewritten, 50 kB of HTML each",
    lambda: html(
        "".join(
            f'<a href="https://x.safelinks.protection.outlook.com/?url=https%3A%2F%2F{n}{"%CC%80%CC%96" * 600}">x</a>'
            for n in range(60)
        )
    ),
)
simple(
    "one link of 500 kB",
    lambda: HEAD + b"\r\n" + b"https://northwind.my.salesforce.com/" + fill(b")%25", 500_000),
)
simple(
    "record ids, 30,000",
    lambda: (
        ALERT
        + b"\r\n"
        + QUEUE
        + b"\r\n"
        + b" ".join(b"5008x0000%06dAAA" % n for n in range(30_000))
    ),
    quick=True,
)
simple(
    "Apex heads, 10,000",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: Developer script exception\r\n\r\n" + APEX * 10_000
    ),
    quick=True,
)
simple(
    "Apex heads, 10,000, forwarded",
    lambda: (
        FORWARD
        + b"\r\n---------- Forwarded message ---------\r\nFrom: a@salesforce.com\r\nSubject: x\r\n\r\n"
        + APEX * 10_000
    ),
)
simple("Apex heads, 10,000, pasted", lambda: HEAD + b"\r\nHello,\r\n\r\n" + APEX * 10_000)
simple(
    "Apex heads, 490 mails attached",
    lambda: many_parts(
        b"Content-Type: message/rfc822\r\n\r\nFrom: a@salesforce.com\r\nSubject: x\r\n\r\n"
        + fill(APEX, 19_000),
        240,
    ),
)
simple(
    "caused by, 20,000",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: x\r\n\r\n" + APEX + fill(b"caused by: System.", 64_000)
    ),
)
simple(
    "quotations, 10,000 signs deep",
    lambda: HEAD + b"\r\n" + (b">" * 10_000 + b"\r\n") * 50,
    quick=True,
)
simple(
    "quotations and marks in turn",
    lambda: (
        FORWARD
        + b"\r\n"
        + fill(b"> > > > > -------- Forwarded message --------\r\n>\r\n\r\n", 500_000)
    ),
)
simple(
    "forwards in forwards, 20,000",
    lambda: (
        FORWARD + b"\r\n" + b"-------- Forwarded message --------\r\nFrom: a@b.example\r\n" * 20_000
    ),
    quick=True,
)
simple(
    "forwards of 64 kB",
    lambda: (
        FORWARD
        + b"\r\n"
        + (
            b"-------- Forwarded message --------\r\nFrom: a@b.example\r\nSubject: Stella Connect Error\r\n\r\n"
            + fill(QUEUE + b"\r\n", 60_000)
        )
        * 8
    ),
)
simple(
    "header blocks in the text",
    lambda: FORWARD + b"\r\n" + fill(b"From: a\r\n" + b"To: b@c\r\n" * 30, 500_000),
)
simple(
    "From of 500 kB in a forward",
    lambda: (
        FORWARD
        + b"\r\n-------- Forwarded message --------\r\nFrom: "
        + fill(b"a", 500_000)
        + b"\r\nDate: x\r\nTo: y\r\n\r\nx"
    ),
)
simple(
    "attributions of 3 lines",
    lambda: (
        HEAD + b"\r\n" + fill(b"On 1 Apr 2026 at 10:00, A\r\n<a@b.example\r\nwrote\r\n", 500_000)
    ),
)
simple("signature marks", lambda: HEAD + b"\r\nx\r\n" + b"--\r\n" * 100_000)
simple(
    "bounce without address, 500 kB",
    lambda: (
        b"From: mailer-daemon@b.example\r\nSubject: failure notice\r\n\r\n"
        + fill(b"a", 500_000)
        + b"<triage."
        + b"a" * 32
        + b"@example.com>"
    ),
)
simple(
    "words of a class name, 64 kB",
    lambda: ALERT + b"\r\n" + QUEUE + b"\r\n" + fill(b"a_b", 60_000) + b"__x",
)
simple(
    "dotted names, 64 kB",
    lambda: (
        ALERT
        + b"\r\n"
        + QUEUE
        + b"\r\nexecution of caused by: "
        + fill(b"A.b.", 60_000)
        + b"Exceptio"
    ),
)
simple(
    "blanks, 64 kB, after a head",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: x\r\n\r\nApex script unhandled"
        + b" " * 60_000
        + b"\r\n"
        + fill(b"Apex   ", 3_000)
    ),
)
simple(
    "200 MB when unpacked (a zip, never opened)",
    lambda: many_parts(
        b'Content-Type: application/zip; name="a.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + fill(b"UEsD" * 19 + b"\r\n", 9 * MB),
        1,
    ),
)


def selected(*, quick: bool) -> Iterator[tuple[str, Build]]:
    """The mails to run, in the order above."""
    yield from ((name, build) for name, build in MAILS.items() if not quick or name in QUICK)
