"""Which notifications are one trouble, and which are not."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from triage.catalog.rule import Rule, Severity, Status
from triage.catalog.verdict import Finding, Outcome, Owner
from triage.incident.fingerprint import fingerprint, masked, owner_key
from triage.incident.incident import Case
from triage.mail import facts as read_facts
from triage.mail.authenticity import Authentication, Authenticity, Trust, authenticate
from triage.mail.identifiers import links, to18
from triage.mail.message import Address, Cause, Facts, Kind, Mail, Notification, Route
from triage.tenant import Tenant, Tenants

QUEUE, JOB = "agent_connect/employee_is_queue", "salesforce/job_locked"
NORTHWIND_ORG, CONTOSO_ORG = "00D8x000001AbCd", "00D5g00000QwErT"


def rule(id_: str = QUEUE, *grouping: str) -> Rule:
    remediation = {"action": "reply", "summary": "Map a formula field.", "template": "queue"}
    example = {"name": "one", "text": "Employee cannot be a Queue"}
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
            "extract": {name: {"kind": "class"} for name in grouping},
            "fingerprint": list(grouping),
            "remediation": remediation,
            "tests": {"matches": [example], "ignores": [{"name": "two", "text": "a Queue"}]},
        }
    )


RULES = {QUEUE: rule(), JOB: rule(JOB, "object", "class_name")}


def case(
    *,
    tenant: str | None = "northwind",
    outcome: Outcome = Outcome.UNKNOWN,
    found: Finding | None = None,
    owner: str = Owner.OURS,
    why: str = "Proved by DKIM.",
    state: Authenticity = Authenticity.PASS,
    **values: Any,
) -> Case:
    notification = Notification(Kind.MANAGED_PACKAGE, Route.DIRECT, "", "")
    return Case(
        outcome,
        replace(notification, **values),
        Authentication(state, why, tenant),
        found,
        owner,
        False,
        (),
    )


def known(id_: str = QUEUE, facts: dict[str, Any] | None = None, **values: Any) -> Case:
    found = Finding(id_, Status.STABLE, Severity.MEDIUM, (), facts or {})
    return case(outcome=Outcome.KNOWN, found=found, **values)


def unknown(message: str, exception: str = "System.DmlException", **values: Any) -> Case:
    causes = (Cause("System.Outer", "outer words"), Cause(exception, message))
    return case(facts=Facts(causes=causes), kind=Kind.APEX_EXCEPTION, **values)


def prints(cases: Iterable[Case], mailbox: str = "support") -> list[str]:
    return [fingerprint(one, RULES, mailbox) for one in cases]


def same(*cases: Case) -> bool:
    return len(set(prints(cases))) == 1


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID15 = st.tuples(
    st.sampled_from(["500", "003", "a0B", "00D"]),
    st.text(_LETTERS + "0123456789", min_size=12, max_size=12),
).map("".join)
_ID = _ID15 | _ID15.map(to18)
_NUMBER = st.integers(0, 10**12).map(str)


# Known errors ------------------------------------------------------------------------------


def test_a_fingerprint_is_64_hexadecimal_digits() -> None:
    assert len(prints([known()])[0]) == 64
    assert int(prints([known()])[0], 16)


def test_a_known_error_of_one_tenant_is_one_incident_whatever_its_words() -> None:
    assert same(known(text="first", subject="one"), known(text="second", subject="two"))


def test_it_is_one_incident_in_whichever_mailbox_and_by_whomever_it_came() -> None:
    direct, forwarded = known(), known(route=Route.FORWARDED, by=Address("p@northwind.example"))
    assert prints([direct], "support") == prints([forwarded], "emea")


def test_two_entries_are_two_incidents() -> None:
    assert not same(known(QUEUE), known(JOB))


def test_grouping_facts_tell_incidents_apart() -> None:
    assert not same(known(JOB, {"object": "Case"}), known(JOB, {"object": "Contact"}))
    assert same(known(JOB, {"object": "Case"}), known(JOB, {"object": "Case"}))


def test_facts_that_do_not_group_do_not_tell_incidents_apart() -> None:
    assert same(known(QUEUE, {"object": "Case"}), known(QUEUE, {"object": "Contact"}))


def test_one_grouping_fact_is_not_taken_for_another() -> None:
    assert not same(known(JOB, {"object": "x"}), known(JOB, {"class_name": "x"}))


@given(st.text(), st.text(), st.text(), st.text())
def test_no_value_can_be_written_so_that_it_looks_like_two(a: str, b: str, c: str, d: str) -> None:
    one, two = {"object": a, "class_name": b}, {"object": c, "class_name": d}
    assert same(known(JOB, one), known(JOB, two)) == (one == two)


def test_an_error_in_other_software_is_another_incident() -> None:
    assert not same(known(), known(owner=Owner.FOREIGN))


def test_the_same_error_unknown_and_known_are_two_incidents() -> None:
    assert not same(known(), case())


# Unknown errors ----------------------------------------------------------------------------


@given(_ID, _ID, _NUMBER, _NUMBER)
def test_an_unknown_error_is_one_incident_whatever_ids_and_numbers_it_names(
    id_: str, other: str, number: str, another: str
) -> None:
    # An id of letters alone cannot be told from a word.
    assume(all(any(char.isdigit() for char in one) for one in (id_, other)))
    words = "Upsert failed. First exception on row {} with id {}; first error: NOT_MAPPED, no {}"
    assert same(
        unknown(words.format(number, id_, number)), unknown(words.format(another, other, another))
    )


@given(st.lists(_ID15, min_size=1, max_size=80), _NUMBER, _NUMBER)
def test_a_long_message_is_one_incident_too(ids: list[str], number: str, another: str) -> None:
    words = f"no mapping {'{}'} for: {', '.join(ids)}; and then more words " + "x " * 500
    assert same(unknown(words.format(number)), unknown(words.format(another)))


def test_names_and_digests_of_single_requests_are_ids_as_well() -> None:
    words = "request {} was refused ({})"
    assert same(
        unknown(words.format("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "5f3a9c01e4b0a1b2c3d4e5f6")),
        unknown(words.format("9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", "0a0b0c0d0e0f1a1b1c1d1e1f")),
    )


def test_unknown_errors_with_other_words_are_other_incidents() -> None:
    assert not same(unknown("no mapping for Case"), unknown("no mapping for Contact"))


def test_unknown_errors_of_other_types_are_other_incidents() -> None:
    assert not same(unknown("m", "System.DmlException"), unknown("m", "System.QueryException"))


def test_unknown_errors_of_other_kinds_are_other_incidents() -> None:
    package, alert = case(text="m"), case(text="m", kind=Kind.API_ERROR_ALERT)
    assert not same(package, alert)


def test_the_root_cause_tells_and_what_wraps_it_does_not() -> None:
    root = Cause("System.DmlException", "no mapping")
    one, two = (
        case(facts=Facts(causes=(Cause("System.Outer", words), root))) for words in ("a", "b")
    )
    assert same(one, two)


def test_five_hundred_mails_of_one_unknown_error_are_one_incident() -> None:
    storm = (unknown(f"row {n} with id 5008x0000{n:04}AbCd: not mapped") for n in range(500))
    assert len(set(prints(storm))) == 1


_ALERT = "The survey request could not be created.\n\nError: {}\nRecord: https://x/{}\n"


def test_without_an_exception_the_line_that_is_called_an_error_tells() -> None:
    # The subject is the same over all errors of the package; another error must not hide there.
    subject = "Agent Connect Integration Error"
    one, again, other = (
        case(subject=subject, text=_ALERT.format(*words))
        for words in (
            ("Survey definition 88 was not found", "5008x000001AbCdAAK"),
            ("Survey definition 7 was not found", "5008x000001EfGhAAK"),
            ("The licence has expired", "5008x000001AbCdAAK"),
        )
    )
    assert same(one, again)
    assert not same(one, other)


def test_without_such_a_line_the_subject_tells() -> None:
    one, again, other = (
        case(subject=subject, text=text)
        for subject, text in (
            ("Integration stopped for case 00012345", "Dear Priya"),
            ("Integration stopped for case 00099999", "Dear Omar"),
            ("Integration is slow for case 00012345", "Dear Priya"),
        )
    )
    assert same(one, again)
    assert not same(one, other)


def test_without_subject_the_text_tells() -> None:
    assert same(case(text="row 1 failed"), case(text="row 200000 failed"))
    assert not same(case(text="row 1 failed"), case(text="row 1 was slow"))


# Whose it is -------------------------------------------------------------------------------

_TENANT = st.sampled_from(["northwind", "contoso", "none", "org x", "unknown"])
_ANY = st.one_of(
    st.builds(known, st.sampled_from([QUEUE, JOB])),
    st.builds(unknown, st.text(max_size=30)),
    st.builds(case, text=st.text(max_size=30), subject=st.text(max_size=10)),
)


def _of(one: Case, tenant: str | None) -> Case:
    return replace(one, authentication=replace(one.authentication, tenant=tenant))


@given(_ANY, _ANY, _TENANT, _TENANT)
def test_two_tenants_never_share_an_incident(a: Case, b: Case, one: str, other: str) -> None:
    assume(one != other)
    assert not same(_of(a, one), _of(b, other))


@given(_ANY, _TENANT, st.text(max_size=20), st.text(max_size=20))
def test_what_is_of_no_tenant_never_joins_an_incident_of_one(
    one: Case, tenant: str, org: str, sub_domain: str
) -> None:
    facts = replace(one.notification.facts, org_ids=(org,), sub_domains=(sub_domain,))
    lost = _of(replace(one, notification=replace(one.notification, facts=facts)), None)
    assert not same(_of(one, tenant), lost)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"tenant": "northwind", "lk": NORTHWIND_ORG}, "tenant northwind"),
        ({"lk": NORTHWIND_ORG, "facts": Facts(org_ids=(CONTOSO_ORG,))}, f"org {NORTHWIND_ORG}"),
        ({"facts": Facts(org_ids=(to18(CONTOSO_ORG),))}, f"org {CONTOSO_ORG}"),
        ({"facts": Facts(sub_domains=("tailspin",))}, "sub-domain tailspin"),
        ({"by": Address("x@tailspin.example")}, "domain tailspin.example"),
        ({}, "none"),
    ],
    ids=["tenant", "org of the header", "org of the text", "sub-domain", "domain", "nothing"],
)
def test_the_owner_is_the_first_that_is_known_of(values: dict[str, Any], key: str) -> None:
    assert owner_key(case(**{"tenant": None, **values})) == key


def test_two_unknown_orgs_are_two_incidents() -> None:
    assert not same(case(tenant=None, lk=NORTHWIND_ORG), case(tenant=None, lk=CONTOSO_ORG))


# Suspicious mail: one forger, one incident for each mailbox and reason ----------------------

TENANTS = Tenants(
    [
        Tenant("northwind", (NORTHWIND_ORG,), ("northwind.my.salesforce.com",)),
        Tenant("contoso", (CONTOSO_ORG,), ("contoso.my.salesforce.com",)),
    ]
)
TRUST = Trust(frozenset({"mx.example.com"}))
BORDER = ("received", "from x.example by mx.example.com with ESMTPS id 1; now")


def forged(
    results: str = "",
    *,
    kind: Kind = Kind.MANAGED_PACKAGE,
    headers: tuple[tuple[str, str], ...] = (),
    from_: tuple[str, ...] = ("robot@northwind.example",),
    text: str = "Employee cannot be a Queue",
    **values: Any,
) -> Case:
    """What a forger's mail becomes, from its header on."""
    field = (("authentication-results", f"mx.example.com; {results}"),) if results else ()
    people = tuple(Address(spec) for spec in from_)
    mail = Mail((*field, BORDER, *headers), "", people, "", None, "")
    found = links(text)
    facts = read_facts.read("", text, found)
    notification = Notification(kind, Route.DIRECT, "", text, links=found, facts=facts)
    notification = replace(notification, **{"claimed_from": people[0], **values})
    authentication = authenticate(notification, mail, TENANTS, TRUST)
    assert authentication.state is not Authenticity.PASS
    return Case(Outcome.SUSPICIOUS, notification, authentication, None, Owner.OURS, False, ())


_LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
_HOST = _LABEL.map(lambda label: f"{label}.evil.example")
_ORG = st.integers(0, 10**6).map(lambda number: f"00D9z{number:010}")
_HEAD = (
    "Apex script unhandled exception by user/organization: 0058x000001AbCd/{}\n\n"
    "Organization: Any name ({}.my.salesforce.com)\n\nStellaConnect.Sender: System.X: y\n"
)
_FORGERIES = {
    "nothing": lambda _host, _org: forged(),
    "a failed signature": lambda host, _: forged(f"dkim=fail header.d={host}"),
    "a failed envelope": lambda host, _: forged(f"spf=fail smtp.mailfrom=x@{host}"),
    "a failed policy": lambda host, _: forged(f"dmarc=fail header.from={host}"),
    "a signature of his own": lambda host, _: forged(f"dkim=pass header.d={host}"),
    "an org of nobody": lambda host, org: forged(f"dkim=pass header.d={host}", lk=org),
    "From of his own": lambda host, _: forged(
        f"dkim=pass header.d={host}; dmarc=pass header.from={host}",
        kind=Kind.API_ERROR_ALERT,
        from_=(f"admin@{host}",),
    ),
    "exceptions": lambda host, org: forged(
        f"dkim=pass header.d={host}",
        kind=Kind.APEX_EXCEPTION,
        text=_HEAD.format(org, host.partition(".")[0]),
    ),
    "two orgs in the header": lambda _, org: forged(
        headers=(("x-sfdc-lk", org), ("x-sfdc-lk", NORTHWIND_ORG))
    ),
    "words in place of an org": lambda host, _: forged(
        headers=(("x-sfdc-lk", host), ("x-sfdc-lk", "some other words"))
    ),
    "an org against the text": lambda _, org: forged(
        lk=org, kind=Kind.APEX_EXCEPTION, text=_HEAD.format(NORTHWIND_ORG, "northwind")
    ),
    "an envelope against the header": lambda _, org: forged(
        lk=NORTHWIND_ORG, envelope_org=org.lower()
    ),
    "two senders": lambda host, _: forged(from_=(f"a@{host}", f"b@{host}")),
}


