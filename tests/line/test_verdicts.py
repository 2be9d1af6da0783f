"""Every fixture mail gets the verdict, the facts and the decision that its author wrote down."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from triage.adapters.files import read_catalog
from triage.classify import Classifier, classifier
from triage.settings import load, shipped

EMAILS = shipped("fixtures") / "emails"
EXPECTED = [json.loads(line) for line in (EMAILS / "expected.jsonl").read_text().splitlines()]
KEYS = {
    *("path", "kind", "verdict", "findings", "facts", "authenticity", "tenant", "actions"),
    *("recipients", "reason", "classifier_version"),
}


@cache
def _classifier(*, configured: bool) -> Classifier:
    path = shipped("fixtures") / "triage.toml"
    return classifier(read_catalog(), load(path) if configured else None)


def _entry(path: str, *, configured: bool) -> dict[str, Any]:
    octets = (EMAILS / path).read_bytes()
    return json.loads(_classifier(configured=configured).json_line(path, octets))


@pytest.mark.parametrize("promise", EXPECTED, ids=lambda promise: promise["path"])
def test_fixture_is_judged_and_decided_as_its_author_promised(promise: dict[str, Any]) -> None:
    entry = _entry(promise["path"], configured=True)
    entry["rules"] = sorted(f["rule"] for f in entry["findings"])
    entry["record_ids"] = sorted(entry["facts"]["record_ids"])
    promise = {k: sorted(v) if k in {"rules", "record_ids"} else v for k, v in promise.items()}
    assert {key: entry[key] for key in promise} == promise


@pytest.mark.parametrize("path", [p["path"] for p in EXPECTED])
def test_without_configuration_nothing_would_be_done_and_nobody_named(path: str) -> None:
    entry = _entry(path, configured=False)
    assert entry.keys() == KEYS
    assert (entry["authenticity"], entry["tenant"]) == ("none", None)
    assert (entry["actions"], entry["recipients"]) == ([], [])
    assert entry["reason"] == "no_configuration"


def test_no_mail_that_is_forged_or_not_ours_is_answered() -> None:
    for promise in EXPECTED:
        entry = _entry(promise["path"], configured=True)
        if entry["verdict"] in {"not_ours", "suspicious", "unreadable"}:
            assert "reply" not in entry["actions"], promise["path"]


def test_replies_go_only_to_people_that_the_operator_or_entitlement_names() -> None:
    settings = load(shipped("fixtures") / "triage.toml")
    tenants = settings.all_tenants()
    for promise in EXPECTED:
        for recipient in _entry(promise["path"], configured=True)["recipients"]:
            entitled = tenants.by_contact(recipient) or tenants.by_domain(
                recipient.rpartition("@")[2]
            )
            assert entitled or recipient in settings.support.contacts, promise["path"]


def test_the_same_octets_give_the_same_line(tmp_path: Path) -> None:
    path = EXPECTED[0]["path"]
    again = tmp_path / "again.eml"
    again.write_bytes((EMAILS / path).read_bytes())
    lines = {
        classifier(read_catalog(), None).json_line("same", file.read_bytes())
        for file in (EMAILS / path, again)
    }
    assert len(lines) == 1
