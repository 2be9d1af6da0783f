"""What a silence matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.incident.silence import NAMES, Matcher, MatcherError, Silence, matchers, of_rule

LABELS = {
    "rule": "agent_connect/employee_is_queue",
    "tenant": "northwind",
    "kind": "managed_package",
    "severity": "medium",
    "org": "00D8x000001AbCd",
    "sandbox": "false",
    "class_name": "StellaConnect.RequestSender",
}


def holds(*texts: str) -> bool:
    return Silence(matchers(texts)).holds(LABELS)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_matched_by_its_value(name: str) -> None:
    assert holds(f"{name}={LABELS[name]}")
    assert not holds(f"{name}={LABELS[name]}x")


def test_all_matchers_of_a_silence_must_hold() -> None:
    assert holds("tenant=northwind", "severity=medium")
    assert not holds("tenant=northwind", "severity=high")


def test_a_pattern_holds_for_the_whole_value_and_minds_its_case() -> None:
    assert holds("rule=~agent_connect/.*")
    assert holds("class_name=~StellaConnect[.].+")
    assert not holds("rule=~agent_connect")
    assert not holds("rule=~employee")
    assert not holds("tenant=~Northwind")


def test_an_org_may_be_written_with_18_characters() -> None:
    assert holds("org=00D8x000001AbCdEAK")
    assert not holds("org=00D8x000001AbCe")


def test_a_value_may_hold_equal_signs() -> None:
    assert Matcher.parse("class_name=a=b") == Matcher("class_name", "a=b")


@pytest.mark.parametrize(
    "text",
    [
        "northwind",
        "=northwind",
        "Tenant=northwind",
        "tenant!=northwind",
        "customer=northwind",
        "rule=~(",
        "rule=~(?=x)",
        "rule=a\nb",
        "rule=" + "x" * 301,
    ],
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(MatcherError):
        Matcher.parse(text)


@pytest.mark.parametrize("texts", [(), ("rule=~.*",), ("tenant=", "rule=~.*")])
def test_a_silence_of_anything_is_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(MatcherError, match="one matcher at least"):
        matchers(texts)


def test_the_settings_mean_the_rule_by_its_id() -> None:
    assert of_rule(LABELS["rule"]).holds(LABELS)
    assert not of_rule("agent_connect/missing_employee").holds(LABELS)


@given(st.sampled_from(NAMES), st.text(max_size=30), st.booleans())
def test_a_matcher_is_what_its_text_says(name: str, value: str, pattern: bool) -> None:
    try:
        matcher = Matcher.parse(f"{name}={'~' if pattern else ''}{value}")
    except MatcherError:
        return
    assert Matcher.parse(str(matcher)) == matcher
