"""Which mails hold a notification, of which kind, and by which way it came."""

from __future__ import annotations

import time
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.mail.limits import DEFAULT, MailError
from triage.mail.message import Kind, Notification, Route
from triage.mail.parse import parse
from triage.mail.phrases import fold
from triage.mail.unwrap import Unwrapped, notifications

QUEUE = "Stella Connect Employee cannot be a Queue"
RECORD = "https://northwind.my.salesforce.com/5008x00000Kq7TaAAJ"
OTHER_RECORD = "https://northwind.my.salesforce.com/5008x00000KsA1bAAF"
STATUS_PAGE = "https://northwind.agentconnect.net/api/request_status"
APEX = """Apex script unhandled exception by user/organization: 0058x00000Lm4Rs/00D8x000001AbCd

Organization: Northwind Traders (northwind.my.salesforce.com)

Failed to process batch for class 'StellaConnect.RequestBatch' for job id '7078x00000pd6fK'

caused by: System.LimitException: Apex CPU time limit exceeded"""
APEX_SUBJECT = "Developer script exception from Northwind Traders : StellaConnect.RequestBatch : x"
LITERALS = (
    "employee cannot be a queue",
    "missing fields: employee_email or employee_custom_id",
    "customer email field missing value",
    "cpu time limit",
    "job object is locked and currently processing",
    "employee not found",
    "invalid customer",
)
SALESFORCE = {
    "X-SFDC-LK": "00D8x000001AbCd",
    "Return-Path": "<a=b__0-1@x.8x-1abcdeak.na1.bnc.salesforce.com>",
}
PRIYA = "Priya Raman <priya@northwind.example>"
SERVICE = "Northwind Service <crm@northwind.example>"
PLATFORM = "ApexApplication <info@na231.salesforce.com>"
AGENT_CONNECT = "Agent Connect <admin@stellaconnect.net>"
OWN = "<triage.0123456789abcdef0123456789abcdef@example.com>"


def known(text: str) -> bool:
    """As the catalog: folded over case, blanks and line ends."""
    folded = fold(text)
    return any(literal in folded for literal in LITERALS)


def mail(
    text: str, subject: str = "x", sender: str = PRIYA, headers: dict[str, str] | None = None
) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["Subject"] = subject
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(text)
    return message


def unwrapped(message: EmailMessage) -> Unwrapped:
    return notifications(parse(bytes(message)), known)


def only(message: EmailMessage) -> Notification:
    (found,) = unwrapped(message).notifications
    return found


def none(message: EmailMessage) -> str:
    result = unwrapped(message)
    assert result.notifications == ()
    assert result.why
    return result.why


# Sent by the machine itself


def test_an_apex_exception_mail_is_one() -> None:
    found = only(mail(APEX, APEX_SUBJECT, PLATFORM, SALESFORCE))
    assert (found.kind, found.route, found.by) == (Kind.APEX_EXCEPTION, Route.DIRECT, None)
    assert found.claimed_from is not None
    assert found.claimed_from.spec == "info@na231.salesforce.com"
    assert (found.lk, found.envelope_org) == ("00D8x000001AbCd", "8x-1abcdeak")
    assert found.facts.org_ids == ("00D8x000001AbCd",)
    assert found.text == APEX


@pytest.mark.parametrize(
    "head",
    [
        "Apex script unhandled trigger exception by user/organization: 005/00D",
        "Apex script unhandled exception by\nuser/organization:\n0058x00000Lm4Rs/00D8x000001AbCd",
        "Apex script  unhandled\u00a0exception by user/organization: 005/00D",
        "Sandbox\n\nApex script unhandled exception by user/organization: 005/00D",
    ],
)
def test_heads_of_apex_mails_are_known_in_all_their_forms(head: str) -> None:
    assert only(mail(head, APEX_SUBJECT, PLATFORM)).kind is Kind.APEX_EXCEPTION


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Stella Connect Integration Error", f"Error: {QUEUE}\nRecord: {RECORD}"),
        ("Agent Connect Integration Error", "Error: Survey definition 88 was not found"),
        ("Integration report", f"{QUEUE}\n{RECORD}"),
        ("Integration report", "Invalid field StellaConnect__Requested_Datetime__c for Case"),
        ("Notice", "Agent Connect could not send.\n\nError: something new happened"),
        ("Stella Connect package shut off", "Please open the configuration."),
        ("連携", f"Customer Email field\nmissing value\n{RECORD}"),
    ],
)
@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        (SERVICE, SALESFORCE),
        (SERVICE, {"X-SFDC-LK": "00D8x000001AbCd"}),
        (SERVICE, {"Return-Path": SALESFORCE["Return-Path"]}),
        ("Northwind <email@00d8x000001abcdeak.sfcustomeremail.com>", {}),
    ],
)
def test_an_alert_of_the_package_is_one(
    subject: str, text: str, sender: str, headers: dict[str, str]
) -> None:
    found = only(mail(text, subject, sender, headers))
    assert (found.kind, found.route) == (Kind.MANAGED_PACKAGE, Route.DIRECT)


