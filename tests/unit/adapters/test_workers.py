"""What a job may do to a worker, and what the others notice of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from triage.adapters.workers import WorkerDied, WorkerPool

SECONDS = 2.0
MEMORY = 64 * 1024 * 1024


def do(what: str, *with_: object) -> object:
    """The job of these tests, in the worker."""
    return _JOBS[what](*with_)


def _echo(value: object) -> object:
    return value


def _size(octets: bytes) -> int:
    return len(octets)


def _hang() -> None:
    time.sleep(60)


def _spin() -> None:
    while True:
        pass


def _exit() -> None:
    os._exit(0)


def _leave() -> None:
    sys.exit(3)


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _raise() -> None:
    raise RuntimeError("a fault in the code")


def _eat() -> int:
    return len(bytearray(10 * MEMORY))


def _answer_too_much() -> list[bytes]:
    return [bytes([n]) * 1_000_000 for n in range(40)]


def _unpicklable() -> object:
    return lambda: None


class Unreadable:
    """It can be pickled, and not be read again."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("no number",)


_JOBS: dict[str, Callable[..., object]] = {
    "who": os.getpid,
    "echo": _echo,
    "size": _size,
    "hang": _hang,
    "spin": _spin,
    "exit": _exit,
    "leave": _leave,
    "crash": _crash,
    "raise": _raise,
    "eat": _eat,
    "answer_too_much": _answer_too_much,
    "unpicklable": _unpicklable,
    "unreadable": Unreadable,
}


def build() -> Callable[..., object]:
    return do


def build_that_fails() -> Callable[..., object]:
    raise RuntimeError("the catalog cannot be read")


def build_once(started: Path) -> Callable[..., object]:
    """The first process starts, and no other."""
    if started.exists():
        raise RuntimeError("there is only one")
    started.touch()
    return do


def build_slowly(begun: Path) -> Callable[..., object]:
    begun.touch()
    time.sleep(2)
    raise RuntimeError("the catalog cannot be read")


@pytest.fixture(scope="module")
def shared() -> Iterator[WorkerPool]:
    """One pool for the tests that only ask; every test leaves it able to answer."""
    opened = WorkerPool(build, 1, SECONDS, MEMORY)
    yield opened
    opened.close()


def reason(answer: object) -> str:
    assert isinstance(answer, WorkerDied)
    return answer.reason


def test_answers_come_in_the_order_of_the_jobs() -> None:
    pool = WorkerPool(build, 2, 5, MEMORY)
    jobs = [("echo", number) for number in range(40)]
    assert pool.run(jobs) == list(range(40))
    pool.close()


def test_no_jobs_have_no_answers(shared: WorkerPool) -> None:
    assert shared.run([]) == []


def test_a_worker_that_did_well_is_asked_again(shared: WorkerPool) -> None:
    first, second = shared.run([("who",), ("who",)])
    assert first == second != os.getpid()


@pytest.mark.parametrize("how", ["hang", "spin"])
def test_a_job_that_hangs_is_killed_in_time_and_the_next_is_answered(
    shared: WorkerPool, how: str
) -> None:
    shared.run([("echo", "warm")])
    before = time.monotonic()
    hung, next_ = shared.run([(how,), ("echo", "next")])
    assert reason(hung) == "limit_seconds"
    assert next_ == "next"
    assert time.monotonic() - before < SECONDS + 10


@pytest.mark.parametrize("how", ["exit", "leave", "crash", "raise"])
def test_a_job_that_ends_its_process_costs_only_its_own_answer(
    shared: WorkerPool, how: str
) -> None:
    before, ended, after = shared.run([("echo", 1), (how,), ("echo", 2)])
    assert (before, reason(ended), after) == (1, "limit_worker", 2)


def test_among_many_jobs_each_that_ends_its_process_costs_only_its_own_answer() -> None:
    jobs: list[tuple[object, ...]] = [("echo", number) for number in range(60)]
    faults = {0: "exit", 7: "hang", 8: "crash", 23: "raise", 59: "leave"}
    for at, how in faults.items():
        jobs[at] = (how,)
    pool = WorkerPool(build, 2, SECONDS, MEMORY)
    answers = pool.run(jobs)
    pool.close()
    assert {at for at, answer in enumerate(answers) if isinstance(answer, WorkerDied)} == {*faults}
    assert all(answers[at] == at for at in range(60) if at not in faults)
    assert reason(answers[7]) == "limit_seconds"


