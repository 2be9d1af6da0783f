"""A template to the two parts of a mail, and an OutboundMessage to octets (RFC 5322, 2045)."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email import message_from_bytes
from email.errors import MessageError
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage, Message
from email.policy import SMTP, EmailPolicy
from email.utils import parseaddr
from textwrap import wrap
from typing import Any

import css_inline
from markupsafe import Markup

from triage.mail.message import OWN_PREFIX
from triage.response.markdown import (
    WIDTH,
    clean,
    defang_data,
    one_line,
    text_and_html,
)
from triage.response.message import OutboundMessage
from triage.response.templates import TemplateFault, Templates

SUBJECT_LENGTH = 180
"""Characters of a subject; the rest is cut."""
MAX_REFERENCES = 20

# Nothing is fetched while a mail is rendered, and no file is read.
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)


class RenderFault(Exception):  # noqa: N818 - Triage's word for what went wrong
    """The octets of a mail do not say what was meant; it must not be sent. Says what differs."""


@dataclass(frozen=True, slots=True)
class Body:
    """A rendered mail without its envelope."""

    subject: str
    text: str
    html: str


def body(
    templates: Templates,
    template: str,
    *,
    language: str,
    timezone: tzinfo,
    hosts: AbstractSet[str],
    **context: object,
) -> Body:
    """Both parts of a mail from one Markdown template, whose first line is `# ` and the subject.

    Links stay links with https and a host of `hosts`. Raises TemplateFault.
    """
    markdown = templates.render(template, language=language, timezone=timezone, **context)
    heading, _, rest = markdown.strip().partition("\n")
    if not heading.startswith("# "):
        raise TemplateFault(template, 1, 'the first line must be "# " and the subject')
    subject = one_line(defang_data(heading[2:], hosts))
    text, fragment = text_and_html(rest, hosts, language=language)
    html = templates.render(
        "layout.html.j2",
        language=language,
        lang=language,
        title=subject,
        preheader=_preheader(text),
        body=Markup(fragment),  # noqa: S704 - HTML is off, links are checked
    )
    return Body(subject, text, _INLINER.inline(html))


def _preheader(text: str) -> str:
    """What a mail program shows beside the subject: the first words after the greeting."""
    paragraphs = [one_line(paragraph) for paragraph in text.split("\n\n")[:3]]
    return next((p for p in paragraphs if len(p) > 40), paragraphs[0])[:140]


def message_id(recipient: str, group: str, sequence: int, domain: str) -> str:
    """The Message-ID of the `sequence`-th mail to a recipient about a group of incidents.

    Without angle brackets. The same arguments always give the same id, so a mail that is sent
    again after a crash is recognised, by servers and by us.
    """
    digest = hashlib.sha256("\0".join((recipient, group, str(sequence))).encode()).hexdigest()
    return f"{OWN_PREFIX}{digest[:32]}@{domain}"


def triage_id(own_message_id: str) -> str:
    """What X-Triage-Id says of one of our mails: the part of its Message-ID that differs."""
    return own_message_id.removeprefix(OWN_PREFIX).partition("@")[0]


# Octets ----------------------------------------------------------------------------------

_MESSAGE_ID = re.compile(r"[!-;=?-~]{3,250}")


class _IdList(UnstructuredHeader):
    """References and In-Reply-To: one id a line. The default would encode long ids as words."""

    name: str

    def fold(self, *, policy: EmailPolicy) -> str:
        return f"{self.name}: {(policy.linesep + ' ').join(str(self).split())}{policy.linesep}"


class _Subject(UnstructuredHeader):
    """Folded so that every reader unfolds what was meant.

    The default leaves the first line empty before a line that just fits, and lets words through
    that only look encoded (RFC 2047, 5).
    """

    name: str

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        super().parse(value, kwds)
        kwds["decoded"] = value  # as we mean it, even if it looks encoded

    def fold(self, *, policy: EmailPolicy) -> str:
        text = str(self)
        if text.isascii() and "=?" not in text and max(map(len, text.split(" "))) < WIDTH - 10:
            lines = wrap(f"{self.name}: {text}", WIDTH, break_on_hyphens=False)
        else:
            lines = [f"{self.name}: =?utf-8?b?{_base64(text[:8])}?="]
            rest = text[8:]  # an encoded word has at most 75 characters: 45 octets, 11 letters
            lines += [f"=?utf-8?b?{_base64(rest[i : i + 11])}?=" for i in range(0, len(rest), 11)]
        return (policy.linesep + " ").join(lines) + policy.linesep


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("subject", _Subject)  # type: ignore[arg-type]
_HEADERS.map_to_type("references", _IdList)  # type: ignore[arg-type]
_HEADERS.map_to_type("in-reply-to", _IdList)  # type: ignore[arg-type]
_POLICY = SMTP.clone(header_factory=_HEADERS)


def to_octets(message: OutboundMessage, *, date: datetime) -> bytes:
    """The mail as it is queued, with the headers of design 5.4 and CRLF line ends.

    The same arguments give the same octets. The subject is cleaned and cut, ids of strangers
    that are none are left out of the references. The result is parsed again and compared;
    raises RenderFault when it does not say what was meant.
    """
    text, html = _lines(message.text), _lines(message.html)
    mail = EmailMessage(policy=_POLICY)
    try:
        headers = _headers(message, date)
        mail.set_content(text, cte="quoted-printable")
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        for name, value in headers.items():  # later than the parts, which take Content-* along
            mail[name] = value
        # "=_" cannot stand in quoted-printable, so no part can hold the boundary.
        mail.set_boundary(f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:32]}")
        octets = mail.as_bytes()
        _compare(message_from_bytes(octets), headers, text, html)
    except (MessageError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise RenderFault(f"the mail {message.message_id} cannot be written: {fault}") from fault
    return octets


def _headers(message: OutboundMessage, date: datetime) -> dict[str, object]:
    """What is meant, in the order in which it is written; raises what Address raises."""
    display, sender = parseaddr(one_line(message.from_))
    ids = [f"<{i}>" for i in message.references if _MESSAGE_ID.fullmatch(i)][-MAX_REFERENCES:]
    return {
        "From": (Address(display, addr_spec=sender),),
        "To": tuple(Address(addr_spec=address) for address in message.to),
        "Subject": subject_line(message.subject),
        "Date": date,
        "Message-ID": f"<{message.message_id}>",
        **({"In-Reply-To": ids[-1], "References": " ".join(ids)} if ids else {}),
        "Auto-Submitted": message.auto_submitted,
        "X-Auto-Response-Suppress": "All",
        "X-Triage-Id": triage_id(message.message_id),
        "Content-Language": message.language,
    }


def subject_line(subject: str) -> str:
    """One clean line of at most SUBJECT_LENGTH. Raises ValueError when nothing is left."""
    line = one_line(subject)
    if not line:
        raise ValueError("the subject is empty")
    return line if len(line) <= SUBJECT_LENGTH else line[: SUBJECT_LENGTH - 1].rstrip() + "…"


def _lines(text: str) -> str:
    return clean(text).rstrip("\n") + "\n"


def _compare(read: Message, headers: dict[str, object], text: str, html: str) -> None:
    """Raise RenderFault unless the parsed mail is what was meant, no more and no less."""
    mime = ["Content-Type", "MIME-Version"]
    if sorted(read.keys()) != sorted([*headers, *mime]):
        raise RenderFault(f"other headers than meant: {', '.join(read.keys())}")
    for name, value in read.raw_items():
        if name in mime:
            continue
        # By the library's own registry, not by ours, which wrote it.
        got: Any = SMTP.header_fetch_parse(name, value)
        meant = headers[name]
        match meant:
            case datetime():
                same = got.datetime == meant.replace(microsecond=0)
            case tuple():
                same = bool(meant) and got.addresses == meant and not got.defects
                same = same and all(a.addr_spec.isascii() and a.domain for a in meant)
            case _:
                same = str(got) == meant
        if not same:
            raise RenderFault(f"{name} reads {one_line(str(got))!r}, not what was meant")
    inner: Any = read.get_payload()
    parts = [(part.get_content_type(), _content(part)) for part in inner]
    if parts != [("text/plain", text), ("text/html", html)]:
        raise RenderFault("text or HTML reads otherwise than meant")


def _content(part: Message) -> str:
    octets: Any = part.get_payload(decode=True)
    return str(octets.decode(part.get_content_charset() or "")).replace("\r\n", "\n")