def test_an_alert_of_agent_connect_is_one() -> None:
    found = only(mail("3 requests failed.", "[northwind] API Error Alert (3)", AGENT_CONNECT))
    assert (found.kind, found.route) == (Kind.API_ERROR_ALERT, Route.DIRECT)


def test_an_alert_from_a_sending_domain_of_the_customers_own_is_one() -> None:
    text = f"Status: Employee not found\n{STATUS_PAGE}"
    found = only(mail(text, "API Error Alert", "Surveys <surveys@northwind.example>"))
    assert found.kind is Kind.API_ERROR_ALERT


@pytest.mark.parametrize(
    ("sender", "subject", "text"),
    [
        ("ApexApplication <x@mailer.example>", APEX_SUBJECT, APEX),
        ("Info <info@salesforce.com.notices.example>", APEX_SUBJECT, APEX),
        ("Someone <x@mailer.example>", APEX_SUBJECT, APEX),
        ("Northwind <salesforce@northwlnd.example>", "Stella Connect Error", f"{QUEUE}\n{RECORD}"),
        ("Northwind <noreply@northwind.example>", "Stella Connect Error", f"{QUEUE}\n{RECORD}"),
        (SERVICE, "Stella Connect Integration Error", f"Error: {QUEUE}\nRecord: {RECORD}"),
    ],
)
def test_what_looks_sent_by_the_machine_is_direct_so_that_it_must_prove_itself(
    sender: str, subject: str, text: str
) -> None:
    assert only(mail(text, subject, sender)).route is Route.DIRECT


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Finish resetting your password", f"Reset it here: {RECORD}"),
        ("New comment on case 00104417", f"They asked about surveys.\n{RECORD}"),
        ("Apex governor limit warning", "Caused the following Apex resource warnings:"),
        ('Error Occurred During Flow "Case": x', "Error element x (Flow).\ncpu time limit"),
        ('An error occurred with your "x" flow', "Error element x.\nFlow Details\ncpu time limit"),
        ("Package Agent Connect 2.3 Install Failed", "Problem: Missing Organization Feature"),
    ],
)  # fmt: skip
def test_other_mail_of_salesforce_holds_none(subject: str, text: str) -> None:
    none(mail(text, subject, "Salesforce <noreply@salesforce.com>", SALESFORCE))


@pytest.mark.parametrize(
    "subject",
    ["Apex governor limit warning", 'Error Occurred During Flow "StellaConnect__Send": x'],
)
def test_warnings_and_flow_errors_that_name_the_package_are_for_a_person(subject: str) -> None:
    text = "Operation: /apex/StellaConnect__Configuration\nStellaConnect:Number of SOQL queries: 85"
    assert only(mail(text, subject, PLATFORM, SALESFORCE)).kind is Kind.APEX_EXCEPTION


@pytest.mark.parametrize(
    ("sender", "subject", "text"),
    [
        ("Agent Connect <company@stellaconnect.net>", "How did Maya do?", "Rate us, no error."),
        ("Monitor <alerts@payhub.example>", "API Error Alert: 502", "Status: Invalid customer"),
        (
            "Status <no-reply@status.example>",
            "Agent Connect: delays",
            "Requests failed. cpu time limit",
        ),
        (AGENT_CONNECT, "Your verification code", f"482 019 for {STATUS_PAGE}"),
    ],
)
def test_mail_of_others_with_the_same_words_holds_none(
    sender: str, subject: str, text: str
) -> None:
    none(mail(text, subject, sender))


