"""Reading again, after a restore, what was filed since the backup."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

from triage.adapters.store import open_store
from triage.mail.message import RawMail
from triage.service.reread import Rereading
from triage.service.restored import reread_from
from triage.settings import load, shipped

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Filed:
    """A folder with three mails."""

    def connect(self) -> None:
        """It is there."""

    def fetch(self, after: int, _limit: int, _since: datetime) -> Sequence[RawMail]:
        return [RawMail("support", "", 1, uid, NOON, b"%d" % uid) for uid in (1, 2, 3)][after:]

    def close(self) -> None:
        """Nothing to close."""


class Picky:
    """A recorder that fails at one mail, after it has written something."""

    def exclusive(self, unit: Any, mails: Any) -> None:
        assert unit
        assert mails

    def record_all(self, unit: Any, mails: Any, _: object, *, handled: bool) -> list[RawMail]:
        assert handled
        ((raw, _reading),) = mails
        unit.set_switch(f"mail {raw.uid}", raw.folder)
        if raw.uid == 2:
            raise ValueError("a mail that cannot be recorded")
        return [raw]

    def tell(self, recorded: list[RawMail]) -> None:
        assert all(raw.uid != 2 for raw in recorded)


def digests(jobs: Any) -> list[Any]:
    return [SimpleNamespace(octets_sha256=f"o{n}", content_sha256=f"c{n}") for n, _ in jobs]


def test_one_mail_that_cannot_be_recorded_keeps_no_other_and_no_new_mail_waiting(
    tmp_path: Path,
) -> None:
    (tmp_path / "triage.toml").write_text((shipped("fixtures") / "triage.toml").read_text())
    section = load(tmp_path / "triage.toml").mailboxes[0]
    pool: Any = SimpleNamespace(run=lambda jobs: digests(enumerate(jobs)))
    filed, picky = Filed(), Picky()
    reread = Rereading(section, lambda _: filed, pool, picky)  # type: ignore[arg-type, return-value]
    with closing(open_store(f"sqlite:///{tmp_path}/triage.db")) as store:
        with store.unit() as unit:
            unit.set_switch(reread_from("support"), NOON.isoformat())
        reread(store.unit, Event())
        with store.unit() as unit:
            assert [unit.switch(f"mail {uid}") for uid in (1, 2, 3)] == [
                "Triage/Known",
                None,
                "Triage/Known",
            ]
            assert unit.switch(reread_from("support")) is None
