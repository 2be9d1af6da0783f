"""Several processes on one PostgreSQL, killed at random: every effect once.

    python benchmarks/processes.py [--quick] [--processes 4] [--mailboxes 20] [--mails 10000]
                                   [--lease 3] [--seed 1]

Real Dovecot, PostgreSQL and SMTP. Every second one process, chosen at random, is killed with
SIGKILL and another started in its place, until all mails are recorded. Then what was recorded,
filed and sent is counted beside what had to be. A copy of a message with the same Message-ID is
what SMTP cannot avoid (RFC 1047) and is counted apart. At last one process is killed and the time
taken until a mail in one of its mailboxes is recorded by another. Exit status 1 when anything
was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inbox
import psycopg

from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.postgres import Postgres
from triage.demo.servers import SmtpServer

ENDED = 60.0
"""Seconds after the last record in which all must be sent."""


@dataclass(slots=True)
class World:
    """Everything that runs beside Triage."""

    folder: Path
    dovecot: Dovecot
    smtp: SmtpServer
    database: psycopg.Connection[tuple[Any, ...]]
    mailboxes: list[str]
    tenants: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0

    def start(self) -> None:
        """One more Triage."""
        self.running.append(inbox.start(self.folder))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As a power cut would."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.running.remove(process)
        self.kills += 1

    def count(self, query: str) -> int:
        """A number from the database."""
        row = self.database.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0

    def lives(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has shown so in the database."""
        owned = f"name LIKE 'process:%' AND owner LIKE '%:{process.pid}:%'"
        return self.count(f"SELECT count(*) FROM leases WHERE {owned}") == 1

    def recorded(self) -> int:
        """Mails with a verdict."""
        return self.count("SELECT count(*) FROM mails")

    def unsent(self) -> int:
        """Messages that wait, and responses that wait for their time to be rendered."""
        return self.count(
            "SELECT (SELECT count(*) FROM outbox WHERE state <> 'sent') + "
            "(SELECT count(*) FROM pending_responses WHERE due_at < now() + interval '1 hour')"
        ) + self.count("SELECT count(*) FROM mails WHERE after_due")


