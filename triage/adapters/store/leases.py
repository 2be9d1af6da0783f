"""Who does what, where several processes share a database: leases with fencing tokens.

A lease says which process watches a mailbox. One that was paused, or lost its way to the
database, may believe in its lease after another took it over: so every unit that writes for a
mailbox shows its token, and is undone when it is an old one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, case, delete, func, select, text, update

from triage.adapters.store.rows import Rows, on_both
from triage.adapters.store.schema import Moment, leases, outbox
from triage.ports import LeaseLost
from triage.rows import OutboxState

PROCESS = "process:"
"""Before the owner's name: the lease by which a process shows that it lives."""

_NOW = bindparam("now", type_=Moment)


def _take(insert: Any) -> Any:
    statement = insert(leases).values(token=1)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "owner": new.owner,
            "token": case((leases.c.owner == new.owner, leases.c.token), else_=leases.c.token + 1),
            "expires_at": new.expires_at,
        },
        where=(leases.c.owner == new.owner) | (leases.c.expires_at <= _NOW),
    ).returning(leases.c.token)


_TAKE = on_both(_take)
_TAKEN = select(leases.c.token).where(
    leases.c.name == bindparam("lease"),
    leases.c.owner != bindparam("holder"),
    leases.c.expires_at > _NOW,
)
_RENEW = (
    update(leases)
    .where(leases.c.owner == bindparam("holder"))
    .values(expires_at=bindparam("until", type_=Moment))
)
_GIVE_BACK = (
    update(leases)
    .where(leases.c.owner == bindparam("holder"), leases.c.name == bindparam("lease"))
    .values(owner="", expires_at=_NOW)
)
_END = update(leases).where(leases.c.name == bindparam("lease")).values(expires_at=_NOW)
_HELD = (
    select(leases.c.token)
    .where(leases.c.name == bindparam("lease"))
    # Until this unit ends nobody can take it over.
    .with_for_update(read=True)
)
_LATE = select(leases.c.token).where(
    leases.c.name == bindparam("lease"), leases.c.expires_at <= _NOW
)
_LIVING = select(func.count()).where(
    leases.c.name.startswith(PROCESS, autoescape=True), leases.c.expires_at > _NOW
)
# One that lives after all is just renewing its lease, and one may be forgotten by another.
_DEAD = (
    select(leases.c.name)
    .where(leases.c.name.startswith(PROCESS, autoescape=True), leases.c.expires_at <= _NOW)
    .with_for_update(skip_locked=True)
    .cte("picked")
    .prefix_with("MATERIALIZED")
)
_FORGET_DEAD = (
    delete(leases).where(leases.c.name.in_(select(_DEAD.c.name))).returning(leases.c.owner)
)
_FORGET_ALL = delete(leases)
# Nobody needs to wait for the end of a dead process's claims.
_FREE_ALL = update(outbox).where(outbox.c.state == OutboxState.SENDING).values(due_at=_NOW)
_FREE = _FREE_ALL.where(outbox.c.owner.in_(bindparam("dead", expanding=True)))
# In the order of the keys, whatever the names: two units that ask for the same ones do not wait
# for each other for ever. The planner keeps a subquery that is sorted as it is.
_EXCLUSIVE = text(
    "SELECT pg_advisory_xact_lock(key) FROM (SELECT DISTINCT hashtextextended(name, 0) AS key"
    " FROM unnest(CAST(:names AS text[])) AS name ORDER BY key) AS sorted"
)


class LeaseRows(Rows):
    """What a unit may ask of the leases."""

    def fenced(self, name: str, token: int) -> None:
        """Raises LeaseLost unless the token is the newest of this lease."""
        held = self._run(_HELD, {"lease": name}).scalar()
        if held != token:
            raise LeaseLost(f"another process took over {name}")

    def exclusive(self, *names: str) -> None:
        """From here to the end of the unit, no other process is in a unit of any of these names.

        Whoever needs several asks for all at once, so that none waits for another for ever.
        """
        if self._engine == "postgresql":  # SQLite has one writer at a time anyway
            self._run(_EXCLUSIVE, {"names": list(names)})


class Leasing(Rows):
    """The steps of leasing; each is a transaction of its own (`SqlStore`)."""

    def take(self, name: str, seconds: float, owner: str) -> int | None:
        """The token; None while another process holds it."""
        now = self._now(self._connection)
        # Asked before, because to take it would wait for the end of the holder's unit.
        if self._run(_TAKEN, {"lease": name, "holder": owner, "now": now}).first():
            return None
        values = {"name": name, "owner": owner, "now": now}
        until = now + timedelta(seconds=seconds)
        token = self._run(_TAKE, values | {"expires_at": until}).scalar()
        return None if token is None else int(token)

    def renew(self, seconds: float, owner: str) -> bool:
        """Extend all leases of the owner, and show that it lives; answers whether in time."""
        now = self._now(self._connection)
        mine = PROCESS + owner
        late = self._run(_LATE, {"lease": mine, "now": now}).first()
        self._run(_RENEW, {"holder": owner, "until": now + timedelta(seconds=seconds)})
        self.take(mine, seconds, owner)
        return late is None

    def bury(self) -> None:
        """Free what was claimed by processes whose lease ran out.

        Not in the transaction of a renewal, and not by one that comes late itself: after an outage
        of the database each would find the others dead, which are just coming back.
        """
        now = self._now(self._connection)
        if dead := self._run(_FORGET_DEAD, {"now": now}).scalars().all():
            self._run(_FREE, {"now": now, "dead": list(dead)})

    def living(self) -> int:
        """How many processes show that they live."""
        now = self._now(self._connection)
        return int(self._run(_LIVING, {"now": now}).scalar_one())

    def give_back(self, name: str, owner: str) -> None:
        """Anybody may take it now."""
        values = {"lease": name, "holder": owner, "now": self._now(self._connection)}
        self._run(_GIVE_BACK, values)

    def end(self, owner: str) -> None:
        """The owner no longer lives: the others need not wait until its lease runs out."""
        self._run(_END, {"lease": PROCESS + owner, "now": self._now(self._connection)})

    def forget(self) -> None:
        """Nobody holds anything, and nothing is claimed: whoever did is dead."""
        self._run(_FORGET_ALL)
        self._run(_FREE_ALL, {"now": self._now(self._connection)})
