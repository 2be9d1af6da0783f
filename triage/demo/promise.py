"""Which mails the storm of the demo has, and what must come of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import Any

from triage.rows import MailRow
from triage.settings import shipped

STORM = 20
"""Copies of one notification, each a mail of its own."""
STORM_OF = "agent_connect/employee_is_queue-03.eml"
SUPPORT = "team@example.com"
CONTACT, FALLBACK = "priya@northwind.example", "sam@northwind.example"
"""Who is written to at northwind, and who when that fails. The fixtures know no fallback."""

DELIVERED = (
    "agent_connect/employee_is_queue-01.eml",
    "not_ours/question_quotes_queue_error-01.eml",
    "agent_connect/employee_is_queue-07.eml",
    "salesforce/cpu_time_limit-01.eml",
    "automatic/out_of_office_de-01.eml",
    "agent_connect/missing_customer_email-01.eml",
    "agent_connect/failed_survey_request-01.eml",
    "salesforce/job_locked-01.eml",
    "forged/lookalike_domain-01.eml",
    "agent_connect/job_monitor_shutoff-01.eml",
    "forwarded/gmail-01.eml",
    "forwarded/outlook_en-01.eml",
    "forwarded/outsider-01.eml",
    "salesforce/null_pointer-01.eml",
    "salesforce/unknown_exception-01.eml",
    "not_ours/complaint-01.eml",
    "hostile/header_block-01.eml",
    "hostile/jinja_org_name-01.eml",
    "automatic/newsletter-01.eml",
    STORM_OF,
)


def fixture_settings(imap_port: int, smtp_port: int, username: str, policy: str = "") -> str:
    """The settings of the fixtures' world, on servers on loopback; the password is in `password`.

    Fixture mails are answered however old they are. `policy` holds more lines of that section.
    """
    text = (shipped("fixtures") / "triage.toml").read_text(encoding="utf-8")
    for old, new in (
        ('host = "imap.example.com"', f'host = "127.0.0.1"\nport = {imap_port}\ntls = "none"'),
        ('host = "smtp.example.com"', f'host = "127.0.0.1"\nport = {smtp_port}\ntls = "none"'),
        ('username = "errors@example.com"', f'username = "{username}"'),
        ('password_env = "TRIAGE_IMAP_PASSWORD"', 'password_file = "password"'),
        ("[policy]\n", f'[policy]\nmax_age = "520w"\n{policy}'),
    ):
        if old not in text:
            raise AssertionError(f"fixtures/triage.toml no longer holds {old}")
        text = text.replace(old, new)
    return text


def deliveries() -> Iterator[tuple[str, bytes]]:
    """Name and octets of each mail, the storm last; each storm mail has a Message-ID of its own."""
    for name in DELIVERED:
        yield name, fixture(name)
    for number in range(STORM):
        yield STORM_OF, with_own_id(fixture(STORM_OF), f"again-{number}")


def fixture(name: str) -> bytes:
    """The octets of a fixture mail."""
    return (shipped("fixtures") / "emails" / name).read_bytes()


def with_own_id(octets: bytes, words: str) -> bytes:
    """The mail with another Message-ID."""
    head, separator, rest = octets.partition(b"Message-ID: <")
    return head + separator + words.encode() + b"." + rest


def broken_promises(
    rows: Sequence[tuple[str, MailRow]],
    messages: Sequence[tuple[tuple[str, ...], EmailMessage]],
    folders: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]],
) -> list[str]:
    """Where the storm's day differs from what the fixtures promise; empty when all is well."""
    return [
        *_verdicts(rows),
        *_letters(messages),
        *told_of_foreign_records(messages),
        *_mailbox(rows, folders),
    ]


def _expectations() -> dict[str, dict[str, Any]]:
    text = (shipped("fixtures") / "emails" / "expected.jsonl").read_text(encoding="utf-8")
    lines = (json.loads(line) for line in text.splitlines() if line.strip())
    return {line["path"]: line for line in lines}


def _verdicts(rows: Sequence[tuple[str, MailRow]]) -> Iterator[str]:
    expected = _expectations()
    if len(rows) != len(DELIVERED) + STORM:
        yield f"{len(DELIVERED) + STORM} mails were delivered and {len(rows)} were handled"
    for name, row in rows:
        promise = expected[name]
        found = {"verdict": row.verdict, "tenant": row.tenant, "authenticity": row.authenticity}
        for key, value in found.items():
            if promise.get(key, value) != value:
                yield f"{name}: {key} is {value}, not {promise[key]}"
        if set(promise.get("rules", row.rules)) != set(row.rules):
            yield f"{name}: found {list(row.rules)}, not {promise['rules']}"


def _letters(messages: Sequence[tuple[tuple[str, ...], EmailMessage]]) -> Iterator[str]:
    expected = _expectations()
    promised = {
        recipient
        for name in DELIVERED
        for recipient in expected[name]["recipients"]
        if expected[name]["actions"]
    }
    written = {recipient for to, _ in messages for recipient in to}
    for recipient in sorted(promised - written):
        yield f"{recipient} received nothing"
    for recipient in sorted(written - promised):
        yield f"{recipient} received a mail that no fixture promises"
    told = Counter(
        (recipient, str(message["Subject"]))
        for to, message in messages
        for recipient in to
        if recipient != SUPPORT
    )
    yield from (f"{who} was told twice: {what}" for (who, what), n in told.items() if n > 1)


def sent_twice(messages: Sequence[tuple[tuple[str, ...], EmailMessage]]) -> Iterator[str]:
    """No two messages have one Message-ID."""
    for message_id, count in Counter(str(message["Message-ID"]) for _, message in messages).items():
        if count > 1:
            yield f"{message_id} was sent {count} times"


def told_of_foreign_records(
    messages: Sequence[tuple[tuple[str, ...], EmailMessage]],
) -> Iterator[str]:
    """A record reaches only the people of those to whom a mail that names it is promised."""
    entitled: dict[str, set[str]] = {}
    for name in DELIVERED:
        promise = _expectations()[name]
        for record in promise["record_ids"]:
            domains = {_domain(recipient) for recipient in promise["recipients"]}
            entitled.setdefault(record, set()).update(domains)
    for to, message in messages:
        part = message.get_body(("plain",))
        words = part.get_content() if part else ""
        for record, domains in entitled.items():
            if record in words and not domains.issuperset(map(_domain, to)):
                yield f"{', '.join(to)} was told of record {record}"


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _mailbox(
    rows: Sequence[tuple[str, MailRow]],
    folders: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]],
) -> Iterator[str]:
    moved = sum(row.verdict == "known" for _, row in rows)
    known, inbox = folders.get("Triage/Known", ()), folders.get("INBOX", ())
    if len(known) != moved:
        yield f"{moved} mails are known, and {len(known)} lie in Triage/Known"
    if len(inbox) + len(known) != len(rows):
        yield f"of {len(rows)} mails, {len(inbox) + len(known)} are still in the mailbox"
    untouched = sum(row.verdict == "not_ours" for _, row in rows)
    plain = sum(not set(flags) - {r"\Recent"} for _, flags in inbox)
    if plain != untouched:
        yield f"{untouched} mails are not ours, and {plain} lie untouched in the inbox"
    if any(r"\Seen" in flags for mails in folders.values() for _, flags in mails):
        yield "a mail was marked as read"
