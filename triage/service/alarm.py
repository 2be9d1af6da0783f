"""The second way out, for Triage's own troubles: what is queued on it, and who takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from html import escape
from urllib.parse import urlsplit

from triage.response.markdown import clean
from triage.response.message import Audience, OutboundMessage
from triage.response.render import message_id, to_octets
from triage.rows import NewOutbox, Way
from triage.settings.health import AlarmSection, AlarmSmtpSection


def alarms(
    section: AlarmSection, key: str, title: str, text: str, now: datetime
) -> Iterator[NewOutbox]:
    """What is to be queued about a trouble: a call of the webhook, or a mail to each reader.

    The same key is the same alarm. Raises RenderFault.
    """
    if section.smtp is not None:
        for address in section.smtp.to:
            yield _mail(section.smtp, f"{key} {address}", address, title, text, now)
    if section.webhook is not None:
        yield _call(section.webhook, key, title, text, now)


def _mail(
    smtp: AlarmSmtpSection, key: str, to: str, title: str, text: str, now: datetime
) -> NewOutbox:
    # With the time: no two mails may share an id, also when a restored store forgot the first.
    own_id = message_id(to, f"{key} {now}", 0, smtp.from_address.rpartition("@")[2])
    # Without templates: a broken one may be the trouble.
    words = clean(f"{title}\n\n{text}\n")
    message = OutboundMessage(
        audience=Audience.OWN,
        from_=smtp.from_,
        to=(to,),
        subject=f"[TRIAGE] {title}",
        text=words,
        html=f"<pre>{escape(words)}</pre>\n",
        message_id=own_id,
    )
    octets = to_octets(message, date=now)
    return _row(key, smtp.bounce_address, (to,), own_id, title, octets)


def _call(url: str, key: str, title: str, text: str, now: datetime) -> NewOutbox:
    number = sha256(f"{key} {now}".encode()).hexdigest()[:32]
    body = {"id": number, "time": now.isoformat(), "title": title, "text": clean(text)}
    host = urlsplit(url).hostname or ""
    return _row(key, "", (host,), number, title, json.dumps(body).encode())


def _row(
    key: str, sender: str, to: tuple[str, ...], number: str, title: str, octets: bytes
) -> NewOutbox:
    return NewOutbox(key, Audience.OWN, None, sender, to, number, title, octets, Way.ALARM)
