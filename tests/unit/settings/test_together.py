"""Keys that are good alone and do not go together."""

from __future__ import annotations

import pytest

from tests.unit.settings.desk import MAILBOX, ORG, REST, SMTP, SUPPORT, Desk, tenant

# How keys go together ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('tls = "none"', "is allowed on loopback only"),
        ('password_file = "imap"', "exactly one of password_file, password_env and oauth2"),
        ('path = "mail"', 'path goes with type = "maildir" or "folder"'),
        ('type = "folder"', 'path is needed for type = "folder"'),
    ],
)
def test_keys_of_a_mailbox_that_do_not_go_together_are_refused(
    desk: Desk, line: str, why: str
) -> None:
    [fault] = desk.faults(MAILBOX, line, REST)
    assert fault.startswith("mailboxes.support: ")
    assert why in fault


def test_an_imap_mailbox_needs_a_way_to_log_in(desk: Desk) -> None:
    without = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', "")
    assert desk.faults(without, REST) == [
        "mailboxes.support: exactly one of password_file, password_env and oauth2 is needed"
    ]


@pytest.mark.parametrize("key", ["host", "username"])
def test_an_imap_mailbox_needs_host_and_username(desk: Desk, key: str) -> None:
    lines = [line for line in MAILBOX.splitlines() if not line.startswith(key)]
    assert desk.faults(*lines, REST) == ["mailboxes.support: host and username are needed for IMAP"]


@pytest.mark.parametrize("host", ["smtp.example.com", "10.0.0.5", "0.0.0.0", "localhost.example"])
def test_clear_text_off_loopback_is_refused(desk: Desk, host: str) -> None:
    smtp = SMTP.replace("smtp.example.com", host)
    assert desk.faults(MAILBOX, smtp, 'tls = "none"', SUPPORT) == [
        'smtp: tls = "none" is allowed on loopback only; use "implicit" or "starttls"'
    ]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1"])
def test_clear_text_on_loopback_is_allowed(desk: Desk, host: str) -> None:
    smtp = SMTP.replace("smtp.example.com", host)
    assert desk.loads(MAILBOX, smtp, 'tls = "none"', SUPPORT).smtp.tls == "none"


def test_smtp_with_a_password_and_no_name_to_log_in_with_is_refused(desk: Desk) -> None:
    # Left alone it would send without logging in, and nobody would know why it is refused.
    assert desk.faults(MAILBOX, SMTP, 'password_env = "SMTP_PASSWORD"', SUPPORT) == [
        "smtp: username is needed where there is a password or oauth2"
    ]


_TOKENS = 'token_url = "https://login.example.com/token", client_id = "triage"'


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("", "one of client_secret_file and client_secret_env is needed"),
        (
            'client_secret_env = "A", client_secret_file = "b"',
            "one of client_secret_file and client_secret_env is needed",
        ),
        ('grant = "refresh_token"', "one of refresh_token_file and refresh_token_env is needed"),
    ],
)
def test_oauth2_needs_what_its_grant_needs(desk: Desk, keys: str, why: str) -> None:
    oauth2 = f"oauth2 = {{ {_TOKENS}{', ' if keys else ''}{keys} }}"
    mailbox = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', oauth2)
    assert desk.faults(mailbox, REST) == [f"mailboxes.support: oauth2: {why}"]


@pytest.mark.parametrize("url", ["http://login.example.com/token", "login.example.com", "ftp://x"])
def test_tokens_are_fetched_by_https(desk: Desk, url: str) -> None:
    oauth2 = f'oauth2 = {{ token_url = "{url}", client_id = "x", client_secret_env = "X" }}'
    mailbox = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', oauth2)
    [fault] = desk.faults(mailbox, REST)
    assert fault.startswith("mailboxes.support.oauth2.token_url: an address that begins with https")


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("org_ids", ORG, "00D8x000001AbCdEAK"),
        ("my_domains", "north.my.salesforce.com", "north--uat.sandbox.my.salesforce.com"),
        ("domains", "shared.example", "Shared.Example"),
        ("agent_connect", "shared", "SHARED"),
        ("sending_domains", "mail.shared.example", "mail.shared.example."),
        ("contacts", "priya@shared.example", "Priya@Shared.Example"),
    ],
)
def test_what_one_tenant_has_no_other_may_claim(
    desk: Desk, line: str, first: str, second: str
) -> None:
    [fault] = desk.faults(
        MAILBOX,
        REST,
        tenant(f'{line} = ["{first}"]'),
        tenant(f'{line} = ["{second}"]', name="contoso"),
    )
    assert fault.startswith(f"tenants.contoso.{line}: ")
    assert fault.endswith(" is northwind's already")


