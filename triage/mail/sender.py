"""Who sent a mail, as far as its header block says: a machine, or which person.

Anyone can write a header block: what is proved, `authenticity` says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from triage.mail import evidence, identifiers, phrases
from triage.mail.hosts import is_agent_connect_host, is_below, is_salesforce_host
from triage.mail.message import Address, Mail

_MACHINE_NAMES: Final = re.compile(
    r"(?:do[-_.]?not|no)[-_.]?reply|salesforce|sfdc|alerts?|notifications?|system|mailer|apex"
    r"|apexapplication|flowapplication|errors?"
)
_CLAIMS: Final = ("salesforce", "apexapplication", "flowapplication", "stellaconnect")
_WRITTEN: Final = "quickactionemail"
"""X-SFDC-EmailCategory of mail that people write in Salesforce."""
_WORDED: Final = frozenset((_WRITTEN, "workflowactionalert"))
"""The same, and of what people worded for a machine to send."""
_MAIL_PROGRAMS: Final = (
    "user-agent",
    "thread-index",
    "x-ms-has-attach",
    "x-google-smtp-source",
    "x-gm-message-state",
)
_PEOPLES_MAILERS: Final = re.compile(
    r"apple mail|ip(?:hone|ad) mail|microsoft outlook|(?:mozilla )?thunderbird|yahoomail"
)
"""How X-Mailer begins where a person writes; machines have that field as well."""


def proof(mail: Mail) -> str:
    """What the header block says of the sending machine.

    `platform` Salesforce itself, `org` a customer's org, `agent_connect`, or "".
    """
    domains = [sender.domain for sender in mail.from_]
    if any(is_salesforce_host(domain) for domain in domains):
        return "platform"
    if _is_of_salesforce(mail):
        return "org"
    return "agent_connect" if any(is_agent_connect_host(domain) for domain in domains) else ""


def _is_of_salesforce(mail: Mail) -> bool:
    return (
        any(is_below(sender.domain, "sfcustomeremail.com") for sender in mail.from_)
        or any(name.startswith("x-sfdc") for name, _ in mail.headers)
        or identifiers.envelope_org(mail.first("return-path") or "") is not None
    )


def is_worded_by_people(mail: Mail) -> bool:
    """Whether Salesforce says that a person wrote the mail, or what it says."""
    return _category(mail) in _WORDED


def is_by_machine(mail: Mail) -> bool:
    """Whether Salesforce sent a mail that no person wrote there."""
    return _is_of_salesforce(mail) and _category(mail) != _WRITTEN


def _category(mail: Mail) -> str:
    return (mail.first("x-sfdc-emailcategory") or "").strip().casefold()


def author(mail: Mail) -> Address | None:
    """The person who passes something on; None when it is a machine, which nobody answers."""
    return mail.from_[0] if mail.from_ and not is_by_machine(mail) else None


def is_by(mail: Mail, addresses: Collection[str]) -> bool:
    """Whether From is one of these addresses."""
    return any(sender.spec in addresses for sender in mail.from_)


def is_of_company(sender: Address, mail: Mail) -> bool:
    """Whether a mail passed on says that it is of the company of who passes it on.

    Or of an org that sends in its place (`sfcustomeremail.com`).
    """
    domain = sender.domain
    own = [by.domain for by in mail.from_ if by.domain]
    if not domain or is_below(domain, "sfcustomeremail.com"):
        return bool(domain)
    return any(is_below(domain, other) or is_below(other, domain) for other in own)


def is_reply(mail: Mail) -> bool:
    """Whether a person answers; a forward may carry the same headers."""
    if phrases.is_forward(mail.subject):
        return False
    return phrases.is_reply(mail.subject) or mail.first("in-reply-to") is not None


def is_bulk(mail: Mail) -> bool:
    """Whether it is sent to many."""
    precedence = (mail.first("precedence") or "").strip().lower()
    return mail.first("list-unsubscribe") is not None or precedence in {"bulk", "list"}


def claims_machine(mail: Mail, text: str) -> bool:
    """Whether a mail without proof looks sent by a machine: its headers gone, or forged."""
    if _is_named_machine(mail):
        return True
    by_person = any(mail.first(name) is not None for name in _MAIL_PROGRAMS)
    by_person |= _PEOPLES_MAILERS.match((mail.first("x-mailer") or "").lower()) is not None
    return not by_person and not evidence.is_conversation(text)


def _is_named_machine(mail: Mail) -> bool:
    """Whether the sender presents itself as a machine, with or without the right to."""
    for address in mail.from_:
        name = address.display.casefold().replace(" ", "")
        if any(claim in name or claim in address.domain for claim in _CLAIMS):
            return True
        if _MACHINE_NAMES.fullmatch(address.spec.partition("@")[0]):
            return True
    return False
