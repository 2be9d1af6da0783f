"""Tenants and contacts as YAML, in the shape of [[tenants]]."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from pydantic import ValidationError

from triage.catalog.positions import Place, read
from triage.settings.contacts import LISTS, Part
from triage.settings.faults import Loc, said, unknown
from triage.settings.sections import TenantSection

CHARACTERS: Final = 2_000_000


def parts_of_yaml(file: str, text: str) -> tuple[list[Part], list[str]]:
    """What each entry below `tenants` says, and all faults: `file: line 4: key: what is wrong`."""
    value, place, found = read(file, text, CHARACTERS)
    faults = [f"{file}: line {fault.line}: {fault.message}" for fault in found]
    if value is None:
        return [], faults or [f"{file}: line 1: is empty; a list `tenants:` is needed"]
    if not isinstance(value, dict) or not isinstance(value.get("tenants"), list):
        return [], [*faults, f"{file}: line 1: a list `tenants:` is needed, as in triage.toml"]
    faults += [
        f"{_line(file, place, (key,))}: {key:.60}: {unknown(key, ('tenants',))}"
        for key in value
        if key != "tenants"
    ]
    parts: list[Part] = []
    for number, entry in enumerate(value["tenants"]):
        at: Loc = ("tenants", number)
        try:
            section = TenantSection.model_validate(entry)
        except ValidationError as error:
            faults += [
                f"{_line(file, place, (*at, *loc))}: {_key(loc)}{line}"
                for loc, line in said(error, TenantSection)
            ]
            continue
        parts.append(Part(section, partial(_place, _places(file, place, at, section))))
    return parts, faults


def _line(file: str, place: Place, loc: Loc) -> str:
    return f"{file}: line {place.line(loc)}"


def _key(loc: Loc) -> str:
    """The key path within the tenant."""
    return f"{'.'.join(map(str, loc))}: " if loc else ""


def _places(
    file: str, place: Place, at: Loc, section: TenantSection
) -> Mapping[tuple[str, str], str]:
    """By key and value, and by key alone with ""."""
    places = {
        (key, ""): f"{_line(file, place, (*at, key))}: {key}" for key in section.model_fields_set
    }
    for key in LISTS:
        for number, value in enumerate(getattr(section, key)):
            places[key, value] = f"{_line(file, place, (*at, key, number))}: {key}"
    for number, contact in enumerate(section.contacts):
        where = _line(file, place, (*at, "contacts", number))
        places["contacts", contact.address] = f"{where}: contacts"
    return places


def _place(places: Mapping[tuple[str, str], str], key: str, value: str) -> str:
    return places.get((key, value)) or places[key, ""]
