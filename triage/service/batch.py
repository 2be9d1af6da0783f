"""Several mails in one unit: what they need is asked at once before, and written at once after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from triage.incident.incident import History, Incident
from triage.incident.policy import Policy
from triage.pipeline import Reading
from triage.ports import Unit
from triage.rows import MailRow, NewMail, NewOccurrence


class Batch:
    """What the store holds, as it will be when all that was noted so far is written.

    The incidents of the mails, open or not, are the unit's own from the beginning on
    (`Recorder.exclusive`), so that nothing of what was asked changes before it is written.
    """

    def __init__(
        self, unit: Unit, readings: Sequence[Reading], cases: Mapping[str, Collection[str]]
    ) -> None:
        """`cases` are the records of all cases of all readings, by fingerprint."""
        self.unit = unit
        self.policy: Policy | None = None
        """The policy for these mails, once somebody has worked it out."""
        octets, content = unit.seen_of(
            [reading.octets_sha256 for reading in readings],
            [reading.content_sha256 for reading in readings],
        )
        self._octets, self._content = set(octets), set(content)
        self._open = dict(unit.open_incidents(cases))
        numbers = [incident.id for incident in self._open.values()]
        self._histories = unit.histories(numbers)
        self._waiting = set(unit.waiting(numbers))
        heard_of = {number for number, _ in self._histories}
        self._known = unit.known_records(
            {
                (incident.id, record)
                for key, incident in self._open.items()
                if incident.id in heard_of
                for record in cases[key]
            }
        )
        self._new: defaultdict[int, set[str]] = defaultdict(set)
        """Records that are noted and not written, by incident."""
        self._mails: list[NewMail] = []
        self._occurrences: list[tuple[int, NewOccurrence]] = []
        """With the place of its mail, which has no id yet."""
        self._told: list[tuple[int, str, datetime]] = []

    def seen(self, reading: Reading) -> bool:
        """Whether the same mail was recorded before; from now on it was."""
        octets, content = reading.octets_sha256, reading.content_sha256
        seen = octets in self._octets or content in self._content
        self._octets |= {octets} - {""}  # an empty digest is none, and equals no other
        self._content |= {content} - {""}
        return seen

    def add_mail(self, row: MailRow, octets: bytes | None, *, truncated: bool) -> None:
        """The next mail, with what was decided; the octets that are to be kept."""
        self._mails.append(NewMail(row, octets, truncated))

    # incidents, as in Unit ---------------------------------------------------------------

    def open_incident(self, fingerprint: str) -> Incident | None:
        """The open episode of one of the fingerprints."""
        return self._open.get(fingerprint)

    def started(self, incident: Incident) -> Incident:
        """It was opened just now, by this unit."""
        self._open[incident.fingerprint] = incident
        return incident

    def history(self, incident: Incident, recipient: str, records: Collection[str]) -> History:
        """What the recipient has heard; `records` are about to be added."""
        found = self._histories.get((incident.id, recipient))
        if found is None:
            return History()
        if found.has_new_records:
            return found
        new = self._new[incident.id].union(records)
        return replace(found, has_new_records=any((incident.id, r) not in self._known for r in new))

    def add_pending(
        self, incident: Incident, audience: str, recipient: str, now: datetime, due: datetime
    ) -> bool:
        """False when one waits already."""
        if (incident.id, audience, recipient) in self._waiting:
            return False
        self._waiting.add((incident.id, audience, recipient))
        return self.unit.add_pending(incident.id, audience, recipient, now, due)

    def add_occurrence(
        self,
        incident: Incident,
        at: datetime,
        reason: str,
        record_ids: tuple[str, ...],
        detail: Mapping[str, object],
    ) -> None:
        """A notification of the mail that is added next."""
        one = NewOccurrence(incident.id, None, at, reason, record_ids, detail)
        self._occurrences.append((len(self._mails), one))
        self._new[incident.id].update(record_ids)
        self._open[incident.fingerprint] = replace(incident, last_seen_at=at, detail=detail)

    def told(self, incident: Incident, recipient: str, at: datetime) -> None:
        """The recipient heard all of it, from a store that is lost. The mail must be alone."""
        self._told.append((incident.id, recipient, at))

    def write(self) -> Sequence[int]:
        """All that was noted; answers the mails' ids, in order."""
        ids = self.unit.add_mails(self._mails)
        self.unit.add_occurrences(
            [replace(one, mail_id=ids[place]) for place, one in self._occurrences]
        )
        for incident_id, recipient, at in self._told:
            self.unit.told(incident_id, recipient, at)
        return ids
