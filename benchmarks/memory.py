"""What grows with the number of mails: nothing may, from the first to the last.

    python benchmarks/memory.py [--quick] [--mails 100000]

`triage run` on a mailbox of a real Dovecot that is filled in portions. After each, memory (PSS,
all processes), file descriptors and threads of the service. Exit status 1 when memory grew by more
than a fifth between a tenth of the mails and all of them, or descriptors or threads at all.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import inbox
from drain import cpu_of_session
from idle import memory_of

from tests.servers.dovecot import PASSWORD, Dovecot

GROWTH_GOAL = 1.2
_TENANTS = 20


def handled(store: Path) -> int:
    """Mails in the store so far; none while it is not made."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM mails").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def figures_of(pid: int) -> tuple[float, int, int]:
    """MB of all processes, and descriptors and threads of the service."""
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    return memory_of(cpu_of_session(pid)), len(list(Path(f"/proc/{pid}/fd").iterdir())), threads


def wait_for(store: Path, mails: int, log: Path) -> None:
    """Until so many are handled; an error when it takes too long."""
    ends = time.monotonic() + 120 + mails / 20
    while handled(store) < mails:
        if time.monotonic() > ends:
            raise SystemExit(log.read_text()[-3000:])
        time.sleep(0.5)


def main() -> None:
    """Run it, print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mails", type=int)
    options = parser.parse_args()
    most = options.mails or (2_000 if options.quick else 100_000)
    marks = [most // 10, most // 4, most // 2, most]
    table = []
    with tempfile.TemporaryDirectory(prefix="memory-") as name, Dovecot() as dovecot:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        # Shadow: all mails stay in the folder, which so grows large as well.
        text = inbox.settings("sqlite:///triage.db", ["errors"], dovecot.port, 9, _TENANTS, "")
        text = text.replace("shadow = false", "shadow = true")
        (folder / "triage.toml").write_text(text + '\n[log]\nlevel = "warning"\n')
        mails = inbox.mails(most, _TENANTS, real_size=False)
        process = inbox.start(folder)
        try:
            done = 0
            print("   mails       MB  files  threads")
            for mark in marks:
                client = dovecot.client()
                for mail in islice(mails, mark - done):
                    client.append("INBOX", mail)
                client.logout()
                done = mark
                wait_for(folder / "triage.db", mark, folder / "log")
                time.sleep(2)
                table.append((mark, *figures_of(process.pid)))
                print("{:8} {:8.1f} {:6} {:8}".format(*table[-1]))
        finally:
            process.terminate()
            process.wait(60)
    (_, first, files, threads), (_, last, files_after, threads_after) = table[0], table[-1]
    figures = {
        "benchmark": "memory",
        "mails": most,
        "memory_mb": [round(row[1], 1) for row in table],
        "files": [row[2] for row in table],
        "threads": [row[3] for row in table],
        "growth": round(last / first, 3),
    }
    print(json.dumps(figures))
    flat = last <= first * GROWTH_GOAL and files_after <= files and threads_after <= threads
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
