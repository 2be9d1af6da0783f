"""German as it ships, and what happens where a language has no words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.unit.response.mails import CONTOSO, CPU, QUEUE, RULES, TEMPLATES, cause, digested, trend
from triage.response import counted
from triage.response.check import check
from triage.response.content import MAX_ROWS
from triage.response.message import CauseOfMail, OutboundMessage
from triage.response.reply import FACTS, reply
from triage.response.templates import Templates
from triage.tenant import Tenant

SOURCES = dict(TEMPLATES._sources)
ENGLISH = sorted(path for path in SOURCES if "/en/" in path)
SECTIONS = sorted({rule.remediation.template for rule in RULES.values()})
ENGLISH_WORDS = re.compile(
    r"\b(?:the|and|is|are|were|not|of|to|this|that|with|for|from|you|your|have|has|which"
    r"|open|see|press|more|than|it|by)\b",
    re.IGNORECASE,
)
ON_THE_SCREEN = re.compile(
    r"„[^“]*“|\([^)]*\)|<[^>]*>|API Error Alert|Apex CPU time limit exceeded|caused by"
)
"""What keeps its English words: labels, links, and what Salesforce's messages say."""
LINK = re.compile(r'href="([^"]+)"')


def german(path: str) -> str:
    return path.replace("/en/", "/de/", 1)


def write(*causes: CauseOfMail, **more: object) -> OutboundMessage:
    return reply(
        causes,
        **{
            "tenant": CONTOSO,
            "recipient": "jonas@contoso.example",
            "language": "de",
            "templates": TEMPLATES,
            "from_": "Integration support <support@example.com>",
            "message_id": "triage.00@example.com",
        }
        | more,
    )


def full(rule: str) -> CauseOfMail:
    return replace(
        cause(rule, 2), facts=dict.fromkeys(FACTS, "x"), sandbox=True, repeated=True, more_records=7
    )


@pytest.mark.parametrize("path", ENGLISH)
def test_german_says_all_that_english_says_in_the_same_order(path: str) -> None:
    ours, theirs = SOURCES[german(path)], SOURCES[path]

    for same in (r"parts\.\w+", r"^#+ ", r"^\d+\. ", r"^\{% macro \w+"):
        assert re.findall(same, ours, re.MULTILINE) == re.findall(same, theirs, re.MULTILINE)
    assert set(re.findall(r"https?://[^\s`)]+", ours)) == set(
        re.findall(r"https?://[^\s`)]+", theirs)
    )


@pytest.mark.parametrize("name", SECTIONS)
def test_a_german_mail_leaves_no_english_words_but_those_on_the_screen(name: str) -> None:
    for rule in (rule for rule in RULES.values() if rule.remediation.template == name):
        for one in (full(rule.id), cause(rule.id)):
            message = write(one)
            said = f"{message.subject}\n{message.text}"
            words = ON_THE_SCREEN.sub("", " ".join(said.split()))

            assert not ENGLISH_WORDS.findall(words)
            assert not re.findall(r"\b(?:du|dein|dich|dir|euch|euer)\b", words, re.IGNORECASE)
            assert "  " not in message.text.replace("\n  ", "\n").replace("\n  ", "\n")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_both_languages_lead_to_the_same_pages(rule: str) -> None:
    one = full(rule)

    assert LINK.findall(write(one).html) == LINK.findall(write(one, language="en").html)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_shipped_rule_has_a_german_title_and_a_summary_where_it_is_shown(rule) -> None:
    words = TEMPLATES.words("de", rule.id)

    assert words
    assert words[0] != rule.title
    if "cause.summary" in SOURCES[f"replies/en/{rule.remediation.template}.md.j2"]:
        assert len(words) == 2


@pytest.mark.parametrize("reason", counted._HELD_FOR_SUPPORT)
def test_every_reason_that_a_digest_gives_has_german_words(reason) -> None:
    assert TEMPLATES.words("de", reason.value)


def test_no_german_words_are_left_for_what_is_gone() -> None:
    keys = set(re.findall(r'^  "([a-z_]+/[a-z_]+)":', SOURCES["words/de.md.j2"], re.MULTILINE))

    assert keys == set(RULES)


def test_the_mail_says_its_language() -> None:
    message = write(QUEUE)

    assert message.language == "de"
    assert '<html lang="de">' in message.html
    assert message.text.startswith("Guten Tag,")


