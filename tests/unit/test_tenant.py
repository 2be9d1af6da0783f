"""The look-ups of `Tenants`."""

from __future__ import annotations

import pytest

from triage.tenant import Contact, Tenant, Tenants, my_domain

NORTHWIND = Tenant(
    name="northwind",
    org_ids=("00D8x000001AbCd",),
    my_domains=("northwind.my.salesforce.com",),
    domains=("northwind.example",),
    agent_connect=("northwind",),
    sending_domains=("surveys.northwind.example",),
    contacts=(Contact("priya@northwind.example"),),
)
TENANTS = Tenants([NORTHWIND, Tenant(name="contoso", domains=("contoso.example",))])


def test_an_org_is_found_by_15_and_by_18_characters():
    assert TENANTS.by_org("00D8x000001AbCd") is NORTHWIND
    assert TENANTS.by_org("00D8x000001AbCdEAK") is NORTHWIND


def test_org_ids_are_compared_with_their_case():
    assert TENANTS.by_org("00D8x000001ABCD") is None


@pytest.mark.parametrize(
    "host",
    [
        "northwind.my.salesforce.com",
        "northwind.lightning.force.com",
        "Northwind--StellaConnect.vf.force.com",
        "northwind--uat.sandbox.my.salesforce.com",
    ],
)
def test_all_hosts_of_one_my_domain_lead_to_its_tenant(host):
    assert TENANTS.by_host(host) is NORTHWIND


@pytest.mark.parametrize(
    "host", ["northwinds.my.salesforce.com", "northwind.develop.my.salesforce.com", ""]
)
def test_another_my_domain_or_another_partition_is_somebody_else(host):
    assert TENANTS.by_host(host) is None


def test_a_mail_domain_covers_what_is_below_it_but_nothing_that_only_ends_like_it():
    assert TENANTS.by_domain("mail.Northwind.example") is NORTHWIND
    assert TENANTS.by_domain("evilnorthwind.example") is None
    assert TENANTS.by_domain("example") is None


def test_a_sending_domain_is_not_a_domain_of_people():
    assert TENANTS.by_sending_domain("surveys.northwind.example") is NORTHWIND
    assert TENANTS.by_sending_domain("northwind.example") is None


def test_the_unknown_is_none():
    assert TENANTS.named(None) is None
    assert TENANTS.by_contact("nobody@northwind.example") is None
    assert TENANTS.by_sub_domain("fabrikam") is None


def test_contacts_and_sub_domains_are_found_in_any_case():
    assert TENANTS.by_contact("Priya@Northwind.example") is NORTHWIND
    assert TENANTS.by_sub_domain("NORTHWIND") is NORTHWIND
    assert TENANTS.named("northwind") is NORTHWIND


def test_tenants_can_be_counted_and_walked_through():
    assert [tenant.name for tenant in TENANTS] == ["northwind", "contoso"]
    assert len(TENANTS) == 2


def test_the_my_domain_of_a_my_domain_is_itself():
    for host in ["northwind--uat.sandbox.my.salesforce.com", "acme.develop.my.salesforce.com"]:
        assert my_domain(my_domain(host)) == my_domain(host)
