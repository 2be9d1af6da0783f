"""Octets to text: declared charsets, wrong ones, and encoded words (RFC 2047)."""

from __future__ import annotations

import codecs
import re
import unicodedata
from binascii import Error as Base64Error
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final

from triage.mail.limits import DEFAULT

_WIDER: Final = {
    "us-ascii": "windows-1252",
    "ascii": "windows-1252",
    "iso-8859-1": "windows-1252",
    "latin-1": "windows-1252",
    "iso-8859-9": "windows-1254",
    "iso-2022-jp": "iso2022_jp_ext",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "utf8": "utf-8",
}
"""What mailers mean by a name, where they use more than its standard has (WHATWG Encoding)."""
_EIGHT_BIT: Final = frozenset(("windows-1252", "windows-1254", "iso-8859-15"))
"""Charsets in which any UTF-8 can be read, so that a wrong label goes unnoticed."""
_JIS: Final = "iso2022_jp_ext"
_EIGHT_BIT_JAPANESE: Final = ("euc_jp", "cp932")
"""What is sent under the name of ISO-2022-JP, in the order in which one refuses the other."""
_MANY_OCTETS: Final = ("utf-16", "utf-32", "iso2022", "cp932", "cp949", "gb18030", "big5", "euc")
"""Charsets that are kept in spite of a broken character."""
PUNISHING: Final = re.compile(rb"charset[^;]{0,20}=[^;]{0,20}(?:punycode|idna)", re.IGNORECASE)
_NOT_FOR_MAIL: Final = frozenset(
    ("punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem")
)
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
_WORD: Final = r"=\?[^?\s]{1,60}\?[bBqQ]\?[^?]*\?="
_WORDS: Final = re.compile(f"{_WORD}(?:[ \t]+{_WORD})*")
_MARKS: Final = re.compile(rf"[^\w\s\x00-\u02ff]{{{DEFAULT.marks + 1},}}")
"""Combining marks are neither letters nor blanks."""
_KANA_MARKS: Final = re.compile(r"(?<=[^\w\s\x00-\u02ff])[\uff9e\uff9f]+")
"""But for two of half-width Kana, here where no Kana can stand before them."""
_AS_MARKS: Final = {0xFF9E: 0x3099, 0xFF9F: 0x309A}
_BEYOND: Final = bytes(octet >= 0x80 for octet in range(256))
_RUN: Final = b"\1" * 2 * (DEFAULT.marks + 1)
"""What so many marks are in UTF-8 at least, each octet beyond ASCII put as 1."""
_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_of(octets: bytes, charset: str = "", most: int | None = None) -> str:
    """The text of octets: by their mark, by the declared charset, as UTF-8, as windows-1252.

    Of no more than `most` octets, and a character that is cut there is left out. Never raises;
    what no charset explains is replaced. Without NUL and lone surrogates, and without the
    combining marks that nobody writes in a row (`Limits.marks`).
    """
    is_cut = most is not None and len(octets) > most
    return calm(_clean(_decoded(octets[:most], charset, is_cut=is_cut)))


def _decoded(octets: bytes, charset: str, *, is_cut: bool) -> str:
    for mark, codec in _BOMS:
        if octets.startswith(mark):
            return octets.decode(codec, "replace")
    codec = _codec(octets, charset)
    first = ("utf-8", codec) if codec in _EIGHT_BIT or not codec else (codec, "utf-8")
    order = (*first, *_EIGHT_BIT_JAPANESE) if codec == _JIS else first
    for name in order:
        if name:
            try:
                return _whole_characters(octets, name) if is_cut else octets.decode(name)
            except (UnicodeError, ValueError):
                continue
    if codec in {"", "utf-8"} and _is_broken_utf8(text := octets.decode("utf-8", "replace")):
        return text
    kept = codec if codec.startswith(_MANY_OCTETS) else "windows-1252"
    return octets.decode(kept, "replace")


