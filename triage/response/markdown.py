"""Markdown of our templates, with strangers' words in it, to HTML and to readable text.

Data is *armoured* when a template outputs it: every ASCII punctuation mark becomes a character
of Unicode's private use area. To the Markdown parser it is a plain letter, so no data can ever
be syntax, be it in a paragraph, a code span, a table or a link. After parsing the marks come
back. What holds for links (design 5.6) holds for both outputs: a link stays one only with https
and a host of the allowlist; an address that strangers wrote is shown defanged.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from html import escape
from textwrap import fill

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from triage.response import trend

WIDTH = 76
"""Columns of the text part; RFC 5322, 2.1.1 asks for at most 78."""

_ARMOUR = {ord(mark): 0xE000 + ord(mark) for mark in string.punctuation}
_DISARM = {armoured: mark for mark, armoured in _ARMOUR.items()}

# Controls, bidirectional overrides, byte order marks, the armour itself; surrogates apart.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ue000-\uf8ff\ufff9-\ufffb]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")

_COLON, _SLASH, _DOT = ":\ue03a", "/\ue02f", ".\ue02e"
_URL = re.compile(
    rf"[A-Za-z][A-Za-z0-9]{{1,14}}[{_COLON}][{_SLASH}]{{2}}[^\s<>]+"
    rf"|(?<![^\W_])www[{_DOT}][^\s<>]+"
    # A host without a scheme, but with a path: mail programs make links of these as well.
    rf"|(?<![^\W_])[A-Za-z0-9\-\ue02d]{{1,63}}(?:[{_DOT}][A-Za-z0-9\-\ue02d]{{1,63}}){{0,8}}"
    rf"[{_DOT}][A-Za-z]{{2,24}}[{_SLASH}][^\s<>]*",
    re.IGNORECASE,
)
_STRICT_URL = re.compile(
    r"https://([a-z0-9.-]{1,253})(?:[/?#][!#-;=?-\[\]_a-z~{|}]*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a bar chart: how many now, and how many in the time before."""

    label: str
    count: int
    before: int
    key: str = field(default="", compare=False)
    """By which a language knows its own words for the label."""
    tenant: str = field(default="", compare=False)
    """Whose it is, when the label says so in brackets."""


