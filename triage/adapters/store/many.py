"""What recording many mails at once asks and writes: a statement for all, not one for each."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields

from sqlalchemy import bindparam, case, insert, select, tuple_, update

from triage.adapters.store.incidents import INCIDENT
from triage.adapters.store.kept import FAST
from triage.adapters.store.mails import MailRows
from triage.adapters.store.rows import Statement, on_both
from triage.adapters.store.schema import (
    Moment,
    histories,
    incident_records,
    incidents,
    kept_mails,
    mails,
    occurrences,
    pending_responses,
)
from triage.incident.incident import History, Incident
from triage.rows import MailRow, NewMail, NewOccurrence

_ADD_MAILS = insert(mails).returning(mails.c.id, mails.c.uid)
_MAIL = tuple(field.name for field in fields(MailRow))
_KEEP = insert(kept_mails)
_SEEN_OCTETS = select(mails.c.octets_sha256).where(
    mails.c.octets_sha256.in_(bindparam("digests", expanding=True))
)
_SEEN_CONTENT = select(mails.c.content_sha256).where(
    mails.c.content_sha256.in_(bindparam("digests", expanding=True))
)
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
_WAITING = select(
    pending_responses.c.incident_id,
    pending_responses.c.audience,
    pending_responses.c.recipient,
).where(pending_responses.c.incident_id.in_(bindparam("incidents", expanding=True)))
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


class ManyRows(MailRows):
    """Mails and what follows from them, in the order in which they came."""

    def seen_of(
        self, octets: Collection[str], content: Collection[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Those digests of octets, and those of content, that were recorded in any mailbox."""
        return self._digests(_SEEN_OCTETS, octets), self._digests(_SEEN_CONTENT, content)

    def _digests(self, statement: Statement, digests: Collection[str]) -> frozenset[str]:
        wanted = sorted({digest for digest in digests if digest})  # an empty one is none
        if not wanted:
            return frozenset()
        return frozenset(self._run(statement, {"digests": wanted}).scalars())

    def add_mails(self, new: Sequence[NewMail]) -> Sequence[int]:
        """Record mails of one folder, clear their attempts, and answer their ids, in order.

        One place has one mail only.
        """
        if not new:
            return []
        values = [
            {name: getattr(one.row, name) for name in _MAIL}
            | {"after_due": one.row.after != "none"}
            for one in new
        ]
        added = self._run(_ADD_MAILS, values)
        ids = {uid: number for number, uid in added}
        first = new[0].row
        self.forget_attempts(first.mailbox, first.folder, first.uidvalidity, list(ids))
        kept = [
            {
                "mail_id": ids[one.row.uid],
                "kept_at": one.row.seen_at,
                "truncated": one.truncated,
                "octets_zlib": zlib.compress(one.octets, FAST),
            }
            for one in new
            if one.octets is not None
        ]
        if kept:
            self._run(_KEEP, kept)
        return [ids[one.row.uid] for one in new]

    def open_incidents(self, fingerprints: Collection[str]) -> Mapping[str, Incident]:
        """The open episodes of these fingerprints, which are this unit's as in `open_incident`."""
        if not fingerprints:
            return {}
        rows = self._run(_OPEN_INCIDENTS, {"fingerprints": sorted(set(fingerprints))})
        return {one.fingerprint: one for one in (Incident(*row) for row in rows)}

    def histories(self, incident_ids: Collection[int]) -> Mapping[tuple[int, str], History]:
        """What each recipient has heard of these, by incident and recipient."""
        rows = self._run(_HISTORIES, {"incidents": sorted(incident_ids)}) if incident_ids else ()
        return {
            (incident, recipient): History(responses, last, bool(untold))
            for incident, recipient, responses, last, untold in rows
        }

    def known_records(self, records: Collection[tuple[int, str]]) -> frozenset[tuple[int, str]]:
        """Those of these pairs of incident and record that are recorded."""
        wanted, known = sorted(records), set[tuple[int, str]]()
        for at in range(0, len(wanted), _PAIRS):
            rows = self._run(_KNOWN_RECORDS, {"records": wanted[at : at + _PAIRS]})
            known.update((incident, record) for incident, record in rows)
        return frozenset(known)

    def waiting(self, incident_ids: Collection[int]) -> frozenset[tuple[int, str, str]]:
        """Incident, audience and recipient of the responses that wait."""
        rows = self._run(_WAITING, {"incidents": sorted(incident_ids)}) if incident_ids else ()
        return frozenset((incident, audience, recipient) for incident, audience, recipient in rows)

    def add_occurrences(self, new: Sequence[NewOccurrence]) -> None:
        """Count notifications; of each incident the last detail stays, unknown records are added.

        Their incidents are this unit's already.
        """
        if not new:
            return
        count = Counter(one.incident_id for one in new)
        last = {one.incident_id: one for one in new}
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
