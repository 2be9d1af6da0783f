"""Whole mails, letter by letter, against tests/golden; its README says how to write them anew."""

from __future__ import annotations

import os

import pytest

from tests.unit.response.mails import LANGUAGES, NAMES, TOP, mail

GOLDEN = TOP / "tests" / "golden"
TYPES = ("txt", "html")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_mail_reads_letter_by_letter_as_it_was_approved(name: str, language: str) -> None:
    made = mail(name, language)
    parts = {".txt": f"Subject: {made.subject}\n\n{made.text}", ".html": f"{made.html.strip()}\n"}
    for ending, text in parts.items():
        golden = GOLDEN / f"{name}.{language}{ending}"
        if os.environ.get("TRIAGE_GOLDEN") == "write":
            golden.write_text(text, "utf-8")
        assert text == golden.read_text("utf-8")


def test_no_approved_mail_is_left_that_nothing_renders() -> None:
    made = {f"{name}.{language}.{e}" for name in NAMES for language in LANGUAGES for e in TYPES}

    assert {path.name for path in GOLDEN.iterdir()} - {"README.md"} == made
