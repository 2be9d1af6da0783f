"""Mails made to hurt whoever reads them, built in memory, each named by what it attacks.

Every mail is a function, so that only one of them is held at a time. None exceeds 25 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

from hostile_mails import markup, structure, texts, words
from hostile_mails.build import MAILS, QUICK, Build

__all__ = ["markup", "selected", "structure", "texts", "words"]


def selected(*, quick: bool) -> Iterator[tuple[str, Build]]:
    """The mails to run, by name; with `quick` one or two of every kind that are soon built."""
    yield from ((name, build) for name, build in MAILS.items() if not quick or name in QUICK)
