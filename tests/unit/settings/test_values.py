"""Single values of triage.toml: what each type accepts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.unit.settings.desk import MAILBOX, REST, SMTP, SUPPORT, Desk, tenant
from triage.settings import types as value_types

# Single values -----------------------------------------------------------------------------

_LONG = "x" * 300


@pytest.mark.parametrize(
    "address",
    [
        r"team@example.com\nBcc: all@example.com",
        r"team@example.com\u0000",
        r"team@example.com\r\n",
        r"team@example.com\u2028all@example.com",
        "team@example.com, all@example.com",
        "team@example.com;all@example.com",
        "team@example.com all@example.com",
        "Team <team@example.com>",
        "<team@example.com>",
        "(team)team@example.com",
        "team",
        "team@",
        "@example.com",
        "team@@example.com",
        "team@example",
        "team@example..com",
        "team@.example.com",
        "team@example.com.",
        "team@[127.0.0.1]",
        ".team@example.com",
        "te..am@example.com",
        "",
        f"{_LONG}@example.com",
        "mailto:team@example.com",
    ],
)
def test_a_contact_is_exactly_one_address(desk: Desk, address: str) -> None:
    assert desk.faults(MAILBOX, SMTP, f'[support]\ncontacts = ["{address}"]') == [
        "support.contacts.0: one mail address is needed here, such as priya@northwind.example"
    ]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        (" team@example.com ", "team@example.com"),
        ("o'brien+triage@example.com", "o'brien+triage@example.com"),
        ("müller@bücher.example", "müller@bücher.example"),
    ],
)
def test_unusual_addresses_are_addresses_too(desk: Desk, address: str, kept: str) -> None:
    settings = desk.loads(MAILBOX, SMTP, f'[support]\ncontacts = ["{address}"]')
    assert settings.support.contacts == (kept,)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("Integration support <Support@Example.com>", "support@example.com"),
        ("'Support, Integration' <support@example.com>".replace("'", r"\""), "support@example.com"),
        ("Übergabe <support@example.com>", "support@example.com"),
        ("support@example.com", "support@example.com"),
        ("<support@example.com>", "support@example.com"),
    ],
)
def test_from_may_have_a_name(desk: Desk, written: str, address: str) -> None:
    smtp = SMTP.replace("Integration support <support@example.com>", written)
    assert desk.loads(MAILBOX, smtp, SUPPORT).smtp.from_address == address


@pytest.mark.parametrize(
    "written",
    [
        "Support, Integration <support@example.com>",
        "support@example.com, team@example.com",
        "other@example.com <support@example.com>",
        r"Support\r\nBcc: all@example.com <support@example.com>",
        "Support <support@example.com> Team",
        "Support: support@example.com;",
        "Support <>",
        "Support",
        "",
    ],
)
def test_from_is_one_address(desk: Desk, written: str) -> None:
    smtp = SMTP.replace("Integration support <support@example.com>", written)
    [fault] = desk.faults(MAILBOX, smtp, SUPPORT)
    assert fault.startswith("smtp.from: ")


# Names, times and places ------------------------------------------------------------


@pytest.mark.parametrize(
    "org",
    [
        "00D8x000001AbC",
        "00D8x000001AbCdEAA",
        "0018x000001AbCd",
        "00d8x000001abcd",
        "00D8x00000１AbCd",
        "00D8x000001AbC!",
        "",
    ],
)
def test_an_org_id_of_the_wrong_shape_is_refused(desk: Desk, org: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, tenant(f'org_ids = ["{org}"]'))
    assert fault.startswith("tenants.northwind.org_ids.0: an organisation id has 15 or 18 letters")


@pytest.mark.parametrize(
    "domain",
    [
        "@northwind.example",
        "*.northwind.example",
        "https://northwind.example",
        "northwind.example/mail",
        "northwind.example:25",
        "northwind",
        "192.0.2.1",
        "north wind.example",
        "northwind..example",
        "",
    ],
)
def test_a_domain_is_a_name_and_nothing_around_it(desk: Desk, domain: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, tenant(f'domains = ["{domain}"]'))
    assert fault.startswith("tenants.northwind.domains.0: a host or domain is needed here")


@pytest.mark.parametrize(
    "host", ["northwind.example", "login.salesforce.com", "na1.salesforce.com"]
)
def test_a_my_domain_is_the_host_of_an_org(desk: Desk, host: str) -> None:
    # Of www.northwind.example, `www` would become the name by which mails find this tenant.
    [fault] = desk.faults(MAILBOX, REST, tenant(f'my_domains = ["{host}"]'))
    assert fault.startswith("tenants.northwind.my_domains.0: the My Domain host of an org")


@pytest.mark.parametrize(
    "sub", ["northwind.agentconnect.net", "north wind", "https://northwind", ""]
)
def test_an_agent_connect_sub_domain_is_one_label(desk: Desk, sub: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, tenant(f'agent_connect = ["{sub}"]'))
    assert fault.startswith("tenants.northwind.agent_connect.0: only the first part is needed")


@pytest.mark.parametrize("id_", ["!topmost", "", "mx.example.com; dkim=pass", "mx example"])
def test_an_authserv_id_is_one_word(desk: Desk, id_: str) -> None:
    [fault] = desk.faults(MAILBOX, f'authserv_ids = ["{id_}"]', REST)
    assert fault.startswith("mailboxes.support.authserv_ids.0: the first word")


@pytest.mark.parametrize("host", ["imap.example.com:993", "imaps://imap.example.com", "a b", "a/b"])
def test_a_server_is_a_name_without_port_and_protocol(desk: Desk, host: str) -> None:
    [fault] = desk.faults(MAILBOX.replace("imap.example.com", host), REST)
    assert fault.startswith("mailboxes.support.host: the name or address of a server")


@pytest.mark.parametrize(
    "zone", ["Berlin", "europe/berlin", "", "Europe", "../../etc/passwd", "/etc/localtime"]
)
def test_a_time_zone_has_an_iana_name(desk: Desk, zone: str) -> None:
    assert desk.faults(MAILBOX, REST, f'[digest]\ntimezone = "{zone}"') == [
        "digest.timezone: no such time zone; an IANA name is needed, such as Europe/Berlin"
    ]


@pytest.mark.parametrize(
    "schedule", ["", "weekly", "0 8 * *", "0 25 * * MON", "0 0 31 2 *", "² 8 * * MON", "@daily"]
)
def test_a_schedule_is_a_cron_expression_whose_day_comes(desk: Desk, schedule: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, f'[digest]\nschedule = "{schedule}"')
    assert fault.startswith("digest.schedule: ")
    assert "0 8 * * MON" in fault


@pytest.mark.parametrize(
    "value", ['"24"', '"-1h"', '"1.5h"', '"1 h"', '"٣h"', "24", '""', '"999999999w"']
)
def test_a_duration_has_a_unit_and_an_end(desk: Desk, value: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, f"[policy]\nmax_age = {value}")
    assert fault.startswith("policy.max_age: a duration is a whole number and s, m, h, d or w")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("policy", "max_age"),
        ("policy", "repeat_interval"),
        ("policy", "quiet_after"),
        ("mailboxes.support", "poll"),
    ],
)
def test_a_time_of_nothing_is_refused_where_it_would_mean_without_end(
    desk: Desk, section: str, key: str
) -> None:
    line = f'{key} = "0s"'
    text = (MAILBOX, line, REST) if key == "poll" else (MAILBOX, REST, "[policy]", line)
    assert desk.faults(*text) == [f"{section}.{key}: only group_wait may be 0s"]


def test_a_response_need_not_wait_for_more(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST, '[policy]\ngroup_wait = "0s"')
    assert settings.policy.group_wait == timedelta(0)


@pytest.mark.parametrize(
    "value", ['"4"', '"4/w"', '"0/d"', '"-1/d"', '"²/d"', '"٣/d"', '"4 / d"', "4", '"9999999/d"']
)
def test_a_budget_is_a_number_in_a_time(desk: Desk, value: str) -> None:
    assert desk.faults(MAILBOX, REST, f"[budgets]\ntotal = {value}") == [
        'budgets.total: a budget is a number per m, h or d, such as "4/d"'
    ]


def test_durations_and_budgets_are_what_they_say(desk: Desk) -> None:
    settings = desk.loads(
        MAILBOX, REST, '[policy]\nmax_age = "2w"', '[budgets]\nper_recipient = "3/h"'
    )
    assert settings.policy.max_age == timedelta(days=14)
    assert settings.budgets.per_recipient == value_types.Rate(3, timedelta(hours=1))


@pytest.mark.parametrize("after", ["delete", "move:", "move: ", "Flag", "", "seen"])
def test_a_judged_mail_is_left_flagged_or_moved_and_never_deleted(desk: Desk, after: str) -> None:
    assert desk.faults(MAILBOX, f'after = {{ known = "{after}" }}', REST) == [
        'mailboxes.support.after.known: allowed are "none", "flag" and "move:FOLDER"'
    ]


@pytest.mark.parametrize(
    "start", ["20260131", "2026-01-31T08:00:00Z", '"yesterday"', '"2026-02-30"', "true", '""']
)
def test_a_start_is_now_all_or_a_date(desk: Desk, start: str) -> None:
    assert desk.faults(MAILBOX, f"start = {start}", REST) == [
        'mailboxes.support.start: "now", "all" or a date such as 2026-01-31 is needed'
    ]


@pytest.mark.parametrize(
    "url", ["triage.db", "sqlite:///", "sqlite:///:memory:", "postgres://db/x"]
)
def test_a_store_is_a_file_or_a_postgresql_database(desk: Desk, url: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, f'[store]\nurl = "{url}"')
    assert fault.startswith("store.url: ")


@pytest.mark.parametrize("name", ["Support", "support inbox", "", "-support", "x" * 41])
def test_a_name_is_short_and_plain(desk: Desk, name: str) -> None:
    [fault] = desk.faults(MAILBOX.replace('name = "support"', f'name = "{name}"'), REST)
    assert fault.endswith("letters a to z, digits, - and _; it begins with a letter or digit")


_STRINGS = [
    value_types.MailAddress,
    value_types.MailboxString,
    value_types.Timezone,
    value_types.Schedule,
    value_types.AfterText,
    value_types.OrgId,
    value_types.OrgHost,
    value_types.Server,
    value_types.AuthservId,
    value_types.SubDomain,
    value_types.TokenUrl,
    value_types.StoreUrl,
    value_types.Start,
    value_types.Budget,
    value_types.FilePath,
]
_SPECIAL = '@.<>", \n\0/*0-[]:\\²ü\ud800\u2028'
_WORDS = ("a", "example.com", "00D", "http://", "sqlite:///", "move:", "MON")
_PIECES = st.sampled_from([*_SPECIAL, *_WORDS])


@given(
    st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=40), st.sampled_from(_STRINGS)
)
def test_no_text_makes_a_type_fail_in_another_way_than_refusing_it(text: str, type_: Any) -> None:
    faults: list[Any] = []
    try:
        TypeAdapter(type_).validate_python(text)
    except ValidationError as error:
        faults = error.errors()
    assert {fault["type"] for fault in faults} <= {"value_error"}


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_accepted_address_has_blanks_breaks_or_a_second_address(text: str) -> None:
    try:
        address = TypeAdapter(value_types.MailAddress).validate_python(text)
    except ValidationError:
        return
    assert address.count("@") == 1
    assert address.isprintable()
    assert not set(address) & set(' ,;<>"')
