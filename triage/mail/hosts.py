"""Host names of Salesforce and Agent Connect, matched by suffix on label boundaries.

`my-salesforce.com.example` and `northwind.my.salesforce.com.login.example` are foreign.
"""

from __future__ import annotations

import re
from typing import Final

_CLOUD_APPS: Final = ".mcas.ms"
"""Appended to any host by Microsoft Defender for Cloud Apps."""

_SALESFORCE: Final = (
    "salesforce.com",
    "force.com",
    "my.site.com",
    "my.salesforce-setup.com",
    "my-salesforce.com",
    "my-lightning.com",
    "cloudforce.com",
    "visualforce.com",
    "salesforce.mil",
    "crmforce.mil",
    "force.mil",
    "cloudforce.mil",
    "visualforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
)
_ORG: Final = (
    "my.salesforce.com",
    "lightning.force.com",
    "vf.force.com",
    "visual.force.com",
    "file.force.com",
    "my.site.com",
    "my.salesforce-setup.com",
    "my-salesforce.com",
    "my-lightning.com",
    "cloudforce.com",
    "my.salesforce.mil",
    "lightning.crmforce.mil",
    "my.sfcrmproducts.cn",
    "lightning.sfcrmapps.cn",
)
"""Families whose first label is a My Domain name."""

_AGENT_CONNECT: Final = (
    "stellaconnect.net",
    "agentconnect.net",
    "stellaconnect.com",
    "srvys.io",
    "agentconnect.status.medallia.com",
)
_SALESFORCE_ENDS: Final = tuple(f".{domain}" for domain in _SALESFORCE)
_AGENT_CONNECT_ENDS: Final = tuple(f".{domain}" for domain in _AGENT_CONNECT)
_TENANT_PARENTS: Final = ("api.stellaconnect.net", "stellaconnect.net", "agentconnect.net")
_NOT_A_TENANT_NAMES: Final = (
    "admin api app assets auth cdn click docs email go hello help images img link links login "
    "mail media sapi sso static status support survey surveys track tracking www"
)
_NOT_A_TENANT: Final = frozenset(_NOT_A_TENANT_NAMES.split())
_DATA_CENTRE: Final = re.compile(r"[a-z]{2,5}[0-9]{1,3}-connect-[0-9]{1,3}")
_POD: Final = re.compile(r"cs[0-9]{1,4}")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_BARE: Final = re.compile(
    # `*2F` is the slash of a link that a gateway wrapped (URL Defense 3).
    r"(?<![\w@./%=-])(?!(?<=\*)2[Ff])(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z]{2,6}(?![\w@-]|\.\w)",
    re.ASCII,
)


def is_below(host: str, domain: str) -> bool:
    """Whether `host` is `domain` or stands below it; both in lower case."""
    return host == domain or host.endswith("." + domain)


def plain_host(host: str) -> str:
    """Lower case, without a final dot and without the suffix of Defender for Cloud Apps."""
    return host.lower().rstrip(".").removesuffix(_CLOUD_APPS)


def is_salesforce_host(host: str) -> bool:
    """Whether a host belongs to Salesforce: orgs, pods, mail servers and public sites."""
    return f".{plain_host(host)}".endswith(_SALESFORCE_ENDS)


def is_org_host(host: str) -> bool:
    """Whether a Salesforce host names one org: its first label holds the My Domain name."""
    name = plain_host(host)
    if not any(name.endswith("." + domain) for domain in _ORG):
        return False
    first = name.split(".", 1)[0]
    # Before enhanced domains Visualforce lived on `c.cs42.visual.force.com`, without a name.
    return "--" in first or not name.endswith(".visual.force.com")


def is_sandbox_host(host: str) -> bool:
    """Whether a Salesforce host is of a sandbox, in the forms before and after enhanced domains."""
    name = plain_host(host)
    if not is_salesforce_host(name):
        return False
    labels = name.split(".")
    if "sandbox" in labels[1:] or any(_POD.fullmatch(label) for label in labels):
        return True
    # `northwind--ns.vf.force.com` is a package's Visualforce host in production.
    parent = ".".join(labels[1:])
    return "--" in labels[0] and parent in {"my.salesforce.com", "lightning.force.com"}


def is_agent_connect_host(host: str) -> bool:
    """Whether a host belongs to Agent Connect: application, API, surveys, help, status."""
    return f".{plain_host(host)}".endswith(_AGENT_CONNECT_ENDS)


def agent_connect_sub_domain(host: str) -> str | None:
    """The customer's sub-domain in `{sub}.agentconnect.net` or `{sub}.api.stellaconnect.net`."""
    name = plain_host(host)
    for parent in _TENANT_PARENTS:
        if name.endswith("." + parent):
            sub = name.removesuffix("." + parent)
            known = sub not in _NOT_A_TENANT and not _DATA_CENTRE.fullmatch(sub)
            return sub if known and _NAME.fullmatch(sub) else None
    return None


def may_name_ours(text: str) -> bool:
    """Whether a domain of Salesforce or Agent Connect may stand in a text; cheap."""
    lowered = text.lower()
    return any(domain in lowered for domain in (*_SALESFORCE, *_AGENT_CONNECT))


def bare_hosts(text: str, limit: int = 500) -> tuple[tuple[str, int], ...]:
    """Host names of Salesforce and Agent Connect in `text`, lower case, with their offsets.

    Domains of mail addresses are left out. Linear; at most `limit` answers.
    """
    if not may_name_ours(text):
        return ()
    found: list[tuple[str, int]] = []
    for match in _BARE.finditer(text):
        host = plain_host(match.group())
        if is_salesforce_host(host) or is_agent_connect_host(host):
            found.append((host, match.start()))
            if len(found) >= limit:
                break
    return tuple(found)
