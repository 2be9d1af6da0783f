"""The texts of the catalog's files to a Catalog, or every fault in them with its place."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from triage.catalog.fold import fold
from triage.catalog.pattern import PatternError, compiled, never_folded, proves
from triage.catalog.positions import Fault, Path, Place, read
from triage.catalog.rule import Condition, Rule

__all__ = ["Catalog", "CatalogFaults", "Fault", "RuleSource", "fault_at", "load"]

RECORD_IDS = "record_ids"
"""The fact that every finding may have without asking for it."""
_MIN_FOLDED = 4
_ID = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class RuleSource:
    """The text of one file."""

    id: str
    """Its path below rules/ without its ending: `agent_connect/employee_is_queue`."""
    file: str
    """As it is named in faults."""
    text: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All known errors, free of faults."""

    rules: Mapping[str, Rule]
    """By id, sorted by it."""
    digest: str
    """First 12 hexadecimal digits of the SHA-256 of what the entries say."""
    places: Mapping[str, Place]
    """Of each rule: its file and the lines of its keys."""


class CatalogFaults(Exception):  # noqa: N818 - it holds several
    """The files are no catalog; `faults` names everything that is wrong, by file and line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults

    def __reduce__(self) -> tuple[type[CatalogFaults], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)


def load(sources: Iterable[RuleSource]) -> Catalog:
    """The catalog of these files; a later file with the id of an earlier one replaces it.

    Raises CatalogFaults with all faults at once, sorted by file and line.
    """
    effective = {source.id: source for source in sources}
    rules: dict[str, Rule] = {}
    places: dict[str, Place] = {}
    faults: list[Fault] = []
    for source in sorted(effective.values(), key=lambda source: source.id):
        value, place, found = read(source.file, source.text)
        faults += found
        places[source.id] = place
        if not _ID.fullmatch(source.id):
            faults.append(place.fault((), f"`{source.id:.{_SHOWN}}` is no id: a-z, 0-9, _ and /"))
        if value is None and found:
            continue
        rule = _validated(source.id, value, place, faults)
        if rule is not None:
            rules[source.id] = rule
            faults += (fault_at(place, *fault) for fault in _contradictions(rule))
    faults += _inhibition_faults(rules, effective.keys(), places)
    if faults:
        unique = sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.message))
        raise CatalogFaults(tuple(unique))
    return Catalog(rules=rules, digest=_digest(rules), places=places)


def _digest(rules: Mapping[str, Rule]) -> str:
    content = {id_: rule.model_dump(mode="json") for id_, rule in rules.items()}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _validated(id_: str, value: object, place: Place, faults: list[Fault]) -> Rule | None:
    if not isinstance(value, dict):
        what = "is empty" if value is None else "holds no mapping"
        keys = ", ".join(_keys(Rule))
        faults.append(place.fault((), f"the file {what}; an entry has the keys {keys}"))
        return None
    found: list[Fault] = []
    if "id" in value:
        found.append(place.fault(("id",), "unknown key `id`: the path of the file is the id"))
        del value["id"]
    rule = None
    try:
        rule = Rule.model_validate({**value, "id": id_})
    except ValidationError as error:
        found += (_translated(one, place) for one in _own(error))
    faults += found
    return rule


def _own(error: ValidationError) -> Iterator[dict[str, Any]]:
    """The faults, without lists that are too short only because what is in them is faulty."""
    found: list[dict[str, Any]] = [dict(one) for one in error.errors(include_url=False)]
    for one in found:
        loc = one["loc"]
        inner = any(other["loc"][: len(loc)] == loc for other in found if other is not one)
        if one["type"] != "too_short" or not inner:
            yield one


def _translated(error: dict[str, Any], place: Place) -> Fault:
    """A fault of pydantic in the words of the file's author."""
    loc: Path = tuple(part for part in error["loc"] if part != "[key]")
    key = str(loc[-1]) if loc else "the entry"
    if error["type"] == "extra_forbidden":
        allowed = _keys(_model_at(loc[:-1]))
        return fault_at(place, loc, f"unknown key `{key:.{_SHOWN}}`{_allowed(key, allowed)}")
    if error["type"] == "missing":
        return fault_at(place, loc, f"`{key}` is missing")
    message = (
        str(error["msg"])
        .removeprefix("Value error, ")
        .replace("tuple", "list")
        .replace("Tuple", "List")
    )
    given = error["input"]
    if not isinstance(given, dict | list):
        message += f"; it is {given!r:.{_SHOWN}}"
        if not isinstance(given, str | None) and error["type"] in ("string_type", "literal_error"):
            message += " unless quotes make it text"
    named = ".".join(str(part) for part in loc) or key
    return fault_at(place, loc, f"`{named}`: {message}")


def fault_at(place: Place, loc: Path, message: str) -> Fault:
    """A fault where the file has it: a list of conditions is `any`, which nobody wrote."""
    path: Path = ()
    for part in loc:
        if part != "any" or (*path, part) in place.lines:
            path = (*path, part)
    return place.fault(path, message)


def _keys(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if not field.exclude]


