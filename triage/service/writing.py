"""From a group of pending responses to the messages that are queued about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from triage.catalog.load import Catalog
from triage.ports import Unit
from triage.response.closing import closing
from triage.response.message import Audience, OutboundMessage
from triage.response.render import RenderFault, message_id, to_octets
from triage.response.reply import allowed_hosts, reply
from triage.response.templates import Templates
from triage.response.ticket import own, quiet, ticket
from triage.rows import NewOutbox, PendingResponse, Way
from triage.service.causes import cause_of_mail, may_be_off, ticket_of_incident
from triage.service.reach import answered, reader
from triage.service.tickets import ticket_row
from triage.settings import Settings


def thread_of(group: Sequence[PendingResponse], rows: Sequence[NewOutbox]) -> str:
    """The Message-ID by which the store finds the thread; each of support's has its own."""
    return rows[0].message_id if group[0].audience == Audience.REPLY else ""


class Writer:
    """Renders each group by the settings in force. One thread uses one Writer."""

    def __init__(self, settings: Settings, catalog: Catalog, templates: Templates) -> None:
        self._catalog, self._templates = catalog, templates
        self._from, self._domain = (
            settings.smtp.from_,
            settings.smtp.from_address.rpartition("@")[2],
        )
        self.restored = ""
        """When the store was restored from a backup; "" for one that never was."""
        self.take_over(settings)

    def take_over(self, settings: Settings) -> None:
        """Go on with other tenants and contacts."""
        self._settings, self._tenants = settings, settings.all_tenants()

    def rows(self, group: Sequence[PendingResponse], unit: Unit, now: datetime) -> list[NewOutbox]:
        """What is to be queued about the group. Raises TemplateFault, RenderFault."""
        first, host = group[0], self._settings.tickets.host
        if first.audience == Audience.TICKET and host and first.incident.kind != "own":
            message = self._to_support(group, host)
            return [ticket_row(first.incident, message, now, closing=first.is_closing)]
        ends = tuple(one.incident.id for one in group if one.is_closing)
        return [
            NewOutbox(
                message.message_id,
                message.audience,
                first.incident.tenant,
                self._settings.smtp.bounce_address,
                message.to,
                message.message_id,
                message.subject,
                to_octets(message, date=now),
                Way.MAIL,
                ends,
            )
            for message in self._messages(group, unit, now)
        ]

    def _messages(
        self, group: Sequence[PendingResponse], unit: Unit, now: datetime
    ) -> list[OutboundMessage]:
        """One mail to each recipient, about all of the group. Raises TemplateFault, RenderFault.

        Each of support's contacts has a mail of its own: one refused address stops no other.
        """
        if group[0].audience == Audience.TICKET:
            return [self._to_support(group, one) for one in self._settings.support.contacts]
        return [self._reply(group, unit, now)]

    def _ids(self, group: Sequence[PendingResponse], to: str) -> tuple[str, tuple[str, ...]]:
        """Message-ID and References of a mail about the group."""
        sequence = sum(one.history.responses for one in group)
        own_id = message_id(to, self._keys(group)[-1], sequence, self._domain)
        thread: list[str] = []
        for one in group:
            if one.thread:
                thread.append(one.thread)
            elif one.history.responses:
                thread += [message_id(to, key, 0, self._domain) for key in self._keys([one])]
        theirs = [own for p in group if (own := answered(p.incident, p.recipient))][:1]
        return own_id, tuple(dict.fromkeys(thread + theirs))

    def _keys(self, group: Sequence[PendingResponse]) -> list[str]:
        """What Message-IDs about the group are made of, before and since a restore."""
        key = " ".join(f"{p.incident.fingerprint}:{p.incident.episode}" for p in group)
        # What was sent since a backup is not known after it is restored, and no mail may have
        # the id of another: servers drop it as a copy.
        return [key, f"{key} {self.restored}"] if self.restored else [key]

    def _reply(
        self, group: Sequence[PendingResponse], unit: Unit, now: datetime
    ) -> OutboundMessage:
        first = group[0]
        own_id, references = self._ids(group, first.recipient)
        tenant = self._tenants.named(first.incident.tenant)
        if tenant is None:
            raise RenderFault(f"the tenant {first.incident.tenant} is no longer configured")
        if missing := {p.incident.rule or "" for p in group} - self._catalog.rules.keys():
            raise RenderFault(f"no longer in the catalog: {', '.join(sorted(missing))}")
        forwarded = any(answered(one.incident, one.recipient) is not None for one in group)
        person = reader(first.recipient, tenant, has_forwarded=forwarded)
        causes = [cause_of_mail(one, self._catalog, tenant) for one in group]
        zoned = replace(tenant, timezone=person.timezone) if person else tenant
        language = person.language if person else tenant.language
        if first.is_closing:
            still_open = unit.incidents_between(now, now)
            return closing(
                causes,
                tenant=zoned,
                recipient=first.recipient,
                language=language,
                templates=self._templates,
                from_=self._from,
                message_id=own_id,
                references=references,
                still_open=may_be_off(still_open, first.incident.tenant, self._catalog),
            )
        return reply(
            causes,
            tenant=zoned,
            recipient=first.recipient,
            language=language,
            templates=self._templates,
            from_=self._from,
            message_id=own_id,
            references=references,
            forwarded=forwarded,
        )

    def _to_support(self, group: Sequence[PendingResponse], to: str) -> OutboundMessage:
        pending = group[0]
        incident = pending.incident
        own_id, references = self._ids(group, to)
        if incident.kind == "own":
            return own(
                incident.title,
                str(incident.detail.get("text", "")),
                to=(to,),
                from_=self._from,
                templates=self._templates,
                message_id=own_id,
                references=references,
            )
        tenant = self._tenants.named(incident.tenant)
        about = [ticket_of_incident(one, self._catalog, tenant) for one in group]
        zone = ZoneInfo(self._settings.support.timezone)
        if pending.is_closing:
            return quiet(
                about,
                to=(to,),
                from_=self._from,
                templates=self._templates,
                message_id=own_id,
                references=references,
                timezone=zone,
                by_mail=self._settings.tickets.by_mail,
            )
        records = [record.url for record in about[0].records if record.url]
        return ticket(
            about[0],
            to=(to,),
            from_=self._from,
            templates=self._templates,
            message_id=own_id,
            references=references,
            timezone=zone,
            hosts=allowed_hosts(tenant, records) if tenant else frozenset(),
            by_mail=self._settings.tickets.by_mail,
        )
