"""What the worst mails cost: CPU seconds and memory of the worker that reads each of them.

    python benchmarks/hostile.py [--quick] [--only WORDS]

Every mail takes the way of the service: over `Limits.mail_octets` only its first
`Limits.prefix_octets` are read; a worker process of a `WorkerPool` of one reads and judges it, with
the limits of the service; then the same pool judges an ordinary notification, which must come out
as ever. The figures are of the worker process, from outside the pipeline: CPU time from before the
job was taken to the next one (so taking and answering count), and the peak of its resident memory.
A worker that was killed counts with the wall time that its mail took. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hostile_mails import selected  # noqa: E402 - a checkout need not be installed

from triage.adapters.files import read_catalog  # noqa: E402
from triage.adapters.workers import WorkerDied, WorkerPool  # noqa: E402
from triage.catalog.load import Catalog  # noqa: E402
from triage.mail.authenticity import Trust  # noqa: E402
from triage.mail.limits import DEFAULT  # noqa: E402
from triage.pipeline import Judge, Reading, world  # noqa: E402
from triage.settings import Settings, load  # noqa: E402

GOAL_SECONDS = 1.0
GOAL_MB = 256
ORDINARY = "agent_connect/employee_is_queue-01.eml"
RULE = "agent_connect/employee_is_queue"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one job found, and what the worker had used when it began."""

    reading: Reading
    process: int
    cpu: float
    peak_mb: float


def build(catalog: Catalog, settings: Settings) -> Callable[[bytes, Trust, bool], Answer]:
    """What a worker does: judge as the service does, and say what was used before."""
    judge = Judge(catalog, world(settings), settings.limits.value)

    def answer(octets: bytes, trust: Trust, truncated: bool) -> Answer:
        cpu, peak = time.process_time(), _peak_mb()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        return Answer(judge(octets, trust, truncated), os.getpid(), cpu, peak)

    return answer


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One mail: what it cost and what became of it."""

    name: str
    octets: int
    seconds: float
    memory_mb: float
    verdict: str
    next_is_right: bool

    @property
    def holds(self) -> bool:
        """Whether all goals are reached."""
        cheap = self.seconds <= GOAL_SECONDS and self.memory_mb <= GOAL_MB
        return cheap and self.next_is_right and not self.verdict.startswith("died")


class Bench:
    """One pool of one worker, as the service has it."""

    def __init__(self) -> None:
        settings = load(ROOT / "fixtures" / "triage.toml")
        catalog = read_catalog()
        self._trust = settings.trust()
        self._ordinary = (ROOT / "fixtures" / "emails" / ORDINARY).read_bytes()
        self._pool = WorkerPool(
            partial(build, catalog, settings), 1, DEFAULT.seconds, DEFAULT.memory_octets
        )
        self._run(self._ordinary)

    def close(self) -> None:
        """End the worker."""
        self._pool.close()

    def _run(self, octets: bytes) -> Answer | WorkerDied:
        truncated = len(octets) > DEFAULT.mail_octets
        octets = octets[: DEFAULT.prefix_octets] if truncated else octets
        answer: Answer | WorkerDied = self._pool.run([(octets, self._trust, truncated)])[0]
        return answer

    def measure(self, name: str, octets: bytes) -> Row:
        """Read one hostile mail, then the ordinary one."""
        began = time.monotonic()
        answer = self._run(octets)
        wall = time.monotonic() - began
        ordinary = self._run(self._ordinary)
        right = isinstance(ordinary, Answer) and _rules(ordinary.reading) == {RULE}
        if not isinstance(answer, Answer) or not isinstance(ordinary, Answer):
            died = answer.reason if isinstance(answer, WorkerDied) else "afterwards"
            return Row(name, len(octets), wall, float("nan"), f"died: {died}", right)
        reading = answer.reading
        verdict = f"{reading.outcome} {reading.reason}".strip()
        cost = ordinary.cpu - answer.cpu
        return Row(name, len(octets), cost, ordinary.peak_mb, verdict, right)


def _rules(reading: Reading) -> set[str]:
    return {finding.rule for judged in reading.judged for finding in judged.judgement.findings}


def main() -> int:
    """Run, print the table and one line of JSON; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a third of the mails, below 20 s")
    parser.add_argument("--only", default="", help="mails whose name holds these words")
    options = parser.parse_args()
    bench = Bench()
    rows = []
    print(f"{'mail':<58} {'MB':>5} {'CPU s':>7} {'peak MB':>8}  verdict")
    for name, make in selected(quick=options.quick):
        if options.only not in name:
            continue
        row = bench.measure(name, make())
        rows.append(row)
        mark = (
            "" if row.holds else "  <-- " + ("next mail wrong" if not row.next_is_right else "goal")
        )
        size = f"{row.octets / 1e6:5.1f}"
        print(
            f"{name:<58} {size} {row.seconds:7.3f} {row.memory_mb:8.1f}  {row.verdict}{mark}",
            flush=True,
        )
    bench.close()
    dead = [row for row in rows if row.verdict.startswith("died")]
    figures = {
        "benchmark": "hostile",
        "mails": len(rows),
        "worst_cpu_seconds": round(max(row.seconds for row in rows), 3),
        "worst_memory_mb": round(max((r.memory_mb for r in rows if r not in dead), default=0), 1),
        "goals_missed": sum(not row.holds for row in rows),
        "workers_died": len(dead),
        "next_mail_wrong": sum(not row.next_is_right for row in rows),
    }
    print(json.dumps(figures))
    return 0 if figures["goals_missed"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
