from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from triage.response.check import check
from triage.response.message import Audience, CauseOfMail, RecordLink
from triage.response.render import to_octets
from triage.response.reply import MAX_RECORDS, allowed_hosts, record_url, reply
from triage.response.templates import TemplateFault, Templates
from triage.tenant import Contact, Tenant

SHIPPED = Path(__file__).parents[3] / "templates"
SOURCES = {str(p.relative_to(SHIPPED)): p.read_text("utf-8") for p in SHIPPED.rglob("*.j2")}
TEMPLATES = Templates(
    {path: text for path, text in SOURCES.items() if not path.startswith("replies/")}
    | {
        "replies/en/_mail.md.j2": SOURCES["replies/en/_mail.md.j2"],
        "replies/en/queue.md.j2": "## {{ cause.title }}\n\n{% for record in cause.records %}\n"
        "1. [{{ record.id }}]({{ record.url }})\n{% endfor %}\n",
        "replies/en/off.md.j2": "## {{ cause.title }}\n\n"
        "Look at `{{ cause.facts.class_name }}`. {{ cause.evidence }}\n",
    }
)
HOST = "northwind.my.salesforce.com"
NORTHWIND = Tenant(
    "northwind",
    org_ids=("00D8x000001AbCd",),
    my_domains=(HOST,),
    agent_connect=("northwind",),
    contacts=(Contact("priya@northwind.example"),),
    timezone="Europe/London",
)
FIRST = datetime(2026, 11, 16, 13, 5, tzinfo=UTC)
LAST = datetime(2026, 11, 16, 15, 7, tzinfo=UTC)


def record(number: int, *, new: bool = True) -> RecordLink:
    record_id = f"5008x00000Ab{number:03}AAX"
    return RecordLink(record_id, record_url(HOST, record_id), new)


QUEUE = CauseOfMail(
    rule="agent_connect/employee_is_queue",
    title="The record's employee is a queue, not a person",
    summary="Map a formula field.",
    severity="medium",
    disables_integration="no",
    template="queue",
    count=4,
    first_seen=FIRST,
    last_seen=LAST,
    records=(record(1), record(2), record(3)),
)
OFF = replace(
    QUEUE,
    rule="agent_connect/job_monitor_shutoff",
    title="A job was shut off",
    severity="low",
    disables_integration="yes",
    template="off",
    records=(),
    count=1,
    facts={"class_name": "StellaConnect.RequestSender"},
)


def write(*causes: CauseOfMail, **more: object):
    return reply(
        causes,
        **{
            "tenant": NORTHWIND,
            "recipient": "priya@northwind.example",
            "language": "en",
            "templates": TEMPLATES,
            "from_": "Integration support <support@example.com>",
            "message_id": "triage.00@example.com",
        }
        | more,
    )


def test_two_causes_become_one_mail_with_what_is_switched_off_first():
    message = write(QUEUE, OFF)

    assert (
        message.subject
        == "Agent Connect at northwind is switched off: A job was shut off (+1 more)"
    )
    assert message.text.startswith("""Hello,

the Agent Connect integration in Salesforce of northwind has reported errors
that need a person with administrator rights. This mail says what they mean
and what to do.

There are 2 causes, the most urgent one first:

1. A job was shut off - the integration is switched off
2. The record's employee is a queue, not a person, 3 records

1. A job was shut off
=====================

One notification so far, on Mon 16 Nov 2026, 15:07 GMT.

Look at StellaConnect.RequestSender.

2. The record's employee is a queue, not a person
=================================================

4 notifications so far: the first on Mon 16 Nov 2026, 13:05 GMT, the last on
Mon 16 Nov 2026, 15:07 GMT.

1. 5008x00000Ab001AAX
   <https://northwind.lightning.force.com/lightning/r/5008x00000Ab001AAX/view>
2. 5008x00000Ab002AAX
   <https://northwind.lightning.force.com/lightning/r/5008x00000Ab002AAX/view>
3. 5008x00000Ab003AAX
   <https://northwind.lightning.force.com/lightning/r/5008x00000Ab003AAX/view>

----------------------------------------------------------------------------

You get this mail because you are written down as a contact for Agent
Connect at northwind. It was""")
    assert "Just answer this mail" in message.text
    assert to_octets(message, date=LAST) == to_octets(write(QUEUE, OFF), date=LAST)


