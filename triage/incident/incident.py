"""The values of the deciding room: Case, Incident, History, Decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from triage.catalog.rule import Rule, Severity
from triage.catalog.verdict import Finding, Outcome
from triage.mail.authenticity import Authentication
from triage.mail.message import Kind, Notification


class Action(StrEnum):
    """What is done about a case."""

    REPLY = "reply"
    TICKET = "ticket"


class Reason(StrEnum):
    """Why a decision is what it is; one word each, as `classify` prints them (design 7)."""

    FIRST_IN_INCIDENT = "first_in_incident"
    REPEAT_DUE = "repeat_due"
    WITHIN_REPEAT_INTERVAL = "within_repeat_interval"
    NOTHING_NEW = "nothing_new"
    EXPERIMENTAL_RULE = "experimental_rule"
    FUZZY_ONLY = "fuzzy_only"
    DRIFTED = "drifted"
    NOT_OUR_INTEGRATION = "not_our_integration"
    SANDBOX = "sandbox"
    UNKNOWN_ERROR = "unknown_error"
    UNKNOWN_TENANT = "unknown_tenant"
    NO_CONTACT = "no_contact"
    FOREIGN_ORG = "foreign_org"
    FORWARDER_NOT_ENTITLED = "forwarder_not_entitled"
    SUSPICIOUS = "suspicious"
    AUTOMATIC = "automatic"
    NOT_A_NOTIFICATION = "not_a_notification"
    TOO_OLD = "too_old"
    SILENCED = "silenced"
    BUDGET = "budget"
    NO_CONFIGURATION = "no_configuration"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to decide: a finding of one notification, or that it is unknown or suspicious."""

    outcome: Outcome
    notification: Notification
    authentication: Authentication
    finding: Finding | None
    """None when unknown or suspicious without findings."""
    owner: str
    """ours | foreign | unnamed"""
    automatic: bool
    """The mail that carried it is automatic by RFC 3834, list or other headers."""
    record_ids: tuple[str, ...]


def rule_of(case: Case) -> str | None:
    """The id of the rule that its incident has: none where a forger may have written the words."""
    if case.finding is None or case.outcome is Outcome.SUSPICIOUS:
        return None
    return case.finding.rule


def kind_of(case: Case) -> str:
    """The kind that its incident has."""
    return "suspicious" if case.outcome is Outcome.SUSPICIOUS else str(case.notification.kind)


def severity_of(case: Case, rules: Mapping[str, Rule]) -> Severity:
    """The severity that its incident has."""
    if case.outcome is Outcome.SUSPICIOUS:
        return Severity.MEDIUM
    if case.finding is not None:
        return rules[case.finding.rule].severity
    # Salesforce may switch the integration off after an exception that nobody knows (design 4.2).
    ours = case.notification.kind is Kind.APEX_EXCEPTION and case.owner == "ours"
    return Severity.HIGH if ours else Severity.MEDIUM


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, for whom, and the named reason."""

    actions: tuple[Action, ...]
    recipients: tuple[str, ...]
    """Addresses that a reply goes to; a ticket goes to support and is not listed here."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class Incident:
    """One running trouble, as the store keeps it."""

    id: int
    fingerprint: str
    """Hex digest of tenant, rule and grouping facts."""
    episode: int
    """1 for the first time that it opens."""
    tenant: str | None
    """Tenant.name"""
    rule: str | None
    """Rule id; None for unknown, suspicious and Triage's own troubles."""
    kind: str
    """A notification kind, or `suspicious`, or `own` for Triage's own troubles."""
    title: str
    severity: Severity
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    notifications: int
    """How many notifications it has gathered in this episode."""
    detail: Mapping[str, object] = field(default_factory=dict)
    """JSON values of the newest notification: facts, excerpt, reason, host, sandbox, note."""


@dataclass(frozen=True, slots=True)
class History:
    """What one recipient has heard of one incident."""

    responses: int = 0
    last_response_at: datetime | None = None
    has_new_records: bool = True
    """Whether records came that no response to this recipient has shown."""
