"""The process that runs the service, and dies; forked from one that has read everything once."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.crash.mails import MOMENTS
from tests.crash.points import CountedMailbox, CountedSender, CountedStore, Points
from tests.crash.poison import judge
from triage.adapters.connection import Password
from triage.adapters.files import read_catalog, read_templates
from triage.adapters.imap import ImapMailbox
from triage.adapters.store import open_store
from triage.response.templates import Templates
from triage.rows import OutboxState
from triage.service.log import configure_log
from triage.service.run import Service
from triage.settings import MailboxSection, Settings, SmtpSection, load

_LONGEST_SECONDS = 120
_ROUNDS = 5
_PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h"""


def serve() -> None:
    """Run each job that comes as a line of JSON in a child of its own; answer how it ended."""
    if sys.platform == "linux":
        # What a killed child leaves behind becomes ours, and does not pile up as zombies.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    catalog, templates = read_catalog(), Templates(read_templates())
    if faults := templates.faults():  # this also compiles them
        raise RuntimeError(faults)
    with TemporaryDirectory() as place:
        open_store(f"sqlite:///{place}/warm.db").close()  # imports what makes the schema
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _life(partial(_run, json.loads(line), catalog, templates))
        while (ended := os.waitpid(-1, 0))[0] != pid:
            pass
        print(os.waitstatus_to_exitcode(ended[1]), flush=True)  # noqa: T201 - the answer
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _life(run: Callable[[], None]) -> None:
    """All that the child does; it never returns."""
    signal.alarm(_LONGEST_SECONDS)
    status = 1
    try:
        run()
        status = 0
    except BaseException:  # noqa: BLE001 - the fork must not run into its parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _run(job: dict[str, Any], catalog: Any, templates: Templates) -> None:
    folder = Path(job["folder"])
    with (folder / "log").open("ab") as log:
        os.dup2(log.fileno(), 2)
    settings = load(folder / "triage.toml")
    configure_log(settings.log)
    points, clock = Points(job["kill"], folder), _Standing(MOMENTS[job["moment"]])
    store = open_store(settings.store.url, clock=clock)
    store.lock_service()
    service = Service(
        settings,
        catalog,
        templates,
        CountedStore(store, points),
        clock,
        mailbox=partial(_mailbox, points),
        sender=partial(_sender, points),
        judge=judge(catalog, settings, folder) if job["poison"] else None,
    )
    with service:
        _until_quiet(service, clock.now() + settings.policy.group_wait)
    (folder / "points.json").write_text(json.dumps(points.names))


class _Standing:
    """A clock that stands still: what a restart sends is what would have been sent before."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def _until_quiet(service: Service, due: datetime) -> None:
    """Until nothing waits any more, or for some rounds; what is left then is seen in the end."""
    for _ in range(_ROUNDS):
        good = service.once()
        with service.store.unit() as unit:
            waiting = [*unit.pending(due), *unit.outbox((OutboxState.PENDING, OutboxState.SENDING))]
        if good and not waiting:
            return


def _mailbox(points: Points, section: MailboxSection, settings: Settings) -> CountedMailbox:
    password = Password(section.username, section.password())
    mailbox = ImapMailbox(
        section.name,
        section.host,
        section.imap_port,
        section.tls,
        password,
        section.folder,
        settings.limits.value,
    )
    return CountedMailbox(mailbox, points)


def _sender(points: Points, section: SmtpSection) -> CountedSender:
    sender = CountedSender(section.host, section.smtp_port, section.tls)
    sender.points = points
    return sender
