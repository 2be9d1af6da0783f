"""Triage's own troubles: incidents like any other, told to support."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from triage.catalog.rule import Severity
from triage.incident.incident import Reason
from triage.incident.policy import repeat
from triage.ports import Unit
from triage.response.message import Audience
from triage.settings import Settings

SUPPORT = "support"
"""Recipient of tickets: all support contacts together."""


def trouble(unit: Unit, settings: Settings, key: str, title: str, text: str, now: datetime) -> None:
    """Open or continue an incident of our own; support hears once per `repeat_interval`."""
    fingerprint = sha256(f"own\x1f{key}".encode()).hexdigest()
    detail = {"text": text[:4000]}
    incident = unit.open_incident(fingerprint) or unit.start_incident(
        fingerprint=fingerprint,
        tenant=None,
        rule=None,
        kind="own",
        title=title,
        severity=Severity.HIGH,
        at=now,
        detail=detail,
    )
    # There are no records in it: it is news again once the interval has passed.
    history = unit.history(incident.id, SUPPORT)
    last = history.last_response_at
    again = last is not None and now - last >= settings.policy.repeat_interval
    reason = Reason.REPEAT_DUE if again else repeat(history, now, settings.policy.repeat_interval)
    unit.add_occurrence(
        incident.id, mail_id=None, at=now, reason=str(reason), record_ids=(), detail=detail
    )
    if reason in {Reason.FIRST_IN_INCIDENT, Reason.REPEAT_DUE} and not settings.policy.shadow:
        unit.add_pending(incident.id, Audience.TICKET, SUPPORT, now, now)
