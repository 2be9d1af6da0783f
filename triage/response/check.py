"""All templates tried with invented causes, so that a fault is seen before a mail needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from triage.catalog.rule import Severity
from triage.incident.incident import Reason
from triage.incident.trend import WEEKS, IncidentTrend
from triage.mail.message import Kind
from triage.response import closing, content, digest, reply, ticket
from triage.response.markdown import Bar
from triage.response.message import CauseOfMail, OpenCause, OutboundMessage, RecordLink
from triage.response.render import RenderFault, to_octets
from triage.response.templates import TemplateFault, Templates
from triage.tenant import Tenant

_AT = datetime(2026, 11, 16, 13, 5, tzinfo=UTC)
_ID = "triage.check@example.com"
_FROM = "Integration support <support@example.com>"
_HOST = "northwind.my.salesforce.com"
_TENANT = Tenant("northwind", my_domains=(_HOST,), agent_connect=("northwind",))


def check(templates: Templates) -> tuple[TemplateFault, ...]:
    """Every fault of every template: syntax, missing files, what rendering shows, translations."""
    found = list(templates.faults())
    broken = {fault.template for fault in found}
    found += _translations(templates, broken)
    for path, make in _mails(templates):
        if path in broken:
            continue
        try:
            to_octets(make(), date=_AT)
        except TemplateFault as fault:
            found.append(fault)
        except RenderFault as fault:
            found.append(TemplateFault(path, 1, str(fault)))
    return tuple({str(fault): fault for fault in found}.values())


def _translations(templates: Templates, broken: AbstractSet[str]) -> Iterator[TemplateFault]:
    """Templates of other languages that do not tell what the English ones tell."""
    paths = set(templates)
    for path in sorted(paths - broken):
        folder, _, rest = path.partition("/")
        language, _, name = rest.partition("/")
        english = f"{folder}/en/{name}"
        if folder not in {"replies", "digest"} or language == "en" or english in broken:
            continue
        if english not in paths:
            yield TemplateFault(path, 0, f"the file {english}, which it translates, is missing")
            continue
        ours, theirs = templates.variables(path), templates.variables(english)
        for variable in sorted(theirs - ours):
            yield TemplateFault(path, 0, f"does not use {variable}, which {english} uses")
        for variable in sorted(ours - theirs):
            yield TemplateFault(path, 0, f"uses {variable}, which {english} does not use")


def _mails(templates: Templates) -> Iterator[tuple[str, Callable[[], OutboundMessage]]]:
    for path in templates:
        match path.removesuffix(".md.j2").split("/"):
            case ["replies", language, name]:
                for make in _replies(templates, language, name):
                    yield path, make
            case ["digest", language, _]:
                for audience in (None, _TENANT):
                    yield path, partial(_digest, templates, audience, language)
    for reason in (Reason.UNKNOWN_ERROR, Reason.SUSPICIOUS):
        yield "tickets/incident.md.j2", partial(_ticket, templates, reason)
    for by_mail in (True, False):
        yield "tickets/closing.md.j2", partial(_quiet, templates, by_mail=by_mail)
    yield "tickets/own.md.j2", partial(_own, templates)


def _replies(
    templates: Templates, language: str, name: str
) -> Iterator[Callable[[], OutboundMessage]]:
    """Mails about one cause, and from the frames about more than one mail has room for."""
    both = _causes(name)
    if name == "_closing":
        for causes in (both, both[1:], both * reply.MAX_TITLES):
            yield partial(_closing, templates, causes, language)
    elif name == "_mail":
        for section in _sections(templates)[:1]:
            yield partial(_reply, templates, _causes(section) * reply.MAX_TITLES, language)
    elif not name.startswith("_"):
        for cause in both:
            yield partial(_reply, templates, (cause,), language)


def _sections(templates: Templates) -> Sequence[str]:
    """The names of the sections that replies have in English."""
    names = [
        path.rpartition("/")[2].removesuffix(".md.j2")
        for path in templates
        if path.startswith("replies/en/")
    ]
    return [name for name in names if not name.startswith("_")]


def _causes(template: str) -> tuple[CauseOfMail, CauseOfMail]:
    """One of which everything is known, and one of which nothing is."""
    record = "5008x00000Ab01QAAX"
    rich = CauseOfMail(
        rule=f"any/{template}",
        title="A known error",
        summary="What is to be done.",
        severity="high",
        disables_integration="possible",
        template=template,
        count=3,
        first_seen=_AT,
        last_seen=_AT + timedelta(hours=2),
        records=(RecordLink(record, reply.record_url(_HOST, record), new=True),),
        more_records=2,
        more_new=1,
        facts=dict.fromkeys(reply.FACTS, "a fact"),
        setup_url=f"https://{_HOST}",
        status_page_url=reply.status_page_url("northwind"),
        repeated=True,
        told_at=_AT,
        new_count=2,
        closed_at=_AT + timedelta(days=7),
        evidence="The words that matched",
        kind=Kind.API_ERROR_ALERT,
    )
    poor = CauseOfMail(
        rule=f"any/{template}",
        title="A known error",
        summary="What is to be done.",
        severity="low",
        disables_integration="no",
        template=template,
        count=1,
        first_seen=_AT,
        last_seen=_AT,
        sandbox=True,
        quiet_since=_AT,
        told_before_at=_AT,
        closed_at=_AT + timedelta(hours=2),
        kind=Kind.APEX_EXCEPTION,
    )
    return rich, poor


def _reply(templates: Templates, causes: Sequence[CauseOfMail], language: str) -> OutboundMessage:
    return reply.reply(
        causes,
        tenant=_TENANT,
        recipient="priya@northwind.example",
        language=language,
        templates=templates,
        from_=_FROM,
        message_id=_ID,
        forwarded=causes[0].sandbox,
    )


def _closing(templates: Templates, causes: Sequence[CauseOfMail], language: str) -> OutboundMessage:
    certain = [OpenCause(f"any/{one}", "A known error", "yes", _AT) for one in "abcdef"]
    possible = OpenCause("any/g", "A known error", "possible", _AT)
    return closing.closing(
        causes,
        still_open=(*certain, possible) if len(causes) > 1 else (),
        tenant=_TENANT,
        recipient="priya@northwind.example",
        language=language,
        templates=templates,
        from_=_FROM,
        message_id=_ID,
    )


def _ticket(templates: Templates, reason: Reason) -> OutboundMessage:
    return ticket.ticket(
        _about(reason), to=("team@example.com",), from_=_FROM, templates=templates, message_id=_ID
    )


def _quiet(templates: Templates, *, by_mail: bool) -> OutboundMessage:
    abouts = [_about(reason) for reason in (Reason.UNKNOWN_ERROR, Reason.SUSPICIOUS)]
    return ticket.quiet(
        abouts if by_mail else abouts[:1],
        to=("team@example.com",),
        from_=_FROM,
        templates=templates,
        message_id=_ID,
        by_mail=by_mail,
    )


def _about(reason: Reason) -> ticket.Ticket:
    again = reason is Reason.SUSPICIOUS
    return ticket.Ticket(
        title="A title",
        reason=reason,
        kind="apex_exception",
        severity="high",
        count=2,
        first_seen=_AT,
        last_seen=_AT,
        facts={"Org": "00D8x000001AbCd"},
        evidence=("words",),
        note="A note",
        excerpt="Text",
        told_at=_AT if again else None,
        new_count=2,
        quiet_since=None if again else _AT,
        told_before_at=_AT,
        closed_at=_AT,
    )


def _own(templates: Templates) -> OutboundMessage:
    return ticket.own(
        *("A title", "Text"),
        to=("team@example.com",),
        from_=_FROM,
        templates=templates,
        message_id=_ID,
    )


def _digest(templates: Templates, audience: Tenant | None, language: str) -> OutboundMessage:
    """One in which no list is empty, and some are longer than what is shown."""
    incident = IncidentTrend(
        *(1, "f" * 64, 2, "northwind", None, "apex_exception", "A title", Severity.HIGH, _AT, None),
        counts=tuple(range(WEEKS)),
        last_at=_AT,
        told_at=_AT,
    )
    rich = content.Running(incident, "A title", "What is to be done.", "An example")
    poor = content.Running(
        replace(incident, tenant=None, episode=1, last_at=None, told_at=None), "A title"
    )
    rows = (rich, poor) * content.MAX_ROWS
    entries = (content.Entry("any/rule", "A title", 2),) * content.MAX_ROWS
    digested = content.DigestContent(
        week="2026-W47",
        start=_AT,
        end=_AT + timedelta(days=7),
        audience=content.SUPPORT_AUDIENCE if audience is None else audience.name,
        off=rows,
        at_risk=rows,
        off_before=rows,
        at_risk_before=rows,
        opened=rows,
        growing=rows,
        closed=rows,
        known=(Bar("A known error", 3, 2),),
        tenants=(Bar("northwind", 3, 2), Bar("contoso", 0, 1)),
        remedies=(content.Remedy("any/rule", "A title", "template", 4, 1, 2, 1, 9),),
        silent=(content.Silent("northwind", (1, 1, 1, 0, 0, 0, 0, 0), _AT),) * content.MAX_ROWS,
        unknown=rows,
        suspicious=rows,
        own=rows,
        held=(content.Held("silenced", "Why", 2),),
        bounced=(content.Bounce("priya@northwind.example", "5.1.1", 2, _AT),),
        budgets=(
            content.Budget("total"),
            content.Budget("per_tenant", "northwind"),
            content.Budget("per_recipient", "priya@northwind.example"),
        ),
        over_budget=(("northwind", 2),),
        debt=content.Debt(entries, entries, entries, ("any/rule",)),
        mails=9,
        not_ours=3,
        notifications=3,
        before=3,
        quarantined=1,
    )
    return digest.digest(
        digested,
        recipient="leads@example.com",
        from_=_FROM,
        templates=templates,
        message_id=_ID,
        timezone=UTC,
        language=language,
    )