def test_what_a_person_sends_through_salesforce_is_judged_as_a_persons_words() -> None:
    headers = SALESFORCE | {"X-SFDC-EmailCategory": "quickActionEmail"}
    none(mail(f'We saw "{QUEUE}" on {RECORD} again.', "Agent Connect error", SERVICE, headers))


# Forwarded inline

HEAD = (
    f"From: {SERVICE}\nDate: Mon, 16 Nov 2026 10:00\nSubject: {{}}\nTo: priya@northwind.example\n\n"
)
MARK = "---------- Forwarded message ---------\n"
ALERT = f"Error: {QUEUE}\nRecord: {RECORD}"


def forwarded(text: str, subject: str = "Stella Connect Integration Error") -> EmailMessage:
    body = f"What is this?\n\n{MARK}{HEAD.format(subject)}{text}"
    return mail(body, f"Fwd: {subject}")


def test_a_forward_is_by_the_person_and_keeps_the_persons_note() -> None:
    found = only(forwarded(ALERT))
    assert (found.kind, found.route) == (Kind.MANAGED_PACKAGE, Route.FORWARDED)
    assert found.by is not None
    assert found.claimed_from is not None
    assert found.by.spec == "priya@northwind.example"
    assert found.claimed_from.spec == "crm@northwind.example"
    assert (found.note, found.text) == ("What is this?", ALERT)
    assert found.subject == "Stella Connect Integration Error"
    assert [link.record_id for link in found.links] == ["5008x00000Kq7TaAAJ"]
    assert (found.lk, found.envelope_org) == (None, None)


@pytest.mark.parametrize(
    ("subject", "text", "kind"),
    [
        (APEX_SUBJECT, APEX, Kind.APEX_EXCEPTION),
        ("API Error Alert", f"Employee not found\n{STATUS_PAGE}", Kind.API_ERROR_ALERT),
        ("Agent Connect: Error while sending", f"Guten Tag,\n\nfailed. {QUEUE}\n{RECORD}",
         Kind.MANAGED_PACKAGE),
        ("Notice", f"Hello Admin,\n\n- {QUEUE}\n  {RECORD}", Kind.MANAGED_PACKAGE),
    ],
)  # fmt: skip
def test_all_kinds_can_be_forwarded(subject: str, text: str, kind: Kind) -> None:
    assert only(forwarded(text, subject)).kind is kind


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Question", f'Hi Priya,\n\nwhat does "{QUEUE}" mean on {RECORD}?\n\nTom'),
        ("Re: Stella Connect Integration Error", "Solved, thanks."),
        ("Stella Connect Integration Error?", f"Hi,\n\nis {QUEUE} bad? See {RECORD}\n\nTom"),
        ("Minutes", "Agent Connect comes up next week."),
        ("API Error Alert", "502 at payhub"),
        ("Apex governor limit warning", "Number of SOQL queries: 65 out of 100"),
        ("News", f"Changes\n\n* Agent Connect: {QUEUE} no longer comes twice"),
        ("Agenda", f"9:00 Agent Connect\n9:15 {QUEUE} (Tom)\n10:00 Break"),
        ("Agent Connect tips", f"Today: {QUEUE}. You see this when a queue owns the case."),
    ],
)
def test_forwards_of_other_mail_hold_none(subject: str, text: str) -> None:
    none(forwarded(text, subject))


FOREIGN = "Tools <tools@tools.example>"


def test_an_alert_without_a_record_is_one_from_the_forwarders_own_company() -> None:
    subject, text = "Agent Connect error", f"Case: 00104417\nError: {QUEUE}"
    assert only(forwarded(text, subject)).kind is Kind.MANAGED_PACKAGE
    foreign = f"FYI\n\n{MARK}{HEAD.format(subject).replace(SERVICE, FOREIGN)}{text}"
    assert only(mail(foreign, f"Fwd: {subject}")).kind is Kind.OTHER
    none(mail(foreign.replace(subject, "Agent Connect news"), "Fwd: Agent Connect news"))


