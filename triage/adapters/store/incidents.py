"""Incidents, their occurrences and their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import and_, bindparam, case, func, insert, or_, select, tuple_, update

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
from triage.rows import NewOccurrence

INCIDENT = tuple(incidents.c[field.name] for field in fields(Incident))
"""The columns that make an Incident, in its order."""

_RACES = 5
"""How often an incident may be opened and closed under us before we give up."""

_INCIDENT = select(*INCIDENT).where(incidents.c.id == bindparam("incident"))
_OPEN_INCIDENTS = (
    select(*INCIDENT)
    .where(
        incidents.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
        incidents.c.closed_at.is_(None),
    )
    # All who lock several lock them in this order, so that none waits for another for ever.
    .order_by(incidents.c.id)
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
_AT = bindparam("at", type_=Moment)
_COUNT_NOTIFICATIONS = (
    update(incidents)
    .where(incidents.c.id == bindparam("incident"))
    .values(
        notifications=incidents.c.notifications + bindparam("count"),
        last_seen_at=case((incidents.c.last_seen_at < _AT, _AT), else_=incidents.c.last_seen_at),
        detail=bindparam("newest", type_=incidents.c.detail.type),
    )
)
_ADD_OCCURRENCES = insert(occurrences)
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
_HISTORIES = select(
    histories.c.incident_id,
    histories.c.recipient,
    histories.c.responses,
    histories.c.last_response_at,
    select(incident_records.c.id)
    .where(
        incident_records.c.incident_id == histories.c.incident_id,
        incident_records.c.id > histories.c.told_record,
    )
    .exists(),
).where(histories.c.incident_id.in_(bindparam("incidents", expanding=True)))
_KNOWN_RECORDS = select(incident_records.c.incident_id, incident_records.c.record_id).where(
    tuple_(incident_records.c.incident_id, incident_records.c.record_id).in_(
        bindparam("records", expanding=True)
    )
)
_PAIRS = 1_000
"""In one statement; strangers decide how many records a mail names."""


class IncidentRows(Rows):
    """The running troubles, and what was told of them."""

    def open_incident(self, fingerprint: str) -> Incident | None:
        """The open episode of this fingerprint, as in `open_incidents`."""
        return self.open_incidents([fingerprint]).get(fingerprint)

    def open_incidents(self, fingerprints: Collection[str]) -> Mapping[str, Incident]:
        """The open episodes of these fingerprints.

        From here to the end of the unit no other process changes these incidents or answers them,
        so that what is decided on their history still holds when it is committed.
        """
        if not fingerprints:
            return {}
        rows = self._run(_OPEN_INCIDENTS, {"fingerprints": sorted(set(fingerprints))})
        return {one.fingerprint: one for one in (Incident(*row) for row in rows)}

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
        """Count one notification, as in `add_occurrences`; answers the incident as it is then.

        Raises StoreError when there is none of this id.
        """
        self.incident(incident_id)
        self.add_occurrences(
            [NewOccurrence(incident_id, mail_id, at, reason, tuple(record_ids), detail)]
        )
        return self.incident(incident_id)

    def add_occurrences(self, new: Sequence[NewOccurrence]) -> None:
        """Count notifications; of each incident the last detail stays, unknown records are added.

        Their incidents are this unit's already.
        """
        if not new:
            return
        count = Counter(one.incident_id for one in new)
        last = {one.incident_id: one for one in new}
        # First, as it makes other writers of these incidents wait: records stay in order.
        self._run(
            _COUNT_NOTIFICATIONS,
            [
                {
                    "incident": number,
                    "count": count[number],
                    "at": one.at,
                    "newest": dict(one.detail),
                }
                for number, one in last.items()
            ],
        )
        self._run(
            _ADD_OCCURRENCES,
            [
                {
                    "incident_id": one.incident_id,
                    "mail_id": one.mail_id,
                    "at": one.at,
                    "reason": one.reason,
                }
                for one in new
            ],
        )
        records = [(one.incident_id, record) for one in new for record in one.record_ids]
        if records:
            self._run(
                _ADD_RECORDS,
                [
                    {"incident_id": incident, "record_id": record}
                    for incident, record in dict.fromkeys(records)
                ],
            )

    def known_records(self, records: Collection[tuple[int, str]]) -> frozenset[tuple[int, str]]:
        """Those of these pairs of incident and record that are recorded."""
        wanted, known = sorted(records), set[tuple[int, str]]()
        for at in range(0, len(wanted), _PAIRS):
            rows = self._run(_KNOWN_RECORDS, {"records": wanted[at : at + _PAIRS]})
            known.update((incident, record) for incident, record in rows)
        return frozenset(known)

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
        return self.histories([incident_id]).get((incident_id, recipient), History())

    def histories(self, incident_ids: Collection[int]) -> Mapping[tuple[int, str], History]:
        """What each recipient has heard of these, by incident and recipient."""
        rows = self._run(_HISTORIES, {"incidents": sorted(incident_ids)}) if incident_ids else ()
        return {
            (incident, recipient): History(responses, last, bool(untold))
            for incident, recipient, responses, last, untold in rows
        }


def _missing(incident_id: int) -> StoreError:
    return StoreError(f"the store has no incident {incident_id}: look at triage status")
