"""What a run says of tests that could not run for lack of a server."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long a test takes is for the benchmarks to say: a busy machine makes no test fail.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_MARK = " is not installed: apt-get install "
"""Stands in every reason that `tests.servers.need` gives."""
_INSTALL = "sudo apt-get install --no-install-recommends"
_PACKAGES = ("dovecot-imapd", "postfix", "postgresql", "request-tracker5 rt5-db-sqlite")

_skipped: dict[str, int] = {}
"""Tests by the reason for which they were skipped."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what is skipped for a missing server."""
    if report.skipped and isinstance(report.longrepr, tuple) and _MARK in report.longrepr[2]:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        _skipped[reason] = _skipped.get(reason, 0) + 1


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it in the very last lines: the terminal's own summary hook comes before its totals."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not _skipped:
        return
    terminal.ensure_newline()
    for reason, count in sorted(_skipped.items()):
        server = reason.partition(_MARK)[0]
        terminal.write_line(f"skipped: {count} times, because {server} is not installed")
    others = {reason.partition(_MARK)[2] for reason in _skipped} - set(_PACKAGES)
    terminal.write_line("This one command installs all of them:")
    terminal.write_line(f"  {' '.join((_INSTALL, *_PACKAGES, *sorted(others)))}")
