"""How much there is of what needs somebody."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import (
    OPEN,
    UNFINISHED,
    incidents,
    outbox,
    pending_responses,
    quarantine,
)
from triage.rows import OutboxState, Tally, Way, WayOut

# Of the outbox only what an index finds without looking at what was sent.
_OF_WAY = outbox.c.way == bindparam("by")
_UNFINISHED = select(func.count()).select_from(outbox).where(UNFINISHED, _OF_WAY)
_DEAD = select(func.count()).select_from(outbox).where(outbox.c.state == OutboxState.DEAD, _OF_WAY)
_PUT_OFF = (
    select(outbox.c.created_at, outbox.c.error)
    .where(UNFINISHED, _OF_WAY, outbox.c.error != "")
    .order_by(outbox.c.created_at, outbox.c.id)
    .limit(1)
)
_INCIDENTS = select(func.count()).select_from(incidents).where(OPEN)
_RESPONSES = select(func.count()).select_from(pending_responses)
_QUARANTINED = (
    select(func.count()).select_from(quarantine).where(quarantine.c.released_at.is_(None))
)


class TallyRows(Rows):
    """Counts over several tables."""

    def tally(self) -> Tally:
        """How much waits for somebody or something now."""
        counts = (self._run(query).scalar_one() for query in (_INCIDENTS, _RESPONSES, _QUARANTINED))
        return Tally({way: self._way(way) for way in Way}, *counts)

    def _way(self, way: Way) -> WayOut:
        of_way = {"by": way}
        unfinished = self._run(_UNFINISHED, of_way).scalar_one()
        dead = self._run(_DEAD, of_way).scalar_one()
        return WayOut(unfinished, dead, *(self._run(_PUT_OFF, of_way).first() or (None, "")))
