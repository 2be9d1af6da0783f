"""What is wrong in triage.toml and the environment, in the operator's words."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

PREFIX: Final = "TRIAGE_"
DELIMITER: Final = "__"

Loc = tuple[str | int, ...]

_SHOWN = 60
_WORDS: Final = {
    "missing": "is missing",
    "string_type": "text in quotes is needed",
    "tuple_type": "a list is needed, in square brackets",
    "model_type": "a section with keys of its own is needed",
    "too_short": "at least one is needed",
    "string_too_short": "must not be empty",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "int_type": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "path_type": "the path of a file or folder is needed here, in quotes",
}
"""By pydantic's types of errors; for others its own message serves."""
_SEVERAL: Final = frozenset({"tuple_type", "model_type"})
_IN_FILE_ONLY: Final = "lists and sections stand in the file only"


def found(
    error: ValidationError, file: str, model: type[BaseModel], values: Mapping[str, Any]
) -> Iterator[tuple[Loc, str]]:
    """Each fault with the place of the value: `file: key.path: what is wrong, what is allowed`."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    for fault in faults:
        loc = fault["loc"]
        if fault["type"] == "too_short" and any(_inside(other["loc"], loc) for other in faults):
            continue  # the list only looks empty because its entries have faults of their own
        source = _source(loc)
        where = f"{source or file}: {named(loc, values)}".removesuffix(": ")
        message = _IN_FILE_ONLY if source and fault["type"] in _SEVERAL else _message(fault, model)
        for line in message.splitlines():
            yield loc, f"{where}: {line}"


def said(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Loc, str]]:
    """Each fault of a value that does not come from triage.toml, with its place in the value."""
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        for line in _message(fault, model).splitlines():
            yield fault["loc"], line


def unknown(key: object, allowed: Collection[str]) -> str:
    """That a key is not known, which one may be meant, and which there are."""
    near = get_close_matches(str(key)[:_SHOWN], allowed, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown key; {hint}allowed: {', '.join(sorted(allowed))}"


def named(loc: Loc, values: object) -> str:
    """The key path, with entries of [[sections]] by their names: `tenants.northwind.timezone`."""
    parts: list[str] = []
    for part in loc:
        within = isinstance(values, Sequence | Mapping) and not isinstance(values, str)
        try:
            values = values[part] if within else None  # type: ignore[index]
        except (LookupError, TypeError):
            values = None
        name = values.get("name") if isinstance(part, int) and isinstance(values, dict) else None
        parts.append(_shown(name if isinstance(name, str) and name else part))
    return ".".join(parts)


def without(values: Any, locs: Collection[Loc]) -> Any:
    """A copy without the values at these places, so that the others can be judged together."""
    deeper = [loc for loc in locs if loc]
    if isinstance(values, dict):
        entries = ((k, v, _below(k, deeper)) for k, v in values.items())
        return {k: without(v, inner) for k, v, inner in entries if _stays(v, inner)}
    if isinstance(values, list):
        inners = ((v, _below(i, deeper)) for i, v in enumerate(values))
        return [without(v, inner) for v, inner in inners if _stays(v, inner)]
    return values


def _below(part: str | int, locs: Collection[Loc]) -> list[Loc]:
    return [loc[1:] for loc in locs if loc[0] == part]


def _stays(value: object, inner: Collection[Loc]) -> bool:
    return () not in inner and (not inner or isinstance(value, dict | list))


def _inside(loc: Loc, outer: Loc) -> bool:
    return len(loc) > len(outer) and loc[: len(outer)] == outer


def _shown(part: str | int) -> str:
    text = str(part)[:_SHOWN]
    return text if text.isprintable() else ascii(text)


def _source(loc: Loc) -> str:
    """The environment variable that gave the value at `loc`; "" when none did."""
    variable = PREFIX + DELIMITER.join(str(part) for part in loc).upper()
    for name in os.environ:
        if name.upper() == variable or name.upper().startswith(variable + DELIMITER):
            return f"environment variable {name}"
    return ""


def _message(fault: ErrorDetails, model: type[BaseModel]) -> str:
    loc, kind = fault["loc"], fault["type"]
    if kind == "extra_forbidden":
        return unknown(loc[-1], _keys(_section(model, loc[:-1])))
    if kind == "tuple_type" and len(loc) == 1:
        return f"sections with the head [[{loc[0]}]] are needed"
    message = _WORDS.get(kind) or fault["msg"].removeprefix("Value error, ")
    if kind in {"literal_error", "enum"}:
        return message.replace("Input should be", "allowed are")
    return message.replace("Input should", "must")


def _section(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The section that stands at `loc`."""
    for part in loc:
        fields = _fields(model)
        if isinstance(part, str) and part in fields:
            model = next(_models(fields[part]), model)
    return model


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {f.alias or name: f.annotation for name, f in model.model_fields.items()}


def _keys(model: type[BaseModel]) -> list[str]:
    return list(_fields(model))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
