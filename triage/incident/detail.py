"""What is kept of the newest notification of an incident, as JSON values with bounded lengths."""

from __future__ import annotations

from collections.abc import Mapping

from triage.catalog.verdict import Tried
from triage.incident.incident import Case
from triage.mail.message import Mail, Route

Detail = dict[str, object]

_EXCERPT = 4_000
_NOTE = 2_000
_LINE = 300
_EVIDENCE = 10
_FORWARDERS = 20


def detail(case: Case, mail: Mail | None, tried: tuple[Tried, ...] = ()) -> Detail:
    """Everything that a reply or a ticket needs to say about the case."""
    notification, facts = case.notification, case.notification.facts
    cause = facts.causes[-1] if facts.causes else None
    extracted = case.finding.facts if case.finding else {}
    return {
        "kind": str(notification.kind),
        "route": str(notification.route),
        "by": notification.by.spec[:_LINE] if notification.by else "",
        "answers": _answers(case, mail),
        "note": notification.note[:_NOTE],
        "subject": (mail.subject if mail else notification.subject)[:_LINE],
        "from": ", ".join(a.spec for a in mail.from_)[:_LINE] if mail else "",
        "excerpt": notification.text[:_EXCERPT],
        "evidence": [
            e.text[:_LINE] for e in (case.finding.evidence[:_EVIDENCE] if case.finding else ())
        ],
        "tried": [t.rule for t in tried[:3]],
        "authenticity": str(case.authentication.state),
        "why": case.authentication.why[:_LINE],
        "sandbox": facts.sandbox,
        "host": next(iter(facts.hosts), "")[:_LINE],
        "facts": {
            "org_id": next(iter(facts.org_ids), notification.lk or ""),
            "user_id": facts.user_id or "",
            "job_id": facts.job_id or "",
            "job_name": (facts.job_name or "")[:_LINE],
            "class_name": (facts.class_name or "")[:_LINE],
            "unit": facts.unit or "",
            "sub_domain": next(iter(facts.sub_domains), "")[:_LINE],
            "exception": cause.exception[:_LINE] if cause else "",
            "message": cause.message[:_LINE] if cause else "",
            **{k: v[:_LINE] for k, v in extracted.items() if isinstance(v, str)},
        },
    }


def carried(before: Mapping[str, object], newest: Detail) -> Detail:
    """The newest detail, and who forwarded earlier notifications of the same incident.

    `forwarders` are addresses with the Message-ID of their mail, or "", the newest 20 of them.
    """
    known = forwarders(before)
    by = str(newest.get("by") or "")
    if by and newest.get("route") != Route.DIRECT:
        known.pop(by, None)
        known[by] = str(newest.get("answers") or "")
    kept = dict(list(known.items())[-_FORWARDERS:])
    return {**newest, "forwarders": kept} if kept else newest


def forwarders(about: Mapping[str, object]) -> dict[str, str]:
    """Those who forwarded a notification of the incident, with the Message-ID of their mail."""
    known = about.get("forwarders")
    if isinstance(known, Mapping):
        return {str(address): str(answered) for address, answered in known.items()}
    # Until it was told of a second notification, there is the first one's only.
    by, answered = about.get("by"), about.get("answers")
    return {str(by): str(answered)} if by and answered else {}


def _answers(case: Case, mail: Mail | None) -> str:
    """The Message-ID that a reply answers: of a person's mail, never of a notification's."""
    if mail is None or case.notification.route is Route.DIRECT:
        return ""
    # A part of one would thread the reply nowhere.
    return mail.message_id if len(mail.message_id) <= _LINE else ""
