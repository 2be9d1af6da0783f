"""The entries that Triage ships, and the remedies that they lead to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from triage.catalog.check import check
from triage.catalog.load import Catalog, RuleSource, load
from triage.catalog.rule import Rule, Severity, Status
from triage.mail.message import Kind
from triage.response.markdown import disarm
from triage.response.message import CauseOfMail, RecordLink
from triage.response.templates import Templates

TOP = Path(__file__).parents[3]
RULES = TOP / "rules"
TEMPLATES = TOP / "templates"
MAILS = TOP / "fixtures" / "emails"

REQUIRED = {
    "agent_connect": """
        employee_is_queue missing_employee missing_customer_email invalid_requested_datetime
        job_monitor_shutoff endpoint_misconfigured failed_survey_request
        employee_profile_incomplete deactivated_employee employee_not_found invalid_customer
        channel_not_enabled channel_manual_mode brand_not_provided brand_invalid
        language_not_specified
    """,
    "salesforce": """
        cpu_time_limit job_locked too_many_soql_queries too_many_dml_statements too_many_dml_rows
        too_many_query_rows heap_size too_many_callouts too_many_future_calls
        too_many_queueable_jobs stack_depth flex_queue_full batch_nesting row_lock
        custom_validation required_field_missing string_too_long invalid_email_address
        invalid_cross_reference entity_deleted insufficient_access trigger_failed flow_failed
        mixed_dml null_pointer no_rows unsupported_object field_not_queried callout_timeout
        unauthorized_endpoint certificate_invalid session_invalid uncommitted_work email_limit
        record_read_only script_thrown_exception dependent_class_invalid internal_error
    """,
}
HEADINGS = (
    "## ",
    "**What happened.**",
    "**Is the integration switched off?**",
    "### What to check first",
    "### What to do",
    "### How to be sure that it works again",
    "### When to call support, and what to send",
)
ANSWER = {"yes": "Yes, at least a part of it", "possible": "Possibly.", "no": "No. This error"}
CHECKLIST = {
    "the time is set": "holds a time",
    "mapped objects are enabled": "status Test or Production",
    "scheduled jobs": "*Agent Connect Service Recovery*",
    "press Go beside the view": "press *Go* beside the view",
    "the tick of a request": "*Request Successful* is not ticked",
    "the error of a request": "detail page shows the error",
    "a contact is removed after closing": "a contact removed meanwhile",
    "a record is given to a queue": "given to a queue has no employee",
    "the time is cleared, or set later": "time-dependent action",
    "a formula keeps the employee": "formula field that names the person",
    "normal states of scheduled jobs": "may be Queued or Aborted",
    "batch jobs are completed": "should be Completed",
    "batches that never ran": "total batches 1, batches processed 0",
    "the view's filters": "remove all filters",
    "other jobs of that time": "every job around",
    "the status page": "Settings > Integrations > API Status Page",
    "an incomplete profile": "profile is not complete",
    "alerts of the application disable nothing": "An API Error Alert never does",
    "much data": "amount of data",
    "details are needed": "Without further details",
    "endpoints": "press *Manage* beside **each** Agent Connect entry",
    "versions with the old endpoint": "from 1.48 or earlier to 1.65 or later",
    "the European data centre": "https://fra1-connect-1.api.stellaconnect.net/",
    "ask for the data centre": "ask support",
    "the mapping of the data return": "*Agent Connect Data Return Map Option*",
    "identifiers of questions": "*Data Return Path*",
    "who knows the identifiers": "Professional Services contact",
    "debug logs": "trace an Apex class or trigger",
    "the developer console": "Developer Console",
    "a locked job goes to support": "Get in touch with support now",
    "a locked job is not reported": "sends no mail about it",
    "an employee is a person with a profile": "of an active Agent Connect profile",
    "a record that was never closed": "opened and closed several times",
    "the reader of Apex mails": "must be an active user who reads these mails",
    "disabling cannot be prevented": "we cannot prevent that",
    "the job monitor": "looks every hour",
    "the package's alert address": "alert address",
}


def _catalog() -> Catalog:
    sources = (
        RuleSource(
            id=path.relative_to(RULES).with_suffix("").as_posix(),
            file=path.relative_to(TOP).as_posix(),
            text=path.read_text("utf-8"),
        )
        for path in RULES.rglob("*.yaml")
    )
    return load(sources)


SHIPPED = _catalog()
CATALOG = SHIPPED.rules
SECTIONS = Templates(
    {
        path.relative_to(TEMPLATES).as_posix(): path.read_text("utf-8")
        for path in TEMPLATES.rglob("*.j2")
    }
)
every_rule = pytest.mark.parametrize("rule", CATALOG.values(), ids=CATALOG.keys())


def _cause(rule: Rule) -> CauseOfMail:
    """A cause of which no more is known than has to be."""
    return CauseOfMail(
        rule=rule.id,
        title=rule.title,
        summary=rule.remediation.summary,
        severity=rule.severity.value,
        disables_integration=rule.disables_integration,
        template=rule.remediation.template,
        count=1,
        first_seen=datetime(2026, 11, 16, 14, 5, tzinfo=UTC),
        last_seen=datetime(2026, 11, 16, 14, 5, tzinfo=UTC),
    )


def _full_cause(rule: Rule) -> CauseOfMail:
    url = "https://northwind.lightning.force.com/lightning/r/{}/view"
    return replace(
        _cause(rule),
        count=12,
        records=(
            RecordLink("5008x000002AbCdAAK", url.format("5008x000002AbCdAAK"), new=False),
            RecordLink("5008x000002EfGhAAK", None),
        ),
        more_records=3,
        facts={
            "class_name": "StellaConnect.RequestBatch",
            "job_id": "7078x00000AbCdE",
            "job_name": "Agent Connect Request Sender",
            "org_id": "00D8x000001AbCd",
            "sub_domain": "northwind",
            "message": "StellaConnect:Too many SOQL queries: 201",
            "object": "Case",
        },
        setup_url="https://northwind.my.salesforce.com",
        status_page_url="https://northwind.agentconnect.net/api/request_status",
        repeated=True,
    )


def _section(cause: CauseOfMail) -> str:
    return disarm(SECTIONS.render(f"replies/en/{cause.template}.md.j2", cause=cause))


@pytest.mark.parametrize("source", REQUIRED)
def test_every_entry_that_other_programs_rely_on_is_there(source: str) -> None:
    required = {f"{source}/{name}" for name in REQUIRED[source].split()}
    assert {rule for rule in CATALOG if rule.startswith(f"{source}/")} >= required


def test_every_example_of_every_entry_does_what_it_says() -> None:
    def has_template(name: str) -> bool:
        return (TEMPLATES / "replies" / "en" / f"{name}.md.j2").exists()

    assert check(SHIPPED, lambda name: (MAILS / name).read_bytes(), has_template) == ()


@every_rule
def test_an_entry_that_no_real_mail_backs_never_sends_a_reply(rule: Rule) -> None:
    assert rule.status is not Status.EXPERIMENTAL or rule.remediation.action in {"ticket", "none"}


@every_rule
def test_a_stable_entry_is_tried_on_a_mail_and_on_other_wordings(rule: Rule) -> None:
    mails = [example for example in rule.tests.matches if example.mail]
    assert rule.status is not Status.STABLE or mails
    assert len(rule.tests.matches) - len(mails) >= 2
    assert len(rule.tests.ignores) >= 2


@every_rule
def test_an_alert_of_the_application_disables_nothing(rule: Rule) -> None:
    assert Kind.API_ERROR_ALERT not in rule.kinds or rule.disables_integration == "no"


@every_rule
def test_a_stable_entry_that_may_switch_the_integration_off_has_high_severity(rule: Rule) -> None:
    high = rule.severity in {Severity.HIGH, Severity.CRITICAL}
    if rule.status is Status.STABLE:
        assert high is (rule.disables_integration != "no")


@every_rule
def test_a_section_tells_everything_in_order_from_the_little_that_is_known(rule: Rule) -> None:
    section = _section(_cause(rule))
    places = [section.find(heading) for heading in HEADINGS]
    assert -1 not in places
    assert places == sorted(places)
    assert section.startswith("## ")


@every_rule
@pytest.mark.parametrize("sandbox", [False, True])
def test_a_section_says_whether_the_integration_is_switched_off(rule: Rule, sandbox: bool) -> None:
    section = _section(replace(_cause(rule), sandbox=sandbox))
    answer = section.partition(HEADINGS[2])[2].partition("###")[0]
    assert ANSWER[rule.disables_integration] in answer
    assert ("production is not affected" in answer) is sandbox


@every_rule
def test_a_section_shows_the_records_and_the_pages_that_are_known(rule: Rule) -> None:
    cause = _full_cause(rule)
    section = _section(cause)
    if "The failing records" in section:
        shown = f"- [5008x000002AbCdAAK]({cause.records[0].url})\n- (new) 5008x000002EfGhAAK\n"
        assert f"{shown}- and 3 more\n" in section
    if rule.disables_integration != "no":
        assert f"]({cause.setup_url}/lightning/setup/AsyncApexJobs/home)" in section
    assert "/lightning/setup/" not in _section(_cause(rule))


@every_rule
def test_a_section_checks_the_data_return_before_it_calls_the_matter_mended(rule: Rule) -> None:
    sure = _section(_cause(rule)).partition(HEADINGS[5])[2].partition(HEADINGS[6])[0]
    assert "*Agent Connect Data Return*" in sure
    assert "*Agent Connect Response*" in sure


@pytest.mark.parametrize("words", CHECKLIST.values(), ids=CHECKLIST.keys())
def test_nothing_of_the_vendors_checklist_is_left_out(words: str) -> None:
    stable = [rule for rule in CATALOG.values() if rule.status is Status.STABLE]
    shutoff = CATALOG["agent_connect/job_monitor_shutoff"]
    assert any(words in _section(_cause(rule)) for rule in [*stable, shutoff])


def test_no_template_is_left_that_no_entry_uses() -> None:
    stems = {path.name.removesuffix(".md.j2") for path in TEMPLATES.glob("replies/en/[!_]*.j2")}
    assert stems == {rule.remediation.template for rule in CATALOG.values()}
