"""The weekly digests: on schedule and by command, once per week, audience and reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim

from triage.catalog.load import Catalog
from triage.incident.policy import reachable_contacts
from triage.incident.trend import WEEKS, IncidentTrend
from triage.ports import Clock, Store
from triage.response.content import SUPPORT_AUDIENCE
from triage.response.counted import build
from triage.response.digest import digest, digest_key
from triage.response.message import Audience, OutboundMessage
from triage.response.render import RenderFault, message_id, to_octets
from triage.response.templates import TemplateFault, Templates
from triage.response.weeks import last_complete_week, week_bounds, week_edges
from triage.rows import NewOutbox
from triage.service.budget import Budgets, Charge
from triage.service.hold import Holds
from triage.service.reach import unreachable
from triage.service.restored import restored_at
from triage.service.trouble import trouble
from triage.settings import ConfigurationError, Settings
from triage.tenant import Tenant

AT_ONCE = 20
"""Digests that are made in one turn: replies are sent by the same loop, and go out in between."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the store answered of a week in one time zone, by tenant."""

    incidents: Mapping[str | None, Sequence[IncidentTrend]]
    own: Sequence[IncidentTrend]
    mails: Mapping[tuple[str, str | None], int]

    def of(self, tenant: Tenant | None) -> Sequence[IncidentTrend]:
        """All for support; for a tenant its own, and what bounced."""
        if tenant is None:
            return [*(one for those in self.incidents.values() for one in those), *self.own]
        return [*self.incidents.get(tenant.name, ()), *self.own]