def _is_broken_utf8(text: str) -> bool:
    """Whether more characters beyond ASCII could be read as UTF-8 than had to be replaced."""
    broken = text.count("\ufffd")
    return sum(1 for _ in _BEYOND_ASCII.finditer(text)) > 2 * broken


def _whole_characters(octets: bytes, codec: str) -> str:
    """Decoded but for a character that the last octets only begin."""
    return codecs.getincrementaldecoder(codec)("strict").decode(octets)


def _codec(octets: bytes, charset: str) -> str:
    """The Python codec for a declared charset, "" when there is none."""
    name = charset.partition("*")[0].strip().strip("\"'").lower()  # RFC 2231, 5: a language
    name = _WIDER.get(name, name)
    if name == "utf-16":
        # No mark: the side on which the zeros of Latin letters stand tells the order.
        return "utf-16-be" if octets[0:200:2].count(0) >= octets[1:200:2].count(0) else "utf-16-le"
    if not name:
        # Undeclared Japanese mail announces itself by its escape sequences.
        return _JIS if b"\x1b$" in octets else ""
    if name.replace("_", "-") in _NOT_FOR_MAIL:
        return ""
    try:
        return name if codecs.lookup(name)._is_text_encoding else ""  # noqa: SLF001 the only way to ask
    except (LookupError, ValueError):
        return ""


def _clean(text: str) -> str:
    """Without NUL, which databases refuse, and with lone surrogates replaced."""
    text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def calm(text: str) -> str:
    """Without the combining marks beyond `Limits.marks` in a row, which take long to sort."""
    if text.isascii():
        return text
    if "\uff9e" in text or "\uff9f" in text:
        text = _KANA_MARKS.sub(lambda marks: marks.group().translate(_AS_MARKS), text)
    # The pattern is slow, and in most languages so few characters beyond ASCII stand in a row.
    octets = text.encode("utf-8", "surrogatepass")
    return _MARKS.sub(_first_marks, text) if _RUN in octets.translate(_BEYOND) else text


def _first_marks(match: re.Match[str]) -> str:
    """The run with its marks cut; punctuation and signs, of which there may be many, stay."""
    run = match.group()
    starts = {char: unicodedata.normalize("NFKD", char)[0] for char in set(run)}
    marks = "".join(sorted(char for char, start in starts.items() if unicodedata.combining(start)))
    return re.sub(f"([{marks}]{{{DEFAULT.marks}}})[{marks}]+", r"\1", run) if marks else run


def field_text(value: object) -> str:
    """A header value decoded and on one line; as it stands where its words cannot be decoded.

    Only the runs of encoded words go to `decode_header`: it drops the blank of a fold that
    follows one, and takes octets beyond ASCII for something else. Never raises.
    """
    raw = str(value)
    plain = raw.replace("\n ", " ").replace("\n\t", " ")
    if plain.isascii() and plain.isprintable() and "=?" not in raw and "\n\t\n" not in raw:
        return plain.strip()  # as most are
    raw = readable(_FOLD.sub("", raw))
    return _CONTROL.sub(" ", calm(_clean(_WORDS.sub(_words, raw)))).strip()


def readable(raw: str) -> str:
    """A header value as the parser keeps it, its octets beyond ASCII read as text."""
    if raw.isascii():
        return raw
    return text_of(raw.encode("ascii", "surrogateescape") if _is_raw(raw) else raw.encode())


def _words(match: re.Match[str]) -> str:
    """A run of encoded words, decoded; as it stands where it cannot be."""
    try:
        return "".join(
            piece if isinstance(piece, str) else text_of(piece, charset or "utf-8")
            for piece, charset in decode_header(match.group())
        )
    except (HeaderParseError, Base64Error, ValueError, LookupError):
        return match.group()


def _is_raw(value: str) -> bool:
    """Whether a value holds octets beyond ASCII, as the parser keeps them."""
    try:
        value.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
