"""A busy inbox for the benchmarks: many tenants, mails in any number, and the settings for them.

All notifications of one tenant belong to one incident, whose only reply goes to the tenant's
admin: what must be sent is known before anything runs.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from classify import padded  # noqa: E402 - a checkout need not be installed

from triage.mail.identifiers import to18  # noqa: E402

EMAILS: Final = ROOT / "fixtures" / "emails"
CAUSES: Final = (
    "Stella Connect Employee cannot be a Queue",
    "Customer Email field missing value",
)
LARGE: Final = 6_000
"""Octets from which a fixture is no ordinary mail."""
_TEMPLATE: Final = (EMAILS / "agent_connect" / "employee_is_queue-01.eml").read_bytes()
_ORG: Final = "00D8x000001AbCd"
_VERP: Final = b"8x-1abcdeak"
_RECORD: Final = b"5008x00000Kq7TaAAJ"
_ERROR: Final = b"Stella Connect Employee cannot be a Queue"
_MESSAGE_ID: Final = re.compile(rb"Message-ID: <[^>]+>", re.IGNORECASE)


def org_of(tenant: int) -> str:
    """The org id of a tenant, 15 characters."""
    return f"00D8x00000{tenant + 1:05d}"


def name_of(tenant: int) -> str:
    """The name of a tenant, and of its hosts."""
    return f"customer{tenant}"


def notification(tenant: int, serial: int) -> bytes:
    """A direct error mail of a tenant's org; `serial` makes it and its record its own."""
    org = org_of(tenant)
    verp = "8x-" + to18(org)[5:].lstrip("0").lower()
    record = to18(f"5008x00000{serial:05d}")
    octets = _MESSAGE_ID.sub(b"Message-ID: <%d.n@sfdc.net>" % serial, _TEMPLATE)
    for old, new in (
        (_ORG, org),
        (_VERP.decode(), verp),
        (_RECORD.decode(), record),
        (_ERROR.decode(), CAUSES[tenant % len(CAUSES)]),
        ("northwind", name_of(tenant)),
        ("Northwind", name_of(tenant).title()),
    ):
        octets = octets.replace(old.encode(), new.encode())
    return octets


def others() -> list[bytes]:
    """Mails that are not ours, from machines and from people."""
    paths = sorted((EMAILS / "not_ours").glob("*.eml")) + sorted(
        (EMAILS / "automatic").glob("newsletter*.eml")
    )
    octets = (path.read_bytes() for path in paths)
    return [mail for mail in octets if len(mail) < LARGE]


def mails(count: int, tenants: int, *, real_size: bool, seed: int = 1) -> Iterator[bytes]:
    """Notifications and other mails by turns; at the size of real ones, if wanted."""
    rng = random.Random(seed)
    foreign = cycle(others())
    for serial in range(count):
        if serial % 2 == 0:
            octets = notification(serial // 2 % tenants, serial)
            yield padded(octets, rng) if real_size else octets
        else:
            stranger = b"Message-ID: <%d.o@mail.example>" % serial
            octets = _MESSAGE_ID.sub(stranger, next(foreign), 1)
            yield padded(octets, rng, thread=500) if real_size else octets


def settings(
    store: str, mailboxes: Sequence[str], imap_port: int, smtp_port: int, tenants: int, more: str
) -> str:
    """A `triage.toml` on loopback servers; the password is in the file `password`.

    `more` holds further lines of `[policy]` and whatever sections follow it.
    """
    lines = [f'[store]\nurl = "{store}"\nlease = "3s"\n']
    lines += [
        f'[[mailboxes]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {imap_port}\ntls = "none"\n'
        f'username = "{name}"\npassword_file = "password"\naddresses = ["{name}@example.com"]\n'
        'authserv_ids = ["mx.example.com"]\nstart = "all"\n'
        for name in mailboxes
    ]
    lines.append(
        f'[smtp]\nhost = "127.0.0.1"\nport = {smtp_port}\ntls = "none"\n'
        'from = "Support <support@example.com>"\nbounce_address = "bounces@example.com"\n'
    )
    lines += [
        f'[[tenants]]\nname = "{name_of(n)}"\norg_ids = ["{org_of(n)}"]\n'
        f'my_domains = ["{name_of(n)}.my.salesforce.com"]\ndomains = ["{name_of(n)}.example"]\n'
        f'contacts = ["admin@{name_of(n)}.example"]\n'
        for n in range(tenants)
    ]
    lines.append('[support]\ncontacts = ["team@example.com"]\ndomains = ["example.com"]\n')
    lines.append(
        '[budgets]\nper_recipient = "99999/d"\nper_tenant = "99999/d"\ntotal = "999999/d"\n'
    )
    lines.append(f'[policy]\nshadow = false\nmax_age = "520w"\n{more}')
    return "\n".join(lines)


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """`triage run` of this checkout on the folder's `triage.toml`, in a session of its own.

    What it logs is added to the file `log`. The allocator is set as in the Dockerfile.
    """
    command = [sys.executable, "-m", "triage", "run", *options, "--config", "triage.toml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "2"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, stderr=log, env=environment, start_new_session=True
        )
