"""The fixture mails and what is expected of them keep their form.

Whether Triage answers as expected is tested elsewhere; nothing of Triage is used here.
"""

from __future__ import annotations

import email
import json
import re
from collections import Counter
from pathlib import Path

import pytest

MAILS = Path(__file__).parents[2] / "fixtures" / "emails"
PATHS = sorted((p.relative_to(MAILS).as_posix() for p in MAILS.rglob("*.eml")), key=str.encode)
LINES = (MAILS / "expected.jsonl").read_text("utf-8").splitlines()
EXPECTED = [json.loads(line) for line in LINES]

KEYS = {
    "path": str,
    "verdict": str,
    "kind": str,
    "rules": list,
    "record_ids": list,
    "tenant": (str, type(None)),
    "authenticity": str,
    "actions": list,
    "recipients": list,
    "reason": str,
}
MAY_BE_LEFT_OUT = {"verdict", "kind", "rules", "tenant", "reason"}
CONTACTS = {
    "northwind": ["priya@northwind.example"],
    "contoso": ["jonas@contoso.example", "lena@contoso.example"],
    "fabrikam": [],
}
SUPPORT = "team@example.com"

INVENTED = ("example", "example.com", "example.net", "example.org", "internal")
VENDORS = (
    "salesforce.com",
    "force.com",
    "sfdc.net",
    "sfcustomeremail.com",
    "stellaconnect.net",
    "agentconnect.net",
    "mandrillapp.com",
    "urldefense.com",
    "urldefense.proofpoint.com",
    "safelinks.protection.outlook.com",
)
MAIL_SYSTEMS = ("google.com", "mail.gmail.com", "outlook.com", "mx.microsoft.com")
"""Stand only where mail systems write their own names: trace fields and Message-IDs."""
HOST = re.compile(
    r"(?:@|://|helo=|\bby |\bReceived: from )((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)", re.IGNORECASE
)
SALESFORCE_ID = re.compile(
    r"(?<![0-9A-Za-z])"
    r"((?:00[135DGQTU6]|500|707|01p|01q|08e|a[0-9][0-9A-Za-z])[0-9A-Za-z]{2}0{5}[0-9A-Za-z]{8})"
    r"(?![0-9A-Za-z])"
)


def suffix(id15: str) -> str:
    """The three characters that tell the case of the fifteen."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    groups = (id15[start : start + 5] for start in (0, 5, 10))
    return "".join(alphabet[sum(c.isupper() << j for j, c in enumerate(g))] for g in groups)


def texts(path: str) -> str:
    """The octets as Latin-1 without soft line breaks, and below them every part decoded."""
    octets = (MAILS / path).read_bytes()
    found = [re.sub(r"=\r?\n", "", octets.decode("latin-1"))]
    for part in email.message_from_bytes(octets).walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            found.append(decoded(payload, part.get_content_charset("utf-8")))
    return "\n".join(found)


def decoded(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset, "replace")
    except (LookupError, ValueError):
        return payload.decode("latin-1")


def under(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def test_every_mail_has_an_expectation_and_every_expectation_a_mail():
    assert [line["path"] for line in EXPECTED] == PATHS
    assert len(PATHS) >= 120


def test_expectations_name_known_keys_of_the_right_type():
    for line in EXPECTED:
        assert set(KEYS) - MAY_BE_LEFT_OUT <= set(line) <= set(KEYS), line
        wrong = {k: v for k, v in line.items() if not isinstance(v, KEYS[k])}
        assert not wrong, line


def test_expected_words_are_those_of_the_interface():
    verdicts = {"known", "unknown", "not_ours", "suspicious", "unreadable"}
    kinds = {"managed_package", "apex_exception", "api_error_alert", "other"}
    for line in EXPECTED:
        assert line.get("verdict", "known") in verdicts, line
        assert line.get("kind", "other") in kinds, line
        assert line["authenticity"] in {"pass", "fail", "none"}, line
        assert line["actions"] in ([], ["reply"], ["ticket"], ["reply", "ticket"]), line


def test_a_ticket_goes_to_support_and_no_action_goes_to_nobody():
    for line in EXPECTED:
        assert (SUPPORT in line["recipients"]) == ("ticket" in line["actions"]), line
        assert bool(line["recipients"]) == bool(line["actions"]), line


def test_a_reply_is_expected_only_for_an_authentic_notification_and_inside_one_tenant():
    for line in EXPECTED:
        if "reply" not in line["actions"]:
            continue
        assert (line["verdict"], line["authenticity"]) == ("known", "pass"), line
        people = [address for address in line["recipients"] if address != SUPPORT]
        assert all(a.endswith(f"@{line['tenant']}.example") for a in people), line
        if not line["path"].startswith(("forwarded/", "salesforce/job_locked-02")):
            assert people == CONTACTS[line["tenant"]], line


def test_forged_automatic_and_unrelated_mail_is_never_to_be_answered():
    for line in EXPECTED:
        folder = line["path"].split("/")[0]
        if folder == "forged":
            assert (line["verdict"], line["actions"]) == ("suspicious", ["ticket"]), line
        if folder in {"automatic", "not_ours"}:
            assert (line["verdict"], line["actions"]) == ("not_ours", []), line


def test_every_rule_of_agent_connect_has_a_direct_mail_of_its_own():
    rules = {p.stem for p in (MAILS.parents[1] / "rules" / "agent_connect").glob("*.yaml")}
    expected = {line["path"]: line for line in EXPECTED}
    for rule in rules:
        line = expected[f"agent_connect/{rule}-01.eml"]
        assert (line["rules"], line["authenticity"]) == ([f"agent_connect/{rule}"], "pass")


@pytest.mark.parametrize("path", PATHS)
def test_file_names_say_source_what_and_number(path: str):
    folders = "agent_connect|salesforce|forwarded|forged|automatic|not_ours|hostile"
    assert re.fullmatch(rf"({folders})/[a-z0-9_]+-\d\d\.eml", path)


@pytest.mark.parametrize("path", PATHS)
def test_mails_are_small(path: str):
    assert (MAILS / path).stat().st_size < 150_000


@pytest.mark.parametrize("path", PATHS)
def test_hosts_are_invented_or_the_vendors(path: str):
    named = {host.lower() for host in HOST.findall(texts(path))}
    assert {h for h in named if not under(h, INVENTED + VENDORS + MAIL_SYSTEMS)} == set()


@pytest.mark.parametrize("path", PATHS)
def test_long_ids_in_mails_have_the_suffix_of_their_case(path: str):
    ids = set(SALESFORCE_ID.findall(texts(path)))
    assert {i for i in ids if i[15:] != suffix(i[:15])} == set()


def test_expected_records_have_valid_suffixes_and_stand_once():
    for line in EXPECTED:
        assert all(len(i) == 18 and i[15:] == suffix(i[:15]) for i in line["record_ids"]), line
        assert len(set(line["record_ids"])) == len(line["record_ids"]), line


def test_expected_records_can_be_read_in_their_mail():
    for line in EXPECTED:
        text = texts(line["path"])
        assert all(i[:15] in text for i in line["record_ids"]), line


def test_no_two_mails_are_the_same():
    assert max(Counter((MAILS / p).read_bytes() for p in PATHS).values()) == 1


def test_both_kinds_of_line_ends_are_there():
    crlf = sum(b"\r\n" in (MAILS / p).read_bytes() for p in PATHS)
    assert 20 < crlf < len(PATHS) - 20
