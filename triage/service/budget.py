"""How much may be sent: token buckets per recipient, per tenant and in total (design 5.4).

A bucket holds as many messages as its budget counts and is filled evenly, so in any time T no
more is sent than the count and its rate over T; and the few by which one message to several
people may overdraw it, which are made up for by waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from triage.ports import Unit
from triage.rows import Level
from triage.service.trouble import trouble
from triage.settings import Settings
from triage.settings.types import Rate

TOTAL = "total"
_NOTED_EVERY = timedelta(hours=1)
_NEARLY = 1e-6
"""What times in microseconds may lack."""


@dataclass(frozen=True, slots=True)
class Charge:
    """Whose budgets a message is charged to, besides the total."""

    tenant: str | None = None
    recipient: str | None = None
    """Of a reply: tickets and digests go to readers whom the operator chose for that."""


def tokens(level: Level | None, rate: Rate, now: datetime) -> float:
    """How many messages the bucket has now; one that was never used is full."""
    if level is None:
        return float(rate.count)
    passed = max(timedelta(), now - level.at)
    return min(float(rate.count), level.tokens + passed / rate.per * rate.count)


class Budgets:
    """The budgets of the settings over the levels that the store keeps."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = structlog.get_logger()

    def wait(
        self,
        unit: Unit,
        charge: Charge,
        now: datetime,
        ahead: Counter[str] | None = None,
        *,
        leave_half: bool = False,
    ) -> datetime | None:
        """None when there is room; else until when there is none, and support is told.

        `ahead` counts those that wait for each budget and have their turn before; it grows. With
        `leave_half` there is room only where half of each bucket is left to what cannot wait, and
        nobody is told: it is meant to wait.
        """
        ahead = Counter() if ahead is None else ahead
        rates = dict(self._rates(charge))
        levels = unit.levels(list(rates))
        frees = {
            name: now + (needs - has + ahead[name]) / rate.count * rate.per
            for name, rate in rates.items()
            if (has := tokens(levels.get(name), rate, now))
            < (needs := _needs(rate, leave_half=leave_half)) - _NEARLY
        }
        if not frees:
            return None
        ahead.update(frees.keys())
        name, until = max(frees.items(), key=lambda one: one[1])
        if leave_half:
            self._log.info("budget_left", budget=name, until=until.isoformat())
            return until
        words = (
            f"The budget {name} is used up. What is due waits until it is free again, from about "
            f"{until:%Y-%m-%d %H:%M} UTC on. See triage status."
        )
        key = f"budget {name}"
        trouble(unit, self._settings, key, "Budget used up", words, now, every=_NOTED_EVERY)
        self._log.warning("budget", budget=name, until=until.isoformat())
        return until

    def spend(self, unit: Unit, charge: Charge, messages: int, now: datetime) -> None:
        """Take so many messages, all at once; the bucket may owe some of them."""
        rates = dict(self._rates(charge))
        levels = unit.levels(list(rates))
        unit.save_levels(
            {name: _left(levels.get(name), rate, messages, now) for name, rate in rates.items()}
        )

    def spent(self, unit: Unit, now: datetime) -> int:
        """Messages of the budget `total` that are used up now."""
        rate = self._settings.budgets.total
        return round(rate.count - tokens(unit.levels([TOTAL]).get(TOTAL), rate, now))

    def _rates(self, charge: Charge) -> Iterator[tuple[str, Rate]]:
        budgets = self._settings.budgets
        yield TOTAL, budgets.total
        if charge.tenant:
            yield f"per_tenant of {charge.tenant}", budgets.per_tenant
        if charge.recipient:
            yield f"per_recipient of {charge.recipient.lower()}", budgets.per_recipient


def _needs(rate: Rate, *, leave_half: bool) -> float:
    """How full a bucket must be for one message; a full one always suffices."""
    return min(rate.count, 1 + rate.count / 2) if leave_half else 1


def _left(level: Level | None, rate: Rate, messages: int, now: datetime) -> Level:
    # A clock that went back must not fill the bucket twice.
    at = max(now, level.at) if level else now
    return Level(tokens(level, rate, now) - messages, at)
