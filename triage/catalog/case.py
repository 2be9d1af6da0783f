"""One notification while it is judged: from the rules that hold to findings with their facts."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from triage.catalog.blocks import HEADING, Layout
from triage.catalog.condition import Check, Reading, Span
from triage.catalog.extract import Extractors, Record, records
from triage.catalog.fuzzy import Likeness
from triage.catalog.rule import Rule
from triage.catalog.verdict import Evidence, Finding, Method, Owner, Where
from triage.mail.message import Kind, Notification

OUR_NAMESPACE = "StellaConnect"


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule made ready."""

    rule: Rule
    match: Check
    unless: tuple[Check, ...]
    extractors: Extractors


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds, and where."""

    entry: Entry
    spans: tuple[Span, ...]
    likeness: tuple[tuple[Span, Likeness], ...] = ()
    """Where it holds by likeness only."""
    inhibited_by: str | None = None

    @property
    def id(self) -> str:
        """Of the rule."""
        return self.entry.rule.id


class Case:
    """One notification while it is judged."""

    def __init__(self, notification: Notification, subject: str, text: str, whose: Owner) -> None:
        self.owner = whose
        self._notification = notification
        self._original: Mapping[Where, str] = {Where.SUBJECT: subject, Where.TEXT: text}
        self._all_records: tuple[Record, ...] | None = None

    @property
    def _records(self) -> tuple[Record, ...]:
        if self._all_records is None:
            self._all_records = records(self._notification, self._original[Where.TEXT])
        return self._all_records

    def words(self, span: Span) -> str:
        """The original words."""
        return self._original[span.where][span.start : span.end]

    def refuses(self, rule: Rule) -> str:
        """Why the rule is none for this notification, whatever it says; "" when it may be."""
        kind = self._notification.kind
        if kind not in rule.kinds:
            return f"is for {', '.join(rule.kinds)}, not for {kind}"
        if rule.namespace == "ours" and self.owner is not Owner.OURS:
            return f"is only for {OUR_NAMESPACE}"
        return ""

    def without_vetoed(self, entry: Entry, reading: Reading, spans: list[Span]) -> list[Span]:
        """The evidence that no `unless` takes away; empty when what is left does not hold."""
        vetoes = [condition for condition in entry.unless if condition.spans(reading)]
        if not vetoes:
            return spans
        layout = self._layout(spans)
        numbers = {layout.number(span) for span in spans}
        vetoed = {n for n in numbers if any(c.spans(reading, layout.within(n)) for c in vetoes)}
        if not numbers - vetoed - {HEADING}:
            return []
        left = {span for span in spans if layout.number(span) not in vetoed}
        return _holding(entry, reading, left)

    def findings(
        self, reading: Reading, held: Sequence[Held]
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """What is found and what another rule hides, each in order of appearance."""
        if not held:
            return (), ()
        layout = self._layout([span for one in held for span in one.spans])
        settled = [_inhibit(one, held, reading, layout) for one in held]
        settled.sort(key=lambda one: min(_place(span) for span in one.spans))
        visible = [one for one in settled if one.inhibited_by is None]
        hidden = [one for one in settled if one.inhibited_by is not None]
        shared = _share_out(self._records, visible, layout, strays=True)
        inner = _share_out(self._records, hidden, layout, strays=False)
        return (
            tuple(self._finding(one, layout, shared[one.id]) for one in visible),
            tuple(self._finding(one, layout, inner[one.id]) for one in hidden),
        )

    def _layout(self, spans: Iterable[Span]) -> Layout:
        return Layout(
            self._original[Where.SUBJECT],
            self._original[Where.TEXT],
            errors=[span.start for span in spans if span.where is Where.TEXT],
            records=[record.start for record in self._records if record.start >= 0],
            whole=self._notification.kind is Kind.APEX_EXCEPTION,
        )

    def _finding(self, held: Held, layout: Layout, ids: Iterable[str]) -> Finding:
        rule = held.entry.rule
        numbers = sorted({layout.number(span) for span in held.spans} - {HEADING})
        own = [layout.text(number) for number in numbers]
        texts = [*own, self._original[Where.TEXT], self._original[Where.SUBJECT]]
        facts = held.entry.extractors.facts(self._notification, texts, ids)
        scores = {span: like.score for span, like in held.likeness}
        return Finding(
            rule=rule.id,
            status=rule.status,
            severity=rule.severity,
            evidence=tuple(
                Evidence(s.method, self.words(s), s.where, s.start, s.end, scores.get(s, 100))
                for s in _outermost(held.spans)
            ),
            facts=facts,
            drifted=held.entry.extractors.missing(facts),
            near_exact=all(like.near_exact for _, like in held.likeness),
            inhibited_by=held.inhibited_by,
        )


def _holding(entry: Entry, reading: Reading, left: AbstractSet[Span]) -> list[Span]:
    """The evidence by which the rule still holds when only this is left of it."""
    if any(span.method is Method.FUZZY for span in left):
        return sorted(left, key=_place)
    return entry.match.spans(reading, left.__contains__)


def _inhibit(one: Held, held: Sequence[Held], reading: Reading, layout: Layout) -> Held:
    """The rule without what others hide of it, or hidden as a whole."""
    hiding = [other for other in held if one.id in other.entry.rule.inhibits]
    if not hiding:
        return one
    # A heading stands over every block, those of the others too.
    struck = {HEADING, *(layout.block(span) for other in hiding for span in other.spans)}
    left = {span for span in one.spans if layout.block(span) not in struck}
    spans = _holding(one.entry, reading, left)
    if not spans:
        return replace(one, inhibited_by=hiding[0].id)
    likeness = tuple(pair for pair in one.likeness if pair[0] in left)
    return replace(one, spans=tuple(spans), likeness=likeness)


def _share_out(
    found: Sequence[Record], held: Sequence[Held], layout: Layout, *, strays: bool
) -> dict[str, list[str]]:
    """The ids of each rule's records; `strays` stand in no block with a rule."""
    by_number: dict[int, dict[str, None]] = defaultdict(dict)
    for one in held:
        for span in one.spans:
            by_number[layout.number(span)][one.id] = None
    numbers = sorted(by_number)
    shared: dict[str, list[str]] = {one.id: [] for one in held}
    for record in found:
        number = layout.number_at(record.start) if record.start >= 0 else HEADING
        above = bisect_right(numbers, number)
        if record.start >= 0 and above and (strays or numbers[above - 1] == number):
            rules: Iterable[str] = by_number[numbers[above - 1]]
        else:
            rules = [one.id for one in held[:1]] if strays else ()
        for rule in rules:
            shared[rule].append(record.id)
    return shared


def _place(span: Span) -> tuple[bool, int, int]:
    return span.where is Where.TEXT, span.start, -span.end


def _outermost(spans: Iterable[Span]) -> list[Span]:
    """In order, without those that stand inside another one."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda span: (*_place(span), span.method)):
        if not kept or span.where is not kept[-1].where or span.end > kept[-1].end:
            kept.append(span)
    return kept
