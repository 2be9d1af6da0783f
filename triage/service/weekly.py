"""The weekly digests: on schedule and by command, once per week, audience and reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim

from triage.catalog.load import Catalog
from triage.incident.policy import reachable_contacts
from triage.incident.trend import WEEKS
from triage.ports import Clock, Store, Unit
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

SUPPORT_AUDIENCE = "support"


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
        self._log = structlog.get_logger()

    def send_due(self) -> int:
        """Queue what the schedule wants by now; answers how many. Made up for after downtime."""
        section = self._settings.digest
        now = self._clock.now().astimezone(ZoneInfo(section.timezone))
        scheduled = next(CronSim(section.schedule, now + timedelta(minutes=1), reverse=True))
        with self._store.unit() as unit:
            first, restored = unit.first_seen(), restored_at(unit)
        if first is None or first > scheduled:
            return 0  # nobody watched before this time: there is no week to tell of
        if restored is not None and restored > scheduled:
            return 0  # perhaps sent since the backup was made; `digest --send` sends it
        return sum(
            self._send(last_complete_week(scheduled, self._zone(tenant)), tenant, reader)
            for tenant, reader in self._readers()
        )

    def send(self, week: str) -> int:
        """Queue the digests of a week for all readers that did not have it; answers how many."""
        return sum(self._send(week, tenant, reader) for tenant, reader in self._readers())

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
        with self._store.unit() as unit:
            messages = [self._message(unit, week, t, reader) for t, reader in audiences.items()]
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

    def _send(self, week: str, tenant: Tenant | None, reader: str) -> bool:
        audience = tenant.name if tenant else SUPPORT_AUDIENCE
        key, charge = digest_key(week, audience, reader), Charge(tenant.name if tenant else None)
        now = self._clock.now()
        with self._store.unit() as unit:
            if unit.has_key(key) or self._budgets.wait(unit, charge, now):
                return False
            try:
                message = self._message(unit, week, tenant, reader)
                octets = to_octets(message, date=now)
            except (TemplateFault, RenderFault) as fault:
                words = f"The digest of {week} for {reader} could not be made: {fault}"
                trouble(unit, self._settings, f"digest {week}", "Digest not made", words, now)
                self._log.error("digest_not_rendered", week=week, error=str(fault))
                return False
            queued = self._holds.queue(
                unit,
                NewOutbox(
                    key,
                    Audience.DIGEST,
                    tenant.name if tenant else None,
                    self._settings.smtp.bounce_address,
                    message.to,
                    message.message_id,
                    message.subject,
                    octets,
                ),
                self._holds.of_tenant(charge.tenant),
                now,
            )
            self._budgets.spend(unit, charge, 1, now)
        self._log.info("digest_queued", week=week, audience=audience)
        return queued

    def _message(
        self, unit: Unit, week: str, tenant: Tenant | None, reader: str
    ) -> OutboundMessage:
        section = self._settings.digest
        zone = self._zone(tenant)
        content = build(
            week,
            timezone=zone,
            audience=tenant,
            incidents=unit.trends(week_edges(week, zone, WEEKS)),
            mails=unit.verdicts(*week_bounds(week, zone)),
            rules=self._catalog.rules,
        )
        audience = tenant.name if tenant else SUPPORT_AUDIENCE
        return digest(
            content,
            recipient=reader,
            from_=self._settings.smtp.from_,
            templates=self._templates,
            message_id=message_id(reader, digest_key(week, audience, reader), 0, self._domain),
            timezone=zone,
            language=tenant.language if tenant else section.language,
        )