class _Asking:
    """Asks the store once for each week and zone, however many read of it. Lives for one call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: dict[tuple[str, ZoneInfo], _Asked] = {}

    def week(self, week: str, zone: ZoneInfo) -> _Asked:
        """Raises ValueError for a week that is none."""
        if (week, zone) not in self._asked:
            self._asked[week, zone] = self._ask(week, zone)
        return self._asked[week, zone]

    def _ask(self, week: str, zone: ZoneInfo) -> _Asked:
        with self._store.unit() as unit:
            trends = unit.trends(week_edges(week, zone, WEEKS))
            mails = unit.verdicts(*week_bounds(week, zone))
        incidents: defaultdict[str | None, list[IncidentTrend]] = defaultdict(list)
        for one in trends:
            if one.kind != "own":
                incidents[one.tenant].append(one)
        return _Asked(incidents, [one for one in trends if one.kind == "own"], mails)


class Weekly:
    """Makes digests from the store; the same week gives the same digest at any later time."""

    def __init__(
        self, settings: Settings, catalog: Catalog, templates: Templates, store: Store, clock: Clock
    ) -> None:
        """Readers and schedule come from the settings."""
        self._settings, self._catalog, self._templates = settings, catalog, templates
        self._store, self._clock = store, clock
        self._domain = settings.smtp.from_address.rpartition("@")[2]
        self._budgets, self._holds = Budgets(settings), Holds(settings, catalog)
        self._settled = set[str]()
        """Keys of what needs no other try: queued, or the templates of this process fail it."""
        self._log = structlog.get_logger()

    def send_due(self) -> int:
        """Queue what the schedule wants by now, `AT_ONCE` at most; answers how many.

        The rest is for the next calls. Made up for after downtime.
        """
        section = self._settings.digest
        now = self._clock.now().astimezone(ZoneInfo(section.timezone))
        scheduled = next(CronSim(section.schedule, now + timedelta(minutes=1), reverse=True))
        with self._store.unit() as unit:
            first, restored = unit.first_seen(), restored_at(unit)
        if first is None or first > scheduled:
            return 0  # nobody watched before this time: there is no week to tell of
        if restored is not None and restored > scheduled:
            return 0  # perhaps sent since the backup was made; `digest --send` sends it
        asking = _Asking(self._store)
        queued = 0
        for tenant, reader in self._readers():
            week = last_complete_week(scheduled, self._zone(tenant))
            if _key(week, tenant, reader) in self._settled:
                continue
            if queued == AT_ONCE or not self._has_room():
                break
            queued += self._send(asking, week, tenant, reader)
        return queued

    def send(self, week: str) -> int:
        """Queue the digests of a week for all readers that did not have it; answers how many."""
        asking = _Asking(self._store)
        return sum(self._send(asking, week, tenant, reader) for tenant, reader in self._readers())

    def _has_room(self) -> bool:
        """Whether the budget of all has room; else there is none for any reader."""
        with self._store.unit() as unit:
            now = self._clock.now()
            return self._budgets.wait(unit, Charge(), now, leave_half=True) is None

    def is_over(self, week: str) -> bool:
        """Whether the week has ended for all its readers."""
        zones = {self._zone(tenant) for tenant, _ in self._readers()}
        return all(week_bounds(week, zone)[1] <= self._clock.now() for zone in zones)

    def _zone(self, tenant: Tenant | None) -> ZoneInfo:
        """The reader's time zone."""
        return ZoneInfo(tenant.timezone if tenant else self._settings.digest.timezone)

    def texts(self, week: str | None) -> tuple[str, list[str]]:
        """The week, and its digest for each audience as text; the last that is over for all.

        Raises ConfigurationError for a week that is none.
        """
        zone = ZoneInfo(self._settings.digest.timezone)
        zones = {self._zone(tenant) for tenant, _ in self._readers()} | {zone}
        week = week or min(last_complete_week(self._clock.now(), one) for one in zones)
        try:
            week_bounds(week, zone)
        except ValueError as error:
            raise ConfigurationError([f"--week: {error}"]) from error
        audiences = dict(self._readers()) or {None: SUPPORT_AUDIENCE}
        asking = _Asking(self._store)
        messages = [self._message(asking, week, t, reader) for t, reader in audiences.items()]
        return week, [f"{message.subject}\n\n{message.text}" for message in messages]

    def _readers(self) -> Iterator[tuple[Tenant | None, str]]:
        """Each audience and reader whom mail reaches; None is support."""
        for address in self._settings.digest.recipients:
            yield None, address
        with self._store.unit() as unit:
            bouncing = {one.address for one in unreachable(unit, self._clock.now())}
        for tenant in self._settings.all_tenants():
            reached = reachable_contacts(tenant, bouncing)
            for contact in tenant.contacts:
                if contact.digest and contact.address in reached:
                    yield (
                        replace(tenant, language=contact.language, timezone=contact.timezone),
                        contact.address,
                    )

    def _send(self, asking: _Asking, week: str, tenant: Tenant | None, reader: str) -> bool:
        key, charge = _key(week, tenant, reader), Charge(tenant.name if tenant else None)
        now = self._clock.now()
        with self._store.unit() as unit:
            if unit.has_key(key):
                self._settled.add(key)
                return False
            if self._budgets.wait(unit, charge, now, leave_half=True):
                return False
        # Outside of a unit: nobody who writes waits for the making.
        row = self._row(asking, key, week, tenant, reader)
        if row is None:
            return False
        with self._store.unit() as unit:
            if self._budgets.wait(unit, charge, now, leave_half=True):
                return False
            queued = self._holds.queue(unit, row, self._holds.of_tenant(charge.tenant), now)
            if queued:
                self._budgets.spend(unit, charge, 1, now)
        self._settled.add(key)
        self._log.info("digest_queued", week=week, audience=charge.tenant or SUPPORT_AUDIENCE)
        return queued

    def _row(
        self, asking: _Asking, key: str, week: str, tenant: Tenant | None, reader: str
    ) -> NewOutbox | None:
        """The digest, ready to be queued; None when it cannot be made, and support is told."""
        now = self._clock.now()
        try:
            message = self._message(asking, week, tenant, reader)
            octets = to_octets(message, date=now)
        except (TemplateFault, RenderFault) as fault:
            words = f"The digest of {week} for {reader} could not be made: {fault}"
            with self._store.unit() as unit:
                trouble(unit, self._settings, f"digest {week}", "Digest not made", words, now)
            self._settled.add(key)
            self._log.error("digest_not_rendered", week=week, error=str(fault))
            return None
        return NewOutbox(
            key,
            Audience.DIGEST,
            tenant.name if tenant else None,
            self._settings.smtp.bounce_address,
            message.to,
            message.message_id,
            message.subject,
            octets,
        )

    def _message(
        self, asking: _Asking, week: str, tenant: Tenant | None, reader: str
    ) -> OutboundMessage:
        section = self._settings.digest
        zone = self._zone(tenant)
        asked = asking.week(week, zone)
        content = build(
            week,
            timezone=zone,
            audience=tenant,
            incidents=asked.of(tenant),
            mails=asked.mails,
            rules=self._catalog.rules,
        )
        return digest(
            content,
            recipient=reader,
            from_=self._settings.smtp.from_,
            templates=self._templates,
            message_id=message_id(reader, _key(week, tenant, reader), 0, self._domain),
            timezone=zone,
            language=tenant.language if tenant else section.language,
        )


def _key(week: str, tenant: Tenant | None, reader: str) -> str:
    return digest_key(week, tenant.name if tenant else SUPPORT_AUDIENCE, reader)
