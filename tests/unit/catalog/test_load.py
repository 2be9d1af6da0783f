from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.load import Catalog, CatalogFaults, Fault, RuleSource, load
from triage.catalog.positions import MAX_CHARACTERS

Entry = Callable[..., RuleSource]


def faults(*sources: RuleSource) -> tuple[Fault, ...]:
    with pytest.raises(CatalogFaults) as caught:
        load(sources)
    return caught.value.faults


def messages(*sources: RuleSource) -> str:
    return "\n".join(map(str, faults(*sources)))


def source(text: str, id_: str = "a/one") -> RuleSource:
    return RuleSource(id_, f"rules/{id_}.yaml", text)


def test_rules_come_sorted_by_id_and_carry_it(entry: Entry) -> None:
    catalog = load([entry("b/two"), entry("a/one")])
    assert [(id_, rule.id) for id_, rule in catalog.rules.items()] == [
        ("a/one", "a/one"),
        ("b/two", "b/two"),
    ]


def test_a_later_source_replaces_an_earlier_one_of_its_id(entry: Entry) -> None:
    catalog = load(
        [entry("a/one", title="The shipped entry"), entry("a/one", title="Our own entry")]
    )
    assert catalog.rules["a/one"].title == "Our own entry"


def test_an_entry_that_is_replaced_need_not_be_right(entry: Entry) -> None:
    assert load([source("title: ["), entry("a/one")]).rules.keys() == {"a/one"}


def test_no_source_makes_an_empty_catalog() -> None:
    assert load([]).rules == {}


def test_the_digest_is_of_what_entries_say_not_of_how_it_is_written(entry: Entry) -> None:
    one = entry("a/one")
    spaced = RuleSource(one.id, "elsewhere.yaml", f"# a comment\n\n{one.text}\n")
    assert load([one]).digest == load([spaced]).digest
    assert load([one]).digest != load([entry("a/one", severity="high")]).digest
    assert len(load([one]).digest) == 12


def test_a_catalog_can_be_sent_to_another_process(entry: Entry) -> None:
    catalog = load([entry("a/one")])
    copied: Catalog = pickle.loads(pickle.dumps(catalog))
    assert copied == catalog


def test_faults_survive_the_way_between_processes() -> None:
    error = CatalogFaults(faults(source("")))
    assert pickle.loads(pickle.dumps(error)).faults == error.faults


def test_all_faults_of_all_files_come_at_once_by_file_and_line(entry: Entry) -> None:
    first = entry("a/one", severity="huge", kinds=[], nonsense=1)
    second = entry("b/two", fingerprint=["absent"])
    found = faults(second, first)
    assert len(found) == 4
    assert [(fault.file, fault.line) for fault in found] == sorted(
        (fault.file, fault.line) for fault in found
    )
    assert {fault.file for fault in found} == {"rules/a/one.yaml", "rules/b/two.yaml"}


def test_a_fault_names_file_and_line(entry: Entry) -> None:
    text = entry().text
    line = text[: text.index("severity")].count("\n") + 1
    fault = faults(source(text.replace("severity: medium", "severity: huge")))[0]
    assert str(fault).startswith(f"rules/a/one.yaml:{line}: ")
    assert "'info', 'low', 'medium', 'high' or 'critical'" in fault.message
    assert "'huge'" in fault.message


def test_an_unknown_key_is_told_with_the_one_that_was_meant(entry: Entry) -> None:
    assert "unknown key `fuzy`: did you mean `fuzzy`?" in messages(entry(fuzy={"phrase": "x" * 9}))


def test_an_unknown_key_without_a_like_is_told_with_those_allowed(entry: Entry) -> None:
    found = messages(entry(extract={"a": {"kind": "org", "qqqq": 1}}))
    assert "unknown key `qqqq`; allowed: kind, pattern, required" in found


def test_an_unknown_key_deep_in_the_examples_has_its_line(entry: Entry) -> None:
    text = entry().text.replace("name: fine", "name: fine\n    txt: something")
    fault = faults(source(text))[0]
    assert text.splitlines()[fault.line - 1].strip() == "txt: something"
    assert "did you mean `text`?" in fault.message


