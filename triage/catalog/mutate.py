"""How well the examples of an entry guard it: its mutation score.

Each literal, pattern, alternative, `unless`, extractor, fuzzy phrase, kind, namespace and
inhibition is dropped or altered, one at a time. The entry's own examples must notice: they must
say something that they do not say of the entry as it is. What they do not notice survives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from triage.catalog.alter import conditions, patterns
from triage.catalog.load import RECORD_IDS, Catalog, Fault, fault_at
from triage.catalog.match import Matcher
from triage.catalog.positions import Path
from triage.catalog.rule import Condition, Example, Extractor, Fuzzy, Rule, Status
from triage.catalog.trial import Library, NoMail, OpenMail, Trial, of_kind
from triage.mail import unwrap
from triage.mail.message import Kind, Notification

ENOUGH = 95
"""Percent of its mutants that a stable entry must notice."""
_KINDS = (Kind.MANAGED_PACKAGE, Kind.APEX_EXCEPTION, Kind.API_ERROR_ALERT)
_LOOSEST = 70
"""What `at_least` may be at least."""


class Mutant(NamedTuple):
    """An entry with one thing altered."""

    path: Path
    what: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Score:
    """How many mutants of an entry its examples notice."""

    rule: Rule
    mutants: int
    survivors: tuple[Fault, ...]

    @property
    def percent(self) -> float:
        """100 when there is nothing to alter."""
        return 100 * (self.mutants - len(self.survivors)) / self.mutants if self.mutants else 100.0

    @property
    def enough(self) -> bool:
        """Whether an entry of this status may stay as it is."""
        return self.rule.status is not Status.STABLE or self.percent >= ENOUGH


def mutate(catalog: Catalog, mail: OpenMail) -> Iterator[Score]:
    """The score of each entry, in order. The catalog must be free of faults."""
    matcher = Matcher(catalog)
    library = Library(mail, matcher.known)
    for rule in catalog.rules.values():
        guard = _Guard(catalog, matcher, library, rule)
        place = catalog.places[rule.id]
        all_ = list(mutants(rule))
        survivors = tuple(
            fault_at(place, one.path, f"no example notices: {one.what}")
            for one in all_
            if not guard.notices(one.rule)
        )
        yield Score(rule, len(all_), survivors)


def report(scores: Iterable[Score]) -> Iterator[str]:
    """The scores as lines of text, each entry's survivors below it."""
    total = caught = 0
    for score in scores:
        total += score.mutants
        caught += score.mutants - len(score.survivors)
        low = "" if score.enough else f"  below {ENOUGH} %"
        noticed = f"{score.mutants - len(score.survivors)} of {score.mutants}"
        yield f"{score.percent:5.1f} %  {noticed:>10}  {score.rule.status:<12} {score.rule.id}{low}"
        yield from (f"    {fault}" for fault in score.survivors)
    if total:
        yield f"{100 * caught / total:5.1f} %  {caught} of {total} mutants are noticed"


class _Guard:
    """The examples of one rule, before which its mutants are brought.

    Only the entries that have a say in these examples stand beside the rule.
    """

    def __init__(self, catalog: Catalog, matcher: Matcher, library: Library, rule: Rule) -> None:
        self._library = library
        self._rule = rule
        self._others = self._partners(catalog, matcher)
        self._as_it_is = Matcher(Catalog({**self._others, rule.id: rule}, "", {}))
        self._said = set(self._trial(rule).of(rule))

    def notices(self, mutant: Rule) -> bool:
        """Whether an example says something that it does not say of the rule itself."""
        return any(one not in self._said for one in self._trial(mutant).of(mutant))

    def _trial(self, rule: Rule) -> Trial:
        rules = dict(sorted({**self._others, rule.id: rule}.items()))
        matcher = Matcher(Catalog(rules, "", {}))
        return Trial(rules, matcher, self._library, partial(self._notifications, matcher))

    def _partners(self, catalog: Catalog, matcher: Matcher) -> Mapping[str, Rule]:
        ids = {*self._rule.inhibits}
        ids |= {one.id for one in catalog.rules.values() if self._rule.id in one.inhibits}
        for example in (*self._rule.tests.matches, *self._rule.tests.ignores):
            try:
                notifications = self._library.notifications(self._rule, example)
            except NoMail:
                continue
            for judgement in map(matcher.judge, notifications):
                ids |= {one.rule for one in (*judgement.findings, *judgement.hidden)}
                ids |= {one.rule for one in judgement.tried}
        return {id_: catalog.rules[id_] for id_ in ids - {self._rule.id}}

    def _notifications(
        self, matcher: Matcher, _: Rule, example: Example
    ) -> tuple[Notification, ...]:
        """Of an example, in the kinds of the rule as it is, found in its mail by this matcher."""
        if example.mail is None:
            return self._library.notifications(self._rule, example)

        def known(text: str) -> bool:
            """As the whole catalog knows it, with the mutant in the place of the rule."""
            others = self._library.known(text) and not self._as_it_is.known(text)
            return others or matcher.known(text)

        read = self._library.mail(example.mail)
        if all(known(text) == answer for text, answer in read.asked.items()):
            return of_kind(read.unwrapped, example)
        return of_kind(unwrap.notifications(read.mail, known), example)


