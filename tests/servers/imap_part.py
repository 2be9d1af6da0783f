"""The part of an IMAP server with one mail, of which single answers can be changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.servers.script import Line

MAIL = b"From: no-reply@northwind.example\r\nSubject: one\r\n\r\nText.\r\n"

Answer = Callable[[Line, bytes, bytes], None]
"""Called with the line, the tag, and the rest of the command."""


def said(*untagged: bytes, result: bytes = b"OK done") -> Answer:
    """These lines and a result."""

    def answer(line: Line, tag: bytes, _: bytes) -> None:
        line.say(*untagged, tag + b" " + result)

    return answer


def literal(uid: int, octets: bytes) -> bytes:
    """A FETCH answer with the beginning of a mail."""
    head = b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n" % (uid, uid, len(octets))
    return head + octets + b")"


def sizes(*mails: tuple[int, int]) -> Answer:
    """FETCH answers with (uid, size) of mails."""
    form = b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "22-Nov-2026 10:00:00 +0100")'
    return said(*(form % (uid, uid, size) for uid, size in mails))


def idling(line: Line, tag: bytes, _: bytes) -> None:
    """IDLE until DONE."""
    line.say(b"+ idling")
    line.read()
    line.say(tag + b" OK done")


_USUAL: Mapping[bytes, Answer] = {
    b"CAPABILITY": said(b"* CAPABILITY IMAP4rev1 IDLE MOVE UIDPLUS"),
    b"LOGIN": said(),
    b"SELECT": said(
        rb"* FLAGS (\Flagged \Seen)",
        rb"* OK [PERMANENTFLAGS (\Flagged)] kept",
        b"* 1 EXISTS",
        b"* OK [UIDVALIDITY 7] valid",
        b"* OK [UIDNEXT 2] next",
    ),
    b"NOOP": said(),
    b"IDLE": idling,
    b"LIST": said(rb'* LIST (\Noselect) "/" ""'),
    b"UID SEARCH": said(b"* SEARCH 1"),
    b"UID FETCH 1 (RFC822.SIZE": sizes((1, len(MAIL))),
    b"UID FETCH 1 (BODY.PEEK[]": said(literal(1, MAIL)),
    b"LOGOUT": said(b"* BYE"),
}


def imap_part(**changed: Answer) -> Callable[[Line], None]:
    """A part for `Script`. A name is a command with `_` for blanks, the longest that fits counts.

    Several names of FETCH are told apart by what comes after the UIDs: `UID_FETCH_SIZE`,
    `UID_FETCH_BODY`.
    """
    answers = {**_USUAL, **{name.replace("_", " ").encode(): it for name, it in changed.items()}}

    def play(line: Line) -> None:
        line.say(b"* OK ready")
        while command := line.read():
            tag, _, rest = command.partition(b" ")
            upper = rest.upper()
            if upper.startswith(b"UID FETCH"):
                special = b"UID FETCH BODY" if b"BODY" in upper else b"UID FETCH SIZE"
                if special in answers:
                    answers[special](line, tag, rest)
                    continue
            fits = [name for name in answers if upper.startswith(name)]
            (answers[max(fits, key=len)] if fits else said())(line, tag, rest)

    return play