def test_a_fault_in_a_list_of_conditions_has_its_line(entry: Entry) -> None:
    text = entry(match=[{"literal": "long enough"}, {"literal": "abc"}]).text
    fault = faults(source(text))[0]
    assert text.splitlines()[fault.line - 1].strip() == "- literal: abc"


@pytest.mark.parametrize("key", ["title", "match", "remediation", "tests", "kinds"])
def test_a_missing_key_is_named(entry: Entry, key: str) -> None:
    text = "\n".join(entry().text.split("\n"))
    kept = [part for part in text.split("\n") if not part.startswith(f"{key}:")]
    assert f"`{key}` is missing" in messages(source("\n".join(_without_children(text, key, kept))))


def _without_children(text: str, key: str, kept: list[str]) -> list[str]:
    lines = text.split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = at + 1
    while end < len(lines) and lines[end][:1] in {" ", "-"}:
        end += 1
    return [*lines[:at], *lines[end:]] if end > at + 1 else kept


def test_the_id_is_not_written_in_the_file(entry: Entry) -> None:
    assert "the path of the file is the id" in messages(entry(id="b/other"))


@pytest.mark.parametrize("id_", ["", "A/b", "a b", "a/", "../a", "a.yaml", "é/a"])
def test_an_id_has_letters_digits_and_slashes(entry: Entry, id_: str) -> None:
    assert "is no id" in messages(entry(id_))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("null", "the file is empty"),
        ("- a\n- b", "the file holds no mapping"),
        ("just words", "the file holds no mapping"),
        ("a: 1\na: 2", "duplicate key `a`, first in line 1"),
        ("a: {b: 1, b: 2}", "duplicate key `b`"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: !!python/name:os.system x", "tags (!) are not used"),
        ("a:\n\tb: 1", "a tab stands in the indentation"),
        ("a: [1", "not YAML"),
        ("a: 1\n---\nb: 2", "a file holds one entry"),
        ("no: 1", "a key must be text, not False"),
        ("? [a]\n: 1", "a key must be text"),
        ("a: 2001-99-99", "is no date or number"),
        ("a: \x00", "character"),
        ("a: \ud800", "not Unicode text"),
        ("a: " + "[" * 50_000, "nested more than"),
        ("a: " + "9" * 5_000, "is no date or number"),
        ("#" * (MAX_CHARACTERS + 1), f"at most {MAX_CHARACTERS} are read"),
        ("a: |\n  x\n b", "not YAML"),
    ],
)
def test_text_that_is_no_entry_is_a_fault_and_no_traceback(text: str, message: str) -> None:
    assert message in messages(source(text))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"disables_integration": False}, "unless quotes make it text"),
        ({"title": 12345}, "unless quotes make it text"),
        ({"kinds": "managed_package"}, "should be a valid list"),
        ({"match": "words"}, "it is 'words'"),
        ({"fuzzy": {"phrase": "long enough", "at_least": 101}}, "less than or equal to 100"),
        ({"extract": {"Bad Name": {"kind": "org"}}}, "pattern"),
        ({"extract": {"f": {"kind": "text"}}}, "a pattern is needed for kind text"),
        ({"match": {"literal": "\u00ad\u200b\u200b\u200b\u200b"}}, "fewer than 4 characters"),
        ({"match": {"pattern": "a(?=b) queue", "requires": "queue"}}, "RE2 refuses the pattern"),
        ({"match": {"pattern": "(one|two)", "requires": "three"}}, "no proof that every match"),
        (
            {"match": {"pattern": "can\u2019t be", "requires": "t be"}},
            "never stands in folded text",
        ),
        ({"unless": [{"pattern": "xxxx(", "requires": "xxxx"}]}, "RE2 refuses the pattern"),
        ({"fuzzy": {"phrase": "\u200b" * 9}}, "too short once it is folded"),
        (
            {"fingerprint": ["orgid"], "extract": {"org_id": {"kind": "org"}}},
            "did you mean `org_id`",
        ),
        ({"extract": {"org_id": {"kind": "org"}}}, "nothing uses the fact `org_id`"),
        (
            {"extract": {"f": {"kind": "text", "pattern": "no group", "required": True}}},
            "one group ( ) must hold the fact, not 0",
        ),
        (
            {"extract": {"f": {"kind": "text", "pattern": "(a)(b)", "required": True}}},
            "not 2",
        ),
        (
            {"extract": {"f": {"kind": "text", "pattern": "((", "required": True}}},
            "RE2 refuses the pattern",
        ),
        ({"inhibits": ["a/two"]}, "no entry `a/two`"),
        ({"inhibits": ["a/one"]}, "hide itself"),
    ],
)
def test_an_entry_that_contradicts_itself_is_a_fault(
    entry: Entry, changes: dict[str, Any], message: str
) -> None:
    assert message in messages(entry(**changes))