def test_a_forward_without_mark_holds_an_alert_and_no_talk() -> None:
    block = f"Von: {SERVICE}\nGesendet: Freitag\nAn: P\nBetreff: Fehler"
    assert only(mail(f"Bitte ansehen.\n\n{block}\n\n{ALERT}", "Hilfe")).text == ALERT
    none(mail(f"Erledigt.\n\n{block}\n\nHallo Priya,\n\n{ALERT}\n\nGrüße", "Hilfe"))
    none(
        mail(f"Erledigt.\n\n{block}\n\n{ALERT}", "Hilfe", headers={"In-Reply-To": "<a@b.example>"})
    )
    none(mail(f"Danke.\n\n{block}\n\n{ALERT}", "Hilfe", headers={"X-Autoreply": "yes"}))


def test_a_newsletter_about_the_alerts_is_none_of_them() -> None:
    text = f"They name the reason now: {QUEUE}.\n{STATUS_PAGE}\n\nUnsubscribe: {STATUS_PAGE}"
    none(mail(text, "News: API Error Alerts explained", AGENT_CONNECT))
    assert (
        only(mail(text, "API Error Alert: northwind", AGENT_CONNECT)).kind is Kind.API_ERROR_ALERT
    )


def test_several_forwards_in_one_mail_are_several_notifications() -> None:
    one, two = HEAD.format("Stella Connect Integration Error"), HEAD.format(APEX_SUBJECT)
    message = mail(f"Two of them.\n\n{MARK}{one}{ALERT}\n\n{MARK}{two}{APEX}", "Fwd: both")
    kinds = [n.kind for n in unwrapped(message).notifications]
    assert kinds == [Kind.MANAGED_PACKAGE, Kind.APEX_EXCEPTION]


def test_a_forward_of_a_forward_is_by_the_one_who_sent_it_to_us() -> None:
    outer = HEAD.format("Fwd: Stella Connect Integration Error").replace(SERVICE, "tom@x.example")
    text = f"see below\n\n{MARK}{outer}Priya?\n\n{MARK}{HEAD.format('Stella Connect Error')}{ALERT}"
    found = only(mail(text, "Fwd: Fwd: Stella Connect Integration Error"))
    assert found.by is not None
    assert (found.by.spec, found.text) == ("priya@northwind.example", ALERT)


# Attached


def with_attached(inner: EmailMessage, subject: str = "see attached") -> EmailMessage:
    outer = mail("Please look.", subject)
    outer.add_attachment(inner)
    return outer


def test_an_attached_notification_keeps_what_its_own_headers_say() -> None:
    found = only(with_attached(mail(APEX, APEX_SUBJECT, PLATFORM, SALESFORCE)))
    assert (found.kind, found.route) == (Kind.APEX_EXCEPTION, Route.ATTACHED)
    assert (found.lk, found.envelope_org) == ("00D8x000001AbCd", "8x-1abcdeak")
    assert found.by is not None
    assert found.claimed_from is not None
    assert (found.by.spec, found.note) == ("priya@northwind.example", "Please look.")
    assert found.claimed_from.spec == "info@na231.salesforce.com"


def test_each_attached_mail_is_looked_at() -> None:
    outer = with_attached(mail(ALERT, "Stella Connect Integration Error", SERVICE, SALESFORCE))
    outer.add_attachment(mail(APEX, APEX_SUBJECT, PLATFORM, SALESFORCE))
    outer.add_attachment(mail("Lunch?", "Lunch", "tom@northwind.example"))
    assert [n.kind for n in unwrapped(outer).notifications] == [
        Kind.MANAGED_PACKAGE,
        Kind.APEX_EXCEPTION,
    ]


def test_a_forward_inside_an_attached_mail_is_by_the_outermost_person() -> None:
    inner = forwarded(ALERT)
    inner.replace_header("From", "tom@northwind.example")
    found = only(with_attached(inner))
    assert found.by is not None
    assert (found.by.spec, found.note) == ("priya@northwind.example", "Please look.")


def test_an_attached_mail_of_our_own_holds_none() -> None:
    none(with_attached(mail(ALERT, "x", "support@example.com", {"Message-ID": OWN})))


# Pasted


def test_an_error_line_of_its_own_with_a_record_link_is_pasted_by_the_person() -> None:
    found = only(mail(f"Hi team,\n\ntoday we got this.\n\n{QUEUE}\n{RECORD}\n\nThanks\nPriya"))
    assert (found.kind, found.route) == (Kind.MANAGED_PACKAGE, Route.PASTED)
    assert found.by is not None
    assert found.by.spec == "priya@northwind.example"
    assert found.note == "Hi team,\n\ntoday we got this."
    assert found.text.startswith(QUEUE)


