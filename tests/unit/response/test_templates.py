from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from triage.response.markdown import disarm, text_and_html
from triage.response.templates import MAX_OUTPUT, TemplateFault, Templates

PLACE = "replies/en/x.md.j2"


def as_text(markdown: str, hosts: frozenset[str] = frozenset()) -> str:
    return text_and_html(markdown, hosts)[0]


def as_html(markdown: str, hosts: frozenset[str] = frozenset()) -> str:
    return text_and_html(markdown, hosts)[1]


def shown(source: str, **context: object) -> str:
    return disarm(Templates({PLACE: source}).render(PLACE, **context))


def fault(source: str, **context: object) -> TemplateFault:
    with pytest.raises(TemplateFault) as raised:
        Templates({PLACE: source}).render(PLACE, **context)
    return raised.value


def test_template_syntax_in_data_stays_as_it_is():
    assert shown("{{ words }}", words="{{ 7*7 }} {% raw %}") == "{{ 7*7 }} {% raw %}"


def test_line_breaks_in_data_cannot_start_a_block():
    rendered = Templates({PLACE: "{{ words }}"}).render(PLACE, words="a\n\n# b\n\n    c\n- d")

    assert as_html(rendered) == "<p>a # b c - d</p>\n"


def test_data_in_a_macro_is_not_escaped_twice():
    parts = {"replies/en/_p.md.j2": "{% macro m(x) %}**{{ x }}**{% endmacro %}"}
    source = '{% import "_p.md.j2" as p %}{{ p.m(words) }}'
    rendered = Templates({PLACE: source, **parts}).render(PLACE, words="<*a*>")

    assert as_html(rendered) == "<p><strong>&lt;*a*&gt;</strong></p>\n"


def test_an_unknown_variable_is_a_fault_with_file_and_line():
    found = fault("one\n\n{{ nobody }}")

    assert (found.template, found.line) == (PLACE, 3)
    assert "'nobody' is undefined" in str(found)


def test_a_fault_in_a_macro_names_the_file_of_the_macro():
    sources = {
        PLACE: '{% import "_p.md.j2" as p %}\n{{ p.m(1) }}',
        "replies/en/_p.md.j2": "{% macro m(x) %}\n{{ x.nothing }}{% endmacro %}",
    }
    with pytest.raises(TemplateFault) as raised:
        Templates(sources).render(PLACE)

    assert (raised.value.template, raised.value.line) == ("replies/en/_p.md.j2", 2)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ words.__class__ }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ names.append(1) }}", "unsafe"),
        ("{{ words.missing }}", "no attribute 'missing'"),
        ("{{ nothing }}", "None"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'a' * 1000000000 }}", "whole numbers"),
        ("{{ 9 ** 9 }}", "whole numbers"),
        ("{{ '%1000000000d' % 1 }}", "whole numbers"),
        ("{{ words | safe }}", "No filter named 'safe'"),
        ("{% if %}", "Expected an expression"),
        ('{% include "other.md.j2" %}', "replies/en/other.md.j2 is missing"),
        ("{% for a in range(900) %}{% for b in range(900) %}{% endfor %}{% endfor %}", "turns"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without end"),
    ],
)
def test_what_a_template_must_not_do_is_a_fault(source, said):
    found = fault(source, words="a", names=["a"], nothing=None)

    assert said in str(found)
    assert found.line == 1


def test_macros_that_call_each_other_twice_end_in_a_fault():
    assert fault(
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    )


def test_output_without_end_is_a_fault():
    source = "{% for a in range(9000) %}" + "x" * 100 + "{% endfor %}"

    assert f"{MAX_OUTPUT:,} characters of output" in str(fault(source))


def test_loops_know_their_length_and_their_last_turn():
    assert (
        shown("{% for a in range(3) %}{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}")
        == "3,3,3"
    )


