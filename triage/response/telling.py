"""What a ticket system is told of an incident: the octets that are queued for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256

from triage.incident.incident import Incident
from triage.response.message import OutboundMessage
from triage.response.render import subject_line, triage_id


def external_id(incident: Incident, before: int = 0) -> str:
    """By which the ticket of this episode is found again: `triage-` and 16 hexadecimal digits.

    `before` is for the episode so many before it.
    """
    episode = f"{incident.fingerprint}:{incident.episode - before}"
    digest = sha256(episode.encode()).hexdigest()
    return f"triage-{digest[:16]}"


@dataclass(frozen=True, slots=True)
class Telling:
    """One telling. A ticket system makes a ticket of the first, comments of all later ones.

    The presets see the fields under these names, a webhook gets them as JSON. Strangers' words
    may stand in `title` and `text`; links in them are harmless already, as in a mail.
    """

    id: str
    """Of this telling; when it is sent again, it has the same."""
    external_id: str
    """Of the incident's episode."""
    time: str
    """ISO 8601, UTC"""
    title: str
    """One line, at most 180 characters."""
    text: str
    """Plain text; the lines end with LF."""
    severity: str
    """info | low | medium | high | critical"""
    tenant: str
    """"" when it is not known."""
    rule: str
    """"" when no rule knows the error."""
    kind: str
    """managed_package | apex_exception | api_error_alert | other | suspicious"""
    count: int
    """Notifications so far."""
    closed: bool = False
    """Whether it is the last one: the incident became quiet. It never makes a ticket."""

    def octets(self) -> bytes:
        """As one JSON object."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, octets: bytes) -> Telling:
        """What `octets` wrote. Raises ValueError for anything else."""
        try:
            return cls(**json.loads(octets))
        except (TypeError, RecursionError) as error:
            raise ValueError(f"this is no ticket: {error}") from error


def telling(
    incident: Incident, message: OutboundMessage, now: datetime, *, closed: bool = False
) -> Telling:
    """The ticket that a mail would have been; a relapse names the ticket of the time before."""
    text = message.text
    if incident.episode > 1:
        earlier = external_id(incident, before=1)
        text = f"{text.rstrip()}\n\nThe ticket of the time before, if there was one: {earlier}\n"
    return Telling(
        id=triage_id(message.message_id),
        external_id=external_id(incident),
        time=now.isoformat(),
        title=subject_line(message.subject),
        text=text,
        severity=str(incident.severity),
        tenant=incident.tenant or "",
        rule=incident.rule or "",
        kind=incident.kind,
        count=incident.notifications,
        closed=closed,
    )