@pytest.mark.parametrize(
    "lines",
    [
        f"{QUEUE}\n{RECORD}",
        f"{RECORD}\n{QUEUE}",
        f"Error: {QUEUE}\n{RECORD}",
        f"- {QUEUE}: {RECORD}",
        f'"{QUEUE}"\n{RECORD}',
        f"Error Message | {QUEUE} | {RECORD}",
        f"Stella Connect Employee cannot\nbe a Queue\n{RECORD}",
        f"Customer Email field missing value for Case: 00104417\n{RECORD}",
        f"System.LimitException: Apex CPU time limit exceeded\n{RECORD}",
        f"Fehlermeldung: {QUEUE}.\n{RECORD}",
        f"Agent Connect Employee can't be a Queue\n{RECORD}",
        f"{QUEUE}\n{RECORD}\n\nCustomer Email field missing value\n{OTHER_RECORD}",
    ],
)
def test_error_lines_are_known_in_the_forms_that_people_paste(lines: str) -> None:
    assert only(mail(f"Hello,\n\nplease help.\n\n{lines}\n\nPriya")).route is Route.PASTED


@pytest.mark.parametrize(
    "sentence",
    [
        f"since last week we keep seeing {QUEUE} in our mails, as on {RECORD}.",
        f'we see the message "{QUEUE}" in\nsome of the mails, for example {RECORD}',
        f"What does {QUEUE} mean?\n{RECORD}",
        f"{QUEUE}?\n{RECORD}",
        f"{QUEUE} and nobody knows why.\n{RECORD}",
        f"For some of our cases the integration has lately been sending\n{QUEUE}\nand {RECORD}",
        f"Dan looks at the batch that ran into the Apex CPU time limit on Tuesday.\n{RECORD}",
        f"{QUEUE}\nno link to any record here",
        f"{QUEUE}\nhttps://records.example/5008x00000Kq7TaAAJ",
        f"Agent Connect is great.\n{RECORD}",
    ],
)
def test_error_words_inside_sentences_or_without_a_record_hold_none(sentence: str) -> None:
    none(mail(f"Hello,\n\n{sentence}\n\nThanks\nPriya"))


def test_an_apex_mail_pasted_below_a_note_is_one() -> None:
    found = only(mail(f"Hello support,\n\nsee below.\n\n{APEX}\n\nDan"))
    assert (found.kind, found.route) == (Kind.APEX_EXCEPTION, Route.PASTED)
    assert found.note == "Hello support,\n\nsee below."
    assert found.text.startswith("Apex script")


def test_several_pasted_apex_mails_are_several_notifications() -> None:
    second = APEX.replace("00D8x000001AbCd", "00D5g00000QwErT")
    found = unwrapped(mail(f"Hello,\n\n{APEX}\n\nSandbox\n\n{second}")).notifications
    assert [n.facts.org_ids for n in found] == [("00D8x000001AbCd",), ("00D5g00000QwErT",)]
    assert found[1].facts.sandbox


@pytest.mark.parametrize("label", ["", "Status Detail: ", "- "])
def test_a_status_line_of_a_job_is_pasted_without_a_record(label: str) -> None:
    text = f"Hallo,\n\n{label}First error: Job object is locked and currently processing\n\nJonas"
    assert only(mail(text)).route is Route.PASTED
    none(mail("Hallo,\n\nwas heißt First error: Job object is locked and currently processing?"))
    locked = "First error: Job object is locked and currently processing"
    none(mail(f"Known issues\n\n{label}{locked}. This keeps the next job from being scheduled."))
    none(mail(f"Notes\n\n1. Apex jobs: {locked}. Please wait if you see it."))


