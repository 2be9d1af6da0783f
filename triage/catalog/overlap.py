"""What can be told of entries from their conditions alone: which one says what another says.

An entry implies another when whatever holds it also holds the other, in the same place: its
literal holds the other's literal, or every match of its pattern does (`pattern.proves`). What
this says is certain; what only examples show is found by trying them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from ahocorasick_rs import AhoCorasick

from triage.catalog.fold import fold
from triage.catalog.pattern import compiled, proves
from triage.catalog.positions import Path
from triage.catalog.rule import Condition, Rule

MAX_PROGRAM = 5_000
"""Instructions of RE2 in one pattern: counted repetitions are written out, and large programs
leave the fast path of RE2."""


def implies(one: Condition, other: Condition) -> bool:
    """Whether `other` holds wherever `one` does. True is certain."""
    if one.any and not (one.literal or one.pattern or one.all):
        return all(implies(part, other) for part in one.any)
    needed = [other.literal is None or _holds_literal(one, other.literal)]
    needed.append(other.pattern is None or _holds_pattern(one, other.pattern))
    needed.append(not other.any or any(implies(one, part) for part in other.any))
    needed += [implies(one, part) for part in other.all]
    return all(needed)


def _holds_literal(one: Condition, literal: str) -> bool:
    words = fold(literal).text.replace("\n", " ")
    if one.literal is not None and words in fold(one.literal).text.replace("\n", " "):
        return True
    if one.pattern is not None and proves(one.pattern, words):
        return True
    return _part_holds(one, Condition(literal=literal))


def _holds_pattern(one: Condition, pattern: str) -> bool:
    if one.pattern == pattern:
        return True
    return _part_holds(one, Condition.model_construct(pattern=pattern))


def _part_holds(one: Condition, other: Condition) -> bool:
    return any(implies(part, other) for part in one.all) or (
        bool(one.any) and all(implies(part, other) for part in one.any)
    )


def shadows(rules: Mapping[str, Rule]) -> Iterator[tuple[Rule, Path, str]]:
    """Entries that stand in the way of others: of which entry, where in it, and what.

    An entry that another one implies and inhibits can never be seen. Of two that are implied and
    know nothing of each other, both are found each time.
    """
    for rule, other in _near(rules):
        kinds = [kind for kind in rule.kinds if kind in other.kinds]
        seen = rule.namespace != "any" or other.namespace == "any"
        if other.unless or not kinds or not seen or not implies(rule.match, other.match):
            continue
        if rule.id in other.inhibits:
            which = "" if len(kinds) == len(rule.kinds) else f" as {', '.join(kinds)}"
            message = f"can never be seen{which}: {other.id} holds wherever it does, and hides it"
            yield rule, ("match",), message
        elif other.id not in rule.inhibits:
            message = f"{other.id} holds wherever this does; let this one inhibit it"
            yield rule, ("match",), message


def _near(rules: Mapping[str, Rule]) -> Iterator[tuple[Rule, Rule]]:
    """Pairs of which the first has words of the second."""
    numbers: dict[str, int] = {}
    having: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules.values():
        for words in dict.fromkeys(fold(w).text for w, _ in atoms(rule.match)):
            having[numbers.setdefault(words, len(numbers))].append(rule)
    automaton = AhoCorasick(list(numbers))
    for rule in rules.values():
        near: dict[str, Rule] = {}
        for words, pattern in atoms(rule.match):
            for text in (fold(words).text, (pattern or "").casefold()):
                for number in automaton.find_matches_as_indexes(text, overlapping=True):
                    near |= {other.id: other for other in having[number[0]]}
        yield from ((rule, near[id_]) for id_ in sorted(near) if id_ != rule.id)


def atoms(condition: Condition) -> Iterator[tuple[str, str | None]]:
    """The literals, and the patterns with what they require."""
    if condition.literal is not None:
        yield condition.literal, None
    if condition.pattern is not None:
        yield condition.requires or "", condition.pattern
    for part in (*condition.any, *condition.all):
        yield from atoms(part)


def large(condition: Condition, path: Path) -> Iterator[tuple[Path, str]]:
    """Patterns whose programs are so large that they are slow."""
    if condition.pattern is not None:
        size = compiled(condition.pattern, ignore_case=True).programsize
        if size > MAX_PROGRAM:
            message = (
                f"slow: the pattern makes {size} instructions, at most {MAX_PROGRAM} are fine; "
                "repeat fewer times"
            )
            yield (*path, "pattern"), message
    for key in ("any", "all"):
        for number, part in enumerate(getattr(condition, key)):
            yield from large(part, (*path, key, number))
