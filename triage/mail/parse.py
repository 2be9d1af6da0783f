"""Octets to `Mail`. `mail-parser` reads the header blocks; it is used in this place only.

Bodies are walked in the message tree of the standard library that mail-parser stands on, as
mail-parser 4.8 lists texts of enclosed mails among those of the mail, leaves ISO-2022-JP in 7bit
undecoded, and encodes every attachment anew.
"""

from __future__ import annotations

import email
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Final

import mailparser
from mailparser.exceptions import MailParserError

from triage.mail import report, scan
from triage.mail.charset import field_text, readable, text_of
from triage.mail.html import Body, html_to_text
from triage.mail.limits import DEFAULT, LimitExceeded, Limits, Unreadable
from triage.mail.message import Address, Attachment, DeliveryReport, Forward, Mail
from triage.mail.text import Split, split

_FAULTS: Final = (
    MailParserError,
    ValueError,
    LookupError,
    RecursionError,
    TypeError,
    AttributeError,
    AssertionError,
)
"""What the parsers raise on mails that are broken in ways they did not foresee."""
_REPORT_PARTS: Final = frozenset(
    (
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "text/rfc822-headers",
    )
)
_FROM_FIELDS: Final = 10
_STUB: Final = 300
"""Characters of a plain text that may only say that the mail is in HTML."""
_HEADER_START: Final = re.compile(rb"(?:[!-9;-~]{1,76}:[^\n]*\n(?:[ \t][^\n]*\n)*){2}")
_MAIL_FIELDS: Final = re.compile(rb"(?im)^(?:date|received|message-id|subject|to):")
_FROM_FIELD: Final = re.compile(rb"(?im)^from:")


def parse(octets: bytes, limits: Limits = DEFAULT, *, truncated: bool = False) -> Mail:
    """The mail that the octets are, with the mails in it.

    Raises LimitExceeded when reading would cost more than the limits allow, Unreadable
    ("no_header", "charset", "parser") when the octets are no mail that can be read. Raises
    nothing else.
    """
    try:
        return _Reading(limits).octets(octets, depth=0, truncated=truncated)
    except _FAULTS as error:
        raise Unreadable("parser", f"{type(error).__name__}: {error}"[:200]) from error


def fields(message: Message) -> tuple[tuple[str, str], ...]:
    """(name in lower case, decoded value) of every header field, top first."""
    return tuple((name.lower(), field_text(value)) for name, value in message.raw_items())


@dataclass(slots=True)
class _Found:
    """What walking the parts of one mail gathers."""

    texts: list[Body] = field(default_factory=list)
    """What a reader is shown, one of each alternative."""
    rich: list[Body] = field(default_factory=list)
    """The same, from HTML where there is any: it alone holds the targets of links."""
    attached: list[Mail] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)
    limits_met: set[str] = field(default_factory=set)