def _model_at(loc: Path) -> type[BaseModel]:
    """The model that describes the mapping at this place."""
    model: type[BaseModel] = Rule
    for part in loc:
        field = model.model_fields.get(str(part))
        model = (field and _model_in(field.annotation)) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _allowed(given: str, allowed: Iterable[str]) -> str:
    known = sorted(allowed)
    near = get_close_matches(given[:_SHOWN], known, n=1)
    return f": did you mean `{near[0]}`?" if near else f"; allowed: {', '.join(known) or 'none'}"


def _contradictions(rule: Rule) -> Iterator[tuple[Path, str]]:
    """What the shape of the file cannot say: places and messages."""
    yield from _condition_faults(rule.match, ("match",))
    for number, condition in enumerate(rule.unless):
        yield from _condition_faults(condition, ("unless", number))
    if rule.fuzzy and len(fold(rule.fuzzy.phrase).text) < 2 * _MIN_FOLDED:
        yield ("fuzzy", "phrase"), "too short once it is folded"
    yield from _extractor_faults(rule)
    yield from _fact_faults(rule)
    names: set[str] = set()
    for group, examples in (("matches", rule.tests.matches), ("ignores", rule.tests.ignores)):
        for number, example in enumerate(examples):
            if example.name in names:
                yield ("tests", group, number, "name"), f"second example named `{example.name}`"
            names.add(example.name)


def _condition_faults(condition: Condition, loc: Path) -> Iterator[tuple[Path, str]]:
    for key in ("literal", "requires"):
        words = getattr(condition, key)
        if words is not None and len(fold(words).text) < _MIN_FOLDED:
            yield (*loc, key), f"fewer than {_MIN_FOLDED} characters are left once it is folded"
    if condition.pattern is not None and condition.requires is not None:
        yield from _pattern_faults(condition.pattern, condition.requires, loc)
    for key in ("any", "all"):
        for number, part in enumerate(getattr(condition, key)):
            yield from _condition_faults(part, (*loc, key, number))


def _pattern_faults(pattern: str, requires: str, loc: Path) -> Iterator[tuple[Path, str]]:
    try:
        compiled(pattern, ignore_case=True)
    except PatternError as error:
        yield (*loc, "pattern"), f"RE2 refuses the pattern: {error}"
        return
    if (piece := never_folded(pattern)) is not None:
        message = (
            f"{piece!r} never stands in folded text, where white space is one blank, quotes and "
            "dashes are plain and letters have their simplest form"
        )
        yield (*loc, "pattern"), message
    elif not proves(pattern, fold(requires).text):
        message = (
            f"no proof that every match of the pattern holds {requires!r}: it must stand in the "
            "pattern in one piece, in every alternative, and not be optional"
        )
        yield (*loc, "requires"), message


def _extractor_faults(rule: Rule) -> Iterator[tuple[Path, str]]:
    for name, extractor in rule.extract.items():
        if extractor.pattern is None:
            continue
        try:
            groups = compiled(extractor.pattern, ignore_case=False).groups
        except PatternError as error:
            yield ("extract", name, "pattern"), f"RE2 refuses the pattern: {error}"
        else:
            if groups != 1:
                message = f"one group ( ) must hold the fact, not {groups}; (?: ) is no group"
                yield ("extract", name, "pattern"), message


def _fact_faults(rule: Rule) -> Iterator[tuple[Path, str]]:
    for number, name in enumerate(rule.fingerprint):
        if name not in rule.extract:
            message = f"no fact `{name:.{_SHOWN}}` is extracted{_allowed(name, rule.extract)}"
            yield ("fingerprint", number), message
    readable = {*rule.extract, RECORD_IDS}
    used = {*rule.fingerprint, RECORD_IDS}
    for number, example in enumerate(rule.tests.matches):
        used.update(example.facts)
        for name in example.facts.keys() - readable:
            message = f"no fact `{name:.{_SHOWN}}` is extracted{_allowed(name, readable)}"
            yield ("tests", "matches", number, "facts", name), message
    for name, extractor in rule.extract.items():
        if name not in used and not extractor.required:
            message = f"nothing uses the fact `{name}`: no fingerprint, no test, and not required"
            yield ("extract", name), message


def _inhibition_faults(
    rules: Mapping[str, Rule], ids: Iterable[str], places: Mapping[str, Place]
) -> Iterator[Fault]:
    known = set(ids)
    for id_, rule in rules.items():
        for number, target in enumerate(rule.inhibits):
            if target not in known:
                message = f"no entry `{target:.{_SHOWN}}`{_near(target, known)}"
                yield places[id_].fault(("inhibits", number), message)
        if rule.inhibits and id_ in _inhibited(rules, rule):
            yield places[id_].fault(("inhibits",), "the entry would hide itself, in a circle")


def _near(given: str, known: Iterable[str]) -> str:
    near = get_close_matches(given[:_SHOWN], sorted(known), n=1)
    return f": did you mean `{near[0]}`?" if near else ""


def _inhibited(rules: Mapping[str, Rule], rule: Rule) -> set[str]:
    """All that this one hides, itself or over others."""
    found: set[str] = set()
    waiting = [*rule.inhibits]
    while waiting:
        target = waiting.pop()
        if target not in found:
            found.add(target)
            waiting += rules[target].inhibits if target in rules else ()
    return found
