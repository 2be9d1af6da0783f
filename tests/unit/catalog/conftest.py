"""Tiny catalogs and notifications."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from triage.catalog.load import Catalog, RuleSource, load
from triage.catalog.match import Matcher
from triage.mail import facts, identifiers
from triage.mail.message import Kind, Notification, Route

BASE = {
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
        "ignores": [{"name": "fine", "text": "all is well"}],
    },
}

Entry = Callable[..., RuleSource]
Build = Callable[..., Matcher]
Make = Callable[..., Notification]


def make_entry(id_: str = "a/one", **changes: object) -> RuleSource:
    text = yaml.safe_dump({**BASE, **changes}, allow_unicode=True, sort_keys=False)
    return RuleSource(id=id_, file=f"rules/{id_}.yaml", text=text)


def make_catalog(**rules: dict[str, object]) -> Catalog:
    """Rules by a name; `queue` becomes the id `a/queue`."""
    return load(make_entry(f"a/{name}", **changes) for name, changes in rules.items())


def make_notification(
    text: str, subject: str = "", kind: Kind = Kind.MANAGED_PACKAGE
) -> Notification:
    links = identifiers.links(text)
    return Notification(
        kind=kind,
        route=Route.DIRECT,
        subject=subject,
        text=text,
        links=links,
        facts=facts.read(subject, text, links),
    )


@pytest.fixture(scope="session")
def entry() -> Entry:
    return make_entry


@pytest.fixture(scope="session")
def catalog_of() -> Callable[..., Catalog]:
    return make_catalog


@pytest.fixture(scope="session")
def matcher_of() -> Build:
    return lambda **rules: Matcher(make_catalog(**rules))


@pytest.fixture(scope="session")
def notification() -> Make:
    return make_notification
