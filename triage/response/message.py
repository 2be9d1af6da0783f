"""The values of the responding room: Cause, OutboundMessage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Audience(StrEnum):
    """The recipient class; one message has one."""

    REPLY = "reply"
    TICKET = "ticket"
    DIGEST = "digest"
    OWN = "own"
    """Triage's own troubles, to support."""


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A failing record. The URL is built from the tenant's own host, never copied."""

    id: str
    """18 characters."""
    url: str | None
    """None when the tenant has no My Domain."""
    new: bool = True
    """Not shown to this recipient before."""


@dataclass(frozen=True, slots=True)
class CauseOfMail:
    """One cause in a reply, as its template sees it under the name `cause`."""

    rule: str
    title: str
    summary: str
    severity: str
    disables_integration: str
    """yes | possible | no"""
    template: str
    count: int
    first_seen: datetime
    last_seen: datetime
    records: tuple[RecordLink, ...] = ()
    more_records: int = 0
    """How many records are not listed."""
    more_new: int = 0
    """How many of these are new."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """class_name, job_id, job_name, org_id, user_id, sub_domain, exception, message, …; a fact
    that is not known is "" """
    sandbox: bool = False
    setup_url: str | None = None
    """https://HOST of the tenant's org, "" path; None when the tenant has no My Domain."""
    status_page_url: str | None = None
    """The API Status Page of the tenant's Agent Connect; None when no sub-domain is known."""
    repeated: bool = False
    """This recipient has heard of the incident before."""
    told_at: datetime | None = None
    """When it was that; None where only a store that is lost knew it, or for the first mail."""
    new_count: int = 0
    """Notifications since then; 0 when it is not known."""
    quiet_since: datetime | None = None
    """The recipient heard of an earlier episode, which was last seen then; else None."""
    told_before_at: datetime | None = None
    """When the last mail about that episode went to this recipient."""
    closed_at: datetime | None = None
    """When it was quiet for long enough; only in the last mail."""
    evidence: str = ""
    """The words of the notification that named the error."""
    kind: str = ""
    """Which notification told of it: managed_package | apex_exception | api_error_alert"""


@dataclass(frozen=True, slots=True)
class OpenCause:
    """What may have switched the integration off, and has not become quiet."""

    rule: str
    title: str
    disables_integration: str
    """yes | possible"""
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message before it becomes octets."""

    audience: Audience
    from_: str
    """As in [smtp] from: display name and address."""
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    message_id: str
    """Without angle brackets."""
    references: tuple[str, ...] = ()
    auto_submitted: str = "auto-generated"
    """auto-replied when it answers a person's forward (RFC 3834, 5)."""
    language: str = "en"
