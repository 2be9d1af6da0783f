"""Tickets made lately: what every process knows of them before a search finds them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from triage.ports import Clock, Store, Unit

SWITCH = "fresh tickets"
_KEPT = 86_400.0
"""Seconds beyond `left`; what waits to be told again is due long before."""
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """A ticket that was made, is being made, or was perhaps made."""

    ticket: str
    """Its id in the ticket system; "" when that is not known, and perhaps there is none."""
    telling: str
    """The id of the telling that it was made of."""
    unclear: int = 0
    """How often the ticket system took it and gave no clear answer."""
    left: float = 0.0
    """Seconds for which a search may not find it."""


class Fresh:
    """One switch of the store that holds all of them by external id; the oldest are let go.

    So it holds over a restart, and for every process of the store. Every method is a transaction
    and raises StoreError.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def of(self, external_id: str) -> Made | None:
        """What is known of the ticket with this external id."""
        with self._store.unit() as unit:
            row = _rows(unit).get(external_id)
        return self._made(row) if row else None

    def begin(self, external_id: str, made: Made, before: Made | None) -> bool:
        """Keep it instead of `before`, from `of`, unless a search may not yet find that: False.

        Also when something else was kept meanwhile, for a search made before that is out of date.
        """
        with self._store.unit() as unit:
            unit.exclusive(SWITCH)
            rows = _rows(unit)
            row = rows.get(external_id)
            now = self._made(row) if row else None
            if now is not None and (
                now.left > 0 or before is None or replace(before, left=now.left) != now
            ):
                return False
            self._save(unit, rows, external_id, made)
        return True

    def keep(self, external_id: str, made: Made | None) -> None:
        """Keep this instead of what is kept; None for nothing."""
        with self._store.unit() as unit:
            unit.exclusive(SWITCH)
            self._save(unit, _rows(unit), external_id, made)

    def _made(self, row: dict[str, Any]) -> Made:
        made = Made(**row)
        return replace(made, left=made.left - self._now())

    def _save(
        self, unit: Unit, rows: dict[str, dict[str, Any]], external_id: str, made: Made | None
    ) -> None:
        now = self._now()
        rows.pop(external_id, None)
        if made is not None:
            rows[external_id] = asdict(replace(made, left=made.left + now))
        kept = [one for one in rows.items() if one[1]["left"] + _KEPT > now][-_MOST:]
        unit.set_switch(SWITCH, json.dumps(dict(kept)) if kept else None)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _rows(unit: Unit) -> dict[str, dict[str, Any]]:
    """By external id, the one kept last at the end; `left` is counted from 1970."""
    rows: dict[str, dict[str, Any]] = json.loads(unit.switch(SWITCH) or "{}")
    return rows
