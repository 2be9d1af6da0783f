"""`diff`: what a change of the catalog changes for mails. Sends, moves and stores nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import tee
from typing import Any

from triage.catalog.load import Catalog
from triage.classify import Named, lines
from triage.settings import Settings

_COMPARED = ("verdict", "kind", "findings", "facts", "authenticity", "tenant")
_DECIDED = ("actions", "recipients", "reason")


@dataclass(slots=True)
class Diff:
    """Judges mails by two catalogs. Without settings by content only, so that nothing is done."""

    old: Catalog
    new: Catalog
    settings: Settings | None
    mails: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """How many mails each key of `classify` differs in."""
    changed: int = 0

    def lines(self, named: Iterable[Named], *, as_json: bool) -> Iterator[str]:
        """A line for each mail that is judged otherwise, in order."""
        first, second = tee(named)
        judged = zip(
            lines(self.old, self.settings, first, as_json=True),
            lines(self.new, self.settings, second, as_json=True),
            strict=True,
        )
        for one, other in judged:
            old, new = json.loads(one), json.loads(other)
            self.mails += 1
            keys = [key for key in (*_COMPARED, *_DECIDED) if old[key] != new[key]]
            if keys:
                self.changed += 1
                self.changes.update(keys)
                yield _json(old, new, keys) if as_json else _text(old, new, keys)

    def summary(self) -> str:
        """How many mails changed, and in what."""
        counted = ", ".join(f"{key} {count}" for key, count in sorted(self.changes.items()))
        return f"{self.changed} of {self.mails} mails changed" + (f": {counted}" if counted else "")


def _json(old: Mapping[str, Any], new: Mapping[str, Any], keys: list[str]) -> str:
    entry = {"path": old["path"], "changed": keys, "old": dict(old), "new": dict(new)}
    for side in ("old", "new"):
        del entry[side]["path"]
    return json.dumps(entry, ensure_ascii=False)


def _text(old: Mapping[str, Any], new: Mapping[str, Any], keys: list[str]) -> str:
    before, after = _said(old), _said(new)
    if before == after:  # the same entries, found or decided in another way
        after = f"the same but for {', '.join(keys)}"
    return f"{old['path']}: {before} -> {after}"


def _said(entry: Mapping[str, Any]) -> str:
    rules = [f["rule"] + (" (drifted)" if f["drifted"] else "") for f in entry["findings"]]
    parts = [entry["verdict"], ", ".join(rules), "+".join(entry["actions"])]
    return " ".join(part for part in parts if part)
