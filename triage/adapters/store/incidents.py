"""Incidents, their occurrences and their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import and_, bindparam, case, func, insert, or_, select, update

from triage.adapters.store.rows import Rows, on_both
from triage.adapters.store.schema import (
    Moment,
    histories,
    incident_records,
    incidents,
    mails,
    occurrences,
)
from triage.catalog.rule import Severity
from triage.catalog.verdict import Outcome
from triage.incident.incident import History, Incident, Reason
from triage.ports import StoreError

INCIDENT = tuple(incidents.c[field.name] for field in fields(Incident))
"""The columns that make an Incident, in its order."""

_RACES = 5
"""How often an incident may be opened and closed under us before we give up."""

_INCIDENT = select(*INCIDENT).where(incidents.c.id == bindparam("incident"))
_OPEN_INCIDENT = (
    select(*INCIDENT)
    .where(incidents.c.fingerprint == bindparam("fingerprint"), incidents.c.closed_at.is_(None))
    .with_for_update(key_share=True)
)
_START_INCIDENT = on_both(
    lambda insert: (
        insert(incidents)
        .values(
            episode=select(func.coalesce(func.max(incidents.c.episode), 0) + 1)
            .where(incidents.c.fingerprint == bindparam("same"))
            .scalar_subquery()
        )
        .on_conflict_do_nothing()
    )
)
_COUNT_NOTIFICATION = (
    update(incidents)
    .where(incidents.c.id == bindparam("incident"))
    .values(
        notifications=incidents.c.notifications + 1,
        last_seen_at=case(
            (
                incidents.c.last_seen_at < bindparam("at", type_=Moment),
                bindparam("at", type_=Moment),
            ),
            else_=incidents.c.last_seen_at,
        ),
    )
    .returning(*INCIDENT)
)
_ADD_OCCURRENCE = insert(occurrences)
_ADD_RECORDS = on_both(lambda insert: insert(incident_records).on_conflict_do_nothing())
# One that another process is at is not quiet, or is closed by it; nobody is waited for.
_QUIET = (
    select(incidents.c.id)
    .where(incidents.c.closed_at.is_(None), incidents.c.last_seen_at < bindparam("quiet_since"))
    .with_for_update(key_share=True, skip_locked=True)
    .cte("picked")
    .prefix_with("MATERIALIZED")
)
_CLOSE_INCIDENTS = (
    update(incidents).where(incidents.c.id.in_(select(_QUIET.c.id))).returning(*INCIDENT)
)
_CLOSE_INCIDENT = update(incidents).where(
    incidents.c.id == bindparam("incident"), incidents.c.closed_at.is_(None)
)
_LATER = incidents.alias("later")
_CAME_BACK = (
    select(_LATER.c.id)
    .join(incidents, incidents.c.fingerprint == _LATER.c.fingerprint)
    .where(incidents.c.id == bindparam("incident"), _LATER.c.episode > incidents.c.episode)
    .limit(1)
)
_TOLD = (
    select(histories.c.recipient)
    .where(
        histories.c.incident_id == bindparam("incident"),
        histories.c.told_notifications.is_not(None),
    )
    .order_by(histories.c.recipient)
)
_INCIDENTS_BETWEEN = (
    select(*INCIDENT)
    .where(
        or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > bindparam("start")),
        incidents.c.opened_at < bindparam("end"),
    )
    .order_by(incidents.c.opened_at, incidents.c.id)
)
_REASON = func.coalesce(incidents.c.detail["reason"].as_string(), "")
_SINCE = bindparam("since", type_=Moment)
_UNCERTAIN_INCIDENTS = (
    select(incidents.c.tenant, func.max(incidents.c.last_seen_at))
    .where(
        or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > _SINCE),
        incidents.c.last_seen_at > _SINCE,
        incidents.c.tenant.is_not(None),
        or_(
            _REASON == Reason.DRIFTED,
            and_(
                incidents.c.rule.is_(None),
                incidents.c.kind.not_in(["own", "suspicious"]),
                _REASON != Reason.NOT_OUR_INTEGRATION,
            ),
        ),
    )
    .group_by(incidents.c.tenant)
)
# Suspicious incidents are not of one tenant each, so the mails are asked.
_SUSPICIOUS_MAILS = (
    select(mails.c.tenant, func.max(mails.c.seen_at))
    .where(
        mails.c.seen_at > _SINCE,
        mails.c.verdict == Outcome.SUSPICIOUS,
        mails.c.reason != Reason.NOTHING_NEW,  # a copy of a mail that was recorded
        mails.c.tenant.is_not(None),
    )
    .group_by(mails.c.tenant)
)
_HISTORY = select(
    histories.c.responses,
    histories.c.last_response_at,
    select(incident_records.c.id)
    .where(
        incident_records.c.incident_id == histories.c.incident_id,
        incident_records.c.id > histories.c.told_record,
    )
    .exists(),
).where(
    histories.c.incident_id == bindparam("incident"),
    histories.c.recipient == bindparam("recipient"),
)


class IncidentRows(Rows):
    """The running troubles, and what was told of them."""

    def open_incident(self, fingerprint: str) -> Incident | None:
        """The open episode of this fingerprint.

        From here to the end of the unit no other process changes this incident or answers it, so
        that what is decided on its history still holds when it is committed.
        """
        row = self._run(_OPEN_INCIDENT, {"fingerprint": fingerprint}).first()
        return Incident(*row) if row else None

    def incident(self, incident_id: int) -> Incident:
        """Raises StoreError when there is none of this id."""
        row = self._run(_INCIDENT, {"incident": incident_id}).first()
        if row is None:
            raise _missing(incident_id)
        return Incident(*row)

    def start_incident(
        self,
        *,
        fingerprint: str,
        tenant: str | None,
        rule: str | None,
        kind: str,
        title: str,
        severity: Severity,
        at: datetime,
        detail: Mapping[str, object],
    ) -> Incident:
        """Open the next episode of this fingerprint, with no notifications yet.

        If another process opened it at the same moment, that one is answered.
        """
        values = {
            "fingerprint": fingerprint,
            "same": fingerprint,
            "tenant": tenant,
            "rule": rule,
            "kind": kind,
            "title": title,
            "severity": severity,
            "opened_at": at,
            "last_seen_at": at,
            "notifications": 0,
            "detail": dict(detail),
        }
        for _ in range(_RACES):
            self._run(_START_INCIDENT, values)
            if found := self.open_incident(fingerprint):
                return found
        raise StoreError(f"the incident {fingerprint} opens and closes all the time: try again")

    def add_occurrence(
        self,
        incident_id: int,
        *,
        mail_id: int | None,
        at: datetime,
        reason: str,
        record_ids: Sequence[str],
        detail: Mapping[str, object],
    ) -> Incident:
        """Count a notification; its detail replaces the incident's, unknown records are added."""
        # First, as it makes other writers of this incident wait: records stay in order.
        changed = {"incident": incident_id, "at": at, "detail": dict(detail)}
        row = self._run(_COUNT_NOTIFICATION, changed).first()
        if row is None:
            raise _missing(incident_id)
        occurrence = {"incident_id": incident_id, "mail_id": mail_id, "at": at, "reason": reason}
        self._run(_ADD_OCCURRENCE, occurrence)
        if record_ids:
            self._run(
                _ADD_RECORDS,
                [{"incident_id": incident_id, "record_id": record} for record in record_ids],
            )
        return Incident(*row)

    def close_incidents(self, quiet_since: datetime, at: datetime) -> Sequence[Incident]:
        """Close those last seen before `quiet_since`; answers them.

        One that another process is just writing of, or answering, is left for the next time.
        """
        closed = self._run(_CLOSE_INCIDENTS, {"quiet_since": quiet_since, "closed_at": at})
        return sorted((Incident(*row) for row in closed), key=lambda one: one.id)

    def close_incident(self, incident_id: int, at: datetime) -> None:
        """Close this one, if it is open."""
        self._run(_CLOSE_INCIDENT, {"incident": incident_id, "closed_at": at})

    def came_back(self, incident_id: int) -> bool:
        """Whether a later episode of it was opened."""
        return self._run(_CAME_BACK, {"incident": incident_id}).first() is not None

    def told_of(self, incident_id: int) -> Sequence[str]:
        """Who had a response about it from this store, and none since from one that is lost."""
        return self._run(_TOLD, {"incident": incident_id}).scalars().all()

    def incidents_between(self, start: datetime, end: datetime) -> Sequence[Incident]:
        """Those open at any time in [start, end), oldest first."""
        rows = self._run(_INCIDENTS_BETWEEN, {"start": start, "end": end})
        return [Incident(*row) for row in rows]

    def uncertain_since(self, since: datetime) -> Mapping[str, datetime]:
        """By tenant, when the last mail came after `since` of which it is not known what it tells.

        What is suspicious and names the tenant, unknown, or drifted; software of others is not.
        """
        newest: dict[str, datetime] = {}
        for statement in (_UNCERTAIN_INCIDENTS, _SUSPICIOUS_MAILS):
            for tenant, at in self._run(statement, {"since": since}):
                newest[tenant] = max(at, newest.get(tenant, at))
        return newest

    def history(self, incident_id: int, recipient: str) -> History:
        """What the recipient has heard. To one who has heard nothing, all is new."""
        row = self._run(_HISTORY, {"incident": incident_id, "recipient": recipient}).first()
        if row is None:
            return History()
        responses, last_response_at, untold = row
        return History(responses, last_response_at, bool(untold))


def _missing(incident_id: int) -> StoreError:
    return StoreError(f"the store has no incident {incident_id}: look at triage status")
