"""Facts of a finding, read from the original text; folding destroys ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, assert_never

from triage.catalog.pattern import compiled
from triage.catalog.rule import Extractor
from triage.catalog.verdict import FactValue
from triage.mail.identifiers import record_ids
from triage.mail.message import Notification

MAX_FACT = 500
"""Characters of one fact."""


class Record(NamedTuple):
    """A failing record that a notification names."""

    id: str
    """18 characters."""
    start: int
    """Where it stands in the text, -1 when only HTML or subject name it."""


def records(notification: Notification, text: str) -> tuple[Record, ...]:
    """Every mention of a failing record in order of appearance, those without a place last."""
    if not notification.facts.record_ids and not any(link.record_id for link in notification.links):
        return ()
    placed = {Record(id_, start) for id_, start in record_ids(text)}
    placed |= {
        Record(link.record_id, link.start)
        for link in notification.links
        if link.record_id and 0 <= link.start < len(text)
    }
    found = sorted(placed, key=lambda record: (record.start, record.id))
    named = {record.id for record in found}
    others = [link.record_id for link in notification.links if link.record_id]
    others += notification.facts.record_ids
    found += (Record(id_, -1) for id_ in dict.fromkeys(others) if id_ not in named)
    return tuple(found)


class Extractors:
    """The extractors of one rule."""

    def __init__(self, extractors: Mapping[str, Extractor]) -> None:
        self._extractors = extractors
        self._patterns: dict[str, Any] = {}

    def facts(
        self, notification: Notification, texts: Sequence[str], ids: Iterable[str]
    ) -> dict[str, FactValue]:
        """The facts that are there. `texts` are searched in turn; `ids` are the records."""
        found: dict[str, FactValue] = {}
        own = tuple(dict.fromkeys(ids))
        if own:
            found["record_ids"] = own
        for name, extractor in self._extractors.items():
            value = self._value(extractor, notification, texts, own)
            if value:
                found[name] = value
        return found

    def missing(self, facts: Mapping[str, FactValue]) -> bool:
        """Whether a required fact is not there."""
        return any(e.required and not facts.get(name) for name, e in self._extractors.items())

    def _value(
        self,
        extractor: Extractor,
        notification: Notification,
        texts: Sequence[str],
        own: tuple[str, ...],
    ) -> FactValue | None:
        facts = notification.facts
        match extractor.kind:
            case "record":
                return own
            case "org":
                return facts.org_ids[0] if facts.org_ids else None
            case "user":
                return facts.user_id
            case "job":
                return facts.job_id
            case "class":
                return facts.class_name
            case "text":
                return self._text(extractor.pattern or "", texts)
            case unknown:
                assert_never(unknown)

    def _text(self, pattern: str, texts: Sequence[str]) -> str | None:
        """The first group that is not empty, its white space made single blanks."""
        search = self._search(pattern)
        for text in texts:
            for match in islice(search(text), 20):
                if value := " ".join((match.group(1) or "").split()):
                    return value[:MAX_FACT]
        return None

    def _search(self, pattern: str) -> Callable[[str], Iterable[Any]]:
        if pattern not in self._patterns:
            self._patterns[pattern] = compiled(pattern, ignore_case=False)
        found: Callable[[str], Iterable[Any]] = self._patterns[pattern].finditer
        return found
