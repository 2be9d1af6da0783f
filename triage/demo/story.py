"""Two weeks in the life of a shared inbox, on a clock that jumps to the next thing that happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from imapclient import IMAPClient

from triage.adapters.files import read_catalog, read_templates
from triage.adapters.store import open_store
from triage.demo.promise import CONTACT, STORM_OF, deliveries, fixture, with_own_id
from triage.incident.incident import Incident
from triage.response.templates import Templates
from triage.rows import MailRow, OutboxState
from triage.service.run import Service
from triage.settings import Settings

if TYPE_CHECKING:  # its library is an extra
    from triage.demo.servers import SmtpServer

Message = tuple[tuple[str, ...], EmailMessage]
"""Envelope recipients, and the mail."""

STORM_AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
"""A Monday; nine o'clock in Berlin."""
BOUNCE_AT = STORM_AT + timedelta(days=1, hours=1)
FIRST_DIGEST_AT = STORM_AT + timedelta(days=6, hours=23, minutes=30)
"""The Monday after, half an hour after the digest's time, before the incidents close."""
QUIET_AT = STORM_AT + timedelta(days=8, hours=2)
"""More than `quiet_after` after the last notification."""
RELAPSE_AT = STORM_AT + timedelta(days=10, hours=5)
SECOND_DIGEST_AT = FIRST_DIGEST_AT + timedelta(days=7)
DEADLINE_SECONDS = 45


class Calendar:
    """The story's clock: it goes on by itself, and jumps. Thread-safe."""

    def __init__(self) -> None:
        """Begin when the storm does."""
        self._began, self._real = STORM_AT, time.monotonic()

    def now(self) -> datetime:
        """Aware, UTC."""
        began, real = self._began, self._real
        return began + timedelta(seconds=time.monotonic() - real)

    def go_to(self, moment: datetime) -> None:
        """Jump ahead."""
        self._began, self._real = moment, time.monotonic()


class Story:
    """The servers, the clock, and the services that run on them one after the other."""

    def __init__(self, settings: Settings, client: IMAPClient, smtp: SmtpServer) -> None:
        """`client` is another program on the watched mailbox."""
        self._settings, self._client, self._smtp = settings, client, smtp
        self._calendar = Calendar()

    @contextmanager
    def service(self) -> Iterator[Service]:
        """A service as `triage run` starts one, but on the story's clock."""
        store = open_store(self._settings.store.url, clock=self._calendar)
        store.lock_service()
        catalog, templates = read_catalog(), Templates(read_templates())
        with Service(self._settings, catalog, templates, store, self._calendar) as service:
            yield service

    def storm(
        self, service: Service, show: Callable[[Sequence[tuple[str, MailRow]]], None]
    ) -> list[tuple[str, MailRow]]:
        """Deliver while the service watches; answers each mail's name with what became of it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        watching = threading.Thread(target=service.run, name="service")
        watching.start()
        try:
            _until(lambda: _watches(service), deadline)
            names = {}
            for name, octets in deliveries():
                names[self._append(octets)] = name
                show(self._handled(service, names))
            _until(lambda: len(self._handled(service, names)) == len(names), deadline)
            show(rows := self._handled(service, names))
            # Past `group_wait`, in which everything for one person becomes one mail.
            self._calendar.go_to(self._calendar.now() + timedelta(minutes=1))
            _until(lambda: _all_sent(service), deadline)
        finally:
            service.stop.set()
            watching.join(DEADLINE_SECONDS)
        return rows

    def goes_on(self, service: Service, moment: datetime, *mails: bytes) -> list[Message]:
        """Deliver these mails at that time; answers what the service then sends."""
        self._calendar.go_to(moment)
        before = len(self._smtp.received)
        for octets in mails:
            self._append(octets)
        service.once()
        return self._smtp.messages()[before:]

    def sent(self) -> list[Message]:
        """All that the SMTP server accepted so far."""
        return self._smtp.messages()

    def unreachable(self, service: Service) -> list[str]:
        """Of whom Triage believes that no mail arrives."""
        with service.store.unit() as unit:
            return [one.address for one in unit.undeliverable()]

    def incidents(self, service: Service) -> list[Incident]:
        """All since the storm."""
        with service.store.unit() as unit:
            return list(unit.incidents_between(STORM_AT, self._calendar.now()))

    def folders(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """Subject and flags of every mail, by folder."""
        found = {}
        for flags, _, name in self._client.list_folders():
            if rb"\Noselect" in flags:
                continue
            self._client.select_folder(name, readonly=True)
            answers = self._client.fetch(self._client.search(), ["FLAGS", "ENVELOPE"])
            found[str(name)] = [
                (
                    (answer[b"ENVELOPE"].subject or b"").decode(errors="replace"),
                    tuple(flag.decode() for flag in answer[b"FLAGS"]),
                )
                for _, answer in sorted(answers.items())
            ]
        return found

    def _append(self, octets: bytes) -> int:
        """The UID in the answer's APPENDUID response code (RFC 9051, 7.1)."""
        answer = self._client.append("INBOX", octets, msg_time=self._calendar.now())
        return int(answer.partition(b"APPENDUID")[2].split()[1].rstrip(b"]"))

    def _handled(self, service: Service, names: Mapping[int, str]) -> list[tuple[str, MailRow]]:
        with service.store.unit() as unit:
            rows = unit.mails_between(STORM_AT, STORM_AT + timedelta(hours=1))
        return [(names[row.uid], row) for row in rows if row.uid in names]


_REPORT = """\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mail.northwind.example>
To: errors+bounce@example.com
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: <20261124090000.B0F2C6A1@mail.northwind.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B0F2C6A1"

--B0F2C6A1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

<{to}>: 550 5.1.1 User unknown

--B0F2C6A1
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.northwind.example

Final-Recipient: rfc822; {to}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--B0F2C6A1
Content-Type: message/rfc822

{returned}
--B0F2C6A1--
"""


def delivery_report(message: EmailMessage, at: datetime) -> bytes:
    """What the contact's server sends, our mail with it: nobody has this address (RFC 3464)."""
    returned = message.as_string().replace("\r\n", "\n")
    return _REPORT.format(date=format_datetime(at), to=CONTACT, returned=returned).encode()


def same_error_again(at: datetime) -> bytes:
    """The notification of the storm once more, written anew."""
    octets = with_own_id(fixture(STORM_OF), "relapse")
    head, separator, rest = octets.partition(b"\nDate: ")
    return head + separator + format_datetime(at).encode() + b"\n" + rest.partition(b"\n")[2]


def _until(done: Callable[[], bool], deadline: float) -> None:
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)


def _watches(service: Service) -> bool:
    with service.store.unit() as unit:
        return bool(unit.mailboxes())


def _all_sent(service: Service) -> bool:
    with service.store.unit() as unit:
        waiting = unit.outbox((OutboxState.PENDING, OutboxState.SENDING))
        return not waiting and not unit.pending()