@pytest.mark.parametrize("forgery", _FORGERIES)
@settings(max_examples=20)
@given(hosts=st.tuples(_HOST, _HOST), orgs=st.tuples(_ORG, _ORG))
def test_one_forger_makes_one_incident_whatever_he_writes(
    forgery: str, hosts: tuple[str, str], orgs: tuple[str, str]
) -> None:
    make = _FORGERIES[forgery]
    assert same(make(hosts[0], orgs[0]), make(hosts[1], orgs[1]))


def test_a_forger_who_tries_everything_makes_as_many_incidents_as_there_are_reasons() -> None:
    tried = [
        make(f"host{number}.evil.example", f"00D9z{number:010}")
        for make in _FORGERIES.values()
        for number in range(20)
    ]
    assert len(set(prints(tried))) <= len(_FORGERIES)


def test_what_a_forger_writes_into_text_and_subject_does_not_count() -> None:
    assert same(
        case(outcome=Outcome.SUSPICIOUS, text="one", subject="a", tenant="northwind"),
        case(outcome=Outcome.SUSPICIOUS, text="two", subject="b", tenant="contoso"),
    )


def test_the_error_that_a_forger_names_does_not_count() -> None:
    suspicious = (replace(known(id_), outcome=Outcome.SUSPICIOUS) for id_ in (QUEUE, JOB))
    assert same(*suspicious)


