"""What a digest says, as values."""

# ruff: noqa: D102 - attributes of rows are said by the class

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from triage.catalog.rule import Status
from triage.incident.trend import IncidentTrend
from triage.response.markdown import Bar

MAX_ROWS = 30
"""Rows of one list; of the others the number is given."""
TREND_ROWS = 10
"""Rows of one list with trends: mail programs cut what has more than 100 kB."""
UNKNOWN_TENANT = "unknown tenant"
SUPPORT_AUDIENCE = "support"
"""Whose digest is about all tenants; the others are called as their tenant."""
GROWS_FROM = 3
"""Notifications in a week, of which an incident can be called growing."""
ALIVE_WEEKS = 3
"""In so many of the seven weeks before a tenant had notifications, if their end is news."""


class Remediation(Protocol):
    """What the digest needs of a remedy."""

    @property
    def action(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def summary(self) -> str: ...


class KnownError(Protocol):
    """What the digest needs of a rule."""

    @property
    def title(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def disables_integration(self) -> str: ...
    @property
    def remediation(self) -> Remediation: ...


@dataclass(frozen=True, slots=True)
class Held:
    """How many notifications were not answered, for one reason."""

    reason: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class Running:
    """An incident in the reader's words."""

    incident: IncidentTrend
    title: str
    summary: str = ""
    """What an admin is to do, in a sentence; "" in support's digest where no admin is told."""
    example: str = ""
    """How a notification of it reads, without addresses, ids and numbers."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What became of the incidents of one rule after instructions went out, in eight weeks."""

    rule: str
    title: str
    template: str
    told: int
    quiet: int
    """Closed, and did not come again before the end."""
    relapsed: int
    """Came again after they had been closed."""
    running: int
    days: int
    """Median of the whole days without a notification before a relapse."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A tenant of whom there was nothing this week.

    Before there was something in several weeks, or a report that it was switched off.
    """

    tenant: str
    counts: tuple[int, ...]
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Bounce:
    """An address from which our mail came back."""

    address: str
    status: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget, and the tenant or recipient whose it is; the total is nobody's."""

    name: str
    whose: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule, and how often."""

    rule: str
    title: str
    count: int


@dataclass(frozen=True, slots=True)
class Debt:
    """What the catalog owes: rules that nobody has confirmed, or that mails no longer fit."""

    experimental: tuple[Entry, ...] = ()
    """Notifications of eight weeks that such rules recognised."""
    drifted: tuple[Entry, ...] = ()
    """Incidents of eight weeks in which a fact was missing that the rule requires."""
    similar: tuple[Entry, ...] = ()
    """Incidents of eight weeks whose words were only similar to the rule's."""
    never: tuple[str, ...] = ()
    """Rules that nothing matched in eight weeks."""


@dataclass(frozen=True, slots=True)
class DigestContent:
    """Everything that one digest says. Lists are as long as they are; templates cut them."""

    week: str
    start: datetime
    end: datetime
    audience: str
    """`support`, or the name of a tenant."""
    off: tuple[Running, ...]
    """Open at the end of the week, and the integration is switched off."""
    at_risk: tuple[Running, ...]
    """Open at the end of the week, and the integration may be switched off."""
    off_before: tuple[Running, ...]
    """Was reported as switched off, closed within the eight weeks and not heard of since."""
    at_risk_before: tuple[Running, ...]
    """The same of what may have been switched off."""
    opened: tuple[Running, ...]
    growing: tuple[Running, ...]
    """Open, older than the week, `GROWS_FROM` notifications, and half again as many as before."""
    closed: tuple[Running, ...]
    known: tuple[Bar, ...]
    """Notifications per known error, and per tenant for support; most first."""
    tenants: tuple[Bar, ...]
    """Notifications per tenant; empty in a tenant's own digest."""
    remedies: tuple[Remedy, ...]
    silent: tuple[Silent, ...]
    unknown: tuple[Running, ...]
    suspicious: tuple[Running, ...]
    own: tuple[Running, ...]
    """Triage's own troubles, without bounces and budgets."""
    held: tuple[Held, ...]
    bounced: tuple[Bounce, ...]
    budgets: tuple[Budget, ...]
    """Those that were used up at some time of the week."""
    over_budget: tuple[tuple[str, int], ...]
    """Tenants, and how many of their notifications had an answer that waited for a budget."""
    debt: Debt
    mails: int
    """Mails judged in the week."""
    not_ours: int
    notifications: int
    before: int
    """Notifications in the week before."""
    quarantined: int
    """Mails of the week that could not be read within their limits."""
