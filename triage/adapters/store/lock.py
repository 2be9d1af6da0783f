"""The lock of the one service on an SQLite file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from triage.ports import StoreError


def take(file: Path) -> IO[str]:
    """Hold the lock beside this SQLite file until what is answered is closed, or we die.

    Raises StoreError when another service holds it; it names its process.
    """
    path = Path(f"{file.resolve()}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        lock = os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                raise StoreError(_other_service(file, path, lock.read(20).strip())) from None
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    except OSError as error:
        raise StoreError(
            f"the store {file}: {path} cannot be locked: {error.strerror}: "
            "check the permissions of its folder; network file systems may know no locks"
        ) from error
    # A forked child must not keep the lock when this process is killed.
    os.register_at_fork(after_in_child=lock.close)
    return lock


def _other_service(file: Path, lock: Path, pid: str) -> str:
    return (
        f"the store {file}: another triage service runs on this file, process "
        f"{pid or 'unknown'} ({lock}): stop it first (ps -p {pid or 'PID'}), "
        "or use PostgreSQL to share the work among several"
    )
