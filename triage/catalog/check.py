"""What is wrong with entries that can be loaded: the catalog's own tests, and what stands between.

Faults are promises that are not kept. Warnings are worth a look: an entry that is tried on too
many mails, an example that passes for another reason than it seems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from triage.catalog.condition import Needles, Reading, ready
from triage.catalog.fold import fold
from triage.catalog.load import Catalog, Fault, fault_at
from triage.catalog.match import Matcher
from triage.catalog.overlap import atoms, large, shadows
from triage.catalog.positions import Path
from triage.catalog.rule import Example, Rule
from triage.catalog.trial import Library, NoMail, OpenMail, Trial, found
from triage.mail.message import Kind, Notification

_FEW = 50
"""Texts of examples, below which a share of them says nothing."""
_OFTEN = 4
"""In one of so many texts an entry may be tried in vain."""
_LETTERS = re.compile(r"[^\W\d_]{4,}")
_ESCAPES = re.compile(r"\\.")
_STEM = 4
"""Letters that make two words alike: lock, locked."""


def check(
    catalog: Catalog, mail: OpenMail, template_exists: Callable[[str], bool]
) -> tuple[Fault, ...]:
    """What the entries promise and do not keep, sorted by file and line; empty when all is well.

    No positive example may match another entry unless one of the two inhibits the other.
    """
    matcher = Matcher(catalog)
    library = Library(mail, matcher.known)
    trial = Trial(catalog.rules, matcher, library, library.notifications)
    faults: list[Fault] = []
    for rule in catalog.rules.values():
        place = catalog.places[rule.id]
        template = rule.remediation.template
        if not template_exists(template):
            message = f"no template `{template}` for replies"
            faults.append(place.fault(("remediation", "template"), message))
        faults += (
            replace(place.fault(one.path, one.message), warning=one.warning)
            for one in trial.of(rule)
        )
        for number, condition in enumerate((rule.match, *rule.unless)):
            path: Path = ("unless", number - 1) if number else ("match",)
            faults += (fault_at(place, *slow) for slow in large(condition, path))
    for rule, path, message in shadows(catalog.rules):
        faults.append(fault_at(catalog.places[rule.id], path, message))
    for rule, path, message in _Doubts(catalog, library).all():
        fault = fault_at(catalog.places[rule.id], path, message)
        faults.append(replace(fault, warning=True))
    return tuple(sorted(faults, key=lambda fault: (fault.file, fault.line, fault.message)))


@dataclass(slots=True)
class _Doubts:
    """What is worth a look."""

    catalog: Catalog
    library: Library

    def all(self) -> Iterator[tuple[Rule, Path, str]]:
        """Of which entry, where in it, and what."""
        for rule in self.catalog.rules.values():
            for number, example in enumerate(rule.tests.ignores):
                path: Path = ("tests", "ignores", number)
                for message in self._wrong_reason(rule, example):
                    yield rule, path, f"`{example.name}`: {message}"
        yield from self._often()

    def _wrong_reason(self, rule: Rule, example: Example) -> Iterator[str]:
        """A near miss that is far away, or that only its kind keeps apart without saying so."""
        try:
            texts = self._texts(rule, example)
            notifications = self.library.notifications(rule, example)
        except NoMail:
            return  # the trial says so
        stems = _stems(rule)
        if far := [text for text in texts if stems.isdisjoint(_stems_of(text))]:
            which = f"{' '.join(far[0].split())[:60]!r} " if example.texts else ""
            yield f"{which}holds no word of the entry, so that it shows nothing; take a near miss"
        if example.kind is None:
            for notification in notifications:
                if notification.kind not in rule.kinds and _only_kind(rule, notification):
                    yield f"is ignored only as {notification.kind}; say `kind:` if that is meant"

    def _texts(self, rule: Rule, example: Example) -> list[str]:
        if example.mail is None:
            return [f"{example.subject}\n{wording}" for wording in example.wordings]
        mail = self.library.mail(example.mail).mail
        notifications = self.library.notifications(rule, example)
        inner = [f"{one.subject}\n{one.text}" for one in notifications]
        inner += [f"{one.subject}\n{one.newest}" for one in mail.attached]
        return ["\n".join([mail.subject, mail.newest, *(f.text for f in mail.forwards), *inner])]

    def _often(self) -> Iterator[tuple[Rule, Path, str]]:
        """Entries that are tried in vain on many texts, as what they require stands in them.

        Counted on the examples of all entries, so that the answer is the same on every machine.
        """
        needles = Needles()
        ready_rules = [(rule, ready(rule.match, needles)) for rule in self.catalog.rules.values()]
        automaton = needles.automaton()
        texts = {(one.subject, one.text) for rule, _ in ready_rules for one in self._examples(rule)}
        if len(texts) < _FEW:
            return
        in_vain = dict.fromkeys(self.catalog.rules, 0)
        for subject, text in texts:
            reading = Reading(automaton, subject, text)
            for rule, match in ready_rules:
                if not reading.hits.keys().isdisjoint(match.needles()):
                    in_vain[rule.id] += not match.spans(reading)
        for rule, _ in ready_rules:
            if in_vain[rule.id] * _OFTEN > len(texts):
                message = (
                    f"slow: tried in vain on {in_vain[rule.id]} of {len(texts)} texts of all "
                    "examples; let its patterns require something rarer"
                )
                yield rule, ("match",), message

    def _examples(self, rule: Rule) -> Iterator[Notification]:
        for example in (*rule.tests.matches, *rule.tests.ignores):
            try:
                yield from self.library.notifications(rule, example)
            except NoMail:
                continue


def _only_kind(rule: Rule, notification: Notification) -> bool:
    """Whether the rule would hold if it were for all kinds."""
    open_ = rule.model_copy(update={"kinds": tuple(Kind), "namespace": "any", "inhibits": ()})
    judgement = Matcher(Catalog({rule.id: open_}, "", {})).judge(notification)
    return found(open_, judgement) is not None


def _stems(rule: Rule) -> set[str]:
    """The beginnings of all words that the entry looks for."""
    words = [rule.fuzzy.phrase] if rule.fuzzy else []
    for literal, pattern in atoms(rule.match):
        words += [literal, _ESCAPES.sub(" ", pattern or "")]
    for condition in rule.unless:
        words += [literal for literal, _ in atoms(condition)]
    return {stem for text in words for stem in _stems_of(text)}


def _stems_of(text: str) -> set[str]:
    return {word[:_STEM] for word in _LETTERS.findall(fold(text).text)}
