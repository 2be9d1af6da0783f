"""The visible text of HTML mail, in lines that the same splitter reads as those of plain text.

Only what a reader sees counts: hidden elements, comments, head, style and signatures are left
out (`styles`); quotations get `> `, so that history looks alike in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from triage.mail.charset import calm
from triage.mail.identifiers import links
from triage.mail.limits import DEFAULT, Budget, LimitExceeded, Limits
from triage.mail.styles import PLAIN, Ink, Sheet

ORIGINAL: Final = "-----Original Message-----"
"""Put where Outlook separates what follows by structure alone."""


@dataclass(frozen=True, slots=True)
class Body:
    """One text as lines, with the targets of its links by line number."""

    lines: tuple[str, ...]
    links: tuple[tuple[int, str], ...] = ()

    @property
    def text(self) -> str:
        """The lines, joined by LF."""
        return "\n".join(self.lines)

    def __add__(self, other: Body) -> Body:
        """One text below the other, a blank line between them."""
        if not self.lines or not other.lines:
            return self if self.lines else other
        shift = len(self.lines) + 1
        links = tuple((line + shift, url) for line, url in other.links)
        return Body((*self.lines, "", *other.lines), self.links + links)


_UNSEEN: Final = frozenset(
    (
        *("head", "script", "style", "title", "template", "object", "iframe", "svg", "map"),
        *("datalist", "del", "s", "strike"),
    )
)
"""Not shown, or struck out: who strikes a line out reports it no more."""
_LINE: Final = frozenset(
    (
        *("address", "article", "aside", "body", "caption", "center", "dd", "details", "div"),
        *("dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "html"),
        *("legend", "li", "main", "nav", "section", "summary", "tbody", "tfoot", "thead", "tr"),
    )
)
_PARAGRAPH: Final = frozenset(
    ("blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul")
)
_HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_SIGNATURES: Final = frozenset(("gmail_signature", "moz-signature"))
_BLANKS: Final = re.compile(r"[ \t\n\r\f\xa0]+")
_SEPARATOR: Final = re.compile("border-top:solid#(?:e1e1e1|b5c4df)")
_BAR: Final = re.compile(r"border-left(?:-width)?:(?!none|0)")
_DATA_URL: Final = re.compile(r"data:[\w/+.-]{1,60};base64,[A-Za-z0-9+/=]*")
_TAG: Final = re.compile(
    r"<(/?)([a-zA-Z][^\s/>]*+)"
    r"(?:=\s*+(?:\"[^\"]*+\"|'[^']*+')?+|[^=>]++)*+"
)
"""A tag up to its end: `>` does not end it inside a quoted value (HTML Standard, 13.2.5)."""
_NOT_NESTING: Final = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
        *("source", "track", "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "option", "tbody"),
        *("thead", "tfoot", "html", "body"),
    )
)
"""Elements without content, and those that the next one of their kind closes."""
_FORMATTING: Final = frozenset(
    "b big code em font i nobr s small strike strong tt u".split()  # noqa: SIM905 a table
)
"""Elements that a block closes, and that the parser opens again in the next one."""
_PLAIN_URL: Final = re.compile(r"[^\s<>]+")
_FEW_TAGS: Final = 500
_SMALL: Final = 16_384
_OPTIONS: Final = 2_000
_LONG_TAG: Final = 1_000


def html_to_text(
    html: str, limits: Limits = DEFAULT, budget: Budget | None = None, *, in_answer: bool = False
) -> Body:
    """The visible text of an HTML part; linear in its length.

    Block elements and `<br>` end lines, paragraphs stand apart, table cells are divided by
    tabs. In an answer every blockquote quotes. It is read as far as the budget of the whole mail
    goes. Raises LimitExceeded("html") for HTML whose nesting or attributes would keep the HTML
    parser busy.
    """
    budget = budget or Budget(limits)
    html = _DATA_URL.sub("data:", html)
    html = budget.part_of("html", html)
    html = html[: _checked(html, budget)]
    parser = LexborHTMLParser(html)
    sheets = parser.css("style") if "<style" in html.lower() else ()
    sheet = Sheet(node.text() for node in sheets if _is_for_screens(node))
    return _body(parser.root, sheet, budget, in_answer=in_answer)


def _is_for_screens(sheet: LexborNode) -> bool:
    return (sheet.attributes.get("media") or "all").strip().lower() in {"all", "screen"}


def _body(root: LexborNode | None, sheet: Sheet, budget: Budget, *, in_answer: bool) -> Body:
    reader = _Reader(in_answer=in_answer)
    waiting: list[tuple[LexborNode, Ink | None]] = [(root, PLAIN)] if root is not None else []
    nodes, most = 0, budget.left("html_nodes")
    while waiting:
        node, ink = waiting.pop()
        if ink is None:
            reader.leave(node)
            continue
        nodes += 1
        if nodes > most:
            raise LimitExceeded("html", f"over {most} elements and texts")
        if node.is_text_node:
            if ink is PLAIN or ink.is_seen:
                reader.text(node.text_content or "")
        elif node.is_element_node:
            attributes = node.attributes
            below = sheet.ink(ink, node.tag or "", attributes)
            if below is None or not reader.enter(node, attributes):
                continue
            waiting.append((node, None))
            children: list[tuple[LexborNode, Ink | None]] = []
            child = node.first_child
            while child is not None:
                children.append((child, below))
                child = child.next
            waiting.extend(reversed(children))
    budget.use("html_nodes", nodes)
    return reader.body()


def _checked(html: str, budget: Budget) -> int:
    """How much of the HTML the parser, itself not linear, may read.

    Measured: it walks all open elements at every block, all attributes at every attribute, all
    options at every option, and opens again in every block the formatting that is not closed.
    Raises LimitExceeded("html") when that would take long.
    """
    if html.count("<") <= _FEW_TAGS and len(html) <= _SMALL:
        return len(html)
    open_: Counter[str] = Counter()
    formatting: set[str] = set()
    tags = depth = steps = 0
    most, most_tags = budget.left("html_steps"), budget.left("html_tags")
    end = len(html)
    for match in _TAG.finditer(html):
        if tags >= most_tags:
            budget.met.add("html_tags")
            end = match.start()
            break
        tags += 1
        steps += depth + len(formatting) + _attribute_steps(match)
        name = match[2].lower()
        if name in _FORMATTING and not match[1] and len(formatting) < most_tags:
            formatting.add(match.group())
        if name not in _NOT_NESTING:
            if not match[1]:
                open_[name] += 1
                depth += 1
            elif open_[name]:
                open_[name] -= 1
                depth -= 1
        if steps > most:
            raise LimitExceeded("html", f"{tags} tags, {depth} deep, {len(formatting)} formats")
    if html.lower().count("<option", 0, end) > _OPTIONS:
        raise LimitExceeded("html", f"over {_OPTIONS} options")
    budget.use("html_tags", tags)
    budget.use("html_steps", steps)
    return end


def _attribute_steps(tag: re.Match[str]) -> int:
    if tag.end() - tag.start() <= _LONG_TAG:
        return 0
    between: int = sum(map(tag.group().count, " \t\n\r\f/\"'"))
    return between**2 // 8


def _style(attributes: Mapping[str, str | None]) -> str:
    return re.sub(r"\s+", "", attributes.get("style") or "").lower()


def _is_quotation(attributes: Mapping[str, str | None]) -> bool:
    """Whether a blockquote quotes a mail; it also serves to indent, and to set off."""
    if attributes.get("type") == "cite" or "cite" in attributes:
        return True
    if "quote" in (attributes.get("class") or ""):
        return True
    return "style" in attributes and bool(_BAR.search(_style(attributes)))


def _is_separator(attributes: Mapping[str, str | None]) -> bool:
    """Whether Outlook puts the header block of the mail below into this element."""
    if (attributes.get("id") or "").endswith("divRplyFwdMsg"):
        return True
    return "style" in attributes and bool(_SEPARATOR.search(_style(attributes)))


class _Reader:
    """Collects lines while elements are entered and left."""

    def __init__(self, *, in_answer: bool) -> None:
        self._in_answer = in_answer
        self._lines: list[str] = []
        self._line: list[str] = []
        self._links: list[tuple[int, str]] = []
        self._anchors: list[tuple[int, int]] = []
        """Line number and pieces in it where each open link began."""
        self._record_line = -1
        """Number of the line that holds the last record link."""
        self._is_below_record = False
        """Whether a heading with a record link stands right above."""
        self._quoted = 0
        self._preformatted = 0

    def enter(self, node: LexborNode, attributes: Mapping[str, str | None]) -> bool:
        """False when the element and all in it are not read."""
        name = node.tag or ""
        if name in _UNSEEN:
            return False
        if attributes and not _SIGNATURES.isdisjoint((attributes.get("class") or "").split()):
            return False
        if name in _PARAGRAPH:
            self._end_block(apart=not _is_tight(attributes))
            self._quoted += name == "blockquote" and self._quotes(attributes)
            self._preformatted += name == "pre"
        elif name in _LINE:
            self._end_block()
            if name == "div" and attributes and _is_separator(attributes):
                self._separate()
        else:
            self._inline(name)
        return True

    def _quotes(self, attributes: Mapping[str, str | None]) -> bool:
        return self._in_answer or _is_quotation(attributes)

    def _inline(self, name: str) -> None:
        if name == "br":
            self._end_line()
        elif name in {"td", "th"} and self._line:
            self._line.append("\t")
        elif name == "a":
            self._anchors.append((len(self._lines), len(self._line)))
        elif name == "img" and self._anchors:
            self._line.append("")  # a picture makes its link visible

    def leave(self, node: LexborNode) -> None:
        name = node.tag or ""
        if name in _PARAGRAPH:
            attributes = node.attributes
            self._end_block()
            self._is_below_record = name in _HEADINGS and self._record_line == len(self._lines) - 1
            self._end_block(apart=not _is_tight(attributes))
            self._quoted -= name == "blockquote" and self._quotes(attributes)
            self._preformatted -= name == "pre"
        elif name in _LINE:
            self._end_block()
        elif name == "a":
            began = self._anchors.pop()
            href = node.attributes.get("href")
            if href and began != (len(self._lines), len(self._line)):
                href = calm(href.strip())
                self._links.append((began[0], href))
                self._show(href, began)

    def _show(self, href: str, began: tuple[int, int]) -> None:
        """Write a record link behind its label: its place tells whose record it is."""
        shown = "".join(self._line[began[1] :]) if began[0] == len(self._lines) else ""
        if "://" in shown or not _PLAIN_URL.fullmatch(href):
            return
        if not any(link.record_id for link in links(href)):
            return
        if self._line or not self._lines or not self._lines[-1]:
            self._line.append(f" <{href}>")
        else:
            self._lines[-1] += f" <{href}>"
        self._record_line = len(self._lines) - (not self._line)

    def text(self, text: str) -> None:
        if self._preformatted:
            first, *rest = text.replace("\r", "").split("\n")
            self._line.append(first)
            for line in rest:
                self._end_line()
                self._line.append(line)
        elif text:
            collapsed = _BLANKS.sub(" ", text)
            if collapsed != " " or "\xa0" in text or (self._line and self._line[-1][-1:] != " "):
                self._line.append(collapsed)

    def body(self) -> Body:
        self._end_block()
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        seen = tuple(link for link in self._links if link[0] < len(self._lines))
        return Body(tuple(self._lines), seen)

    def _end_line(self) -> None:
        line = calm("".join(self._line))
        line = line.rstrip() if self._preformatted else _BLANKS.sub(_one, line).strip()
        self._line = []
        if line:
            self._lines.append("> " * self._quoted + line)
            self._is_below_record = False
        elif self._lines and self._lines[-1]:
            self._lines.append("")

    def _end_block(self, *, apart: bool = False) -> None:
        if self._line:
            self._end_line()
        if apart and self._lines and self._lines[-1] and not self._is_below_record:
            self._lines.append("")

    def _separate(self) -> None:
        if not any(line.startswith("-----") for line in self._lines[-3:]):
            self._lines.append(ORIGINAL)


def _one(match: re.Match[str]) -> str:
    return "\t" if "\t" in match.group() else " "


def _is_tight(attributes: Mapping[str, str | None]) -> bool:
    """Whether a paragraph is one of Word's lines, which have no distance."""
    return (attributes.get("class") or "").startswith("MsoNormal")
