"""A file that is written and loaded, and the parts that most tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

from triage.settings import ConfigurationError, Settings, load

ORG = "00D8x000001AbCd"

MAILBOX = """
[[mailboxes]]
name = "support"
host = "imap.example.com"
username = "errors@example.com"
password_env = "TRIAGE_IMAP_PASSWORD"
addresses = ["errors@example.com"]
"""
SMTP = """
[smtp]
host = "smtp.example.com"
from = "Integration support <support@example.com>"
bounce_address = "errors+bounce@example.com"
"""
SUPPORT = """
[support]
contacts = ["team@example.com"]
"""
REST = SMTP + SUPPORT


class Desk:
    """Writes a file and loads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "triage.toml"

    def loads(self, *texts: str) -> Settings:
        self.path.write_text("\n".join(texts), encoding="utf-8")
        return load(self.path)

    def faults(self, *texts: str) -> list[str]:
        """What is said, without the name of the file, which begins every line."""
        self.path.write_text("\n".join(texts), encoding="utf-8")
        return self.faults_of_file()

    def faults_of_file(self) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load(self.path)
        head = f"{self.path}: "
        assert all(f.startswith((head, "environment variable ")) for f in caught.value.faults)
        return [fault.removeprefix(head) for fault in caught.value.faults]


def tenant(*lines: str, name: str = "northwind") -> str:
    return "\n".join(["[[tenants]]", f'name = "{name}"', *lines])
