"""Whether a notification comes from where it claims, and whose it is (design 5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from triage.mail import identifiers
from triage.mail.claims import SUBSTITUTE, Claim, claim, contradiction
from triage.mail.hosts import is_below
from triage.mail.message import Address, Kind, Mail, Notification, Route
from triage.mail.results import Results, Trust, aligned, read_results
from triage.tenant import Tenant, Tenants

__all__ = ["Authentication", "Authenticity", "Trust", "authenticate", "contradiction"]

_PLATFORM: Final = "salesforce.com"
_AGENT_CONNECT: Final = ("stellaconnect.net", "agentconnect.net")


class Authenticity(StrEnum):
    """As `classify` prints it."""

    PASS = "pass"  # noqa: S105 the word of RFC 8601, no password
    FAIL = "fail"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Authentication:
    """The result for one notification."""

    state: Authenticity
    why: str
    """One sentence for `explain` and for the ticket."""
    tenant: str | None = None
    """Tenant.name of the tenant whose notification it is; None when none can be named."""
    foreign_org: bool = False
    """Ids or hosts of a second tenant, or of an org that is not the tenant's, stand in it."""
    contradiction: str = ""
    """Which of envelope, X-SFDC-LK and body name different orgs; "" when they agree."""


def authenticate(
    notification: Notification, mail: Mail, tenants: Tenants, trust: Trust
) -> Authentication:
    """Judge one notification of `mail` by what our own servers wrote into its header.

    `mail` is the outermost mail, the one that stood in the mailbox.
    """
    results = read_results(mail.headers, trust)
    if notification.route is Route.DIRECT:
        proof, sender = _proof(notification, tenants, results)
        claimed = claim(notification, tenants, sender=sender)
        fault = _header_fault(notification, mail, results)
    else:
        person = mail.from_[0] if len(mail.from_) == 1 else None
        proof = _proof_of_person(person, results)
        claimed = claim(notification, tenants, person=_tenant_of(person, tenants, proof))
        fault = _person_fault(notification, mail)
    conflict = contradiction(notification) or claimed.contradiction
    if fault or conflict:
        state, why = Authenticity.FAIL, f"The mail contradicts itself: {fault or conflict}."
    elif proof:
        state, why = Authenticity.PASS, f"Proved by {proof}."
    else:
        state, why = _unproved(notification, claimed, tenants, results)
    return _result(state, why, claimed, conflict)


def _result(state: Authenticity, why: str, claimed: Claim, conflict: str) -> Authentication:
    name = claimed.tenant.name if claimed.tenant else None
    return Authentication(state, why, name, claimed.foreign_org, conflict)


# What comes from the source itself ---------------------------------------------------------


def _proof(
    notification: Notification, tenants: Tenants, results: Results
) -> tuple[str, Tenant | None]:
    """What proves a direct notification, "" for nothing; and whose sending domain it was."""
    if notification.kind is Kind.MANAGED_PACKAGE:
        return _proof_of_package(notification, tenants, results), None
    signed = results.passed("dkim")
    if notification.kind is Kind.API_ERROR_ALERT:
        for domain in signed:
            if sender := tenants.by_sending_domain(domain):
                return f"DKIM of {domain}, a sending domain of {sender.name}", sender
        ours = (d for d in signed if any(is_below(d, parent) for parent in _AGENT_CONNECT))
    else:
        ours = (d for d in signed if is_below(d, _PLATFORM))
    return next((f"DKIM of {domain}" for domain in ours), ""), None


def _proof_of_package(notification: Notification, tenants: Tenants, results: Results) -> str:
    """A signature or an envelope that goes with the tenant whose org X-SFDC-LK names."""
    tenant = tenants.by_org(notification.lk) if notification.lk else None
    if tenant is None:
        return ""
    org = f"X-SFDC-LK, which names an org of {tenant.name}"
    for domain in results.passed("dkim"):
        if is_below(domain, SUBSTITUTE) or any(aligned(domain, own) for own in tenant.domains):
            return f"DKIM of {domain} and {org}"
    for domain in results.passed("spf"):
        if _is_envelope_of(domain, notification.lk):
            return f"SPF of {domain} and {org}"
    return ""


def _is_envelope_of(domain: str, org: str | None) -> bool | None:
    """Whether SPF passed for the bounces of that org: every customer of Salesforce has some.

    None when it is no such domain, or one in a form that does not tell the org.
    """
    envelope = identifiers.envelope_org(f"x@{domain}")
    return identifiers.same_org(envelope, org) if envelope and org else None


