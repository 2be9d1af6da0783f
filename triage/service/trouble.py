"""Triage's own troubles: incidents like any other, told to support."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from triage.catalog.rule import Severity
from triage.incident.incident import Reason
from triage.incident.policy import repeat
from triage.ports import Unit
from triage.response.message import Audience
from triage.service.alarm import alarms
from triage.settings import Settings

SUPPORT = "support"
"""Recipient of tickets: all support contacts together."""


def trouble(
    unit: Unit,
    settings: Settings,
    key: str,
    title: str,
    text: str,
    now: datetime,
    *,
    every: timedelta = timedelta(),
    second_way: bool = True,
) -> None:
    """Open or continue an incident of our own; support hears once per `repeat_interval`.

    It hears by mail and, if there is one, by the second way. What goes on all the time is noted
    `every` so often. `second_way` is False for what is wrong with that way itself.
    """
    fingerprint = _fingerprint(key)
    detail = _detail(key, text)
    running = unit.open_incident(fingerprint)
    if running is not None and now - running.last_seen_at < every:
        return
    incident = running or unit.start_incident(
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
    if reason not in {Reason.FIRST_IN_INCIDENT, Reason.REPEAT_DUE} or settings.policy.shadow:
        return
    unit.add_pending(incident.id, Audience.TICKET, SUPPORT, now, now)
    if settings.alarm is not None and second_way:
        number = f"alarm {fingerprint}:{incident.episode}:{history.responses}"
        for alarm in alarms(settings.alarm, number, title, text[:4000], now):
            unit.enqueue(alarm, now)


def note(unit: Unit, key: str, title: str, text: str, now: datetime) -> None:
    """Only for the digest: an incident of our own that nobody is told of."""
    fingerprint, detail = _fingerprint(key), _detail(key, text)
    incident = unit.open_incident(fingerprint) or unit.start_incident(
        fingerprint=fingerprint,
        tenant=None,
        rule=None,
        kind="own",
        title=title,
        severity=Severity.LOW,
        at=now,
        detail=detail,
    )
    unit.add_occurrence(incident.id, mail_id=None, at=now, reason="", record_ids=(), detail=detail)


def _fingerprint(key: str) -> str:
    return sha256(f"own\x1f{key}".encode()).hexdigest()


def _detail(key: str, text: str) -> dict[str, object]:
    return {"text": text[:4000], "about": key[:500]}
