"""`triage db`, as an operator sees it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from triage.adapters.store import open_store, schema
from triage.cli import app
from triage.settings import shipped


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "triage.toml"
    path.write_text((shipped("fixtures") / "triage.toml").read_text())
    return path


def db(config: Path, *arguments: str) -> str:
    outcome = CliRunner().invoke(app, ["db", *arguments, "--config", str(config)])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


def test_upgrade_says_what_the_schema_was_and_is(config: Path, tmp_path: Path) -> None:
    newest = schema.REVISIONS[-1]
    assert db(config, "upgrade") == f"The schema was empty and is {newest} now.\n"
    assert db(config, "upgrade") == f"The schema is {newest}, as this program needs it.\n"
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store, store.unit() as unit:
        assert not unit.mailboxes()


def test_backup_says_where_it_is_and_restore_where_the_old_store_is(
    config: Path, tmp_path: Path
) -> None:
    db(config, "upgrade")
    assert f"{tmp_path}/backup.db: " in db(config, "backup", str(tmp_path / "backup.db"))
    said = db(config, "restore", str(tmp_path / "backup.db"))
    (old,) = tmp_path.glob("triage.db.before-restore-*")
    assert str(old) in said
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store:
        with store.unit() as unit:
            assert unit.switch("restored") is not None
            assert unit.switch("reread:support") is not None
        with store._engine.connect() as connection:
            assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_store_that_was_brought_back_by_other_means_is_made_safe_in_its_place(
    config: Path, tmp_path: Path
) -> None:
    db(config, "upgrade")
    assert "0 messages waited" in db(config, "restore")
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store, store.unit() as unit:
        assert unit.switch("restored") is not None
