"""The last mail about incidents that became quiet, and what that does and does not prove."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from triage.response.message import Audience, CauseOfMail, OutboundMessage
from triage.response.render import body, triage_id
from triage.response.reply import allowed_hosts, in_language, state_of, urgency
from triage.response.templates import Templates
from triage.tenant import Tenant

TEMPLATE = "_closing.md.j2"


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
) -> OutboundMessage:
    """One mail about all causes; each has `closed_at`. Languages as in `reply`.

    Raises TemplateFault.
    """
    urls = [cause.setup_url for cause in causes if cause.setup_url]
    urls += [record.url for cause in causes for record in cause.records if record.url]
    path, language = templates.localised("replies", (language, tenant.language), TEMPLATE)
    ordered = [in_language(cause, templates, language) for cause in sorted(causes, key=urgency)]
    rendered = body(
        templates,
        path,
        language=language,
        timezone=ZoneInfo(tenant.timezone),
        hosts=allowed_hosts(tenant, urls),
        tenant=tenant.name,
        causes=ordered,
        state=state_of(ordered[0]),
        quiet_since=max(cause.last_seen for cause in causes),
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
        triage_id=triage_id(message_id),
        language=language,
    )
