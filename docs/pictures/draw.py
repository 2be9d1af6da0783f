#!/usr/bin/env python3
"""Draw the golden mails as a mail program shows them, with a Chromium that has no window.

docs/pictures/draw.py                  the pictures of docs/mails.md, anew
docs/pictures/draw.py FOLDER MAIL…     golden mails in full length, such as one_cause.de
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden"
DESKTOP, PHONE = 700, 390
SHOWN, LONGEST = 1100, 8000
"""Rows of a picture in the docs, and of one to look at."""
COLOURS = 16
"""Of a picture: 4 bits a pixel."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Picture:
    """A golden mail at a width, in a colour scheme."""

    file: str
    mail: str
    width: int
    dark: bool = False


PICTURES = (
    Picture("reply.desktop", "one_cause.en", DESKTOP),
    Picture("reply.phone", "one_cause.en", PHONE),
    Picture("switched-off.de.desktop", "switched_off_first.de", DESKTOP),
    Picture("switched-off.de.phone", "switched_off_first.de", PHONE),
    Picture("dark.desktop", "job_locked.en", DESKTOP, dark=True),
    Picture("dark.phone", "job_locked.en", PHONE, dark=True),
    Picture("closing.desktop", "closing.en", DESKTOP),
    Picture("closing.phone", "closing.en", PHONE),
    Picture("digest.desktop", "digest.en", DESKTOP),
    Picture("digest.phone", "digest.en", PHONE),
    Picture("digest.dark.phone", "digest.en", PHONE, dark=True),
)


def main() -> None:
    """Draw what the command line asks for."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"draw: needs one of {', '.join(BROWSERS)}")
    folder, height, pictures = HERE, SHOWN, list(PICTURES)
    if sys.argv[1:]:
        folder, height, pictures = Path(sys.argv[1]), LONGEST, list(_all(sys.argv[2:]))
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for picture in pictures:
            octets = _small(_shot(browser, picture, height, Path(work)), picture.width)
            target = folder / f"{picture.file}.png"
            target.write_bytes(octets)
            print(f"{len(octets):>7,} octets  {target}")  # noqa: T201 - a script


def _all(mails: list[str]) -> Iterator[Picture]:
    for mail in mails:
        for width in (DESKTOP, PHONE):
            yield Picture(f"{mail}.{width}", mail, width)
            yield Picture(f"{mail}.{width}.dark", mail, width, dark=True)


def _shot(browser: str, picture: Picture, height: int, work: Path) -> bytes:
    """The browser's own PNG. No window is narrower than 500 pixels, so a frame has the width."""
    page, shot = work / "page.html", work / "shot.png"
    page.write_text(
        "<!DOCTYPE html><style>body { margin: 0 } iframe { border: 0; display: block }</style>"
        f'<iframe src="{(GOLDEN / picture.mail).as_uri()}.html" '
        f'width="{picture.width}" height="{height}"></iframe>',
        encoding="utf-8",
    )
    subprocess.run(  # noqa: S603 - a browser that the user installed
        [
            browser,
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            # 0 is dark and 1 is light; --force-dark-mode would invert colours instead.
            f"--blink-settings=preferredColorScheme={0 if picture.dark else 1}",
            f"--user-data-dir={work / 'profile'}",
            f"--window-size={max(picture.width, 500)},{height}",
            f"--screenshot={shot}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
    )
    return shot.read_bytes()


# PNG (ISO/IEC 15948): a few colours are enough for text, and need fewer octets -----------


def _small(png: bytes, width: int) -> bytes:
    """The left part of a picture, without the empty rows at its end, in a few colours."""
    rows = [row[:width] for row in _rows(png)]
    while len(rows) > 1 and len(set(rows[-1])) == 1 and rows[-1] == rows[-2]:
        rows.pop()
    counted = Counter(colour for row in rows for colour in row)
    palette = _palette(counted)
    index = {colour: _nearest(colour, palette) for colour in counted}
    lines = bytearray()
    for row in rows:
        places = [index[colour] for colour in row] + [0] * (width % 2)
        pairs = zip(places[::2], places[1::2], strict=True)
        lines += b"\0" + bytes(high << 4 | low for high, low in pairs)
    head = struct.pack(">IIBBBBB", width, len(rows), 4, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", head),
        (b"PLTE", b"".join(map(bytes, palette))),
        (b"IDAT", zlib.compress(bytes(lines), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _palette(counted: Counter[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The surfaces, and of the other colours the frequent ones, none close to another."""
    frequent = [colour for colour, _ in counted.most_common(400)]
    palette = frequent[:3]
    for apart in (2400, 600, 0):
        for colour in frequent:
            if len(palette) < COLOURS and all(_distance(colour, one) > apart for one in palette):
                palette.append(colour)
    return palette


def _nearest(colour: tuple[int, ...], palette: list[tuple[int, ...]]) -> int:
    return min(range(len(palette)), key=lambda place: _distance(colour, palette[place]))


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _rows(png: bytes) -> Iterator[list[tuple[int, ...]]]:
    """The pixels of a picture of 8-bit RGB or RGBA without interlacing, as (R, G, B)."""
    place, packed, size, step = 8, b"", 0, 0
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        content = png[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", content)
            if depth != 8 or colours not in {2, 6} or interlaced:
                sys.exit("draw: the browser made another kind of PNG than expected")
            step = 3 if colours == 2 else 4
            size = width * step
        elif kind == b"IDAT":
            packed += content
        place += length + 12
    lines, above = zlib.decompress(packed), bytes(size)
    for start in range(0, len(lines), size + 1):
        above = _unfiltered(
            lines[start], bytearray(lines[start + 1 : start + 1 + size]), above, step
        )
        yield [tuple(above[at : at + 3]) for at in range(0, size, step)]


def _unfiltered(kind: int, line: bytearray, above: bytes, step: int) -> bytes:
    """A row of octets (ISO/IEC 15948, 9.2); `above` is the one before."""
    for at in range(len(line) if kind else 0):
        left = line[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        line[at] = (line[at] + _guess(kind, left, above[at], corner)) & 0xFF
    return bytes(line)


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # Paeth
        near = left + up - corner
        return min((left, up, corner), key=lambda one: abs(near - one))
    return (0, left, up, (left + up) // 2)[kind]


if __name__ == "__main__":
    main()