def test_large_jobs_among_small_ones_fill_no_worker() -> None:
    large = b"x" * (MEMORY // 5)  # six of them at once would be too much
    jobs = [("size", large if number % 2 else b"x") for number in range(40)]
    pool = WorkerPool(build, 1, 10, MEMORY)
    assert pool.run(jobs) == [len(octets) for _, octets in jobs]
    pool.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux only")
def test_a_job_that_eats_memory_is_stopped_by_name(shared: WorkerPool) -> None:
    eaten, next_ = shared.run([("eat",), ("echo", "next")])
    assert (reason(eaten), next_) == ("limit_memory", "next")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux only")
def test_an_answer_too_large_to_be_packed_is_stopped_by_name_too(shared: WorkerPool) -> None:
    large, next_ = shared.run([("answer_too_much",), ("echo", "next")])
    assert (reason(large), next_) == ("limit_memory", "next")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux only")
def test_a_worker_that_ran_out_of_memory_is_replaced(shared: WorkerPool) -> None:
    # What it still holds would be counted against the next mail.
    before, _, after = shared.run([("who",), ("eat",), ("who",)])
    assert before != after


def test_an_answer_that_cannot_be_pickled_does_not_hang(shared: WorkerPool) -> None:
    unpicklable, next_ = shared.run([("unpicklable",), ("echo", "next")])
    assert (reason(unpicklable), next_) == ("limit_worker", "next")


def test_an_answer_that_cannot_be_read_spoils_no_other(shared: WorkerPool) -> None:
    jobs = [("unreadable",) if number == 3 else ("echo", number) for number in range(24)]
    first = shared.run(jobs)
    assert reason(first.pop(3)) == "limit_worker"
    assert first == [number for number in range(24) if number != 3]
    assert shared.run([("echo", "next")]) == ["next"]


def test_a_worker_that_was_killed_while_it_had_nothing_to_do_costs_no_job_its_answer(
    shared: WorkerPool,
) -> None:
    (worker,) = shared.run([("who",)])
    os.kill(worker, signal.SIGKILL)
    while _lives(worker):
        time.sleep(0.01)
    assert shared.run([("echo", 1), ("echo", 2)]) == [1, 2]


def test_what_was_answered_before_no_worker_could_be_started_is_known(tmp_path: Path) -> None:
    pool = WorkerPool(partial(build_once, tmp_path / "started"), 1, SECONDS, MEMORY)
    jobs = [("echo", number) for number in range(16)]
    jobs[3] = ("exit",)
    answers = pool.start(jobs)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    assert reason(next(answers)) == "limit_worker"
    with pytest.raises(OSError, match="no worker process can be started"):
        next(answers)
    pool.close()


def test_a_worker_that_is_just_starting_is_none_that_runs(tmp_path: Path) -> None:
    pool = WorkerPool(partial(build_slowly, begun := tmp_path / "begun"), 2, SECONDS, MEMORY)
    with ThreadPoolExecutor() as threads:
        failing = threads.submit(pool.run, [("echo", 1)])
        while not begun.exists():
            time.sleep(0.01)
        with pytest.raises(OSError, match="no worker process can be started"):
            pool.prepare()
        with pytest.raises(OSError, match="no worker process can be started"):
            failing.result()
    pool.close()


def test_large_octets_pass_both_ways(shared: WorkerPool) -> None:
    octets = b"x" * 5_000_000
    assert shared.run([("echo", octets)]) == [octets]


def test_a_build_that_fails_is_no_fault_of_the_mail() -> None:
    # As WorkerDied it would be counted, and every mail quarantined for a broken installation.
    pool = WorkerPool(build_that_fails, 1, SECONDS, MEMORY)
    with pytest.raises(OSError, match="no worker process can be started"):
        pool.run([("echo", 1)])
    pool.close()


def test_one_hanging_job_does_not_keep_the_others_waiting() -> None:
    pool = WorkerPool(build, 2, 6, MEMORY)
    pool.run([("echo", 1), ("echo", 2)])
    hanging = threading.Thread(target=pool.run, args=([("hang",)],))
    hanging.start()
    before = time.monotonic()
    assert pool.run([("echo", 3), ("echo", 4)]) == [3, 4]
    assert time.monotonic() - before < 5
    hanging.join()
    pool.close()


def test_closing_ends_the_workers() -> None:
    pool = WorkerPool(build, 1, SECONDS, MEMORY)
    [worker] = pool.run([("who",)])
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_closing_a_pool_that_was_never_asked_and_closing_twice_do_nothing() -> None:
    pool = WorkerPool(build, 2, SECONDS, MEMORY)
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError):
        pool.run([("echo", 1)])


def test_a_signal_to_the_whole_group_leaves_the_job_in_flight_alone(shared: WorkerPool) -> None:
    # Service managers send SIGTERM to every process; what is in flight is finished first.
    [worker] = shared.run([("who",)])
    os.kill(worker, signal.SIGTERM)
    os.kill(worker, signal.SIGINT)
    assert shared.run([("who",)]) == [worker]


def test_a_worker_that_hangs_does_not_outlive_a_service_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(_SERVICE, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        worker = int(service.stdout.readline())
        time.sleep(0.2)  # the job that hangs has begun
        service.kill()
    deadline = time.monotonic() + 30
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(process: int) -> bool:
    """Whether it runs; one that ended and that nobody has asked for counts as ended."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False


_SERVICE = """
import os, time
from triage.adapters.workers import WorkerPool

def do(hang):
    while hang:
        pass
    return os.getpid()

def build():
    return do

if __name__ == "__main__":
    pool = WorkerPool(build, 1, 0.6, 64 * 1024 * 1024)
    print(*pool.run([(False,)]), flush=True)
    pool.run([(True,)])
"""
