"""Mail that nobody may answer, and mail that its header block alone settles.

RFC 3834 (automatic responses), RFC 2919 and 2369 (lists), RFC 6522 (reports). Salesforce sets
none of these headers on its notifications; that they are absent proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from email.message import Message
from typing import Final

from triage.mail import phrases, report, scan, tree
from triage.mail.charset import field_text
from triage.mail.hosts import (
    is_agent_connect_host,
    is_below,
    is_salesforce_host,
    may_name_ours,
)
from triage.mail.limits import DEFAULT, LimitExceeded, Limits
from triage.mail.message import OWN_PREFIX, Mail

Headers = Sequence[tuple[str, str]]

_PRECEDENCES: Final = frozenset(("bulk", "list", "junk", "auto_reply", "auto-reply"))
_LIST_FIELDS: Final = frozenset(
    ("list-unsubscribe", "list-post", "list-help", "list-subscribe", "list-owner", "list-archive")
)
_ANSWERING: Final = (
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-loop",
    "x-vacation",
)
_TELLING: Final = _LIST_FIELDS.union(
    ("x-triage-id", "auto-submitted", "return-path", "x-auto-response-suppress"),
    ("list-id", "precedence"),
    _ANSWERING,
)
"""Fields that may say that a mail is automatic, or of a list."""
_MOSTLY: Final = 8_192
"""Octets that hold most header blocks."""
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}\.){1,9}[a-z]{2,63}", re.IGNORECASE)
_LIST_ID: Final = re.compile(r"<([^<>]{1,255})>")
_OF_SALESFORCE: Final = ("sfdc.net", "sfcustomeremail.com")
_OWN_ID: Final = re.compile(rf"<?{re.escape(OWN_PREFIX)}[0-9a-f]{{32}}@")


def automatic(mail: Mail, list_ids: Collection[str] = ()) -> str | None:
    """Why nobody may answer this mail, None when a person may have written it.

    `list_ids` are the lists behind which the watched mailbox itself stands (RFC 2919).
    """
    if mail.content_types[:1] == ("multipart/report",):
        return "a report of a mail system (multipart/report)"
    if mail.reports:
        return "a delivery report"
    return _by_headers(mail.headers, list_ids) or _by_subject(mail.subject)


def is_ours_returning(mail: Mail) -> bool:
    """Whether a mail is one that Triage sent, or an answer to one."""
    if mail.first("x-triage-id") is not None or _OWN_ID.match(mail.message_id):
        return True
    return _names_ours(mail.headers)


def answers_by_itself(mail: Mail) -> bool:
    """Whether a mail is an automatic answer, which no person pasted anything into."""
    if any(_word(value) == "auto-replied" for value in mail.all("auto-submitted")):
        return True
    named = any(mail.first(name) is not None for name in _ANSWERING)
    precedence = (mail.first("precedence") or "").strip().lower()
    return named or precedence.startswith("auto") or phrases.is_absence(mail.subject)


def settled(octets: bytes, list_ids: Collection[str], limits: Limits = DEFAULT) -> str | None:
    """Why a mail is surely none of ours, by its header block alone; None when it must be read.

    It is automatic, of a list or a newsletter, and nothing in the block points to Salesforce,
    to Agent Connect or to mail of ours (design 4.3). A block over a limit must be read, which
    puts it into quarantine.
    """
    head = scan.unix_lines(octets[:_MOSTLY])
    if b"\n\n" not in head:
        # With CRLF a block has up to twice the octets that count.
        head = scan.unix_lines(octets[: 2 * limits.header_octets + 2])
    block = scan.header_block(head)
    try:
        scan.check_block(block, limits)
    except LimitExceeded:
        return None
    raw = [(name.lower(), str(value)) for name, value in tree.header_fields(block)]
    subject = field_text(next((value for name, value in raw if name == "subject"), ""))
    why = _by_headers(raw, list_ids) or _by_subject(subject)
    if why is None or "api error alert" in subject.casefold() or _points_to_us(raw):
        return None
    return None if _is_report(raw) or _may_be_bounce(raw, subject, octets) else why


def _may_be_bounce(headers: Headers, subject: str, octets: bytes) -> bool:
    """Whether it may say, in a free form, that a mail of ours did not arrive.

    An empty return path is usual for vacation messages too: these need our Message-ID in them.
    """
    if report.says_failure(subject):
        return True
    if any(name == "from" and report.is_mailer(value) for name, value in headers):
        return True
    paths = [value.replace(" ", "") for name, value in headers if name == "return-path"]
    return "<>" in paths and OWN_PREFIX.encode() in octets


def _is_report(headers: Headers) -> bool:
    message = Message()
    for name, value in headers:
        if name == "content-type":
            message.set_raw(name, value)
    return message.get_content_type() == "multipart/report"


def _points_to_us(headers: Headers) -> bool:
    if _names_ours(headers):
        return True
    for name, value in headers:
        if name.startswith("x-sfdc"):
            return True
        if name in {"message-id", "x-triage-id"} and _OWN_ID.match(value.strip()):
            return False  # our own mail is none of ours to read
        if name in {"from", "return-path", "received", "sender"} and _has_our_host(value):
            return True
    return False


def _has_our_host(value: str) -> bool:
    if not may_name_ours(value) and not any(domain in value.lower() for domain in _OF_SALESFORCE):
        return False
    for match in _HOST.finditer(value):
        host = match.group().lower()
        if is_salesforce_host(host) or is_agent_connect_host(host):
            return True
        if any(is_below(host, domain) for domain in _OF_SALESFORCE):
            return True
    return False


def _names_ours(headers: Headers) -> bool:
    return any(
        OWN_PREFIX in value and _OWN_ID.search(value) is not None
        for name, value in headers
        if name in {"in-reply-to", "references"}
    )


def _word(value: str) -> str:
    """The first word of a value that parameters or comments may follow."""
    return re.split(r"[;\s(]", value.strip().lower(), maxsplit=1)[0]


def _by_headers(headers: Headers, list_ids: Collection[str]) -> str | None:
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _TELLING:
            fields.setdefault(name, []).append(value)
    if "x-triage-id" in fields:
        return "our own mail (X-Triage-Id)"
    for value in fields.get("auto-submitted", ()):
        if (word := _word(value)) not in {"no", ""}:
            return f"Auto-Submitted: {word}"
    if any(value.replace(" ", "") == "<>" for value in fields.get("return-path", ())):
        return "an empty return path"
    for name in ("x-auto-response-suppress", *_ANSWERING):
        if any(_word(value) not in {"", "none", "no"} for value in fields.get(name, ())):
            return f"the header {name}"
    return _by_list(fields, {entry.strip("<> ").casefold() for entry in list_ids})


def _by_list(fields: dict[str, list[str]], own: Collection[str]) -> str | None:
    """A list, bulk mail or a newsletter; what our own list adds does not count."""
    named = [field_text(value) for value in fields.get("list-id", ())]
    ids = [
        (match[1] if (match := _LIST_ID.search(name)) else name).strip().casefold()
        for name in named
    ]
    if foreign := [one for one in ids if one not in own]:
        return f"of the list {foreign[0][:100]}"
    if ids:
        return None
    if found := _LIST_FIELDS.intersection(fields):
        return f"of a list ({min(found)})"
    for value in fields.get("precedence", ()):
        if (word := value.strip().lower()) in _PRECEDENCES:
            return f"Precedence: {word}"
    return None


def _by_subject(subject: str) -> str | None:
    return "an out-of-office answer by its subject" if phrases.is_absence(subject) else None


def is_of_mailer(mail: Mail) -> bool:
    """Whether a mail is a report of a mail system, by its form or its sender."""
    if mail.reports or mail.content_types[:1] == ("multipart/report",):
        return True
    return any(report.is_mailer(sender.spec or sender.display) for sender in mail.from_)
