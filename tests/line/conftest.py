"""Fixtures that tests of the line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line.desk import Hands, Line
from triage.adapters.store import SqlStore, open_store
from triage.settings import load, shipped


@pytest.fixture
def make(tmp_path: Path) -> Iterator[object]:
    stores: list[SqlStore] = []

    def line(*changes: tuple[str, str], first_uid: int = 1) -> Line:
        text = (shipped("fixtures") / "triage.toml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        config = tmp_path / "triage.toml"
        config.write_text(text)
        hands = Hands()
        store = open_store(f"sqlite:///{tmp_path / 'triage.db'}", clock=hands)
        stores.append(store)
        return Line(store, load(config), hands, first_uid)

    yield line
    for store in stores:
        store.close()


@pytest.fixture
def line(make) -> Line:
    return make()
