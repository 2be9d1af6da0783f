"""Rendered messages on their way out, and the hold on all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from triage.adapters.store.leases import LeaseRows
from triage.adapters.store.responses import NEWEST_RECORD
from triage.adapters.store.rows import Rows, on_both, replacing
from triage.adapters.store.schema import (
    SENT,
    UNFINISHED,
    Moment,
    histories,
    incident_records,
    incidents,
    outbox,
    switches,
)
from triage.response.message import Audience
from triage.rows import NewOutbox, OutboxRow, OutboxState, Way

_HOLD = "hold"
"""The switch that stops all sending."""

_NEXT_AT = func.coalesce(outbox.c.due_at, outbox.c.sent_at, outbox.c.created_at)
_ROW = tuple(
    _NEXT_AT if field.name == "next_at" else outbox.c[field.name] for field in fields(OutboxRow)
)
_NEW = tuple(field.name for field in fields(NewOutbox))

_THIS = outbox.c.id == bindparam("row")
_ONE = select(*_ROW).where(_THIS)
_ROWS = (
    select(*_ROW).where(outbox.c.id.in_(bindparam("rows", expanding=True))).order_by(outbox.c.id)
)
_BY_MESSAGE_ID = (
    select(*_ROW)
    .where(outbox.c.message_id == bindparam("message_id"))
    .order_by(outbox.c.id.desc())
    .limit(1)
)
_NEWEST = select(*_ROW).order_by(outbox.c.id.desc()).limit(bindparam("limit"))
_NEWEST_IN = _NEWEST.where(outbox.c.state.in_(bindparam("states", expanding=True)))
_HAS_KEY = select(outbox.c.id).where(outbox.c.key == bindparam("key"))

_ENQUEUE = on_both(
    lambda insert: (
        insert(outbox)
        .values(attempts=0, owner="")
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(outbox.c.id)
    )
)
_RETRY = (
    update(outbox)
    .where(_THIS, outbox.c.state.in_([OutboxState.DEAD, OutboxState.DROPPED]))
    .values(state=OutboxState.PENDING, attempts=0, error="")
)
_DROP = (
    update(outbox)
    .where(
        _THIS,
        or_(
            outbox.c.state.in_([OutboxState.PENDING, OutboxState.HELD, OutboxState.DEAD]),
            # Left behind by a process that died.
            and_(outbox.c.state == OutboxState.SENDING, outbox.c.due_at <= bindparam("now")),
        ),
    )
    .values(state=OutboxState.DROPPED, due_at=None)
)
_DROP_UNSENT = (
    update(outbox)
    .where(outbox.c.state.in_([OutboxState.PENDING, OutboxState.SENDING, OutboxState.HELD]))
    .values(state=OutboxState.DROPPED, due_at=None)
    .returning(outbox.c.id)
)
_WITHDRAW = (
    update(outbox)
    .where(_THIS, outbox.c.state == OutboxState.SENDING)
    .values(state=OutboxState.DROPPED, due_at=None)
)
_OF_HOLDS = (
    select(outbox.c.error, func.count())
    .where(outbox.c.state == OutboxState.HELD)
    .group_by(outbox.c.error)
    .order_by(outbox.c.error)
)
_LET_GO = (
    update(outbox)
    .where(outbox.c.state == OutboxState.HELD)
    .values(state=OutboxState.PENDING, error="")
)
_LET_GO_ONE = _LET_GO.where(_THIS)
_LET_GO_TENANT = _LET_GO.where(outbox.c.tenant == bindparam("of_tenant"))
_HELD = select(switches.c.reason).where(switches.c.name == _HOLD)
_SWITCH = select(switches.c.reason).where(switches.c.name == bindparam("switch"))
_SET_SWITCH = on_both(lambda insert: replacing(insert(switches), "name"))
_END_SWITCH = delete(switches).where(switches.c.name == bindparam("switch"))

_DUE = (
    select(outbox.c.id)
    .where(
        outbox.c.way == bindparam("by"),
        outbox.c.due_at <= bindparam("now"),
        # What tells support of a hold must not wait for its end.
        or_(outbox.c.way == Way.ALARM, ~_HELD.exists()),
    )
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
# Materialized, so that limit and locks are evaluated once.
_PICKED = _DUE.cte("picked").prefix_with("MATERIALIZED")
_CLAIM = (
    update(outbox)
    .where(outbox.c.id.in_(select(_PICKED.c.id)))
    .values(state=OutboxState.SENDING, attempts=outbox.c.attempts + 1)
    .returning(outbox.c.id)
)
# One statement, so that a row that is just being marked as sent is counted, and once.
_HANDED_OVER = select(
    select(func.count())
    .where(
        SENT,
        outbox.c.sent_at > bindparam("since", type_=Moment),
        outbox.c.way == bindparam("by"),
    )
    .scalar_subquery()
    + select(func.count())
    .where(
        UNFINISHED,
        outbox.c.state == OutboxState.SENDING,
        outbox.c.due_at > bindparam("now", type_=Moment),
        outbox.c.way == bindparam("by"),
    )
    .scalar_subquery()
)
_SENT = (
    update(outbox)
    .where(_THIS, outbox.c.state != OutboxState.SENT)
    .values(state=OutboxState.SENT, due_at=None, error="")
    .returning(outbox.c.ends, outbox.c.audience, outbox.c.recipients)
)
_SUPPORT = "support"
"""Recipient of tickets, as in PendingResponse."""
_TOLD_END = (
    update(histories)
    .where(
        histories.c.incident_id.in_(bindparam("ended", expanding=True)),
        histories.c.recipient == bindparam("reader"),
    )
    .values(
        responses=histories.c.responses + 1,
        told_record=select(NEWEST_RECORD)
        .where(incident_records.c.incident_id == histories.c.incident_id)
        .scalar_subquery(),
        told_notifications=select(incidents.c.notifications)
        .where(incidents.c.id == histories.c.incident_id)
        .scalar_subquery(),
    )
)
_FAILED = update(outbox).where(
    _THIS, outbox.c.state == OutboxState.SENDING, outbox.c.owner == bindparam("claimed_by")
)


class OutboxRows(Rows):
    """What is to be sent, was sent or could not be."""

    def enqueue(self, message: NewOutbox, at: datetime, held: str = "") -> bool:
        """Queue it, due at once, or `held` by this until it is released.

        False, and no change, when the key is there already.
        """
        values: dict[str, Any] = {name: getattr(message, name) for name in _NEW}
        state = OutboxState.HELD if held else OutboxState.PENDING
        values |= {"state": state, "error": held, "due_at": None if held else at}
        return self._run(_ENQUEUE, values | {"created_at": at}).first() is not None

    def has_key(self, key: str) -> bool:
        """Whether a message of this key was ever queued."""
        return self._run(_HAS_KEY, {"key": key}).first() is not None

    def holds(self) -> Mapping[str, int]:
        """What messages are held by, and how many by each."""
        return {row[0]: int(row[1]) for row in self._run(_OF_HOLDS)}

    def let_go(self, at: datetime, *, row_id: int | None = None, tenant: str | None = None) -> int:
        """This held message, or those of this tenant, or all, are due; answers how many."""
        if row_id is not None:
            return self._run(_LET_GO_ONE, {"row": row_id, "due_at": at}).rowcount
        if tenant is not None:
            return self._run(_LET_GO_TENANT, {"of_tenant": tenant, "due_at": at}).rowcount
        return self._run(_LET_GO, {"due_at": at}).rowcount

    def outbox(self, states: Iterable[OutboxState] = (), limit: int = 1000) -> Sequence[OutboxRow]:
        """The newest `limit` rows in any of the states, or in all states, oldest of them first."""
        if wanted := list(states):
            rows = self._run(_NEWEST_IN, {"limit": limit, "states": wanted})
        else:
            rows = self._run(_NEWEST, {"limit": limit})
        return [OutboxRow(*row) for row in rows][::-1]

    def outbox_row(self, row_id: int) -> OutboxRow | None:
        """The row of this id."""
        row = self._run(_ONE, {"row": row_id}).first()
        return OutboxRow(*row) if row else None

    def by_message_id(self, message_id: str) -> OutboxRow | None:
        """The newest row that was rendered with this Message-ID."""
        row = self._run(_BY_MESSAGE_ID, {"message_id": message_id}).first()
        return OutboxRow(*row) if row else None

    def retry(self, row_id: int, at: datetime) -> bool:
        """Dead or dropped rows become pending again, with no attempts; False for any other."""
        return bool(self._run(_RETRY, {"row": row_id, "due_at": at}).rowcount)

    def drop(self, row_id: int) -> bool:
        """Never send it; False for a row that is sent, dropped or just being sent."""
        return bool(self._run(_DROP, {"row": row_id, "now": self._now(self._connection)}).rowcount)

    def withdraw(self, row_id: int, why: str) -> None:
        """Do not send what was claimed to be sent."""
        self._run(_WITHDRAW, {"row": row_id, "error": why})

    def held(self) -> str | None:
        """The reason of the hold, None when sending is allowed."""
        return self.switch(_HOLD)

    def hold(self, reason: str | None) -> None:
        """Stop all sending for this reason, or allow it again with None. Survives restarts."""
        self.set_switch(_HOLD, reason)

    def drop_unsent(self, error: str) -> Sequence[OutboxRow]:
        """Send nothing of what waits or is being sent, for this reason; answers those rows."""
        ids = self._run(_DROP_UNSENT, {"error": error}).scalars().all()
        return [OutboxRow(*row) for row in self._run(_ROWS, {"rows": ids})] if ids else []

    def switch(self, name: str) -> str | None:
        """What a switch says; None when it is off."""
        return self._run(_SWITCH, {"switch": name}).scalar()

    def set_switch(self, name: str, words: str | None) -> None:
        """Let it say so until it is set again; None turns it off."""
        if words is None:
            self._run(_END_SWITCH, {"switch": name})
        else:
            self._run(_SET_SWITCH, {"name": name, "reason": words})


class Sending(Rows):
    """The steps of sending; each is a transaction of its own (`SqlStore`)."""

    def room(self, way: Way, rates: Sequence[tuple[int, timedelta]], limit: int) -> int:
        """How many of `limit` the rates leave; until this unit ends nobody else may claim."""
        if rates:
            LeaseRows(self._connection, self._now).exclusive(f"rate:{way}")
            now = self._now(self._connection)
        for count, per in rates:
            window = {"by": way, "now": now, "since": now - per}
            limit = min(limit, count - self._run(_HANDED_OVER, window).scalar_one())
        return limit

    def claim(self, limit: int, lease_seconds: float, owner: str, way: Way) -> Sequence[OutboxRow]:
        """Take what is due, and what a lease ran out for; the longest due first."""
        now = self._now(self._connection)
        lease = {"due_at": now + timedelta(seconds=lease_seconds), "owner": owner}
        ids = self._run(_CLAIM, {"now": now, "limit": limit, "by": way, **lease}).scalars().all()
        return [OutboxRow(*row) for row in self._run(_ROWS, {"rows": ids})] if ids else []

    def sent(self, row_id: int) -> None:
        """It was accepted, whoever holds the row now and whatever was thought of it meanwhile.

        Who is told the end of incidents has heard all of them now.
        """
        now = self._now(self._connection)
        for ends, audience, recipients in self._run(_SENT, {"row": row_id, "sent_at": now}):
            if ends:
                reader = recipients[0] if audience == Audience.REPLY else _SUPPORT
                told = {"ended": list(ends), "reader": reader, "last_response_at": now}
                self._run(_TOLD_END, told)

    def failed(self, row_id: int, error: str, retry_at: datetime | None, owner: str) -> None:
        """Unless another process took it over: pending again at `retry_at`, or dead when None."""
        state = OutboxState.DEAD if retry_at is None else OutboxState.PENDING
        changed = {"state": state, "due_at": retry_at, "error": error}
        self._run(_FAILED, {"row": row_id, "claimed_by": owner, **changed})
