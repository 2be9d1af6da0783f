"""What the text of a notification says of its source."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.mail import facts
from triage.mail.identifiers import links
from triage.mail.message import Cause, Facts

USER, ORG, JOB = "0058x000001AbCd", "00D8x000001AbCd", "7078x000001AbCd"
CASE = "5008x000001AbCdAAK"
CLASS = "'StellaConnect.Sender'"
METHOD = "'public static void send(String, Set<Id>)'"
HEAD = f"Apex script unhandled exception by user/organization: {USER}/{ORG}\n"
ORGANIZATION = "Organization: Northwind (northwind.my.salesforce.com)\n"


def read(text: str, subject: str = "", html: tuple[str, ...] = ()) -> Facts:
    return facts.read(subject, text, links(text, html))


# The head


@pytest.mark.parametrize("name", ["StellaConnect.SurveyJob", "Other.Job"])
def test_a_unit_may_stand_alone_on_its_line(name):
    found = read(f"{HEAD}\n{ORGANIZATION}\n{name}\n\ncaused by: System.LimitException: x")
    assert (found.class_name, found.namespaces) == (name, (name.partition(".")[0],))
    assert read(f"{name}\n\ncaused by: System.LimitException: x").class_name is None


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        HEAD.replace("exception", "trigger exception"),
        HEAD.replace("/00D", "/\n00D"),
        HEAD.replace("organization: ", "organization:\n"),
        HEAD.replace("/00D", "/\n> 00D"),
        HEAD.replace("script ", "script\u00a0"),
        HEAD.replace(ORG, ORG + "EAK"),
    ],
)
def test_the_head_names_user_and_org_also_when_it_is_wrapped(head):
    found = read(head + "\ncaused by: System.X: y")
    assert (found.user_id, found.org_ids) == (USER, (ORG,))


@pytest.mark.parametrize("head", [HEAD.replace("005", "001"), HEAD.replace("00D8", "00E8")])
def test_ids_of_a_head_have_their_prefix(head):
    found = read(head)
    assert all(org.startswith("00D") for org in found.org_ids)
    assert found.user_id is None or found.user_id.startswith("005")


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("Organization: Northwind (northwind.my.salesforce.com)", "northwind.my.salesforce.com"),
        ("Organization: Northwind (northwind.my.salesforce.com).", "northwind.my.salesforce.com"),
        (
            "Organization: (N) : 'x' & Söhne (northwind.my.salesforce.com)",
            "northwind.my.salesforce.com",
        ),
        (
            "Organization: A very long name\n(northwind.my.salesforce.com)",
            "northwind.my.salesforce.com",
        ),
        (
            "Organization: x (contoso.my.salesforce.com) (northwind.my.salesforce.com)",
            "northwind.my.salesforce.com",
        ),
        ("Organization: Northwind (northwind.my.salesforce.com.example)", None),
        ("Organization: Northwind", None),
    ],
)
def test_the_organization_line_names_its_host_in_the_last_brackets(line, host):
    (head,) = facts.heads(f"{HEAD}\n{line}\n\nNs.Trg: execution of BeforeInsert\n")
    assert head.host == host


def test_an_organization_line_in_the_message_is_no_head_line():
    text = (
        f"{HEAD}\nNs.A: execution of BeforeInsert\n\ncaused by: Ns.XException: oh\n{ORGANIZATION}"
    )
    assert facts.heads(text)[0].host is None


def test_a_digest_names_the_orgs_of_all_its_heads():
    text = f"{HEAD}\ncaused by: System.AException: b\n\n{HEAD.replace(ORG, '00D5g00000QwErT')}"
    assert read(text).org_ids == (ORG, "00D5g00000QwErT")


# Sandboxes


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("", f"Sandbox\n\n{HEAD}"),
        ("", f"*Sandbox*\n{HEAD}"),
        ("Sandbox: Developer script exception from X", HEAD),
        ("Fwd: AW: Sandbox: Developer script exception", HEAD),
        ("", f"{HEAD}\nSource organization: 00D5g00000QwErT (null)\n"),
        ("", f"{HEAD}\nOrganization: N (northwind--uat.sandbox.my.salesforce.com).\n"),
        ("Alert", f"https://northwind--uat.sandbox.lightning.force.com/{CASE}"),
    ],
)
def test_sandboxes_are_told_by_line_subject_source_and_host(subject, text):
    assert read(text, subject).sandbox


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Developer script exception from Sandbox: Ltd", HEAD + ORGANIZATION),
        ("", f"{HEAD}{ORGANIZATION}\ncaused by: Ns.XException: Sandbox\nSandbox\n"),
        ("", f"{HEAD}{ORGANIZATION}\ncaused by: X: northwind--u.sandbox.my.salesforce.com"),
        ("Alert", f"https://northwind.lightning.force.com/{CASE}"),
    ],
)
def test_production_stays_production_whatever_the_words_say(subject, text):
    assert not read(text, subject).sandbox


def test_the_org_that_a_sandbox_was_copied_from_comes_second():
    found = read(f"{HEAD}\nSource organization: 00D5g00000QwErT (null)\n\n")
    assert found.org_ids == (ORG, "00D5g00000QwErT")


# The unit


@pytest.mark.parametrize(
    ("line", "unit", "class_name", "job_id"),
    [
        (
            "StellaConnect.CaseTrg: execution of AfterUpdate",
            "trigger",
            "StellaConnect.CaseTrg",
            None,
        ),
        ("CaseTrg: execution of BeforeUndelete", "trigger", "CaseTrg", None),
        (
            f"Failed to process batch for class 'StellaConnect.Sender' for job id '{JOB}'",
            "batch",
            "StellaConnect.Sender",
            JOB,
        ),
        (
            f"Failed to process batch for class\n'StellaConnect.Sender' for job id\n'{JOB}'",
            "batch",
            "StellaConnect.Sender",
            JOB,
        ),
        (
            f"Failed to process batch for class ‘StellaConnect.Sender’ for job id ‘{JOB}’",
            "batch",
            "StellaConnect.Sender",
            JOB,
        ),
        (
            f"Failed to process Queueable job for class StellaConnect.Sender for job ID {JOB}.",
            "queueable",
            "StellaConnect.Sender",
            JOB,
        ),
        (
            f"Failed to invoke future method\n{METHOD} on class {CLASS} for job ID {JOB}",
            "future",
            "StellaConnect.Sender",
            JOB,
        ),
        ("Scheduled job 'Nightly Sync' threw unhandled exception.", "scheduled", None, None),
        ("Visualforce Page: /apex/StellaConnect__Config", "visualforce", None, None),
        (
            "StellaConnect.Sender: System.LimitException: Apex CPU time limit exceeded",
            None,
            "StellaConnect.Sender",
            None,
        ),
    ],
)
def test_every_variant_names_its_unit_class_and_job(line, unit, class_name, job_id):
    found = read(f"{HEAD}\n{ORGANIZATION}\n{line}\n\ncaused by: System.XException: y\n")
    assert (found.unit, found.class_name, found.job_id) == (unit, class_name, job_id)


def test_the_name_of_a_scheduled_job_may_hold_quotes():
    found = read(f"{HEAD}\nScheduled job 'Agent's \"job\"' threw unhandled exception.\n")
    assert found.job_name == 'Agent\'s "job"'


def test_a_class_is_taken_from_the_stack_where_the_unit_names_none():
    found = read(
        f"{HEAD}\nScheduled job 'X' threw unhandled exception.\n\n"
        "caused by: System.NullPointerException: Attempt\n\n"
        "Class.StellaConnect.Sender.execute: line 18, column 1\n"
    )
    assert found.class_name == "StellaConnect.Sender"


def test_words_of_the_message_are_no_unit():
    found = read(f"{HEAD}\ncaused by: Ns.XException: Failed to process batch for class 'Evil'\n")
    assert (found.unit, found.class_name) == (None, None)


# Causes and stack


def test_nested_causes_end_with_the_root():
    found = read(
        f"{HEAD}\nNs.Trg: execution of AfterUpdate\n\n"
        "caused by: System.DmlException: Update failed. First exception on row 0 with id\n"
        f"{CASE}; first error: CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY, Other.Trg: execution of\n"
        "BeforeInsert\n\n"
        "caused by: System.LimitException:Too many SOQL queries: 101\n\n"
        "Trigger.Other.Trg: line 18, column 1: []\n\n"
        "Trigger.Ns.Trg: line 7, column 1\n"
    )
    assert [cause.exception for cause in found.causes] == [
        "System.DmlException",
        "System.LimitException",
    ]
    assert found.causes[-1].message == "Too many SOQL queries: 101"
    assert found.causes[0].message.endswith("Other.Trg: execution of BeforeInsert")
    assert found.frames == ("Other.Trg", "Ns.Trg")
    assert found.record_ids == (CASE,)


@pytest.mark.parametrize(
    ("caused", "cause"),
    [
        ("caused by: System.AException: b", Cause("System.AException", "b")),
        ("caused by: System.AException:b", Cause("System.AException", "b")),
        ("> caused by: System.AException: b", Cause("System.AException", "b")),
        ("caused by: Ns.Outer.InnerException: b: c", Cause("Ns.Outer.InnerException", "b: c")),
        (
            "caused by: line 1356, column 3: Dependent class is invalid and needs recompilation:",
            Cause("", "line 1356, column 3: Dependent class is invalid and needs recompilation:"),
        ),
        (
            "caused by: System.DmlException: Pflichtfelder fehlen: [Straße]\nund mehr",
            Cause("System.DmlException", "Pflichtfelder fehlen: [Straße] und mehr"),
        ),
        (
            "caused by: System.CalloutException: <xml a='b'>\nClass.Ns.A.b: line 1, column 1",
            Cause("System.CalloutException", "<xml a='b'>"),
        ),
        (
            "Ns.A: System.LimitException: Apex CPU time\nlimit exceeded",
            Cause("System.LimitException", "Apex CPU time limit exceeded"),
        ),
    ],
)
def test_a_cause_has_type_and_message(caused, cause):
    assert read(f"{HEAD}\n{caused}\n\nExternal entry point\n").causes == (cause,)


def test_two_causes_on_following_lines_are_two():
    found = read(f"{HEAD}\ncaused by: A.BException: c\ncaused by: System.DException: e\n")
    assert found.causes == (Cause("A.BException", "c"), Cause("System.DException", "e"))


def test_causes_are_found_in_flattened_text():
    found = read(f"{HEAD} Ns.T: execution of AfterUpdate  caused by: System.AException: b c")
    assert found.causes == (Cause("System.AException", "b c"),)


def test_a_message_without_type_is_the_only_cause():
    found = read(f"{HEAD}\nSomething new went wrong.\n\nMore.")
    assert found.causes == (Cause("", "Something new went wrong."),)


def test_frames_name_classes_without_methods():
    found = read(
        f"{HEAD}\ncaused by: System.AException: b\n\n"
        "Class.Ns.Sender.<init>: line 44, column 1\n"
        "Class.Ns.Outer.Inner.run: line 1, column 1\n"
        "Class.Plain.run: line 1, column 1\n"
        "AnonymousBlock: line 1, column 1\n"
        "Trigger.Ns.Trg: line 7, column 1\n"
    )
    assert found.frames == ("Ns.Sender", "Ns.Outer.Inner", "Plain", "Ns.Trg")


# Namespaces


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\nStellaConnect.Trg: execution of AfterUpdate\n",
        f"{HEAD}\nFailed to process batch for class 'stellaconnect.Sender' for job id '{JOB}'\n",
        f"{HEAD}\nVisualforce Page: /apex/StellaConnect__Config\n",
        f"{HEAD}\nScheduled job 'Agent Connect Request Sender' threw unhandled exception.\n",
        f"{HEAD}\nScheduled job 'Stella Connect Data Return' threw unhandled exception.\n",
        f"{HEAD}\ncaused by: System.AException: b\n\n(StellaConnect)\nExternal entry point\n",
        f"{HEAD}\ncaused by: System.AException: b\n\nClass.StellaConnect.A.b: line 1, column 1\n",
        f"{HEAD}\ncaused by: StellaConnect.AException: b\n",
        f"{HEAD}\ncaused by: System.LimitException: StellaConnect:Too many SOQL queries: 101\n",
        f"{HEAD}\ncaused by: X: Invalid field StellaConnect__Requested_Datetime__c for Case:\n",
        "System.SObjectException: Invalid field StellaConnect__Requested_Datetime__c for Case:",
        'Message: "First error: StellaConnect:Too many query rows: 50001"',
    ],
)
def test_the_integration_is_known_by_its_namespace_wherever_it_stands(text):
    assert read(text).namespaces == ("StellaConnect",)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\nMyTrg: execution of AfterUpdate\n\ncaused by: System.XException:Too many SOQL\n",
        f"{HEAD}\ncaused by: System.AException: My_Field__c\n\nClass.System.Assert.x: line 1\n",
        f"{HEAD}\nScheduled job 'Nightly' threw unhandled exception.\n",
        "Dear all,\n(urgent)\nthe job failed",
        "error:Too many SOQL queries: 101",
        f"{HEAD}{ORGANIZATION}\ncaused by: System.AException: see (null)\n(null)\n",
    ],
)
def test_code_of_the_org_itself_has_no_namespace(text):
    assert read(text).namespaces == ()


def test_namespaces_come_in_order_of_what_names_them():
    found = read(
        f"{HEAD}\nscheduler.Trg: execution of AfterUpdate\n\n"
        "caused by: System.LimitException: npsp:Too many SOQL queries: 101 on SBQQ__Quote__c\n\n"
        "Class.dlrs.A.b: line 1, column 1\n"
    )
    assert found.namespaces == ("scheduler", "dlrs", "SBQQ", "npsp")


# Package alerts, API alerts


def test_a_package_alert_names_orgs_hosts_and_records_in_order():
    text = (
        "Stella Connect Employee cannot be a Queue\n"
        f"https://northwind.lightning.force.com/lightning/r/Case/{CASE}/view\n"
        f"Case 5008x000001AbCe and {CASE[:15]}\nOrg ID: {ORG}EAK\n"
    )
    found = read(
        text, "Errors for a0X8x000001AbCd", ("https://northwind.my.salesforce.com/5008x000001AbCf",)
    )
    assert found.org_ids == (ORG,)
    assert found.hosts == ("northwind.lightning.force.com", "northwind.my.salesforce.com")
    assert [id_[:15] for id_ in found.record_ids] == [
        "5008x000001AbCd",
        "5008x000001AbCe",
        "5008x000001AbCf",
        "a0X8x000001AbCd",
    ]


def test_an_api_alert_names_the_sub_domain_of_its_links_and_words():
    found = read(
        "See https://northwind.agentconnect.net/api/request_status or contoso.agentconnect.net.\n"
        "Endpoint https://api.stellaconnect.net/v1/requests"
    )
    assert found.sub_domains == ("northwind", "contoso")


def test_a_governor_warning_names_user_and_org():
    found = read(f"Operation: /003/e\nBy user/organization: {USER}/{ORG}\n")
    assert (found.user_id, found.org_ids) == (USER, (ORG,))


def test_a_job_id_outside_the_unit_line_is_read_where_it_is_named():
    assert read(f"Job Id: {JOB}AAA was aborted").job_id is None
    assert read(f"Job ID: {JOB} was aborted").job_id == JOB


def test_a_text_without_facts_has_none():
    assert read("Hello, could you help me?") == Facts()


# Hostile text


def test_hostile_text_takes_linear_time():
    start = time.process_time()
    for text in [
        "Apex" + " " * 65_000,
        "Apex script unhandled exception by user/organization: " * 1_200,
        "caused by: " * 6_000,
        "caused by: A" + "a.A" * 20_000,
        "\n" * 65_000,
        HEAD + " \n" * 30_000,
        HEAD + "Organization: " + "(" * 60_000,
        "Class." + "a." * 32_000,
        "Class.A" * 9_000,
        "A__" * 21_000,
        "(A)\n" * 16_000,
        HEAD + "Failed to invoke future method " * 2_000,
        HEAD + "Scheduled job '" * 4_000,
        "by user/organization:" * 3_000,
        HEAD * 500,
        "Exception" * 7_000,
        HEAD + "\ncaused by: " + "a" * 60_000,
    ]:
        read(text[:65_536])
    assert time.process_time() - start < 5


PIECES = st.sampled_from(
    [
        *(HEAD, ORGANIZATION, "Sandbox\n", "caused by:", " System.AException:", "\n\n", "(Ns)\n"),
        *(
            "Class.A.b: line 1",
            "Source organization: ",
            ORG,
            "/",
            USER,
            "Scheduled job '",
            "(",
            ")",
        ),
        *(
            "' threw",
            "Failed to process batch for class '",
            "' for job id '",
            JOB,
            "Ns__F__c",
            "> ",
        ),
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=20), st.text(max_size=30))
def test_no_text_raises(pieces, subject):
    text = "".join(pieces)
    found = read(text, subject)
    assert all(len(org) == 15 for org in found.org_ids)
    assert all(len(record) == 18 for record in found.record_ids)
    assert len(set(found.namespaces)) == len(found.namespaces)
