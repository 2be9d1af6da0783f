"""A small pool of processes in which hostile octets are read.

A mail that hangs, crashes or fills the memory costs its worker, never the service: the parent
waits so long and no longer, kills, and starts a new one.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import queue
import resource
import select
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

Job = tuple[Any, ...]
Build = Callable[[], Callable[..., Any]]
"""Called once in each worker; what it answers is called for each job. Both are picklable."""

_CONTEXT = multiprocessing.get_context("forkserver")
_START_SECONDS = 60
_READY = "ready"
_TURNS = 8
"""In so many each worker gets its share of the jobs, and in one it never waits for the parent."""
_TURN_OCTETS = 2**18
"""Of the jobs in a turn; a larger one goes alone."""
_ORPHANED = 2
"""Times the limit that the parent waits, after which a worker ends by itself."""


class WorkerDied(Exception):  # noqa: N818 - it names what happened, and is an answer, not a fault
    """A job took its worker with it: `limit_seconds`, `limit_memory` or `limit_worker`.

    `limit_worker` is every other end: a crash, an exception, an answer that cannot be pickled.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkerPool:
    """Runs jobs in `size` processes. Thread-safe."""

    def __init__(self, build: Build, size: int, seconds: float, memory_octets: int) -> None:
        """Bound each job: `seconds` of wall time, `memory_octets` beyond what a worker has."""
        # Imported once, before the first fork; a partial stands for its function.
        _CONTEXT.set_forkserver_preload([getattr(build, "func", build).__module__])
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = [_Worker(build, seconds, memory_octets) for _ in range(size)]
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="worker")

    def run(self, jobs: Iterable[Job]) -> list[Any]:
        """The answer to each job in order, or WorkerDied in the place of its answer.

        Raises OSError when no worker can be started, which is no fault of any job.
        """
        return list(self.start(jobs))

    def start(self, jobs: Iterable[Job]) -> Iterator[Any]:
        """As `run`, but begins at once, and answers while what is behind it is worked on.

        Raises OSError when no worker can be started, which is no fault of any job.
        """
        wanted = list(jobs)
        most = math.ceil(len(wanted) / (_TURNS * len(self._workers)))
        return _until_no_worker(self._threads.map(self._run_some, _turns(wanted, most)))

    def _run_some(self, jobs: Sequence[Job]) -> list[Any]:
        worker = self._free.get()
        try:
            return worker.ask(jobs)
        finally:
            self._free.put(worker)

    def prepare(self) -> None:
        """Start a worker if none runs. Raises OSError when that is not possible."""
        if any(worker.is_ready for worker in self._workers):
            return  # to wait for one that is free would keep them all from their next jobs
        worker = self._free.get()
        try:
            worker.start()
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Finish the turns in flight, drop the jobs that wait, end all workers."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.kill()


class _Worker:
    """One process and the pipe to it; started when first asked."""

    def __init__(self, build: Build, seconds: float, memory_octets: int) -> None:
        self._build, self._seconds, self._memory = build, seconds, memory_octets
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self.is_ready = False
        """It was started, and is not known to have ended."""
        self._poll = select.poll()
        """Made once: `Connection.poll` makes a selector each time, which costs more than it."""

    def ask(self, jobs: Sequence[Job]) -> list[Any]:
        """An answer to each; those behind one that ends the process go to the next process.

        When there is no next process, the last answer is an OSError.
        """
        answers: list[Any] = []
        try:
            while len(answers) < len(jobs):
                answers += self._ask(jobs[len(answers) :])
        except OSError as error:
            answers.append(error)
        return answers

    def _ask(self, jobs: Sequence[Job]) -> list[Any]:
        """The answers until the first WorkerDied: one at least.

        The time of a job counts from when the answer before it was read.
        """
        pipe = self._sent(jobs)
        answers: list[Any] = []
        try:
            while len(answers) < len(jobs) and not _died(answers):
                came = self._poll.poll(self._seconds * 1000)
                answers.append(pipe.recv() if came else WorkerDied("limit_seconds"))
        except Exception:  # noqa: BLE001 - else what is left in the pipe would answer other jobs
            answers.append(WorkerDied("limit_worker"))
        if _died(answers):
            self.kill()
        return answers

    def _sent(self, jobs: Sequence[Job]) -> Connection:
        """The pipe from which their answers come."""
        pipe = self.start()
        try:
            pipe.send(jobs)
        except OSError:  # it died while it had nothing to do, which is no fault of a job
            self.kill()
            pipe = self.start()
            with contextlib.suppress(OSError):  # now it is: no answer will come
                pipe.send(jobs)
        return pipe

    def start(self) -> Connection:
        """The pipe to a living process."""
        if self._pipe is not None:
            return self._pipe
        here, there = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_serve, args=(there, self._build, self._seconds, self._memory), daemon=True
        )
        process.start()
        self._process, self._pipe = process, here
        there.close()
        ready = False
        with contextlib.suppress(EOFError, OSError):
            ready = here.poll(_START_SECONDS) and here.recv() == _READY
        if not ready:
            self.kill()
            raise OSError("no worker process can be started; its own error stands above this one")
        self._poll.register(here, select.POLLIN)
        self.is_ready = True
        return here

    def kill(self) -> None:
        self.is_ready = False
        if self._pipe is not None:
            with contextlib.suppress(KeyError):  # it died before it was ready
                self._poll.unregister(self._pipe)
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _died(answers: Sequence[Any]) -> bool:
    return bool(answers) and isinstance(answers[-1], WorkerDied)


def _turns(jobs: Iterable[Job], most: int) -> Iterator[list[Job]]:
    """The jobs in order, so many together at most; a large one goes alone."""
    turn: list[Job] = []
    room = _TURN_OCTETS
    for job in jobs:
        octets = sum(len(part) for part in job if isinstance(part, bytes))
        if turn and (len(turn) == most or octets > room):
            yield turn
            turn, room = [], _TURN_OCTETS
        turn.append(job)
        room -= octets
    if turn:
        yield turn


def _until_no_worker(turns: Iterable[Sequence[Any]]) -> Iterator[Any]:
    """The answers, until no worker could be started."""
    for answer in chain.from_iterable(turns):
        if isinstance(answer, OSError):
            raise answer
        yield answer


def _serve(pipe: Connection, build: Build, seconds: float, memory_octets: int) -> None:
    """The life of a worker: build, then answer jobs until the pipe is closed."""
    # The parent decides when it is over, also where a signal goes to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer = build()
    statm = Path("/proc/self/statm")
    if statm.exists():  # Linux; elsewhere only the time is bounded
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_octets,) * 2)
    pipe.send(_READY)
    with contextlib.suppress(EOFError, OSError):
        while True:
            for job in pipe.recv():
                # Where nobody is left to kill a worker that hangs, this alarm does.
                signal.setitimer(signal.ITIMER_REAL, _ORPHANED * seconds)
                try:
                    octets = bytes(ForkingPickler.dumps(answer(*job)))
                except MemoryError:
                    octets = bytes(ForkingPickler.dumps(WorkerDied("limit_memory")))
                signal.setitimer(signal.ITIMER_REAL, 0)
                pipe.send_bytes(octets)
