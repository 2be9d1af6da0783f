"""How much there is of what needs somebody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, case, func, select

from triage.adapters.store.rows import Rows
from triage.adapters.store.schema import (
    OPEN,
    SENT,
    UNFINISHED,
    incidents,
    outbox,
    pending_responses,
    quarantine,
)
from triage.incident.incident import Reason
from triage.rows import OutboxState, Tally, Way, WayOut

# Of the outbox only what an index finds without looking at what was sent.
_OF_WAY = outbox.c.way == bindparam("by")
_UNFINISHED = select(func.count()).select_from(outbox).where(UNFINISHED, _OF_WAY)
_DEAD = select(func.count()).select_from(outbox).where(outbox.c.state == OutboxState.DEAD, _OF_WAY)
# Since when the server puts it off, or since when it should be sent and nobody does it.
_SINCE = case((outbox.c.error != "", outbox.c.created_at), else_=outbox.c.due_at).label("since")
_PUT_OFF = select(_SINCE, outbox.c.error).where(UNFINISHED, _OF_WAY).order_by(_SINCE).limit(1)
_INCIDENTS = select(func.count()).select_from(incidents).where(OPEN)
_RESPONSES = select(func.count()).select_from(pending_responses)
_OVER_BUDGET = select(func.count(), func.min(pending_responses.c.due_at)).where(
    pending_responses.c.reason == Reason.BUDGET
)
_DUE_RESPONSE = select(func.min(pending_responses.c.due_at)).where(pending_responses.c.reason == "")
_HELD = select(func.count()).select_from(outbox).where(outbox.c.state == OutboxState.HELD, _OF_WAY)
_SENT_SINCE = (
    select(func.count())
    .select_from(outbox)
    .where(SENT, _OF_WAY, outbox.c.sent_at >= bindparam("since"))
)
_QUARANTINED = (
    select(func.count()).select_from(quarantine).where(quarantine.c.released_at.is_(None))
)


class TallyRows(Rows):
    """Counts over several tables."""

    def tally(self) -> Tally:
        """How much waits for somebody or something now."""
        counted = (_INCIDENTS, _RESPONSES, _QUARANTINED)
        open_, waiting, quarantined = (self._run(query).scalar_one() for query in counted)
        over, until = self._run(_OVER_BUDGET).one()
        ways = {way: self._way(way) for way in Way}
        due = self._run(_DUE_RESPONSE).scalar()
        return Tally(ways, open_, waiting, quarantined, over, until, due)

    def sent_since(self, at: datetime) -> Mapping[Way, int]:
        """How many messages left since then, by each way."""
        return {way: self._run(_SENT_SINCE, {"by": way, "since": at}).scalar_one() for way in Way}

    def _way(self, way: Way) -> WayOut:
        of_way = {"by": way}
        unfinished = self._run(_UNFINISHED, of_way).scalar_one()
        dead = self._run(_DEAD, of_way).scalar_one()
        held = self._run(_HELD, of_way).scalar_one()
        since, error = self._run(_PUT_OFF, of_way).first() or (None, "")
        return WayOut(unfinished, dead, since, error, held)
