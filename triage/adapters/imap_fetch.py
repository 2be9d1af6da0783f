"""Mails out of an open IMAP folder, in pieces that stay small whatever the server holds."""

from __future__ import annotations

import imaplib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imapclient.exceptions import ProtocolError

from triage.adapters.imap_answer import Parts
from triage.adapters.imap_wire import Client
from triage.mail.limits import Limits
from triage.mail.message import RawMail
from triage.ports import FolderState

UIDS_PER_COMMAND = 500
"""Keeps a command below the 8,192 octets that every server takes (RFC 7162, 4)."""
_WINDOW = 50_000
"""UIDs that one SEARCH covers, so that its answer stays small in a mailbox of any size."""
_WIDEST = 200_000
"""UIDs that one SEARCH covers at most where so many mails may lie; a line of 2 MB."""
_BATCH_MAILS = 50
_BATCH_OCTETS = 16_777_216
_FETCH_OCTETS = 33_554_432
"""When one fetch has so much, it is enough."""
_REFUSALS = 3
_BREAKS = 10
"""So often the line may break at one mail in a row, before it is that mail's fault."""


class MailRefusedError(Exception):
    """The server would not give this one mail."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """A mail before its octets are fetched. The size may be an estimate."""

    uid: int
    internal_date: datetime
    size: int
    flags: frozenset[str] = frozenset()


class MailFetch:
    """Fetches for one mailbox. `ready` gives the client with time for so many octets."""

    def __init__(self, mailbox: str, limits: Limits, ready: Callable[[int], Client]) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._ready = ready
        self.exists: int | None = None
        """About how many mails the folder holds, if that is known."""
        self._refusals: dict[tuple[int, int], int] = {}
        self._breaks: dict[tuple[int, int], int] = {}
        self._asked: frozenset[int] = frozenset()
        """UIDs whose octets were asked for last, while there is no answer."""
        self._found: list[int] = []
        self._found_by: tuple[int, int, datetime | None] = (0, 0, None)
        """UIDVALIDITY, `after` and `since` of the search that gave `_found`."""

    def fetch(
        self, state: FolderState, after: int, limit: int, since: datetime | None
    ) -> list[RawMail]:
        """As `Mailbox.fetch`; fewer than `limit` when they are large."""
        mails: list[RawMail] = []
        octets = 0
        while len(mails) < limit:
            wanted = limit - len(mails)
            uids = self._search(state, after, wanted, since)
            for batch in _batches(self._announced(uids, since), self._limits):
                try:
                    for mail in self._mails(batch, state):
                        mails.append(mail)
                        octets += len(mail.octets)
                except MailRefusedError:
                    if not mails:
                        raise
                    return mails
                if octets >= _FETCH_OCTETS:
                    return mails
            if len(uids) < wanted:
                break
            after = uids[-1]
        return mails

    def _search(
        self, state: FolderState, after: int, wanted: int, since: datetime | None
    ) -> list[int]:
        """The lowest `wanted` UIDs above `after`. Fewer only when there are no more.

        What the last search found beyond its share is still true: UIDs only grow.
        """
        uidvalidity, low, dated = self._found_by
        usable = (uidvalidity, dated) == (state.uidvalidity, since) and low <= after
        found = self._found[bisect_right(self._found, after) :] if usable else []
        # Few mails cannot fill a wide window, and without a bound any gap costs few commands.
        small = self.exists is not None and self.exists <= _WIDEST
        start, width = (found[-1] if found else after) + 1, _WINDOW
        while len(found) < wanted:
            end = start + width - 1
            last = end >= state.uidnext - 1
            inside = self._window(start, "*" if last else str(end), since)
            found += inside
            if last:
                break
            start, width = end + 1, _WINDOW if inside else width * 4
            width = width if small else min(width, _WIDEST)
        self._found, self._found_by = found, (state.uidvalidity, after, since)
        return found[:wanted]

    def _window(self, start: int, end: str, since: datetime | None) -> list[int]:
        # SINCE compares days in the server's time zone, so it is asked a day earlier.
        dated = [] if since is None else ["SINCE", (since - timedelta(days=1)).date()]
        client = self._ready(0)
        client.wire.news = False  # what is announced from here on, this search may not see
        # The last mail's UID is within `n:*` even when it is below n (RFC 9051, 6.4.9).
        answer = client.search(["UID", f"{start}:{end}", *dated])
        return sorted(uid for uid in answer if uid >= start)

    def _announced(self, uids: Sequence[int], since: datetime | None) -> list[_Announced]:
        """What the server says of them, without those that are gone or lie before `since`.

        A date that cannot be read is now: it must not make a new mail look old.
        """
        announced, now = [], datetime.now(UTC)
        for at in range(0, len(uids), UIDS_PER_COMMAND):
            some = uids[at : at + UIDS_PER_COMMAND]
            answer = self._described(some)
            for uid in some:
                if uid not in answer:
                    continue
                date = _utc(answer[uid].get(b"INTERNALDATE"))
                if since is None or date is None or date.date() >= since.astimezone(UTC).date():
                    size = answer[uid].get(b"RFC822.SIZE", 0)
                    flags = answer[uid].get(b"FLAGS", ())
                    size = size if isinstance(size, int) else 0
                    announced.append(_Announced(uid, date or now, size, _flags(flags)))
        return announced

    def _described(self, uids: Sequence[int]) -> Mapping[int, Parts]:
        """Size, date and flags by UID. Of a mail whose answer cannot be read, less of it.

        Flags are what other programs wrote, so they are the first to be done without.
        """
        client = self._ready(0)
        with suppress(ProtocolError):
            return client.fetch_plain(uids, ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])
        if len(uids) > 1:
            return {uid: parts for one in uids for uid, parts in self._described([one]).items()}
        with suppress(ProtocolError):
            return self._ready(0).fetch_plain(uids, ["RFC822.SIZE", "INTERNALDATE"])
        return {uids[0]: {}}

    def _mails(self, batch: Sequence[_Announced], state: FolderState) -> Iterator[RawMail]:
        """Those of a batch that are still there.

        Raises MailRefusedError at the one that is refused, when those before it are out.
        """
        most, prefix = self._limits.mail_octets, self._limits.prefix_octets
        ask = max(_ask(mail.size, self._limits) for mail in batch)
        uids = [mail.uid for mail in batch]
        try:
            # Where the line broke before, each is asked for alone, to see at which one.
            answer = self._octets(uids, ask) if self._asked.isdisjoint(uids) else {}
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            answer = {}  # one that is gone or broken spoils the answer for all (RFC 2180, 4.1)
        for mail in batch:
            octets = answer.get(mail.uid)
            nothing = not octets and mail.size > 0  # NIL, as of one that was just expunged
            if octets is None or nothing or (len(octets) == ask and mail.size <= most):
                octets = self._single(mail, state)
            if octets is None:
                continue
            cut = len(octets) > most or (mail.size > most and len(octets) >= prefix)
            yield RawMail(
                mailbox=self._mailbox,
                folder=state.folder,
                uidvalidity=state.uidvalidity,
                uid=mail.uid,
                internal_date=mail.internal_date,
                octets=octets[:prefix] if cut else octets,
                truncated=cut or (not octets and mail.size > 0),
                flags=mail.flags,
            )

    def _single(self, mail: _Announced, state: FolderState) -> bytes | None:
        """One mail that did not come with the others, or is larger than was announced.

        None when it is gone; empty when the server has refused it three times, or when the line
        broke at it ten times in a row, although all that is asked before it was answered.
        """
        most, said = self._limits.mail_octets, "no text in the answer"
        key = (state.uidvalidity, mail.uid)
        broken = self._breaks.pop(key, 0)
        if broken == _BREAKS:
            return b""
        self._breaks[key] = broken + 1  # unless there is an answer
        try:
            answer = self._octets(
                [mail.uid], most + 1 if mail.size <= most else self._limits.prefix_octets
            )
            octets = answer.get(mail.uid)
            if octets or (octets is not None and mail.size == 0):
                del self._breaks[key]
                return octets
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            said = str(error)
        del self._breaks[key]
        self._ready(0).noop()  # the server may now say what was expunged
        if mail.uid not in self._ready(0).search(["UID", str(mail.uid)]):
            return None
        self._refusals[key] = self._refusals.get(key, 0) + 1
        if self._refusals[key] < _REFUSALS:
            raise MailRefusedError(f"the mail with UID {mail.uid} is not given: {said}")
        del self._refusals[key]
        return b""

    def _octets(self, uids: Sequence[int], ask: int) -> dict[int, bytes]:
        """The first `ask` octets of each that the server gives. Marks none as seen."""
        client, self._asked = self._ready(ask * len(uids)), frozenset(uids)
        try:
            answer = client.fetch_plain(uids, [f"BODY.PEEK[]<0.{ask}>"])
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            self._asked = frozenset()
            raise
        self._asked = frozenset()
        key = b"BODY[]<0>"
        return {uid: _bytes(parts[key]) for uid, parts in answer.items() if key in parts}


def _ask(size: int, limits: Limits) -> int:
    """How many octets to ask for: more than announced, since that may be an estimate."""
    if size > limits.mail_octets:
        return limits.prefix_octets
    return min(size + size // 4 + 4_096, limits.mail_octets) + 1


def _batches(mails: Sequence[_Announced], limits: Limits) -> Iterator[list[_Announced]]:
    """In order; bounded by count and by what the server may send. A too large mail is alone."""
    batch: list[_Announced] = []
    most = 0
    for mail in mails:
        ask = _ask(mail.size, limits)
        alone = mail.size > limits.mail_octets
        full = len(batch) == _BATCH_MAILS or max(most, ask) * (len(batch) + 1) > _BATCH_OCTETS
        if batch and (alone or full or batch[-1].size > limits.mail_octets):
            yield batch
            batch, most = [], 0
        batch.append(mail)
        most = max(most, ask)
    if batch:
        yield batch


def _utc(date: object) -> datetime | None:
    """The internal date; None when the server wrote nonsense."""
    if not isinstance(date, datetime):
        return None
    try:
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _flags(flags: object) -> frozenset[str]:
    """In lower case (RFC 9051, 2.3.2); none when the server wrote nonsense."""
    if not isinstance(flags, tuple):
        return frozenset()
    return frozenset(one.decode("latin-1").lower() for one in flags if isinstance(one, bytes))


def _bytes(value: object) -> bytes:
    """The octets of a mail; IMAPClient reads NIL as None, and digits as a number."""
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).encode()
