"""Mail to support: an incident that a person has to look at, and Triage's own troubles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from triage.incident.incident import Reason
from triage.response.markdown import clean, defang, one_line
from triage.response.message import Audience, OutboundMessage, RecordLink
from triage.response.render import Body, body
from triage.response.templates import Templates

EXCERPT_LENGTH = 4_000
"""Characters of the notification that a ticket shows."""
NOTE_LENGTH = 2_000
MAX_RECORDS = 100
MAX_ENDED = 50
"""Incidents that the mail about their end lists; of the others the number is given."""


class Sentence(NamedTuple):
    """What a reason means for the person who reads the ticket."""

    why: str
    """Why the mail was decided this way."""
    do: str
    """What the person should do now."""


SENTENCES: Mapping[Reason, Sentence] = {
    Reason.FIRST_IN_INCIDENT: Sentence(
        "This is the first notification of a new incident.",
        "Follow the remedy, or see to it that the tenant does.",
    ),
    Reason.REPEAT_DUE: Sentence(
        "The incident goes on: new records or causes came since the last message about it.",
        "Ask the tenant what became of the first message before you repeat the remedy.",
    ),
    Reason.WITHIN_REPEAT_INTERVAL: Sentence(
        "The recipient had a message about this incident a short time ago.",
        "Nothing needs to be done; the next message goes out when the interval is over.",
    ),
    Reason.NOTHING_NEW: Sentence(
        "The incident goes on, but it brings no record and no cause that was not reported.",
        "Nothing needs to be done, unless the incident goes on for days.",
    ),
    Reason.EXPERIMENTAL_RULE: Sentence(
        "A rule recognised the error, but the rule is experimental: its wording was never"
        " confirmed with a real mail. Such a rule never answers a customer.",
        "Check the evidence below. If the rule is right, send the remedy yourself and report the"
        " mail to those who keep the catalog, so that the rule can become stable.",
    ),
    Reason.FUZZY_ONLY: Sentence(
        "The words are only similar to those of a known error; similar words can mean the"
        " opposite.",
        "Compare the evidence with the title of the rule. If it is the same error, send the"
        " remedy yourself and have the new wording added to the catalog.",
    ),
    Reason.DRIFTED: Sentence(
        "The error is known, but a fact that such a mail always holds is missing: the sender"
        " may have changed its wording.",
        "Read the notification, send the remedy yourself if it fits, and have the rule adapted.",
    ),
    Reason.NOT_OUR_INTEGRATION: Sentence(
        "The error is known, but it happened in code that is not part of Agent Connect.",
        "Nothing needs to be done for Agent Connect; the tenant's own developers own this code.",
    ),
    Reason.SANDBOX: Sentence(
        "The notification comes from a sandbox, and sandboxes are not answered by mail here.",
        "Nothing is wrong in production because of it. Tell the tenant if they test right now.",
    ),
    Reason.UNKNOWN_ERROR: Sentence(
        "It is an error notification of the integration, but no rule of the catalog knows it.",
        "Find out what it means, tell the tenant, and have a rule written for it, so that the"
        " next one is answered at once.",
    ),
    Reason.UNKNOWN_TENANT: Sentence(
        "The notification names no tenant that is configured, so there is nobody to write to.",
        "Find out whose org it is. If it is a customer, add the org id, the My Domain or the"
        " Agent Connect sub-domain to that tenant in the configuration.",
    ),
    Reason.NO_CONTACT: Sentence(
        "The error is known and so is the tenant, but no contact is configured for the tenant.",
        "Send the remedy to the tenant yourself and add a contact to the configuration.",
    ),
    Reason.FOREIGN_ORG: Sentence(
        "The notification also names an org that is not this tenant's. What belongs to one"
        " customer must not reach another.",
        "Find out why two orgs stand in one notification. Tell each customer only what is theirs.",
    ),
    Reason.FORWARDER_NOT_ENTITLED: Sentence(
        "The person who passed the notification on is not a contact of this tenant, nor proved"
        " to be one of its people.",
        "Find out who that is. If they may know, answer them, and add them or their mail domain"
        " to the tenant in the configuration.",
    ),
    Reason.SUSPICIOUS: Sentence(
        "It looks like an error notification, but nothing proves that it comes from where it"
        " claims, or it contradicts itself. It may be forged.",
        "Do not answer it and do not follow its links or its instructions. Ask the tenant on a"
        " way that you know. If it is genuine, have the sender's authentication put right.",
    ),
    Reason.AUTOMATIC: Sentence(
        "The mail was sent by a program (an absence note, a list, a report); such mail is never"
        " answered.",
        "Read it if somebody should be told; otherwise nothing needs to be done.",
    ),
    Reason.NOT_A_NOTIFICATION: Sentence(
        "The mail holds no error notification of the integration.",
        "It was left where it is; read it as any other mail.",
    ),
    Reason.TOO_OLD: Sentence(
        "The notification is older than mails that are answered.",
        "It was recorded and counted. Act only if the error still goes on.",
    ),
    Reason.SILENCED: Sentence(
        "Somebody silenced this kind of incident for a time.",
        "Nothing needs to be done until the silence ends.",
    ),
    Reason.BUDGET: Sentence(
        "As many mails as the budget allows were sent already; this one is held back.",
        "Find out what causes so many mails. Tell the tenant on another way if it is urgent, and"
        " raise the budget in the configuration only if the volume is right.",
    ),
    Reason.NO_CONFIGURATION: Sentence(
        "Triage ran without a configuration, so there are no tenants and no recipients.",
        "Give it a configuration file.",
    ),
}
"""In words for support, a pair for every reason."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket tells of one incident. All strings may hold strangers' words."""

    title: str
    reason: Reason
    kind: str
    severity: str
    count: int
    first_seen: datetime
    last_seen: datetime
    tenant: str | None = None
    incident: str = ""
    """Under which number the incident is found: `17`, `17, episode 2`."""
    rule: str | None = None
    summary: str = ""
    """The remedy in one sentence, when the catalog knows one."""
    disables_integration: str = "no"
    """yes | possible | no"""
    sandbox: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    """Shown in this order; empty ones are left out."""
    evidence: tuple[str, ...] = ()
    """The words of the notification that matched."""
    runner_up: str = ""
    """The rule that came nearest, and what it lacked."""
    records: tuple[RecordLink, ...] = ()
    more_records: int = 0
    mail_subject: str = ""
    mail_from: str = ""
    mailbox: str = ""
    """Mailbox and folder where the mail lies."""
    authenticity: str = ""
    """One sentence: the result and what it rests on."""
    note: str = ""
    """What the person who passed it on wrote above it."""
    note_by: str = ""
    excerpt: str = ""
    recipients: tuple[str, ...] = ()
    """Who gets the fix instructions; empty when nobody was told."""
    told_at: datetime | None = None
    """As in CauseOfMail, and the next three: what changed since support was told last."""
    new_count: int = 0
    quiet_since: datetime | None = None
    told_before_at: datetime | None = None
    closed_at: datetime | None = None


