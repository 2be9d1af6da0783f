"""What several commands have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from triage.adapters.store import SqlStore, open_store
from triage.ports import Unit
from triage.settings import Settings, load_in_part

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings.")]
DEFAULT_CONFIG = Path("triage.toml")
Number = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="As `list` shows it.")]


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSONL = "jsonl"


AsLines = Annotated[Format, typer.Option(help="For people, or one JSON object a line.")]


def fail(*messages: str) -> NoReturn:
    """Say what is wrong and end with 2."""
    for message in messages:
        print(f"triage: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)


@contextmanager
def store_of(settings: Settings, *, make: bool = False) -> Iterator[SqlStore]:
    """The store that they name; one that is not there is made only if asked. Raises StoreError."""
    with closing(open_store(settings.store.url, must_exist=not make)) as store:
        yield store


@contextmanager
def opened(config: Path, *, make: bool = False) -> Iterator[SqlStore]:
    """The store that the settings name, whatever is wrong with contact files."""
    with store_of(load_in_part(config)[0], make=make) as store:
        yield store


@contextmanager
def unit_of(config: Path) -> Iterator[Unit]:
    """One transaction on it."""
    with opened(config) as store, store.unit() as unit:
        yield unit
