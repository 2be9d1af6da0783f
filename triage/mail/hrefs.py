"""Where the links of an HTML text lead, asked before the text is worked out.

Where the plain form of a text is read, its HTML form only adds the targets of links, and of these
only those of Salesforce and Agent Connect mean anything. Mostly it has none, or the plain form
shows them as well.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from triage.mail.hosts import is_agent_connect_host, is_salesforce_host
from triage.mail.identifiers import links

_BLANK: Final = r"[ \t\n\r\f]*"
_HREF: Final = re.compile(
    rf"[hH][rR][eE][fF](?={_BLANK}={_BLANK}(?:"
    r"\"([^\"]{0,8192}+)|'([^']{0,8192}+)|([^ \t\n\r\f>\"'][^ \t\n\r\f>]{0,8191}+)))"
)
"""Every place that may be such an attribute, also within the value of another one."""
_MOST: Final = 200
_LENGTH: Final = 8_192
"""Links, and characters of one, that are looked at; people write no more."""
_IGNORED: Final = re.compile("[\\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_OURS: Final = re.compile(
    r"force|lightning|site(?:\.|%2e)com|sfcrm|connect|srvys"
    # What may hide letters: percent-encoded ones, and rewriting that replaces some.
    r"|%(?:25|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])|urldefense"
)
"""What stands in every link that leads to us; it spares decoding all the others."""


def leading_to_us(html: str) -> frozenset[str] | None:
    """The decoded links of an HTML text to Salesforce and Agent Connect; None when it has too many.

    What only looks like a link in the source of the text may be among them.
    """
    hrefs: list[str] = []
    for match in _HREF.finditer(html):
        href = match[1] or match[2] or match[3] or ""
        if len(hrefs) >= _MOST or len(href) >= _LENGTH:
            return None
        hrefs.append(unescape(href))
    if not _OURS.search(_IGNORED.sub("", " ".join(hrefs)).lower()):
        return frozenset()
    return frozenset(
        link.url
        for link in links("", hrefs, limit=_MOST)
        if is_salesforce_host(link.host) or is_agent_connect_host(link.host)
    )
