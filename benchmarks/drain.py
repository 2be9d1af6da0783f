"""Draining a full mailbox, beside a loop that only fetches and parses.

    python benchmarks/drain.py [--quick] [--mails 20000]

A real Dovecot holds mails of the size of real ones, half of them notifications of 200 incidents.
Three ways through the same mailbox, one after the other:

- fetch: IMAPClient alone, in batches, in one process
- floor: the same, and each mail parsed with `mail-parser`
- Triage: `triage run --once` as its users start it: verdicts, store, outbox, MOVE, SMTP

The floor is what any program in Python must spend; the goal is to take no longer than it. Then it
is said where Triage's time went: CPU seconds of the service and of its workers. Exit status 1 when
Triage took longer than the floor, or when a mail was not moved or a message not sent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import inbox
import mailparser

from tests.servers.dovecot import PASSWORD, Dovecot
from triage.demo.servers import SmtpServer

GOAL = 1.0
"""Times the floor."""
BATCH = 100
"""Mails of one FETCH in the floor."""


def deliver(dovecot: Dovecot, count: int, tenants: int) -> int:
    """The mails into INBOX; their octets."""
    client = dovecot.client()
    octets = 0
    for mail in inbox.mails(count, tenants, real_size=True):
        client.append("INBOX", mail)
        octets += len(mail)
    client.logout()
    return octets


def through(dovecot: Dovecot, use: Callable[[bytes], object]) -> float:
    """Seconds to fetch all mails in batches and use each."""
    began = time.monotonic()
    client = dovecot.client()
    client.select_folder("INBOX", readonly=True)
    client._imap.debug = 0  # IMAPClient's tracing doubles the cost of a FETCH  # noqa: SLF001
    uids = client.search()
    for at in range(0, len(uids), BATCH):
        for answer in client.fetch(uids[at : at + BATCH], ["BODY.PEEK[]"]).values():
            use(answer[b"BODY[]"])
    client.logout()
    return time.monotonic() - began


def triage(folder: Path) -> tuple[float, float, float]:
    """Wall seconds of `run --once`, CPU seconds of the service, and of its workers."""
    began = time.monotonic()
    process = inbox.start(folder, "--once")
    cpu: dict[int, float] = {}
    while process.poll() is None:
        cpu |= cpu_of_session(process.pid)
        time.sleep(0.1)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit((folder / "log").read_text()[-3000:])
    service = cpu.pop(process.pid)
    return seconds, service, sum(cpu.values())


def cpu_of_session(session: int) -> dict[int, float]:
    """CPU seconds so far of each process of a session, by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == session:
            ticks = int(fields[11]) + int(fields[12])
            found[int(path.parent.name)] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def main() -> None:
    """Run it, print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mails", type=int)
    options = parser.parse_args()
    mails = options.mails or (2_000 if options.quick else 20_000)
    tenants = 200
    with (
        tempfile.TemporaryDirectory(prefix="drain-") as name,
        Dovecot() as dovecot,
        SmtpServer() as smtp,
    ):
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        policy = 'group_wait = "0s"\n\n[log]\nlevel = "warning"\n'
        text = inbox.settings(
            "sqlite:///triage.db", ["errors"], dovecot.port, smtp.port, tenants, policy
        )
        (folder / "triage.toml").write_text(text)
        octets = deliver(dovecot, mails, tenants)
        fetch = through(dovecot, len)
        floor = through(dovecot, mailparser.parse_from_bytes)
        ours, service, workers = triage(folder)
        sent = len(smtp.received)
        client = dovecot.client()
        client.select_folder("Triage/Known", readonly=True)
        moved = len(client.search())
    print(f"{mails} mails of {octets // mails} octets; {moved} moved, {sent} messages sent")
    for what, seconds in (("fetch", fetch), ("floor", floor), ("triage", ours)):
        print(f"{what:<8} {seconds:7.1f} s  {1000 * seconds / mails:6.2f} ms a mail")
    print(f"triage / floor = {ours / floor:.2f}")
    print(f"CPU of Triage: service {service:.1f} s, workers {workers:.1f} s")
    figures = {
        "benchmark": "drain",
        "mails": mails,
        "octets": octets // mails,
        "fetch_seconds": round(fetch, 2),
        "floor_seconds": round(floor, 2),
        "triage_seconds": round(ours, 2),
        "ratio": round(ours / floor, 3),
        "service_cpu_seconds": round(service, 2),
        "worker_cpu_seconds": round(workers, 2),
        "moved": moved,
        "sent": sent,
    }
    print(json.dumps(figures))
    good = (moved, sent) == (mails // 2, tenants) and ours <= GOAL * floor
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
