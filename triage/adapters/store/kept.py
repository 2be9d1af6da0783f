"""The octets of notifications, kept for a time so that they can be judged again."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import kept_mails, mails, quarantine
from triage.rows import KeptMail, MailRow

FAST = 1
"""zlib's level: the octets of one mail are compressed while others wait to write."""

_FOLLOWING = (
    select(kept_mails.c.mail_id)
    .join(mails)
    .where(kept_mails.c.mail_id > bindparam("after"), mails.c.seen_at >= bindparam("since"))
    .order_by(kept_mails.c.mail_id)
    .limit(bindparam("limit"))
)
_ONE = (
    select(
        kept_mails.c.mail_id,
        kept_mails.c.octets_zlib,
        kept_mails.c.truncated,
        *(mails.c[field.name] for field in fields(MailRow)),
    )
    .join(mails)
    .where(kept_mails.c.mail_id == bindparam("mail"))
)
_ERASE = delete(kept_mails).where(
    kept_mails.c.mail_id.in_(
        select(kept_mails.c.mail_id)
        .where(kept_mails.c.kept_at < bindparam("before"))
        .order_by(kept_mails.c.kept_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )
)
_ERASE_RELEASED = (
    update(quarantine)
    .where(
        quarantine.c.id.in_(
            select(quarantine.c.id)
            .where(
                quarantine.c.released_at < bindparam("before"),
                func.length(quarantine.c.octets_zlib) > 0,
            )
            .order_by(quarantine.c.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(octets_zlib=b"")
)


class KeptRows(Rows):
    """What `replay` and `diff` judge again."""

    def kept(self, after: int, since: datetime, limit: int, most_octets: int) -> Sequence[KeptMail]:
        """The next mails above the id `after` that were seen since then, by id.

        At most `limit`, and no more once they have so many octets together.
        """
        found: list[KeptMail] = []
        octets = 0
        values = {"after": after, "since": since, "limit": limit}
        for number in self._run(_FOLLOWING, values).scalars().all():
            mail_id, compressed, truncated, *row = self._run(_ONE, {"mail": number}).one()
            found.append(KeptMail(mail_id, MailRow(*row), zlib.decompress(compressed), truncated))
            octets += len(found[-1].octets)
            if octets >= most_octets:
                break
        return found

    def erase_kept(self, before: datetime, limit: int) -> int:
        """Erase octets kept before then, and of what a person released from quarantine before.

        At most `limit` of each; answers how many. Their rows stay.
        """
        values = {"before": before, "limit": limit}
        erased = self._run(_ERASE, values).rowcount
        return erased + self._run(_ERASE_RELEASED, values).rowcount
