"""An incident as it was over the last weeks, from what has a time and does not change later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from triage.catalog.rule import Severity

WEEKS = 8
"""How many weeks a trend has."""


@dataclass(frozen=True, slots=True)
class IncidentTrend:
    """What an incident was at the end of a week; asked for later, it is the same."""

    id: int
    fingerprint: str
    episode: int
    tenant: str | None
    rule: str | None
    kind: str
    title: str
    severity: Severity
    opened_at: datetime
    closed_at: datetime | None
    """None as well when it was closed later."""
    sandbox: bool = False
    reason: str = ""
    """Why something or nothing is done about it."""
    apart: str = ""
    """A reason for which it shares no incident with others, `not_our_integration` or of APART."""
    about: str = ""
    """Of a trouble of our own: what it is about."""
    example: str = ""
    """Of one that no rule knows: how its first notification began, as it stood there."""
    counts: tuple[int, ...] = (0,) * WEEKS
    """Notifications in each week, the named week last."""
    by_reason: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Notifications per reason, in the last week and in all."""
    last_at: datetime | None = None
    """The newest notification of these weeks; None when there is none."""
    told_at: datetime | None = None
    """When instructions about it were first sent and did not come back; None for not by then."""

    @property
    def count(self) -> int:
        """Notifications in the last week."""
        return self.counts[-1]

    @property
    def before(self) -> int:
        """Notifications in the week before."""
        return self.counts[-2]

    @property
    def total(self) -> int:
        """Notifications in all of the weeks."""
        return sum(self.counts)