def test_one_cause_needs_no_list_of_contents():
    message = write(QUEUE)

    assert message.subject == (
        "Agent Connect at northwind: The record's employee is a queue, not a person, 3 records"
    )
    assert "There are" not in message.text
    assert "The record's employee is a queue, not a person\n====" in message.text


def test_severity_orders_causes_that_switch_nothing_off():
    grave = replace(OFF, disables_integration="no", severity="critical", title="A grave one")

    assert write(QUEUE, grave).subject.startswith("Agent Connect at northwind: A grave one")


def test_a_sandbox_never_says_that_the_integration_is_off():
    message = write(replace(OFF, sandbox=True))

    assert message.subject == "[Sandbox] Agent Connect at northwind: A job was shut off"
    assert "switched off" not in message.text.partition("=====")[0]


def test_a_mail_about_a_sandbox_says_so_in_its_first_sentence():
    text = " ".join(write(replace(QUEUE, sandbox=True)).text.split())

    assert "the Agent Connect integration in a Salesforce sandbox of northwind" in text
    assert "sandbox" not in write(QUEUE).text


def test_every_cause_says_how_often_it_was_reported_first_and_last_in_the_readers_zone():
    text = " ".join(write(QUEUE, tenant=replace(NORTHWIND, timezone="Europe/Berlin")).text.split())

    assert (
        "4 notifications so far: the first on Mon 16 Nov 2026, 14:05 CET, "
        "the last on Mon 16 Nov 2026, 16:07 CET."
    ) in text
    back = replace(QUEUE, count=1, quiet_since=FIRST, told_before_at=FIRST)
    assert "One notification since it came back, on Mon 16 Nov" in write(back).text


def test_records_beyond_those_that_were_read_are_counted_as_new():
    repeated = replace(QUEUE, repeated=True, more_records=3_000, more_new=2_000)
    message = write(repeated)

    assert "3,003 records" in message.subject
    assert "2,003 failing records are new" in message.text.replace("\n", " ")


def test_a_repeated_mail_says_what_is_new():
    repeated = replace(QUEUE, repeated=True, records=(record(1, new=False), record(2), record(3)))

    said = " ".join(write(repeated).text.split())
    assert "Since our last mail about this: it still goes on; 2 failing records are new" in said


def test_new_records_are_listed_before_known_ones_when_there_are_many():
    known = [record(n, new=False) for n in range(MAX_RECORDS)]
    message = write(replace(QUEUE, repeated=True, records=(*known, record(900))))

    assert message.text.index("Ab900AAX") < message.text.index("Ab000AAX")
    assert "51 records" in message.subject
    assert "Ab049AAX" not in message.text


def test_a_forwarder_gets_an_answer_in_the_same_thread():
    message = write(QUEUE, forwarded=True, references=("their-mail@northwind.example",))

    assert (message.audience, message.auto_submitted) == (Audience.REPLY, "auto-replied")
    assert message.references == ("their-mail@northwind.example",)
    assert "you passed on an error notification" in message.text
    assert "the person who passed the notification on" in message.text.replace("\n", " ")


def test_strangers_words_stay_words_in_every_part():
    hostile = "<script>x</script> {{7*7}} [a](http://evil.example)\r\nBcc: b@evil.example"
    message = write(replace(OFF, evidence=hostile, title=hostile, facts={"class_name": "a`b"}))

    assert "{{7*7}} [a](hxxp://evil[.]example)" in message.text.replace("\n", " ")
    assert "\n" not in message.subject
    assert "a`b" in message.text
    assert "<script" not in message.html
    assert "http://evil" not in message.html + message.text + message.subject
    assert to_octets(message, date=LAST)


def test_a_link_to_a_host_that_is_not_the_tenants_is_no_link():
    foreign = RecordLink(
        "5008x00000Ab001AAX", "https://contoso.my.salesforce.com/5008x00000Ab001AAX"
    )
    message = write(replace(QUEUE, records=(foreign,)))

    assert "hxxps://contoso[.]my[.]salesforce[.]com/" in message.text
    assert "<a " not in message.html


def test_the_page_fetches_nothing_and_says_its_language():
    html = write(QUEUE).html

    assert '<html lang="en">' in html
    assert "prefers-color-scheme: dark" in html
    assert not any(mark in html for mark in ("<img", "<script", "@import", "url(", "<link"))


