"""What is done about a case. The whole policy is the list `STAGES`, read from top to bottom.

Nothing here looks at a clock or a database: what was sent before comes in as `History`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from triage.catalog.rule import Rule, Status
from triage.catalog.verdict import Outcome
from triage.incident.incident import Action, Case, Decision, History, Reason
from triage.incident.silence import Silence, labels_of_case
from triage.mail.message import Address, Kind, Route
from triage.tenant import Role, Tenant, Tenants

TICKET = (Action.TICKET,)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided."""

    rules: Mapping[str, Rule]
    tenants: Tenants
    support_domains: tuple[str, ...] = ()
    silences: tuple[Silence, ...] = ()
    """Those in force."""
    sandbox: str = "reply"
    """`reply`, or `digest` to only count what comes from sandboxes."""
    repeat_interval: timedelta = timedelta(hours=24)
    undeliverable: Collection[str] = frozenset()
    """Addresses that mail did not reach."""


Stage = Callable[[Case, Policy], Decision | None]


def _ticket(reason: Reason) -> Decision:
    return Decision(TICKET, (), reason)


def _nothing(reason: Reason) -> Decision:
    return Decision((), (), reason)


def _suspicious(case: Case, _: Policy) -> Decision | None:
    return _ticket(Reason.SUSPICIOUS) if case.outcome is Outcome.SUSPICIOUS else None


def _other_software(case: Case, _: Policy) -> Decision | None:
    return _nothing(Reason.NOT_OUR_INTEGRATION) if case.owner == "foreign" else None


def _silenced(case: Case, policy: Policy) -> Decision | None:
    if not policy.silences:
        return None
    labels = labels_of_case(case, policy.rules)
    silenced = any(silence.holds(labels) for silence in policy.silences)
    return _nothing(Reason.SILENCED) if silenced else None


def _two_orgs(case: Case, _: Policy) -> Decision | None:
    return _ticket(Reason.FOREIGN_ORG) if case.authentication.foreign_org else None


def _stranger_forwards(case: Case, policy: Policy) -> Decision | None:
    if case.notification.route is Route.DIRECT or _colleague(case, policy):
        return None
    if _entitled(case, policy.tenants.named(case.authentication.tenant)):
        return None
    return _ticket(Reason.FORWARDER_NOT_ENTITLED)


def _machine_forwards(case: Case, _: Policy) -> Decision | None:
    # A reply would go to the sender of this mail, and nobody answers a machine (RFC 3834, 2).
    by_machine = case.automatic and case.notification.route is not Route.DIRECT
    return _ticket(Reason.AUTOMATIC) if by_machine else None


def _nobodys(case: Case, policy: Policy) -> Decision | None:
    known = policy.tenants.named(case.authentication.tenant)
    return _ticket(Reason.UNKNOWN_TENANT) if known is None else None


def _sandbox(case: Case, policy: Policy) -> Decision | None:
    counted_only = case.notification.facts.sandbox and policy.sandbox == "digest"
    return _nothing(Reason.SANDBOX) if counted_only else None


def _unknown(case: Case, _: Policy) -> Decision | None:
    return _ticket(Reason.UNKNOWN_ERROR) if case.finding is None else None


def _uncertain(case: Case, _: Policy) -> Decision | None:
    finding = case.finding
    if finding is None:
        return None
    if finding.drifted:
        return _ticket(Reason.DRIFTED)
    if finding.status is Status.EXPERIMENTAL:
        return _ticket(Reason.EXPERIMENTAL_RULE)
    return None if finding.near_exact else _ticket(Reason.FUZZY_ONLY)


def _no_name(case: Case, _: Policy) -> Decision | None:
    # Nothing says whose code failed: support looks, the customer is not sent searching.
    unnamed = case.notification.kind is Kind.APEX_EXCEPTION and case.owner == "unnamed"
    return _ticket(Reason.FIRST_IN_INCIDENT) if unnamed else None


def _remedy(case: Case, policy: Policy) -> Decision | None:
    if case.finding is None:
        return None
    action = policy.rules[case.finding.rule].remediation.action
    actions = {
        "reply": (Action.REPLY,),
        "ticket": TICKET,
        "both": (Action.REPLY, Action.TICKET),
        "none": (),
    }[action]
    if Action.REPLY not in actions:
        return Decision(actions, (), Reason.FIRST_IN_INCIDENT)
    recipients = _recipients(case, policy)
    if not recipients:
        return _ticket(Reason.NO_CONTACT)
    return Decision(actions, recipients, Reason.FIRST_IN_INCIDENT)


STAGES: tuple[Stage, ...] = (
    _silenced,
    _suspicious,
    _other_software,
    _two_orgs,
    _stranger_forwards,
    _machine_forwards,
    _nobodys,
    _sandbox,
    _unknown,
    _uncertain,
    _no_name,
    _remedy,
)


def decide(case: Case, policy: Policy) -> Decision:
    """What is done about the case if it is the first of its incident."""
    for stage in STAGES:
        decision = stage(case, policy)
        if decision is not None:
            return decision
    raise AssertionError("the last stages decide every case")


def reachable_contacts(tenant: Tenant, undeliverable: Collection[str]) -> tuple[str, ...]:
    """Who receives fix instructions: fallback contacts only when all others are unreachable."""
    reachable = [c for c in tenant.contacts if c.address not in undeliverable and not c.opt_out]
    first = tuple(c.address for c in reachable if c.role is not Role.FALLBACK)
    return first or tuple(c.address for c in reachable)


def repeat(history: History, now: datetime, interval: timedelta) -> Reason:
    """Whether a recipient hears of an incident again, and why (or why not)."""
    if history.last_response_at is None:
        return Reason.FIRST_IN_INCIDENT
    if not history.has_new_records:
        return Reason.NOTHING_NEW
    if now - history.last_response_at < interval:
        return Reason.WITHIN_REPEAT_INTERVAL
    return Reason.REPEAT_DUE


def repeat_interval(rules: Collection[Rule], default: timedelta) -> timedelta:
    """The shortest interval of the rules that one mail names; a rule's own wins over `default`."""
    return min((rule.remediation.repeat_interval or default for rule in rules), default=default)


def _recipients(case: Case, policy: Policy) -> tuple[str, ...]:
    tenant = policy.tenants.named(case.authentication.tenant)
    if tenant is None:
        return ()
    by = case.notification.by
    if case.notification.route is Route.DIRECT or by is None:
        return reachable_contacts(tenant, policy.undeliverable)
    # A colleague who is a listed contact asks for an answer like any other contact.
    if _colleague(case, policy) and not _listed(by, tenant):
        return reachable_contacts(tenant, policy.undeliverable)
    return () if by.spec in policy.undeliverable or by.spec in opted_out(tenant) else (by.spec,)


def opted_out(tenant: Tenant) -> frozenset[str]:
    """Whom nothing is sent to, not even an answer."""
    return frozenset(contact.address for contact in tenant.contacts if contact.opt_out)


def _colleague(case: Case, policy: Policy) -> bool:
    by = case.notification.by
    return by is not None and _below(by.domain, policy.support_domains)


def _entitled(case: Case, tenant: Tenant | None) -> bool:
    by = case.notification.by
    if by is None or tenant is None:
        return False
    return _listed(by, tenant) or _below(by.domain, tenant.domains)


def _listed(by: Address, tenant: Tenant) -> bool:
    return any(contact.address == by.spec for contact in tenant.contacts)


def _below(domain: str, domains: Collection[str]) -> bool:
    return any(domain == d or domain.endswith(f".{d}") for d in domains)
