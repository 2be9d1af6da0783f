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
import json
import os
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mutations import mutant  # noqa: E402 - a checkout need not be installed

from triage.adapters.files import read_catalog  # noqa: E402
from triage.classify import Classifier, classifier  # noqa: E402
from triage.mail.limits import DEFAULT  # noqa: E402
from triage.settings import load  # noqa: E402

EMAILS: Final = ROOT / "fixtures" / "emails"
CHUNK: Final = 500
SLOW: Final = 1.0
"""CPU seconds of one mail."""


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