def mutants(rule: Rule) -> Iterator[Mutant]:
    """The rule with one thing altered, in turn, where that could change a verdict."""
    for path, what, match in conditions(rule.match, ("match",)):
        yield Mutant(path, what, _changed(rule, match=match))
    yield from _unless(rule)
    yield from _extractors(rule)
    yield from _fuzzy(rule, rule.fuzzy)
    for kind in _KINDS:
        others = tuple(one for one in rule.kinds if one is not kind)
        if kind not in rule.kinds:
            yield Mutant(("kinds",), f"also for {kind}", _changed(rule, kinds=(*others, kind)))
        elif others:
            yield Mutant(("kinds",), f"not for {kind}", _changed(rule, kinds=others))
    if Kind.APEX_EXCEPTION in rule.kinds:  # all others are ours
        other = "ours" if rule.namespace == "any" else "any"
        yield Mutant(("namespace",), f"namespace {other}", _changed(rule, namespace=other))
    for number, target in enumerate(rule.inhibits):
        left = tuple(one for one in rule.inhibits if one != target)
        what = f"{target} is not hidden"
        yield Mutant(("inhibits", number), what, _changed(rule, inhibits=left))


def _unless(rule: Rule) -> Iterator[Mutant]:
    for number, condition in enumerate(rule.unless):
        path: Path = ("unless", number)

        def without(*instead: Condition, at: int = number) -> Rule:
            return _changed(rule, unless=(*rule.unless[:at], *instead, *rule.unless[at + 1 :]))

        yield Mutant(path, "without it", without())
        for where, what, changed in conditions(condition, path):
            yield Mutant(where, what, without(changed))


def _extractors(rule: Rule) -> Iterator[Mutant]:
    for name, extractor in rule.extract.items():
        path: Path = ("extract", name)

        def instead(changed: Extractor | None, at: str = name) -> Rule:
            new = {**rule.extract, at: changed}
            return _changed(rule, extract={key: value for key, value in new.items() if value})

        # The ids of records are read whether or not an entry asks for them.
        if extractor.required or name != RECORD_IDS or extractor.kind != "record":
            yield Mutant(path, "without it", instead(None))
        flipped = extractor.model_copy(update={"required": not extractor.required})
        what = "not required" if extractor.required else "required"
        yield Mutant((*path, "required"), what, instead(flipped))
        for altered in patterns(extractor.pattern or ""):
            changed = extractor.model_copy(update={"pattern": altered.pattern})
            yield Mutant((*path, "pattern"), altered.what, instead(changed))


def _fuzzy(rule: Rule, fuzzy: Fuzzy | None) -> Iterator[Mutant]:
    if fuzzy is None:
        return
    yield Mutant(("fuzzy",), "without it", _changed(rule, fuzzy=None))
    if fuzzy.at_least > _LOOSEST:
        looser = fuzzy.model_copy(update={"at_least": _LOOSEST})
        what = f"at least {_LOOSEST}"
        yield Mutant(("fuzzy", "at_least"), what, _changed(rule, fuzzy=looser))


def _changed(rule: Rule, **changes: object) -> Rule:
    return rule.model_copy(update=changes)
