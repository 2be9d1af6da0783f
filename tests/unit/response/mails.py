"""Whole mails with fixed inputs, from the rules and templates as they ship."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from triage.catalog.load import RuleSource, load
from triage.catalog.rule import Severity
from triage.incident.trend import IncidentTrend
from triage.response.closing import closing
from triage.response.content import (
    Bounce,
    Debt,
    DigestContent,
    Entry,
    Held,
    Remedy,
    Running,
    Silent,
)
from triage.response.digest import digest
from triage.response.markdown import Bar
from triage.response.message import CauseOfMail, OutboundMessage, RecordLink
from triage.response.reply import record_url, reply, status_page_url
from triage.response.templates import Templates
from triage.response.ticket import SENTENCES
from triage.tenant import Contact, Tenant

TOP = Path(__file__).parents[3]
RULES = load(
    RuleSource(path.relative_to(TOP / "rules").with_suffix("").as_posix(), path.name, text)
    for path in (TOP / "rules").rglob("*.yaml")
    for text in [path.read_text("utf-8")]
).rules
TEMPLATES = Templates(
    {
        path.relative_to(TOP / "templates").as_posix(): path.read_text("utf-8")
        for path in (TOP / "templates").rglob("*.j2")
    }
)
HOST = "contoso.my.salesforce.com"
CONTOSO = Tenant(
    "contoso",
    org_ids=("00D5g00000QwErT",),
    my_domains=(HOST,),
    agent_connect=("contoso",),
    contacts=(Contact("jonas@contoso.example", language="de"),),
    language="de",
    timezone="Europe/Berlin",
)
FIRST = datetime(2026, 11, 16, 13, 5, tzinfo=UTC)
LAST = datetime(2026, 11, 16, 15, 7, tzinfo=UTC)


def cause(rule_id: str, records: int = 0, *, host: str = HOST, **more: object) -> CauseOfMail:
    rule = RULES[rule_id]
    ids = [f"5005g00000Ab{number:03}AAE" for number in range(1, records + 1)]
    made = CauseOfMail(
        rule=rule.id,
        title=rule.title,
        summary=rule.remediation.summary,
        severity=rule.severity.value,
        disables_integration=rule.disables_integration,
        template=rule.remediation.template,
        count=max(records, 1),
        first_seen=FIRST,
        last_seen=LAST,
        records=tuple(RecordLink(record, record_url(host, record)) for record in ids),
        facts={"org_id": "00D5g00000QwErT", "sub_domain": "contoso"},
        setup_url=f"https://{host}",
        status_page_url=status_page_url("contoso"),
    )
    return replace(made, **more)


QUEUE = cause("agent_connect/employee_is_queue", 3)
KNOWN_BEFORE = replace(QUEUE.records[0], new=False)
CPU = cause(
    "salesforce/cpu_time_limit",
    facts={
        "org_id": "00D5g00000QwErT",
        "class_name": "StellaConnect.RequestBatch",
        "job_name": "Agent Connect Request Sender",
        "job_id": "7075g00000AbCdE",
    },
)
REPLIES = {
    "one_cause": [QUEUE],
    "switched_off_first": [
        replace(
            QUEUE, repeated=True, records=(KNOWN_BEFORE, *QUEUE.records[1:]), more_records=1200
        ),
        CPU,
        cause("agent_connect/job_monitor_shutoff"),
    ],
    "repeated": [
        replace(
            QUEUE,
            repeated=True,
            records=(KNOWN_BEFORE, *QUEUE.records[1:]),
            count=12,
            told_at=FIRST + timedelta(minutes=1),
            new_count=9,
        ),
        replace(
            CPU, quiet_since=FIRST - timedelta(days=30), told_before_at=LAST - timedelta(days=23)
        ),
    ],
    "job_locked": [cause("salesforce/job_locked", facts={"job_id": "7075g00000AbCdE"})],
    "sandbox": [
        cause(
            "salesforce/required_field_missing",
            1,
            host="contoso--uat.sandbox.my.salesforce.com",
            sandbox=True,
            facts={"message": "REQUIRED_FIELD_MISSING, Required fields are missing: [Brand__c]"},
        )
    ],
}


CLOSINGS = {
    "closing": [
        replace(
            QUEUE,
            records=(*(replace(one, new=False) for one in QUEUE.records[:2]), QUEUE.records[2]),
            count=12,
            told_at=FIRST + timedelta(days=1),
            closed_at=LAST + timedelta(days=7, minutes=53),
        ),
        replace(
            CPU,
            told_at=FIRST + timedelta(minutes=1),
            last_seen=FIRST,
            closed_at=LAST + timedelta(days=7, minutes=53),
        ),
    ],
    "closing_off": [
        replace(
            cause("agent_connect/job_monitor_shutoff"),
            told_at=FIRST + timedelta(minutes=1),
            closed_at=LAST + timedelta(days=7, minutes=53),
        )
    ],
}


def ended(name: str, language: str) -> OutboundMessage:
    return closing(
        CLOSINGS[name],
        tenant=CONTOSO,
        recipient="jonas@contoso.example",
        language=language,
        templates=TEMPLATES,
        from_="Integration support <support@example.com>",
        message_id="triage.00@example.com",
    )


def written(name: str, language: str) -> OutboundMessage:
    return reply(
        REPLIES[name],
        tenant=CONTOSO,
        recipient="jonas@contoso.example",
        language=language,
        templates=TEMPLATES,
        from_="Integration support <support@example.com>",
        message_id="triage.00@example.com",
    )


def digested(language: str) -> OutboundMessage:
    def running(rule: str | None, *counts: int, **more: object) -> Running:
        known = RULES.get(rule or "")
        title = known.title if known else "System.FooException: bar N"
        incident = IncidentTrend(
            *(1, "f", 2 if rule else 1, "contoso" if rule else None, rule, "apex_exception"),
            *(title, Severity.HIGH, FIRST, None),
            counts=counts,
            last_at=LAST,
            told_at=FIRST if rule else None,
        )
        summary = known.remediation.summary if known else ""
        example = "" if known else "Apex script unhandled exception by user/organization: ID/ID"
        return Running(replace(incident, **more), title, summary, example)

    def entry(rule: str, count: int) -> Entry:
        return Entry(rule, RULES[rule].title, count)

    queue, cpu = (RULES[one.rule] for one in (QUEUE, CPU))
    off, lock = "agent_connect/job_monitor_shutoff", "salesforce/job_locked"
    content = DigestContent(
        week="2026-W47",
        start=datetime(2026, 11, 15, 23, tzinfo=UTC),
        end=datetime(2026, 11, 22, 23, tzinfo=UTC),
        audience="support",
        off=(running(off, 0, 0, 0, 0, 0, 0, 0, 1), running(lock, *[0] * 7, 2, told_at=None)),
        at_risk=(running(cpu.id, 0, 0, 0, 0, 1, 3, 12, 1840),),
        opened=(running(off, 0, 0, 0, 0, 0, 0, 0, 1), running(None, 0, 0, 0, 0, 0, 0, 0, 2)),
        growing=(running(cpu.id, 0, 0, 0, 0, 1, 3, 12, 1840),),
        closed=(running(queue.id, 5, 9, 14, 8, 3, 0, 1, 0, tenant=None, episode=1),),
        known=(
            Bar(f"{cpu.title} (contoso)", 1840, 12, cpu.id, "contoso"),
            Bar(f"{queue.title} (unknown tenant)", 7, 7, queue.id, "unknown tenant"),
            Bar("4 others", 4, 9, "others"),
        ),
        tenants=(Bar("contoso", 1841, 20), Bar("unknown tenant", 10, 8, "unknown tenant")),
        remedies=(
            Remedy(queue.id, queue.title, queue.remediation.template, 6, 3, 2, 1, 9),
            Remedy(cpu.id, cpu.title, cpu.remediation.template, 1, 0, 0, 1, 0),
        ),
        silent=(Silent("northwind", (2, 4, 0, 3, 1, 0, 0, 0), FIRST - timedelta(days=20)),),
        unknown=(running(None, 0, 0, 0, 0, 0, 0, 0, 2),),
        suspicious=(),
        own=(),
        held=tuple(
            Held(reason.value, SENTENCES[reason].why, 3)
            for reason in SENTENCES
            if reason.value in {"silenced", "sandbox", "within_repeat_interval"}
        ),
        bounced=(Bounce("priya@northwind.example", "5.1.1", 2, LAST),),
        budgets=("per_tenant of contoso",),
        over_budget=(("contoso", 4),),
        debt=Debt(
            experimental=(entry("salesforce/job_locked", 2),),
            drifted=(entry(queue.id, 1),),
            similar=(entry(cpu.id, 1),),
            never=tuple(sorted(RULES)[:14]),
        ),
        mails=2410,
        not_ours=559,
        notifications=1851,
        before=28,
        quarantined=1,
    )
    return digest(
        content,
        recipient="leads@example.com",
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
        timezone=ZoneInfo("Europe/Berlin"),
        language=language,
    )


def mail(name: str, language: str) -> OutboundMessage:
    if name in CLOSINGS:
        return ended(name, language)
    return digested(language) if name == "digest" else written(name, language)


NAMES = (*REPLIES, *CLOSINGS, "digest")
LANGUAGES = ("en", "de")
