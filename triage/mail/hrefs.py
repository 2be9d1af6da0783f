"""Whether the HTML form of a text has links that count and that its plain form does not show.

Where the plain form is read, the HTML form only adds the targets of links, and of these only those
of Salesforce and Agent Connect mean anything. Mostly there are none, or the plain form shows them
as well; then the HTML need not be worked out, which costs more than all other reading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from html import unescape
from typing import Final

from triage.mail.hosts import is_agent_connect_host, is_salesforce_host
from triage.mail.identifiers import links
from triage.mail.message import Link
from triage.mail.text import Split

_VALUE: Final = re.compile(
    rb"[ \t\n\r\f]*=[ \t\n\r\f]*"
    rb"(?:\"([^\"]{0,8192}+)|'([^']{0,8192}+)|([^ \t\n\r\f>\"'][^ \t\n\r\f>]{0,8191}+))"
)
_MOST: Final = 200
_LENGTH: Final = 8_192
"""Links, and octets of one, that are looked at; people write no more."""
_IGNORED: Final = re.compile("[\\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_OURS: Final = re.compile(
    r"force|lightning|site(?:\.|%2e)com|sfcrm|connect|srvys"
    # What may hide letters: percent-encoded ones, and rewriting that replaces some.
    r"|%(?:25|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])|urldefense"
)
"""What stands in every link that leads to us; it spares decoding all the others."""
_HEADS: Final = ("unhandled", "api error alert")
"""Words of heads at which a text is cut; a link above them is not in what is below."""


def leading_to_us(html: str) -> tuple[Link, ...] | None:
    """The links of an HTML text to Salesforce and Agent Connect; None when it has too many.

    What only looks like a link in the source of the text counts as one, also within another one.
    """
    octets = html.encode("utf-8", "replace")
    lowered = octets.lower()  # in octets that is quick and moves nothing
    hrefs: list[str] = []
    at = lowered.find(b"href")
    while at >= 0:
        if match := _VALUE.match(octets, at + 4):
            href = match[1] or match[2] or match[3] or b""
            if len(hrefs) >= _MOST or len(href) >= _LENGTH:
                return None
            hrefs.append(unescape(href.decode("utf-8", "replace")))
        at = lowered.find(b"href", at + 4)
    if not _OURS.search(_IGNORED.sub("", " ".join(hrefs)).lower()):
        return ()
    found = (link for href in hrefs for link in links("", [href]))
    return tuple(
        link for link in found if is_salesforce_host(link.host) or is_agent_connect_host(link.host)
    )


def are_shown(found: Sequence[Link], plain: str, parts: Split) -> bool:
    """Whether the plain form shows each of these links as often, and each forward in it as well.

    Not where it matters in which piece of a text a link stands: the text may be cut at the head
    of a notification, or above what a person pasted.
    """
    if not found:
        return True
    if any(word in f.lower() for word in _HEADS for f in (parts.newest, *_texts(parts))):
        return False
    urls = Counter(link.url for link in found)
    others = {link.url for link in found if not link.record_id}
    if others and not others.isdisjoint(link.url for link in links(parts.newest)):
        return False
    if not urls <= Counter(link.url for link in links(plain)):
        return False
    return all(urls.keys() <= {link.url for link in links(text)} for text in _texts(parts))


def _texts(parts: Split) -> list[str]:
    return [forward.text for forward in parts.forwards]