@contextmanager
def world(mailboxes: int, tenants: int, lease: float) -> Iterator[World]:
    """Servers, and settings for all processes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="processes-")))
        dovecot = stack.enter_context(Dovecot())
        smtp = stack.enter_context(SmtpServer())
        url = stack.enter_context(Postgres()).database()
        names = [f"box{number}" for number in range(mailboxes)]
        text = inbox.settings(url, names, dovecot.port, smtp.port, tenants, 'group_wait = "2s"\n')
        text = text.replace('lease = "3s"', f'lease = "{lease:g}s"') + "\n[limits]\nworkers = 1\n"
        (folder / "triage.toml").write_text(text)
        (folder / "password").write_text(PASSWORD)
        address = url.replace("+psycopg", "")
        connection = stack.enter_context(psycopg.connect(address, autocommit=True))
        made = World(folder, dovecot, smtp, connection, names, tenants)
        try:
            yield made
        finally:
            for process in made.running:
                process.kill()
                process.wait()


def deliver(to: World, count: int) -> None:
    """The mails, by turns into all mailboxes; each tenant's into several of them."""
    clients = [to.dovecot.client(name) for name in to.mailboxes]
    for number, octets in enumerate(inbox.mails(count, to.tenants, real_size=False)):
        clients[number // 2 % len(clients)].append("INBOX", octets)
    for client in clients:
        client.logout()


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it was done in time."""
    ends = time.monotonic() + seconds
    while not done():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def storm(
    on: World, processes: int, mails: int, rng: random.Random, every: float = 1.0, least: int = 0
) -> float:
    """Kill one `every` so many seconds until every mail is recorded, then let all be sent.

    Answers the seconds taken. Between two kills at least so many mails are recorded: on a machine
    that is slow to start a process nothing else would ever happen.
    """
    began = time.monotonic()
    for _ in range(processes):
        on.start()
    until(lambda: on.count("SELECT count(*) FROM pg_tables WHERE tablename = 'mails'") == 1, 60)
    until(lambda: on.recorded() > 0, 60)
    shown, done = 0, False
    while not done:  # the first kill at once: a fast machine might be done before the second
        on.kill(rng.choice(on.running))
        on.start()
        enough = min(on.recorded() + least, mails)
        done = until(lambda: on.recorded() >= mails, every)
        until(lambda enough=enough: on.recorded() >= enough, ENDED)
        if on.recorded() >= shown + mails // 10:
            shown = on.recorded()
            print(f"  {shown:>6} of {mails} recorded, {on.kills} kills", flush=True)
    if not until(lambda: on.unsent() == 0, ENDED):
        print(f"  {on.unsent()} not sent after {ENDED:.0f} s")
    return time.monotonic() - began


def fail_over(on: World) -> float:
    """Kill one process; seconds until a new mail in each of its mailboxes is recorded.

    It begins when all processes live, and in the end another takes the place of the killed one.
    """
    if not until(lambda: all(map(on.lives, on.running)), ENDED):
        raise SystemExit("not every process has started")
    if not until(lambda: on.count("SELECT count(*) FROM leases WHERE owner = ''") == 0, ENDED):
        raise SystemExit("not every mailbox is watched")
    victim = on.running[0]
    held = [
        name.removeprefix("mailbox:")
        for (name,) in on.database.execute(
            b"SELECT name FROM leases WHERE name LIKE 'mailbox:%%' AND owner LIKE %s",
            (f"%:{victim.pid}:%",),
        )
    ]
    before = on.recorded()
    on.kill(victim)
    began = time.monotonic()
    for number, name in enumerate(held):
        client = on.dovecot.client(name)
        client.append("INBOX", inbox.notification(0, 90_000 + number))
        client.logout()
    if not held or not until(lambda: on.recorded() == before + len(held), 120):
        raise SystemExit(f"the mailboxes {held} were not taken over")
    taken = time.monotonic() - began
    on.start()
    return taken


def verdict(on: World, mails: int) -> dict[str, int]:
    """What is there against what must be."""
    notifications = mails // 2
    folders: Counter[str] = Counter()
    for name in on.mailboxes:
        client = on.dovecot.client(name)
        for folder in ("INBOX", "Triage/Known"):
            if client.folder_exists(folder):
                client.select_folder(folder, readonly=True)
                folders[folder] += len(client.search())
        client.logout()
    messages: dict[str, Counter[str]] = defaultdict(Counter)
    for to, message in on.smtp.messages():
        messages[to[0]][str(message["Message-ID"])] += 1
    expected = {f"admin@{inbox.name_of(tenant)}.example" for tenant in range(on.tenants)}
    return {
        "mails_lost": mails - on.recorded(),
        "mails_twice": on.count(
            # Of the other mails some are alike.
            "SELECT count(*) FROM (SELECT FROM mails WHERE verdict = 'known' "
            "GROUP BY octets_sha256 HAVING count(*) > 1) AS twice"
        ),
        "not_filed": abs(folders["Triage/Known"] - notifications)
        + abs(folders["INBOX"] - (mails - notifications)),
        "miscounted": abs(on.count("SELECT count(*) FROM occurrences") - notifications),
        "effects_missing": len(expected - messages.keys()),
        "effects_extra": sum(len(ids) - 1 for ids in messages.values())
        + len(messages.keys() - expected),
        "copies_with_the_same_id": sum(n - 1 for ids in messages.values() for n in ids.values()),
    }


def main() -> None:
    """Run it, print the counts, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--mailboxes", type=int)
    parser.add_argument("--mails", type=int)
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    mailboxes = options.mailboxes or (6 if options.quick else 20)
    mails = options.mails or (600 if options.quick else 10_000)
    tenants = 30 if options.quick else 200
    with world(mailboxes, tenants, options.lease) as on:
        deliver(on, mails)
        print(f"{mails} mails in {mailboxes} mailboxes, {options.processes} processes")
        # A slow machine takes longer than a second to start what was killed.
        rng, least = random.Random(options.seed), mails // 200
        seconds = storm(on, options.processes, mails, rng, least=least)
        kills, counts = on.kills, verdict(on, mails)
        taken_over = fail_over(on)
    for name, number in counts.items():
        print(f"{name.replace('_', ' '):<26} {number}")
    print(f"fail-over of a mailbox after {taken_over:.1f} s, lease {options.lease:g} s")
    figures = {
        "benchmark": "processes",
        "processes": options.processes,
        "mailboxes": mailboxes,
        "mails": mails,
        "kills": kills,
        "seconds": round(seconds, 1),
        **counts,
        "lease_seconds": options.lease,
        "fail_over_seconds": round(taken_over, 1),
    }
    print(json.dumps(figures))
    copies = counts.pop("copies_with_the_same_id")
    sys.exit(1 if any(counts.values()) or copies > kills else 0)


if __name__ == "__main__":
    main()
