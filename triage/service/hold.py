"""What is held until a person releases it: all of a tenant, of a rule or of a template."""

from __future__ import annotations

from datetime import datetime

import structlog

from triage.catalog.load import Catalog
from triage.ports import Unit
from triage.response.message import Audience
from triage.rows import NewOutbox, PendingResponse
from triage.service.trouble import trouble
from triage.settings import Settings


def check_holds(settings: Settings, catalog: Catalog) -> tuple[str, ...]:
    """Templates that are held and that no rule names: mistyped, they would hold nothing."""
    named = {rule.remediation.template for rule in catalog.rules.values()}
    strangers = (name for name in settings.catalog.hold if name not in named)
    return tuple(f"catalog.hold: no rule has a template {name}" for name in strangers)


class Holds:
    """Which messages the settings and the catalog hold, and how support hears of it."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._tenants = settings.all_tenants()
        self._log = structlog.get_logger()

    def of(self, pending: PendingResponse) -> str:
        """What holds a reply or a ticket, such as `tenant northwind`; "" for nothing."""
        incident = pending.incident
        if incident.kind == "own":
            return ""
        if by_tenant := self.of_tenant(incident.tenant):
            return by_tenant
        rule = self._catalog.rules.get(incident.rule or "")
        if rule is None:
            return ""
        if rule.remediation.hold:
            return f"rule {rule.id}"
        template = rule.remediation.template
        held = pending.audience == Audience.REPLY and template in self._settings.catalog.hold
        return f"template {template}" if held else ""

    def of_tenant(self, name: str | None) -> str:
        """What holds any message about this tenant; "" for nothing."""
        tenant = self._tenants.named(name)
        return f"tenant {tenant.name}" if tenant is not None and tenant.hold else ""

    def queue(self, unit: Unit, message: NewOutbox, held: str, now: datetime) -> bool:
        """Queue it, or let it wait; of a hold for which nothing waits yet support is told."""
        first = held != "" and held not in unit.holds()
        queued = unit.enqueue(message, now, held)
        if first and queued:
            words = (
                f"What would be sent waits in the outbox, because {held} is held by the settings "
                f"or the catalog. The first message: {message.subject}\n\n"
                "See what waits: triage outbox list --state held\n"
                "Read one: triage outbox show ID\n"
                "Send it: triage outbox release ID, or --all, or --tenant NAME\n"
                "Never send it: triage outbox drop ID"
            )
            trouble(unit, self._settings, f"hold {held}", f"Held: {held}", words, now)
            self._log.warning("held", by=held)
        return queued
