"""Mails whose parts and header blocks cost too much."""

from __future__ import annotations

import base64

from hostile_mails.build import (
    ALERT,
    APEX,
    FILE,
    HEAD,
    LARGE,
    MB,
    QUEUE,
    eml_chain,
    fill,
    header,
    mail,
    many_parts,
    nested,
)

# Structure ------------------------------------------------------------------------------------

mail("multiparts, 5,000 deep", lambda: nested(5_000, 1_000), quick=True)
mail("multiparts, 20 deep, 9 MB of lines", lambda: nested(20, 9 * MB))
mail(
    "multiparts, 300 deep, boundaries of 250 octets",
    lambda: nested(300, 8 * MB, b"%d" + b"x" * 250, b'="%s"'),
)
mail(
    "multiparts, 300 deep, boundaries in pieces",
    lambda: nested(300, 8 * MB, b"ab%d", b'*0=a; boundary*1="%s"').replace(b'1="ab', b'1="b'),
)
mail(
    "multiparts, 300 deep, boundaries with escapes",
    lambda: nested(300, 8 * MB, b"q%d", b'="\\%s"'),
)
mail("20,000 parts", lambda: many_parts(b"\r\nx", 20_000), quick=True)
mail(
    "499 parts of 20 kB of text",
    lambda: many_parts(b"\r\n" + fill(b"word " * 14 + b"\r\n", 19_000), 499),
)
mail(
    "290,000 boundaries that are only named",
    lambda: HEAD + b"\r\n" + b"".join(b"boundary=%06d\r\n" % n for n in range(290_000)),
)
mail(
    "message/rfc822, 5,000 deep",
    lambda: (HEAD + b"Content-Type: message/rfc822\r\n\r\n") * 5_000 + HEAD + b"\r\nx",
    quick=True,
)
mail(
    "message/rfc822, 100,000 deep",
    lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 100_000 + HEAD + b"\r\nx",
)
mail(
    "message/rfc822, 19 deep, 9 MB of lines",
    lambda: (
        (HEAD + b"Content-Type: message/rfc822\r\n\r\n") * 19
        + HEAD
        + b"\r\n"
        + fill(b"0123456789012345678901234567890\r\n", 9 * MB)
    ),
)
mail("files .eml in each other, 15 deep, 9 MB", lambda: eml_chain(15, 9 * MB))
mail("files .eml in each other, 19 deep, 1 MB", lambda: eml_chain(19, MB), quick=True)
mail(
    "240 files .eml of 20 kB",
    lambda: many_parts(
        FILE
        + b"\r\n"
        + HEAD
        + b"Date: Wed, 1 Apr 2026 10:00:00 +0000\r\n\r\n"
        + fill(QUEUE + b"\r\n", 19_000),
        240,
    ),
)
mail(
    "delivery report of 140,000 blocks",
    lambda: HEAD + b"Content-Type: message/delivery-status\r\n\r\n" + b"a: b\r\n\r\n" * 140_000,
)
mail(
    "delivery report of 20,000 blocks",
    lambda: HEAD + b"Content-Type: message/delivery-status\r\n\r\n" + b"a: b\r\n\r\n" * 20_000,
    quick=True,
)
mail("290,000 empty lines", lambda: HEAD + b"\r\n" + b"\r\n" * 290_000, quick=True)
mail("290,000 lines of a word", lambda: HEAD + b"\r\n" + b"ab\r\n" * 290_000)

# Header blocks --------------------------------------------------------------------------------

mail(
    "header block of 60 kB without a colon",
    lambda: (
        HEAD + b"X: y\r\n\t" + fill(b"<![", 30_000) + b"\r\n" + fill(b"<![", 30_000) + b"\r\n\r\nx"
    ),
    quick=True,
)
mail(
    "100 parts of 60 kB without a colon",
    lambda: many_parts(fill(b"<![", 60_000) + b"\r\n\r\nx", 100),
)
mail(
    "header block of colons",
    lambda: HEAD + fill(b"a:", 30_000) + b"\r\n" + fill(b":", 30_000) + b"\r\n\r\nx",
)
mail("60 kB of folds", lambda: HEAD + b"X: y" + fill(b"\r\n\t", 60_000) + b"\r\n\r\nx")
mail(
    "From of bad encoded words",
    lambda: header(b"From", fill(b"=?utf-8?b?QXJlPg=-?= <a@b.example>, ", 12_000)),
)
mail("address field of 1 MB", lambda: header(b"To", fill(b"a@b.example, ", MB)), quick=True)
mail("header field of 25 MB", lambda: header(b"X-Long", fill(b"x", LARGE)))
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
    mail(
        f"From of 60 kB of {_name}",
        lambda piece=_piece: header(b"From", fill(piece, 9_000 if b"=?" in piece else 60_000)),
        quick=_name in {"brackets", "addresses"},
    )