_URL = re.compile(
    r"[a-z][a-z0-9+.-]{1,14}://(?:[^\s/?#<>\"'@]{0,100}@)?([\w.-]{0,253})[^\s<>\"']*", re.IGNORECASE
)
_DOTTED = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2})")


def ticket(
    about: Ticket,
    *,
    to: tuple[str, ...],
    from_: str,
    templates: Templates,
    message_id: str,
    references: tuple[str, ...] = (),
    timezone: tzinfo = UTC,
    hosts: AbstractSet[str] = frozenset(),
    by_mail: bool = True,
) -> OutboundMessage:
    """A mail to support about one incident, or what a ticket says of it. Raises TemplateFault.

    Of a suspicious one no link is passed on: their hosts are shown, defanged. Record links stay
    links when their host is one of `hosts`.
    """
    suspicious = about.reason is Reason.SUSPICIOUS
    shown = replace(
        about,
        title=_cut(one_line(about.title), 200, suspicious=suspicious),
        mail_subject=_cut(one_line(about.mail_subject), 300, suspicious=suspicious),
        excerpt=_cut(about.excerpt, EXCERPT_LENGTH, suspicious=suspicious),
        note=_cut(about.note, NOTE_LENGTH, suspicious=suspicious),
        evidence=tuple(_cut(one_line(w), 300, suspicious=suspicious) for w in about.evidence[:20]),
        records=() if suspicious else about.records[:MAX_RECORDS],
        more_records=about.more_records + max(0, len(about.records) - MAX_RECORDS),
    )
    rendered = body(
        templates,
        "tickets/incident.md.j2",
        language="en",
        timezone=timezone,
        hosts=frozenset() if suspicious else hosts,
        ticket=shown,
        suspicious=suspicious,
        sentence=SENTENCES[about.reason],
        by_mail=by_mail,
    )
    return _message(rendered, Audience.TICKET, to, from_, message_id, references)


def quiet(
    about: Sequence[Ticket],
    *,
    to: tuple[str, ...],
    from_: str,
    templates: Templates,
    message_id: str,
    references: tuple[str, ...] = (),
    timezone: tzinfo = UTC,
    by_mail: bool = True,
) -> OutboundMessage:
    """The last that support hears of incidents which became quiet. Raises TemplateFault.

    What may have switched the integration off comes first.
    """
    ordered = sorted(about, key=lambda one: one.sandbox or one.disables_integration == "no")
    rendered = body(
        templates,
        "tickets/closing.md.j2",
        language="en",
        timezone=timezone,
        hosts=frozenset(),
        tickets=[
            replace(one, title=_cut(one_line(one.title), 200, suspicious=False))
            for one in ordered[:MAX_ENDED]
        ],
        more=len(ordered[MAX_ENDED:]),
        total=len(about),
        quiet_since=max(one.last_seen for one in about),
        by_mail=by_mail,
    )
    return _message(rendered, Audience.TICKET, to, from_, message_id, references)


def own(
    title: str,
    text: str,
    *,
    to: tuple[str, ...],
    from_: str,
    templates: Templates,
    message_id: str,
    references: tuple[str, ...] = (),
) -> OutboundMessage:
    """A mail to support about a trouble of Triage's own; `text` is shown as it is.

    Raises TemplateFault.
    """
    rendered = body(
        templates,
        "tickets/own.md.j2",
        language="en",
        timezone=UTC,
        hosts=frozenset(),
        title=title,
        text=_cut(text, EXCERPT_LENGTH, suspicious=False),
    )
    return _message(rendered, Audience.OWN, to, from_, message_id, references)


def _message(
    rendered: Body,
    audience: Audience,
    to: tuple[str, ...],
    from_: str,
    message_id: str,
    references: tuple[str, ...],
) -> OutboundMessage:
    return OutboundMessage(
        audience=audience,
        from_=from_,
        to=to,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        message_id=message_id,
        references=references,
    )


def _cut(text: str, length: int, *, suspicious: bool) -> str:
    """At most `length` characters, lines of at most 500; without links when suspicious."""
    lines = [line if len(line) <= 500 else f"{line[:499]}…" for line in clean(text).split("\n")]
    whole = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    kept = whole if len(whole) <= length else f"{whole[:length].rstrip()}\n[… cut]"
    if not suspicious:
        return kept
    without = _URL.sub(lambda found: f"[link to {defang(found[1])} removed]", kept)
    return _DOTTED.sub("[.]", without)
