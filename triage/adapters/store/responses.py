"""Responses that wait for `group_wait`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, update

from triage.adapters.store.incidents import INCIDENT
from triage.adapters.store.rows import Rows, on_both
from triage.adapters.store.schema import (
    histories,
    incident_records,
    incidents,
    mails,
    occurrences,
    outbox,
    pending_responses,
)
from triage.incident.incident import History, Incident
from triage.rows import Earlier, OutboxState, PendingResponse

_SHOWN_RECORDS = 1000
_IDS_AT_ONCE = 500
"""SQLite binds no more than 32,766 values, older ones 999."""

_EARLIER, _LATER = incidents.alias("earlier"), incidents.alias("later")
_TOLD_EARLIER = histories.alias("told_earlier")

_ADD_PENDING = on_both(lambda insert: insert(pending_responses).on_conflict_do_nothing())
_PENDING = (
    select(
        pending_responses.c.id,
        pending_responses.c.audience,
        pending_responses.c.recipient,
        pending_responses.c.created_at,
        pending_responses.c.due_at,
        histories.c.responses,
        histories.c.last_response_at,
        histories.c.told_record,
        histories.c.told_notifications,
        histories.c.thread,
        _EARLIER.c.last_seen_at,
        _TOLD_EARLIER.c.last_response_at,
        select(_LATER.c.id)
        .where(
            _LATER.c.fingerprint == incidents.c.fingerprint,
            _LATER.c.episode > incidents.c.episode,
        )
        .exists(),
        *INCIDENT,
    )
    .select_from(
        pending_responses.join(incidents)
        .outerjoin(
            histories,
            and_(
                histories.c.incident_id == pending_responses.c.incident_id,
                histories.c.recipient == pending_responses.c.recipient,
            ),
        )
        .outerjoin(
            _EARLIER,
            and_(
                _EARLIER.c.fingerprint == incidents.c.fingerprint,
                _EARLIER.c.episode == incidents.c.episode - 1,
            ),
        )
        .outerjoin(
            _TOLD_EARLIER,
            and_(
                _TOLD_EARLIER.c.incident_id == _EARLIER.c.id,
                _TOLD_EARLIER.c.recipient == pending_responses.c.recipient,
            ),
        )
    )
    .order_by(pending_responses.c.due_at, pending_responses.c.id)
    .with_for_update(of=[pending_responses, incidents], skip_locked=True, key_share=True)
)
_PENDING_DUE = _PENDING.where(pending_responses.c.due_at <= bindparam("due"))
_PENDING_THESE = _PENDING.where(pending_responses.c.id.in_(bindparam("ids", expanding=True)))
_RECORDS = (
    select(incident_records.c.id, incident_records.c.record_id)
    .where(incident_records.c.incident_id == bindparam("incident"))
    .order_by(incident_records.c.id.desc())
    .limit(_SHOWN_RECORDS)
)
_COUNT_OLDER = select(
    func.count(), func.count(case((incident_records.c.id > bindparam("told"), 1)))
).where(
    incident_records.c.incident_id == bindparam("incident"),
    incident_records.c.id < bindparam("oldest"),
)
_THIS = pending_responses.c.id == bindparam("pending")
_POSTPONE = update(pending_responses).where(_THIS)
_DUE_AGAIN = update(pending_responses).where(
    pending_responses.c.reason == bindparam("why"), pending_responses.c.due_at > bindparam("moment")
)
_DROP = delete(pending_responses).where(_THIS)
# The notification that asked for a response has its very time.
_ASKED_FOR = (
    select(occurrences.c.id, occurrences.c.mail_id)
    .join(
        pending_responses,
        and_(
            occurrences.c.incident_id == pending_responses.c.incident_id,
            occurrences.c.at == pending_responses.c.created_at,
        ),
    )
    .where(_THIS, pending_responses.c.reason != bindparam("why"))
)
_NOTE_OCCURRENCE = update(occurrences).where(occurrences.c.id == bindparam("occurrence"))
_NOTE_MAIL = update(mails).where(mails.c.id == bindparam("mail"))
NEWEST_RECORD = func.coalesce(func.max(incident_records.c.id), 0)
_TOLD = select(
    pending_responses.c.incident_id,
    pending_responses.c.recipient,
    select(NEWEST_RECORD)
    .where(incident_records.c.incident_id == pending_responses.c.incident_id)
    .scalar_subquery()
    .label("told_record"),
    select(incidents.c.notifications)
    .where(incidents.c.id == pending_responses.c.incident_id)
    .scalar_subquery()
    .label("told_notifications"),
).where(_THIS)


# Nor is there one where the first mail never left.
_HAS_NO_THREAD = or_(
    histories.c.thread == "",
    select(outbox.c.id)
    .where(
        outbox.c.message_id == histories.c.thread,
        outbox.c.state.in_([OutboxState.DEAD, OutboxState.DROPPED]),
    )
    .correlate(histories)
    .exists(),
)


def _add_response(insert: Any) -> Any:
    statement = insert(histories).values(responses=1)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["incident_id", "recipient"],
        set_={
            "responses": histories.c.responses + 1,
            "last_response_at": new.last_response_at,
            "told_record": new.told_record,
            "told_notifications": new.told_notifications,
            "thread": case((_HAS_NO_THREAD, new.thread), else_=histories.c.thread),
        },
    )


def _told_before(insert: Any) -> Any:
    told_record = select(NEWEST_RECORD).where(
        incident_records.c.incident_id == bindparam("incident")
    )
    statement = insert(histories).values(responses=1, told_record=told_record.scalar_subquery())
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["incident_id", "recipient"],
        set_={
            "last_response_at": new.last_response_at,
            "told_record": new.told_record,
            "told_notifications": None,
        },
    )


_ADD_RESPONSE = on_both(_add_response)
_TOLD_BEFORE = on_both(_told_before)
_WAITING = select(
    pending_responses.c.incident_id,
    pending_responses.c.audience,
    pending_responses.c.recipient,
).where(pending_responses.c.incident_id.in_(bindparam("incidents", expanding=True)))


class ResponseRows(Rows):
    """What is about to be told, and to whom."""

    def add_pending(
        self, incident_id: int, audience: str, recipient: str, at: datetime, due_at: datetime
    ) -> bool:
        """At most one waits per incident and recipient; a second one changes nothing: False."""
        added = self._run(
            _ADD_PENDING,
            {
                "incident_id": incident_id,
                "audience": audience,
                "recipient": recipient,
                "created_at": at,
                "due_at": due_at,
            },
        )
        return bool(added.rowcount)

    def waiting(self, incident_ids: Collection[int]) -> frozenset[tuple[int, str, str]]:
        """Incident, audience and recipient of the responses that wait."""
        rows = self._run(_WAITING, {"incidents": sorted(incident_ids)}) if incident_ids else ()
        return frozenset((incident, audience, recipient) for incident, audience, recipient in rows)

    def pending(
        self, due_before: datetime | None = None, *, ids: Sequence[int] | None = None
    ) -> Sequence[PendingResponse]:
        """Those due by then, those of these ids, or all, oldest first, with their incidents.

        They and their incidents, as they are now, are this unit's until it ends. Those that
        another process is working on are left out, and come with a later call. Of more than
        1,000 records the newest are answered, and the number of the others.
        """
        rows = self._these(ids) if ids is not None else self._due(due_before)
        records: dict[int, list[tuple[int, str]]] = {}
        answer = []
        for row in rows:
            number, audience, recipient, created_at, due_at, responses, last, told, *others = row
            count, thread, earlier_seen_at, earlier_told_at, came_back, *rest = others
            incident = Incident(*rest)
            if incident.id not in records:
                records[incident.id] = self._records(incident.id)
            known = records[incident.id]
            new = tuple(record for place, record in known if place > (told or 0))
            more, more_new = self._older(incident.id, known, told or 0)
            answer.append(
                PendingResponse(
                    id=number,
                    incident=incident,
                    audience=audience,
                    recipient=recipient,
                    history=History(responses, last, bool(new)) if responses else History(),
                    created_at=created_at,
                    due_at=due_at,
                    record_ids=tuple(record for _, record in known),
                    new_record_ids=new,
                    more_records=more,
                    more_new_records=more_new,
                    new_notifications=None if count is None else incident.notifications - count,
                    thread=thread or "",
                    earlier=Earlier(earlier_seen_at, earlier_told_at) if earlier_told_at else None,
                    came_back=came_back,
                )
            )
        return answer

    def postpone(self, pending_ids: Sequence[int], until: datetime, reason: str = "") -> None:
        """They are due then. With a reason, it is also that of the mails which asked for them."""
        self._note(pending_ids, reason)
        if pending_ids:
            changed = {"due_at": until, "reason": reason}
            self._run(_POSTPONE, [{"pending": one, **changed} for one in pending_ids])

    def due_again(self, reason: str, at: datetime) -> None:
        """What was postponed for this reason beyond `at` is due then."""
        self._run(_DUE_AGAIN, {"why": reason, "moment": at, "due_at": at})

    def responded(self, pending_ids: Sequence[int], at: datetime, thread: str = "") -> None:
        """Remove them; the recipient's history now has one more response and all records.

        `thread` is the Message-ID; of several responses the first one's counts.
        """
        for one in pending_ids:
            for told in self._run(_TOLD, {"pending": one}).mappings().all():
                self._run(_ADD_RESPONSE, {**told, "last_response_at": at, "thread": thread})
        self.drop_pending(pending_ids)

    def told(self, incident_id: int, recipient: str, at: datetime) -> None:
        """The recipient heard all of it, the last time at `at`, from a store that is lost."""
        values = {"incident_id": incident_id, "recipient": recipient, "last_response_at": at}
        self._run(_TOLD_BEFORE, values | {"incident": incident_id})

    def drop_pending(self, pending_ids: Sequence[int], reason: str = "") -> None:
        """Remove them; nothing was told. The reason is as in `postpone`."""
        self._note(pending_ids, reason)
        if pending_ids:
            self._run(_DROP, [{"pending": one} for one in pending_ids])

    def _note(self, pending_ids: Sequence[int], reason: str) -> None:
        for one in pending_ids if reason else ():
            asked = self._run(_ASKED_FOR, {"pending": one, "why": reason}).all()
            for occurrence, mail in asked:
                self._run(_NOTE_OCCURRENCE, {"occurrence": occurrence, "reason": reason})
                if mail is not None:
                    self._run(_NOTE_MAIL, {"mail": mail, "reason": reason})

    def _due(self, due_before: datetime | None) -> Sequence[tuple[Any, ...]]:
        if due_before is None:
            return self._run(_PENDING).all()
        return self._run(_PENDING_DUE, {"due": due_before}).all()

    def _these(self, ids: Sequence[int]) -> Sequence[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            page = ids[start : start + _IDS_AT_ONCE]
            found += self._run(_PENDING_THESE, {"ids": list(page)}).all()
        return sorted(found, key=lambda row: (row[4], row[0]))  # by due_at and id

    def _older(
        self, incident_id: int, known: Sequence[tuple[int, str]], told: int
    ) -> tuple[int, int]:
        """How many records there are before the known ones, and how many of them are new."""
        if len(known) < _SHOWN_RECORDS:
            return 0, 0
        values = {"incident": incident_id, "oldest": known[0][0], "told": told}
        more, more_new = self._run(_COUNT_OLDER, values).one()
        return more, more_new

    def _records(self, incident_id: int) -> list[tuple[int, str]]:
        """Number and id of the newest records, oldest first."""
        rows = self._run(_RECORDS, {"incident": incident_id})
        return [(number, record) for number, record in rows][::-1]
