"""Which notifications belong to one incident (design 8)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256

from triage.catalog.rule import Rule
from triage.catalog.verdict import Outcome, Owner
from triage.incident.incident import Case, Reason
from triage.mail.message import Notification

_IDS = re.compile(
    r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b"  # RFC 9562
    r"|\b[A-Za-z0-9]{15,}\b"  # Salesforce's, and digests in hex
)
_NUMBERS = re.compile(r"\d+")
_ADDRESSES = re.compile(r"[^\s<>()\[\]\"',;:@]{1,128}@[^\s<>()\[\]\"',;:@]{1,255}")
_LINKS = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,15}://[^\s<>\"']+"
    r"|\b[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,5}\.(?:salesforce|force)\.com\b[^\s<>\"']{0,200}",
    re.IGNORECASE,
)
_VARIES = re.compile(r" (?:names|for|of) ")
"""Behind these words the reason of a suspicion names what the forger wrote."""
_LABELLED = re.compile(
    r"^[ \t]*(?:error|exception|message|reason)[^:\n]{0,20}:[ \t]*(\S.*)",
    re.IGNORECASE | re.MULTILINE,
)
_MASKED_CHARACTERS = 300


APART = frozenset({Reason.FOREIGN_ORG, Reason.FORWARDER_NOT_ENTITLED, Reason.AUTOMATIC})
"""Reasons for which nothing of a case may be told to the tenant."""


def masked(message: str) -> str:
    """The message with ids and numbers replaced, so that repeats look alike; at most 300 long."""
    text = _IDS.sub(lambda m: "ID" if any(c.isdigit() for c in m[0]) else m[0], message)
    return " ".join(_NUMBERS.sub("N", text).split())[:_MASKED_CHARACTERS]


def anonymous(text: str) -> str:
    """Masked, and without addresses and links, which name people and organisations."""
    return masked(_LINKS.sub("LINK", _ADDRESSES.sub("ADDRESS", text)))


def owner_key(case: Case) -> str:
    """The tenant, else the org id, sub-domain or domain that the notification proves, else none."""
    authentication, facts = case.authentication, case.notification.facts
    if authentication.tenant:
        return f"tenant {authentication.tenant}"
    org = case.notification.lk or next(iter(facts.org_ids), None)
    if org:
        return f"org {org[:15]}"
    if facts.sub_domains:
        return f"sub-domain {facts.sub_domains[0]}"
    if case.notification.by and case.notification.by.domain:
        return f"domain {case.notification.by.domain}"
    return "none"


def fingerprint(
    case: Case, rules: Mapping[str, Rule], mailbox: str, reason: Reason | None = None
) -> str:
    """The same for two cases exactly if they are one trouble; 64 hex digits.

    Suspicious cases are grouped by mailbox and reason alone, so that one forger, whatever the
    ids, hosts and names that he writes, makes one incident. What may not reach the tenant by
    its `reason` never shares an incident with what may, nor a sandbox with production.
    """
    if case.outcome is Outcome.SUSPICIOUS:
        parts = ["suspicious", mailbox, _VARIES.split(case.authentication.why, maxsplit=1)[0]]
    elif case.finding is not None:
        rule = rules[case.finding.rule]
        values = [str(case.finding.facts.get(name, "")) for name in rule.fingerprint]
        parts = ["known", owner_key(case), rule.id, *values]
        if case.owner == Owner.FOREIGN:
            parts.append("not_our_integration")
    else:
        exception, message = _words(case.notification)
        kind = case.notification.kind
        parts = ["unknown", owner_key(case), kind, exception, masked(message)]
    if case.outcome is not Outcome.SUSPICIOUS and case.notification.facts.sandbox:
        parts.append("sandbox")
    if reason in APART:
        parts.append(reason)
    return sha256(json.dumps(parts).encode()).hexdigest()


def _words(notification: Notification) -> tuple[str, str]:
    """Exception type and message: of the root cause, else the line that is called an error.

    The subject, the same over all errors of one sender, serves where there is no such line.
    """
    if notification.facts.causes:
        root = notification.facts.causes[-1]
        return root.exception, root.message
    labelled = _LABELLED.search(notification.text)
    return "", labelled[1] if labelled else notification.subject or notification.text
