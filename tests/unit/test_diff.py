from __future__ import annotations

import json

import yaml

from triage.catalog.load import Catalog, RuleSource, load
from triage.diff import Diff

MAIL = b"""\
From: Northwind Alerts <alerts@northwind.example>
To: errors@example.com
Subject: Agent Connect alert
Date: Mon, 16 Nov 2026 09:00:00 +0000
Message-ID: <1@northwind.example>
X-SFDC-LK: 00D8x000001AbCd
X-SFDC-User: 0058x000001AbCd
Content-Type: text/plain; charset=utf-8

StellaConnect: something is wrong

https://northwind.my.salesforce.com/5008x000002AbCdAAK
"""
OTHER = MAIL.replace(b"something is wrong", b"another thing went wrong")
MAILS = [("one.eml", MAIL), ("other.eml", OTHER)]


def catalog(**changes: object) -> Catalog:
    entry = {
        "title": "Something is wrong with it",
        "status": "stable",
        "severity": "medium",
        "kinds": ["managed_package"],
        "disables_integration": "no",
        "references": ["a page"],
        "match": {"literal": "something is wrong"},
        "remediation": {"action": "reply", "summary": "Put it right again.", "template": "right"},
        "tests": {
            "matches": [{"name": "plain", "text": "something is wrong"}],
            "ignores": [{"name": "fine", "text": "something is well"}],
        },
    }
    text = yaml.safe_dump({**entry, **changes})
    return load([RuleSource("a/one", "rules/a/one.yaml", text)])


def lines(old: Catalog, new: Catalog, *, as_json: bool = False) -> tuple[list[str], str]:
    compared = Diff(old, new, None)
    return list(compared.lines(MAILS, as_json=as_json)), compared.summary()


def test_a_catalog_changes_nothing_beside_itself() -> None:
    assert lines(catalog(), catalog()) == ([], "0 of 2 mails changed")


def test_only_mails_that_are_judged_otherwise_have_a_line() -> None:
    found, summary = lines(catalog(), catalog(match={"literal": "thing went wrong"}))
    assert found == [
        "one.eml: known a/one -> not_ours",
        "other.eml: not_ours -> known a/one",
    ]
    assert summary == "2 of 2 mails changed: facts 2, findings 2, kind 2, verdict 2"


def test_a_finding_by_other_words_is_a_change_too() -> None:
    found, _ = lines(catalog(), catalog(match={"literal": "is wrong"}))
    assert found == ["one.eml: known a/one -> the same but for findings"]


def test_other_examples_change_no_mail() -> None:
    matches = [{"name": "another", "text": "something is wrong"}]
    ignores = [{"name": "fine", "text": "something is well"}]
    new = catalog(tests={"matches": matches, "ignores": ignores})
    assert lines(catalog(), new)[0] == []


def test_json_has_both_sides_and_what_differs() -> None:
    found, _ = lines(catalog(), catalog(status="experimental"), as_json=True)
    (entry,) = map(json.loads, found)
    assert entry["path"] == "one.eml"
    assert entry["changed"] == ["findings"]
    assert [entry[side]["findings"][0]["status"] for side in ("old", "new")] == [
        "stable",
        "experimental",
    ]
    assert "path" not in entry["old"]
