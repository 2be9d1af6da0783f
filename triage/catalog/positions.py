"""YAML text to plain values and the line of every one of them.

Read from the events of libyaml, one by one: composing nodes recurses in C, where a file of a few
thousand brackets ends the process. The catalog needs no anchors, aliases and tags, and without
them nothing in a file can grow beyond its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

MAX_CHARACTERS = 65_536
MAX_DEPTH = 20

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a file of the catalog, and what is allowed instead."""

    file: str
    line: int
    """From 1."""
    message: str
    warning: bool = False
    """Worth a look; what the catalog says still holds."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the catalog and where its keys stand."""

    file: str
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of this key or, if it does not stand there, of the nearest one above it."""
        for length in range(len(path), -1, -1):
            if found := self.lines.get(path[:length]):
                return found
        return 1

    def fault(self, path: Path, message: str) -> Fault:
        """A fault at this key."""
        return Fault(self.file, self.line(path), message)


def read(
    file: str, text: str, most: int = MAX_CHARACTERS
) -> tuple[object, Place, tuple[Fault, ...]]:
    """The values, their places and what is wrong with the text; raises nothing.

    After a syntax error there are no values (None). At most so many characters are read.
    """
    if len(text) > most:
        message = f"the file has {len(text)} characters; at most {most} are read"
        return None, Place(file, {}), (Fault(file, 1, message),)
    reader = _Reader(text)
    try:
        value = reader.document()
    except _Refused as refused:
        reader.faults.append((refused.line, refused.message))
        value = None
    except yaml.YAMLError as error:
        reader.faults.append(_syntax(text, error))
        value = None
    except UnicodeError:
        reader.faults.append((1, "the file is not Unicode text (UTF-8)"))
        value = None
    faults = tuple(Fault(file, line, message) for line, message in reader.faults)
    return value, Place(file, reader.lines), faults


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Reading stops here."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Scalars(SafeConstructor, Resolver):
    """What YAML 1.1 makes of a scalar."""

    def __init__(self) -> None:
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def value(self, event: yaml.ScalarEvent) -> object:
        """Raises ValueError for what looks like a date or number and is none."""
        tag = self.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        return self.construct_object(yaml.ScalarNode(tag, event.value))


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self.faults: list[tuple[int, str]] = []
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._scalars = _Scalars()

    def document(self) -> object:
        """The only document of the stream; None when there is none."""
        next(self._events)  # StreamStart
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # DocumentEnd
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Refused(_line(after), "a file holds one entry; `---` starts a second one")
        return value

    def _value(self, event: yaml.Event, path: Path) -> object:
        line = _line(event)
        self.lines.setdefault(path, line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(line, "anchors and aliases (& and *) are not used here")
        if getattr(event, "tag", None):
            raise _Refused(line, "tags (!) are not used here")
        if len(path) > MAX_DEPTH:
            raise _Refused(line, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        if not isinstance(event, yaml.ScalarEvent):
            raise _Refused(line, "not YAML")
        try:
            return self._scalars.value(event)
        except (ValueError, yaml.YAMLError):
            self.faults.append(
                (line, f"`{event.value[:40]}` is no date or number; put it in quotes")
            )
            return event.value

    def _mapping(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            key = self._value(event, (*path, ""))
            if not isinstance(key, str):
                raise _Refused(line, f"a key must be text, not {key!r:.40}; put it in quotes")
            if key in found:
                first = self.lines[*path, key]
                self.faults.append((line, f"duplicate key `{key:.60}`, first in line {first}"))
            else:
                self.lines[*path, key] = line
            found[key] = self._value(next(self._events), (*path, key))
        return found

    def _sequence(self, path: Path) -> list[object]:
        found: list[object] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, (*path, len(found))))
        return found


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark else 1


def _syntax(text: str, error: yaml.YAMLError) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    if mark is None:
        position = getattr(error, "position", 0)
        return text.count("\n", 0, position if isinstance(position, int) else 0) + 1, str(problem)
    line = int(mark.line) + 1
    row = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return line, "a tab stands in the indentation; YAML takes blanks only"
    return line, f"not YAML: {problem}"
