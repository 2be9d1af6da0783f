"""Presets of ticket systems: what is sent is well formed, whatever the mail says."""

from __future__ import annotations

import json
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.adapters.files import read_presets
from triage.response.check_presets import check_presets
from triage.response.preset import Found, Preset, at
from triage.response.telling import Telling
from triage.response.templates import TemplateFault

SHIPPED = read_presets()
TELLING = Telling(
    id="0" * 32,
    external_id="triage-0123456789abcdef",
    time="2026-11-22T12:00:00+00:00",
    title="A title",
    text="A text\n",
    severity="high",
    tenant="northwind",
    rule="agent_connect/employee_is_queue",
    kind="managed_package",
    count=1,
)
MINE = """
[search]
path = "find?id={{ external_id }}"
hits = ""
id = "/id"
holds = "/key"

[[create]]
path = "new/{{ tenant }}"
headers = {X-Title = "{{ title }}"}
body = '{"key": {{ external_id }}, "title": {{ title }}, "text": {{ text | tojson }}}'
take = {id = "/id"}

[[comment]]
path = "{{ ticket }}"
body = '{"text": {{ text }}}'
"""


def faults(*changes: tuple[str, str]) -> list[str]:
    text = MINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return [str(fault) for fault in check_presets({"mine": text})]


def test_shipped_presets_have_no_faults() -> None:
    assert SHIPPED.keys() >= {"roundup", "request_tracker", "zendesk", "jira", "servicenow"}
    assert check_presets(SHIPPED) == ()
    assert faults() == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("{{ title }},", "{{ titel }},", "(create.0 body), line 1: 'titel' is undefined"),
        ("{{ title }},", '"{{ title }}",', "(create.0 body), line 1: is not JSON"),
        ("{{ title }},", "{{ title }}", "(create.0 body), line 1: is not JSON"),
        ("{{ title }},", "{{ value.queue }},", "no attribute 'queue'"),
        ("{{ title }},", "{{ title.__class__ }},", "unsafe"),
        ("{{ title }},", "{% for i in range(99999) %}1{% endfor %},", "more than 20,000 turns"),
        ("{{ title }},", '{% include "x" %},', "x is missing"),
        ('= "{{ title }}"', '= "a\\nb"', "(create.0 X-Title), line 1: has signs"),
        ("{{ tenant }}", "{{ tenant", "(create.0 path), line 1: "),
        ("new/{{ tenant }}", "/{{ tenant }}", "is no path below the address"),
        ("new/{{ tenant }}", "new/../../admin", "is no path below the address"),
        ("find?id={{ external_id }}", "find", "search: does not look for external_id"),
        ('"key": {{ external_id }}, ', "", "create: does not send external_id"),
        ('{"text": {{ text }}}', '{"text": "again"}', "comment: does not send text"),
        ('take = {id = "/id"}', "", "the last [[create]] does not take the ticket's id"),
        ('holds = "/key"', "", "search.holds: Field required"),
        ('holds = "/key"', 'holds = "key"', "search.holds: String should match"),
        ("[search]", "[seek]", "seek: Extra inputs are not permitted"),
        ("[search]", "[search", "Expected ']' at the end"),
    ],
)
def test_what_is_wrong_is_found_before_a_ticket_is_due(old: str, new: str, fault: str) -> None:
    found = faults((old, new))
    assert any(fault in one for one in found), found
    assert all(one.startswith("templates/tickets/mine/preset.toml") for one in found)


def test_a_value_is_not_made_safe_by_what_a_template_does_to_it() -> None:
    tricks = (
        "{{ [tenant, 'x' | urlencode] | join('/') }}",
        "{{ tenant | replace('x', 'y' | urlencode) }}",
        "{% set twice %}{{ tenant }}{% endset %}{{ twice }}",
        "{{ ('{}' | tojson) ~ tenant }}",
        "{{ tenant | urlencode | lower }}",
    )
    for trick in tricks:
        preset = Preset("mine", MINE.replace("{{ tenant }}", trick))
        hostile = replace(TELLING, tenant="../?x=1&y=2#\r\nEvil: 1")
        path = preset.request("create.0", preset.sample(), hostile).path
        assert not set(path) & set("?&#\r\n "), trick


@given(
    title=st.text(string.printable + "é\u2028{}%\"'`\\", min_size=1),
    text=st.text(min_size=1).filter(lambda words: words.isprintable()),
    tenant=st.text(string.printable),
)
def test_bodies_are_json_and_paths_are_paths_whatever_a_mail_says(
    title: str, text: str, tenant: str
) -> None:
    hostile = replace(TELLING, title=title, text=text, tenant=tenant)
    preset = Preset("mine", MINE)
    asked = preset.request("create.0", preset.sample(), hostile)
    assert json.loads(asked.body) == {"key": TELLING.external_id, "title": title, "text": text}
    assert asked.path.isascii()
    assert asked.path.startswith("new/")
    assert asked.path.count("/") == 1
    assert "?" not in asked.path
    assert all(value.isprintable() for value in asked.headers.values())


def test_only_a_ticket_that_bears_the_id_and_can_be_changed_is_found() -> None:
    preset = Preset("zendesk", SHIPPED["zendesk"])
    mine = {"id": 7, "external_id": TELLING.external_id, "status": "open"}
    other = {"id": 5, "external_id": f"{TELLING.external_id[:-1]}0", "status": "open"}
    closed = {**mine, "id": 6, "status": "closed"}
    assert preset.found({"tickets": [other, closed, mine]}, TELLING) == Found("7")
    assert preset.found({"tickets": [other, closed]}, TELLING) is None
    for nonsense in (None, {}, [], {"tickets": {}}, {"tickets": [{**mine, "id": None}]}):
        with pytest.raises(ValueError, match="there is no"):
            preset.found(nonsense, TELLING)


def test_only_what_goes_on_opens_a_resolved_ticket_again() -> None:
    preset = Preset("github", SHIPPED["github"])
    resolved, quiet = Found("7", resolved=True), replace(TELLING, closed=True)
    assert preset.comment(TELLING, resolved) == ("comment.0", "comment.1")
    for telling, found in ((TELLING, Found("7")), (quiet, resolved), (quiet, Found("7"))):
        assert preset.comment(telling, found) == ("comment.1",)


def test_a_comment_that_is_only_for_reopening_is_a_fault() -> None:
    with pytest.raises(TemplateFault, match="only for reopening"):
        Preset("mine", f"{MINE.rstrip()}\nreopens = true\n")


def test_a_pointer_names_a_place_in_an_answer() -> None:
    document = {"a": [{"b/c": 1}, {"~": 2}]}
    assert at(document, "") == document
    assert at(document, "/a/0/b~1c") == 1
    assert at(document, "/a/1/~0") == 2
    assert [at(document, where) for where in ("/x", "/a/9", "/a/x", "/a/0/b~1c/d")] == [None] * 4


def test_a_preset_that_is_no_file_of_toml_names_its_line() -> None:
    with pytest.raises(TemplateFault, match=r"preset.toml.*line 2"):
        Preset("mine", "[search]\npath = \n")


def test_octets_of_a_filing_come_back_as_they_were() -> None:
    assert Telling.of(TELLING.octets()) == TELLING
