"""What of an HTML text its styles keep from the reader (CSS 2.2, CSS Color 3).

Read are `style` attributes, the older attributes for colours, and of style sheets the rules for
one element, class or id. What holds on some screens only (`@media`), or while a pointer rests on
it, is not applied. Colours count as far as they are known: a picture behind a text, or a rule of
another form that sets colours, leaves them open, and then the text is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

Rgb = tuple[int, int, int]
Attributes = Mapping[str, str | None]

_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)
_LINK: Final = (0, 0, 238)
_CLEAR: Final = (-1_000, -1_000, -1_000)
"""Transparent, which is near to no colour."""
_NEAR: Final = 20
"""Difference of red, green and blue up to which two colours look alike."""
_SMALLEST: Final = 1.5
"""Pixels of a type size, or of a box, that show nothing."""
_AWAY: Final = -500.0
"""Pixels beside the screen."""
_FAINT: Final = 0.05
_SHORT: Final = 1_000
"""Characters of a style that is worth remembering."""
_RULES: Final = 100
"""Rules that are applied; each is asked at many elements."""
_SELECTORS: Final = 1_000
"""That are looked at in all style sheets of a text."""
_CLASSES: Final = 20
"""Of one element that are looked at."""
_STEPS: Final = 500_000
"""Rules that elements are asked about, ten each, and characters of those that apply to them."""
_BODY: Final = 2_000
"""Characters of a rule that are read."""

_PROPERTIES: Final = frozenset(
    (
        *("display", "visibility", "opacity", "mso-hide", "overflow", "overflow-x", "overflow-y"),
        *("height", "max-height", "width", "max-width", "text-indent", "margin", "margin-left"),
        *("margin-top", "margin-right", "position", "left", "top", "right", "bottom", "clip"),
        *("clip-path", "font", "font-size", "color", "background", "background-color"),
        "background-image",
    )
)
_STYLING: Final = frozenset(("style", "hidden", "bgcolor", "background", "color", "text"))
"""Attributes that say how an element is written."""
_COMMENT: Final = re.compile(r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)")
_LENGTH: Final = re.compile(
    r"(-?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++))(px|pt|em|rem|ex|ch|%|vw|vh|in|cm|mm)?"
)
_UNITS: Final = ("", "px", "pt", "em", "rem", "ex", "ch", "%", "vw", "vh", "in", "cm", "mm")
_FACTORS: Final = dict(
    zip(_UNITS, (1, 1, 4 / 3, 16, 16, 8, 8, 10, 10, 10, 96, 38, 3.8), strict=True)
)
"""Pixels, or about so many, in one of each unit; `%` is taken of a page 1,000 pixels wide."""
_RELATIVE: Final = frozenset(("em", "ex", "ch", "%"))
_KEPT: Final = frozenset(("inherit", "unset", "currentcolor", "revert", ""))
_NO_GROUND: Final = frozenset(
    (
        *("none", "transparent", "repeat", "no-repeat", "repeat-x", "repeat-y", "scroll", "fixed"),
        *("center", "left", "right", "top", "bottom", "initial", "inherit", "unset", "0", "/"),
    )
)
_NAME_WORDS: Final = (
    "white #fff black #000 window #fff windowtext #000 initial #000 snow #fffafa ivory #fffff0 "
    "whitesmoke #f5f5f5 ghostwhite #f8f8ff floralwhite #fffaf0 red #f00 green #080 blue #00f "
    "navy #000080 yellow #ff0 gray #808080 grey #808080 silver #c0c0c0"
)
_NAMES: Final = _NAME_WORDS.split()
_NAMED: Final = dict(zip(_NAMES[::2], _NAMES[1::2], strict=True))
_HEX: Final = re.compile(r"#?(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_RGB: Final = re.compile(r"rgba?\(([0-9.]{1,9}(?:[ ,/]{1,4}[0-9.]{1,9}){2,3}) ?\)")
_NUMBER: Final = re.compile(r"[0-9]{1,5}(?:\.[0-9]{0,5})?|\.[0-9]{1,5}")
_TOKEN: Final = re.compile(r"[a-z-]{1,30}\([^)]{0,200}\)|[^\s]+")
_SIMPLE: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)?((?:[.#][\w-]+)*)")
_PART: Final = re.compile(r"[.#][\w-]+")
_ON_EVERY_SCREEN: Final = re.compile(r"@media\s+(?:only\s+)?(?:screen|all)", re.IGNORECASE)
_BRACE: Final = re.compile(r"[{}]")
_COLOURS: Final = re.compile(
    r"(?:^|[;\s])(?:color|background[\w-]*)\s*:(?!\s*inherit)", re.IGNORECASE
)
_OF_INTEREST: Final = re.compile("|".join(sorted(_PROPERTIES)), re.IGNORECASE)

Unset = Literal["unset"]


@dataclass(frozen=True, slots=True)
class Ink:
    """How the text of an element is written; None is a colour that is not known."""

    colour: Rgb | None = _BLACK
    ground: Rgb | None = _WHITE
    is_tiny: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether a reader sees text that is written so."""
        if self.is_tiny or self.colour == _CLEAR:
            return False
        if self.colour is None or self.ground is None:
            return True
        pairs = zip(self.colour, self.ground, strict=True)
        return any(abs(one - other) >= _NEAR for one, other in pairs)


