"""Kills the service at every durable step in turn, and counts what is lost or comes twice.

    python benchmarks/crash_matrix.py [--quick] [--points N] [--only WORDS] [--lanes 2]

A service of its own process, with SQLite, a real Dovecot and an SMTP server, handles a small inbox
at four moments of a week, at the last of which all incidents have gone quiet and end
(`tests/crash/mails.py`). A first run counts the points and shows how each moment should end. Then,
for each point: a new mailbox, a new store, SIGKILL at that point, one restart, and the end is
compared with the first run's: mails with folders and flags, all rows of the store, and the octets
of each message that was accepted. Between the final dot and the commit that says so, one copy more
with the same Message-ID and the same octets is allowed (RFC 1047), and is counted.
Exit status 1 when anything was lost, is missing or was doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.crash.world import (
    Lane,
    Life,
    Moment,
    lives,
    sample,
)
from tests.servers.dovecot import Dovecot

QUICK = 20
SHOWN = 5
"""Differences of one point that are printed."""


def kind(point: str) -> str:
    """What a point belongs to in the table."""
    return point.partition(":")[0]


def table(names: Sequence[str], done: Sequence[Life]) -> None:
    """One line for each kind of point, in the order in which they are met."""
    total = Counter(map(kind, names))
    head = ("point", "points", "killed", "lost", "missing", "doubled", "copies")
    print("{:<18}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}".format(*head))
    rows = [(one, [life for life in done if kind(life.point) == one]) for one in total]
    for name, some in [*rows, ("all", list(done))]:
        of_all = len(names) if name == "all" else total[name]
        found = [life.difference for life in some]
        print(
            f"{name:<18}{of_all:>8}{len(some):>8}"
            f"{sum(len(one.lost) for one in found):>8}"
            f"{sum(len(one.missing) for one in found):>9}"
            f"{sum(len(one.doubled) for one in found):>9}"
            f"{sum(one.copies for one in found):>8}"
        )


def chosen(arguments: argparse.Namespace, moments: Sequence[Moment]) -> list[tuple[Moment, int]]:
    """The points to kill at."""
    points = [
        (moment, number)
        for moment in moments
        for number, name in enumerate(moment.names, 1)
        if arguments.only in name
    ]
    count = QUICK if arguments.quick else arguments.points or len(points)
    return sample(points, count) if count < len(points) else points


def main() -> int:
    """Run it; 1 when something was lost, is missing or was doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} points of all moments")
    parser.add_argument("--points", type=int, help="so many points, of every moment and kind some")
    parser.add_argument("--only", default="", help="points with these words in their name")
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1, help="side by side")
    arguments = parser.parse_args()
    began = time.monotonic()
    done: list[Life] = []
    with ExitStack() as stack:
        dovecot = stack.enter_context(Dovecot())
        lanes = [stack.enter_context(Lane(f"lane{n}-", dovecot)) for n in range(arguments.lanes)]
        moments = lanes[0].uncrashed()
        names = [name for moment in moments for name in moment.names]
        points = chosen(arguments, moments)
        print(
            f"{len(names)} points, {moments[-1].ending.mailbox.total()} mails, "
            f"{sum(moment.ending.sent.total() for moment in moments)} messages; "
            f"killing at {len(points)} of them, "
            f"{sum(moment is moments[-1] for moment, _ in points)} where incidents end\n",
            flush=True,
        )
        for life in lives(lanes, points):
            done.append(life)
            if len(done) % 50 == 0:
                print(f"{len(done)} points killed at", file=sys.stderr, flush=True)
            for fault in life.difference.bad[:SHOWN]:
                print(f"point {life.number}, {life.point}: {fault}", flush=True)
    seconds = time.monotonic() - began
    table(names, done)
    figures = {
        "benchmark": "crash_matrix",
        "points": len(names),
        "kinds": len(set(names)),
        "killed": len(done),
        "lost": sum(len(life.difference.lost) for life in done),
        "missing": sum(len(life.difference.missing) for life in done),
        "doubled": sum(len(life.difference.doubled) for life in done),
        "copies_same_message_id": sum(life.difference.copies for life in done),
        "seconds": round(seconds, 1),
        "seconds_per_point": round(seconds / max(len(done), 1), 2),
    }
    print(json.dumps(figures))
    return int(any(life.difference.bad for life in done))


if __name__ == "__main__":
    sys.exit(main())
