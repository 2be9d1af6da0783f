"""Ids, hosts, links and the org in the envelope."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.mail.hosts import (
    agent_connect_sub_domain,
    bare_hosts,
    is_agent_connect_host,
    is_org_host,
    is_salesforce_host,
    is_sandbox_host,
)
from triage.mail.identifiers import (
    context_id,
    context_ids,
    envelope_org,
    is_record,
    links,
    normalise,
    record_ids,
    same_org,
    to18,
)

CASE = "5008x000001AbCdAAK"
LIGHTNING = f"https://northwind.lightning.force.com/lightning/r/Case/{CASE}/view"
ID15 = st.text(
    alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    min_size=15,
    max_size=15,
)


# Ids


@pytest.mark.parametrize(
    ("id15", "id18"),
    [
        ("a0D30000001n7Pi", "a0D30000001n7PiEAI"),
        ("0019000000B98de", "0019000000B98deAAB"),
        ("00570000001ZwTi", "00570000001ZwTiAAK"),
        ("500B000000A1nvP", "500B000000A1nvPIAR"),
        ("00D000000000001", "00D000000000001EAA"),
        ("00D8x000001AbCd", "00D8x000001AbCdEAK"),
    ],
)
def test_the_suffix_tells_the_case_of_the_15(id15, id18):
    assert to18(id15) == id18
    assert normalise(id15) == id18
    assert normalise(id18) == id18


@pytest.mark.parametrize("folded", ["500B000000A1NVPIAR", "500b000000a1nvpiar"])
def test_a_case_folded_18_gets_its_case_back(folded):
    assert normalise(folded) == "500B000000A1nvPIAR"


@pytest.mark.parametrize(
    "token",
    [
        "Acknowledgments",
        "acknowledgments",
        "500B000000A1nvPIAQ",  # the suffix does not fit
        "500b000000A1nvPIAR",  # neither folded nor right
        "500B000000A1nvP000",  # "append 000" is a legend
        "500123456789012",  # an order number
        "0030012345678901",  # 16 digits
        "ZZZ8x000001AbCd",  # no known prefix
        "00dB000000A1nvP",
        "５００8x000001AbCd",  # full-width digits
        "a1b2c3d4e5f6a7b",  # a piece of a hash
        "",
    ],
)
def test_what_only_looks_like_an_id_is_none(token):
    assert normalise(token) is None


@pytest.mark.parametrize("prefix", ["500", "001", "003", "006", "00Q", "00T", "00U", "a0X", "aZz"])
def test_records_can_fail(prefix):
    assert is_record(prefix + "8x000001AbCdAAA")


@pytest.mark.parametrize("prefix", ["00D", "005", "00G", "707", "01p", "01q", "08e", "00N", "012"])
def test_orgs_users_queues_and_jobs_are_context_and_not_failing_records(prefix):
    assert not is_record(prefix + "8x000001AbCdAAA")
    assert normalise(prefix + "8x000001AbCd") is not None


def test_a_named_org_user_or_job_has_15_characters_and_its_prefix():
    assert context_id("00D8x000001AbCdEAK", "00D") == "00D8x000001AbCd"
    assert context_id("00d8x000001abcdeak", "00D") == "00D8x000001AbCd"
    assert context_id("00D8x000001AbCdEAL", "00D") is None
    assert context_id("0058x000001AbCd", "00D") is None


def test_only_15_letters_and_digits_have_a_suffix():
    with pytest.raises(ValueError, match="15 characters"):
        to18("500")


@given(ID15)
def test_any_18_survives_the_loss_of_its_case(id15):
    id18 = to18("500" + id15[3:5] + "0000" + id15[9:])
    assert normalise(id18) == normalise(id18.lower()) == normalise(id18.upper()) == id18


# Ids in text


def test_free_records_are_found_once_in_order_with_their_offsets():
    text = f"Case 5008x000001AbCe failed, {CASE}.\nAgain: {CASE[:15]}; owner 00G8x000001AbCd"
    assert record_ids(text) == (("5008x000001AbCeAAK", 5), (CASE, 29))


@pytest.mark.parametrize(
    "text",
    [
        f"*{CASE}*",
        f"Id='{CASE}'",
        f"[{CASE}]",
        f"Case:{CASE}",
        f"records: {CASE}, (and more)",
        f"レコード「{CASE}」です",
        f"/lightning/r/Case/{CASE}/view",
        f"“{CASE}”",
        f"{CASE}\u200b",
    ],
)
def test_a_record_may_stand_in_quotes_marks_and_sentences(text):
    assert [id_ for id_, _ in record_ids(text)] == [CASE]


@pytest.mark.parametrize(
    "text",
    [
        f"Message-ID: <{CASE}.1.2@mail.northwind.example>",
        f"case+{CASE}@northwind.example",
        "ref:!00D8x01AbCd.!500Kd0300AbC:ref",
        f"ref:_00D8x000001AbCd._{CASE[:15]}:ref",
        f"https://login.example/{CASE}",
        f"login.example/{CASE}",
        f"bounce={CASE}=x",
        f"aGVsbG8+{CASE}/d29ybGQ=",
        f"x{CASE}",
        f"{CASE}_{CASE}",
        "Error ID: 123456789-12345 (-123456789)",
        "Thanks and Acknowledgments to everyone",
    ],
)
def test_pieces_of_links_addresses_and_tokens_are_no_records(text):
    assert record_ids(text) == ()


def test_free_orgs_are_found_with_15_characters_also_in_a_pair():
    text = "by 0058x000001AbCd/00D8x000001AbCd, org 00D5g00000QwErT"
    assert [org for org, _ in context_ids(text, "00D")] == ["00D8x000001AbCd", "00D5g00000QwErT"]


def test_records_are_bounded():
    text = " ".join(f"5008x0000{n:06d}" for n in range(50))
    assert len(record_ids(text, limit=7)) == 7


# Hosts


@pytest.mark.parametrize(
    "host",
    [
        "northwind.my.salesforce.com",
        "northwind--uat.sandbox.my.salesforce.com",
        "northwind.develop.my.salesforce.com",
        "northwind.lightning.force.com",
        "northwind--ns.vf.force.com",
        "northwind.my.salesforce-setup.com",
        "northwind.my.site.com",
        "northwind.file.force.com",
        "na123.salesforce.com",
        "northwind--c.na50.visual.force.com",
        "northwind.my.salesforce.mil",
        "northwind.lightning.crmforce.mil",
        "x.force.mil",
        "x.cloudforce.mil",
        "x.visualforce.mil",
        "northwind.my.sfcrmproducts.cn",
        "northwind.lightning.sfcrmapps.cn",
        "northwind.my-salesforce.com",
        "northwind.my-lightning.com",
        "northwind.cloudforce.com",
        "northwind.visualforce.com",
        "northwind.secure.force.com",
        "x.lightning.force.com.mcas.ms",
        "NORTHWIND.MY.SALESFORCE.COM.",
    ],
)
def test_every_family_of_salesforce_hosts_is_known(host):
    assert is_salesforce_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "acme.my.salesforce.com.login.example",
        "my-salesforce.com.example",
        "evilsalesforce.com",
        "northwind.my.site.com.example",
        "site.com",
        "salesforce.com.mcas.ms.example",
        "salesforce.example",
        "",
    ],
)
def test_look_alikes_are_foreign(host):
    assert not is_salesforce_host(host)
    assert not is_org_host(host)


def test_only_hosts_with_a_my_domain_name_an_org():
    assert is_org_host("northwind.my.salesforce.com")
    assert is_org_host("northwind--c.na50.visual.force.com")
    for host in ["na123.salesforce.com", "c.cs42.visual.force.com", "help.salesforce.com"]:
        assert not is_org_host(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("northwind--uat.sandbox.my.salesforce.com", True),
        ("northwind--uat.sandbox.lightning.force.com", True),
        ("northwind--uat--ns.sandbox.vf.force.com", True),
        ("northwind--uat.cs42.my.salesforce.com", True),
        ("northwind--uat.my.salesforce.com", True),
        ("northwind--uat.lightning.force.com", True),
        ("cs42.salesforce.com", True),
        ("northwind.my.salesforce.com", False),
        ("northwind--ns.vf.force.com", False),
        ("northwind.develop.my.salesforce.com", False),
        ("sandbox.example", False),
    ],
)
def test_sandboxes_are_told_by_their_host(host, expected):
    assert is_sandbox_host(host) is expected


@pytest.mark.parametrize(
    ("host", "sub"),
    [
        ("northwind.agentconnect.net", "northwind"),
        ("Northwind.stellaconnect.net", "northwind"),
        ("northwind.api.stellaconnect.net", "northwind"),
        ("api.stellaconnect.net", None),
        ("sapi.stellaconnect.net", None),
        ("link.stellaconnect.net", None),
        ("www.agentconnect.net", None),
        ("app.agentconnect.net", None),
        ("fra1-connect-1.api.stellaconnect.net", None),
        ("stellaconnect.net", None),
        ("a.b.stellaconnect.net", None),
        ("northwind.agentconnect.net.example", None),
        ("evilagentconnect.net", None),
    ],
)
def test_the_sub_domain_of_a_customer_is_read_and_nothing_else_is_one(host, sub):
    assert agent_connect_sub_domain(host) == sub


def test_agent_connect_hosts_are_matched_on_label_boundaries():
    for host in ["api.stellaconnect.net", "x.srvys.io", "agentconnect.status.medallia.com"]:
        assert is_agent_connect_host(host)
    for host in ["stellaconnect.net.example", "mystellaconnect.net", "medallia.com"]:
        assert not is_agent_connect_host(host)


def test_hosts_in_running_text_leave_out_addresses_and_look_alikes():
    text = (
        "(northwind.my.salesforce.com). admin@contoso.agentconnect.net "
        "acme.my.salesforce.com.verylongname see fabrikam.agentconnect.net."
    )
    assert [host for host, _ in bare_hosts(text)] == [
        "northwind.my.salesforce.com",
        "fabrikam.agentconnect.net",
    ]


# Links


@pytest.mark.parametrize(
    "path",
    [
        f"/{CASE}",
        f"/{CASE[:15]}",
        f"/{CASE}?nooverride=1",
        f"/{CASE}?isdtp=vw&srPos=0",
        f"/lightning/r/Case/{CASE}/view",
        f"/lightning/r/{CASE}/view",
        f"/one/one.app#/sObject/{CASE}/view",
        f"/one/one.app?source=alohaHeader#/sObject/{CASE}/view",
        f"/lightning/_classic/%2F{CASE}",
        f"/lightning/page/home?ws=%2Flightning%2Fr%2FCase%2F{CASE}%2Fview",
        f"/console#%2F{CASE}",
        f"/apex/Page?id={CASE}",
        f"/apex/Ns__Page?retURL=%2F0018x000001AbCd&amp;id={CASE}",
    ],
)
@pytest.mark.parametrize("host", ["northwind.my.salesforce.com", "x.lightning.force.com.mcas.ms"])
def test_every_form_of_record_link_leads_to_its_record(host, path):
    (link,) = links(f"see https://{host}{path}")
    assert link.record_id == CASE
    assert link.start == 4


def test_a_custom_object_and_its_15_characters_lead_to_a_record():
    (link,) = links("https://n.lightning.force.com/lightning/r/Ns__Obj__c/a0X8x000001AbCd/view")
    assert link.record_id == to18("a0X8x000001AbCd")


@pytest.mark.parametrize(
    "url",
    [
        f"https://acme.my.salesforce.com.login.example/{CASE}",
        f"https://my-salesforce.com.example/{CASE}",
        f"https://northwind.my.salesforce.com@login.example/{CASE}",
        f"https://login.example\\@northwind.my.salesforce.com/{CASE}",
        f"https://login.example/?u=northwind.my.salesforce.com/{CASE}",
        f"https://protect-eu.mimecast.com/s/{CASE}",
        "https://northwind.my.salesforce.com/lightning/setup/AsyncApexJobs/home",
        "https://northwind.my.salesforce.com/lightning/setup/x/page?address=%2F01p8x000001AbCd",
        "https://northwind.my.salesforce.com/apexpages/setup/listAsyncApexJobs.apexp",
        "https://northwind.my.salesforce.com/0058x000001AbCd",
    ],
)
def test_foreign_hosts_and_setup_pages_lead_to_no_record(url):
    assert [link.record_id for link in links(url)] == [None]


def _proofpoint_v2(url):
    return "https://urldefense.proofpoint.com/v2/url?d=Dw&u=" + quote(url, safe="").replace(
        "%2F", "_"
    ).replace("%", "-")


@pytest.mark.parametrize(
    "rewritten",
    [
        "https://eur01.safelinks.protection.outlook.com/?url={q}&data=05%7C01&reserved=0",
        "https://urldefense.proofpoint.com/v1/url?u={q}&k=x",
        "https://urldefense.com/v3/__{u}__;!!abc!xyz$",
        "https://urldefense.com/v3/__{slash}__;!!abc!xyz$",
        "https://www.google.com/url?q={q}&sa=D",
        "https://eur01.safelinks.protection.outlook.com/?url={v3}&data=x",
    ],
)
def test_rewritten_links_are_decoded_offline_nested_ones_too(rewritten):
    v3 = f"https://urldefense.com/v3/__{LIGHTNING}__;!!abc!xyz$"
    text = rewritten.format(
        q=quote(LIGHTNING, safe=""),
        u=LIGHTNING,
        slash=LIGHTNING.replace("https://", "https:/"),
        v3=quote(v3, safe=""),
    )
    (link,) = links(text)
    assert (link.url, link.host, link.record_id) == (
        LIGHTNING,
        "northwind.lightning.force.com",
        CASE,
    )


def test_proofpoint_2_is_decoded():
    (link,) = links(_proofpoint_v2(LIGHTNING))
    assert link.url == LIGHTNING


def test_proofpoint_3_puts_back_single_characters_and_runs():
    tail = base64.urlsafe_b64encode(b"#()").decode().rstrip("=")
    url = f"https://urldefense.com/v3/__https://x.example/a*b**A__;{tail}!!q!w$"
    assert links(url)[0].url == "https://x.example/a#b()"


def test_opaque_rewritten_links_stay_as_they_are():
    url = "https://protect-eu.mimecast.com/s/AbCdEf?domain=northwind.my.salesforce.com"
    assert links(url)[0].url == url


def test_decoding_ends():
    url = LIGHTNING
    for _ in range(9):
        url = "https://x.safelinks.protection.outlook.com/?url=" + quote(url, safe="")
    assert len(links(url[:8000])) == 1


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("(https://a.example/x).", "https://a.example/x"),
        ("https://a.example/x_(y)", "https://a.example/x_(y)"),
        ("“https://a.example/x”,", "https://a.example/x"),
        ("https://a.example/xをご確認ください", "https://a.example/x"),
        ("[text](https://a.example/x)", "https://a.example/x"),
        ("<https://a.example/x>", "https://a.example/x"),
        ("https://a.exa\u200bmple/x", "https://a.example/x"),
    ],
)
def test_a_link_ends_where_the_sentence_goes_on(text, url):
    assert [link.url for link in links(text)] == [url]


@pytest.mark.parametrize(
    "text",
    [
        f"<https://northwind.lightning.force.com/lightning/r/Case/\n{CASE}/view>",
        f"<https://northwind.lightning.force.com/lightning/r/Case/\n> {CASE}/view>",
        f"Case https://northwind.lightning.force.com/lightning/r/Case/{CASE[:9]}\n{CASE[9:]}/view",
    ],
)
def test_a_link_broken_over_lines_is_joined(text):
    assert links(text)[0].record_id == CASE


def test_a_whole_link_at_the_end_of_a_line_is_left_alone():
    text = f"{LIGHTNING}\nand more"
    assert [link.url for link in links(text)] == [LIGHTNING]


def test_a_salesforce_link_needs_no_scheme_but_others_do():
    found = links(f"northwind.my.salesforce.com/{CASE} other.com/{CASE}")
    assert [(link.url, link.record_id) for link in found] == [
        (f"https://northwind.my.salesforce.com/{CASE}", CASE)
    ]


def test_links_of_the_html_follow_once_and_without_offset():
    found = links(
        LIGHTNING, [LIGHTNING, "mailto:a@b.example", "https://a.example/", " https://a.example/"]
    )
    assert [(link.url, link.start) for link in found] == [
        (LIGHTNING, 0),
        ("https://a.example/", -1),
    ]


def test_links_are_bounded():
    assert len(links("https://a.example/x " * 30, ["https://b.example"] * 30, limit=10)) == 10


def test_links_of_hostile_text_take_linear_time():
    start = time.process_time()
    for text in [
        "https://" + ")" * 65_000,
        "https://a.example/" + "https://" * 8_000,
        "<https://a.example/\n" * 3_000,
        "a." * 32_000,
        "https://urldefense.com" + "/v3/__" * 10_000,
        "500" * 21_000,
        "https://x.safelinks.protection.outlook.com/?" + "&" * 60_000,
        "[https://[" * 6_000,
    ]:
        links(text)
        record_ids(text)
        bare_hosts(text)
    assert time.process_time() - start < 3


@given(st.text(max_size=300), st.lists(st.text(max_size=80), max_size=3))
def test_no_text_raises(text, hrefs):
    for link in links(text, hrefs):
        assert link.start == -1 or 0 <= link.start < len(text)
    record_ids(text)
    normalise(text)
    envelope_org(text)
    same_org(text, text)


@given(st.text(alphabet="htps:/.@[]<>%#?&=\n *_-;!$aA05\\xn", max_size=200))
def test_no_url_raises(text):
    links("https://" + text, ["https://" + text, "https://urldefense.com/v3/__" + text])


# The envelope


@pytest.mark.parametrize(
    ("org", "packed"),
    [
        ("00D8x000001AbCd", "8x-1abcdeak"),
        ("00DA0000000KZI8", "a-kzi8mao"),
        ("00D000000000001", "-1eaa"),
    ],
)
def test_the_envelope_names_the_org_without_its_zeros(org, packed):
    path = f"<user=domain.example__0-1abc@x.{packed}.na1.bnc.salesforce.com>"
    assert envelope_org(path) == packed
    assert same_org(packed, org) is True
    assert same_org(packed, "00D5g00000QwErT") is False


@pytest.mark.parametrize(
    "path",
    [
        "",
        "<>",
        "a@northwind.example",
        "a@8x-1abcdeak.na1.bnc.salesforce.com.example",
        "a@na1.bnc.salesforce.com",
    ],
)
def test_other_envelopes_name_no_org(path):
    assert envelope_org(path) is None


@pytest.mark.parametrize("packed", ["", "abc", "8x-", "8x-1abcdeak1abcdeak", "8x--1"])
def test_an_unknown_form_of_envelope_tells_nothing(packed):
    assert same_org(packed, "00D8x000001AbCd") is None


def test_a_record_in_the_workspace_of_another_is_found_beside_it():
    account = "0018x000001AbCdAAK"
    host = "https://northwind.lightning.force.com"
    tab = quote(f"/lightning/r/Case/{CASE}/view", safe="")
    url = f"{host}/lightning/r/Account/{account}/view?ws={tab}"
    assert [link.record_id for link in links(url)] == [account, CASE]
    assert [link.record_id for link in links("", [url])] == [account, CASE]
    assert [link.record_id for link in links(f"{LIGHTNING}?ws={tab}")] == [CASE]
    assert [link.record_id for link in links(f"{host}/lightning/page/home?ws={tab}")] == [CASE]


def test_the_encoded_rest_of_a_rewritten_link_is_no_host():
    text = "https://urldefense.com/v3/__https://x.example/?u=https*3A*2F*2Fnorthwind.my.salesforce.com__;"
    assert bare_hosts(text) == ()
    assert bare_hosts("*northwind.my.salesforce.com*")[0][0] == "northwind.my.salesforce.com"
