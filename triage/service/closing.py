"""The end of incidents: when they are called quiet, and who hears of it.

Who had a reply about an incident hears of its end, and support if it had a ticket: as a comment
on the ticket, or in one mail about all that ended together. Suspicious mail has no end that means
anything, and Triage's own troubles are seen in `triage status`; both close without a word. So does
what may go on unrecognised: nobody is told of a quiet that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from triage.catalog.load import Catalog
from triage.ports import Unit
from triage.response.message import Audience
from triage.response.render import RenderFault
from triage.rows import OutboxRow, OutboxState, PendingResponse
from triage.service.reach import answered, reader, unreachable
from triage.service.restored import restored_at
from triage.service.trouble import SUPPORT
from triage.settings import Settings
from triage.tenant import Tenants

_TOGETHER = timedelta(hours=1)
_PARTS = 24
"""Of `quiet_after`; so much later than it an incident is closed at most."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOK_AGAIN = timedelta(hours=1)
"""What waits for somebody's decision is looked at so often."""
UNSENT = frozenset({OutboxState.PENDING, OutboxState.SENDING, OutboxState.HELD})
_UNTOLD_KINDS = frozenset({"own", "suspicious"})


def close_quiet(unit: Unit, settings: Settings, now: datetime) -> int:
    """Close what has been quiet for `quiet_after`, and let those hear of it who heard of it before.

    What ends within an hour is closed together, so that it is one mail. As long as a mailbox is
    not read to its end nothing is closed: nobody knows whether it is quiet. Where mails came since
    that may be the same error in other words, or without proof, it closes without a word. Answers
    how many.
    """
    if not _all_read(unit, settings, now):
        return 0
    quiet_after = settings.policy.quiet_after
    step = min(_TOGETHER, quiet_after / _PARTS)
    closed = unit.close_incidents(now - (now - _EPOCH) % step - quiet_after, now)
    if settings.policy.shadow:
        return len(closed)
    restored = restored_at(unit)
    oldest = min((one.last_seen_at for one in closed), default=now)
    uncertain = unit.uncertain_since(oldest) if closed else {}
    due = now + settings.policy.group_wait
    for incident in closed:
        # The store that is lost may have said what would have been said before the restore.
        said = restored is not None and incident.last_seen_at + quiet_after <= restored
        doubtful = uncertain.get(incident.tenant or "", oldest) > incident.last_seen_at
        if said or doubtful or incident.kind in _UNTOLD_KINDS:
            continue
        for recipient in unit.told_of(incident.id):
            audience = Audience.TICKET if recipient == SUPPORT else Audience.REPLY
            unit.add_pending(incident.id, audience, recipient, now, due)
    return len(closed)


def _all_read(unit: Unit, settings: Settings, now: datetime) -> bool:
    """Whether each mailbox that was ever opened is read to its end, and was so just now."""
    polls = {section.name: section.poll for section in settings.mailboxes}
    return all(
        row.waiting_since is None
        and not row.error
        and now - row.last_progress <= settings.health.limit(polls[row.name])
        for row in unit.mailboxes()
        if row.name in polls
    )


def without_vain(
    unit: Unit,
    group: Sequence[PendingResponse],
    tenants: Tenants,
    catalog: Catalog,
    now: datetime,
) -> list[PendingResponse]:
    """Those that are worth a message now; the closings that never will be go, untold.

    An incident that came back did not become quiet. Nobody hears the end of a story who did not
    get its beginning, or is no reader any more; and no fault comes of it. As long as the beginning
    is on its way the end waits.
    """
    bouncing = {one.address for one in unreachable(unit, now)}
    vain = {
        one.id
        for one in group
        if one.incident.closed_at is not None
        and one.history.responses
        and (
            not one.new_record_ids
            if one.came_back
            else not _has_reader(unit, one, tenants, catalog, bouncing)
        )
    }
    if vain:
        unit.drop_pending(sorted(vain))
        structlog.get_logger().info("closing_in_vain", responses=len(vain))
    early = [one.id for one in group if one.id not in vain and _first_mail(unit, one) in UNSENT]
    if early:
        unit.postpone(early, now + LOOK_AGAIN)
    return [one for one in group if one.id not in {*vain, *early}]


def _first_mail(unit: Unit, pending: PendingResponse) -> OutboxState | None:
    """What became of the first reply; None for what is no closing, or when it is not known."""
    first = unit.by_message_id(pending.thread) if pending.is_closing and pending.thread else None
    return first.state if first else None


def _has_reader(
    unit: Unit, pending: PendingResponse, tenants: Tenants, catalog: Catalog, bouncing: set[str]
) -> bool:
    incident = pending.incident
    tenant = tenants.named(incident.tenant)
    if tenant is None and incident.tenant is not None:
        return False
    if pending.audience == Audience.TICKET:
        return True
    if tenant is None or incident.rule not in catalog.rules or pending.recipient in bouncing:
        return False
    if _first_mail(unit, pending) in {OutboxState.DEAD, OutboxState.DROPPED}:
        return False
    forwarded = answered(incident, pending.recipient) is not None
    try:
        reader(pending.recipient, tenant, has_forwarded=forwarded)
    except RenderFault:
        return False
    return True


def take_back(unit: Unit, row: OutboxRow, now: datetime) -> bool:
    """Do not send a closing one of whose incidents came back; False when none did.

    The end of the others, and the records of all that no mail has named, are told to that person
    anew. Support has several readers, some of whom may have it already; it hears of it in the
    digest.
    """
    if not is_untrue(unit, row):
        return False
    unit.withdraw(row.id, "the error came back before this was sent")
    for incident in row.ends if row.audience == Audience.REPLY else ():
        unit.add_pending(incident, Audience.REPLY, row.recipients[0], now, now)
    return True


def is_untrue(unit: Unit, row: OutboxRow) -> bool:
    """Whether it says of an incident that it is quiet, and that one came back."""
    return any(unit.came_back(one) for one in row.ends)