def test_reasons_tell_suspicious_incidents_apart() -> None:
    whys = ("DKIM failed for a.example.", "No Authentication-Results of a trusted server.")
    assert not same(*(case(outcome=Outcome.SUSPICIOUS, why=why) for why in whys))


def test_mailboxes_tell_suspicious_incidents_apart() -> None:
    one = case(outcome=Outcome.SUSPICIOUS)
    assert prints([one], "support") != prints([one], "emea")


def test_a_suspicious_mail_never_joins_an_incident_of_a_proved_one() -> None:
    assert not same(case(outcome=Outcome.SUSPICIOUS), case(), known())
    assert len(set(prints([case(outcome=Outcome.SUSPICIOUS), case(), known()]))) == 3


# Masking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("id 5008x000001AbCdAAK is gone", "id ID is gone"),
        ("id 5008x000001AbCd is gone", "id ID is gone"),
        ("row 12 of 3000", "row N of N"),
        ("limit:\u00a0 10\n\n\tand  more", "limit: N and more"),
        ("internationally responsible", "internationally responsible"),
        ("UnsupportedOperation", "UnsupportedOperation"),
        ("", ""),
    ],
)
def test_ids_and_numbers_are_masked_and_words_are_not(message: str, expected: str) -> None:
    assert masked(message) == expected


@given(st.text(max_size=3_000))
def test_a_masked_message_is_short_and_holds_no_number(message: str) -> None:
    short = masked(message)
    assert len(short) <= 300
    assert not any(char.isdecimal() for char in short)
    assert short == " ".join(short.split()) or len(short) == 300


@pytest.mark.parametrize("unit", ["a", "1", "a1", "1-", " ", "é", "_", "A1b2C3d4E5f6G7h ", "\n"])
def test_masking_a_whole_mail_takes_no_time(unit: str) -> None:
    message = unit * (65_536 // len(unit))
    before = time.process_time()
    masked(message)
    fingerprint(case(text=message), RULES, "support")
    assert time.process_time() - before < 0.5


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_stands_in_a_mail_makes_a_fingerprint_fail(text: str, subject: str) -> None:
    odd = case(text=text + "\ud800\0", subject=subject, by=Address("\ud800@\x1f"), tenant=None)
    assert len(prints([odd])[0]) == 64
