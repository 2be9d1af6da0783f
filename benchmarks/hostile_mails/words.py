"""Mails that hold, over and over, what our own patterns look for."""

from __future__ import annotations

from hostile_mails.build import (
    ALERT,
    APEX,
    FORWARD,
    HEAD,
    MARK,
    MB,
    QUEUE,
    RECORD,
    fill,
    html,
    mail,
    many_parts,
)

SAFE = "https://x.safelinks.protection.outlook.com/?url=https%3A%2F%2F"

# What our own patterns look for ---------------------------------------------------------------

mail(
    "known error on every line",
    lambda: HEAD + b"\r\n" + fill(QUEUE + b" x\r\n" + RECORD + b"\r\n", 500_000),
    quick=True,
)
mail(
    "known error on every line, forwarded 60 times",
    lambda: (
        FORWARD
        + b"\r\n"
        + (
            MARK
            + b"From: A <a@b.example>\r\nSubject: Error\r\n\r\n"
            + fill(QUEUE + b" in it\r\n", 8_000)
            + RECORD
            + b"\r\n"
        )
        * 60
    ),
)
mail(
    "known error and its exception, 1,000 times",
    lambda: ALERT + b"\r\n" + fill(b"Error: " + QUEUE + b"\r\n\r\n" + RECORD + b"\r\n\r\n", 65_000),
    quick=True,
)
mail(
    "first error on every line",
    lambda: HEAD + b"\r\n" + fill(b"First error: " + QUEUE + b"\r\n", 65_000),
)
mail("links, 20,000", lambda: HEAD + b"\r\n" + fill(b"https://a.example/ ", 500_000))
mail("links without scheme", lambda: HEAD + b"\r\n" + fill(b"a.com/x ", 500_000))
mail(
    "links with marks",
    lambda: (
        HEAD
        + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
        + fill(b"https://" + "\u0300\u0316".encode() * 2_000 + b"/ ", 64_000)
    ),
)
mail(
    "links rewritten over and over",
    lambda: (
        HEAD
        + b"\r\n"
        + fill(
            SAFE.encode() + b"%CC%80%CC%96" * 600 + b" ",
            500_000,
        )
    ),
)
mail(
    "links rewritten, 50 kB of HTML each",
    lambda: html("".join(f'<a href="{SAFE}{n}{"%CC%80%CC%96" * 600}">x</a>' for n in range(60))),
)
mail(
    "one link of 500 kB",
    lambda: HEAD + b"\r\n" + b"https://northwind.my.salesforce.com/" + fill(b")%25", 500_000),
)
mail(
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
mail(
    "Apex heads, 10,000",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: Developer script exception\r\n\r\n" + APEX * 10_000
    ),
    quick=True,
)
mail(
    "Apex heads, 10,000, forwarded",
    lambda: (
        FORWARD + b"\r\n" + MARK + b"From: a@salesforce.com\r\nSubject: x\r\n\r\n" + APEX * 10_000
    ),
)
mail("Apex heads, 10,000, pasted", lambda: HEAD + b"\r\nHello,\r\n\r\n" + APEX * 10_000)
mail(
    "Apex heads, 240 mails attached",
    lambda: many_parts(
        b"Content-Type: message/rfc822\r\n\r\nFrom: a@salesforce.com\r\nSubject: x\r\n\r\n"
        + fill(APEX, 19_000),
        240,
    ),
)
mail(
    "caused by, 20,000",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: x\r\n\r\n" + APEX + fill(b"caused by: System.", 64_000)
    ),
)
mail(
    "quotations, 10,000 signs deep",
    lambda: HEAD + b"\r\n" + (b">" * 10_000 + b"\r\n") * 50,
    quick=True,
)
mail(
    "quotations and marks in turn",
    lambda: (
        FORWARD
        + b"\r\n"
        + fill(b"> > > > > -------- Forwarded message --------\r\n>\r\n\r\n", 500_000)
    ),
)
mail(
    "forwards in forwards, 20,000",
    lambda: FORWARD + b"\r\n" + MARK + b"From: a@b.example\r\n" * 20_000,
    quick=True,
)
mail(
    "forwards of 64 kB",
    lambda: (
        FORWARD
        + b"\r\n"
        + (
            MARK
            + b"From: a@b.example\r\nSubject: Stella Connect Error\r\n\r\n"
            + fill(QUEUE + b"\r\n", 60_000)
        )
        * 8
    ),
)
mail(
    "header blocks in the text",
    lambda: FORWARD + b"\r\n" + fill(b"From: a\r\n" + b"To: b@c\r\n" * 30, 500_000),
)
mail(
    "From of 500 kB in a forward",
    lambda: (
        FORWARD
        + b"\r\n"
        + MARK
        + b"From: "
        + fill(b"a", 500_000)
        + b"\r\nDate: x\r\nTo: y\r\n\r\nx"
    ),
)
mail(
    "attributions of 3 lines",
    lambda: (
        HEAD + b"\r\n" + fill(b"On 1 Apr 2026 at 10:00, A\r\n<a@b.example\r\nwrote\r\n", 500_000)
    ),
)
mail("signature marks", lambda: HEAD + b"\r\nx\r\n" + b"--\r\n" * 100_000)
mail(
    "bounce without address, 500 kB",
    lambda: (
        b"From: mailer-daemon@b.example\r\nSubject: failure notice\r\n\r\n"
        + fill(b"a", 500_000)
        + b"<triage."
        + b"a" * 32
        + b"@example.com>"
    ),
)
mail(
    "words of a class name, 64 kB",
    lambda: ALERT + b"\r\n" + QUEUE + b"\r\n" + fill(b"a_b", 60_000) + b"__x",
)
mail(
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
mail(
    "blanks, 64 kB, after a head",
    lambda: (
        b"From: a@salesforce.com\r\nSubject: x\r\n\r\nApex script unhandled"
        + b" " * 60_000
        + b"\r\n"
        + fill(b"Apex   ", 3_000)
    ),
)
mail(
    "200 MB when unpacked (a zip, never opened)",
    lambda: many_parts(
        b'Content-Type: application/zip; name="a.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + fill(b"UEsD" * 19 + b"\r\n", 9 * MB),
        1,
    ),
)
