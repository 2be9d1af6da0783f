"""Octets to `Mail`.

Bodies are walked in the message tree of the standard library that mail-parser stands on, as
mail-parser 4.8 lists texts of enclosed mails among those of the mail, leaves ISO-2022-JP in 7bit
undecoded, and encodes every attachment anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Final

from mailparser.exceptions import MailParserError

from triage.mail import report, scan, tree
from triage.mail.charset import field_text, text_of
from triage.mail.head import fields, read_head
from triage.mail.hrefs import are_shown, leading_to_us
from triage.mail.html import Body, html_to_text
from triage.mail.limits import DEFAULT, Budget, LimitExceeded, Limits, Unreadable
from triage.mail.message import Address, Attachment, DeliveryReport, Forward, Link, Mail
from triage.mail.text import Split, is_answer, split

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
_TEXTS: Final = frozenset(("text/plain", "text/html"))
_REPORT_PARTS: Final = frozenset(
    (
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "text/rfc822-headers",
    )
)
_PLAIN_TYPE: Final = re.compile(r'text/\w+;\s*+charset=(?:([\w-]+)|"([\w-]+)")', re.ASCII)
_STUB: Final = 300
"""Characters of a plain text that may only say that the mail is in HTML."""
_CUT: Final = ("...", "\u2026")
_HEADER_START: Final = re.compile(rb"(?:[!-9;-~]{1,76}:[^\n]*\n(?:[ \t][^\n]*\n)*){2}")
_MAIL_FIELDS: Final = re.compile(rb"(?im)^(?:date|received|message-id|subject|to):")
_FROM_FIELD: Final = re.compile(rb"(?im)^from:")


def parse(octets: bytes, limits: Limits = DEFAULT, *, truncated: bool = False) -> Mail:
    """The mail that the octets are, with the mails in it.

    Raises LimitExceeded when reading would cost more than the limits allow, Unreadable when the
    octets are no mail that can be read ("limit_header", "limit_charset" or "limit_parser"), and
    nothing else.
    """
    try:
        return _Reading(limits).octets(octets, depth=0, truncated=truncated)
    except _FAULTS as error:
        raise Unreadable("limit_parser", f"{type(error).__name__}: {error}"[:200]) from error


@dataclass(frozen=True, slots=True)
class _Html:
    """The HTML form of a text of which the plain form is read."""

    html: str
    links: tuple[Link, ...] | None
    """As `hrefs.leading_to_us` has them."""


@dataclass(slots=True)
class _Found:
    """What walking the parts of one mail gathers."""

    is_answer: bool
    texts: list[Body] = field(default_factory=list)
    """What a reader is shown, one of each alternative."""
    rich: list[Body | _Html] = field(default_factory=list)
    """The same, from HTML where there is any: it alone holds the targets of links."""
    attached: list[Mail] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)
    links_only: bool = False
    """Of HTML only the links count, as the plain form of the same text is read."""

    @property
    def is_written(self) -> bool:
        """Whether there is any text, or may be."""
        unread = any(isinstance(body, _Html) for body in self.rich)
        return unread or any(line.strip() for body in self.texts for line in body.lines)


class _Reading:
    """Reads one mail and those in it, within one budget for all of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._budget = Budget(limits)

    def octets(self, octets: bytes, depth: int, *, truncated: bool = False) -> Mail:
        octets = scan.unix_lines(octets)
        self._budget.use("line_steps", scan.before_parsing(octets, self._limits))
        message = tree.message(octets)
        if not len(message):
            raise Unreadable("limit_header", "the octets do not begin with a header field")
        scan.tree(message, self._limits, self._budget, depth)
        return self._mail(message, depth, truncated=truncated)

    def _mail(self, message: Message, depth: int, *, truncated: bool = False) -> Mail:
        headers = fields(message)
        head = read_head(message)
        subject = next((value for name, value in headers if name == "subject"), "")
        threaded = any(name in {"in-reply-to", "references"} for name, _ in headers)
        found = _Found(is_answer(subject, threaded=threaded))
        self._part(message, found, depth, is_root=True)
        has_report = any(kind.endswith("delivery-status") for kind in found.content_types)
        reports = report.delivery_reports(message) if has_report else ()
        if reports or found.content_types[0] == "multipart/report":
            found.attached.clear()  # the returned mail, which nobody passed on
        text = _together(found.texts)
        parts = split(text, subject, threaded=threaded)
        if self._adds_links(found.rich, text, parts):
            parts = _with_links(parts, split(self._rich(found), subject, threaded=threaded))
        mail = Mail(
            headers=headers,
            subject=subject,
            from_=head.from_,
            message_id=head.message_id,
            date=head.date,
            newest=parts.newest,
            forwards=parts.forwards,
            attached=tuple(found.attached),
            html_links=parts.links,
            attachments=tuple(found.attachments),
            reports=reports,
            content_types=tuple(found.content_types),
            truncated=truncated,
            limits_met=tuple(sorted(self._budget.met)),
        )
        bounced = () if reports else _free_form(mail, text.text)
        return replace(mail, reports=bounced) if bounced else mail

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
        elif (kind in _TEXTS or _is_unbounded(part)) and (is_root or not _is_attachment(part)):
            self._text(part, kind, found)
        elif kind not in _REPORT_PARTS and not self._is_eml(part, found, depth):
            found.attachments.append(Attachment(_filename(part), kind))

    def _alternatives(self, parts: Sequence[Message], found: _Found, depth: int) -> None:
        """Of several forms of one text the plain one, unless it only points to the other."""
        choices: list[tuple[str, _Found]] = []
        plain: _Found | None = None
        for inner in parts:
            says_all = plain is not None and not _is_stub(plain, None)
            choice = _Found(found.is_answer, links_only=found.links_only or says_all)
            self._part(inner, choice, depth + 1)
            kind = choice.content_types[0]
            choices.append((kind, choice))
            if plain is None and kind == "text/plain" and choice.is_written:
                plain = choice
            found.attached += choice.attached
            found.attachments += choice.attachments
            found.content_types += choice.content_types
        others = (c for kind, c in reversed(choices) if kind != "text/plain")
        rich = next((c for c in others if c.is_written), None)
        shown = plain if plain and not (rich and _is_stub(plain, rich)) else rich
        if shown:
            found.texts += shown.texts
            found.rich += (rich or shown).rich

    def _text(self, part: Message, kind: str, found: _Found) -> None:
        """Read a text as far as the budget goes."""
        octets = scan.part_octets(part)
        # In every charset that mail is written in, this is room for so many characters.
        most = 2 * self._limits.text
        text = text_of(octets, _charset(part), most=most)
        if len(text) > self._limits.text or len(octets) > most:
            self._budget.met.add("text")
            text = text[: self._limits.text]
        text = self._budget.part_of("texts", text)
        start = text[:200].lstrip().lower()
        if kind == "text/html" or start.startswith(("<html", "<!doctype html")):
            if found.links_only:
                found.rich.append(_Html(text, leading_to_us(text)))
                return
            body = self._html(text, found)
        else:
            lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            body = Body(self._budget.part_of("text_lines", tuple(lines)))
        found.texts.append(body)
        found.rich.append(body)

    def _html(self, html: str, found: _Found) -> Body:
        body = html_to_text(html, self._limits, self._budget, in_answer=found.is_answer)
        return Body(self._budget.part_of("text_lines", body.lines), body.links)

    def _adds_links(self, rich: Sequence[Body | _Html], plain: Body, parts: Split) -> bool:
        """Whether the HTML form has links that count, and that what is shown does not show."""
        if any(body.links if isinstance(body, Body) else body.links is None for body in rich):
            return True
        found = [link for body in rich if isinstance(body, _Html) for link in body.links or ()]
        return not are_shown(found, plain.text[: self._limits.notification_text], parts)

    def _rich(self, found: _Found) -> Body:
        bodies = [b if isinstance(b, Body) else self._html(b.html, found) for b in found.rich]
        return _together(bodies)

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
        self._budget.use("attached_octets", len(octets))
        try:
            found.attached.append(self.octets(octets, depth + 1))
        except Unreadable:
            return False
        return True


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


