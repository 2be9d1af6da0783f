"""What people must look at: quarantined mails and recipients that cannot be reached."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, literal, select, update

from triage.adapters.store.kept import FAST
from triage.adapters.store.rows import Rows, on_both, replacing
from triage.adapters.store.schema import quarantine, undeliverable
from triage.mail.message import RawMail
from triage.rows import QuarantineRow, Undeliverable

_ADDRESS = 320
"""No address is longer (RFC 5321, 4.5.3.1); reports come from strangers."""
_DIAGNOSTIC = 2000

_ROW = (
    quarantine.c.id,
    quarantine.c.mailbox,
    quarantine.c.folder,
    quarantine.c.uid,
    quarantine.c.subject,
    quarantine.c.reason,
    quarantine.c.detail,
    quarantine.c.at,
    quarantine.c.released_at,
)
_ADD = insert(quarantine).returning(quarantine.c.id)
_ALL = select(*_ROW, literal(b"")).order_by(quarantine.c.id)
_ONE = select(*_ROW, quarantine.c.octets_zlib).where(quarantine.c.id == bindparam("row"))
_RELEASE = update(quarantine).where(
    quarantine.c.id == bindparam("row"), quarantine.c.released_at.is_(None)
)
_MARK = on_both(lambda insert: replacing(insert(undeliverable), "address"))
_CLEAR = delete(undeliverable).where(undeliverable.c.address == bindparam("of"))
_MARKED = select(undeliverable).order_by(undeliverable.c.address)


class FailureRows(Rows):
    """Mails that could not be handled, and mails of ours that did not arrive."""

    def quarantine(self, raw: RawMail, subject: str, reason: str, detail: str, at: datetime) -> int:
        """Keep the mail's octets for a person; answers the row's id."""
        values = {
            "mailbox": raw.mailbox,
            "folder": raw.folder,
            "uidvalidity": raw.uidvalidity,
            "uid": raw.uid,
            "subject": subject,
            "reason": reason,
            "detail": detail,
            "at": at,
            "octets_zlib": zlib.compress(raw.octets, FAST),
        }
        return int(self._run(_ADD, values).scalar_one())

    def quarantined(self, row_id: int | None = None) -> Sequence[QuarantineRow]:
        """All rows without their octets, which may be many, or one row with them; oldest first.

        Of one that was released and whose time is over, the octets are erased: empty.
        """
        if row_id is None:
            return [QuarantineRow(*row) for row in self._run(_ALL)]
        rows = [QuarantineRow(*row) for row in self._run(_ONE, {"row": row_id})]
        return [replace(r, octets=zlib.decompress(r.octets) if r.octets else b"") for r in rows]

    def release(self, row_id: int, at: datetime) -> bool:
        """Note that a person has dealt with it; False when there is none or it was before."""
        return bool(self._run(_RELEASE, {"row": row_id, "released_at": at}).rowcount)

    def mark_undeliverable(self, address: str, status: str, diagnostic: str, at: datetime) -> None:
        """Note what the newest delivery report says of an address."""
        self._run(
            _MARK,
            {
                "address": address.lower()[:_ADDRESS],
                "status": status,
                "diagnostic": diagnostic[:_DIAGNOSTIC],
                "reported_at": at,
            },
        )

    def clear_undeliverable(self, address: str) -> bool:
        """Forget what reports said of an address; False when there was none."""
        return bool(self._run(_CLEAR, {"of": address.lower()}).rowcount)

    def undeliverable(self) -> Sequence[Undeliverable]:
        """Every address that a report came back for, by address."""
        return [Undeliverable(*row) for row in self._run(_MARKED)]