def test_quoted_history_and_signatures_hold_none() -> None:
    attribution = "On Mon, 16 Nov 2026 at 10:00, Sam <sam@example.com> wrote:"
    none(mail(f"Thanks!\n\n{attribution}\n> {QUEUE}\n> {RECORD}", "Re: x"))
    none(mail(f"Thanks!\n\n{attribution}\n\n{APEX}", "Re: x"))
    none(mail(f"See you.\n\n-- \n{QUEUE}\n{RECORD}"))


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        ("Automatic reply: x", {}),
        ("Abwesenheitsnotiz: x", {}),
        ("x", {"Auto-Submitted": "auto-replied"}),
        ("x", {"In-Reply-To": OWN}),
        ("x", {"References": f"<a@b.example> {OWN}"}),
        ("x", {"X-Triage-Id": "1"}),
        ("[NW-1] Your request has been received: x", {}),
    ],
)
def test_automatic_answers_and_answers_to_us_hold_none(
    subject: str, headers: dict[str, str]
) -> None:
    none(mail(f"Hello,\n\n{QUEUE}\n{RECORD}", subject, PRIYA, headers))


def test_list_and_auto_submitted_headers_do_not_hide_a_notification() -> None:
    headers = SALESFORCE | {"List-Id": "<a.example.com>", "Auto-Submitted": "auto-generated"}
    assert only(mail(APEX, APEX_SUBJECT, PLATFORM, headers)).route is Route.DIRECT


def test_returned_notifications_hold_none() -> None:
    inner = mail(ALERT, "Stella Connect Integration Error", SERVICE, SALESFORCE)
    outer = with_attached(inner, "Undelivered Mail Returned to Sender")
    outer.replace_header("From", "MAILER-DAEMON@mx.northwind.example")
    none(outer)


# Pictures


def picture(text: str, subject: str) -> EmailMessage:
    message = mail(text, subject)
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="image001.png")
    return message


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("", "Agent Connect error"),
        ("Hi, see the attached screenshot, this Stella Connect error came today.", "help"),
        ("siehe Bild", "Salesforce Fehlermeldung"),
    ],
)
def test_a_screenshot_of_an_error_is_for_a_person(text: str, subject: str) -> None:
    found = only(picture(text, subject))
    assert (found.kind, found.route) == (Kind.OTHER, Route.PASTED)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Lunch?", "menu"),
        ("Hi, can you call me about the Agent Connect error? Thanks", "call"),
        ("Hi,\n" + "a long mail about an Agent Connect error, see the screenshot. " * 20, "x"),
    ],
)
def test_other_mail_with_pictures_holds_none(text: str, subject: str) -> None:
    none(picture(text, subject))


# Who passes on


@pytest.mark.parametrize("prefix", ["RE: ", "Fwd: ", "AW: [EXTERNAL] "])
def test_a_machines_mail_is_its_own_under_any_prefix(prefix: str) -> None:
    found = only(mail(f"Error: {QUEUE}\nRecord: {RECORD}", f"{prefix}x", SERVICE, SALESFORCE))
    assert (found.kind, found.route, found.by) == (Kind.MANAGED_PACKAGE, Route.DIRECT, None)


def test_nobody_passes_on_what_stands_in_a_machines_mail() -> None:
    forward = f"Please look.\n\n{MARK}\n{HEAD.format('Alert')}\n\n{QUEUE}\n{RECORD}"
    assert only(mail(forward, "Fwd: x", SERVICE, SALESFORCE)).by is None
    by_person = {**SALESFORCE, "X-SFDC-EmailCategory": "quickActionEmail"}
    passed_on = only(mail(forward, "Fwd: x", SERVICE, by_person))
    assert passed_on.by is not None
    assert passed_on.by.spec == "crm@northwind.example"


def test_a_question_in_a_machines_mail_is_a_persons() -> None:
    asked = f'Mai posted: has anybody seen "{QUEUE}"?\n{RECORD}'
    none(mail(asked, "Mai mentioned you", SERVICE, SALESFORCE))
    told = f"Error: {QUEUE}. Do you need help?\n{RECORD}"
    assert only(mail(told, "x", SERVICE, SALESFORCE)).route is Route.DIRECT


def test_mail_of_ours_that_is_passed_on_is_none() -> None:
    ours = f"{MARK}\nFrom: Support <support@example.com>\nSubject: x\n\n{QUEUE}\n{RECORD}"
    inline = parse(bytes(mail(f"Look.\n\n{ours}", "Fwd: x")))
    assert len(notifications(inline, known).notifications) == 1
    result = notifications(inline, known, DEFAULT, {"support@example.com"})
    assert (result.notifications, result.why) == ((), "our own mail, passed on")
    outer = mail("Look.")
    outer.add_attachment(mail(f"{QUEUE}\n{RECORD}", "x", "Support <support@example.com>"))
    attached = parse(bytes(outer))
    assert len(notifications(attached, known).notifications) == 1
    assert not notifications(attached, known, DEFAULT, {"support@example.com"}).notifications


