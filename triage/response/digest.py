"""The digest of a week as a mail to one reader, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta, tzinfo

from triage.response.content import (
    ALIVE_WEEKS,
    GROWS_FROM,
    MAX_ROWS,
    TREND_ROWS,
    UNKNOWN_TENANT,
    DigestContent,
    Entry,
    Remedy,
    Running,
)
from triage.response.markdown import Bar
from triage.response.message import Audience, OutboundMessage
from triage.response.render import body
from triage.response.templates import Templates


def digest_key(week: str, audience: str, recipient: str) -> str:
    """By which a digest is known to be queued already, from the schedule or by command."""
    return f"digest:{week}:{audience}:{recipient}"


def digest(
    content: DigestContent,
    *,
    recipient: str,
    from_: str,
    templates: Templates,
    message_id: str,
    timezone: tzinfo,
    language: str = "en",
) -> OutboundMessage:
    """The digest as a mail to one reader. Raises TemplateFault."""
    path, language = templates.localised("digest", (language,), "weekly.md.j2")
    rendered = body(
        templates,
        path,
        language=language,
        timezone=timezone,
        hosts=frozenset(),
        digest=_in_language(content, templates, language),
        last_day=content.end - timedelta(seconds=1),
        most=MAX_ROWS,
        most_trends=TREND_ROWS,
        alive_weeks=ALIVE_WEEKS,
        grows_from=GROWS_FROM,
    )
    return OutboundMessage(
        audience=Audience.DIGEST,
        from_=from_,
        to=(recipient,),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        message_id=message_id,
        language=language,
    )


def _in_language(content: DigestContent, templates: Templates, language: str) -> DigestContent:
    """The same with the titles, steps, reasons and labels for which the language has words."""

    def said(key: str, english: str) -> str:
        return next(iter(templates.words(language, key)), english) if key else english

    def running(those: Iterable[Running]) -> tuple[Running, ...]:
        return tuple(map(one_running, those))

    def one_running(one: Running) -> Running:
        rule = one.incident.rule
        words = templates.words(language, rule) if rule else ()
        # A summary that the language lacks is left out: the title says what it is about.
        title, summary = (*words, "")[:2] if words else (one.title, one.summary)
        return replace(one, title=title, summary=summary if one.summary else "")

    def entries(those: Iterable[Entry]) -> tuple[Entry, ...]:
        return tuple(replace(one, title=said(one.rule, one.title)) for one in those)

    def remedies(those: Iterable[Remedy]) -> tuple[Remedy, ...]:
        return tuple(replace(one, title=said(one.rule, one.title)) for one in those)

    def bars(those: Iterable[Bar]) -> tuple[Bar, ...]:
        return tuple(replace(bar, label=label(bar)) for bar in those)

    def label(bar: Bar) -> str:
        own = bar.label.removesuffix(f" ({bar.tenant})") if bar.tenant else bar.label
        tenant = said(bar.tenant, bar.tenant) if bar.tenant == UNKNOWN_TENANT else bar.tenant
        return said(bar.key, own) + (f" ({tenant})" if tenant else "")

    return replace(
        content,
        off=running(content.off),
        at_risk=running(content.at_risk),
        off_before=running(content.off_before),
        at_risk_before=running(content.at_risk_before),
        opened=running(content.opened),
        growing=running(content.growing),
        closed=running(content.closed),
        remedies=remedies(content.remedies),
        known=bars(content.known),
        tenants=bars(content.tenants),
        held=tuple(replace(held, why=said(held.reason, held.why)) for held in content.held),
        debt=replace(
            content.debt,
            experimental=entries(content.debt.experimental),
            drifted=entries(content.debt.drifted),
            similar=entries(content.debt.similar),
        ),
    )
