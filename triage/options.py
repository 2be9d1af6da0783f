"""What several commands have in common."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings.")]
DEFAULT_CONFIG = Path("triage.toml")


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSONL = "jsonl"
