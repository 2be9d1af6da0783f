"""What is left in the end: in the mailbox, in the store and with the recipients."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from hashlib import sha256
from pathlib import Path

from imapclient import IMAPClient

_UNSTEADY = {
    # Differs between mailboxes, or counts the crashes themselves.
    *("uidvalidity", "owner", "due_at"),
    ("outbox", "attempts"),
}
_NO_STATE = {"leases", "triage_version", "sqlite_sequence"}
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """All that can be seen from outside and inside when nothing moves any more."""

    mailbox: Counter[Row]
    """Folder, digest of the octets, and flags of each mail."""
    store: Counter[Row]
    """Table and values of each row."""
    sent: Counter[Row]
    """Recipient, Message-ID and digest of each message that was accepted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one ending differs from another, in words; `copies` are allowed."""

    lost: tuple[str, ...]
    """Mails or messages that are nowhere."""
    missing: tuple[str, ...]
    """Effects that did not happen: rows, flags, moves."""
    doubled: tuple[str, ...]
    """Effects that happened, and should not have, or not again."""
    copies: int
    """Messages that were accepted twice, with the same octets."""

    @property
    def bad(self) -> tuple[str, ...]:
        """What must not be."""
        return self.lost + self.missing + self.doubled


def mailbox(client: IMAPClient) -> Counter[Row]:
    """Every mail of the account."""
    found: Counter[Row] = Counter()
    for attributes, _, folder in client.list_folders():
        if rb"\Noselect" in attributes:
            continue
        client.select_folder(folder, readonly=True)
        for mail in client.fetch(client.search(), ["BODY.PEEK[]", "FLAGS"]).values():
            flags = sorted(flag.decode() for flag in mail[b"FLAGS"] if flag != rb"\Recent")
            found[str(folder), sha256(mail[b"BODY[]"]).hexdigest(), *flags] += 1
    return found


def store(file: Path) -> Counter[Row]:
    """Every row, without what a crash may change."""
    rows: Counter[Row] = Counter()
    with sqlite3.connect(file) as database:
        named = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in named:
            if table in _NO_STATE:
                continue
            cursor = database.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            kept = [name not in _UNSTEADY and (table, name) not in _UNSTEADY for name in names]
            for row in cursor:
                values = zip(kept, names, row, strict=True)
                words = [f"{name}={_short(value)}" for keep, name, value in values if keep]
                rows[table, *words] += 1
    return rows


def sent(received: Sequence[tuple[tuple[str, ...], bytes]]) -> Counter[Row]:
    """Every message that a server accepted."""
    return Counter(
        (", ".join(to), str(message_from_bytes(octets)["Message-ID"]), _short(octets))
        for to, octets in received
    )


def compare(is_: Ending, should_be: Ending, *, may_double: bool) -> Difference:
    """What is wrong with an ending; with `may_double` one message may have come twice."""
    mails_is, mails_should = _octets(is_.mailbox), _octets(should_be.mailbox)
    lost = [*_words("mail", mails_should - mails_is), *_words("message", should_be.sent - is_.sent)]
    doubled = list(_words("mail", mails_is - mails_should))
    extra = is_.sent - should_be.sent
    copies = sum(extra.values()) if may_double and extra.total() <= 1 else 0
    if not copies or extra.keys() - should_be.sent.keys():
        doubled += _words("message", extra)
    missing = [
        *_words("in the mailbox", should_be.mailbox - is_.mailbox),
        *_words("in the store", should_be.store - is_.store),
    ]
    doubled += _words("in the store", is_.store - should_be.store)
    return Difference(tuple(lost), tuple(missing), tuple(doubled), copies)


def _octets(found: Counter[Row]) -> Counter[Row]:
    """Mails, wherever they are."""
    mails: Counter[Row] = Counter()
    for row, count in found.items():
        mails[(row[1],)] += count
    return mails


def _words(what: str, rows: Counter[Row]) -> list[str]:
    return [f"{what}: {' '.join(row)[:400]} ({count})" for row, count in rows.items()]


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    return str(value)
