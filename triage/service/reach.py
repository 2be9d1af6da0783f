"""Whom our mails reach: what delivery reports say, and what shows later that it is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from email.utils import parseaddr

import structlog

from triage.incident.detail import forwarders
from triage.incident.incident import Incident
from triage.incident.policy import reachable_contacts
from triage.mail.authenticity import Authenticity
from triage.mail.message import OWN_PREFIX, DeliveryReport
from triage.pipeline import Reading
from triage.ports import Unit
from triage.response.message import Audience
from triage.response.render import RenderFault
from triage.rows import OutboxRow, Undeliverable
from triage.service.trouble import note, trouble
from triage.settings import Settings
from triage.tenant import Contact, Tenant, Tenants

UNREACHABLE_FOR = timedelta(days=30)
"""A delivery report is believed so long; then the contact is tried again."""
_AN_INSTANT = timedelta(microseconds=1)


def unreachable(unit: Unit, at: datetime) -> Sequence[Undeliverable]:
    """Those of whom a delivery report is believed at that time."""
    return [one for one in unit.undeliverable() if at - one.reported_at < UNREACHABLE_FOR]


def heard_from(unit: Unit, reading: Reading, written: datetime) -> None:
    """Whoever writes to us, proved by their own server, has an address that works again."""
    people = {
        case.notification.by.spec
        for case in reading.cases
        if case.notification.by and case.authentication.state is Authenticity.PASS
    }
    for one in unit.undeliverable() if people else ():
        if one.address in people and one.reported_at < written:
            unit.clear_undeliverable(one.address)
            structlog.get_logger().info("contact_reachable_again", status=one.status)


def take_reports(
    unit: Unit,
    reports: Iterable[DeliveryReport],
    settings: Settings,
    tenants: Tenants,
    now: datetime,
) -> None:
    """What reports about mails of ours change; all others are nobody's business."""
    for report in reports:
        ours = report.original_message_id.startswith(OWN_PREFIX)
        row = unit.by_message_id(report.original_message_id) if ours else None
        if row is None:
            continue
        # A forwarding server may report another address than the one that we wrote to.
        known = report.recipient in row.recipients
        if report.action == "failed":
            for address in (report.recipient,) if known else row.recipients:
                unit.mark_undeliverable(address, report.status, report.diagnostic[:300], now)
                words = f"{address}, status {report.status}: {report.diagnostic}"
                note(unit, f"bounce {address} {report.status}", "Mail came back", words, now)
                structlog.get_logger().warning("contact_unreachable", message_id=row.message_id)
                if row.audience == Audience.REPLY and not settings.policy.shadow:
                    _tell_others(unit, row, address, settings, tenants.named(row.tenant), now)
        elif report.action == "delivered" and known:
            unit.clear_undeliverable(report.recipient)


def reader(recipient: str, tenant: Tenant, *, has_forwarded: bool) -> Contact | None:
    """The contact to whom a mail goes; None for a person of the tenant who forwarded.

    Raises RenderFault for one who may not be written to any more: the contacts can change
    between the decision and the mail.
    """
    person = next((one for one in tenant.contacts if one.address == recipient), None)
    if person is not None and person.opt_out:
        raise RenderFault(f"{recipient} of {tenant.name} opted out of all mail")
    colleague = Tenants([tenant]).by_domain(recipient.rpartition("@")[2]) is not None
    if person is None and not (has_forwarded and colleague):
        raise RenderFault(f"{recipient} is no contact of {tenant.name} any more")
    return person


def answered(incident: Incident, recipient: str) -> str | None:
    """Message-ID of the mail in which the recipient forwarded it, "" when it has none.

    None for who did not forward it.
    """
    return forwarders(incident.detail).get(parseaddr(recipient)[1])


def unwanted(row: OutboxRow, tenants: Tenants, ended: Sequence[Incident]) -> str:
    """Why a queued message may not go to its reader any more, as in `reader`; "" when it may.

    Support's readers are no contacts. `ended` are the incidents whose end it tells.
    """
    if row.tenant is None or row.audience not in {Audience.REPLY, Audience.DIGEST}:
        return ""
    tenant = tenants.named(row.tenant)
    if tenant is None:
        return f"the tenant {row.tenant} is no longer configured"
    for recipient in row.recipients:
        forwarded = any(answered(one, recipient) is not None for one in ended)
        try:
            reader(recipient, tenant, has_forwarded=forwarded or _is_answer(row))
        except RenderFault as fault:
            return str(fault)
    return ""


def _is_answer(row: OutboxRow) -> bool:
    """Only who forwarded has an answer (RFC 3834, 5)."""
    return BytesHeaderParser().parsebytes(row.octets)["Auto-Submitted"] == "auto-replied"


def _tell_others(
    unit: Unit,
    row: OutboxRow,
    address: str,
    settings: Settings,
    tenant: Tenant | None,
    now: datetime,
) -> None:
    """The remedy that did not arrive goes to the tenant's other contacts, or support is told."""
    others: tuple[str, ...] = ()
    # What a person forwarded is answered to that person only.
    if tenant is not None and any(one.address == address for one in tenant.contacts):
        others = reachable_contacts(tenant, {one.address for one in unreachable(unit, now)})
    due = now + settings.policy.group_wait
    for incident in unit.incidents_between(row.created_at, now + _AN_INSTANT) if others else ():
        if incident.tenant != row.tenant or not _told(unit, incident.id, address, row.created_at):
            continue
        for other in others:
            if not _told(unit, incident.id, other, row.created_at):
                unit.add_pending(incident.id, Audience.REPLY, other, now, due)
    if not others:
        words = (
            f"{address} of {row.tenant or 'nobody'} cannot be reached, and there is nobody else "
            f"to write to. What did not arrive: {row.subject}\n\n"
            f"Read it: triage outbox show {row.id}\n"
            f"When the address works again: triage contacts clear {address}"
        )
        trouble(unit, settings, f"unreachable {address}", "Contact unreachable", words, now)


def _told(unit: Unit, incident: int, recipient: str, since: datetime) -> bool:
    """Whether the recipient was written to about the incident since then."""
    last = unit.history(incident, recipient).last_response_at
    return last is not None and last >= since
