"""Rules, templates and fixture mails from folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from triage.catalog.load import Catalog, CatalogFaults, Fault, RuleSource, load
from triage.response.preset import FILE as PRESET
from triage.response.preset import FOLDER as PRESETS
from triage.settings import shipped

_RULE_OCTETS = 200_000
_TEMPLATE_OCTETS = 500_000


def read_catalog(folders: Iterable[Path] = (), *, with_shipped: bool = True) -> Catalog:
    """The shipped catalog with the operator's folders on top, or these folders alone.

    Raises CatalogFaults with every fault in every file, unreadable files and folders too.
    """
    faults: list[Fault] = []
    sources: dict[str, RuleSource] = {}
    for folder in (*((shipped("rules"),) if with_shipped else ()), *folders):
        if not folder.is_dir():
            faults.append(Fault(str(folder), 0, "is not a folder of rules"))
            continue
        for path in sorted(folder.rglob("*.yaml")):
            rule_id = path.relative_to(folder).with_suffix("").as_posix()
            text = _text(path, _RULE_OCTETS, faults)
            if text is not None:
                sources[rule_id] = RuleSource(rule_id, str(path), text)
    try:
        catalog = load(sources.values())
    except CatalogFaults as error:
        raise CatalogFaults((*faults, *error.faults)) from error
    if faults:
        raise CatalogFaults(tuple(faults))
    return catalog


def read_templates(folders: Iterable[Path] = ()) -> dict[str, str]:
    """Template texts by their path below templates/; the operator's replace ours.

    Raises CatalogFaults when a file or folder cannot be read.
    """
    faults: list[Fault] = []
    texts: dict[str, str] = {}
    for folder in (shipped("templates"), *folders):
        if not folder.is_dir():
            faults.append(Fault(str(folder), 0, "is not a folder; [catalog] templates names it"))
            continue
        for path in sorted(folder.rglob("*.j2")):
            text = _text(path, _TEMPLATE_OCTETS, faults)
            if text is not None:
                texts[path.relative_to(folder).as_posix()] = text
    if faults:
        raise CatalogFaults(tuple(faults))
    return texts


def read_presets(folders: Iterable[Path] = ()) -> dict[str, str]:
    """Presets of ticket systems by their names, from the same folders; the operator's replace ours.

    Raises CatalogFaults when a file cannot be read.
    """
    faults: list[Fault] = []
    texts: dict[str, str] = {}
    for folder in (shipped("templates"), *folders):
        for path in sorted(folder.glob(f"{PRESETS}/*/{PRESET}")):
            text = _text(path, _TEMPLATE_OCTETS, faults)
            if text is not None:
                texts[path.parent.name] = text
    if faults:
        raise CatalogFaults(tuple(faults))
    return texts


def example_mail(name: str) -> bytes | None:
    """A mail below fixtures/emails that an example of a rule names; None when there is none."""
    emails = shipped("fixtures") / "emails"
    path = emails / name
    inside = path.resolve().is_relative_to(emails.resolve())
    return path.read_bytes() if inside and path.is_file() else None


def _text(path: Path, most: int, faults: list[Fault]) -> str | None:
    try:
        if path.stat().st_size > most:
            faults.append(Fault(str(path), 0, f"is larger than {most} octets"))
            return None
        return path.read_text(encoding="utf-8")
    except OSError as error:
        faults.append(Fault(str(path), 0, f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        faults.append(Fault(str(path), 0, f"is not UTF-8 text: {error.reason}"))
    return None
