"""A desk, and an environment without settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.settings.desk import Desk


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set, these tests see none of it."""
    for name in list(os.environ):
        if name.upper().startswith("TRIAGE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
