"""Silences as in Alertmanager: in their time nothing is sent for the cases that they match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from triage.catalog.pattern import PatternError, compiled
from triage.catalog.rule import Rule
from triage.incident.detail import detail
from triage.incident.incident import Case, Incident, kind_of, rule_of, severity_of

NAMES = ("rule", "tenant", "kind", "severity", "org", "sandbox", "class_name")
"""What a matcher can look at. What a case does not have is empty."""
_LONGEST = 300
_ORG = 15

Labels = Mapping[str, str]


class MatcherError(ValueError):
    """The text is no matcher; the message says why."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition; it must hold for the whole value, with its case."""

    name: str
    value: str
    is_pattern: bool = False
    """RE2."""

    def __str__(self) -> str:
        return f"{self.name}{'=~' if self.is_pattern else '='}{self.value}"

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """`name=value` or `name=~pattern`. Raises MatcherError."""
        name, sign, value = text.partition("=")
        if not sign or name not in NAMES:
            names = ", ".join(NAMES)
            raise MatcherError(f"{text!r}: write name=value or name=~pattern; names are {names}")
        if len(value) > _LONGEST or not value.isprintable():
            raise MatcherError(f"{name}: at most {_LONGEST} characters, without line breaks")
        if not value.startswith("~"):
            # Salesforce shows ids with 18 characters, facts have 15 of them.
            return cls(name, value[:_ORG] if name == "org" and len(value) == _ORG + 3 else value)
        try:
            _pattern(value[1:])
        except PatternError as error:
            raise MatcherError(f"{text!r}: {error}") from error
        return cls(name, value[1:], is_pattern=True)

    def holds(self, value: str) -> bool:
        """Whether it holds for this value."""
        if self.is_pattern:
            return _pattern(self.value).fullmatch(value) is not None
        return self.value == value


@dataclass(frozen=True, slots=True)
class Silence:
    """All of its matchers must hold."""

    matchers: tuple[Matcher, ...]
    reason: str = ""
    author: str = ""
    starts_at: datetime | None = None
    """None for one that the settings name, which has no end either."""
    ends_at: datetime | None = None
    id: int = 0

    def holds(self, labels: Labels) -> bool:
        """Whether a case with these labels is silenced by it."""
        return all(matcher.holds(labels[matcher.name]) for matcher in self.matchers)


def matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    """The matchers of one silence. Raises MatcherError; also if together they match anything."""
    parsed = tuple(Matcher.parse(text) for text in texts)
    if all(matcher.holds("") for matcher in parsed):
        raise MatcherError("one matcher at least must not hold for an empty value")
    return parsed


def of_rule(rule_id: str) -> Silence:
    """The silence that `[policy] silences` means by a rule's id."""
    return Silence((Matcher("rule", rule_id),), "[policy] silences")


def labels_of_case(case: Case, rules: Mapping[str, Rule]) -> Labels:
    """What matchers look at; the same as of the incident that the case opens."""
    rule = rule_of(case)
    return _labels(
        rule or "",
        case.authentication.tenant,
        kind_of(case),
        severity_of(case, rules),
        detail(case, None),
    )


def labels_of_incident(incident: Incident) -> Labels:
    """What matchers look at."""
    return _labels(
        incident.rule or "", incident.tenant, incident.kind, incident.severity, incident.detail
    )


def _labels(
    rule: str, tenant: str | None, kind: str, severity: str, about: Mapping[str, object]
) -> Labels:
    facts = about.get("facts")
    values: Mapping[str, Any] = facts if isinstance(facts, Mapping) else {}
    return {
        "rule": rule,
        "tenant": tenant or "",
        "kind": str(kind),
        "severity": str(severity),
        "org": str(values.get("org_id", ""))[:_ORG],
        "sandbox": "true" if about.get("sandbox") else "false",
        "class_name": str(values.get("class_name", "")),
    }


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> Any:
    return compiled(pattern, ignore_case=False)
