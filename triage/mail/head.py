"""The header block of a mail: its fields, and who wrote it, when, under which id.

`mail-parser` reads addresses and dates; it is used in this place only, and only for these fields,
as its whole reading of a mail costs more than all of ours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.message import Message
from typing import Final

from mailparser.dates import parse_mail_date
from mailparser.utils import decode_header_part, get_addresses

from triage.mail.charset import field_text, readable
from triage.mail.message import Address

# mail-parser logs header fields that it cannot decode: strangers' words, as long as they please.
logging.getLogger("mailparser").setLevel(logging.CRITICAL)

_STRUCTURED: Final = frozenset(("from", "date", "message-id"))
_FROM_FIELDS: Final = 10
_FROM_LENGTH: Final = 2_000
_NO_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\([^()]*\)|<[^<>]*>|\[[^\[\]]*\]')
"""What may hold any character in an address field."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is read of the fields that have a grammar of their own."""

    from_: tuple[Address, ...]
    """As in Mail."""
    date: datetime | None
    """Of the first Date field: aware, UTC; None when it is absent or unreadable."""
    message_id: str
    """Of the first Message-ID field, without angle brackets; "" when absent."""


def fields(message: Message) -> tuple[tuple[str, str], ...]:
    """(name in lower case, decoded value) of every header field, top first."""
    return tuple((name.lower(), field_text(value)) for name, value in message.raw_items())


def read_head(message: Message) -> Head:
    """The structured fields of a header block.

    Raises what mail-parser raises on values that it did not foresee.
    """
    raw: dict[str, list[str]] = {}
    for key, value in message.raw_items():
        if (name := key.lower()) in _STRUCTURED:
            raw.setdefault(name, []).append(readable(str(value)))
    date, message_id = (raw.get(name, ("",))[0] for name in ("date", "message-id"))
    return Head(
        _mailboxes(raw.get("from", [])[:_FROM_FIELDS]),
        parse_mail_date(date).value,
        field_text(decode_header_part(message_id)).strip().strip("<>"),
    )


def _mailboxes(raw: Sequence[str]) -> tuple[Address, ...]:
    """The mailboxes of all From fields. What is no address keeps its words as display name.

    A group stands, as no address, behind the mailboxes in it. Encoded words are decoded after
    the address is found, so that a display name cannot pretend to be one.
    """
    found = [
        Address(field_text(spec).lower(), "" if display == spec else field_text(display))
        for value in raw
        for display, spec in _addresses(value)
        if spec
    ]
    # RFC 6854 allows groups here, for what has no author; what they name sent nothing.
    groups = [Address("", field_text(value)) for value in raw if found and _is_group(value)]
    found = [*found, *groups] or [Address("", field_text(v)) for v in raw if v.strip()]
    return tuple(found)


def _addresses(value: str) -> list[tuple[str, str]]:
    """Display name and address of each mailbox of a field."""
    try:
        return list(get_addresses(value, decode_names=True))
    except HeaderParseError:  # of an encoded word in bad base64, which mail-parser 4.8 lets pass
        return list(get_addresses(value.replace("=?", "= ?"), decode_names=True))


def _is_group(value: str) -> bool:
    """Whether mailboxes stand in a group, `Northwind: priya@northwind.example;` (RFC 5322, 3.4)."""
    return ":" in _NO_STRUCTURE.sub("", value[:_FROM_LENGTH])
