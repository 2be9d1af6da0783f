"""Delivery reports: RFC 3464 as sent in multipart/report, and old free-form bounces of our mails.

RFC 3464, 2.3; RFC 6522 (multipart/report); the free forms of qmail, Exim, Exchange and others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from typing import Final

from triage.mail.charset import field_text
from triage.mail.message import OWN_PREFIX, DeliveryReport
from triage.mail.scan import inner_parts, part_octets

_MOST: Final = 100
"""Recipients of one report that are read."""
_SAID: Final = 65_536
"""Characters of a free form in which the recipient is looked for."""
_MAILERS: Final = frozenset(("mailerdaemon", "maildaemon", "postmaster"))
_MARKS: Final = re.compile(r"[-_.\s]+")
_BRACKETS: Final = re.compile(r"[<>]")
_OWN_ID: Final = re.compile(rf"<({re.escape(OWN_PREFIX)}[0-9a-f]{{32}}@[^\s<>@]{{1,255}})>")
_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:@]{1,128}@[^\s<>()\[\]\"',;:@]{1,255}")
_MESSAGE_ID: Final = re.compile(r"(?im)^Message-ID:\s{0,10}<([^<>\s]{1,998})>")
_STATUS: Final = re.compile(r"(?<![0-9.])[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_FAILURE: Final = re.compile(
    r"undeliver|undelivered|delivery (?:status|failure|has failed|failed)|mail delivery|"
    r"returned mail|failure notice|unzustellbar|nicht zustellbar|mail system error|"
    r"non remis|échec de (?:la )?remise|no se pudo entregar|配信不能|配信できません",
    re.IGNORECASE,
)


def own_message_id(text: str) -> str:
    """The first Message-ID of ours in angle brackets in a text, without them, or ""."""
    match = _OWN_ID.search(text)
    return match[1] if match else ""


def is_mailer(spec: str) -> bool:
    """Whether an address is one from which mail systems report (RFC 5321, 4.5.1; RFC 2142).

    Where it is no address: `MAILER-DAEMON <>`, `Mail Delivery Subsystem <MAILER-DAEMON>` or `<>`.
    """
    names = _BRACKETS.split(spec.partition("@")[0])
    return spec.strip() == "<>" or any(_MARKS.sub("", n).lower() in _MAILERS for n in names)


def says_failure(subject: str) -> bool:
    """Whether a mail system calls a report so."""
    return _FAILURE.search(subject) is not None


def delivery_reports(message: Message) -> tuple[DeliveryReport, ...]:
    """What the message/delivery-status parts of a report say, one value a recipient."""
    blocks: list[Message] = []
    original = ""
    for part in _outside_of_mails(message):
        kind = part.get_content_type()
        if kind in {"message/delivery-status", "message/global-delivery-status"}:
            blocks.extend(inner_parts(part)[1 : _MOST + 1])
        elif kind.endswith(("/rfc822", "/rfc822-headers", "/global", "/global-headers")):
            original = original or _returned_id(part)
    found = (_of_recipient(block, original) for block in blocks)
    return tuple(report for report in found if report is not None)


def _outside_of_mails(message: Message) -> Iterator[Message]:
    """The part and its descendants, those of returned mails left out."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        if part.get_content_maintype() == "multipart":
            waiting.extend(reversed(inner_parts(part)))


def _returned_id(part: Message) -> str:
    for inner in inner_parts(part)[:1]:
        return str(inner.get("message-id", "")).strip().strip("<>")
    match = _MESSAGE_ID.search(part_octets(part).decode("ascii", "replace"))
    return match[1] if match else ""


def _of_recipient(block: Message, original: str) -> DeliveryReport | None:
    """The fields of one recipient; the address that we wrote to wins over the final one."""
    recipients = (block.get("original-recipient"), block.get("final-recipient"))
    for value in recipients:
        match = _ADDRESS.search(field_text(value).partition(";")[2]) if value else None
        if match:
            return DeliveryReport(
                recipient=match.group().lower(),
                action=field_text(block.get("action", "")).lower(),
                status=field_text(block.get("status", "")).partition(" ")[0],
                diagnostic=field_text(block.get("diagnostic-code", ""))[:1_000],
                original_message_id=original,
            )
    return None


def free_form(sender: str, null_path: bool, subject: str, text: str) -> tuple[DeliveryReport, ...]:
    """An old bounce of one of our mails, known by our Message-ID in its text; else ().

    `text` is the whole text of the mail, the returned one included.
    """
    if not (is_mailer(sender) or null_path or says_failure(subject)):
        return ()
    original = own_message_id(text)
    if not original:
        return ()
    said = text[: min(text.index(original), _SAID)]
    addresses = [m.group().lower().rstrip(".") for m in _ADDRESS.finditer(said)]
    recipient = next((a for a in addresses if not is_mailer(a)), "")
    status = _STATUS.search(said)
    line = ""
    if status:
        start = said.rfind("\n", 0, status.start()) + 1
        line = said[start:].partition("\n")[0].strip()[:1_000]
    found = DeliveryReport(recipient, "failed", status.group() if status else "", line, original)
    return (found,) if recipient else ()
