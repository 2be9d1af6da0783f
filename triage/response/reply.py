"""The fix instructions: one mail for one recipient, a section for every cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from markupsafe import Markup

from triage.catalog.rule import Severity
from triage.response.markdown import armour
from triage.response.message import Audience, CauseOfMail, OutboundMessage
from triage.response.render import body
from triage.response.templates import TemplateFault, Templates
from triage.tenant import Tenant, my_domain

MAX_RECORDS = 50
"""Records that are listed per cause; of the others the number is given."""
MAX_RECORDS_OF_MAIL = 100
"""Records that one mail has room for, in equal shares of the causes that have some."""
_ROOM_OF_A_CAUSE = 5
"""So many records fewer for each cause, whose steps need room, too."""
MAX_CAUSES = 10
"""Causes that are told in full: Gmail cuts a mail at 102 kB of HTML."""
MAX_TITLES = 30
"""Causes beyond those of which the title is given; of the others the number."""

FACTS = (
    *("class_name", "exception", "host", "job_id", "job_name", "message", "object", "org_id"),
    *("sub_domain", "unit", "user_id"),
)
"""Facts that every section may name; "" when the notification does not tell them."""

VENDOR_HOSTS = frozenset(
    {
        "agentconnect.status.medallia.com",
        "developer.salesforce.com",
        "docs.medallia.com",
        "hello.stellaconnect.com",
        "help.salesforce.com",
        "status.salesforce.com",
    }
)
"""Where documentation stands that templates may link to."""

_PARTITIONS = ("sandbox", "develop", "scratch", "demo", "free", "patch", "trailblaze")
_CLASSIC, _LIGHTNING = ".my.salesforce.com", ".lightning.force.com"
_FAMILIES = (
    *(".salesforce.com", ".force.com", ".salesforce.mil", ".force.mil", ".crmforce.mil"),
    *(".sfcrmproducts.cn", ".sfcrmapps.cn", ".my-salesforce.com"),
)
_STATES = ("yes", "possible", "no")
_SEVERITIES = tuple(reversed(Severity))


def record_url(my_domain_host: str, record_id: str) -> str:
    """The link to a record, built from the tenant's own host (design 5.6).

    Hosts of other families than `my.salesforce.com` keep the classic path, which Salesforce
    leads on. Raises ValueError when `record_id` is no id of 15 or 18 characters.
    """
    if len(record_id) not in {15, 18} or not (record_id.isascii() and record_id.isalnum()):
        raise ValueError(f"not a record id: {record_id!r}")
    host = my_domain_host.lower()
    label, _, partition = host.removesuffix(_CLASSIC).partition(".")
    if host.endswith(_CLASSIC) and (not partition or partition in _PARTITIONS):
        dotted = f".{partition}" if partition else ""
        return f"https://{label}{dotted}{_LIGHTNING}/lightning/r/{record_id}/view"
    return f"https://{host}/{record_id}"


def status_page_url(sub_domain: str) -> str:
    """The API Status Page of a tenant's Agent Connect (Settings > Integrations)."""
    return f"https://{sub_domain}.agentconnect.net/api/request_status"


def allowed_hosts(tenant: Tenant, urls: Iterable[str] = ()) -> frozenset[str]:
    """Hosts that a mail to, or about, this tenant may link to: its own and the vendors'.

    Of the `urls`, which we built ourselves, the hosts count that belong to one of the tenant's
    My Domains: those of its sandboxes are not written down anywhere.
    """
    labels = {my_domain(host) for host in tenant.my_domains}
    own = {record_url(host, "0" * 15).split("/")[2] for host in tenant.my_domains}
    own |= {f"{sub}.agentconnect.net" for sub in tenant.agent_connect}
    own |= {f"{sub}.stellaconnect.net" for sub in tenant.agent_connect}
    named = {urlsplit(url).hostname or "" for url in urls}
    own |= {host for host in named if my_domain(host) in labels and host.endswith(_FAMILIES)}
    return VENDOR_HOSTS | own | {host.lower() for host in tenant.my_domains}


@dataclass(frozen=True, slots=True)
class _Section:
    """What the frame of a reply sees of one cause."""

    cause: CauseOfMail
    title: str
    body: str
    state: str
    """Whether the integration is off: yes | possible | no; always no for a sandbox."""
    new: int
    """Records that this recipient has not been shown."""


@dataclass(frozen=True, slots=True)
class Titled:
    """What the frame of a mail sees of a cause for whose steps it has no room."""

    cause: CauseOfMail
    state: str
    """As in a section."""


@dataclass(frozen=True, slots=True)
class ByUrgency:
    """Causes, the most urgent first, by how much of a mail they get."""

    full: tuple[CauseOfMail, ...]
    """With the records that there is room for, the new ones first."""
    titles: tuple[CauseOfMail, ...]
    """For which there is room for their titles."""
    more: int
    """How many others there are."""


