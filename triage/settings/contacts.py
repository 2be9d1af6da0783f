"""Tenants and contacts from files of their own, joined with those of triage.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, PrivateAttr, ValidationError

from triage.settings.sections import ContactSection, TenantSection

LISTS: Final = ("org_ids", "my_domains", "domains", "agent_connect", "sending_domains")
_SINGLE: Final = [k for k in TenantSection.model_fields if k not in {*LISTS, "name", "contacts"}]
_OF_CONTACT: Final = [k for k in ContactSection.model_fields if k != "address"]

PlaceOf = Callable[[str, str], str]
"""Where a value of a key stands: `tenants.csv: line 4: org_ids`."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one place of a file says of one tenant."""

    section: TenantSection
    place: PlaceOf
    otherwise: Mapping[str, str] = field(default_factory=dict)
    """What holds for the tenant where nothing says it, by key."""


class FiledTenant(TenantSection):
    """A tenant of whom a file speaks; it knows where each of its values stands."""

    _places: dict[tuple[str, str], str] = PrivateAttr(default_factory=dict)

    @property
    def is_filed(self) -> bool:
        """True."""
        return True

    def place(self, key: str, value: str) -> str:
        """File and line, or the key in triage.toml."""
        return self._places.get((key, value)) or super().place(key, value)


def joined(own: object, parts: Iterable[Part]) -> tuple[list[object], list[str]]:
    """The tenants of triage.toml with what files add to them, and those of files alone.

    `own` are values as they were read: what is wrong with them is told when they are validated.
    Also what contradicts itself, each with its place.
    """
    by_name: dict[str, list[Part]] = {}
    for part in parts:
        by_name.setdefault(part.section.name, []).append(part)
    faults: list[str] = []
    tenants: list[object] = []
    for values in own if isinstance(own, list) else ():
        first = _own(values)
        more = by_name.pop(first.section.name, None) if first else None
        tenants.append(_merged([first, *more], faults) if first and more else values)
    tenants += [_merged(several, faults) for several in by_name.values()]
    return tenants, faults


def _own(values: object) -> Part | None:
    """A tenant of triage.toml as a part; None for one with faults."""
    try:
        section = TenantSection.model_validate(values)
    except ValidationError:
        return None
    return Part(section, section.place)


class _Said:
    """Single values of one tenant or contact, each with the place that said it first."""

    def __init__(self, faults: list[str]) -> None:
        self.values: dict[str, Any] = {}
        self._places: dict[str, str] = {}
        self._faults = faults

    def add(self, section: BaseModel, keys: Iterable[str], place: Callable[[str], str]) -> None:
        for key in keys:
            value = getattr(section, key)
            if key not in section.model_fields_set or value is None:
                continue
            first = self.values.setdefault(key, value)
            where = self._places.setdefault(key, place(key))
            if first != value:
                fault = f"{_shown(value)} here, and {_shown(first)} there: {where}"
                self._faults.append(f"{place(key)}: {fault}")


def _shown(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _merged(parts: Sequence[Part], faults: list[str]) -> FiledTenant:
    """One tenant of all that is said of it; what comes twice counts once."""
    said = _Said(faults)
    lists: dict[str, dict[str, None]] = {key: {} for key in LISTS}
    people: dict[str, _Said] = {}
    places: dict[tuple[str, str], str] = {}
    for part in parts:
        said.add(part.section, _SINGLE, lambda key, part=part: part.place(key, ""))  # type: ignore[misc]
        for key in LISTS:
            for value in getattr(part.section, key):
                lists[key][value] = None
                places.setdefault((key, value), part.place(key, value))
        for contact in part.section.contacts:
            where = part.place("contacts", contact.address)
            places.setdefault(("contacts", contact.address), where)
            person = people.setdefault(contact.address, _Said(faults))
            person.add(contact, _OF_CONTACT, lambda key, where=where: f"{where}: {key}")  # type: ignore[misc]
    for part in parts:
        for key, value in part.otherwise.items():
            said.values.setdefault(key, value)
    contacts = (ContactSection.model_construct(address=a, **p.values) for a, p in people.items())
    values: dict[str, Any] = {key: tuple(found) for key, found in lists.items()}
    values |= {"name": parts[0].section.name, "contacts": tuple(contacts)} | said.values
    tenant = FiledTenant.model_construct(**values)
    tenant._places.update(places)  # noqa: SLF001 - its own maker
    return tenant
