"""A pending response, as the templates of replies and tickets see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from triage.catalog.load import Catalog
from triage.incident.incident import Incident, Reason
from triage.mail.hosts import is_sandbox_host
from triage.mail.message import Kind
from triage.response.message import CauseOfMail, OpenCause, RecordLink
from triage.response.reply import rank, record_url, status_page_url
from triage.response.ticket import Ticket
from triage.rows import PendingResponse
from triage.tenant import Tenant, my_domain


def urgency(pending: PendingResponse, catalog: Catalog) -> tuple[int, int]:
    """What must not wait sorts first, as in `rank`."""
    incident = pending.incident
    rule = catalog.rules.get(incident.rule or "")
    state = rule.disables_integration if rule else _may_disable(incident)
    if incident.detail.get("sandbox"):
        state = "no"
    return rank(state, incident.severity)


def cause_of_mail(pending: PendingResponse, catalog: Catalog, tenant: Tenant) -> CauseOfMail:
    """The cause with links that are built from the tenant's own host (design 5.6)."""
    incident, detail = pending.incident, pending.incident.detail
    rule = catalog.rules[incident.rule or ""]
    host = _host(tenant, str(detail.get("host", "")))
    sub_domain = next(iter(tenant.agent_connect), None)
    new = set(pending.new_record_ids)
    return CauseOfMail(
        rule=rule.id,
        title=rule.title,
        summary=rule.remediation.summary,
        severity=str(rule.severity),
        disables_integration=rule.disables_integration,
        template=rule.remediation.template,
        count=incident.notifications,
        first_seen=incident.opened_at,
        last_seen=incident.last_seen_at,
        records=tuple(
            RecordLink(record, record_url(host, record) if host else None, record in new)
            for record in pending.record_ids
        ),
        more_records=pending.more_records,
        more_new=pending.more_new_records,
        facts=_facts(detail),
        sandbox=bool(detail.get("sandbox")),
        setup_url=f"https://{host}" if host else None,
        status_page_url=status_page_url(sub_domain) if sub_domain else None,
        repeated=pending.history.responses > 0,
        **_changed(pending),
        evidence="; ".join(_strings(detail.get("evidence"))),
        kind=incident.kind,
    )


def may_be_off(
    incidents: Iterable[Incident], tenant: str | None, catalog: Catalog
) -> tuple[OpenCause, ...]:
    """The tenant's incidents that are open and whose rule may switch production off."""
    return tuple(
        OpenCause(rule.id, rule.title, rule.disables_integration, one.last_seen_at)
        for one in incidents
        if one.tenant == tenant and one.closed_at is None and not one.detail.get("sandbox")
        if (rule := catalog.rules.get(one.rule or "")) and rule.disables_integration != "no"
    )


def ticket_of_incident(pending: PendingResponse, catalog: Catalog, tenant: Tenant | None) -> Ticket:
    """What support is told of an incident, and why nobody was answered automatically."""
    incident, detail = pending.incident, pending.incident.detail
    rule = catalog.rules.get(incident.rule or "")
    host = _host(tenant, str(detail.get("host", ""))) if tenant else None
    new = set(pending.new_record_ids)
    return Ticket(
        title=incident.title,
        reason=Reason(str(detail.get("reason", Reason.UNKNOWN_ERROR))),
        kind=incident.kind,
        severity=str(incident.severity),
        count=incident.notifications,
        first_seen=incident.opened_at,
        last_seen=incident.last_seen_at,
        tenant=incident.tenant,
        incident=f"{incident.id}, episode {incident.episode}",
        rule=incident.rule,
        summary=rule.remediation.summary if rule else "",
        disables_integration=rule.disables_integration if rule else _may_disable(incident),
        sandbox=bool(detail.get("sandbox")),
        facts=_facts(detail),
        evidence=_strings(detail.get("evidence")),
        runner_up=next(iter(_strings(detail.get("tried"))), "") if rule is None else "",
        records=tuple(
            RecordLink(record, record_url(host, record) if host else None, record in new)
            for record in sorted(pending.record_ids, key=lambda one: one not in new)
        ),
        more_records=pending.more_records,
        mail_subject=str(detail.get("subject", "")),
        mail_from=str(detail.get("from", "")),
        authenticity=f"{detail.get('authenticity', 'none')}: {detail.get('why', '')}",
        note=str(detail.get("note", "")),
        note_by=str(detail.get("by", "")),
        excerpt=str(detail.get("excerpt", "")),
        **_changed(pending),
    )


def _changed(pending: PendingResponse) -> dict[str, Any]:
    """What changed since the recipient heard of it, under the names that templates have."""
    earlier, repeated = pending.earlier, pending.history.responses > 0
    return {
        "told_at": pending.history.last_response_at if repeated else None,
        "new_count": pending.new_notifications or 0,
        "quiet_since": earlier.last_seen_at if earlier else None,
        "told_before_at": earlier.last_response_at if earlier else None,
        "closed_at": pending.incident.closed_at,
    }


def _may_disable(incident: Incident) -> str:
    """Salesforce may switch the integration off after an exception that nobody knows."""
    return "possible" if incident.kind == Kind.APEX_EXCEPTION else "no"


def _host(tenant: Tenant, named: str) -> str | None:
    """The tenant's host; that of its sandbox when the notification came from there."""
    own = {my_domain(host) for host in tenant.my_domains}
    if named and is_sandbox_host(named) and my_domain(named) in own:
        return named
    return next(iter(tenant.my_domains), None)


def _facts(detail: Mapping[str, object]) -> Mapping[str, str]:
    facts = detail.get("facts")
    return {k: str(v) for k, v in facts.items()} if isinstance(facts, Mapping) else {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()