def clean(text: str) -> str:
    """LF line ends, and no character that is invisible or turns the reading direction."""
    text = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Cleaned, with every run of white space as one blank."""
    return " ".join(clean(text).split())


def armour(text: str) -> str:
    """Cleaned data that the Markdown parser takes for letters; line ends stay."""
    return clean(text).translate(_ARMOUR)


def disarm(text: str) -> str:
    """The punctuation marks of armoured data back in place."""
    return text.translate(_DISARM)


def defang(url: str) -> str:
    """An address that nobody can follow by accident: `hxxps://evil[.]example/x`."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    host = re.match(r"[^/?#]*", rest)
    assert host is not None  # noqa: S101 - an empty match always exists
    shown = host[0].replace(".", "[.]") + rest[host.end() :]
    return scheme.lower().replace("http", "hxxp", 1) + separator + shown


def link_allowed(url: str, hosts: AbstractSet[str]) -> bool:
    """Whether it is https, without user or port, and its host is one of `hosts`."""
    strict = _STRICT_URL.fullmatch(url)
    return strict is not None and strict[1].lower() in hosts


def defang_data(text: str, hosts: AbstractSet[str]) -> str:
    """Disarmed text in which what strangers wrote as an address is defanged.

    An address of which the template wrote every mark is the author's and stays.
    """

    def shown(found: re.Match[str]) -> str:
        plain = disarm(found[0])
        bare = plain.rstrip(".,;:!?)]}'\"")
        if plain == found[0] or link_allowed(bare, hosts):
            return plain
        return defang(plain)

    return disarm(_URL.sub(shown, text))


class _Parser(MarkdownIt):
    """CommonMark with tables, without HTML and images. Link targets may be armoured."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False, "linkify": False, "typographer": False})
        self.enable("table").disable("image")

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - the library's name
        return disarm(url)

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return bool(url)  # judged later, so that a refused link is shown and not lost


_PARSER = _Parser()


def _parse(markdown: str, hosts: AbstractSet[str]) -> list[Token]:
    """Tokens with plain text: armour off, addresses defanged, only allowed links left."""
    tokens = _PARSER.parse(markdown)
    for token in tokens:
        if token.children is not None:
            token.children = list(_inline(token.children, hosts))
        elif token.type in {"fence", "code_block"}:
            token.content = defang_data(token.content, hosts)
    return tokens


def _inline(tokens: Sequence[Token], hosts: AbstractSet[str]) -> Iterator[Token]:
    refused: list[str] = []
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrs.get("href", ""))
            allowed = link_allowed(target, hosts)
            refused.append("" if allowed else target)
            if allowed:
                token.attrs = {"href": target}
                yield token
        elif token.type == "link_close":
            if target := refused.pop():
                yield Token("text", "", 0, content=f" ({defang(target)})")
            else:
                yield token
        else:
            if token.type in {"text", "code_inline"}:
                token.content = defang_data(token.content, hosts)
            yield token


def text_and_html(
    markdown: str, hosts: AbstractSet[str] = frozenset(), *, language: str = "en"
) -> tuple[str, str]:
    """Both forms of a mail's body.

    Plain text as a person would type it in this language, wrapped at `WIDTH` columns, ends with
    LF; and a fragment of HTML without scripts and images. Only links to `hosts` are links.
    """
    tokens = _parse(markdown, hosts)
    text = _blocks(SyntaxTreeNode(tokens).children, WIDTH) + "\n"
    return text.translate(_QUOTES.get(language[:2], _STRAIGHT)), _html(tokens)


# HTML ------------------------------------------------------------------------------------


def _html(tokens: Sequence[Token]) -> str:
    for token in tokens:
        if token.type == "fence" and token.info == "bars":
            token.type, token.content = "html_block", _bars_as_html(_bars(token.content))
        elif token.type == "fence" and token.info == "trends":
            token.type, token.content = "html_block", trend.as_html(trend.read(token.content))
    return str(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def _bars_as_html(bars: Sequence[_Row]) -> str:
    """Table cells of proportional width and a background colour: they show without images."""
    most = max((max(bar.count, bar.before) for bar in bars), default=0) or 1
    rows = []
    for bar in bars:
        lines = "".join(
            f'<table role="presentation" class="line" width="{max(1, round(100 * value / most))}%">'
            f'<tr><td class="{name}" bgcolor="{colour}" height="{height}"></td></tr></table>'
            for value, name, colour, height in (
                (bar.count, "bar", "#2a6fdb", 10),
                (bar.before, "before", "#c3cad5", 4),
            )
            if value
        )
        rows.append(
            f'<tr><td class="label">{escape(bar.label)}</td><td class="lines" width="38%">{lines}'
            f'</td><td class="number" align="right">{escape(bar.number)}</td>'
            f'<td class="change" align="right">{escape(bar.change)}</td></tr>'
        )
    return f'<table class="bars" width="100%" cellspacing="0">{"".join(rows)}</table>\n'


# Text ------------------------------------------------------------------------------------

_BLANKS = re.compile(" {2,}")
_OPEN, _CLOSE = "\x02", "\x03"  # no data holds them: `clean` takes them out
_STRAIGHT = str.maketrans({_OPEN: '"', _CLOSE: '"'})
_QUOTES = {"de": str.maketrans({_OPEN: "„", _CLOSE: "“"})}


def _blocks(nodes: Iterable[SyntaxTreeNode], width: int, between: str = "\n\n") -> str:
    return between.join(block for node in nodes if (block := _block(node, width)))


def _block(node: SyntaxTreeNode, width: int) -> str:  # noqa: PLR0911 - one a kind of block
    match node.type:
        case "heading":
            text = fill(_words(node), width)
            longest = max(len(line) for line in text.split("\n"))
            return f"{text}\n{('=' if node.tag in {'h1', 'h2'} else '-') * longest}"
        case "bullet_list" | "ordered_list":
            return _list(node, width)
        case "blockquote":
            return _indented(_blocks(node.children, width - 2), "> ", "> ")
        case "fence" if node.info == "bars":
            return _bars_as_text(_bars(node.content))
        case "fence" if node.info == "trends":
            return trend.as_text(trend.read(node.content), WIDTH)
        case "fence" | "code_block":
            return _indented(node.content.rstrip("\n"), "    ", "    ")
        case "hr":
            return "-" * width
        case "table":
            return _table(node)
        case _:
            lines = _words(node).split("\n")
            return "\n".join(
                fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines
            )


def _list(node: SyntaxTreeNode, width: int) -> str:
    entries = []
    first = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else 0
    for number, entry in enumerate(node.children, first):
        mark = f"{number}. " if node.type == "ordered_list" else "- "
        inner = _blocks(entry.children, width - len(mark), "\n" if _tight(entry) else "\n\n")
        entries.append(_indented(inner, mark, " " * len(mark)))
    return ("\n" if all(_tight(entry) for entry in node.children) else "\n\n").join(entries)


def _tight(entry: SyntaxTreeNode) -> bool:
    """Whether the author wrote the list without empty lines (CommonMark, 5.3)."""
    return all(block.hidden for block in entry.children if block.type == "paragraph")


def _indented(text: str, first: str, other: str) -> str:
    head, *rest = text.split("\n")
    return "\n".join([first + head, *((other + line).rstrip() for line in rest)])


def _table(node: SyntaxTreeNode) -> str:
    parts = (row for part in node.children for row in part.children)
    rows = [[_words(cell) for cell in row.children] for row in parts]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * w for w in widths])
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _words(node: SyntaxTreeNode) -> str:
    """The words of a block; LF only where the author broke the line on purpose."""
    match node.type:
        case "text" | "code_inline":
            return _BLANKS.sub(" ", node.content)
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "em":  # in these texts it marks what stands on the screen
            return f"{_OPEN}{''.join(map(_words, node.children))}{_CLOSE}"
        case "link":
            label, target = "".join(map(_words, node.children)), str(node.attrs["href"])
            return target if label in {target, ""} else f"{label} <{target}>"
        case _:
            return "".join(map(_words, node.children))


# Bars ------------------------------------------------------------------------------------


def bars(rows: Iterable[Bar], written: Callable[[int], str] = str) -> str:
    """The Markdown of a bar chart: a fence that both outputs draw in their own way.

    `written` is how the language writes a number, without blanks.
    """
    lines = "".join(
        f"{row.count} {row.before} {written(row.count)} {_change(row, written)} "
        f"{armour(one_line(row.label))}\n"
        for row in rows
    )
    return f"```bars\n{lines}```"


def _change(bar: Bar, written: Callable[[int], str]) -> str:
    change = bar.count - bar.before
    return f"{'±' if change == 0 else '-' if change < 0 else '+'}{written(abs(change))}"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the fence: how long its bars are, and what stands beside them."""

    count: int
    before: int
    number: str
    change: str
    label: str


def _bars(content: str) -> list[_Row]:
    split = (line.split(" ", 4) for line in content.splitlines() if line.count(" ") >= 4)
    return [_Row(int(count), int(before), *words) for count, before, *words in split]


def _bars_as_text(rows: Sequence[_Row]) -> str:
    most = max((bar.count for bar in rows), default=0) or 1
    lines = []
    for bar in rows:
        blocks = "█" * max(1 if bar.count else 0, round(24 * bar.count / most))
        lines.append(fill(bar.label, WIDTH - 2))
        lines.append(f"  {blocks:<24} {bar.number:>6}  ({bar.change})")
    return "\n".join(lines)
