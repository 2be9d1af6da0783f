"""What a service costs that has nothing to do.

    python benchmarks/idle.py [--quick] [--mailboxes 20]

`triage run` on mailboxes of a real Dovecot in which nothing comes, with two worker processes.
CPU time of all its processes over a minute, as a share of one core, and their memory: resident,
with pages that several processes share counted once (PSS).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import inbox
from drain import cpu_of_session

from tests.servers.dovecot import PASSWORD, Dovecot

SHARE_GOAL, MEMORY_GOAL = 0.01, 150.0


def memory_of(pids: dict[int, float]) -> float:
    """MB of the processes together."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def main() -> None:
    """Run it, print the figures, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mailboxes", type=int, default=20)
    options = parser.parse_args()
    seconds = 15 if options.quick else 120
    names = [f"box{number}" for number in range(options.mailboxes)]
    with tempfile.TemporaryDirectory(prefix="idle-") as name, Dovecot() as dovecot:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        text = inbox.settings("sqlite:///triage.db", names, dovecot.port, 9, 1, "")
        text = text.replace('lease = "3s"', 'lease = "30s"')  # as it is by default
        (folder / "triage.toml").write_text(text)
        for box in names:  # so that the workers run, as they do after the first mail
            client = dovecot.client(box)
            client.append("INBOX", inbox.others()[0])
            client.logout()
        process = inbox.start(folder)
        try:
            ends = time.monotonic() + 60
            while (folder / "log").read_bytes().count(b'"mail"') < len(names):
                if time.monotonic() > ends:
                    raise SystemExit((folder / "log").read_text()[-3000:])
                time.sleep(0.2)
            time.sleep(5)
            before = cpu_of_session(process.pid)
            time.sleep(seconds)
            after = cpu_of_session(process.pid)
            memory = memory_of(after)
        finally:
            process.terminate()
            process.wait(60)
    share = (sum(after.values()) - sum(before.values())) / seconds
    print(f"{options.mailboxes} mailboxes, {seconds} s: {share:.2%} of a core, {memory:.0f} MB")
    figures = {
        "benchmark": "idle",
        "mailboxes": options.mailboxes,
        "seconds": seconds,
        "core_share": round(share, 4),
        "memory_mb": round(memory, 1),
    }
    print(json.dumps(figures))
    sys.exit(0 if share < SHARE_GOAL and memory < MEMORY_GOAL else 1)


if __name__ == "__main__":
    main()