def test_a_language_without_templates_falls_back_to_english_as_a_whole():
    message = write(QUEUE, language="de")

    assert message.language == "en"
    assert message.text.startswith("Hello,")


def test_a_missing_section_of_a_language_is_taken_in_english():
    frame = SOURCES["replies/en/_mail.md.j2"].replace("Hello,", "Guten Tag,")
    templates = Templates(
        {path: TEMPLATES._sources[path] for path in TEMPLATES} | {"replies/de/_mail.md.j2": frame}
    )
    message = write(QUEUE, language="de", templates=templates)

    assert message.language == "de"
    assert message.text.startswith("Guten Tag,")
    assert "The record's employee is a queue" in message.text


def test_a_section_without_a_title_is_a_fault():
    templates = Templates({**TEMPLATES._sources, "replies/en/queue.md.j2": "No title"})

    with pytest.raises(TemplateFault, match=r"queue\.md\.j2, line 1"):
        write(QUEUE, templates=templates)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (HOST, "https://northwind.lightning.force.com/lightning/r/5008x00000Ab001AAX/view"),
        (
            "Northwind--UAT.sandbox.my.salesforce.com",
            "https://northwind--uat.sandbox.lightning.force.com/lightning/r/5008x00000Ab001AAX/view",
        ),
        (
            "northwind--uat.my.salesforce.com",
            "https://northwind--uat.lightning.force.com/lightning/r/5008x00000Ab001AAX/view",
        ),
        (
            "northwind-dev-ed.develop.my.salesforce.com",
            "https://northwind-dev-ed.develop.lightning.force.com/lightning/r/5008x00000Ab001AAX/view",
        ),
        (
            "northwind--uat.cs42.my.salesforce.com",
            "https://northwind--uat.cs42.my.salesforce.com/5008x00000Ab001AAX",
        ),
        ("northwind.my.salesforce.mil", "https://northwind.my.salesforce.mil/5008x00000Ab001AAX"),
        ("na123.salesforce.com", "https://na123.salesforce.com/5008x00000Ab001AAX"),
    ],
)
def test_record_links_are_built_for_every_family_of_hosts(host, url):
    assert record_url(host, "5008x00000Ab001AAX") == url


@pytest.mark.parametrize("wrong", ["", "5008x00000Ab001", "5008x00000Ab00/", "ü" * 15, "a" * 17])
def test_what_is_no_record_id_gets_no_link(wrong):
    if wrong == "5008x00000Ab001":
        assert record_url(HOST, wrong)
    else:
        with pytest.raises(ValueError, match="not a record id"):
            record_url(HOST, wrong)


def test_only_hosts_of_the_tenant_are_allowed():
    urls = [
        "https://northwind--uat.sandbox.my.salesforce.com",
        "https://contoso.my.salesforce.com/x",
        "https://northwind.my.salesforce.com.evil.example/x",
        "https://northwind.evil.example/x",
    ]
    hosts = allowed_hosts(NORTHWIND, urls)

    assert {host for host in hosts if "northwind" in host} == {
        HOST,
        "northwind.lightning.force.com",
        "northwind--uat.sandbox.my.salesforce.com",
        "northwind.agentconnect.net",
        "northwind.stellaconnect.net",
    }
    assert not {host for host in hosts if "contoso" in host or "evil" in host}


def test_the_shipped_templates_have_no_faults():
    assert check(Templates(SOURCES)) == ()


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("replies/en/a.md.j2", "## T\n\n{{ cause.nothing }}", "line 3"),
        ("replies/en/a.md.j2", "## T\n\n{{ cause.facts.clas_name }}", "clas_name"),
        ("replies/en/a.md.j2", "## T\n{% if %}", "line 2"),
        ("replies/en/a.md.j2", '## T\n{% include "b.md.j2" %}', "replies/en/b.md.j2 is missing"),
        ("replies/en/a.md.j2", "## T\n{{ cause.__init__ }}", "unsafe"),
        ("tickets/own.md.j2", "No subject", "the first line must be"),
        ("tickets/own.md.j2", "# \n\ntext", "subject is empty"),
        ("digest/en/weekly.md.j2", "# T\n{{ digest.x }}", "line 2"),
        ("layout.html.j2", "{{ nobody }}", "nobody"),
    ],
)
def test_check_finds_faults_before_a_mail_needs_the_template(path, text, said):
    found = check(Templates({**TEMPLATES._sources, path: text}))

    assert any(said in str(fault) for fault in found)
