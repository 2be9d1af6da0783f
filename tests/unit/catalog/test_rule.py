from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from triage.catalog.load import RuleSource, load
from triage.catalog.match import Matcher
from triage.catalog.rule import Condition, Remediation, Rule, schema
from triage.mail.message import Notification

TOP = Path(__file__).parents[3]

DESIGN = """\
# yaml-language-server: $schema=../rule.schema.json
title: The record's employee is a queue, not a person
status: stable                       # experimental: ticket and digest only, never a reply | stable | deprecated
severity: medium                     # info | low | medium | high | critical
kinds: [managed_package]
namespace: any                       # ours: only where StellaConnect is named (section 4.2)
disables_integration: "no"           # yes | possible | no
references: [Salesforce - Tracing Errors & Troubleshooting]

match:                               # over subject and text; a list means any of, a map means all of
  - literal: Employee cannot be a Queue          # folded: case, width, white space, wraps, hyphenation
  - pattern: '(stella|agent) connect employee (can ?not|must not) be a queue'   # linear time (RE2)
    requires: be a queue                         # a literal that every match holds; check proves it
fuzzy: {phrase: Stella Connect Employee cannot be a Queue, at_least: 85}        # tried only when no rule's match holds
unless: []
extract:
  record_ids: {kind: record, required: false}    # record | org | user | job | class, or text with an RE2 pattern of one group
fingerprint: []                      # besides tenant and rule
inhibits: [agent_connect/missing_employee]

remediation:
  action: reply                      # reply | ticket | both | none
  summary: Map a formula field that keeps the agent who closed the record.
  template: employee_is_queue        # templates/replies/<lang>/employee_is_queue.md.j2: one section of a mail
  repeat_interval: 24h

tests:
  matches:
    - name: wording of package 1.x, one case
      mail: agent_connect/employee_is_queue-01.eml
      facts: {record_ids: ["500\u2026"]}              # ids in quotes: YAML reads some as numbers
    - name: new brand, broken over two lines
      kind: managed_package
      text: "Agent Connect Employee cannot\\r\\nbe a Queue"
  ignores:
    - name: an admin asks about the words
      mail: not_ours/question_quotes_queue_error-01.eml
"""  # noqa: E501 - word for word as the design has it


def test_the_example_of_the_design_loads_and_holds(
    entry: Callable[..., RuleSource], notification: Callable[..., Notification]
) -> None:
    example = RuleSource("agent_connect/employee_is_queue", "queue.yaml", DESIGN)
    catalog = load([example, entry("agent_connect/missing_employee")])
    judged = Matcher(catalog).judge(notification("Agent Connect Employee cannot\nbe a Queue"))
    assert [finding.rule for finding in judged.findings] == ["agent_connect/employee_is_queue"]


def test_the_schema_in_the_repository_is_the_one_of_the_models() -> None:
    stored = json.loads((TOP / "rules" / "rule.schema.json").read_text("utf-8"))
    assert stored == schema(), "write rules/rule.schema.json anew from triage.catalog.rule.schema()"


def test_the_schema_takes_no_id_and_lets_a_list_be_a_condition() -> None:
    shape = schema()
    assert "id" not in shape["properties"]
    assert {"map", "list"} == {
        "list" if option.get("type") == "array" else "map"
        for option in shape["$defs"]["Condition"]["anyOf"]
    }


def test_the_schema_knows_every_key_of_the_example() -> None:
    assert set(yaml.safe_load(DESIGN)) <= set(schema()["properties"])


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(written: str, length: timedelta) -> None:
    remediation = Remediation.model_validate(
        {"action": "none", "summary": "Nothing to do.", "template": "x", "repeat_interval": written}
    )
    assert remediation.repeat_interval == length


@pytest.mark.parametrize("written", ["", "h", "24", "1.5h", "-1h", "24 h", "1y", "٣h", 24])
def test_anything_else_is_no_duration(written: object) -> None:
    with pytest.raises(ValidationError, match=re.escape('such as "24h"')):
        Remediation.model_validate(
            {
                "action": "none",
                "summary": "Nothing to do.",
                "template": "x",
                "repeat_interval": written,
            }
        )


def test_a_list_of_conditions_means_any_of_them() -> None:
    listed = Condition.model_validate([{"literal": "first"}, {"literal": "second"}])
    assert [part.literal for part in listed.any] == ["first", "second"]


@pytest.mark.parametrize(
    "condition",
    [{}, [], {"pattern": "some words"}, {"requires": "some words"}, {"literal": "abc"}],
)
def test_a_condition_that_says_nothing_sure_is_refused(condition: object) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


def test_rules_are_immutable() -> None:
    assert Rule.model_config["frozen"]
    assert Rule.model_config["extra"] == "forbid"
