"""Judges mutated fixture mails: no exception, no hang, no growth, nothing sent to strangers.

    python benchmarks/fuzz.py [--quick] [--count 200000] [--seed 1] [--show NUMBER]

The mutations know what a mail is made of: octets, header fields, boundaries, charsets, base64,
quoted-printable, encoded words, HTML, forwards, ids. Mail number N of a seed is always the same;
`--show N` prints it. Every mail is judged and decided on as the service does it, on all cores.
What counts as a fault:

- an exception,
- more than one CPU second, or an answer that is not the same when asked again (one in 50 is),
- a recipient that nobody wrote down and that did not forward the mail,
- memory that grows: resident octets at the end against those after the first tenth.

Replies to mutants of mails that get none are counted too, and the first ones are named: most
mutations hurt, but a flipped bit may well repair a signature's result, so a person must look.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import random
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from triage.adapters.files import read_catalog  # noqa: E402 - a checkout need not be installed
from triage.classify import Classifier, classifier  # noqa: E402
from triage.mail.limits import DEFAULT  # noqa: E402
from triage.settings import load  # noqa: E402

EMAILS: Final = ROOT / "fixtures" / "emails"
CHUNK: Final = 500
SLOW: Final = 1.0
"""CPU seconds of one mail."""

# Mutations ------------------------------------------------------------------------------------

CHARSETS: Final = (
    b"utf-8 us-ascii iso-8859-1 utf-16 utf-16le utf-32 utf-7 iso-2022-jp iso-2022-kr shift_jis "
    b"euc-jp gb18030 big5 hz koi8-r windows-1252 cp037 punycode idna unicode_escape base64 rot13 "
    b"hex undefined mbcs x-unknown \xff utf_8_sig"
).split()
TOKENS: Final = (
    b"\r\n\r\n|\n|\r|\x00|--b|--|--b--|=?utf-8?b?|=?utf-8?q?=C3?=|?=|Content-Type: |charset=|"
    b"boundary=|boundary*0=a; boundary*1=b|Content-Type: message/rfc822\r\n\r\n|"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n|Content-Transfer-Encoding: base64\r\n|"
    b"Content-Transfer-Encoding: x-uuencode\r\n|Content-Disposition: attachment; filename=a.eml|"
    b"From: |From a@b Wed Apr  1 10:00:00 2026\r\n|Received: by mx.example.com\r\n|"
    b"Authentication-Results: mx.example.com; dkim=pass header.d=salesforce.com\r\n|"
    b"---------- Forwarded message ---------\r\n|-----Original Message-----\r\n|> |>> |-- \r\n|"
    b"On 1 Apr 2026 at 10:00, A <a@b.example> wrote:\r\n|<div|</div>|<!--|-->|<![CDATA[|&#0;|"
    b'&#xD800;|<blockquote type=cite>|<a href="https://[">|style="display:none"|]]>|'
    b"https://[::1|https://northwind.my.salesforce.com/5008x00000Ab1CdAAJ|"
    b"5008x00000Ab1CdAAJ|00D5g00000QwErT|First error: |caused by: |Date: Wed, 99 Apr 99999|"
    b"Apex script unhandled exception by user/organization: |Employee cannot be a Queue|"
    b"\xef\xbb\xbf|\xff\xfe|\xed\xa0\x80|\xe2\x80\xae|\xcc\x80\xcc\x96|\xf0\x9f\x98\x80|\xc2\x85|"
    b'\xe2\x80\xa8|\x1b$B|\x1b(B|+ADw-|=00|=\r\n|=ZZ|%00|\\|"|;|(|<|>|:|,|@|\t'
).split(b"|")
WORDS: Final = re.compile(rb"[0-9A-Za-z]+")
NUMBERS: Final = re.compile(rb"[0-9]+")
LINES: Final = re.compile(rb"[^\n]*\n|[^\n]+")
BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{40,76}\r?\n)+[A-Za-z0-9+/]*={0,2}")
CHARSET: Final = re.compile(rb"charset=[\"']?([\w-]+)", re.IGNORECASE)
ENCODED: Final = re.compile(rb"=\?([^?]{1,40})\?([bBqQ])\?([^?]*)\?=")
BOUNDARY: Final = re.compile(rb"boundary=[\"']?([^\s\"';]+)", re.IGNORECASE)
TAGS: Final = re.compile(rb"<[^<>]{1,200}>")
HOSTS: Final = re.compile(rb"[\w-]+(?:\.[\w-]+)+")

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def _span(chance: random.Random, octets: bytes, most: int = 200) -> tuple[int, int]:
    start = chance.randrange(len(octets) + 1)
    return start, min(len(octets), start + chance.randint(0, most))


def flip(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Some bits."""
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 2, 8, 64))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def delete(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """A piece."""
    start, end = _span(chance, octets, chance.choice((1, 20, 2_000)))
    return octets[:start] + octets[end:]


def repeat(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """A piece, a few or many times."""
    start, end = _span(chance, octets, chance.choice((1, 40, 2_000)))
    return octets[:end] + octets[start:end] * chance.choice((1, 3, 30, 300)) + octets[end:]


def insert(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Words that mean something to a parser."""
    for _ in range(chance.choice((1, 1, 3, 10))):
        at = chance.randrange(len(octets) + 1)
        token = chance.choice(TOKENS) * chance.choice((1, 1, 1, 50))
        octets = octets[:at] + token + octets[at:]
    return octets


def splice(chance: random.Random, octets: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of one mail and the end of another."""
    other = chance.choice(others)
    if chance.random() < 0.5:
        return (
            octets.partition(b"\n\n")[0]
            + b"\n\n"
            + other.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        )
    return octets[: chance.randrange(len(octets) + 1)] + other[chance.randrange(len(other) + 1) :]


def cut(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The end, or the beginning."""
    at = chance.randrange(len(octets) + 1)
    return octets[:at] if chance.random() < 0.7 else octets[at:]


def line_ends(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Other ends of lines."""
    plain = octets.replace(b"\r\n", b"\n")
    return plain.replace(b"\n", chance.choice((b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\x85")))


def fields(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Lines of the header block: dropped, doubled, moved, folded, without colon."""
    head, blank, body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.split(b"\n")
    at = chance.randrange(len(lines))
    line = lines[at]
    how = chance.randrange(7)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines[at:at] = [line] * chance.choice((1, 5, 200))
    elif how == 2:
        chance.shuffle(lines)
    elif how == 3:
        lines[at] = line.replace(b" ", b"\n ")
    elif how == 4:
        lines[at] = line.replace(b":", b"", 1)
    elif how == 5:
        lines[at] = line + chance.choice(TOKENS) * chance.choice((1, 100, 3_000))
    else:
        lines[at] = b" " + line
    return b"\n".join(lines) + blank + body


def _replace(
    chance: random.Random, octets: bytes, pattern: re.Pattern[bytes], group: int, by: bytes
) -> bytes:
    """Another value in one place where a pattern holds, or in all of them."""
    found = [match.span(group) for match in pattern.finditer(octets)]
    if not found:
        return octets + by
    if chance.random() < 0.7:
        found = [chance.choice(found)]
    for start, end in reversed(found[:1_000]):
        octets = octets[:start] + by + octets[end:]
    return octets


def charset(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Another charset than the one meant."""
    pattern = chance.choice((CHARSET, ENCODED))
    return _replace(chance, octets, pattern, 1, chance.choice(CHARSETS))


def boundary(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Another boundary in the field, or in all the text."""
    found = BOUNDARY.findall(octets)
    if not found:
        return b"Content-Type: multipart/mixed; boundary=b\n" + octets
    old, new = chance.choice(found), chance.choice((b"", b"b", b"-", b"=_" * 60, *found))
    return octets.replace(old, new) if chance.random() < 0.5 else octets.replace(old, new, 1)


def encoded(chance: random.Random, octets: bytes, others: Sequence[bytes]) -> bytes:
    """What base64 or an encoded word holds, changed and encoded again."""
    found = list(chance.choice((BASE64, ENCODED)).finditer(octets))
    if not found:
        return as_base64(chance, octets, others)
    match = chance.choice(found)
    start, end = match.span(3 if match.re is ENCODED else 0)
    try:
        inner = base64.b64decode(octets[start:end])
    except binascii.Error:
        inner = octets[start:end]
    inner = chance.choice((flip, delete, insert, repeat))(chance, inner, others)
    again = base64.encodebytes(inner)
    again = again.replace(b"\n", b"") if match.re is ENCODED else again
    return octets[:start] + again + octets[end:]


def as_base64(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The body in another transfer encoding or charset, rightly or wrongly labelled."""
    head, _, body = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    text = body.decode("utf-8", "replace")
    codec = chance.choice(("utf-8", "utf-16", "utf-7", "iso2022_jp", "cp932", "cp1252", "utf-32"))
    body = text.encode(codec, "replace")
    label = codec if chance.random() < 0.8 else "us-ascii"
    head = re.sub(rb"(?im)^content-(?:type|transfer-encoding):.*\n?(?:[ \t].*\n?)*", b"", head)
    head += f"\nContent-Type: text/plain; charset={label}".encode()
    head += b"\nContent-Transfer-Encoding: base64"
    return head + b"\n\n" + base64.encodebytes(body)


def wrap(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """The mail inside another one: attached, as a file, quoted, forwarded."""
    head = b"From: Sam <sam@elsewhere.example>\nSubject: Fwd: x\nDate: Wed, 1 Apr 2026 10:00:00 +0000\n"
    how = chance.randrange(4)
    if how == 0:
        return head + b"Content-Type: message/rfc822\n\n" + octets
    if how == 1:
        kind = b'Content-Type: multipart/mixed; boundary=w\n\n--w\nContent-Type: application/octet-stream; name="a.eml"\n'
        code = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(octets)
        return head + kind + code + b"\n--w--\n"
    lines = LINES.findall(octets)
    if how == 2:
        return head + b"\n" + b"".join(b"> " * chance.randint(1, 5) + line for line in lines)
    return head + b"\n---------- Forwarded message ---------\n" + octets


def values(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Other numbers, words, hosts and tags."""
    pattern = chance.choice((NUMBERS, WORDS, HOSTS, TAGS))
    by = chance.choice((b"", b"9" * 5_000, b"-1", b"a" * 300, b"xn--a", chance.choice(TOKENS)))
    return _replace(chance, octets, pattern, 0, by)


def characters(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Characters that look alike, join, hide or turn around, between the letters."""
    marks = (
        "\u200b",
        "\u00ad",
        "\u0301",
        "\u202e",
        "\ufeff",
        "\u2028",
        "\u0085",
        "\u3000",
        "\u034f",
    )
    mark = chance.choice(marks).encode()
    start, end = _span(chance, octets, 400)
    return octets[:start] + mark.join(bytes([octet]) for octet in octets[start:end]) + octets[end:]


def shuffle(chance: random.Random, octets: bytes, _others: Sequence[bytes]) -> bytes:
    """Lines of the whole mail in another order."""
    lines = LINES.findall(octets)
    at = chance.randrange(len(lines) + 1)
    some = lines[at : at + chance.choice((3, 30))]
    chance.shuffle(some)
    return b"".join((*lines[:at], *some, *lines[at + len(some) :]))


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(flip, delete, repeat, insert, splice, cut, line_ends, fields, charset, boundary, encoded),
    *(as_base64, wrap, values, characters, shuffle),
)


def mutant(
    seed: int, number: int, mails: Sequence[tuple[str, bytes]]
) -> tuple[str, list[str], bytes]:
    """Mail `number` of a seed: its parent, the mutations, its octets."""
    chance = random.Random(f"{seed}:{number}")
    name, octets = chance.choice(mails)
    others = [other for _, other in mails]
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        mutation = chance.choice(MUTATIONS)
        done.append(mutation.__name__)
        octets = mutation(chance, octets, others)
    return name, done, octets[:2_000_000]


# Judging --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What was seen in one chunk of mails, or in all."""

    mails: int = 0
    faults: list[str] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    new_replies: list[str] = field(default_factory=list)
    cpu: float = 0.0
    slowest: tuple[float, int] = (0.0, -1)
    resident: dict[int, list[float]] = field(default_factory=dict)
    """MB by process, in order."""

    def add(self, other: Tally) -> None:
        """Count another chunk in."""
        self.mails += other.mails
        self.faults += other.faults
        self.verdicts += other.verdicts
        self.new_replies += other.new_replies
        self.cpu += other.cpu
        self.slowest = max(self.slowest, other.slowest)
        for process, sizes in other.resident.items():
            self.resident.setdefault(process, []).extend(sizes)

    @property
    def growth_mb(self) -> float:
        """The most that one process grew after its first tenth of chunks."""
        sizes = [found for found in self.resident.values() if len(found) > 1]
        return max((s[-1] - s[len(s) // 10] for s in sizes), default=0.0)


class Fuzz:
    """Judges mutants in one process."""

    def __init__(self, seed: int) -> None:
        settings = load(ROOT / "fixtures" / "triage.toml")
        self._classifier: Classifier = classifier(read_catalog(), settings)
        self._seed = seed
        self.mails = fixtures()
        contacts = {c.address.lower() for t in settings.all_tenants() for c in t.contacts}
        self._known = contacts | set(settings.support.contacts)
        domains = {d for t in settings.all_tenants() for d in t.domains}
        self._domains = tuple(f"@{domain}" for domain in domains)
        self._replied = {name for name, octets in self.mails if self._is_replied(octets)}

    def chunk(self, first: int, last: int) -> Tally:
        """Judge the mails from `first` to before `last`."""
        tally = Tally()
        for number in range(first, last):
            self._one(number, tally)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        tally.resident[os.getpid()] = [pages * os.sysconf("SC_PAGESIZE") / 2**20]
        return tally

    def _one(self, number: int, tally: Tally) -> None:
        name, done, octets = mutant(self._seed, number, self.mails)
        tally.mails += 1
        began = time.process_time()
        try:
            line = self._classifier.json_line("m", octets)
        except Exception:  # noqa: BLE001 - every exception is what is looked for
            last = traceback.format_exc().strip().splitlines()[-5:]
            tally.faults.append(f"{number} {name} {done}: " + " / ".join(map(str.strip, last)))
            return
        spent = time.process_time() - began
        tally.cpu += spent
        tally.slowest = max(tally.slowest, (spent, number))
        entry = json.loads(line)
        tally.verdicts[entry["verdict"]] += 1
        if spent > SLOW:
            tally.faults.append(f"{number} {name} {done}: took {spent:.2f} s")
        if number % 50 == 0 and line != self._classifier.json_line("m", octets):
            tally.faults.append(f"{number} {name} {done}: another answer when asked again")
        strangers = [r for r in entry["recipients"] if not self._is_known(r)]
        if strangers:
            tally.faults.append(f"{number} {name} {done}: would write to {strangers}")
        if "reply" in entry["actions"] and name not in self._replied and "splice" not in done:
            tally.new_replies.append(f"{number} {name} {done}")

    def _is_known(self, address: str) -> bool:
        return address.lower() in self._known or address.endswith(self._domains)

    def _is_replied(self, octets: bytes) -> bool:
        return "reply" in json.loads(self._classifier.json_line("m", octets))["actions"]


def fixtures() -> list[tuple[str, bytes]]:
    """All fixture mails, by name."""
    paths = sorted(EMAILS.rglob("*.eml"))
    return [(str(p.relative_to(EMAILS)), p.read_bytes()[: DEFAULT.prefix_octets]) for p in paths]


_fuzz: Fuzz | None = None


def _start(seed: int) -> None:
    global _fuzz  # noqa: PLW0603 - one a process, built once
    os.nice(19)
    _fuzz = Fuzz(seed)


def _chunk(first: int, last: int) -> Tally:
    assert _fuzz is not None
    return _fuzz.chunk(first, last)


def run(count: int, seed: int) -> Tally:
    """Judge so many mails on all cores."""
    whole = Tally()
    with ProcessPoolExecutor(initializer=_start, initargs=(seed,)) as pool:
        firsts = range(0, count, CHUNK)
        lasts = [min(count, first + CHUNK) for first in firsts]
        for done, tally in enumerate(pool.map(_chunk, firsts, lasts), 1):
            whole.add(tally)
            for fault in tally.faults:
                print("FAULT", fault, file=sys.stderr, flush=True)
            if sys.stderr.isatty() or done % 20 == 0:
                print(f"{whole.mails:>9} mails, {len(whole.faults)} faults", file=sys.stderr)
    return whole


def main() -> int:
    """Run, print the figures and one line of JSON; 1 when there are faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 mails")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, help="print this mail instead")
    options = parser.parse_args()
    if options.show is not None:
        sys.stdout.buffer.write(mutant(options.seed, options.show, fixtures())[2])
        return 0
    began = time.monotonic()
    tally = run(2_000 if options.quick else options.count, options.seed)
    wall = time.monotonic() - began
    for reply in tally.new_replies[:50]:
        print("new reply", reply)
    print(f"{tally.mails} mails in {wall:.0f} s; verdicts {dict(tally.verdicts.most_common())}")
    figures = {
        "benchmark": "fuzz",
        "seed": options.seed,
        "mails": tally.mails,
        "faults": len(tally.faults),
        "new_replies": len(tally.new_replies),
        "slowest_cpu_seconds": round(tally.slowest[0], 3),
        "slowest_mail": tally.slowest[1],
        "mean_cpu_ms": round(1000 * tally.cpu / max(1, tally.mails), 3),
        "growth_mb": round(tally.growth_mb, 1),
        "wall_seconds": round(wall, 1),
    }
    print(json.dumps(figures))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