@pytest.mark.parametrize(
    ("language", "zone", "words"),
    [
        ("en", "Europe/Berlin", "Mon 16 Nov 2026, 14:05 CET"),
        ("de", "Europe/Berlin", "Mo., 16. Nov. 2026, 14:05 Uhr MEZ"),
        ("de", "America/Sao_Paulo", "Mo., 16. Nov. 2026, 10:05 Uhr UTC-03"),
        ("fr", "Europe/London", "Mon 16 Nov 2026, 13:05 GMT"),
        ("en", "America/Sao_Paulo", "Mon 16 Nov 2026, 10:05 UTC-03"),
    ],
)
def test_times_are_in_the_zone_and_language_of_the_reader(language, zone, words):
    rendered = Templates({PLACE: "{{ at | when }}"}).render(
        PLACE,
        language=language,
        timezone=ZoneInfo(zone),
        at=datetime(2026, 11, 16, 13, 5, tzinfo=UTC),
    )

    assert as_text(rendered).strip() == words


def test_numbers_take_the_right_word():
    assert (
        shown("{{ 1 | plural('record', 'records') }}, {{ 2 | plural('record', 'records') }}")
        == "1 record, 2 records"
    )


@pytest.mark.parametrize(
    ("language", "words"), [("en", "12,345 of 1,840"), ("de", "12.345 of 1.840")]
)
def test_long_numbers_are_grouped_as_the_language_does(language, words):
    source = "{{ 12345 | number }} {{ 1840 | plural('x', 'y') }}".replace(" {{ 1840", " of {{ 1840")
    rendered = Templates({PLACE: source}).render(PLACE, language=language)

    assert as_text(rendered).strip() == f"{words} y"


def test_labels_of_the_screen_have_the_quotation_marks_of_the_language():
    assert text_and_html("Press *Go*")[0] == 'Press "Go"\n'
    assert text_and_html("Auf *Go*", language="de")[0] == "Auf „Go“\n"


def test_a_template_says_which_variables_it_reads():
    source = (
        '{% import "p" as p %}{% for r in a.b.c %}{{ loop.index }}{{ r.d }}{{ p.m(e) }}{% endfor %}'
    )

    assert Templates({PLACE: source}).variables(PLACE) == {"a", "a.b", "a.b.c", "r.d", "e"}


def test_a_template_that_is_missing_in_a_language_is_taken_in_english():
    templates = Templates({PLACE: "en", "replies/de/x.md.j2": "de"})

    assert templates.localised("replies", ["de-AT"], "x.md.j2") == ("replies/de/x.md.j2", "de")
    assert templates.localised("replies", ["fr", "de"], "x.md.j2") == ("replies/de/x.md.j2", "de")
    assert templates.localised("replies", ["fr"], "x.md.j2") == (PLACE, "en")


def test_all_faults_that_need_no_rendering_are_found_at_once():
    templates = Templates({"a.md.j2": "\n{% if %}", "b.md.j2": '{% import "c.md.j2" as c %}'})

    assert [(f.template, f.line) for f in templates.faults()] == [("a.md.j2", 2), ("b.md.j2", 0)]


def test_a_filter_that_there_is_not_is_found_without_rendering():
    templates = Templates({"a.md.j2": "{{ cause.title | upside_down }}"})

    (fault,) = templates.faults()
    assert "upside_down" in str(fault)


def test_what_is_proved_is_not_looked_at_as_long_as_it_says_the_same():
    proved = {"a.md.j2": "{% if %}", "b.md.j2": "fine"}

    assert Templates(proved).faults(proved=proved) == ()
    changed = Templates(proved | {"b.md.j2": "{% for %}"})
    assert [fault.template for fault in changed.faults(proved=proved)] == ["b.md.j2"]


def test_html_templates_escape_data():
    templates = Templates({"layout.html.j2": "<p>{{ words }}</p>"})

    assert templates.render("layout.html.j2", words="<b>&") == "<p>&lt;b&gt;&amp;</p>"
