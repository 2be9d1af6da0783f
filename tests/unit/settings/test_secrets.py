"""Where secrets come from, and that nothing repeats them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.desk import MAILBOX, REST, Desk
from triage.settings import ConfigurationError, load

# Secrets -----------------------------------------------------------------------------------

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        MAILBOX + f'password = "{SECRET}"\n' + REST,
        MAILBOX.replace("TRIAGE_IMAP_PASSWORD", SECRET) + REST,
        MAILBOX + REST + f'[store]\nurl = "mysql://triage:{SECRET}@db/triage"',
        MAILBOX + REST + f'[store]\nurl = {{ password = "{SECRET}" }}',
        MAILBOX + f'oauth2 = {{ client_secret = "{SECRET}" }}\n' + REST,
        MAILBOX + f'oauth2 = {{ client_secret_env = "{SECRET}" }}\n' + REST,
        MAILBOX + f'oauth2 = "{SECRET}"\n' + REST,
        MAILBOX + f'password_file = ["{SECRET}"]\n' + REST,
    ],
)
def test_no_fault_repeats_a_value_that_may_be_a_secret(desk: Desk, text: str) -> None:
    desk.path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(desk.path)
    assert SECRET not in str(caught.value)
    # The cause would be shown by a log that keeps tracebacks.
    assert SECRET not in repr(caught.value.__cause__) + str(caught.value.__cause__)
    assert SECRET not in repr(caught.value.__context__) + str(caught.value.__context__)


def test_settings_can_be_printed_without_showing_a_secret(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "imap").write_text(SECRET, encoding="utf-8")
    settings = desk.loads(
        MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "imap"'),
        REST,
        f'[store]\nurl = "postgresql+psycopg://triage:{SECRET}@db/triage"',
    )
    assert settings.mailboxes[0].password() == SECRET
    assert SECRET not in f"{settings!r} {settings}"


def test_a_secret_comes_from_its_file_without_the_end_of_the_line(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "imap").write_bytes(f" {SECRET} \r\n".encode())
    mailbox = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "imap"')
    assert desk.loads(mailbox, REST).mailboxes[0].password() == f" {SECRET} "


def test_a_secret_comes_from_its_variable(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_IMAP_PASSWORD", SECRET)
    assert desk.loads(MAILBOX, REST).mailboxes[0].password() == SECRET


def test_a_missing_variable_is_named(desk: Desk) -> None:
    settings = desk.loads(MAILBOX, REST)
    with pytest.raises(ConfigurationError) as caught:
        settings.mailboxes[0].password()
    assert str(caught.value) == "the environment variable TRIAGE_IMAP_PASSWORD is not set"


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"one\ntwo\n", "has more than one line, or control characters"),
        (b"a\0b", "has more than one line, or control characters"),
    ],
)
def test_a_secret_file_that_is_of_no_use_says_why(
    desk: Desk, tmp_path: Path, octets: bytes | None, why: str
) -> None:
    if octets is not None:
        (tmp_path / "imap").write_bytes(octets)
    mailbox = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "imap"')
    settings = desk.loads(mailbox, REST)
    with pytest.raises(ConfigurationError) as caught:
        settings.mailboxes[0].password()
    assert str(caught.value) == f"the secret in {tmp_path}/imap {why}"


def test_a_secret_file_that_is_a_folder_says_so(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "imap").mkdir()
    mailbox = MAILBOX.replace('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "imap"')
    with pytest.raises(ConfigurationError, match="Is a directory"):
        desk.loads(mailbox, REST).mailboxes[0].password()


def test_a_server_without_login_has_no_password(desk: Desk) -> None:
    assert desk.loads(MAILBOX, REST).smtp.password() == ""