def reply(
    causes: Sequence[CauseOfMail],
    *,
    tenant: Tenant,
    recipient: str,
    language: str,
    templates: Templates,
    from_: str,
    message_id: str,
    references: tuple[str, ...] = (),
    forwarded: bool = False,
    hosts: AbstractSet[str] = frozenset(),
) -> OutboundMessage:
    """One mail about all causes, what is switched off first, then by severity.

    Of more than MAX_CAUSES the others are listed by title. A language without templates gives
    way to the tenant's, and that to English; a section that is missing in the language is taken
    in English as a whole, and a line says so. `hosts` are allowed for links besides those of the
    tenant. Raises TemplateFault.
    """
    zone = ZoneInfo(tenant.timezone)
    found = by_urgency(causes)
    path, language = templates.localised("replies", (language, tenant.language), "_mail.md.j2")
    rendered = body(
        templates,
        path,
        language=language,
        timezone=zone,
        hosts=allowed_hosts(tenant, urls(found.full)) | hosts,
        tenant=tenant.name,
        forwarded=forwarded,
        sections=[
            _section(cause, templates, (language, tenant.language), zone) for cause in found.full
        ],
        others=titled(found.titles, templates, language),
        more=found.more,
        total=len(causes),
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
        auto_submitted="auto-replied" if forwarded else "auto-generated",
        language=language,
    )


def _section(
    cause: CauseOfMail, templates: Templates, languages: tuple[str, str], zone: ZoneInfo
) -> _Section:
    new = sum(record.new for record in cause.records) + cause.more_new if cause.repeated else 0
    path, found = templates.localised("replies", languages, f"{cause.template}.md.j2")
    facts: Mapping[str, str] = dict.fromkeys(FACTS, "") | dict(cause.facts)
    cause = replace(in_language(cause, templates, found), facts=facts)
    text = templates.render(path, language=found, timezone=zone, cause=cause).strip()
    heading, _, text = text.partition("\n")
    if not heading.startswith("## "):
        raise TemplateFault(path, 1, 'a section starts with "## " and its title')
    if found != languages[0] and (warning := templates.words(languages[0], "not translated")):
        text = f"{armour(warning[0])}\n\n{text.strip()}"
    return _Section(
        cause=cause,
        title=Markup(heading[3:].strip()),  # noqa: S704 - output of a template
        body=Markup(text.strip()),  # noqa: S704 - output of a template
        state=state_of(cause),
        new=new,
    )


def in_language(cause: CauseOfMail, templates: Templates, language: str) -> CauseOfMail:
    """The cause with the title and the summary of its rule in this language, if it has them."""
    words = templates.words(language, cause.rule)
    if not words:
        return cause
    title, summary, *_ = *words, cause.summary
    return replace(cause, title=title, summary=summary)


def by_urgency(causes: Iterable[CauseOfMail]) -> ByUrgency:
    """The causes in order, and no more of them and of their records than a mail has room for."""
    ordered = sorted(causes, key=urgency)
    full, others = ordered[:MAX_CAUSES], ordered[MAX_CAUSES:]
    with_records = max(1, sum(bool(cause.records) for cause in full))
    room = MAX_RECORDS_OF_MAIL - _ROOM_OF_A_CAUSE * len(full)
    share = min(MAX_RECORDS, room // with_records)
    return ByUrgency(
        full=tuple(_with_records(cause, share) for cause in full),
        titles=tuple(others[:MAX_TITLES]),
        more=len(others[MAX_TITLES:]),
    )


def _with_records(cause: CauseOfMail, most: int) -> CauseOfMail:
    new_first = sorted(cause.records, key=lambda record: not record.new)
    cut = new_first[most:]
    return replace(
        cause,
        records=tuple(new_first[:most]),
        more_records=cause.more_records + len(cut),
        more_new=cause.more_new + sum(record.new for record in cut),
    )


def titled(
    causes: Iterable[CauseOfMail], templates: Templates, language: str
) -> tuple[Titled, ...]:
    """What a list of causes says of each."""
    return tuple(Titled(in_language(one, templates, language), state_of(one)) for one in causes)


def urls(causes: Iterable[CauseOfMail]) -> list[str]:
    """The links that we built for these causes."""
    found = [(cause.setup_url, *(record.url for record in cause.records)) for cause in causes]
    return [url for urls_of_cause in found for url in urls_of_cause if url]


def state_of(cause: CauseOfMail) -> str:
    """Whether the integration is off: yes | possible | no; always no for a sandbox."""
    return "no" if cause.sandbox else cause.disables_integration


def rank(state: str, severity: Severity) -> tuple[int, int]:
    """What must not wait sorts first: what is switched off, what may be, then by severity.

    `state` is yes | possible | no.
    """
    return _STATES.index(state), _SEVERITIES.index(severity)


def urgency(cause: CauseOfMail) -> tuple[int, bool, int, object, str]:
    """The order of causes in a mail: by rank.

    Sandboxes come last, so that a mail is about one only if all of it is.
    """
    state, severity = rank(state_of(cause), Severity(cause.severity))
    return state, cause.sandbox, severity, cause.first_seen, cause.rule
