"""Tenants and contacts as rows, one for each contact, as a CRM exports them (RFC 4180)."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from triage.settings.contacts import LISTS, Part
from triage.settings.faults import Loc, said, unknown
from triage.settings.sections import TenantSection

ROWS: Final = 20_000
COLUMNS: Final = (
    "tenant",
    *LISTS,
    "contact",
    "role",
    "language",
    "timezone",
    "digest",
    "opt_out",
)
_OF_CONTACT_ONLY: Final = ("role", "opt_out")
_DELIMITERS: Final = (",", ";", "\t")
_BETWEEN: Final = str.maketrans({";": " ", ",": " ", "|": " "})
_KEYS: Final = {"name": "tenant", "address": "contact", "contacts": "contact"}
"""Where a key of a tenant or contact has another name as a column."""
_SHOWN: Final = 60
_MOST_COLUMNS: Final = 100

Row = tuple[int, list[str]]
"""The line on which it begins, and its cells."""


def parts_of_csv(file: str, text: str) -> tuple[list[Part], list[str]]:
    """What each row says, and all faults: `file: line 4: column: what is wrong`.

    The delimiter is the one with which the first row names most columns.
    """
    faults: list[str] = []
    rows = _rows(text, file, faults)
    line, header = next(rows, (1, []))
    if not header:
        return [], faults or [f"{file}: line 1: is empty; the first row names the columns"]
    columns, wrong = _columns(header)
    if wrong:
        return [], [*faults, *(f"{file}: line {line}: {fault}" for fault in wrong)]
    parts: list[Part] = []
    for number, (start, cells) in enumerate(rows):
        where = f"{file}: line {start}"
        if number >= ROWS:
            faults.append(f"{where}: there are more than {ROWS} rows")
            break
        if len(cells) != len(columns):
            faults.append(
                f"{where}: has {len(cells)} cells, and the first row names {len(columns)} columns; "
                "a cell with a delimiter in it stands in quotes"
            )
            continue
        part = _part(where, dict(zip(columns, map(str.strip, cells), strict=True)), faults)
        if part is not None:
            parts.append(part)
    return parts, faults


def _rows(text: str, file: str, faults: list[str]) -> Iterator[Row]:
    """All rows that are not empty, the one with the names of the columns first."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda one: _known(first, one))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(
                f"{file}: line {start}: is not CSV: {error}; quotes stand around a whole cell, and "
                "those in it are doubled"
            )
            continue
        if any(cell.strip() for cell in cells):
            yield start, cells


def _known(line: str, delimiter: str) -> int:
    return sum(_column(cell.strip().strip('"')) in COLUMNS for cell in line.split(delimiter))


def _column(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_").replace("-", "_")


def _columns(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the columns, and what is wrong with them."""
    if len(header) > _MOST_COLUMNS:
        return [], [f"has {len(header)} columns; at most {_MOST_COLUMNS} are read"]
    columns = [_column(cell) for cell in header]
    wrong = [
        f"{_printable(cell) or 'a column without a name'}: "
        + unknown(column, COLUMNS).replace("unknown key", "unknown column")
        for cell, column in zip(header, columns, strict=True)
        if column not in COLUMNS
    ]
    twice = {column for column in columns if column in COLUMNS and columns.count(column) > 1}
    wrong += [f"{column}: this column stands there twice" for column in sorted(twice)]
    if "tenant" not in columns:
        wrong.append(f"tenant: this column is missing; columns are {', '.join(COLUMNS)}")
    return columns, wrong


def _part(where: str, cells: Mapping[str, str], faults: list[str]) -> Part | None:
    """What a row says; None for one with faults, which are told."""
    wrong = list(_wrong(cells))
    faulty = {column for column, _ in wrong}
    values = _values(cells)
    try:
        section = TenantSection.model_validate(values)
    except ValidationError as error:
        for loc, line in said(error, TenantSection):
            column = _column_of(loc)
            if column not in faulty:
                wrong.append((column, f"{_value_at(values, loc)}{line}"))
    faults += [f"{where}: {column}: {fault}" for column, fault in wrong]
    if wrong:
        return None
    otherwise = {
        key: value
        for contact in section.contacts
        for key in ("language", "timezone")
        if (value := getattr(contact, key))
    }
    return Part(section, partial(_place, where), otherwise)


def _wrong(cells: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What no cell may hold, and what a row without a contact cannot say: column and fault."""
    for column, value in cells.items():
        if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in value):
            yield column, "no control characters are allowed, such as line breaks"
        elif column == "contact" and value.count("@") > 1:
            yield column, "several addresses stand here; each contact has a row of its own"
    contact = cells.get("contact")
    for column in _OF_CONTACT_ONLY:
        if cells.get(column) and not contact:
            yield column, "belongs to a contact, and this row has none"


def _values(cells: Mapping[str, str]) -> dict[str, Any]:
    """The row in the shape of one of [[tenants]]; empty cells say nothing."""
    values: dict[str, Any] = {"name": cells["tenant"]} if cells.get("tenant") else {}
    values |= {key: cells[key].translate(_BETWEEN).split() for key in LISTS if cells.get(key)}
    either = {key: cells[key].lower() for key in ("digest", "language") if cells.get(key)}
    if cells.get("timezone"):
        either["timezone"] = cells["timezone"]
    if not cells.get("contact"):
        return values | either
    contact = {"address": cells["contact"], **either}
    contact |= {key: cells[key].lower() for key in _OF_CONTACT_ONLY if cells.get(key)}
    return values | {"contacts": [contact]}


def _column_of(loc: Loc) -> str:
    key = str(loc[2] if loc[0] == "contacts" and loc[2:] else loc[0])
    return _KEYS.get(key, key)


def _value_at(values: Mapping[str, Any], loc: Loc) -> str:
    """Which of several in a cell."""
    if loc[0] in LISTS and len(loc) > 1:
        return f"{_printable(values[str(loc[0])][loc[1]])}: "
    return ""


def _printable(text: str) -> str:
    shown = text.strip()[:_SHOWN]
    return shown if shown.isprintable() else ascii(shown)


def _place(where: str, key: str, value: str) -> str:
    del value
    return f"{where}: {_KEYS.get(key, key)}"
