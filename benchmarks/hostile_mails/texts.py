"""Mails whose texts cost too much to decode or to make comparable."""

from __future__ import annotations

import base64

from hostile_mails.build import (
    ALERT,
    BASE64,
    HEAD,
    HTML,
    LARGE,
    MB,
    QUEUE,
    RECORD,
    WHOLE,
    fill,
    html,
    mail,
    many_parts,
)

# Texts ----------------------------------------------------------------------------------------

mail(
    "base64 of 25 MB",
    lambda: HEAD + BASE64 + fill(b"QUJD" * 19 + b"\r\n", LARGE),
)
mail(
    "base64 of 10 MB",
    lambda: HEAD + BASE64 + fill(b"QUJD" * 19 + b"\r\n", WHOLE),
)
mail(
    "base64 of 10 MB of junk in one line",
    lambda: HEAD + BASE64 + fill(b"QU*=", WHOLE),
)
mail(
    "quoted-printable of 10 MB",
    lambda: (
        HEAD
        + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        + fill(b"=3D=\r\n=", WHOLE // 4)
    ),
)
mail(
    "uuencode of 10 MB",
    lambda: (
        HEAD
        + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n"
        + fill(b"M" + b"A" * 60 + b"\r\n", WHOLE)
    ),
)
mail("25 MB of text in one line", lambda: HEAD + b"\r\n" + fill(b"x", LARGE))
mail("10 MB of text in one line", lambda: HEAD + b"\r\n" + fill(b"word ", WHOLE))
mail("25 MB of HTML in one line", lambda: HEAD + HTML + fill(b"<b>x</b>", LARGE))
mail("10 MB of HTML in one line", lambda: HEAD + HTML + fill(b"<b>x</b>", WHOLE))
mail("10 MB of zeros", lambda: HEAD + b"\r\n" + bytes(WHOLE))
mail(
    "10 MB of 0xFF in a wide charset",
    lambda: HEAD + b"Content-Type: text/plain; charset=gb18030\r\n\r\n" + fill(b"\xff", WHOLE),
)
mail("10 MB that no charset explains", lambda: HEAD + b"\r\n" + fill(b"\x81\x8d", WHOLE))
mail(
    "10 MB of UTF-7",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-7\r\n\r\n"
        + fill(b"+ADw-\r\n" * 1 + b"+2AA-" * 9, WHOLE)
    ),
)
mail(
    "10 MB of escapes in ISO-2022-JP",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
        + fill(b"\x1b$B\x1b(B", WHOLE)
    ),
)
mail(
    "lone surrogates in UTF-16",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-16-le\r\n"
        + BASE64
        + base64.encodebytes(fill(b"\x00\xd8", MB))
    ),
    quick=True,
)
mail("lone surrogates in UTF-8", lambda: HEAD + b"\r\n" + fill(b"\xed\xa0\x80", MB))
mail(
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
mail(
    "marks as entities in HTML",
    lambda: html(f"<p>{QUEUE.decode()} {RECORD.decode()}</p>" + "&#768;&#790;" * 30_000),
)
mail(
    "bidi overrides",
    lambda: (
        ALERT
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + fill("\u202e\u202d\u2066".encode(), 500_000)
        + QUEUE
    ),
    quick=True,
)
mail(
    "words that grow when folded",
    lambda: (
        ALERT
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + QUEUE
        + fill("\ufdfa".encode(), 190_000)
    ),
)
mail(
    "490 texts of 18 kB of another charset",
    lambda: many_parts(
        b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n"
        + fill(b"\x1b$B0!\x1b(B" * 8 + b"\r\n", 18_000),
        490,
    ),
)
