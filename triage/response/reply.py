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
from triage.response.render import body, triage_id
from triage.response.templates import TemplateFault, Templates
from triage.tenant import Tenant, my_domain

MAX_RECORDS = 50
"""Records that are listed per cause; of the others the number is given."""

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
_ORDER = ("yes", "possible", "no")
_SEVERITIES = tuple(Severity)


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

    A language without templates gives way to the tenant's, and that to English; a section that
    is missing in the language is taken in English as a whole, and a line says so. `hosts` are
    allowed for links besides those of the tenant. Raises TemplateFault.
    """
    zone = ZoneInfo(tenant.timezone)
    urls = [cause.setup_url for cause in causes if cause.setup_url]
    urls += [record.url for cause in causes for record in cause.records if record.url]
    ordered = sorted(causes, key=urgency)
    path, language = templates.localised("replies", (language, tenant.language), "_mail.md.j2")
    rendered = body(
        templates,
        path,
        language=language,
        timezone=zone,
        hosts=allowed_hosts(tenant, urls) | hosts,
        tenant=tenant.name,
        forwarded=forwarded,
        sections=[
            _section(cause, templates, (language, tenant.language), zone) for cause in ordered
        ],
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
        triage_id=triage_id(message_id),
        language=language,
    )


def _section(
    cause: CauseOfMail, templates: Templates, languages: tuple[str, str], zone: ZoneInfo
) -> _Section:
    new = sum(record.new for record in cause.records) if cause.repeated else 0
    path, found = templates.localised("replies", languages, f"{cause.template}.md.j2")
    cause = _for_templates(in_language(cause, templates, found))
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


def _for_templates(cause: CauseOfMail) -> CauseOfMail:
    """Every fact that a section may name, and no more records than a person works through."""
    facts: Mapping[str, str] = dict.fromkeys(FACTS, "") | dict(cause.facts)
    new_first = sorted(cause.records, key=lambda record: not record.new)
    more = cause.more_records + max(0, len(new_first) - MAX_RECORDS)
    return replace(cause, facts=facts, records=tuple(new_first[:MAX_RECORDS]), more_records=more)


def state_of(cause: CauseOfMail) -> str:
    """Whether the integration is off: yes | possible | no; always no for a sandbox."""
    return "no" if cause.sandbox else cause.disables_integration


def urgency(cause: CauseOfMail) -> tuple[int, int, object, str]:
    """The order of causes in a mail: what is switched off first, then by severity."""
    severity = -_SEVERITIES.index(Severity(cause.severity))
    return _ORDER.index(state_of(cause)), severity, cause.first_seen, cause.rule
