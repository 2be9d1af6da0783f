"""A Notification to a Judgement: which known errors it names, where, and whose code it is about.

- The match of a rule is judged over subject and text together; its evidence says where it holds.
- An `unless` takes away the evidence in the blocks where it holds (the subject counts into each),
  and all of it when no evidence is left in the text. Blocks are those of the rule's own evidence,
  so that no other rule has a say in it.
- A rule hides another that it `inhibits` in every block where both stand. The subject and a
  paragraph that only repeats it are headings: they belong to every block.
- An Apex exception mail reports one failure and is one block, its subject included.
- Records belong to the findings whose block holds them, else to those of the nearest block with
  findings above, else to the first finding.
"""

from __future__ import annotations

from collections import defaultdict

from triage.catalog.case import OUR_NAMESPACE, Case, Entry, Held
from triage.catalog.condition import Needles, Reading, Span, ready
from triage.catalog.extract import Extractors
from triage.catalog.fuzzy import Likeness, Phrases
from triage.catalog.load import Catalog
from triage.catalog.verdict import Judgement, Method, Owner, Tried, Where
from triage.mail.limits import DEFAULT
from triage.mail.message import Facts, Kind, Notification

MAX_SUBJECT = 4_000
"""Characters of a subject that are judged."""
MAX_TRIED = 5
_ALERT = "api error alert"
_PRODUCT = ("agentconnect", "stellaconnect", "agent connect", "stella connect")


class Matcher:
    """Judges notifications by one catalog. Built once; pickled as its catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        needles = Needles()
        self._entries = {
            rule.id: Entry(
                rule,
                ready(rule.match, needles),
                tuple(ready(condition, needles) for condition in rule.unless),
                Extractors(rule.extract),
            )
            for rule in catalog.rules.values()
        }
        self._by_needle: dict[int, list[Entry]] = defaultdict(list)
        for entry in self._entries.values():
            for needle in sorted(set(entry.match.needles())):
                self._by_needle[needle].append(entry)
        self._automaton = needles.automaton()
        self._phrases = Phrases(
            {r.id: (r.fuzzy.phrase, r.fuzzy.at_least) for r in catalog.rules.values() if r.fuzzy}
        )

    def __reduce__(self) -> tuple[type[Matcher], tuple[Catalog]]:
        return type(self), (self.catalog,)

    def known(self, text: str) -> bool:
        """Whether a known error that is reported in words of its own stands in this text.

        The whole match of a rule must hold; likeness does not count. Rules for Apex exception
        mails alone do not count either, as their head line tells those; rules for API error
        alerts alone count where that name and the product stand beside them.
        """
        text = text[: DEFAULT.notification_text]
        reading = Reading(self._automaton, "", text)
        if not reading.hits:
            return False
        words = reading.parts[-1][1].text
        kinds = {Kind.MANAGED_PACKAGE}
        if _ALERT in words and any(name in words for name in _PRODUCT):
            kinds.add(Kind.API_ERROR_ALERT)
        ours = OUR_NAMESPACE.casefold() in words
        return any(
            not kinds.isdisjoint(entry.rule.kinds)
            and (ours or entry.rule.namespace == "any")
            and entry.match.spans(reading)
            and not any(condition.spans(reading) for condition in entry.unless)
            for entry in self._candidates(reading)
        )

    def judge(self, notification: Notification) -> Judgement:
        """What the catalog says of the notification; raises nothing on any text.

        Of the text, `Limits.notification_text` characters are judged.
        """
        subject = notification.subject[:MAX_SUBJECT]
        text = notification.text[: DEFAULT.notification_text]
        reading = Reading(self._automaton, subject, text)
        case = Case(notification, subject, text, owner(notification.kind, notification.facts))
        held: list[Held] = []
        tried: list[Tried] = []
        for entry in self._candidates(reading):
            found = _tried(entry, reading, case)
            if isinstance(found, Tried):
                tried.append(found)
            else:
                held.append(found)
        if not held:
            held, alike = self._alike(reading, case)
            tried += alike
        findings, hidden = case.findings(reading, held)
        best: dict[str, Tried] = {}
        for one in sorted(tried, key=lambda one: (-one.score, one.rule)):
            best.setdefault(one.rule, one)
        return Judgement(findings, hidden, tuple(best.values())[:MAX_TRIED], case.owner)

    def _candidates(self, reading: Reading) -> list[Entry]:
        """The rules of which a literal was seen, by id."""
        found = {
            entry.rule.id: entry for needle in reading.hits for entry in self._by_needle[needle]
        }
        return [found[id_] for id_ in sorted(found)]

    def _alike(self, reading: Reading, case: Case) -> tuple[list[Held], list[Tried]]:
        """Rules whose phrase is nearly there."""
        held: dict[str, list[tuple[Span, Likeness]]] = defaultdict(list)
        tried: list[Tried] = []
        seen: set[Where] = set()
        for where, folded in reading.parts:
            if where in seen:  # the second way to read a hyphen; likeness bears the first
                continue
            seen.add(where)
            for like in self._phrases.search(folded.text):
                rule = self._entries[like.rule].rule
                span = Span(where, *folded.span(like.start, like.end), Method.FUZZY)
                if lacks := _unlike(like, case.words(span)) or case.refuses(rule):
                    tried.append(Tried(rule.id, lacks, like.score))
                else:
                    held[rule.id].append((span, like))
        found: list[Held] = []
        for id_, likes in sorted(held.items()):
            entry = self._entries[id_]
            kept = case.without_vetoed(entry, reading, [span for span, _ in likes])
            pairs = tuple((span, like) for span, like in likes if span in kept)
            if pairs:
                found.append(Held(entry, tuple(kept), pairs))
            else:
                tried.append(Tried(id_, "an `unless` holds", likes[0][1].score))
        return found, tried


def owner(kind: Kind, facts: Facts) -> Owner:
    """Whose code a notification is about (design 4.2)."""
    if kind in (Kind.MANAGED_PACKAGE, Kind.API_ERROR_ALERT):
        return Owner.OURS
    names = [name for name in (facts.class_name, *facts.frames) if name]
    spaces = {*facts.namespaces, *(name.partition(".")[0] for name in names)}
    if any(space.casefold() == OUR_NAMESPACE.casefold() for space in spaces):
        return Owner.OURS
    return Owner.FOREIGN if spaces else Owner.UNNAMED


def _unlike(like: Likeness, words: str) -> str:
    if like.opposite and like.score >= like.at_least:
        return f"says the opposite: {words!r}"
    if not like.holds:
        return f"likeness {like.score}, needs {like.at_least}: {words!r}"
    return ""


def _tried(entry: Entry, reading: Reading, case: Case) -> Held | Tried:
    """The rule where it holds, or what it lacks."""
    rule = entry.rule
    spans = entry.match.spans(reading)
    if not spans:
        lack = entry.match.lack(reading)
        return Tried(rule.id, lack.what, min(99, int(100 * lack.share)))
    if refused := case.refuses(rule):
        return Tried(rule.id, refused, 100)
    kept = case.without_vetoed(entry, reading, spans)
    return Held(entry, tuple(kept)) if kept else Tried(rule.id, "an `unless` holds", 100)