def test_a_note_between_two_forwards_is_none() -> None:
    outer = f"{MARK}\n{HEAD.format('Fwd: Stella Connect error')}\n\nFor your attention\n\n"
    inner = f"{MARK}\n{HEAD.format('Stella Connect error')}\n\n{QUEUE}\n{RECORD}"
    assert only(mail(outer + inner, "Fwd: x")).text.startswith(QUEUE)
    assert only(mail(outer, "Fwd: x")).text == "For your attention"


@pytest.mark.parametrize(
    ("subject", "bulk", "is_alert"),
    [
        ("API Error Alert (3)", True, True),
        ("[northwind] API Error Alert for Northwind", True, True),
        ("API Error Alerts are easier to read", True, False),
        ("API Error Alerts are easier to read", False, True),
    ],
)
def test_news_about_alerts_is_none(subject: str, bulk: bool, is_alert: bool) -> None:
    headers = {"List-Unsubscribe": "<https://stellaconnect.net/u>"} if bulk else {}
    alert = mail(f"Employee not found\n{STATUS_PAGE}", subject, AGENT_CONNECT, headers)
    assert bool(unwrapped(alert).notifications) == is_alert


# Bounds


def test_a_notifications_text_is_bounded() -> None:
    text = "Apex script unhandled exception by user/organization: 005/00D\n" + "x " * 100_000
    found = only(mail(text, APEX_SUBJECT, PLATFORM, SALESFORCE))
    assert len(found.text) == DEFAULT.notification_text


def test_the_notifications_of_one_mail_are_bounded() -> None:
    texts = "\n\n".join(APEX.replace("pd6fK", f"pd{n:03d}") for n in range(80))
    limits = replace(DEFAULT, notifications=7)
    found = notifications(parse(bytes(mail(f"Hello,\n\n{texts}"))), known, limits)
    assert len(found.notifications) == 7


@pytest.mark.parametrize(
    "line",
    ["cpu time limit", f"{QUEUE} {RECORD}", "First error: cpu time limit", "a: " * 20 + QUEUE,
     "Apex script unhandled", "System.X: ", "employee cannot\nbe a queue"],
)  # fmt: skip
def test_hostile_text_takes_bounded_time(line: str) -> None:
    text = f"Hello,\n{RECORD}\n" + f"{line}\n" * (60_000 // (len(line) + 1))
    read = parse(bytes(mail(text)))
    start = time.process_time()
    notifications(read, known)
    assert time.process_time() - start < 3.0


PIECES = st.sampled_from(
    [QUEUE, RECORD, APEX, MARK, HEAD.format("Fwd: x"), "\n", "\n\n", " ", "> ", "-- \n", "?", ":",
     "First error: cpu time limit", "Hi,", "API Error Alert", STATUS_PAGE, "Sandbox\n", "\u200b",
     "StellaConnect__x", "System.X: y", "-----Original Message-----\n", "Agent Connect error"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(PIECES, max_size=14),
    st.sampled_from(["x", "Fwd: x", "Re: x", "API Error Alert", "", "Stella Connect error"]),
    st.sampled_from([PRIYA, PLATFORM, AGENT_CONNECT, SERVICE]),
    st.sampled_from([{}, SALESFORCE, {"Auto-Submitted": "auto-replied"}]),
)
def test_every_mail_is_unwrapped_and_each_notification_is_within_bounds(
    pieces: list[str], subject: str, sender: str, headers: dict[str, str]
) -> None:
    result = unwrapped(mail("".join(pieces), subject, sender, headers))
    assert result.why
    for found in result.notifications:
        assert len(found.text) <= DEFAULT.notification_text
        assert (found.by is None) == (found.route is Route.DIRECT or "X-SFDC-LK" in headers)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_no_octets_that_parse_make_unwrapping_raise(octets: bytes) -> None:
    try:
        read = parse(b"From: a@b.example\r\nX-SFDC-LK: x\r\n" + octets)
    except MailError:
        return
    assert notifications(read, known).why
