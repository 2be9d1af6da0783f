"""Whether a notification comes from where it claims, and whose it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.mail import facts
from triage.mail.authenticity import (
    Authentication,
    Authenticity,
    Trust,
    authenticate,
    contradiction,
)
from triage.mail.identifiers import envelope_org, links, to18
from triage.mail.message import Address, Kind, Mail, Notification, Route
from triage.mail.results import aligned, read_results
from triage.tenant import Contact, Tenant, Tenants

PASS, FAIL, NONE = Authenticity.PASS, Authenticity.FAIL, Authenticity.NONE
NORTHWIND_ORG, CONTOSO_ORG = "00D8x000001AbCd", "00D5g00000QwErT"
STRANGER_ORG = "00D9z000001TrIa"
CASE = "5008x000001AbCdAAK"
TENANTS = Tenants(
    [
        Tenant(
            name="northwind",
            org_ids=(NORTHWIND_ORG,),
            my_domains=("northwind.my.salesforce.com",),
            domains=("northwind.example",),
            agent_connect=("northwind",),
            sending_domains=("surveys.northwind.example",),
            contacts=(Contact("priya@northwind.example"),),
        ),
        Tenant(
            name="contoso",
            org_ids=(CONTOSO_ORG,),
            my_domains=("contoso.my.salesforce.com",),
            domains=("contoso.example",),
            agent_connect=("contoso",),
        ),
        Tenant(name="fabrikam", my_domains=("fabrikam.my.salesforce.com",)),
    ]
)
TRUST = Trust(authserv_ids=frozenset({"mx.example.com"}))
BORDER = ("received", "from x.mta.example by mx.example.com (Postfix) with ESMTPS id 1; now")
OUTSIDE = ("received", "from y.example by x.mta.example with ESMTP id 2; now")


def ar(results: str, id_: str = "mx.example.com") -> tuple[str, str]:
    return ("authentication-results", f"{id_}; {results}" if id_ else results)


def dkim(domain: str, result: str = "pass") -> tuple[str, str]:
    return ar(f"dkim={result} header.d={domain} header.s=s1")


def mail(*headers: tuple[str, str], from_: str = "robot@northwind.example") -> Mail:
    rows = (*headers, BORDER, OUTSIDE)
    return Mail(
        headers=rows, subject="", from_=_addresses(from_), message_id="", date=None, newest=""
    )


def _addresses(text: str) -> tuple[Address, ...]:
    return tuple(Address(spec.strip()) for spec in text.split(",") if text)


def notification(
    text: str,
    kind: Kind = Kind.MANAGED_PACKAGE,
    route: Route = Route.DIRECT,
    **values: object,
) -> Notification:
    found = links(text)
    return Notification(
        kind, route, "", text, links=found, facts=facts.read("", text, found), **values
    )


def package(
    host: str = "northwind", lk: str | None = NORTHWIND_ORG, more: str = ""
) -> Notification:
    text = (
        "Stella Connect Employee cannot be a Queue\n"
        f"https://{host}.lightning.force.com/lightning/r/Case/{CASE}/view\n{more}"
    )
    return notification(text, lk=lk)


def apex(
    org: str = NORTHWIND_ORG, host: str = "northwind", more: str = "", **values
) -> Notification:
    text = (
        f"Apex script unhandled exception by user/organization: 0058x000001AbCd/{org}\n\n"
        f"Organization: Some name ({host}.my.salesforce.com)\n\n"
        "StellaConnect.Sender: System.LimitException: Apex CPU time limit exceeded\n" + more
    )
    return notification(text, Kind.APEX_EXCEPTION, **values)


def alert(sub: str = "northwind", more: str = "") -> Notification:
    text = f"API Error Alert\nhttps://{sub}.agentconnect.net/api/request_status\n{more}"
    return notification(text, Kind.API_ERROR_ALERT)


def passed_on(by: str = "priya@northwind.example", inner: Notification | None = None, **values):
    inner = inner or package(lk=None)
    values.setdefault("route", Route.FORWARDED)
    return notification(inner.text, inner.kind, by=Address(by), **values)


def judge(note: Notification, carrier: Mail, trust: Trust = TRUST) -> Authentication:
    found = authenticate(note, carrier, TENANTS, trust)
    assert re.fullmatch(r"[A-Z].*\.", found.why), found.why
    return found


def state(note: Notification, carrier: Mail, trust: Trust = TRUST) -> Authenticity:
    return judge(note, carrier, trust).state


# Which Authentication-Results count ----------------------------------------------------------


def signed(headers: list[tuple[str, str]], trust: Trust = TRUST) -> tuple[str, ...]:
    return read_results(headers, trust).passed("dkim")


def test_a_field_of_ours_above_our_received_counts():
    assert signed([dkim("a.example"), BORDER, OUTSIDE]) == ("a.example",)


def test_a_field_below_our_received_was_written_outside():
    assert signed([BORDER, dkim("evil.example"), OUTSIDE]) == ()
    assert signed([BORDER, OUTSIDE, dkim("evil.example")]) == ()


def test_a_field_with_another_id_does_not_count_wherever_it_stands():
    forged = ar("dkim=pass header.d=evil.example", "mx.evil.example")
    look_alike = ar("dkim=pass header.d=evil.example", "mx.example.com.evil.example")
    assert signed([forged, look_alike, BORDER]) == ()


def test_without_a_received_of_ours_nothing_counts():
    assert signed([dkim("evil.example"), OUTSIDE]) == ()
    assert signed([dkim("evil.example")]) == ()


def test_the_border_may_have_a_host_name_of_its_own():
    headers = [dkim("a.example"), ("received", "from x by in7.example.net with ESMTP; now"), BORDER]
    trust = Trust(TRUST.authserv_ids, frozenset({"IN7.example.net"}))
    assert signed(headers, trust) == ("a.example",)


def test_relays_inside_stand_above_the_border():
    inside = (
        "received",
        "from mx.example.com (mx.example.com [10.0.0.1]) by store.example.com; now",
    )
    assert signed([inside, dkim("a.example"), BORDER]) == ("a.example",)


def test_a_helo_name_cannot_hide_our_received():
    received = ("received", "from by (unknown [192.0.2.1]) by mx.example.com with ESMTP; now")
    forged_border = ("received", "from x by mx.example.com; now")
    assert signed([received, dkim("evil.example"), forged_border]) == ()


def test_several_fields_of_one_server_count_together_and_the_topmost_decides_per_method():
    headers = [
        ar("spf=pass smtp.mailfrom=b@b.example"),
        ar("dkim=fail header.d=a.example"),
        ar("dkim=pass header.d=a.example; spf=fail smtp.mailfrom=c.example"),
        BORDER,
    ]
    results = read_results(headers, TRUST)
    assert results.passed("dkim") == ()
    assert results.passed("spf") == ("b.example",)
    assert [result.method for result in results.failed()] == ["dkim"]


def test_all_signatures_of_one_field_count():
    field = ar(
        "dkim=fail header.d=a.example; dkim=pass header.d=b.example; dkim=pass header.i=@C.example"
    )
    assert signed([field, BORDER]) == ("b.example", "c.example")


@pytest.mark.parametrize(
    "field",
    [
        "mx.example.com 1; dkim=pass header.d=a.example",
        "MX.example.com (our own); dkim=pass (key; unprotected) header.d=A.example header.b=x+/=",
        'mx.example.com; dkim=pass reason="good; really" header.d=a.example',
        "mx.example.com;\tdkim=pass header.i=@a.example header.s=s1;\tdmarc=none action=none",
        "(note) mx.example.com; iprev=pass policy.iprev=192.0.2.1; dkim=pass header.d=a.example",
        "mx.example.com; iprev=pass policy.iprev=2001:db8::1; dkim=pass header.d=a.example",
        "mx.example.com; DKIM / 1 = PASS (a (nested \\) one) b) header . d = a.example",
        'mx.example.com; dkim=pass header.d="a.example" header.b="x(;y\\""',
        'mx.example.com; dkim=pass header.i="the robot"@a.example',
        "mx.example.com; dkim=pass header.i=@a.example (größer)",
        '"mx.example.com"; dkim=pass header.d=a.example',
        '"MX.example.com" 1; dkim=pass header.d=a.example',
    ],
)
def test_the_forms_that_servers_write_are_read(field):
    assert signed([("authentication-results", field), BORDER]) == ("a.example",)


@pytest.mark.parametrize(
    "field",
    [
        "mx.example.com; none",
        "mx.example.com",
        "mx.example.com; dkim",
        "mx.example.com; dkim=",
        "mx.example.com; dkim=pass header.d=a.example;",
        "mx.example.com; dkim=pass header.d=a.example )",
        "mx.example.com; dkim=pass header.d=a.example b.example",
        "mx.example.com; dkim=pass header.d=a.example; none of these",
        'mx.example.com; spf=fail reason="x" dkim=pass header.d="a.example',
        "mx.example.com 9; dkim=pass header.d=a.example",
        "mx.example.com; dkim=pass header.d=a.example (",
        "mx.example.com; (dkim=pass header.d=a.example)",
        'mx.example.com; x=y reason="; dkim=pass header.d=a.example',
        '"mx.example.com; dkim=pass header.d=a.example',
        '"mx.example.com" "; dkim=pass header.d=a.example',
        '"mx.example.com; dkim=pass header.d=a.example"; dkim=pass header.d=a.example',
        "mx.example.com; " + "(" * 5_000 + "dkim=pass header.d=a.example",
        "mx.example.com; dkim=pass header.d=a.example" + " " * 20_000,
        "",
        ";;;",
    ],
)
def test_a_field_that_does_not_parse_counts_as_absent(field):
    assert signed([("authentication-results", field), BORDER]) == ()


def test_an_unreadable_field_leaves_the_next_one_of_ours_in_force():
    assert signed([ar("dkim"), dkim("a.example"), BORDER]) == ("a.example",)


M365 = (
    "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.example; dkim=pass (signature was verified)"
    " header.d=a.example;dmarc=pass action=none header.from=a.example;compauth=pass reason=100"
)


def test_a_field_without_id_counts_only_as_the_topmost_and_only_where_that_is_trusted():
    headers = [OUTSIDE, ar(M365, ""), ar("dkim=pass header.d=evil.example", "")]
    trust = Trust(topmost_without_id=True)
    results = read_results(headers, trust)
    assert results.passed("dkim") == ("a.example",)
    assert results.passed("dmarc") == ("a.example",)
    assert results.passed("spf") == ("a.example",)
    assert not read_results(headers, TRUST).seen


def test_a_topmost_field_with_an_id_hides_those_without():
    headers = [ar("dkim=pass header.d=x.example", "evil.example"), ar(M365, "")]
    assert signed(headers, Trust(topmost_without_id=True)) == ()


def test_results_of_the_senders_own_servers_do_not_count():
    inner = ar(
        'x-tls.subject="/C=US/ST=California"; auth=pass (cipher=ECDHE)',
        "mx2-ia6-sp4.mta.salesforce.com",
    )
    assert not read_results([BORDER, inner, OUTSIDE], TRUST).seen
    assert not read_results([inner, BORDER], TRUST).seen
    assert state(apex(), mail(inner)) is NONE


# Alignment -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "other", "expected"),
    [
        ("northwind.example", "northwind.example", True),
        ("mail.northwind.example", "northwind.example", True),
        ("northwind.example", "mail.northwind.example", True),
        ("a.northwind.example", "b.northwind.example", False),
        ("evilnorthwind.example", "northwind.example", False),
        ("example", "northwind.example", False),
        ("", "northwind.example", False),
        ("northwind.example", "", False),
    ],
)
def test_alignment_keeps_to_label_boundaries(domain, other, expected):
    assert aligned(domain, other) is expected


# Apex exceptions -----------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["salesforce.com", "mail.salesforce.com"])
def test_an_apex_exception_signed_by_salesforce_passes(domain):
    found = judge(apex(lk=NORTHWIND_ORG), mail(dkim(domain), from_="info@x.salesforce.com"))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", False)


@pytest.mark.parametrize(
    "domain", ["salesforce.com.evil.example", "notsalesforce.com", "northwind.example"]
)
def test_another_signature_proves_no_apex_exception(domain):
    assert state(apex(), mail(dkim(domain), from_="info@salesforce.com")) is NONE


def test_failed_results_fail():
    assert state(apex(), mail(dkim("salesforce.com", "fail"))) is FAIL
    assert state(apex(), mail(ar("dmarc=fail header.from=salesforce.com"))) is FAIL
    assert state(apex(), mail(ar("spf=softfail smtp.mailfrom=salesforce.com"))) is NONE


def test_an_apex_exception_without_any_result_is_none_but_names_its_tenant():
    found = judge(apex(), mail())
    assert (found.state, found.tenant) == (NONE, "northwind")


@pytest.mark.parametrize("lk", [CONTOSO_ORG, STRANGER_ORG])
def test_an_apex_exception_whose_head_and_lk_differ_contradicts_itself(lk):
    found = judge(apex(lk=lk), mail(dkim("salesforce.com")))
    assert found.state is FAIL
    assert lk in found.contradiction


def test_the_envelope_of_another_org_contradicts():
    path = f"<x@y.{'5g-qwert' + to18(CONTOSO_ORG)[15:].lower()}.na1.bnc.salesforce.com>"
    other = apex(lk=NORTHWIND_ORG, envelope_org=envelope_org(path))
    assert state(other, mail(dkim("salesforce.com"))) is FAIL
    same = apex(lk=NORTHWIND_ORG, envelope_org="8x-1abcdeak")
    assert state(same, mail(dkim("salesforce.com"))) is PASS
    assert state(apex(envelope_org="8x-1abcdeak"), mail(dkim("salesforce.com"))) is PASS
    assert contradiction(apex(envelope_org="9z-1triaeak"))


def test_a_record_link_to_another_my_domain_contradicts_the_organization_line():
    other = apex(more=f"\nhttps://contoso.lightning.force.com/{CASE}\n")
    assert "contoso" in contradiction(other)
    assert not contradiction(apex(more=f"\nhttps://northwind.lightning.force.com/{CASE}\n"))


def test_an_unknown_org_has_no_tenant_whatever_its_message_says():
    text = apex(STRANGER_ORG, "stranger", "\nsee northwind.my.salesforce.com\n")
    found = judge(text, mail(dkim("salesforce.com")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, None, False)


def test_a_second_org_in_the_message_is_foreign():
    found = judge(apex(more=f"\nOrg {CONTOSO_ORG}\n"), mail(dkim("salesforce.com")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", True)


def test_an_org_that_is_not_listed_on_the_tenants_own_host_is_foreign():
    found = judge(apex(STRANGER_ORG), mail(dkim("salesforce.com")))
    assert (found.tenant, found.foreign_org) == ("northwind", True)


def test_a_sandbox_of_the_tenant_is_not_foreign_though_its_org_id_is_its_own():
    found = judge(apex(STRANGER_ORG, "northwind--uat.sandbox"), mail(dkim("salesforce.com")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", False)


def test_a_sandbox_may_name_the_org_that_it_was_copied_from():
    text = (
        f"Apex script unhandled exception by user/organization: 0058x000001AbCd/{STRANGER_ORG}\n"
        f"Source organization: {NORTHWIND_ORG} (null)\n\nNs.Trg: execution of AfterUpdate\n"
    )
    found = judge(notification(text, Kind.APEX_EXCEPTION), mail(dkim("salesforce.com")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", False)


def test_a_tenant_without_listed_orgs_is_known_by_its_host():
    found = judge(apex(STRANGER_ORG, "fabrikam"), mail(dkim("salesforce.com")))
    assert (found.tenant, found.foreign_org) == ("fabrikam", False)


def test_a_digest_over_two_tenants_is_foreign_and_no_contradiction():
    both = notification(apex().text + "\n" + apex(CONTOSO_ORG, "contoso").text, Kind.APEX_EXCEPTION)
    found = judge(both, mail(dkim("salesforce.com")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, None, True)
    assert contradiction(both) == ""


# Package alerts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        dkim("northwind.example"),
        dkim("mail.northwind.example"),
        dkim("00d8x000001abcdeak.sfcustomeremail.com"),
        dkim("sfcustomeremail.com"),
        ar("spf=pass smtp.mailfrom=x@y.8x-1abcdeak.na1.bnc.salesforce.com"),
    ],
)
def test_a_package_alert_passes_with_the_tenants_signature_or_salesforces_envelope(field):
    found = judge(package(), mail(field))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", False)


@pytest.mark.parametrize(
    "field",
    [
        dkim("salesforce.com"),
        dkim("northwind-support.example"),
        dkim("contoso.example"),
        dkim("sfcustomeremail.com.evil.example"),
        ar("spf=pass smtp.mailfrom=northwind.example"),
        ar("spf=pass smtp.mailfrom=x@bnc.salesforce.com.evil.example"),
        ar("spf=pass smtp.helo=a.bnc.salesforce.com"),
        ar("dmarc=pass header.from=northwind.example"),
    ],
)
def test_another_result_proves_no_package_alert(field):
    assert state(package(), mail(field)) is NONE


@pytest.mark.parametrize("also", ["", "; dkim=pass header.d=northwind.example"])
@pytest.mark.parametrize("org", ["5g-qwerteav.eu46", "2w-trialeav.usa722"])
def test_the_envelope_of_another_org_contradicts_a_package_alert(org: str, also: str):
    other = ar(f"spf=pass smtp.mailfrom=x@y.{org}.bnc.salesforce.com{also}")
    found = judge(package(), mail(other))
    assert found.state is FAIL
    assert org in found.why


def test_an_envelope_that_does_not_tell_its_org_proves_nothing_and_contradicts_nothing():
    untold = "spf=pass smtp.mailfrom=x@bounce.na1.bnc.salesforce.com"
    assert state(package(), mail(ar(untold))) is NONE
    signed = ar(f"{untold}; dkim=pass header.d=northwind.example")
    assert state(package(), mail(signed)) is PASS


def test_a_package_alert_without_lk_is_none_and_says_so():
    found = judge(package(lk=None), mail(dkim("northwind.example")))
    assert (found.state, found.tenant) == (NONE, "northwind")
    assert "X-SFDC-LK" in found.why


def test_a_trial_org_with_genuine_salesforce_headers_proves_nothing():
    genuine = ar(
        "spf=pass smtp.mailfrom=x@y.9z-1triaeak.um8.bnc.salesforce.com; "
        "dkim=pass header.d=trial.example"
    )
    found = judge(package("trial", STRANGER_ORG), mail(genuine, from_="it@trial.example"))
    assert (found.state, found.tenant) == (NONE, None)


def test_a_trial_org_that_names_a_tenant_contradicts_itself():
    genuine = ar("spf=pass smtp.mailfrom=x@y.9z-1triaeak.um8.bnc.salesforce.com")
    found = judge(package(lk=STRANGER_ORG), mail(genuine, from_="it@trial.example"))
    assert (found.state, found.foreign_org) == (FAIL, True)


def test_a_tenant_that_names_only_another_tenant_contradicts_itself():
    found = judge(package("contoso"), mail(dkim("northwind.example")))
    assert found.state is FAIL
    assert "northwind" in found.contradiction
    assert "contoso" in found.contradiction


def test_records_of_a_second_tenant_or_a_stranger_are_foreign():
    for other in ("contoso", "stranger"):
        more = f"https://{other}.lightning.force.com/lightning/r/Case/{CASE}/view\n"
        found = judge(package(more=more), mail(dkim("northwind.example")))
        assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", True)


def test_an_org_in_the_text_that_is_not_the_lk_contradicts():
    assert state(package(more=f"Org ID: {CONTOSO_ORG}\n"), mail(dkim("northwind.example"))) is FAIL


def test_two_different_lk_fields_contradict():
    carrier = mail(
        dkim("northwind.example"), ("x-sfdc-lk", NORTHWIND_ORG), ("x-sfdc-lk", CONTOSO_ORG)
    )
    assert state(package(), carrier) is FAIL


def test_a_substituted_from_names_its_org_without_case():
    for label, expected in [
        ("00d8x000001abcdeak", PASS),
        ("00d8x000001abcd", PASS),
        ("00d5g00000qwert", FAIL),
        ("site123", PASS),
    ]:
        spec = f"email@{label}.sfcustomeremail.com"
        note = notification(package().text, lk=NORTHWIND_ORG, claimed_from=Address(spec))
        assert state(note, mail(dkim("sfcustomeremail.com"), from_=spec)) is expected


def test_a_direct_notification_with_two_from_addresses_fails():
    carrier = mail(dkim("northwind.example"), from_="a@northwind.example, b@evil.example")
    assert state(package(), carrier) is FAIL


# API error alerts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain",
    [
        "stellaconnect.net",
        "agentconnect.net",
        "mail.stellaconnect.net",
        "surveys.northwind.example",
    ],
)
def test_an_api_alert_passes_with_the_signature_of_agent_connect_or_a_sending_domain(domain):
    found = judge(alert(), mail(dkim(domain)))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, "northwind", False)


@pytest.mark.parametrize(
    "domain", ["stellaconnect.net.example", "mystellaconnect.net", "northwind.example"]
)
def test_look_alike_signatures_prove_no_api_alert(domain):
    assert state(alert(), mail(dkim(domain))) is NONE


def test_a_sending_domain_names_the_tenant_and_may_not_speak_for_another():
    found = judge(alert("www"), mail(dkim("surveys.northwind.example")))
    assert (found.state, found.tenant) == (PASS, "northwind")
    assert state(alert("contoso"), mail(dkim("surveys.northwind.example"))) is FAIL


def test_an_api_alert_with_the_sub_domains_of_two_tenants_is_foreign():
    found = judge(alert(more="https://contoso.agentconnect.net/x"), mail(dkim("agentconnect.net")))
    assert (found.state, found.tenant, found.foreign_org) == (PASS, None, True)


def test_an_api_alert_of_an_unknown_customer_has_no_tenant():
    assert judge(alert("tailspin"), mail(dkim("agentconnect.net"))).tenant is None


# What people pass on -------------------------------------------------------------------------

PRIYA = "priya@northwind.example"


@pytest.mark.parametrize("route", [Route.FORWARDED, Route.ATTACHED, Route.PASTED])
@pytest.mark.parametrize(
    "field",
    [
        dkim("northwind.example"),
        dkim("northwind.example", "pass header.i=@northwind.example"),
        ar("dmarc=pass (p=NONE) header.from=northwind.example"),
    ],
)
def test_a_person_whose_from_is_proved_passes(route, field):
    found = judge(passed_on(route=route), mail(field, from_=PRIYA))
    assert (found.state, found.tenant) == (PASS, "northwind")


@pytest.mark.parametrize(
    "field",
    [
        dkim("evil.example"),
        dkim("northwind-mail.example"),
        dkim("salesforce.com"),
        dkim("example"),
        ar("spf=pass smtp.mailfrom=northwind.example"),
        ar("dmarc=none header.from=northwind.example"),
    ],
)
def test_a_look_alike_with_a_signature_of_its_own_proves_no_person(field):
    assert state(passed_on(), mail(field, from_=PRIYA)) is NONE


@pytest.mark.parametrize(
    "from_",
    [
        f"{PRIYA}, mallory@evil.example",
        f"mallory@evil.example, {PRIYA}",
        "",
        "undisclosed",
        "@northwind.example",
    ],
)
def test_a_person_has_exactly_one_from_address(from_):
    assert state(passed_on(), mail(dkim("northwind.example"), from_=from_)) is FAIL


def test_the_person_who_passed_it_on_must_be_the_one_in_from():
    note = passed_on("lena@contoso.example")
    assert state(note, mail(dkim("northwind.example"), from_=PRIYA)) is FAIL


def test_a_look_alike_that_proves_its_own_from_fails():
    other = ar("dkim=pass header.d=northwlnd.example; dmarc=pass header.from=northwlnd.example")
    for note in (package(), apex(), alert(), passed_on()):
        found = judge(note, mail(other, from_=PRIYA))
        assert found.state is FAIL
        assert "northwlnd.example" in found.why


def test_the_tenants_own_from_without_lk_proves_too_little_but_is_not_somebody_elses():
    own = ar("dkim=pass header.d=northwind.example; dmarc=pass header.from=northwind.example")
    assert state(package(lk=None), mail(own)) is NONE


def test_a_failed_dmarc_fails_a_person():
    assert (
        state(passed_on(), mail(ar("dmarc=fail header.from=northwind.example"), from_=PRIYA))
        is FAIL
    )


def test_the_transport_of_the_outer_mail_says_nothing_of_a_forwarded_one():
    note = passed_on(lk=CONTOSO_ORG, envelope_org="5g-qwertxyz")
    assert state(note, mail(dkim("northwind.example"), from_=PRIYA)) is PASS


def test_an_attached_notification_is_compared_with_its_own_lk():
    note = passed_on(inner=apex(), route=Route.ATTACHED, lk=CONTOSO_ORG)
    assert state(note, mail(dkim("northwind.example"), from_=PRIYA)) is FAIL


def test_the_content_names_the_tenant_before_the_person_does():
    note = passed_on("lena@contoso.example", package())
    found = judge(note, mail(dkim("contoso.example"), from_="lena@contoso.example"))
    assert (found.state, found.tenant) == (PASS, "northwind")


def test_the_person_names_the_tenant_where_the_content_does_not():
    words = notification(
        "Customer Email field missing value", route=Route.PASTED, by=Address(PRIYA)
    )
    assert judge(words, mail(dkim("northwind.example"), from_=PRIYA)).tenant == "northwind"
    assert judge(words, mail(dkim("evil.example"), from_=PRIYA)).tenant is None


def test_content_of_an_unknown_org_is_foreign_to_the_person_who_sent_it():
    note = passed_on(inner=apex(STRANGER_ORG, "stranger"))
    found = judge(note, mail(dkim("northwind.example"), from_=PRIYA))
    assert (found.tenant, found.foreign_org) == ("northwind", True)


def test_two_tenants_in_one_forward_are_foreign():
    inner = package(more=f"https://contoso.lightning.force.com/{CASE}\n", lk=None)
    found = judge(passed_on(inner=inner), mail(dkim("northwind.example"), from_=PRIYA))
    assert (found.tenant, found.foreign_org) == ("northwind", True)


# Any mail ------------------------------------------------------------------------------------

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["authentication-results", "received", "x-sfdc-lk", "subject"]),
        st.one_of(
            st.text(max_size=60),
            st.text(alphabet='dkim=pasheder.;()"\\ @<>/1', max_size=80).map(
                "mx.example.com; ".__add__
            ),
            st.just(BORDER[1]),
            st.just("mx.example.com; dkim=pass header.d=northwind.example"),
        ),
    ),
    max_size=6,
).map(tuple)


@given(
    HEADERS,
    st.sampled_from(Kind),
    st.sampled_from(Route),
    st.text(max_size=200),
    st.one_of(st.none(), st.text(max_size=20), st.just(NORTHWIND_ORG)),
    st.one_of(st.none(), st.text(max_size=20)),
    st.text(max_size=30),
)
def test_nothing_raises(headers, kind, route, text, lk, envelope, from_):
    note = notification(
        text,
        kind,
        route,
        by=Address(from_),
        lk=lk,
        envelope_org=envelope,
        claimed_from=Address(from_),
    )
    carrier = Mail(headers, "", _addresses(from_), "", None, "")
    trust = Trust(frozenset({"mx.example.com"}), topmost_without_id=True)
    assert authenticate(note, carrier, TENANTS, trust).why