def _charset(part: Message) -> str:
    """The charset that a part declares, in lower case; "" for none."""
    value = part.get("content-type", "")
    # As most are; to parse parameters costs ten times as much.
    if isinstance(value, str) and (match := _PLAIN_TYPE.fullmatch(value)):
        return (match[1] or match[2]).lower()
    return _guarded(part.get_content_charset)


def _filename(part: Message) -> str:
    return field_text(_guarded(part.get_filename))


def _is_unbounded(part: Message) -> bool:
    """Whether this says that it is a multipart, and names no boundary to tell its parts."""
    return part.get_content_maintype() == "multipart" and _guarded(part.get_boundary) == ""


def _is_attachment(part: Message) -> bool:
    fields_ = "\n".join(f"{key}:{value}" for key, value in part.raw_items()).lower()
    if "content-disposition:" not in fields_ and "name" not in fields_:
        return False
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


def _is_stub(plain: _Found, rich: _Found | None) -> bool:
    """Whether a plain text only says that the mail is in HTML, or is cut off.

    Without the rich form, whether that may be so.
    """
    text = _together(plain.texts).text.strip()
    if text.endswith(_CUT):
        return rich is None or _begins(rich, " ".join(text.rstrip(".\u2026").split()))
    return len(text) <= _STUB and "html" in text.lower()


def _begins(rich: _Found, text: str) -> bool:
    """Whether a text is the beginning of the other form, or much shorter."""
    whole = " ".join(_together(rich.texts).text.split())
    return 2 * len(text) < len(whole) or (whole.startswith(text) and len(text) < len(whole))


def _with_links(shown: Split, rich: Split) -> Split:
    """What is shown, with the links that only the HTML form of it has."""
    if not (rich.links or any(f.links for f in rich.forwards)):
        return shown
    forwards: tuple[Forward, ...] = shown.forwards
    if len(forwards) == len(rich.forwards):
        forwards = tuple(
            replace(one, links=other.links)
            for one, other in zip(forwards, rich.forwards, strict=True)
        )
    return replace(shown, links=rich.links, forwards=forwards)
