"""The files that [contacts] names: read, and told what is wrong with them by line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from triage.settings.contacts import Part
from triage.settings.contacts_csv import parts_of_csv
from triage.settings.contacts_yaml import parts_of_yaml

OCTETS: Final = 5_000_000
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_KINDS: Final = {".csv": parts_of_csv, ".yaml": parts_of_yaml, ".yml": parts_of_yaml}


def parts_of_file(path: Path) -> tuple[list[Part], list[str]]:
    """What the file says of tenants, and every fault: `file: line 4: column: what is wrong`."""
    try:
        with path.open("rb") as file:
            octets = file.read(OCTETS + 1)
    except OSError as error:
        return [], [f"{path}: cannot be read: {error.strerror}"]
    return parts_of_octets(str(path), octets)


def parts_of_octets(file: str, octets: bytes) -> tuple[list[Part], list[str]]:
    """As `parts_of_file`, for octets that were read. A file without tenants is a fault, too."""
    parts_of = next((kind for end, kind in _KINDS.items() if file.lower().endswith(end)), None)
    if parts_of is None:
        return [], [f"{file}: a name that ends in {', '.join(_KINDS)} is needed"]
    if len(octets) > OCTETS:
        return [], [f"{file}: is larger than {OCTETS} octets"]
    if octets.startswith(_UTF_16):
        return [], [f"{file}: line 1: is UTF-16 text; save it as UTF-8"]
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        why = "is not UTF-8 text, perhaps Latin-1 or Windows-1252; save it as UTF-8"
        return [], [f"{file}: line {line}: {why}"]
    parts, faults = parts_of(file, text)
    # An export that failed may be an empty file; nobody means to have no customers any more.
    return parts, faults if parts or faults else [f"{file}: names no tenant"]
