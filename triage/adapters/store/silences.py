"""Silences, kept also when they are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import silences
from triage.incident.silence import Matcher, Silence

_ADD = insert(silences).returning(silences.c.id)
_ALL = select(silences).order_by(silences.c.id)
_IN_FORCE = (
    select(silences)
    .where(silences.c.ends_at > bindparam("moment"), silences.c.starts_at <= bindparam("moment"))
    .order_by(silences.c.ends_at, silences.c.id)
)
_EXPIRE = update(silences).where(
    silences.c.id == bindparam("silence"), silences.c.ends_at > bindparam("moment")
)


class SilenceRows(Rows):
    """What nothing is sent for."""

    def add_silence(self, silence: Silence) -> int:
        """Its matchers are valid, and it has a start and an end; answers its id."""
        values = {
            "matchers": [str(matcher) for matcher in silence.matchers],
            "reason": silence.reason,
            "author": silence.author,
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
        }
        return int(self._run(_ADD, values).scalar_one())

    def silences(self, at: datetime | None = None) -> Sequence[Silence]:
        """Those in force at this time, first to end first; or all, oldest first."""
        rows = self._run(_ALL) if at is None else self._run(_IN_FORCE, {"moment": at})
        return [
            Silence(
                tuple(Matcher.parse(text) for text in row.matchers),
                row.reason,
                row.author,
                row.starts_at,
                row.ends_at,
                row.id,
            )
            for row in rows
        ]

    def expire_silence(self, silence_id: int, at: datetime) -> bool:
        """It ends now; False when it is over, or when there is none."""
        return bool(
            self._run(_EXPIRE, {"silence": silence_id, "moment": at, "ends_at": at}).rowcount
        )
