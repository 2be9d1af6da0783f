"""Several processes on one PostgreSQL: killed at random, every effect once."""

from __future__ import annotations

import random

import pytest
from processes import deliver, fail_over, storm, verdict, world

MAILS, MAILBOXES, TENANTS, PROCESSES, LEASE = 200, 4, 20, 3, 3.0


@pytest.mark.server
def test_processes_that_are_killed_at_random_lose_nothing_and_do_nothing_twice() -> None:
    with world(MAILBOXES, TENANTS, LEASE) as on:
        deliver(on, MAILS)
        storm(on, PROCESSES, MAILS, random.Random(1), every=2.0)
        kills, counts = on.kills, verdict(on, MAILS)
        taken_over = fail_over(on)
    copies = counts.pop("copies_with_the_same_id")
    assert kills, "nobody was killed while there was work"
    assert not any(counts.values()), counts
    assert copies <= kills
    # Another process notices within a third of a lease, and must log in.
    assert taken_over < 2 * LEASE + 5
