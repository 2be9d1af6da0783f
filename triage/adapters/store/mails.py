"""Mailboxes, attempts and mails."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from triage.adapters.store.kept import FAST
from triage.adapters.store.rows import Rows, Statement, on_both, replacing
from triage.adapters.store.schema import AFTER_DUE, attempts, kept_mails, mailboxes, mails
from triage.rows import AfterDue, MailboxRow, MailRow, NewMail

_MAIL = tuple(mails.c[field.name] for field in fields(MailRow))
_MAILBOX = tuple(mailboxes.c[field.name] for field in fields(MailboxRow))

_ALL_MAILBOXES = select(*_MAILBOX).order_by(mailboxes.c.name)
_ONE_MAILBOX = select(*_MAILBOX).where(mailboxes.c.name == bindparam("name"))
_SAVE_MAILBOX = on_both(lambda insert: replacing(insert(mailboxes), "name"))

_COUNT_ATTEMPT = on_both(
    lambda insert: (
        insert(attempts)
        .on_conflict_do_update(
            index_elements=list(attempts.primary_key), set_={"attempts": attempts.c.attempts + 1}
        )
        .returning(attempts.c.uid, attempts.c.attempts)
    )
)
_ATTEMPTS = select(attempts.c.uid, attempts.c.attempts).where(
    attempts.c.mailbox == bindparam("mailbox"),
    attempts.c.folder == bindparam("folder"),
    attempts.c.uidvalidity == bindparam("uidvalidity"),
    attempts.c.uid.in_(bindparam("uids", expanding=True)),
)
_CLEAR_ATTEMPTS = delete(attempts).where(
    attempts.c.mailbox == bindparam("mailbox"),
    attempts.c.folder == bindparam("folder"),
    attempts.c.uidvalidity == bindparam("uidvalidity"),
    attempts.c.uid.in_(bindparam("uids", expanding=True)),
)

_IN_FOLDER = and_(
    mails.c.mailbox == bindparam("mailbox"),
    mails.c.folder == bindparam("folder"),
    mails.c.uidvalidity == bindparam("uidvalidity"),
)
_RECORDED = select(mails.c.uid).where(
    _IN_FOLDER, mails.c.uid.in_(bindparam("uids", expanding=True))
)
_ADD_MAILS = insert(mails).returning(mails.c.id, mails.c.uid)
_KEEP = insert(kept_mails)
_SEEN_OCTETS = (
    select(mails.c.octets_sha256)
    .where(mails.c.octets_sha256.in_(bindparam("digests", expanding=True)))
    .distinct()
)
_SEEN_CONTENT = (
    select(mails.c.content_sha256)
    .where(mails.c.content_sha256.in_(bindparam("digests", expanding=True)))
    .distinct()
)
_MAILS_BETWEEN = (
    select(*_MAIL)
    .where(mails.c.seen_at >= bindparam("start"), mails.c.seen_at < bindparam("end"))
    .order_by(mails.c.seen_at, mails.c.id)
)
_FIRST_SEEN = select(func.min(mails.c.seen_at))
_NEWEST = select(*_MAIL).order_by(mails.c.id.desc()).limit(bindparam("limit"))
_HANDLED = (
    select(mails.c.mailbox, func.count())
    .where(mails.c.seen_at >= bindparam("since"))
    .group_by(mails.c.mailbox)
)
_AFTER_DUE = (
    select(mails.c.id, mails.c.uid, mails.c.after)
    .where(AFTER_DUE, _IN_FOLDER, mails.c.uid > bindparam("above"))
    .order_by(mails.c.uid)
    .limit(bindparam("limit"))
)
_AFTER_DONE = (
    update(mails).where(mails.c.id.in_(bindparam("done", expanding=True))).values(after_due=False)
)


class MailRows(Rows):
    """What was met in the mailboxes, and what is still due in them."""

    def mailbox(self, name: str) -> MailboxRow | None:
        """Progress of one mailbox; None before it was saved first."""
        row = self._run(_ONE_MAILBOX, {"name": name}).first()
        return MailboxRow(*row) if row else None

    def mailboxes(self) -> Sequence[MailboxRow]:
        """Progress of all, by name."""
        return [MailboxRow(*row) for row in self._run(_ALL_MAILBOXES)]

    def save_mailbox(self, row: MailboxRow) -> None:
        """Replace what is known of it."""
        self._run(_SAVE_MAILBOX, {column.name: getattr(row, column.name) for column in _MAILBOX})

    def attempts(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> Mapping[int, int]:
        """How often each of these UIDs was attempted; those never attempted are left out."""
        place = {"mailbox": mailbox, "folder": folder, "uidvalidity": uidvalidity}
        return {row.uid: row.attempts for row in self._run(_ATTEMPTS, place | {"uids": list(uids)})}

    def count_attempt(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> Mapping[int, int]:
        """Add one to the attempts of each UID and answer the counts, this one included."""
        if not uids:
            return {}
        first = {"mailbox": mailbox, "folder": folder, "uidvalidity": uidvalidity, "attempts": 1}
        counted = self._run(_COUNT_ATTEMPT, [first | {"uid": uid} for uid in sorted(set(uids))])
        return {row.uid: row.attempts for row in counted}

    def forget_attempts(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> None:
        """As if these UIDs had not been attempted: what failed was not their fault."""
        place = {"mailbox": mailbox, "folder": folder, "uidvalidity": uidvalidity}
        if uids:
            self._run(_CLEAR_ATTEMPTS, place | {"uids": list(uids)})

    def seen(self, octets_sha256: str, content_sha256: str) -> bool:
        """Whether a mail with either digest was recorded before, in any mailbox.

        An empty digest is none.
        """
        return any(self.seen_of([octets_sha256], [content_sha256]))

    def seen_of(
        self, octets: Collection[str], content: Collection[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Those digests of octets, and those of content, that were recorded in any mailbox."""
        return self._digests(_SEEN_OCTETS, octets), self._digests(_SEEN_CONTENT, content)

    def _digests(self, statement: Statement, digests: Collection[str]) -> frozenset[str]:
        wanted = sorted({digest for digest in digests if digest})  # an empty one is none
        if not wanted:
            return frozenset()
        return frozenset(self._run(statement, {"digests": wanted}).scalars())

    def add_mails(self, new: Sequence[NewMail]) -> Sequence[int]:
        """Record mails of one folder, clear their attempts, and answer their ids, in order.

        One place has one mail only.
        """
        if not new:
            return []
        values = [
            {column.name: getattr(one.row, column.name) for column in _MAIL}
            | {"after_due": one.row.after != "none"}
            for one in new
        ]
        added = self._run(_ADD_MAILS, values)
        ids = {uid: number for number, uid in added}
        first = new[0].row
        self.forget_attempts(first.mailbox, first.folder, first.uidvalidity, list(ids))
        kept = [
            {
                "mail_id": ids[one.row.uid],
                "kept_at": one.row.seen_at,
                "truncated": one.truncated,
                "octets_zlib": zlib.compress(one.octets, FAST),
            }
            for one in new
            if one.octets is not None
        ]
        if kept:
            self._run(_KEEP, kept)
        return [ids[one.row.uid] for one in new]

    def recorded(
        self, mailbox: str, folder: str, uidvalidity: int, uids: Sequence[int]
    ) -> frozenset[int]:
        """Those of these UIDs whose mails were recorded."""
        place = {"mailbox": mailbox, "folder": folder, "uidvalidity": uidvalidity}
        return frozenset(self._run(_RECORDED, place | {"uids": list(uids)}).scalars())

    def mails_between(self, start: datetime, end: datetime) -> Sequence[MailRow]:
        """seen_at in [start, end), oldest first."""
        return [MailRow(*row) for row in self._run(_MAILS_BETWEEN, {"start": start, "end": end})]

    def newest_mails(self, limit: int) -> Sequence[MailRow]:
        """Those judged last, newest first."""
        return [MailRow(*row) for row in self._run(_NEWEST, {"limit": limit})]

    def handled_since(self, at: datetime) -> Mapping[str, int]:
        """How many mails were judged since then, by mailbox; mailboxes without any are left out."""
        return {row.mailbox: row[1] for row in self._run(_HANDLED, {"since": at})}

    def first_seen(self) -> datetime | None:
        """When the first mail was judged; None before."""
        return self._run(_FIRST_SEEN).scalar()

    def after_due(
        self, mailbox: str, folder: str, uidvalidity: int, above: int = 0, limit: int = 500
    ) -> Sequence[AfterDue]:
        """What is still to be moved or flagged, by UID: the first `limit` above a UID."""
        place = {"mailbox": mailbox, "folder": folder, "uidvalidity": uidvalidity}
        rows = self._run(_AFTER_DUE, place | {"above": above, "limit": limit})
        return [AfterDue(*row) for row in rows]

    def after_done(self, mail_ids: Sequence[int]) -> None:
        """The server confirmed it."""
        if mail_ids:
            self._run(_AFTER_DONE, {"done": list(mail_ids)})