def test_a_misspelt_target_is_told_with_the_one_that_was_meant(entry: Entry) -> None:
    found = messages(entry("a/one", inhibits=["a/twoo"]), entry("a/two"))
    assert "no entry `a/twoo`: did you mean `a/two`?" in found


def test_entries_that_hide_each_other_in_a_circle_are_faults(entry: Entry) -> None:
    found = faults(
        entry("a/one", inhibits=["a/two"]),
        entry("a/two", inhibits=["a/three"]),
        entry("a/three", inhibits=["a/one"]),
    )
    assert [fault.file for fault in found] == [
        "rules/a/one.yaml",
        "rules/a/three.yaml",
        "rules/a/two.yaml",
    ]


def test_a_target_whose_own_file_is_faulty_is_not_called_missing(entry: Entry) -> None:
    found = faults(entry("a/one", inhibits=["a/two"]), source("title: [", "a/two"))
    assert {fault.file for fault in found} == {"rules/a/two.yaml"}


def test_examples_have_names_of_their_own(entry: Entry) -> None:
    example = {"name": "twice", "text": "something is wrong"}
    found = messages(entry(tests={"matches": [example], "ignores": [{**example}]}))
    assert "second example named `twice`" in found


@pytest.mark.parametrize(
    "example",
    [
        {"name": "neither"},
        {"name": "both", "mail": "x.eml", "text": "y"},
        {"name": "subject", "mail": "x.eml", "subject": "y"},
    ],
)
def test_an_example_is_a_mail_or_a_text(entry: Entry, example: dict[str, str]) -> None:
    fine = {"name": "fine", "text": "all is well"}
    assert "`tests.matches.0`" in messages(entry(tests={"matches": [example], "ignores": [fine]}))


def test_an_id_that_yaml_reads_as_a_number_must_stand_in_quotes(entry: Entry) -> None:
    text = entry().text.replace("name: plain", "name: plain\n    facts: {record_ids: [5008]}")
    found = faults(source(text))
    assert len(found) == 1
    assert "ids stand in quotes" in found[0].message


def test_a_fact_that_tests_expect_must_be_extracted(entry: Entry) -> None:
    text = entry().text.replace("name: plain", "name: plain\n    facts: {objekt: Case}")
    assert "no fact `objekt` is extracted" in messages(source(text))


@pytest.mark.parametrize(
    "use",
    [
        {"fingerprint": ["org_id"]},
        {"extract": {"org_id": {"kind": "org", "required": True}}},
        {"extract": {"record_ids": {"kind": "record"}}},
    ],
)
def test_a_fact_is_used_by_fingerprint_tests_or_duty(entry: Entry, use: dict[str, Any]) -> None:
    assert load([entry(**{"extract": {"org_id": {"kind": "org"}}, **use})]).rules


@given(st.text(max_size=200))
def test_no_text_makes_more_than_faults(text: str) -> None:
    assert faults(source(text))


@given(st.binary(max_size=200))
def test_no_octets_make_more_than_faults(octets: bytes) -> None:
    assert faults(source(octets.decode("utf-8", "surrogateescape")))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [
            "title",
            "kinds",
            "match",
            "fuzzy",
            "unless",
            "extract",
            "inhibits",
            "remediation",
            "tests",
        ]
    ),
    JSON,
)
def test_any_value_at_any_key_loads_or_makes_faults(entry: Entry, key: str, value: object) -> None:
    try:
        loaded = load([entry(**{key: value})])
    except CatalogFaults as error:
        assert error.faults  # noqa: PT017 - either outcome is right, anything else is raised
    else:
        assert loaded.rules
