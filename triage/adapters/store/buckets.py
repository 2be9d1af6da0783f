"""How full the token buckets of the budgets are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select

from triage.adapters.store.leases import LeaseRows
from triage.adapters.store.rows import on_both, replacing
from triage.adapters.store.schema import buckets
from triage.rows import Level

_LEVELS = select(buckets.c.name, buckets.c.tokens, buckets.c.updated_at).where(
    buckets.c.name.in_(bindparam("names", expanding=True))
)
_SAVE = on_both(lambda insert: replacing(insert(buckets), "name"))


class BucketRows(LeaseRows):
    """What may still be sent."""

    def levels(self, names: Sequence[str]) -> Mapping[str, Level]:
        """How full they were when last used; those that were never used are left out.

        From here to the end of the unit all buckets are its own: no other process reads them.
        """
        self.exclusive("budgets")
        rows = self._run(_LEVELS, {"names": list(names)})
        return {name: Level(tokens, updated_at) for name, tokens, updated_at in rows}

    def save_levels(self, levels: Mapping[str, Level]) -> None:
        """They are so full now; `levels` was asked before, in the same unit."""
        if levels:
            self._run(
                _SAVE,
                [
                    {"name": name, "tokens": level.tokens, "updated_at": level.at}
                    for name, level in levels.items()
                ],
            )
