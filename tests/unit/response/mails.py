"""Whole mails with fixed inputs, from the rules and templates as they ship."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from triage.catalog.load import RuleSource, load
from triage.catalog.rule import Severity
from triage.incident.trend import WEEKS, IncidentTrend
from triage.response.closing import closing
from triage.response.counted import build
from triage.response.digest import digest
from triage.response.message import CauseOfMail, OpenCause, OutboundMessage, RecordLink
from triage.response.reply import record_url, reply, status_page_url
from triage.response.templates import Templates
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
        kind=rule.kinds[0],
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

ALERT = replace(
    cause("agent_connect/failed_survey_request", 1),
    told_at=FIRST + timedelta(minutes=1),
    records=(replace(cause(QUEUE.rule, 1).records[0], new=False),),
    count=2,
    closed_at=LAST + timedelta(days=7, minutes=53),
)

CLOSINGS = {
    "closing_alert": [ALERT],
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
    "closing_while_off": [
        ALERT,
        replace(
            QUEUE,
            records=(KNOWN_BEFORE,),
            count=1,
            told_at=FIRST + timedelta(minutes=1),
            closed_at=LAST + timedelta(days=7, minutes=53),
        ),
    ],
}
STILL_OPEN = {
    "closing_while_off": [
        OpenCause(CPU.rule, CPU.title, CPU.disables_integration, LAST + timedelta(days=6))
    ]
}


def ended(name: str, language: str) -> OutboundMessage:
    return closing(
        CLOSINGS[name],
        still_open=STILL_OPEN.get(name, ()),
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


def trend(number: int, rule: str | None, *counts: int, **more: object) -> IncidentTrend:
    """An incident of contoso with these notifications in the newest of the eight weeks."""
    fields: dict[str, object] = {
        "fingerprint": f"f{number}",
        "episode": 1,
        "tenant": "contoso" if rule else None,
        "kind": "apex_exception",
        "title": RULES[rule].title if rule else "System.FooException: bar 12",
        "severity": Severity.HIGH,
        "opened_at": FIRST,
        "closed_at": None,
        "counts": (0,) * (WEEKS - len(counts)) + counts,
        "last_at": LAST,
        "told_at": FIRST + timedelta(minutes=1) if rule else None,
    }
    return IncidentTrend(id=number, rule=rule, **(fields | more))


def own(number: int, about: str, count: int = 1) -> IncidentTrend:
    """A trouble of Triage's own."""
    return trend(number, None, count, kind="own", title="Own", about=about)


def ago(weeks: int, *, quiet: bool = True) -> dict[str, object]:
    """Of an incident so many weeks ago: when it was, and that it was over a week later."""
    at = LAST - timedelta(weeks=weeks)
    opened_at = at - timedelta(hours=2)
    over = {"closed_at": at + timedelta(weeks=1, minutes=20), "last_at": at} if quiet else {}
    return {"opened_at": opened_at, "told_at": opened_at + timedelta(minutes=1), **over}


def week() -> list[IncidentTrend]:
    """What there was in eight weeks: a storm, a relapse, a job that is off and one that was."""
    queue, cpu = QUEUE.rule, CPU.rule
    off, locked = "agent_connect/job_monitor_shutoff", "salesforce/job_locked"
    nobody, long = {"tenant": None, "told_at": None}, {"opened_at": FIRST - timedelta(weeks=7)}
    return [
        trend(1, off, 1, episode=2, told_at=None, by_reason={"experimental_rule": (1, 1)}),
        trend(2, locked, 2),
        trend(3, cpu, 1, 3, 12, 1840, **ago(3, quiet=False)),
        trend(4, queue, 5, 9, 14, 8, 3, 0, 1, 0, **ago(1) | nobody | long),
        trend(5, queue, 2, *[0] * 6, tenant="fabrikam", **ago(6)),
        trend(6, queue, 3, 0, 0, tenant="fabrikam", fingerprint="f5", episode=2, **ago(2)),
        trend(
            7, queue, 6, tenant="fabrikam", fingerprint="f5", episode=3,
            by_reason={"within_repeat_interval": (3, 3), "drifted": (1, 1), "budget": (2, 2)},
        ),
        trend(8, queue, 2, 4, 0, 3, 1, 0, 0, 0, tenant="northwind", **ago(3) | long),
        trend(9, off, 1, 0, 0, 0, 0, tenant="northwind", **ago(4) | {"told_at": None}),
        trend(10, cpu, 7, 0, 0, tenant="tailspin", **ago(2)),
        trend(
            11, None, 2, example="Apex script unhandled exception by 0058x000001AbCdEAA",
            by_reason={"silenced": (1, 1), "sandbox": (1, 1)},
        ),
        own(12, "bounce priya@northwind.example 5.1.1", 2),
        own(13, "budget per_tenant of contoso"),
        own(14, "budget total"),
    ]  # fmt: skip


def digested(language: str, incidents: Iterable[IncidentTrend] = ()) -> OutboundMessage:
    timezone = ZoneInfo("Europe/Berlin")
    content = build(
        "2026-W47",
        timezone=timezone,
        audience=None,
        incidents=[*week(), *incidents],
        mails={
            ("known", "contoso"): 1848,
            ("unknown", None): 2,
            ("not_ours", None): 559,
            ("unreadable", None): 1,
        },
        rules=RULES,
    )
    return digest(
        content,
        recipient="leads@example.com",
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
        timezone=timezone,
        language=language,
    )


def mail(name: str, language: str) -> OutboundMessage:
    if name in CLOSINGS:
        return ended(name, language)
    return digested(language) if name == "digest" else written(name, language)


NAMES = (*REPLIES, *CLOSINGS, "digest")
LANGUAGES = ("en", "de")
