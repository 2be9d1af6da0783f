"""triage.toml as a whole: what is accepted, and what a fault is called."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.unit.settings.desk import MAILBOX, ORG, REST, SMTP, SUPPORT, Desk, tenant
from triage.mail.authenticity import Trust
from triage.mail.limits import DEFAULT
from triage.settings import ConfigurationError, load, shipped
from triage.tenant import Contact, Role

# What is accepted --------------------------------------------------------------------------


def test_the_smallest_file_needs_a_mailbox_smtp_and_support(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST)
    assert [mailbox.name for mailbox in settings.mailboxes] == ["support"]
    assert settings.support.contacts == ("team@example.com",)


def test_a_new_installation_only_watches_until_it_is_told_to_act(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST)
    assert settings.policy.shadow is True
    assert settings.mailboxes[0].start == "now"


def test_connections_are_encrypted_unless_said_otherwise(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST)
    assert (settings.mailboxes[0].tls, settings.smtp.tls) == ("implicit", "starttls")


@pytest.mark.parametrize(
    ("tls", "imap", "smtp"), [("implicit", 993, 465), ("starttls", 143, 587), ("none", 143, 587)]
)
def test_the_port_follows_from_tls(desk: Desk, tls: str, imap: int, smtp: int) -> None:
    local = [
        text.replace(host, f'127.0.0.1"\ntls = "{tls}')
        for text, host in ((MAILBOX, "imap.example.com"), (SMTP, "smtp.example.com"))
    ]
    settings = desk.loads(*local, SUPPORT)
    assert (settings.mailboxes[0].imap_port, settings.smtp.smtp_port) == (imap, smtp)


def test_a_port_that_is_given_wins(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, "port = 1993", SMTP, "port = 2525", SUPPORT)
    assert (settings.mailboxes[0].imap_port, settings.smtp.smtp_port) == (1993, 2525)


def test_a_contact_is_an_address_or_a_table(desk: Desk) -> None:
    table = '{ address = "lena@contoso.example", role = "technical", language = "en" }'
    settings = desk.loads(
        MAILBOX, REST, tenant(f'contacts = ["jonas@contoso.example", {table}]', 'language = "de"')
    )
    assert settings.tenants[0].value().contacts == (
        Contact("jonas@contoso.example", Role.ADMIN, "de"),
        Contact("lena@contoso.example", Role.TECHNICAL, "en"),
    )


def test_addresses_hosts_and_domains_are_compared_without_case(desk: Desk) -> None:
    settings = desk.loads(
        MAILBOX.replace("addresses = [", 'authserv_ids = ["MX.Example.COM"]\naddresses = ['),
        REST.replace("team@example.com", "Team@Example.COM"),
        tenant(
            'domains = ["Northwind.Example."]',
            'my_domains = ["Northwind.My.Salesforce.com"]',
            'agent_connect = ["NorthWind"]',
            'contacts = ["Priya@Northwind.Example"]',
        ),
    )
    value = settings.tenants[0].value()
    assert settings.support.contacts == ("team@example.com",)
    assert value.domains == ("northwind.example",)
    assert value.my_domains == ("northwind.my.salesforce.com",)
    assert value.agent_connect == ("northwind",)
    assert value.contacts[0].address == "priya@northwind.example"
    assert settings.trust().authserv_ids == frozenset({"mx.example.com"})


@pytest.mark.parametrize("written", [ORG, "00D8x000001AbCdEAK", "00d8x000001abcdeak"])
def test_an_org_id_has_15_characters_whichever_form_was_written(desk: Desk, written: str) -> None:
    settings = desk.loads(MAILBOX, REST, tenant(f'org_ids = ["{written}"]'))
    assert settings.tenants[0].org_ids == (ORG,)


@pytest.mark.parametrize("written", ["2026-01-31", '"2026-01-31"'])
def test_a_mailbox_may_start_at_a_date(desk: Desk, written: str) -> None:
    assert desk.loads(MAILBOX, f"start = {written}", REST).mailboxes[0].start == date(2026, 1, 31)


def test_the_topmost_field_without_id_is_trusted_only_where_it_is_asked_for(desk: Desk) -> None:
    plain = desk.loads(MAILBOX, 'authserv_ids = ["mx.example.com"]', REST)
    assert plain.trust() == Trust(frozenset({"mx.example.com"}))
    asked = desk.loads(MAILBOX, 'authserv_ids = ["!topmost-without-id"]', REST)
    assert asked.trust() == Trust(topmost_without_id=True)


def test_trust_is_the_union_over_all_mailboxes(desk: Desk) -> None:
    second = MAILBOX.replace('"support"', '"second"')
    settings = desk.loads(
        *(MAILBOX, 'authserv_ids = ["a.example.com"]'),
        *(second, 'authserv_ids = ["b.example.com"]', 'border_hosts = ["in.example.com"]'),
        REST,
    )
    assert settings.trust().authserv_ids == {"a.example.com", "b.example.com"}
    assert settings.trust().border_hosts == {"in.example.com"}


def test_files_as_mailboxes_need_a_path_and_no_server(desk: Desk) -> None:
    settings = desk.loads('[[mailboxes]]\nname = "files"\ntype = "maildir"\npath = "mail"', REST)
    assert settings.mailboxes[0].path == desk.path.parent / "mail"


def test_relative_paths_are_below_the_folder_of_the_file(desk: Desk) -> None:
    settings = desk.loads(
        MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "imap"'),
        'ca_file = "ca.pem"',
        SMTP,
        'username = "triage"',
        'oauth2 = { token_url = "https://login.example.com/token", client_id = "triage", '
        'client_secret_file = "secrets/client" }',
        SUPPORT,
        '[catalog]\nrules = ["our-rules", "/etc/triage/rules"]',
        '[store]\nurl = "sqlite:///state/triage.db"',
    )
    here = desk.path.parent
    assert settings.mailboxes[0].password_file == here / "imap"
    assert settings.mailboxes[0].ca_file == here / "ca.pem"
    assert settings.smtp.oauth2 is not None
    assert settings.smtp.oauth2.client_secret_file == here / "secrets" / "client"
    assert settings.catalog.rules == (here / "our-rules", Path("/etc/triage/rules"))
    assert settings.store.url == f"sqlite:///{here}/state/triage.db"


@pytest.mark.parametrize(
    "url", ["sqlite:////var/lib/triage/triage.db", "postgresql+psycopg://triage@db/triage"]
)
def test_an_absolute_store_stays_where_it_is(desk: Desk, url: str) -> None:
    assert desk.loads(MAILBOX, REST, f'[store]\nurl = "{url}"').store.url == url


def test_limits_that_are_not_given_are_those_of_reading(desk: Desk) -> None:
    assert desk.loads(MAILBOX, REST).limits.value == DEFAULT
    assert desk.loads(MAILBOX, REST, "[limits]\nseconds = 3").limits.value.seconds == 3


def test_a_file_from_windows_is_read(desk: Desk) -> None:
    text = (MAILBOX + REST).replace("\n", "\r\n")
    desk.path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(desk.path).mailboxes[0].name == "support"


@pytest.mark.parametrize("name", ["rules", "templates", "fixtures"])
def test_what_is_shipped_is_found(name: str) -> None:
    assert shipped(name).is_dir()


# The file as a whole -----------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "none.toml")
    assert str(caught.value) == f"{tmp_path}/none.toml: cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_fault_in_the_syntax_is_named_with_its_line(desk: Desk) -> None:
    [fault] = desk.faults("[store]", 'url = "sqlite:///triage.db', "[log]")
    assert "line 2" in fault


def test_a_section_that_stands_twice_is_named_with_its_line(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, REST, "[smtp]")
    assert "smtp" in fault
    assert "line" in fault


def test_text_that_is_not_utf_8_is_named_with_its_line(desk: Desk) -> None:
    desk.path.write_bytes((MAILBOX + "# für\n").encode("latin-1"))
    assert desk.faults_of_file() == ["is not UTF-8 text (at line 8)"]


def test_a_file_with_nul_is_refused(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX.replace("imap", "im\0ap"), REST)
    assert "line" in fault


def test_a_huge_file_is_refused_before_it_is_parsed(desk: Desk) -> None:
    desk.path.write_bytes(b"#" * 10_000_001)
    assert desk.faults_of_file() == ["is larger than 10000000 octets"]


def test_endless_brackets_are_refused(desk: Desk) -> None:
    assert desk.faults("a = " + "[" * 20_000) == ["brackets within brackets, too deep to read"]


def test_an_empty_file_says_what_is_needed(desk: Desk) -> None:
    assert desk.faults("") == [
        "mailboxes: is missing",
        "smtp: is missing",
        "support: is missing",
    ]


# Every fault at once, by its key -----------------------------------------------------------


def test_all_faults_are_told_at_once(desk: Desk) -> None:
    faults = desk.faults(
        "tennants = 1",
        MAILBOX.replace('host = "imap.example.com"', 'host = "imap.example.com:993"'),
        REST,
        tenant('timezone = "Berlin"', 'contacts = ["errors@example.com"]'),
        '[policy]\nshadow = "perhaps"\ngroup_wait = 30',
        '[budgets]\ntotal = "many"',
        '[digest]\nschedule = "weekly"\nrecipients = ["support@example.com"]',
    )
    assert [fault.split(": ")[0] for fault in faults] == [
        "mailboxes.support.host",
        "tenants.northwind.timezone",
        "policy.shadow",
        "policy.group_wait",
        "budgets.total",
        "digest.schedule",
        "tennants",
        # How keys go together is told as well, although single ones are wrong.
        "digest.recipients",
        "tenants.northwind.contacts",
    ]


def test_a_section_with_a_faulty_key_is_not_called_incomplete_for_it(desk: Desk) -> None:
    faults = desk.faults(MAILBOX.replace("imap.example.com", "imaps://imap.example.com"), REST)
    assert [fault.split(": ")[0] for fault in faults] == ["mailboxes.support.host"]


def test_an_entry_is_named_by_its_name_and_without_one_by_its_number(desk: Desk) -> None:
    nameless = MAILBOX.replace('name = "support"', "")
    assert desk.faults(MAILBOX, 'poll = "0s"', nameless, REST) == [
        "mailboxes.support.poll: only group_wait may be 0s",
        "mailboxes.1.name: is missing",
    ]


def test_an_unknown_key_comes_with_the_one_that_may_be_meant(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, 'authserv_id = ["mx.example.com"]', REST)
    assert fault.startswith(
        "mailboxes.support.authserv_id: unknown key; did you mean authserv_ids? allowed: addresses,"
    )


def test_an_unknown_key_without_likeness_comes_with_all_that_are_allowed(desk: Desk) -> None:
    assert desk.faults(MAILBOX, REST, "[log]\nxyz = 1") == [
        "log.xyz: unknown key; allowed: addresses, level"
    ]


def test_unknown_keys_are_found_in_every_depth(desk: Desk) -> None:
    contact = 'contacts = [{ address = "a@b.example", rol = "admin" }]'
    faults = desk.faults(
        MAILBOX, 'after = { knwon = "flag" }', REST, tenant(contact), "[polcy]\nshadow = true"
    )
    assert [fault.split("?")[0] for fault in faults] == [
        "mailboxes.support.after.knwon: unknown key; did you mean known",
        "tenants.northwind.contacts.0.rol: unknown key; did you mean role",
        "polcy: unknown key; did you mean policy",
    ]


def test_options_of_the_settings_library_are_unknown_keys(desk: Desk) -> None:
    [fault] = desk.faults("_env_file = '/etc/passwd'", "_cli_parse_args = true", MAILBOX, REST)[:1]
    assert fault.startswith("_env_file: unknown key; allowed: ")


def test_a_key_with_a_line_break_stays_on_one_line(desk: Desk) -> None:
    [fault] = desk.faults(r'"a\nb" = 1', MAILBOX, REST)
    assert fault.startswith(r"'a\nb': unknown key")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('tenants = "northwind"', "tenants: sections with the head [[tenants]] are needed"),
        ("tenants = 3", "tenants: sections with the head [[tenants]] are needed"),
        ("tenants = {}", "tenants: sections with the head [[tenants]] are needed"),
        ('tenants = ["northwind"]', "tenants.0: a section with keys of its own is needed"),
        ('store = "sqlite:///x.db"', "store: a section with keys of its own is needed"),
        ("log = []", "log: a section with keys of its own is needed"),
        ("policy.silences = 'a/b'", "policy.silences: a list is needed, in square brackets"),
        ("policy.silences = [1]", "policy.silences.0: text in quotes is needed"),
        ("policy.shadow = 'nearly'", "policy.shadow: true or false is needed"),
        ("limits.workers = 'two'", "limits.workers: a whole number is needed"),
        ("limits.workers = 1.5", "limits.workers: a whole number is needed"),
        ("limits.workers = 0", "limits.workers: must be greater than or equal to 1"),
        ("limits.seconds = inf", "limits.seconds: must be less than or equal to 300"),
        (
            "log.level = 'loud'",
            "log.level: allowed are 'debug', 'info', 'warning' or 'error'",
        ),
        ("policy.sandbox = 'ignore'", "policy.sandbox: allowed are 'reply' or 'digest'"),
        ("catalog.rules = [3]", "catalog.rules.0: the path of a file or folder is needed here"),
        ("catalog.rules = ['']", "catalog.rules.0: the path of a file or folder is needed here"),
        (r'catalog.rules = ["a\u0000b"]', "catalog.rules.0: no control characters are allowed"),
    ],
)
def test_a_value_of_the_wrong_shape_is_told_what_is_needed(
    desk: Desk, text: str, fault: str
) -> None:
    [found] = desk.faults(text, MAILBOX, REST)
    assert found.startswith(fault)


@pytest.mark.parametrize("text", ["mailboxes = 3", 'mailboxes = "imap"', "mailboxes = {}"])
def test_mailboxes_are_sections(desk: Desk, text: str) -> None:
    assert desk.faults(text, REST) == ["mailboxes: sections with the head [[mailboxes]] are needed"]


def test_without_a_mailbox_there_is_nothing_to_watch(desk: Desk) -> None:
    assert desk.faults("mailboxes = []", REST) == ["mailboxes: at least one is needed"]


def test_without_a_support_contact_tickets_would_go_nowhere(desk: Desk) -> None:
    assert desk.faults(MAILBOX, SMTP, "[support]\ncontacts = []") == [
        "support.contacts: at least one is needed"
    ]
