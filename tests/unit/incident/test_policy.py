"""To whom, whether and why: the rules of conduct, stage by stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.rule import Rule, Severity, Status
from triage.catalog.verdict import Evidence, Finding, Method, Outcome, Owner, Where
from triage.incident.incident import Action, Case, Decision, History, Reason
from triage.incident.policy import (
    STAGES,
    Policy,
    decide,
    reachable_contacts,
    repeat,
    repeat_interval,
)
from triage.incident.silence import Silence, matchers, of_rule
from triage.mail.authenticity import Authentication, Authenticity
from triage.mail.message import Address, Facts, Kind, Notification, Route
from triage.tenant import Contact, Role, Tenant, Tenants

PRIYA, JONAS, LENA = "priya@northwind.example", "jonas@contoso.example", "lena@contoso.example"
QUEUE = "agent_connect/employee_is_queue"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
PASSED_ON = (Route.FORWARDED, Route.ATTACHED, Route.PASTED)

TENANTS = Tenants(
    [
        Tenant("northwind", domains=("northwind.example",), contacts=(Contact(PRIYA),)),
        Tenant(
            "contoso",
            domains=("contoso.example",),
            contacts=(Contact(JONAS), Contact(LENA, Role.TECHNICAL)),
        ),
        Tenant("fabrikam", domains=("fabrikam.example",)),
    ]
)


def rule(action: str = "reply", id_: str = QUEUE, interval: str | None = None) -> Rule:
    remediation = {
        "action": action,
        "summary": "Map a formula field.",
        "template": "employee_is_queue",
    }
    if interval:
        remediation["repeat_interval"] = interval
    return Rule.model_validate(
        {
            "id": id_,
            "title": "The employee is a queue",
            "status": "stable",
            "severity": "medium",
            "kinds": ["managed_package"],
            "disables_integration": "no",
            "references": ["a page"],
            "match": {"literal": "Employee cannot be a Queue"},
            "remediation": remediation,
            "tests": {
                "matches": [{"name": "one", "text": "Employee cannot be a Queue"}],
                "ignores": [{"name": "one", "text": "Employee may be a Queue"}],
            },
        }
    )


def policy(**values: Any) -> Policy:
    return Policy(
        **{
            "rules": {QUEUE: rule()},
            "tenants": TENANTS,
            "support_domains": ("example.com",),
            **values,
        }
    )


def finding(**values: Any) -> Finding:
    evidence = Evidence(Method.LITERAL, "Employee cannot be a Queue", Where.TEXT, 0, 26)
    return replace(Finding(QUEUE, Status.STABLE, Severity.MEDIUM, (evidence,)), **values)


def case(
    *,
    tenant: str | None = "northwind",
    by: str | None = None,
    route: Route | None = None,
    kind: Kind = Kind.MANAGED_PACKAGE,
    sandbox: bool = False,
    foreign_org: bool = False,
    **values: Any,
) -> Case:
    """A known error of northwind that came directly, unless told otherwise."""
    carrier = route or (Route.FORWARDED if by else Route.DIRECT)
    notification = Notification(
        kind,
        carrier,
        "Integration error",
        "Employee cannot be a Queue",
        by=Address(by) if by else None,
        facts=Facts(sandbox=sandbox),
        claimed_from=Address("robot@northwind.example"),
    )
    authentication = Authentication(
        Authenticity.PASS, "Proved by DKIM.", tenant, foreign_org=foreign_org
    )
    plain = Case(Outcome.KNOWN, notification, authentication, finding(), Owner.OURS, False, ())
    return replace(plain, **values)


def reply(*recipients: str) -> Decision:
    return Decision((Action.REPLY,), recipients, Reason.FIRST_IN_INCIDENT)


def ticket(reason: Reason) -> Decision:
    return Decision((Action.TICKET,), (), reason)


def nothing(reason: Reason) -> Decision:
    return Decision((), (), reason)


# To whom (design 5.1) ----------------------------------------------------------------------


def test_a_direct_notification_is_answered_to_the_contacts_of_its_tenant() -> None:
    assert decide(case(), policy()) == reply(PRIYA)
    assert decide(case(tenant="contoso"), policy()) == reply(JONAS, LENA)


def test_nobody_whom_the_notification_names_as_its_sender_is_written_to() -> None:
    assert "robot@northwind.example" not in decide(case(), policy()).recipients


def test_who_stands_at_a_direct_notification_is_not_written_to_either() -> None:
    odd = case(by="priya.private@northwind.example", route=Route.DIRECT)
    assert decide(odd, policy()) == reply(PRIYA)


@pytest.mark.parametrize("route", PASSED_ON)
def test_a_listed_contact_who_passes_something_on_is_answered_alone(route: Route) -> None:
    assert decide(case(tenant="contoso", by=LENA, route=route), policy()) == reply(LENA)


def test_a_contact_with_an_address_elsewhere_is_entitled_by_being_listed() -> None:
    agency = Tenant("northwind", contacts=(Contact("ines@agency.example"), Contact(PRIYA)))
    policy_ = policy(tenants=Tenants([agency]))
    assert decide(case(by="ines@agency.example"), policy_) == reply("ines@agency.example")


@pytest.mark.parametrize("route", PASSED_ON)
def test_a_person_of_the_tenants_domain_is_answered_alone(route: Route) -> None:
    omar = "omar@northwind.example"
    assert decide(case(by=omar, route=route), policy()) == reply(omar)


def test_a_person_below_the_tenants_domain_is_entitled_too() -> None:
    omar = "omar@emea.northwind.example"
    assert decide(case(by=omar), policy()) == reply(omar)


@pytest.mark.parametrize(
    "by",
    [
        "omar@northwind.example.evil.example",
        "omar@evilnorthwind.example",
        "omar@example",
        "priya@contoso.example",
        "northwind.example@evil.example",
    ],
)
def test_a_domain_that_only_looks_like_the_tenants_entitles_nobody(by: str) -> None:
    assert decide(case(by=by), policy()) == ticket(Reason.FORWARDER_NOT_ENTITLED)


def test_a_contact_of_another_tenant_is_not_entitled() -> None:
    assert decide(case(by=JONAS), policy()) == ticket(Reason.FORWARDER_NOT_ENTITLED)


@pytest.mark.parametrize("route", PASSED_ON)
def test_what_a_colleague_forwards_is_answered_to_the_contacts(route: Route) -> None:
    dana = "dana@example.com"
    assert decide(case(tenant="contoso", by=dana, route=route), policy()) == reply(JONAS, LENA)


def test_a_colleague_who_is_a_listed_contact_is_answered_like_a_contact() -> None:
    dana = Contact("dana@example.com", Role.FALLBACK)
    northwind = Tenant("northwind", contacts=(Contact(PRIYA), dana))
    policy_ = policy(tenants=Tenants([northwind]))
    assert decide(case(by="dana@example.com"), policy_) == reply("dana@example.com")


@pytest.mark.parametrize("route", PASSED_ON)
def test_what_a_stranger_forwards_becomes_a_ticket(route: Route) -> None:
    stranger = case(by="someone@elsewhere.example", route=route)
    assert decide(stranger, policy()) == ticket(Reason.FORWARDER_NOT_ENTITLED)


@pytest.mark.parametrize("route", PASSED_ON)
def test_what_nobody_is_named_for_becomes_a_ticket(route: Route) -> None:
    assert decide(case(route=route), policy()) == ticket(Reason.FORWARDER_NOT_ENTITLED)


def test_without_a_tenant_there_is_a_ticket_and_never_silence() -> None:
    assert decide(case(tenant=None), policy()) == ticket(Reason.UNKNOWN_TENANT)


def test_a_tenant_that_is_no_longer_configured_counts_as_none() -> None:
    assert decide(case(tenant="tailspin"), policy()) == ticket(Reason.UNKNOWN_TENANT)


def test_a_colleague_cannot_name_an_unknown_tenant_either() -> None:
    lost = case(tenant=None, by="dana@example.com")
    assert decide(lost, policy()) == ticket(Reason.UNKNOWN_TENANT)


def test_without_a_contact_there_is_a_ticket_and_never_silence() -> None:
    assert decide(case(tenant="fabrikam"), policy()) == ticket(Reason.NO_CONTACT)


def test_a_tenant_without_contacts_still_answers_its_entitled_people() -> None:
    omar = "omar@fabrikam.example"
    assert decide(case(tenant="fabrikam", by=omar), policy()) == reply(omar)


def test_two_tenants_in_one_notification_go_to_support_only() -> None:
    assert decide(case(foreign_org=True), policy()) == ticket(Reason.FOREIGN_ORG)
    assert decide(case(foreign_org=True, by=PRIYA), policy()) == ticket(Reason.FOREIGN_ORG)


_PEOPLE = st.sampled_from(
    [PRIYA, JONAS, LENA, "omar@northwind.example", "dana@example.com", "x@elsewhere.example", None]
)


@given(
    by=_PEOPLE,
    tenant=st.sampled_from(["northwind", "contoso", "fabrikam", "tailspin", None]),
    route=st.sampled_from(list(Route)),
    outcome=st.sampled_from([Outcome.KNOWN, Outcome.UNKNOWN, Outcome.SUSPICIOUS]),
    owner=st.sampled_from(list(Owner)),
    kind=st.sampled_from([k for k in Kind if k is not Kind.OTHER]),
    foreign_org=st.booleans(),
    automatic=st.booleans(),
    action=st.sampled_from(["reply", "ticket", "both", "none"]),
    found=st.none() | st.builds(finding, drifted=st.booleans(), near_exact=st.booleans()),
    undeliverable=st.sets(st.sampled_from([PRIYA, JONAS, LENA, "omar@northwind.example"])),
)
def test_whatever_comes_only_the_listed_and_the_entitled_are_written_to(
    action: str, undeliverable: set[str], found: Finding | None, **values: Any
) -> None:
    one = case(**values)
    policy_ = policy(rules={QUEUE: rule(action)}, undeliverable=undeliverable)
    decision = decide(replace(one, finding=found), policy_)
    tenant = TENANTS.named(values["tenant"])
    listed = {contact.address for contact in tenant.contacts} if tenant else set()
    by = values["by"]
    if tenant and by and any(by.endswith(f"@{domain}") for domain in tenant.domains):
        listed.add(by)
    assert set(decision.recipients) <= listed - undeliverable
    assert bool(decision.recipients) == (Action.REPLY in decision.actions)
    assert len(set(decision.recipients)) == len(decision.recipients)


# Why: one test for each reason of a first decision -----------------------------------------


def test_a_suspicious_notification_is_looked_at_by_a_person() -> None:
    assert decide(case(outcome=Outcome.SUSPICIOUS), policy()) == ticket(Reason.SUSPICIOUS)


def test_an_error_of_other_software_is_not_acted_on() -> None:
    assert decide(case(owner=Owner.FOREIGN), policy()) == nothing(Reason.NOT_OUR_INTEGRATION)


def test_an_error_of_other_software_that_nobody_knows_is_not_acted_on_either() -> None:
    foreign = case(owner=Owner.FOREIGN, finding=None)
    assert decide(foreign, policy()) == nothing(Reason.NOT_OUR_INTEGRATION)


def test_a_silenced_error_is_counted_and_not_acted_on() -> None:
    silent = policy(silences=(of_rule(QUEUE),))
    assert decide(case(), silent) == nothing(Reason.SILENCED)


def test_a_silence_is_of_one_error_only() -> None:
    silent = policy(silences=(of_rule("agent_connect/missing_employee"),))
    assert decide(case(), silent) == reply(PRIYA)


def test_what_a_machine_forwards_is_not_answered() -> None:
    assert decide(case(by=PRIYA, automatic=True), policy()) == ticket(Reason.AUTOMATIC)


def test_a_direct_notification_is_automatic_and_its_contact_is_written_to() -> None:
    assert decide(case(automatic=True), policy()) == reply(PRIYA)


def test_errors_of_sandboxes_are_only_counted_where_the_operator_wants_it() -> None:
    assert decide(case(sandbox=True), policy(sandbox="digest")) == nothing(Reason.SANDBOX)


def test_errors_of_sandboxes_are_answered_by_default() -> None:
    assert decide(case(sandbox=True), policy()) == reply(PRIYA)


def test_production_is_answered_also_where_sandboxes_are_only_counted() -> None:
    assert decide(case(), policy(sandbox="digest")) == reply(PRIYA)


def test_an_unknown_error_becomes_a_ticket() -> None:
    unknown = case(outcome=Outcome.UNKNOWN, finding=None)
    assert decide(unknown, policy()) == ticket(Reason.UNKNOWN_ERROR)


def test_an_experimental_entry_never_answers_a_customer() -> None:
    young = case(finding=finding(status=Status.EXPERIMENTAL))
    assert decide(young, policy()) == ticket(Reason.EXPERIMENTAL_RULE)


def test_a_deprecated_entry_still_answers() -> None:
    old = case(finding=finding(status=Status.DEPRECATED))
    assert decide(old, policy()) == reply(PRIYA)


def test_words_that_are_only_alike_become_a_ticket() -> None:
    assert decide(case(finding=finding(near_exact=False)), policy()) == ticket(Reason.FUZZY_ONLY)


def test_a_changed_wording_becomes_a_ticket() -> None:
    assert decide(case(finding=finding(drifted=True)), policy()) == ticket(Reason.DRIFTED)


def test_an_exception_that_names_nobody_is_looked_at_before_a_customer_searches() -> None:
    unnamed = case(kind=Kind.APEX_EXCEPTION, owner=Owner.UNNAMED)
    assert decide(unnamed, policy()) == ticket(Reason.FIRST_IN_INCIDENT)


@pytest.mark.parametrize("kind", [Kind.MANAGED_PACKAGE, Kind.API_ERROR_ALERT])
def test_other_kinds_need_not_name_the_integration(kind: Kind) -> None:
    assert decide(case(kind=kind, owner=Owner.UNNAMED), policy()) == reply(PRIYA)


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        ("reply", reply(PRIYA)),
        ("ticket", ticket(Reason.FIRST_IN_INCIDENT)),
        (
            "both",
            Decision((Action.REPLY, Action.TICKET), (PRIYA,), Reason.FIRST_IN_INCIDENT),
        ),
        ("none", nothing(Reason.FIRST_IN_INCIDENT)),
    ],
)
def test_a_known_error_is_treated_as_its_entry_says(action: str, decision: Decision) -> None:
    assert decide(case(), policy(rules={QUEUE: rule(action)})) == decision


@pytest.mark.parametrize("action", ["reply", "both"])
def test_a_remedy_that_reaches_nobody_becomes_a_ticket(action: str) -> None:
    gone = policy(rules={QUEUE: rule(action)}, undeliverable={PRIYA})
    assert decide(case(), gone) == ticket(Reason.NO_CONTACT)


# Precedence: of two reasons the one further up decides --------------------------------------

_REASONS: tuple[tuple[Reason, dict[str, Any], dict[str, Any]], ...] = (
    (Reason.SILENCED, {}, {"silences": (Silence(matchers(("severity=medium",))),)}),
    (Reason.SUSPICIOUS, {"outcome": Outcome.SUSPICIOUS}, {}),
    (Reason.NOT_OUR_INTEGRATION, {"owner": Owner.FOREIGN}, {}),
    (Reason.FOREIGN_ORG, {"foreign_org": True}, {}),
    (Reason.FORWARDER_NOT_ENTITLED, {"by": "someone@elsewhere.example"}, {}),
    (Reason.AUTOMATIC, {"automatic": True, "by": "dana@example.com"}, {}),
    (Reason.UNKNOWN_TENANT, {"tenant": None}, {}),
    (Reason.SANDBOX, {"sandbox": True}, {"sandbox": "digest"}),
    (Reason.DRIFTED, {"finding": finding(drifted=True)}, {}),
    (Reason.EXPERIMENTAL_RULE, {"finding": finding(status=Status.EXPERIMENTAL)}, {}),
    (Reason.FUZZY_ONLY, {"finding": finding(near_exact=False)}, {}),
    (Reason.NO_CONTACT, {}, {"undeliverable": {PRIYA}}),
)
_PAIRS = [
    pytest.param(first, second, id=f"{first[0]}-before-{second[0]}")
    for number, first in enumerate(_REASONS)
    for second in _REASONS[number + 1 :]
]


@pytest.mark.parametrize("reason", _REASONS, ids=lambda reason: str(reason[0]))
def test_each_reason_alone_decides(reason: tuple[Reason, dict[str, Any], dict[str, Any]]) -> None:
    name, of_case, of_policy = reason
    assert decide(case(**of_case), policy(**of_policy)).reason is name


@pytest.mark.parametrize(("first", "second"), _PAIRS)
def test_of_two_reasons_the_earlier_decides(first: Any, second: Any) -> None:
    together = {**second[1], **first[1]}
    if "finding" in first[1] and "finding" in second[1]:
        both = {
            key: getattr(one[1]["finding"], key)
            for one in (second, first)
            for key in ("drifted", "status", "near_exact")
            if getattr(one[1]["finding"], key) != getattr(finding(), key)
        }
        together["finding"] = finding(**both)
    decision = decide(case(**together), policy(**{**second[2], **first[2]}))
    assert decision.reason is first[0]


def test_an_unknown_error_of_an_unknown_tenant_is_told_as_that_of_nobody() -> None:
    lost = case(tenant=None, outcome=Outcome.UNKNOWN, finding=None)
    assert decide(lost, policy()).reason is Reason.UNKNOWN_TENANT


def test_an_unknown_error_of_a_sandbox_is_only_counted_where_sandboxes_are() -> None:
    unknown = case(outcome=Outcome.UNKNOWN, finding=None, sandbox=True)
    assert decide(unknown, policy(sandbox="digest")).reason is Reason.SANDBOX


def test_every_stage_is_passed_by_what_it_does_not_concern() -> None:
    # Only the last one decides about a plain known error.
    answers = [stage(case(), policy()) for stage in STAGES]
    assert answers == [None] * (len(STAGES) - 1) + [reply(PRIYA)]


# Who can be reached ------------------------------------------------------------------------

ADMIN, OTHER = Contact("a@northwind.example"), Contact("t@northwind.example", Role.TECHNICAL)
SPARE = Contact("f@northwind.example", Role.FALLBACK)


@pytest.mark.parametrize(
    ("contacts", "undeliverable", "reached"),
    [
        ((ADMIN, OTHER, SPARE), (), (ADMIN, OTHER)),
        ((ADMIN, OTHER, SPARE), (ADMIN,), (OTHER,)),
        ((ADMIN, OTHER, SPARE), (ADMIN, OTHER), (SPARE,)),
        ((ADMIN, OTHER, SPARE), (ADMIN, OTHER, SPARE), ()),
        ((SPARE,), (), (SPARE,)),
        ((ADMIN,), (ADMIN,), ()),
        ((), (), ()),
    ],
    ids=[
        "all but the fallback",
        "the others when one is unreachable",
        "the fallback when all others are unreachable",
        "nobody when nobody is reachable",
        "the fallback where there is nobody else",
        "nobody where there is no fallback",
        "nobody where nobody is listed",
    ],
)
def test_remedies_go_to(
    contacts: tuple[Contact, ...],
    undeliverable: tuple[Contact, ...],
    reached: tuple[Contact, ...],
) -> None:
    found = reachable_contacts(
        Tenant("northwind", contacts=contacts), {contact.address for contact in undeliverable}
    )
    assert found == tuple(contact.address for contact in reached)


def test_an_unreachable_person_who_forwards_is_not_written_to() -> None:
    gone = policy(undeliverable={PRIYA})
    assert decide(case(by=PRIYA), gone) == ticket(Reason.NO_CONTACT)


def test_the_remedy_goes_to_the_fallback_when_the_contact_is_unreachable() -> None:
    northwind = Tenant("northwind", contacts=(Contact(PRIYA), SPARE))
    gone = policy(tenants=Tenants([northwind]), undeliverable={PRIYA})
    assert decide(case(), gone) == reply(SPARE.address)


# Repeats -----------------------------------------------------------------------------------


def heard(ago: timedelta, *, new: bool = True) -> History:
    return History(1, NOW - ago, has_new_records=new)


def test_who_has_heard_nothing_hears_of_the_incident() -> None:
    assert repeat(History(), NOW, DAY) is Reason.FIRST_IN_INCIDENT


def test_who_has_heard_nothing_hears_of_it_even_without_records() -> None:
    assert repeat(History(has_new_records=False), NOW, DAY) is Reason.FIRST_IN_INCIDENT


def test_without_anything_new_there_is_no_second_mail_however_long_ago() -> None:
    assert repeat(heard(100 * DAY, new=False), NOW, DAY) is Reason.NOTHING_NEW


def test_new_records_wait_for_the_end_of_the_interval() -> None:
    assert repeat(heard(DAY - timedelta(seconds=1)), NOW, DAY) is Reason.WITHIN_REPEAT_INTERVAL


@pytest.mark.parametrize("ago", [DAY, 2 * DAY])
def test_new_records_are_told_when_the_interval_is_over(ago: timedelta) -> None:
    assert repeat(heard(ago), NOW, DAY) is Reason.REPEAT_DUE


def test_a_clock_that_was_set_back_sends_nothing_early() -> None:
    assert repeat(heard(-DAY), NOW, DAY) is Reason.WITHIN_REPEAT_INTERVAL


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.booleans())
def test_in_one_interval_nobody_hears_twice(ago: int, interval: int, new: bool) -> None:
    reason = repeat(heard(timedelta(seconds=ago), new=new), NOW, timedelta(seconds=interval))
    assert (reason is Reason.REPEAT_DUE) == (new and ago >= interval)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ((), DAY),
        ((None,), DAY),
        (("48h",), 2 * DAY),
        (("1h",), timedelta(hours=1)),
        (("48h", "1h", None), timedelta(hours=1)),
        (("48h", None), DAY),
    ],
    ids=[
        "the operator's where no entry is named",
        "the operator's where the entry has none",
        "the entry's own, longer",
        "the entry's own, shorter",
        "the shortest of several",
        "the operator's when it is the shortest",
    ],
)
def test_the_interval_is(intervals: tuple[str | None, ...], expected: timedelta) -> None:
    assert repeat_interval([rule(interval=one) for one in intervals], DAY) == expected