@pytest.mark.parametrize(
    ("contact", "tenant", "language"),
    [("de", "en", "de"), ("en", "de", "en"), ("fr", "de", "de"), ("fr", "nl", "en")],
)
def test_the_contacts_language_comes_first_then_the_tenants_then_english(
    contact: str, tenant: str, language: str
) -> None:
    message = write(QUEUE, language=contact, tenant=replace(CONTOSO, language=tenant))

    assert message.language == language


def test_a_section_without_a_translation_is_english_as_a_whole_and_the_mail_says_so() -> None:
    without = {p: t for p, t in SOURCES.items() if p != "replies/de/cpu_time_limit.md.j2"}
    text = " ".join(write(CPU, QUEUE, templates=Templates(without)).text.split())
    english = text.partition("==== ")[2].partition("2. Der Mitarbeiter im Datensatz")[0]

    assert "MEZ. Diese Anleitung gibt es bisher nur auf Englisch. What happened." in english
    assert "Mon 16 Nov 2026, 14:05 CET" in english
    assert "Was zu tun ist" not in english
    assert "Was zu tun ist" in text


def test_a_rule_of_the_operators_own_keeps_its_title() -> None:
    own = replace(QUEUE, rule="own/queue", title="Unsere eigene Regel")

    assert "bei contoso: Unsere eigene Regel, 3 Datensätze" in write(own).subject


def test_words_that_a_stranger_wrote_are_no_syntax_in_german_either() -> None:
    title = "<b>{{ 7 * 7 }}</b> http://evil.example"
    message = write(replace(CPU, rule="own/x", title=title, facts={"class_name": "a`b \x02"}))

    assert "{{ 7 * 7 }}" in message.subject
    assert "<b>" not in message.html
    assert "http://evil" not in message.subject + message.text + message.html


def test_the_german_digest_has_german_titles_labels_and_reasons() -> None:
    text = " ".join(digested("de").text.split())

    assert "Der Job Monitor hat einen angehaltenen Job der Integration gefunden" in text
    assert "Der Mitarbeiter im Datensatz ist eine Warteschlange (unbekannter Mandant)" in text
    assert "Jemand hat diese Art von Vorfall" in text
    assert "1.851 Fehlermeldungen" in text
    assert "unknown" not in text


def test_the_german_digest_has_a_german_word_for_the_rows_that_are_left_out() -> None:
    many = [trend(100 + n, QUEUE.rule, 1, tenant=f"tenant{n:02}") for n in range(MAX_ROWS)]

    assert "alle übrigen" in digested("de", many).text


def faults(changed: dict[str, str]) -> list[str]:
    return [str(fault) for fault in check(Templates({**SOURCES, **changed}))]


def test_check_names_a_translation_of_a_template_that_is_not_there() -> None:
    (found,) = faults({"replies/de/qeue.md.j2": "## {{ cause.title }}\n\nText"})

    assert found.startswith("templates/replies/de/qeue.md.j2, ")
    assert "replies/en/qeue.md.j2, which it translates, is missing" in found


def test_check_names_a_translation_that_reads_other_variables() -> None:
    path = "replies/de/internal_error.md.j2"
    (less,) = faults({path: SOURCES[path].replace(": {{ cause.last_seen | when }}", "")})
    (more,) = faults({path: SOURCES[path] + "\n{{ cause.severity }}"})

    assert "internal_error.md.j2, " in less
    assert "does not use cause.last_seen, which replies/en/internal_error.md.j2 uses" in less
    assert "uses cause.severity, which replies/en/internal_error.md.j2 does not use" in more


def test_check_compares_the_digest_too() -> None:
    path = "digest/de/weekly.md.j2"
    (found,) = faults({path: SOURCES[path].replace("{{ digest.before | number }}", "")})

    assert "does not use digest.before" in found


def test_a_fault_in_the_words_of_a_language_is_a_fault_of_its_templates() -> None:
    found = faults({"words/de.md.j2": "{{ nothing }}"})

    assert any("words/de.md.j2, line 1: 'nothing' is undefined" in fault for fault in found)


def test_a_tenant_without_a_language_is_written_to_in_english() -> None:
    assert write(QUEUE, language="en", tenant=Tenant("contoso")).text.startswith("Hello,")
