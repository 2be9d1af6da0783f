"""Whose a notification says that it is: its org, its tenant, and whether its names agree.

Nothing here is proof; `authenticity` says what is proved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from triage.mail.apex import Head, heads
from triage.mail.hosts import is_below, is_org_host, is_sandbox_host
from triage.mail.identifiers import same_org, to18
from triage.mail.message import Facts, Kind, Notification, Route
from triage.tenant import Tenant, Tenants, my_domain

SUBSTITUTE: Final = "sfcustomeremail.com"
"""Salesforce puts `email@<org id>.sfcustomeremail.com` in place of an unverified From."""
_CARRIED: Final = frozenset({Route.DIRECT, Route.ATTACHED})
"""Routes on which the notification's own header came along."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the names in one notification come to."""

    tenant: Tenant | None
    foreign_org: bool = False
    contradiction: str = ""


# One notification against itself -----------------------------------------------------------


def contradiction(notification: Notification) -> str:
    """Which of envelope, X-SFDC-LK, From and text name different orgs; "" when they agree.

    Needs no settings. Of what a person forwarded or pasted only the text counts.
    """
    found = heads(notification.text)
    if notification.route in _CARRIED:
        return _against_transport(notification, found) or _against_hosts(notification, found)
    return _against_hosts(notification, found)


def _against_transport(notification: Notification, found: Sequence[Head]) -> str:
    lk, body = notification.lk, notification.facts.org_ids
    named = [head.org_id for head in found if head.org_id] or list(body)
    if lk and named and lk[:15] not in named:
        return f"X-SFDC-LK names the org {lk}, the text names {named[0]}"
    orgs = [lk[:15]] if lk else named
    envelope = notification.envelope_org
    if envelope and orgs and all(same_org(envelope, org) is False for org in orgs):
        return f"the envelope names another org ({envelope}) than {orgs[0]}"
    label = _substitute_label(notification)
    # A DNS label keeps no case, so the ids are compared without it.
    if label and orgs and all(label not in _folded(org) for org in orgs):
        return f"From names another org ({label}) than {orgs[0]}"
    return ""


def _substitute_label(notification: Notification) -> str:
    """The org id in a substituted From; "" when there is none, as sites have ids as well."""
    domain = notification.claimed_from.domain if notification.claimed_from else ""
    label = domain.removesuffix("." + SUBSTITUTE).rpartition(".")[2]
    is_org = is_below(domain, SUBSTITUTE) and label.startswith("00d")
    return label if is_org and len(label) in {15, 18} else ""


def _folded(org: str) -> set[str]:
    try:
        return {org.lower(), to18(org).lower()}
    except ValueError:
        return {org.lower()}


def _against_hosts(notification: Notification, found: Sequence[Head]) -> str:
    """An exception of one org with a record link to another."""
    if len(found) != 1 or not found[0].host or not is_org_host(found[0].host):
        return ""
    for link in notification.links:
        other = link.record_id and is_org_host(link.host)
        if other and my_domain(link.host) != my_domain(found[0].host):
            return f"the mail is of {found[0].host}, its record link leads to {link.host}"
    return ""


# One notification against the tenants ------------------------------------------------------


def claim(
    notification: Notification,
    tenants: Tenants,
    *,
    sender: Tenant | None = None,
    person: Tenant | None = None,
) -> Claim:
    """Whose the notification is, and whether it names somebody else as well.

    `sender` is the tenant whose sending domain signed, `person` the one to whom an
    authenticated person belongs; the person counts only where the text names no tenant.
    """
    facts = notification.facts
    head = next(iter(heads(notification.text)), None)
    lk = notification.lk if notification.route in _CARRIED else None
    carrier = sender or (tenants.by_org(lk) if lk else None)
    named = _named(notification, tenants, head)
    tenant = carrier or _only(named) or (person if not named or person in named else None)
    if tenant is None:
        return Claim(None, foreign_org=len(named) > 1)
    if carrier and named and carrier not in named:
        what = "the signature" if sender else "X-SFDC-LK"
        return Claim(
            carrier,
            foreign_org=True,
            contradiction=f"{what} names {carrier.name}, the text names {named[0].name}",
        )
    at_home = _is_own_sandbox(facts, head, tenant, tenants)
    stranger = bool(lk and tenants.by_org(lk) is None and tenant.org_ids and not at_home)
    if stranger and notification.kind is not Kind.APEX_EXCEPTION and tenant in named:
        return Claim(
            tenant,
            foreign_org=True,
            contradiction=f"the text names {tenant.name}, X-SFDC-LK an org that is not theirs",
        )
    foreign = stranger or _names_others(facts, tenant, tenants, at_home=at_home)
    return Claim(tenant, foreign_org=foreign)


def _named(notification: Notification, tenants: Tenants, head: Head | None) -> list[Tenant]:
    """The tenants that the text names, each once.

    Of an exception mail only the head can give it an owner: Salesforce writes the head, the
    message below it holds any text, of whoever caused the exception.
    """
    facts = notification.facts
    if head is not None and notification.kind is Kind.APEX_EXCEPTION:
        found = [tenants.by_org(found.org_id) for found in heads(notification.text) if found.org_id]
        if not any(found):
            found = [
                tenants.by_org(head.source_org) if head.source_org else None,
                tenants.by_host(head.host) if head.host and is_org_host(head.host) else None,
            ]
    else:
        found = [tenants.by_org(org) for org in facts.org_ids]
        found += [tenants.by_host(host) for host in facts.hosts if is_org_host(host)]
        found += [tenants.by_sub_domain(sub) for sub in facts.sub_domains]
    return list({tenant.name: tenant for tenant in found if tenant}.values())


def _only(named: Sequence[Tenant]) -> Tenant | None:
    return named[0] if len(named) == 1 else None


def _is_own_sandbox(facts: Facts, head: Head | None, tenant: Tenant, tenants: Tenants) -> bool:
    """Whether an org that is not listed may be a sandbox of the tenant: it has an id of its own."""
    if not facts.sandbox:
        return False
    if head is not None and head.source_org is not None:
        return tenants.by_org(head.source_org) is tenant
    hosts = facts.hosts if head is None else [head.host] if head.host else []
    return any(is_sandbox_host(host) and tenants.by_host(host) is tenant for host in hosts)


def _names_others(facts: Facts, tenant: Tenant, tenants: Tenants, *, at_home: bool) -> bool:
    """Whether an id, host or sub-domain stands in it that is not the tenant's.

    A kind of name of which the operator listed none for the tenant tells nothing, unless it
    is another tenant's.
    """
    listed = (
        *((tenants.by_org(org), bool(tenant.org_ids) and not at_home) for org in facts.org_ids),
        *(
            (tenants.by_host(host), bool(tenant.my_domains))
            for host in facts.hosts
            if is_org_host(host)
        ),
        *((tenants.by_sub_domain(sub), bool(tenant.agent_connect)) for sub in facts.sub_domains),
    )
    return any(strict if owner is None else owner is not tenant for owner, strict in listed)
