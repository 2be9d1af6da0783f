"""Throw-away servers for the contract tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

_NAMES = {
    "postgresql": "PostgreSQL",
    "dovecot-imapd": "Dovecot",
    "postfix": "smtp-sink",
    "request-tracker5 rt5-db-sqlite": "Request Tracker 5",
}


def need(program: str, package: str) -> str:
    """The path of a server's program; without it the test is skipped and says what to install.

    `program` is a name, or a glob over absolute paths such as `/usr/lib/postgresql/*/bin/initdb`,
    of which the newest counts. With TRIAGE_TEST_NO_SKIP=1 a missing program is a failure.
    """
    if program.startswith("/"):
        found = sorted((str(path) for path in Path("/").glob(program[1:])), key=_version)
        path = found[-1] if found else None
    else:
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is not None:
        return path
    reason = f"{_NAMES.get(package, package)} is not installed: apt-get install {package}"
    if os.environ.get("TRIAGE_TEST_NO_SKIP") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _version(path: str) -> tuple[int, ...]:
    """Numbers in a path, so that 15 stands after 9."""
    return tuple(int(part) for part in path.split("/") if part.isdigit())
