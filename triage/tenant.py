"""The customers and their people, as the operator wrote them down. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a contact is there for."""

    ADMIN = "admin"
    TECHNICAL = "technical"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of a tenant who receives fix instructions."""

    address: str
    """addr-spec in lower case (RFC 5322, 3.4.1)."""
    role: Role = Role.ADMIN
    language: str = "en"
    timezone: str = "UTC"
    digest: bool = False
    """Whether this person gets the digest of their tenant."""
    opt_out: bool = False
    """Never written to, whatever else is said; a person all the same, who may forward."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer. Every name in it belongs to this tenant alone."""

    name: str
    org_ids: tuple[str, ...] = ()
    """Salesforce organisation ids, 15 characters, case-sensitive."""
    my_domains: tuple[str, ...] = ()
    """Salesforce hosts in lower case, such as `northwind.my.salesforce.com`."""
    domains: tuple[str, ...] = ()
    """Mail domains in lower case; their people may forward notifications."""
    agent_connect: tuple[str, ...] = ()
    """Agent Connect sub-domains in lower case."""
    sending_domains: tuple[str, ...] = ()
    """Domains from which Agent Connect sends for this tenant, if customised."""
    contacts: tuple[Contact, ...] = ()
    language: str = "en"
    timezone: str = "UTC"
    digest: bool = False
    hold: bool = False
    """Whether what would be sent about it waits until a person releases it."""


class Tenants:
    """All tenants, found by what a mail can name. Look-ups answer None for the unknown."""

    def __init__(self, tenants: Iterable[Tenant] = ()) -> None:
        self._all = tuple(tenants)
        self._by_name = {t.name: t for t in self._all}
        self._by_org = {org[:15]: t for t in self._all for org in t.org_ids}
        self._by_my_domain = {my_domain(host): t for t in self._all for host in t.my_domains}
        self._by_sub_domain = {sub.lower(): t for t in self._all for sub in t.agent_connect}
        self._by_domain = {domain.lower(): t for t in self._all for domain in t.domains}
        self._by_sending = {d.lower(): t for t in self._all for d in t.sending_domains}
        self._by_contact = {c.address: t for t in self._all for c in t.contacts}

    def __iter__(self) -> Iterator[Tenant]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def named(self, name: str | None) -> Tenant | None:
        """The tenant of this name."""
        return self._by_name.get(name or "")

    def by_org(self, org_id: str) -> Tenant | None:
        """The tenant of an organisation id of 15 or 18 characters, compared with its case."""
        return self._by_org.get(org_id[:15])

    def by_host(self, host: str) -> Tenant | None:
        """The tenant of a Salesforce host; all hosts of one My Domain, sandboxes too, are one.

        That the host is Salesforce's is for the caller to know (`mail.hosts.is_org_host`).
        """
        return self._by_my_domain.get(my_domain(host))

    def by_sub_domain(self, sub_domain: str) -> Tenant | None:
        """The tenant of an Agent Connect sub-domain."""
        return self._by_sub_domain.get(sub_domain.lower())

    def by_domain(self, domain: str) -> Tenant | None:
        """The tenant of a mail domain or of one that it is below of."""
        return _at_or_above(self._by_domain, domain)

    def by_sending_domain(self, domain: str) -> Tenant | None:
        """The tenant for which Agent Connect sends from this domain or one that it is below of."""
        return _at_or_above(self._by_sending, domain)

    def by_contact(self, address: str) -> Tenant | None:
        """The tenant that lists this address as a contact."""
        return self._by_contact.get(address.lower())


_PARTITIONS = frozenset({"develop", "scratch", "demo", "free", "patch", "trailblaze"})
"""Kinds of org in which somebody else may have the same My Domain name."""


def my_domain(host: str) -> str:
    """The My Domain name of a Salesforce host: `northwind--uat.sandbox.my.…` is `northwind`.

    A partition is part of the name: `northwind.develop.my.…` is `northwind.develop`.
    """
    first, *rest = host.lower().split(".", 2)
    name = first.split("--", 1)[0]
    return f"{name}.{rest[0]}" if rest and rest[0] in _PARTITIONS else name


def _at_or_above(domains: dict[str, Tenant], domain: str) -> Tenant | None:
    labels = domain.lower().split(".")
    for start in range(len(labels) - 1):
        if found := domains.get(".".join(labels[start:])):
            return found
    return None
