"""From pending responses to the outbox, and from the outbox to the server (design 6)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parseaddr
from itertools import groupby
from zoneinfo import ZoneInfo

import structlog

from triage.catalog.load import Catalog
from triage.ports import (
    Clock,
    Fault,
    NewOutbox,
    OutboxRow,
    PendingResponse,
    Sender,
    SendError,
    Stop,
    Store,
    Unit,
)
from triage.response.message import Audience, OutboundMessage
from triage.response.render import RenderFault, message_id, to_octets
from triage.response.reply import allowed_hosts, reply
from triage.response.templates import TemplateFault, Templates
from triage.response.ticket import own, ticket
from triage.service.causes import cause_of_mail, ticket_of_incident
from triage.service.trouble import trouble
from triage.settings import Settings

CLAIMS = 20
LEASE_SECONDS = 300.0
GIVE_UP_AFTER = timedelta(days=5)
_FIRST_RETRY, _LONGEST_RETRY = 30.0, 3600.0
"""Seconds."""


class Dispatcher:
    """Renders what is due and hands over what is queued. One thread uses one Dispatcher."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        templates: Templates,
        store: Store,
        sender: Sender,
        clock: Clock,
    ) -> None:
        """All that a message needs: words, facts, and a way out."""
        self._settings, self._catalog, self._templates = settings, catalog, templates
        self._store, self._sender, self._clock = store, sender, clock
        self._tenants = settings.all_tenants()
        self._domain = settings.smtp.from_address.rpartition("@")[2]
        self._log = structlog.get_logger()

    def respond(self, due_before: datetime) -> int:
        """Render each group of responses that is due into the outbox; answers how many mails.

        What else is due for the same recipient within `group_wait` goes into the same mail.
        """
        horizon = due_before + self._settings.policy.group_wait
        with self._store.unit() as unit:
            waiting = sorted(unit.pending(horizon), key=_group)
        queued = 0
        for _, members in groupby(waiting, key=_group):
            group = list(members)
            if any(one.due_at <= due_before for one in group):
                queued += self._queue(group)
        return queued

    def _queue(self, group: Sequence[PendingResponse]) -> bool:
        now = self._clock.now()
        ids = [one.id for one in group]
        with self._store.unit() as unit:
            spent = self._spent_budget(unit, group[0], now)
            if spent:
                unit.postpone(ids, now + timedelta(minutes=10))
                words = f"The budget {spent} is used up; what is due waits until it is free again."
                trouble(unit, self._settings, f"budget {spent}", "Budget used up", words, now)
                self._log.warning("budget", budget=spent, waiting=len(ids))
                return False
            try:
                message = self._message(group)
                octets = to_octets(message, date=now)
            except (TemplateFault, RenderFault) as fault:
                unit.drop_pending(ids)
                titles = "; ".join(one.incident.title for one in group)
                words = f"{fault}\n\nWhat was not sent to {group[0].recipient}: {titles}"
                trouble(unit, self._settings, f"template {fault}", "A mail failed", words, now)
                self._log.error("not_rendered", error=str(fault))
                return False
            unit.enqueue(
                NewOutbox(
                    message.message_id,
                    message.audience,
                    group[0].incident.tenant,
                    self._settings.smtp.bounce_address,
                    message.to,
                    message.message_id,
                    message.subject,
                    octets,
                ),
                now,
            )
            unit.responded(ids, now)
        self._log.info("queued", audience=str(message.audience), causes=len(group), id=ids[0])
        return True

    def _message(self, group: Sequence[PendingResponse]) -> OutboundMessage:
        """One mail about all of the group. Raises TemplateFault or RenderFault."""
        first = group[0]
        key = " ".join(f"{p.incident.fingerprint}:{p.incident.episode}" for p in group)
        sequence = sum(one.history.responses for one in group)
        own_id = message_id(first.recipient, key, sequence, self._domain)
        thread = [message_id(first.recipient, key, 0, self._domain)] if sequence else []
        answered = next((str(p.incident.detail["answers"]) for p in group if _answers(p)), "")
        references = tuple(dict.fromkeys([*thread, answered] if answered else thread))
        if first.audience == Audience.TICKET:
            return self._to_support(first, own_id, references)
        tenant = self._tenants.named(first.incident.tenant)
        if tenant is None:
            raise RenderFault(f"the tenant {first.incident.tenant} is no longer configured")
        if missing := {p.incident.rule or "" for p in group} - self._catalog.rules.keys():
            raise RenderFault(f"no longer in the catalog: {', '.join(sorted(missing))}")
        languages = {contact.address: contact.language for contact in tenant.contacts}
        return reply(
            [cause_of_mail(one, self._catalog, tenant) for one in group],
            tenant=tenant,
            recipient=first.recipient,
            language=languages.get(first.recipient, tenant.language),
            templates=self._templates,
            from_=self._settings.smtp.from_,
            message_id=own_id,
            references=references,
            forwarded=bool(answered),
        )

    def _to_support(
        self, pending: PendingResponse, own_id: str, references: tuple[str, ...]
    ) -> OutboundMessage:
        support, incident = self._settings.support, pending.incident
        if incident.kind == "own":
            return own(
                incident.title,
                str(incident.detail.get("text", "")),
                to=support.contacts,
                from_=self._settings.smtp.from_,
                templates=self._templates,
                message_id=own_id,
                references=references,
            )
        tenant = self._tenants.named(incident.tenant)
        about = ticket_of_incident(pending, self._catalog, tenant)
        records = [record.url for record in about.records if record.url]
        return ticket(
            about,
            to=support.contacts,
            from_=self._settings.smtp.from_,
            templates=self._templates,
            message_id=own_id,
            references=references,
            timezone=ZoneInfo(support.timezone),
            hosts=allowed_hosts(tenant, records) if tenant else frozenset(),
        )

    def _spent_budget(self, unit: Unit, pending: PendingResponse, now: datetime) -> str | None:
        """The name of a budget that is used up; Triage's own troubles have none, they are few."""
        if pending.incident.kind == "own":
            return None
        budgets = self._settings.budgets
        if unit.sent_since(now - budgets.total.per) >= budgets.total.count:
            return "total"
        tenant, rate = pending.incident.tenant, budgets.per_tenant
        if tenant and unit.sent_since(now - rate.per, tenant=tenant) >= rate.count:
            return f"per_tenant of {tenant}"
        if pending.audience == Audience.TICKET:
            return None  # support's tickets are bounded by tenant, by incident and in total
        address, rate = pending.recipient, budgets.per_recipient
        if unit.sent_since(now - rate.per, recipient=address) >= rate.count:
            return f"per_recipient of {address}"
        return None

    # Outbox to server ----------------------------------------------------------------

    def send(self, stop: Stop | None = None) -> int:
        """Hand over what is due; answers how many were accepted.

        A claim is finished before the next is taken, so that a stop loses nothing.
        """
        accepted = 0
        while not (stop and stop.is_set()) and (rows := self._store.claim(CLAIMS, LEASE_SECONDS)):
            for row in rows:
                accepted += self._send(row)
        return accepted

    def _send(self, row: OutboxRow) -> bool:
        try:
            self._sender.send(row.octets, row.sender, row.recipients)
        except SendError as error:
            self._failed(row, error)
            return False
        self._store.mark_sent(row.id)
        self._log.info("sent", outbox=row.id, audience=row.audience, attempts=row.attempts)
        return True

    def _failed(self, row: OutboxRow, error: SendError) -> None:
        now = self._clock.now()
        wait = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(row.attempts, 10))
        retry_at = now + timedelta(seconds=wait * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
        given_up = error.fault is Fault.PERMANENT or retry_at > row.created_at + GIVE_UP_AFTER
        self._store.mark_failed(row.id, str(error), None if given_up else retry_at)
        self._log.warning(
            "not_sent", outbox=row.id, fault=str(error.fault), dead=given_up, error=str(error)
        )
        if given_up and row.audience != Audience.OWN:
            with self._store.unit() as unit:
                words = (
                    f"Message {row.id} ({row.subject}) could not be delivered: {error}\n\n"
                    f"See it: triage outbox show {row.id}\n"
                    f"Send it again: triage outbox retry {row.id}"
                )
                trouble(unit, self._settings, "dead letters", "Mail not delivered", words, now)


def _group(pending: PendingResponse) -> tuple[str, str, str, int]:
    """Replies to one recipient about one tenant are one mail; each ticket is its own."""
    alone = pending.incident.id if pending.audience == Audience.TICKET else 0
    return (pending.audience, pending.recipient, pending.incident.tenant or "", alone)


def _answers(pending: PendingResponse) -> bool:
    """Whether it goes to the person who forwarded, as an answer to that mail."""
    detail = pending.incident.detail
    return bool(detail.get("answers")) and detail.get("by") == parseaddr(pending.recipient)[1]
