"""The last mail about incidents that became quiet, and what that does and does not prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from triage.mail.message import Kind
from triage.response.message import Audience, CauseOfMail, OpenCause, OutboundMessage
from triage.response.render import body
from triage.response.reply import allowed_hosts, by_urgency, in_language, state_of, titled, urls
from triage.response.templates import Templates
from triage.tenant import Tenant

TEMPLATE = "_closing.md.j2"
MAX_OPEN = 5
"""Open causes that are named; of the others the number is given."""


def closing(
    causes: Sequence[CauseOfMail],
    *,
    tenant: Tenant,
    recipient: str,
    language: str,
    templates: Templates,
    from_: str,
    message_id: str,
    references: tuple[str, ...] = (),
    still_open: Sequence[OpenCause] = (),
) -> OutboundMessage:
    """One mail about all causes; each has `closed_at`. Room and languages as in `reply`.

    `still_open` is what may have switched the same tenant's integration off: while it is off,
    nothing else can fail. Raises TemplateFault.
    """
    found = by_urgency(causes)
    first = found.full[0]
    path, language = templates.localised("replies", (language, tenant.language), TEMPLATE)
    # A sandbox is another integration than the one that may be off.
    running = () if first.sandbox else _once(still_open)
    rendered = body(
        templates,
        path,
        language=language,
        timezone=ZoneInfo(tenant.timezone),
        hosts=allowed_hosts(tenant, urls(found.full)),
        tenant=tenant.name,
        causes=[in_language(cause, templates, language) for cause in found.full],
        others=titled(found.titles, templates, language),
        more=found.more,
        total=len(causes),
        state=state_of(first),
        quiet_since=max(cause.last_seen for cause in causes),
        still_open=[_in_language(one, templates, language) for one in running[:MAX_OPEN]],
        more_open=len(running[MAX_OPEN:]),
        # Agent Connect refuses a request only after Salesforce has delivered it.
        refused=any(cause.kind == Kind.API_ERROR_ALERT for cause in causes),
        unsent=any(cause.kind != Kind.API_ERROR_ALERT for cause in causes),
        held_back=any(cause.kind == Kind.APEX_EXCEPTION for cause in causes),
    )
    return OutboundMessage(
        audience=Audience.REPLY,
        from_=from_,
        to=(recipient,),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        message_id=message_id,
        references=references,
        language=language,
    )


def _once(still_open: Sequence[OpenCause]) -> Sequence[OpenCause]:
    """The newest of each rule, what is certainly switched off first, then the newest."""
    newest = {one.rule: one for one in sorted(still_open, key=lambda one: one.last_seen)}
    by_time = sorted(newest.values(), key=lambda one: one.last_seen, reverse=True)
    return sorted(by_time, key=lambda one: one.disables_integration != "yes")


def _in_language(one: OpenCause, templates: Templates, language: str) -> OpenCause:
    words = templates.words(language, one.rule)
    return replace(one, title=words[0]) if words else one
