"""`triage run` on a real terminal, and where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.line.waiting import until
from triage.service.live import is_drawable
from triage.settings import shipped

COMMAND = [sys.executable, "-m", "triage", "run", "--config", "triage.toml"]
ENVIRONMENT = {key: words for key, words in os.environ.items() if key not in {"COLUMNS", "LINES"}}
ENVIRONMENT |= {"TRIAGE_HTTP__LISTEN": "off", "TRIAGE_LIMITS__WORKERS": "1"}
HIDDEN, VISIBLE = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with settings, and three mails to read."""
    text = (shipped("fixtures") / "triage.toml").read_text()
    before, _, rest = text.partition('host = "imap')
    way = 'type = "folder"\npath = "in"\nstart = "all"\n'
    text = f"{before}{way}{rest[rest.index('addresses') :]}"
    (tmp_path / "triage.toml").write_text(text.replace("shadow = false", "shadow = true"))
    (tmp_path / "in").mkdir()
    for name in ("employee_is_queue-01", "employee_is_queue-02", "missing_customer_email-01"):
        mail = shipped("fixtures") / f"emails/agent_connect/{name}.eml"
        shutil.copy(mail, tmp_path / "in")
    return tmp_path


def on_terminal(
    home: Path,
    *arguments: str,
    meanwhile: Callable[[str, int, subprocess.Popen[bytes]], None] = lambda *_: None,
    **environment: str,
) -> tuple[int, str]:
    """The exit status, and all that came to a terminal of 80 columns and 24 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=home,
        env=ENVIRONMENT | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # Linux: nobody has the terminal any more
                break
            meanwhile(said.decode(errors="replace"), ours, process)
        os.close(ours)
    return process.returncode, said.decode()


def test_on_a_terminal_what_is_read_has_a_bar_and_a_table(home: Path) -> None:
    status, said = on_terminal(home, "--once", TERM="xterm-256color")
    assert status == 0, said
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said[said.rindex("triage  ") :])
    assert re.search(r"^support +idle +3 .* 3\s*$", last, re.MULTILINE), last
    assert re.search(r"^support +━+ +100 % +done\s*$", last, re.MULTILINE), last
    assert "agent_connect/employee_is_queue" in last
    assert max(map(len, last.splitlines())) <= 80
    assert said.rindex(VISIBLE) > said.rindex(HIDDEN)
    assert '"event"' not in said, "the table says what the log says of single mails"


def test_ctrl_c_and_another_size_leave_a_clean_terminal(home: Path) -> None:
    def meanwhile(said: str, terminal: int, process: subprocess.Popen[bytes]) -> None:
        if "\x1b[2J" in said:
            process.send_signal(signal.SIGINT)
        elif "a minute" in said:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))

    status, said = on_terminal(home, meanwhile=meanwhile, TERM="xterm-256color")
    assert status == 0, said
    assert "stopping" in said[said.rindex("triage  ") :]
    assert said.rindex(VISIBLE) > said.rindex(HIDDEN)


def test_many_signals_at_once_stop_it_all_the_same(home: Path) -> None:
    log = home / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(COMMAND, cwd=home, env=ENVIRONMENT, stderr=stderr)
    numbers = cycle((signal.SIGHUP, signal.SIGINT, signal.SIGTERM))

    def stopped() -> bool:
        for _ in range(100):
            process.send_signal(next(numbers))
            time.sleep(1e-4)
        return '"stopped"' in log.read_text()

    try:
        until(lambda: '"started"' in log.read_text())
        until(stopped)
        assert process.wait(120) == 0, log.read_text()
    finally:
        process.kill()


def test_where_there_is_no_terminal_there_are_no_escape_codes(home: Path) -> None:
    piped = subprocess.run(
        [*COMMAND, "--once"],
        cwd=home,
        env=ENVIRONMENT | {"TERM": "xterm-256color", "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"event": "mail"' in piped.stderr
    assert piped.stdout == ""
    assert "\x1b" not in piped.stderr


@pytest.mark.parametrize(("kind", "expected"), [("xterm", True), ("dumb", False), ("", False)])
def test_nothing_is_drawn_on_a_terminal_that_cannot_move_its_cursor(
    kind: str, *, expected: bool
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as out:
        assert is_drawable(out, kind) is expected
