"""From pending responses to the outbox, and from the outbox to the server (design 6)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from triage.adapters.metrics import NOT_SENT, SENT
from triage.catalog.load import Catalog
from triage.incident.incident import Incident, Reason
from triage.incident.silence import Silence, labels_of_incident, of_rule
from triage.ports import (
    Clock,
    Fault,
    Sender,
    SendError,
    Stop,
    Store,
    StoreError,
    Unit,
)
from triage.response.message import Audience
from triage.response.render import RenderFault
from triage.response.templates import TemplateFault, Templates
from triage.rows import (
    OutboxRow,
    PendingResponse,
    Way,
)
from triage.service.budget import Budgets, Charge
from triage.service.causes import urgency
from triage.service.closing import LOOK_AGAIN, take_back, without_vain
from triage.service.hold import Holds
from triage.service.reach import unwanted
from triage.service.restored import RESTORED
from triage.service.trouble import trouble
from triage.service.writing import Writer, thread_of
from triage.settings import Settings
from triage.settings.types import Rate

CLAIMS = 1
"""At a time, so that no lease runs out while others are being sent."""
LEASE_SECONDS = 900.0
"""Longer than the longest that one delivery may take (RFC 5321, 4.5.3.2)."""
FAILING_FOR = timedelta(seconds=30)
"""When a round in which messages fail has lasted so long, it ends."""
GIVE_UP_AFTER = timedelta(days=5)
FEWEST_ATTEMPTS = 10
"""A message that was held for days, or is sent again by hand, has its tries all the same."""
_STORE_PAUSES = (0.2, 1.0, 3.0)
"""Seconds."""
_FIRST_RETRY, _LONGEST_RETRY = 30.0, 3600.0
"""Seconds."""
_NOT_DELIVERED = {
    Way.MAIL: ("dead letters", "Mail not delivered"),
    Way.ALARM: ("dead alarms", "Alarm not delivered"),
    Way.TICKET: ("dead tickets", "Ticket not delivered"),
}
"""What a trouble with each way is about, and its title."""


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
        way: Way = Way.MAIL,
    ) -> None:
        """All that a message needs: words, facts, and a way out."""
        self._catalog = catalog
        self._writer = Writer(settings, catalog, templates)
        self._store, self._sender, self._clock, self._way = store, sender, clock, way
        self.take_over(settings)
        self._budgets = Budgets(settings)
        self._silences = tuple(of_rule(rule_id) for rule_id in settings.policy.silences)
        self._rates = [(rate.count, rate.per) for rate in _rates(settings, way)]
        self._first_round = True
        """Budgets may be other ones than before, so that all that waits for one is tried."""
        self._unmarked: OutboxRow | None = None
        """Accepted, and the store does not know it yet."""
        self._log = structlog.get_logger()

    def take_over(self, settings: Settings) -> None:
        """Go on with other tenants and contacts; between two rounds only."""
        self._settings, self._tenants = settings, settings.all_tenants()
        self._writer.take_over(settings)
        self._holds = Holds(settings, self._catalog)

    def respond(self, due_before: datetime) -> int:
        """Render each group of responses that is due into the outbox; answers how many mails.

        What else is due for the same recipient within `group_wait` goes into the same mail. A
        budget is used in this order: what is most urgent, then who waits longest, closings last.
        """
        horizon = due_before + self._settings.policy.group_wait
        with self._store.unit() as unit:
            self._writer.restored = unit.switch(RESTORED) or ""
            if self._first_round:
                unit.due_again(Reason.BUDGET, due_before)
            waiting = sorted(unit.pending(horizon), key=self._group)
        self._first_round, ahead = False, Counter[str]()
        groups = [list(members) for _, members in groupby(waiting, key=self._group)]
        return sum(
            self._queue([one.id for one in group], ahead)
            for group in sorted(groups, key=self._turn)
            if any(one.due_at <= due_before for one in group)
        )

    def _queue(self, ids: Sequence[int], ahead: Counter[str]) -> int:
        """Render a group and queue it, in one transaction; answers how many mails."""
        now = self._clock.now()
        with self._store.unit() as unit:
            # As it is now: records may have come since it was found to be due, and what became
            # a closing meanwhile goes alone, in the next round.
            found = unit.pending(ids=ids)
            group = [one for one in found if self._group(one) == self._group(found[0])]
            group = self._not_silenced(unit, group, now)
            group = without_vain(unit, group, self._tenants, self._catalog, now)
            if not group:
                return 0
            ids, charge = [one.id for one in group], _charge(group[0])
            can_wait = group[0].is_closing
            if charge and (
                until := self._budgets.wait(unit, charge, now, ahead, leave_half=can_wait)
            ):
                unit.postpone(ids, until, Reason.BUDGET)
                return 0
            try:
                rows = self._writer.rows(group, unit, now)
            except (TemplateFault, RenderFault) as fault:
                unit.drop_pending(ids)
                self._not_rendered(unit, group, fault, now)
                return 0
            except Exception as fault:  # noqa: BLE001 - one message must not stop all others
                unit.postpone(ids, now + timedelta(hours=1))
                self._log.exception("not_rendered", error=str(fault))
                self._not_rendered(unit, group, fault, now)
                return 0
            held = self._holds.of(group[0])
            for row in rows:
                self._holds.queue(unit, row, held, now)
            if charge:
                self._budgets.spend(unit, charge, len(rows), now)
            if group[0].is_closing:
                unit.drop_pending(ids)  # it may be taken back: it is told when it is sent
            else:
                unit.responded(ids, now, thread_of(group, rows))
        self._log.info("queued", audience=rows[0].audience, causes=len(group), messages=len(rows))
        return len(rows)

    def _not_silenced(
        self, unit: Unit, group: Sequence[PendingResponse], now: datetime
    ) -> list[PendingResponse]:
        """Those for which no silence began since they were decided; the others go, untold.

        A closing waits for the end of a silence: no other mail would tell it. A silence by the
        settings has no end.
        """
        ending = unit.silences(now)
        for_good = {one.id for one in group if _silenced(one.incident, self._silences)}
        silenced = for_good | {one.id for one in group if _silenced(one.incident, ending)}
        waits = [one.id for one in group if one.is_closing and one.id in silenced - for_good]
        if waits:
            unit.postpone(waits, now + LOOK_AGAIN)
        if gone := sorted(silenced.difference(waits)):
            unit.drop_pending(gone, Reason.SILENCED)
            self._log.info("silenced", responses=len(gone))
        return [one for one in group if one.id not in silenced]

    def _not_rendered(
        self, unit: Unit, group: Sequence[PendingResponse], fault: Exception, now: datetime
    ) -> None:
        titles = "; ".join(one.incident.title for one in group)
        words = f"{fault}\n\nWhat was not sent to {group[0].recipient}: {titles}"
        trouble(unit, self._settings, f"template {fault}", "A mail failed", words, now)
        self._log.error("not_rendered", error=str(fault))

    def _turn(self, group: Sequence[PendingResponse]) -> tuple[bool, tuple[int, int], datetime]:
        return (
            group[0].is_closing,
            min(urgency(one, self._catalog) for one in group),
            min(one.created_at for one in group),
        )

    def _group(self, pending: PendingResponse) -> tuple[str, str, str, bool, int, str]:
        """What goes to one recipient about one tenant is one mail; each ticket is its own.

        What is held keeps nothing else waiting, and what is over has mails of its own.
        """
        incident, closing = pending.incident, pending.is_closing
        one_mail = pending.audience != Audience.TICKET or (
            closing and self._settings.tickets.by_mail
        )
        alone = 0 if one_mail else incident.id
        held = self._holds.of(pending)
        return (
            pending.audience,
            pending.recipient,
            incident.tenant or "",
            closing,
            alone,
            held,
        )

    # Outbox to server ----------------------------------------------------------------

    def send(self, stop: Stop | None = None) -> int:
        """Hand over what is due; answers how many were accepted.

        A claim is finished before the next is taken, so that a stop loses nothing. When messages
        fail slowly, those that are left are for the next round: the caller has other work, too.
        Raises StoreError.
        """
        accepted, began = 0, self._clock.now()
        self._mark_sent()
        while not (stop and stop.is_set()):
            rows = self._store.claim(CLAIMS, LEASE_SECONDS, self._way, self._rates)
            if not rows:
                break
            good = [self._send(row) for row in rows]
            accepted += sum(good)
            if not all(good) and self._clock.now() - began > FAILING_FOR:
                break
        return accepted

    def _send(self, row: OutboxRow) -> bool:
        ended: list[Incident] = []
        if row.ends:
            with self._store.unit() as unit:
                if take_back(unit, row, self._clock.now()):
                    return False
                ended = [unit.incident(one) for one in row.ends]
        if why := unwanted(row, self._tenants, ended):
            self._failed(row, SendError(why, Fault.PERMANENT))
            return False
        try:
            self._sender.send(row.octets, row.sender, row.recipients)
        except SendError as error:
            self._failed(row, error)
            return False
        except Exception as error:  # noqa: BLE001 - nobody would hear of it, and it may be sent
            self._log.exception("sender_fault", outbox=row.id, error=str(error))
            self._failed(row, SendError(f"a fault of Triage: {error}", Fault.AMBIGUOUS))
            return False
        self._unmarked = row
        self._mark_sent()
        SENT.labels(self._way).inc()
        self._log.info("sent", outbox=row.id, audience=row.audience, attempts=row.attempts)
        return True

    def _mark_sent(self) -> None:
        """Make durable that a message was accepted, before anything else is sent.

        It would be sent again otherwise, so what the store does not take now is tried again
        first in the next round. Raises StoreError.
        """
        if self._unmarked is None:
            return
        for pause in (*_STORE_PAUSES, None):
            try:
                self._store.mark_sent(self._unmarked.id)
            except StoreError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                break
        self._unmarked = None

    def _failed(self, row: OutboxRow, error: SendError) -> None:
        now = self._clock.now()
        wait = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(row.attempts, 10))
        wait *= random.uniform(0.7, 1.3)  # noqa: S311 - jitter
        retry_at = now + timedelta(seconds=max(wait, error.retry_after or 0.0))
        too_late = retry_at > row.created_at + GIVE_UP_AFTER and row.attempts >= FEWEST_ATTEMPTS
        given_up = error.fault is Fault.PERMANENT or too_late
        self._store.mark_failed(row.id, str(error), None if given_up else retry_at)
        NOT_SENT.labels(self._way, error.fault).inc()
        self._log.warning(
            "not_sent", outbox=row.id, fault=str(error.fault), dead=given_up, error=str(error)
        )
        # A mail about our own troubles raises no other, nor does an alarm raise alarms.
        is_alarm = self._way is Way.ALARM
        if given_up and (is_alarm or row.audience != Audience.OWN):
            with self._store.unit() as unit:
                words = (
                    f"Message {row.id} ({row.subject}) could not be delivered: {error}\n\n"
                    f"See it: triage outbox show {row.id}\n"
                    f"Send it again: triage outbox retry {row.id}"
                )
                key, title = _NOT_DELIVERED[self._way]
                trouble(unit, self._settings, key, title, words, now, second_way=not is_alarm)


def _rates(settings: Settings, way: Way) -> Sequence[Rate]:
    if way is Way.MAIL:
        return settings.smtp.rate
    if way is Way.ALARM and settings.alarm and settings.alarm.smtp:
        return settings.alarm.smtp.rate
    return ()


def _charge(pending: PendingResponse) -> Charge | None:
    """Whose budget it is; Triage's own troubles have none, they are few."""
    if pending.incident.kind == "own":
        return None
    reply = pending.audience == Audience.REPLY
    return Charge(pending.incident.tenant, pending.recipient if reply else None)


def _silenced(incident: Incident, silences: Sequence[Silence]) -> bool:
    """Our own troubles are told whatever is silenced."""
    labels = labels_of_incident(incident)
    return incident.kind != "own" and any(silence.holds(labels) for silence in silences)
