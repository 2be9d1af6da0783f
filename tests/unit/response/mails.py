"""Whole mails with fixed inputs, from the rules and templates as they ship."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from triage.catalog.load import RuleSource, load
from triage.catalog.rule import Severity
from triage.incident.incident import Incident
from triage.response.digest import DigestContent, Held, digest
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
    def incident(rule: str | None, title: str, notifications: int) -> Incident:
        return Incident(
            *(1, "f", 2 if rule else 1, "contoso" if rule else None, rule, "apex_exception"),
            *(title, Severity.HIGH, FIRST, LAST, None, notifications),
        )

    queue, cpu, off = (RULES[one.rule] for one in (QUEUE, CPU, REPLIES["switched_off_first"][2]))
    content = DigestContent(
        week="2026-W47",
        start=datetime(2026, 11, 15, 23, tzinfo=UTC),
        end=datetime(2026, 11, 22, 23, tzinfo=UTC),
        audience="support",
        off=(incident(off.id, off.title, 1),),
        at_risk=(incident(cpu.id, cpu.title, 1840),),
        known=(
            Bar(f"{cpu.title} (contoso)", 1840, 12, cpu.id, "contoso"),
            Bar(f"{queue.title} (unknown tenant)", 7, 7, queue.id, "unknown tenant"),
            Bar("4 others", 4, 9, "others"),
        ),
        tenants=(Bar("contoso", 1841, 20), Bar("unknown tenant", 10, 8, "unknown tenant")),
        unknown=(incident(None, "System.FooException: bar", 2),),
        suspicious=(),
        own=(),
        held=tuple(
            Held(reason.value, SENTENCES[reason].why, 3)
            for reason in SENTENCES
            if reason.value in {"silenced", "sandbox", "within_repeat_interval"}
        ),
        unreachable=(),
        mails=2410,
        not_ours=559,
        notifications=1851,
        before=28,
        quarantined=1,
        waiting=2,
        dead=0,
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
    return digested(language) if name == "digest" else written(name, language)


NAMES = (*REPLIES, "digest")
LANGUAGES = ("en", "de")