PLAIN: Final = Ink()


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a style does to an element and what it hands down."""

    hides: bool = False
    hides_in_outlook: bool = False
    colour: Rgb | Unset | None = "unset"
    ground: Rgb | Unset | None = "unset"
    is_tiny: bool | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    tag: str
    names: frozenset[str]
    """Classes with `.` and ids with `#` before them."""
    declarations: str
    rank: tuple[int, int, int]


class Sheet:
    """The rules of a text's style sheets that are applied."""

    def __init__(self, sheets: Iterable[str] = ()) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        self._colours_are_known = True
        self._steps = _STEPS
        rules = 0
        for number, (selector, declarations) in enumerate(_rules(sheets)):
            if number >= _SELECTORS or rules >= _RULES:
                break
            if ":" in selector:
                continue
            simple = _SIMPLE.fullmatch(selector)
            if simple:
                self._add(simple, declarations, number)
                rules += 1
            elif _COLOURS.search(declarations):
                self._colours_are_known = False

    def _add(self, selector: re.Match[str], declarations: str, number: int) -> None:
        tag, names = (selector[1] or "").lower(), _PART.findall(selector[2])
        ids = sum(name[0] == "#" for name in names)
        rank = (ids, len(names) - ids, number)
        rule = _Rule(tag, frozenset(names), declarations, rank)
        self._rules.setdefault(names[0] if names else tag, []).append(rule)

    def ink(self, above: Ink, tag: str, attributes: Attributes) -> Ink | None:
        """How an element is written; None when it and all in it are not seen."""
        is_styled = bool(self._rules) or not _STYLING.isdisjoint(attributes)
        if not is_styled and above is PLAIN:
            return PLAIN  # as most are
        if "hidden" in attributes:
            return None
        style = self._declarations(tag, attributes) if is_styled else ""
        if not self._colours_are_known and above != PLAIN:
            above = replace(above, colour=None, ground=None)
        if tag == "a" and above.colour != _BLACK and "href" in attributes:
            above = replace(above, colour=_LINK)
        if not style:
            return above
        effect = _effect(style) if len(style) <= _SHORT else _effect.__wrapped__(style)
        # A button has another form for Outlook beside it.
        if effect.hides or (effect.hides_in_outlook and tag != "a"):
            return None
        return self._below(above, effect)

    def _below(self, above: Ink, effect: _Effect) -> Ink:
        if effect is _NOTHING:
            return above
        colour = above.colour if effect.colour == "unset" else effect.colour
        ground = above.ground if effect.ground == "unset" else effect.ground
        if not self._colours_are_known:
            colour = None if effect.colour == "unset" else colour
            ground = None if effect.ground == "unset" else ground
        return Ink(colour, ground, above.is_tiny if effect.is_tiny is None else effect.is_tiny)

    def _declarations(self, tag: str, attributes: Attributes) -> str:
        """All that apply to an element, the strongest last."""
        found: list[str] = []
        if (ground := attributes.get("bgcolor")) is not None:
            found.append(f"background-color:{ground}")
        if "background" in attributes:
            found.append("background:url()")
        if (colour := attributes.get("text" if tag == "body" else "color")) is not None:
            found.append(f"color:{colour}")
        if self._rules and self._steps > 0:
            found += self._matching(tag, attributes)
        found.append(attributes.get("style") or "")
        return ";".join(found) if len(found) > 1 else found[0]

    def _matching(self, tag: str, attributes: Attributes) -> list[str]:
        if tag not in self._rules and "class" not in attributes and "id" not in attributes:
            return []
        names = [f".{name}" for name in (attributes.get("class") or "").split()[:_CLASSES]]
        if id_ := attributes.get("id"):
            names.append(f"#{id_}")
        own = frozenset(names)
        asked = [rule for key in (tag, *own) for rule in self._rules.get(key, ())]
        rules = [rule for rule in asked if rule.tag in {"", tag} and rule.names <= own]
        rules.sort(key=lambda rule: rule.rank)
        found = [rule.declarations for rule in rules]
        self._steps -= 10 * len(asked) + sum(map(len, found))
        return found


