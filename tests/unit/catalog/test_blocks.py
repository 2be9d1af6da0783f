from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.catalog.blocks import HEADING, Layout
from triage.catalog.condition import Span
from triage.catalog.verdict import Method, Where


def layout(text: str, subject: str = "", *, whole: bool = False) -> Layout:
    """`E` in a text is an error, `R` a record."""
    errors = [found.start() for found in re.finditer("E", text)]
    records = [found.start() for found in re.finditer("R", text)]
    return Layout(subject, text, errors=errors, records=records, whole=whole)


def groups(text: str) -> list[str]:
    """The marks of each block that has one."""
    blocks = layout(text)
    found: dict[int, str] = {}
    for mark in re.finditer("[ER]", text):
        number = blocks.number_at(mark.start())
        found[number] = found.get(number, "") + mark.group()
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("E\n\nE", ["E", "E"]),
        ("E\n \t\n\u00a0\nR", ["E", "R"]),
        ("E\nR\nR\nE\nR", ["ERR", "ER"]),
        ("R\nE\nR\nE", ["RE", "RE"]),
        ("R\nR\nE\nR\nE", ["RRE", "RE"]),
        ("E R\nE R\nE R", ["ER", "ER", "ER"]),
        ("R: E\nwords\nR: E", ["RE", "RE"]),
        ("E\nE\nR", ["EER"]),
        ("E\nE R\nE R", ["EER", "ER"]),
        ("E\n- R\n- R\nE\n- R", ["ERR", "ER"]),
        ("- E\n- E", ["E", "E"]),
        ("1. E\n2. E", ["E", "E"]),
        ("case: 1\nfault: E\ncase: 2\nfault: E", ["E", "E"]),
        ("fault: E\ncase: 1\nfault: E\ncase: 2", ["E", "E"]),
        ("fault: E\nfault: E\nlink: R", ["EER"]),
        ("link: R\nlink: R\nfault: E", ["RRE"]),
        ("link: R\nowner: x\nfault: E\nlink: R\nowner: x\nfault: E", ["RE", "RE"]),
        ("words\nE\nwords", ["E"]),
        ("R\n\nE", ["R", "E"]),
    ],
)
def test_lines_that_belong_together_are_one_block(text: str, entries: list[str]) -> None:
    assert groups(text) == entries


def test_a_whole_notification_is_one_block_with_its_subject() -> None:
    blocks = layout("E\n\nR\n\nE", "subject", whole=True)
    spans = [Span(Where.TEXT, 6, 7, Method.LITERAL), Span(Where.SUBJECT, 0, 2, Method.LITERAL)]
    assert [blocks.number(span) for span in spans] == [0, 0]
    assert [blocks.block(span) for span in spans] == [0, 0]


def test_the_subject_is_a_heading_and_so_is_a_paragraph_that_repeats_it() -> None:
    blocks = layout("Error  ALERT\n\nE, else", "Error alert for you")
    assert blocks.block(Span(Where.SUBJECT, 0, 5, Method.LITERAL)) == HEADING
    repeated = Span(Where.TEXT, 0, 5, Method.LITERAL)
    assert blocks.block(repeated) == HEADING
    assert blocks.number(repeated) != HEADING
    assert blocks.block(Span(Where.TEXT, 14, 15, Method.LITERAL)) != HEADING


def test_the_text_of_a_block_is_what_stands_in_it() -> None:
    blocks = layout("R\nE\nR\nE more")
    assert [blocks.text(number) for number in (0, 1)] == ["R\nE\n", "R\nE more"]


@given(st.text(st.sampled_from("ER-:1 \na"), max_size=60))
def test_blocks_follow_each_other_and_hold_the_whole_text(text: str) -> None:
    blocks = layout(text)
    numbers = [blocks.number_at(offset) for offset in range(len(text))]
    assert numbers == sorted(numbers)
    last = numbers[-1] if numbers else 0
    assert "".join(blocks.text(number) for number in range(last + 1)).startswith(text[:1])
    assert sum(len(blocks.text(number)) for number in range(last + 1)) <= len(text)