mail(
    "10,000 Received",
    lambda: HEAD + b"Received: by mx.example.com\r\n" * 10_000 + b"\r\nx",
    quick=True,
)
mail(
    "990 Authentication-Results",
    lambda: (
        HEAD
        + b"Authentication-Results: mx.example.com; dkim=pass (((\r\n" * 900
        + b"Received: by mx.example.com\r\n\r\n"
        + APEX
    ),
)
mail(
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
mail(
    "Received of 60 kB of by",
    lambda: HEAD + b"Received: " + fill(b"by ", 60_000) + b"\r\n\r\n" + APEX,
)
mail("encoded words, 30,000", lambda: header(b"Subject", fill(b"=?utf-8?q?a?= ", MB)), quick=True)
mail(
    "encoded words, 1,000 with blanks",
    lambda: header(b"Subject", b"=?utf-8?q?a?= ".ljust(60) * 990),
)
mail(
    "encoded word of 60 kB",
    lambda: header(b"Subject", b"=?utf-8?b?" + fill(b"4peP", 60_000) + b"?="),
)
mail(
    "encoded words in a quadratic codec",
    lambda: header(b"Subject", b"=?punycode?q?" + fill(b"a-b", 60_000) + b"?="),
)
mail(
    "marks of combining classes in turn, in the subject",
    lambda: header(
        b"Subject", b"=?utf-8?b?" + base64.b64encode(fill("\u0300\u0316".encode(), 44_000)) + b"?="
    ),
    quick=True,
)
mail(
    "marks that only the halves of Kana become, in the subject",
    lambda: header(
        b"Subject", b"=?utf-8?b?" + base64.b64encode(fill("\u0300\uff9e".encode(), 44_000)) + b"?="
    ),
)
mail("Date of 60 kB of digits", lambda: header(b"Date", fill(b"9", 60_000)))
mail(
    "Date beyond all years",
    lambda: header(b"Date", b"Wed, 1 Apr " + b"9" * 4_000 + b" 10:00:00 +0000"),
    quick=True,
)
mail("Message-ID of 60 kB", lambda: header(b"Message-ID", b"<" + fill(b"a@", 60_000) + b">"))
mail(
    "References of 60 kB of our own ids",
    lambda: header(b"References", fill(b"<triage." + b"a" * 31 + b"@x> ", 60_000)),
)
mail(
    "RFC 2231, 50,000 parameters",
    lambda: (
        HEAD
        + b"Content-Type: text/plain"
        + b"".join(b";\r\n n*%d=a" % n for n in range(50_000))
        + b"\r\n\r\nx"
    ),
    quick=True,
)
mail(
    "RFC 2231, 190 pieces, huge numbers",
    lambda: (
        HEAD
        + b"Content-Disposition: attachment"
        + b"".join(b"; filename*%d*=%%61" % (n + 10**12) for n in range(190))
        + b"\r\n\r\nx"
    ),
)
mail(
    "semicolons in quotes, 60 kB",
    lambda: HEAD + b'Content-Type: multipart/mixed; a="' + fill(b";", 60_000) + b"\r\n\r\nx",
    quick=True,
)
mail(
    "semicolons in quotes, 1 MB, in a part",
    lambda: many_parts(b'Content-Type: multipart/mixed; a="' + fill(b";", MB) + b"\r\n\r\nx", 1),
)
mail(
    "quotes in a parameter, 60 kB, in 100 parts",
    lambda: many_parts(b'Content-Type: text/plain; a="' + fill(b'"', 60_000) + b"\r\n\r\nx", 100),
)
mail(
    "file name in a quadratic codec",
    lambda: (
        HEAD
        + b"Content-Disposition: attachment; filename*=punycode''a-"
        + fill(b"a", 60_000)
        + b"\r\n\r\nx"
    ),
    quick=True,
)
mail(
    "file name in a quadratic codec, in pieces",
    lambda: (
        HEAD
        + b"Content-Disposition: attachment; filename*0*=%70unycode''"
        + b"".join(b"; filename*%d*=%s" % (n, fill(b"a-b", 300)) for n in range(1, 150))
        + b"\r\n\r\nx"
    ),
)