def test_one_tenant_may_name_several_hosts_of_its_my_domain(desk: Desk) -> None:
    hosts = ["north.my.salesforce.com", "north.lightning.force.com"]
    settings = desk.loads(MAILBOX, REST, tenant(f"my_domains = {hosts}"))
    assert settings.all_tenants().by_host("north--uat.sandbox.my.salesforce.com") is not None


@pytest.mark.parametrize("section", ["mailboxes", "tenants"])
def test_a_name_stands_once(desk: Desk, section: str) -> None:
    twice = MAILBOX if section == "mailboxes" else tenant(name="support")
    faults = desk.faults(MAILBOX, twice, REST, twice if section == "tenants" else "")
    assert faults == [f"{section}.name: support stands there 2 times"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[digest]\nrecipients = ["a@b.example", "A@b.example"]', "digest.recipients"),
        (tenant('contacts = ["a@b.example", "A@B.example"]'), "tenants.northwind.contacts"),
    ],
)
def test_nobody_is_written_to_twice(desk: Desk, text: str, key: str) -> None:
    assert desk.faults(MAILBOX, REST, text) == [f"{key}: a@b.example stands there 2 times"]


OWN = {
    "errors@example.com": "mailboxes.support.addresses",
    "support@example.com": "smtp.from",
    "errors+bounce@example.com": "smtp.bounce_address",
}


@pytest.mark.parametrize(("address", "own"), OWN.items())
def test_triage_does_not_write_to_itself_as_a_contact(desk: Desk, address: str, own: str) -> None:
    for contact in (f'"{address.upper()}"', f'{{ address = "{address}", role = "fallback" }}'):
        [fault] = desk.faults(MAILBOX, REST, tenant(f"contacts = [{contact}]"))
        assert fault.startswith(f"tenants.northwind.contacts: {address} is also {own}: ")


def test_a_tag_does_not_hide_an_address_of_our_own(desk: Desk) -> None:
    [fault] = desk.faults(MAILBOX, SMTP, '[support]\ncontacts = ["errors+x@example.com"]')
    assert "Triage would answer itself" in fault


@pytest.mark.parametrize(("address", "own"), OWN.items())
def test_triage_does_not_write_to_itself_as_support(desk: Desk, address: str, own: str) -> None:
    [fault] = desk.faults(MAILBOX, SMTP, f'[support]\ncontacts = ["{address}"]')
    assert fault.startswith(f"support.contacts: {address} is also {own}: ")


@pytest.mark.parametrize(("address", "own"), OWN.items())
def test_triage_does_not_write_to_itself_as_reader(desk: Desk, address: str, own: str) -> None:
    [fault] = desk.faults(MAILBOX, REST, f'[digest]\nrecipients = ["{address}"]')
    assert fault.startswith(f"digest.recipients: {address} is also {own}: ")


def test_the_name_that_logs_in_is_an_address_of_the_mailbox_too(desk: Desk) -> None:
    mailbox = MAILBOX.replace('addresses = ["errors@example.com"]', "")
    [fault] = desk.faults(mailbox, SMTP, '[support]\ncontacts = ["errors@example.com"]')
    assert fault.startswith("support.contacts: errors@example.com is also mailboxes.support.usern")


@pytest.mark.parametrize("after", ["move:INBOX", "move:inbox"])
def test_a_mail_is_not_moved_to_where_it_is_read_again(desk: Desk, after: str) -> None:
    [fault] = desk.faults(MAILBOX, f'after = {{ known = "{after}" }}', REST)
    assert fault.startswith("mailboxes.support.after.known: that folder is watched as support")


def test_two_mailboxes_do_not_pass_mails_to_each_other(desk: Desk) -> None:
    second = MAILBOX.replace('"support"', '"known"')
    faults = desk.faults(
        MAILBOX, second, 'folder = "Triage/Known"\nafter = { known = "move:INBOX" }', REST
    )
    assert [fault.split(": ")[0] for fault in faults] == [
        "mailboxes.support.after.known",
        "mailboxes.known.after.known",
    ]
