"""The table that `triage run` shows: what stands in it, and that nothing in it acts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tests.unit.service.test_health import NOON, WELL, Kept, settings, shown
from triage.ports import StoreError
from triage.rows import MailRow
from triage.service.health import health
from triage.service.live import View
from triage.service.status import Status
from triage.service.view import Course, followed, table

EVIL = "[red]markup[/red] \x1b[31mred\x1b[2J\r\n\u202eback for ann@northwind.example order 4711"


def mail(**changes: Any) -> MailRow:
    row = MailRow(
        mailbox="support",
        folder="INBOX",
        uidvalidity=7,
        uid=1,
        octets_sha256="",
        content_sha256="",
        message_id="",
        subject=EVIL,
        internal_date=NOON,
        seen_at=NOON,
        verdict="unknown",
        kind="apex",
        reason="first_in_incident",
        actions=("ticket",),
        tenant=None,
        authenticity="pass",
        rules=(),
        classifier_version="1",
        after="none",
    )
    return replace(row, **changes)


def drawn(found: Status, *, width: int = 80, height: int = 24, **looks: Course) -> list[str]:
    file = StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(table(found, settings(), looks, height))
    return file.getvalue().splitlines()


def looked(seconds: float, *, cursor: int, uidnext: int = 0, handled: int = 0) -> Status:
    """The report of a mailbox that was seen so many seconds after noon."""
    waiting = NOON if uidnext > cursor + 1 else None
    row = replace(WELL, cursor=cursor, uidnext=uidnext or cursor + 1, waiting_since=waiting)
    kept: Any = Kept(row)
    state = health(settings(), kept, NOON + timedelta(seconds=seconds))
    return Status(state, handled={"support": handled})


def course(*looks: Status, once: bool = False) -> Course:
    found = None
    for one in looks:
        found = followed(found, one, one.health.mailboxes[0], once=once)
    assert found is not None
    return found


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_whatever_it_is_told(width: int) -> None:
    found = replace(shown(), latest=(mail(), mail(verdict="known", rules=("a/" + "x" * 90,))) * 3)
    mailboxes = [replace(found.health.mailboxes[0], name=f"m{n}" * 15) for n in range(30)]
    found = replace(found, health=replace(found.health, mailboxes=tuple(mailboxes)))
    backlog = course(looked(0, cursor=10, uidnext=1000), looked(9, cursor=20, uidnext=1000))
    lines = drawn(found, width=width, support=backlog, **{"b" * 40: backlog})
    assert max(map(cell_len, lines)) <= width
    assert len(lines) < 24
    for fact in ("not ready: 2 faults", "error", " more", "1 %", "3 open incidents"):
        assert fact in "\n".join(lines)


def test_nothing_that_a_mail_says_acts_on_the_terminal() -> None:
    evil = replace(shown(), latest=(mail(), mail(rules=(EVIL,))))
    lines = drawn(evil, width=160)
    assert all(line.isprintable() for line in lines)
    text = "\n".join(lines)
    assert "[red]markup[/red] [Nmred [NJ back for <address> order N" in text
    assert text.count("ann@") == 1, "that one is the name of a rule"


def test_of_other_peoples_mail_only_the_mailbox_is_shown() -> None:
    private = mail(verdict="not_ours", subject="Salary", actions=(), reason="not_ours")
    text = "\n".join(drawn(replace(shown(), latest=(private,))))
    assert "not_ours" in text
    assert "Salary" not in text


def test_a_backlog_has_a_bar_with_its_rate_and_the_time_that_remains() -> None:
    backlog = course(
        looked(0, cursor=100, uidnext=100),
        looked(1, cursor=100, uidnext=1101),
        looked(11, cursor=350, uidnext=1101, handled=220),
    )
    assert backlog.remaining == timedelta(seconds=33)
    line = next(line for line in drawn(shown(), support=backlog) if "%" in line)
    assert "25 %" in line
    assert "20.0 mails/s" in line
    assert "33 s left" in line


def test_a_bar_goes_a_minute_after_its_end_and_single_mails_have_none() -> None:
    looks = [looked(0, cursor=0, uidnext=101), looked(5, cursor=100, handled=100)]
    assert any("done" in line for line in drawn(shown(), support=course(*looks)))
    later = [looked(70, cursor=100), looked(71, cursor=101, handled=1)]
    assert not any("%" in line for line in drawn(shown(), support=course(*looks, *later)))


def test_all_that_is_read_once_is_one_backlog() -> None:
    read = course(looked(0, cursor=0), looked(2, cursor=8, handled=8), once=True)
    assert any("100 %" in line and "done" in line for line in drawn(shown(), support=read))
    skipped = course(looked(0, cursor=0), looked(2, cursor=8), once=True)
    assert not any("%" in line for line in drawn(shown(), support=skipped))


def test_a_folder_that_was_made_anew_begins_again() -> None:
    again = course(looked(0, cursor=500, uidnext=900), looked(1, cursor=0, uidnext=300))
    assert (again.start, again.lag, again.remaining) == (0, 299, None)


def viewed(look: Callable[[], Status]) -> tuple[str, str]:
    """What came to the terminal, and to the log, of a view over some looks."""
    out, log = StringIO(), StringIO()
    view = View(look, settings(), Event(), Console(file=out, force_terminal=True, width=80), log)
    with view:
        view.write("above \x1b[2J [red]it[/red]\n")
    view.write("later\n")
    return out.getvalue(), log.getvalue()


def test_what_is_logged_stands_above_the_table_and_after_it_where_it_did_before() -> None:
    out, log = viewed(shown)
    assert "above  [2J [red]it[/red]\n" in out
    assert "not ready: 2 faults" in out
    assert out.endswith("\x1b[?25h"), "the cursor is visible again"
    assert log == "later\n"


def test_a_store_that_does_not_answer_is_shown() -> None:
    def look() -> Status:
        raise StoreError("the disk is full")

    assert "the store cannot be used: the disk is full" in viewed(look)[0]


def test_a_view_that_fails_ends_and_loses_nothing_of_the_log() -> None:
    def look() -> Status:
        raise RuntimeError("a fault of the view")

    out, log = viewed(look)
    assert out.endswith("\x1b[?25h")
    assert log == "above \x1b[2J [red]it[/red]\nlater\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", viewed(shown)[0])