class _Reading:
    """Reads one mail and those in it, with one count of parts for all of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parts = 0

    def octets(self, octets: bytes, depth: int, *, truncated: bool = False) -> Mail:
        octets = scan.unix_lines(octets)
        scan.before_parsing(octets, self._limits)
        message = email.message_from_bytes(octets)
        if not len(message):
            raise Unreadable("no_header", "the octets do not begin with a header field")
        self._parts += scan.tree(message, self._limits, depth)
        if self._parts > self._limits.parts:
            raise LimitExceeded("parts", f"over {self._limits.parts} parts")
        return self._mail(message, depth, truncated=truncated)

    def _mail(self, message: Message, depth: int, *, truncated: bool = False) -> Mail:
        headers = fields(message)
        head = _header(message, ("from", "date", "message-id"))
        subject = next((value for name, value in headers if name == "subject"), "")
        found = _Found()
        self._part(message, found, depth, is_root=True)
        is_report = message.get_content_type() == "multipart/report"
        reports = report.delivery_reports(message)
        if is_report or reports:
            found.attached.clear()  # the returned mail, which nobody passed on
        text = _together(found.texts)
        parts = _with_links(split(text, subject), split(_together(found.rich), subject))
        mail = Mail(
            headers=headers,
            subject=subject,
            from_=_mailboxes(message, head),
            message_id=field_text(head.message_id).strip().strip("<>"),
            date=head.date,
            newest=parts.newest,
            forwards=parts.forwards,
            attached=tuple(found.attached),
            html_links=parts.links,
            attachments=tuple(found.attachments),
            reports=reports,
            content_types=tuple(found.content_types),
            truncated=truncated,
            limits_met=tuple(sorted(found.limits_met)),
        )
        return mail if reports else replace(mail, reports=_free_form(mail, text.text))

    # Parts ----------------------------------------------------------------------------------

    def _part(self, part: Message, found: _Found, depth: int, *, is_root: bool = False) -> None:
        kind = part.get_content_type()
        found.content_types.append(kind)
        inner_parts = scan.inner_parts(part)
        if kind in {"message/rfc822", "message/global"}:
            self._enclosed(part, found, depth)
        elif kind == "multipart/alternative" and inner_parts:
            self._alternatives(inner_parts, found, depth)
        elif kind.startswith("multipart/") and inner_parts:
            for inner in inner_parts:
                self._part(inner, found, depth + 1)
        elif kind in {"text/plain", "text/html"} and (is_root or not _is_attachment(part)):
            self._text(part, found)
        elif kind not in _REPORT_PARTS and not self._is_eml(part, found, depth):
            found.attachments.append(Attachment(_filename(part), kind))

    def _alternatives(self, parts: Sequence[Message], found: _Found, depth: int) -> None:
        """Of several forms of one text the plain one, unless it only points to the other."""
        choices = []
        for inner in parts:
            choice = _Found()
            self._part(inner, choice, depth + 1)
            choices.append((inner.get_content_type(), choice))
            found.attached += choice.attached
            found.attachments += choice.attachments
            found.content_types += choice.content_types
            found.limits_met |= choice.limits_met
        written = [(kind, c) for kind, c in choices if _together(c.texts).text.strip()]
        plain = next((c for kind, c in written if kind == "text/plain"), None)
        rich = next((c for kind, c in reversed(written) if kind != "text/plain"), None)
        shown = plain if plain and not (rich and _is_stub(plain)) else rich
        if shown:
            found.texts += shown.texts
            found.rich += (rich or shown).rich

    def _text(self, part: Message, found: _Found) -> None:
        text = text_of(scan.part_octets(part), _guarded(part.get_content_charset))
        if len(text) > self._limits.text:
            found.limits_met.add("text")
            text = text[: self._limits.text]
        start = text[:200].lstrip().lower()
        if part.get_content_type() == "text/html" or start.startswith(("<html", "<!doctype html")):
            body = html_to_text(text, self._limits)
        else:
            body = Body(tuple(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")))
        found.texts.append(body)
        found.rich.append(body)

    # Mails in the mail ----------------------------------------------------------------------

    def _enclosed(self, part: Message, found: _Found, depth: int) -> None:
        """A message/rfc822 part; some programs encode it, which RFC 2046 (5.2.1) forbids."""
        encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
        for inner in scan.inner_parts(part)[:1]:
            if len(inner):
                found.attached.append(self._mail(inner, depth + 1))
                return
            if encoding in {"base64", "quoted-printable"}:
                inner["content-transfer-encoding"] = encoding
                if self._add(scan.part_octets(inner), found, depth):
                    return
        found.attachments.append(Attachment(_filename(part), part.get_content_type()))

    def _is_eml(self, part: Message, found: _Found, depth: int) -> bool:
        """Read a mail that is attached as a file; False when it is another file."""
        name = _filename(part).lower()
        kind = part.get_content_type()
        if not name.endswith(".eml") and kind != "application/octet-stream":
            return False
        octets = scan.part_octets(part)
        if not _looks_like_mail(octets):
            return False
        return self._add(octets, found, depth)

    def _add(self, octets: bytes, found: _Found, depth: int) -> bool:
        if depth + 1 > self._limits.depth:
            raise LimitExceeded("depth", f"over {self._limits.depth} mails in each other")
        try:
            found.attached.append(self.octets(octets, depth + 1))
        except Unreadable:
            return False
        return True


# Header blocks ------------------------------------------------------------------------------


def _header(message: Message, names: Sequence[str]) -> mailparser.MailParser:
    """The first field of each name, read by mail-parser, which would else read all of them."""
    return _read((name, value) for name in names for value in _raw(message, name)[:1])


def _read(raw: Iterable[tuple[str, str]]) -> mailparser.MailParser:
    cut = Message()
    for name, value in raw:
        cut.set_raw(name, value)
    return mailparser.MailParser(cut)


def _raw(message: Message, name: str) -> list[str]:
    return [readable(str(value)) for key, value in message.raw_items() if key.lower() == name]


def _mailboxes(message: Message, head: mailparser.MailParser) -> tuple[Address, ...]:
    """The mailboxes of all From fields. What is no address keeps its words as display name.

    Encoded words are decoded after the address is found, so that a display name cannot
    pretend to be one.
    """
    raw = _raw(message, "from")[:_FROM_FIELDS]
    heads = (head, *(_read([("from", value)]) for value in raw[1:]))
    found = [
        Address(field_text(spec).lower(), field_text(display))
        for one in heads
        for display, spec in (one.from_ or ())
    ]
    return tuple(found or (Address("", field_text(value)) for value in raw if value.strip()))


def _free_form(mail: Mail, text: str) -> tuple[DeliveryReport, ...]:
    sender = mail.from_[0] if mail.from_ else Address("")
    null_path = (mail.first("return-path") or "").replace(" ", "") == "<>"
    text = "\n".join((text, *(f"<{inner.message_id}>" for inner in mail.attached)))
    spec = sender.spec or sender.display.lower()
    return report.free_form(spec, null_path, mail.subject, text)


# Parts --------------------------------------------------------------------------------------


def _guarded(read: Callable[[], str | None]) -> str:
    """A value of a Content field, "" when it is absent or broken."""
    try:
        return read() or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _filename(part: Message) -> str:
    return field_text(_guarded(part.get_filename))


def _is_attachment(part: Message) -> bool:
    disposition = _guarded(part.get_content_disposition)
    return disposition == "attachment" or (disposition != "inline" and bool(_filename(part)))


def _looks_like_mail(octets: bytes) -> bool:
    block = scan.header_block(scan.unix_lines(octets[:65_536]))
    return bool(
        _HEADER_START.match(block) and _FROM_FIELD.search(block) and _MAIL_FIELDS.search(block)
    )


def _together(bodies: Sequence[Body]) -> Body:
    lines: list[str] = []
    links: list[tuple[int, str]] = []
    for body in bodies:
        if not body.lines:
            continue
        if lines:
            lines.append("")
        links.extend((number + len(lines), url) for number, url in body.links)
        lines.extend(body.lines)
    return Body(tuple(lines), tuple(links))


def _is_stub(plain: _Found) -> bool:
    text = _together(plain.texts).text
    return len(text) <= _STUB and "html" in text.lower()


def _with_links(shown: Split, rich: Split) -> Split:
    """What is shown, with the links that only the HTML form of it has."""
    if shown is rich or not (rich.links or any(f.links for f in rich.forwards)):
        return shown
    forwards: tuple[Forward, ...] = shown.forwards
    if len(forwards) == len(rich.forwards):
        forwards = tuple(
            replace(one, links=other.links)
            for one, other in zip(forwards, rich.forwards, strict=True)
        )
    return replace(shown, links=rich.links, forwards=forwards)