def _header_fault(notification: Notification, mail: Mail, results: Results) -> str:
    """What no mail of a sane source shows; "" for nothing."""
    if len(mail.from_) > 1 or not all(map(_is_address, mail.from_)):
        return "it has not exactly one From address"
    orgs = dict.fromkeys(value.strip()[:15] for value in mail.all("x-sfdc-lk"))
    if len(orgs) > 1:
        return f"X-SFDC-LK names {' and '.join(orgs)}"
    spf = results.passed("spf") if notification.kind is Kind.MANAGED_PACKAGE else ()
    for domain in spf:
        if _is_envelope_of(domain, notification.lk) is False:
            return f"X-SFDC-LK names {notification.lk}, SPF passed for another org ({domain})"
    return ""


# What a person passed on -------------------------------------------------------------------


def _proof_of_person(person: Address | None, results: Results) -> str:
    """What proves that From is the person's own; "" for nothing."""
    if person is None or not _is_address(person):
        return ""
    for method in ("dkim", "dmarc"):
        for domain in results.passed(method):
            if aligned(domain, person.domain):
                return f"{method.upper()} of {domain}, which goes with From"
    return ""


def _person_fault(notification: Notification, mail: Mail) -> str:
    if len(mail.from_) != 1 or not _is_address(mail.from_[0]):
        return "it has not exactly one From address"
    if notification.by is not None and notification.by.spec != mail.from_[0].spec:
        return "From is not the person who passed the notification on"
    return ""


def _is_address(address: Address) -> bool:
    local, at, domain = address.spec.rpartition("@")
    return bool(local and at and domain)


def _tenant_of(person: Address | None, tenants: Tenants, proof: str) -> Tenant | None:
    """Whose person it is. A From that nothing proves names nobody."""
    if person is None or not proof:
        return None
    return tenants.by_contact(person.spec) or tenants.by_domain(person.domain)


# Nothing proved ----------------------------------------------------------------------------

_NEEDED: Final = {
    Kind.MANAGED_PACKAGE: "A signature of the tenant, or the envelope of Salesforce,",
    Kind.APEX_EXCEPTION: "A signature of salesforce.com",
    Kind.API_ERROR_ALERT: "A signature of Agent Connect",
    Kind.OTHER: "A signature of salesforce.com",
}


def _unproved(
    notification: Notification, claimed: Claim, tenants: Tenants, results: Results
) -> tuple[Authenticity, str]:
    """`fail` when a result says so or proves that it is somebody else's, else `none`."""
    if failed := results.failed():
        worst = failed[0]
        of = f" for {worst.domain}" if worst.domain else ""
        return Authenticity.FAIL, f"{worst.method.upper()} failed{of}."
    if not results.seen:
        return Authenticity.NONE, "No Authentication-Results of a trusted server."
    for domain in results.passed("dmarc"):
        if domain and not _may_send(domain, notification, claimed.tenant, tenants):
            return Authenticity.FAIL, f"From is proved to be of {domain}, which does not send this."
    return Authenticity.NONE, _missing(notification, tenants)


def _missing(notification: Notification, tenants: Tenants) -> str:
    if notification.route is not Route.DIRECT:
        return "Neither DKIM nor DMARC passed for the person's From."
    if notification.kind is Kind.MANAGED_PACKAGE:
        if not notification.lk:
            return "No X-SFDC-LK says which org it is of."
        if tenants.by_org(notification.lk) is None:
            return f"X-SFDC-LK names {notification.lk}, an org of no tenant."
    return f"{_NEEDED[notification.kind]} is missing."


def _may_send(
    domain: str, notification: Notification, tenant: Tenant | None, tenants: Tenants
) -> bool:
    """Whether a From of this domain goes with the notification, though it proves too little.

    A look-alike is signed well, by its own domain: what it proves is that it is not the one.
    """
    if notification.route is not Route.DIRECT:
        return False
    if notification.kind is Kind.API_ERROR_ALERT:
        ours = any(is_below(domain, parent) for parent in _AGENT_CONNECT)
        return ours or tenants.by_sending_domain(domain) is not None
    if notification.kind is not Kind.MANAGED_PACKAGE:
        return is_below(domain, _PLATFORM)
    # Without a tenant nobody can say which domains are theirs.
    own = tenant is None or any(aligned(domain, name) for name in tenant.domains)
    return own or is_below(domain, SUBSTITUTE)