def _rules(sheets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each selector with its declarations, as far as they hold on every screen."""
    for sheet in sheets:
        css = _COMMENT.sub("", sheet.replace("<!--", "").replace("-->", ""))
        at = 0
        while (begin := css.find("{", at)) >= 0:
            selectors = css[at:begin].rpartition(";")[2].strip(" \t\r\n\f}")
            at = begin + 1
            if _ON_EVERY_SCREEN.fullmatch(selectors):
                continue
            if selectors.startswith("@"):
                at = _end_of_block(css, begin)
                continue
            end = css.find("}", begin)
            end = end if end >= 0 else len(css)
            at = end + 1
            body = css[begin + 1 : min(end, begin + 1 + _BODY)]
            if _OF_INTEREST.search(body):
                for selector in selectors.split(","):
                    yield selector.strip(), body


def _end_of_block(css: str, begin: int) -> int:
    depth = 0
    for brace in _BRACE.finditer(css, begin):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.end()
    return len(css)


# Declarations -------------------------------------------------------------------------------


@lru_cache(maxsize=512)  # a mail repeats few styles, and mails of one program the same
def _effect(style: str) -> _Effect:
    declared = _declared(style)
    if not declared:
        return _NOTHING
    colour: Rgb | Unset | None = "unset"
    ground: Rgb | Unset | None = "unset"
    is_tiny: bool | None = None
    for name, value in declared.items():
        if name == "color" and value not in _KEPT:
            colour = _colour(value)
        elif name.startswith("background"):
            found = _ground(value)
            ground = ground if found == "unset" else found
        elif name in {"font", "font-size"}:
            found_size = _is_tiny(value, is_shorthand=name == "font")
            is_tiny = is_tiny if found_size is None else found_size
    in_outlook = declared.get("mso-hide") == "all"
    return _Effect(_hides(declared), in_outlook, colour, ground, is_tiny)


_NOTHING: Final = _Effect()


def _declared(style: str) -> dict[str, str]:
    """The values of the properties that matter, in the order in which they hold."""
    if "/*" in style:
        style = _COMMENT.sub("", style)
    found: dict[str, str] = {}
    important: set[str] = set()
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        name = name.strip().lower()
        if not colon or name not in _PROPERTIES:
            continue
        value, mark, _ = value.partition("!")
        if mark:
            important.add(name)
        elif name in important:
            continue
        found.pop(name, None)
        found[name] = " ".join(value.lower().split())
    return found


def _hides(declared: Mapping[str, str]) -> bool:
    """Whether nothing of an element is seen, whatever the elements in it say."""
    if declared.get("display") == "none" or declared.get("visibility") in {"hidden", "collapse"}:
        return True
    opacity = declared.get("opacity")
    if opacity and _NUMBER.fullmatch(opacity) and float(opacity) <= _FAINT:
        return True
    sizes = (_pixels(declared.get(f"{most}{side}")) for most in ("", "max-") for side in _SIDES)
    is_flat = any(size is not None and size <= _SMALLEST for size in sizes)
    if is_flat and any(declared.get(name) in {"hidden", "clip"} for name in _OVERFLOWS):
        return True
    moved = " ".join(declared.get(name, "") for name in _MOVING)
    if declared.get("position") in {"absolute", "fixed", "relative"}:
        moved += " " + " ".join(declared.get(name, "") for name in _PLACES)
        if _is_cut_away(declared.get("clip", "")):
            return True
    if declared.get("clip-path", "").startswith(("inset(50%", "inset(100%", "circle(0")):
        return True
    return "-" in moved and any((_pixels(value) or 0) <= _AWAY for value in moved.split())


_SIDES: Final = ("height", "width")
_OVERFLOWS: Final = ("overflow", "overflow-x", "overflow-y")
_MOVING: Final = ("text-indent", "margin", "margin-left", "margin-top", "margin-right")
_PLACES: Final = ("left", "top", "right", "bottom")


def _is_cut_away(clip: str) -> bool:
    """Whether `clip: rect(…)` leaves nothing."""
    if not clip.startswith("rect("):
        return False
    edges = [_pixels(edge) for edge in clip[5:].rstrip(" )").replace(",", " ").split()]
    return bool(edges) and all(edge is not None and abs(edge) <= _SMALLEST for edge in edges)


def _pixels(value: str | None) -> float | None:
    match = _LENGTH.fullmatch(value) if value else None
    return float(match[1]) * _FACTORS[match[2] or ""] if match else None


def _is_tiny(value: str, *, is_shorthand: bool) -> bool | None:
    """Whether a type size cannot be read; None where it says nothing by itself."""
    for token in value.split() if is_shorthand else (value,):
        match = _LENGTH.fullmatch(token.partition("/")[0])
        if match is None or (is_shorthand and not match[2] and float(match[1])):
            continue  # a name, or a weight such as 700
        size, unit = float(match[1]), match[2] or ""
        if unit in _RELATIVE:
            return True if size * _FACTORS[unit] <= _SMALLEST * (unit != "%" or 10) else None
        return size * _FACTORS[unit] <= _SMALLEST
    return None if value in _KEPT or is_shorthand else False


def _ground(value: str) -> Rgb | Unset | None:
    """The colour behind a text; None for a picture or an unknown one."""
    found: Rgb | Unset | None = "unset"
    for token in _TOKEN.findall(value):
        if token in _NO_GROUND or _LENGTH.fullmatch(token):
            continue
        colour = _colour(token)
        if colour is None:
            return None
        found = found if colour == _CLEAR else colour
    return found


def _colour(value: str) -> Rgb | None:
    """A colour; None for one that is not known, or half transparent."""
    if value == "transparent":
        return _CLEAR
    value = _NAMED.get(value, value)
    if _HEX.fullmatch(value):
        digits = value.lstrip("#")
        if len(digits) <= 4:
            digits = "".join(2 * digit for digit in digits)
        parts = [int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)]
        return _opaque(parts[0], parts[1], parts[2], parts[3] / 255 if len(parts) > 3 else 1)
    match = _RGB.fullmatch(value)
    numbers = re.split(r"[ ,/]+", match[1]) if match else []
    if not numbers or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    red, green, blue, *alpha = (float(number) for number in numbers)
    return _opaque(int(red), int(green), int(blue), alpha[0] if alpha else 1)


def _opaque(red: int, green: int, blue: int, alpha: float) -> Rgb | None:
    if alpha <= _FAINT:
        return _CLEAR
    return (red, green, blue) if alpha >= 1 - _FAINT else None
