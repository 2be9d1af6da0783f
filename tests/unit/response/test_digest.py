from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from triage.catalog.rule import Severity, Status
from triage.incident.trend import WEEKS, IncidentTrend
from triage.response.content import MAX_ROWS, TREND_ROWS, Bounce, Budget, Entry, Remedy
from triage.response.counted import build
from triage.response.digest import digest, digest_key
from triage.response.markdown import Bar
from triage.response.render import to_octets
from triage.response.templates import Templates
from triage.response.weeks import week_bounds
from triage.tenant import Contact, Tenant

SHIPPED = Path(__file__).parents[3] / "templates"
TEMPLATES = Templates(
    {
        path: (SHIPPED / path).read_text("utf-8")
        for path in ("layout.html.j2", "digest/en/weekly.md.j2")
    }
)
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)
DAY = timedelta(days=1)
CONTOSO = Tenant("contoso", contacts=(Contact("jonas@contoso.example"),))


def rule(
    title: str, disables: str = "no", status: Status = Status.STABLE, action: str = "both"
) -> SimpleNamespace:
    remedy = SimpleNamespace(template="steps", summary=f"Do this about: {title}", action=action)
    return SimpleNamespace(
        title=title, disables_integration=disables, status=status, remediation=remedy
    )


RULES = {
    "queue": rule("The employee is a queue"),
    "cpu": rule("Apex CPU time limit", "possible"),
    "off": rule("A job was shut off", "yes"),
}


def incident(number: int, rule: str | None, *counts: int, **more: object) -> IncidentTrend:
    """One with these notifications in the newest weeks; two in this week if nothing is said."""
    weeks = counts or (2,)
    fields = {
        "fingerprint": f"f{number}",
        "episode": 1,
        "tenant": "northwind",
        "kind": "managed_package",
        "title": RULES[rule].title if rule else "System.FooException: bar",
        "severity": Severity.HIGH,
        "opened_at": NOW,
        "closed_at": None,
        "counts": (0,) * (WEEKS - len(weeks)) + weeks,
        "last_at": NOW,
    }
    return IncidentTrend(id=number, rule=rule, **(fields | more))


def content(*incidents: IncidentTrend, **more: object):
    given = {"mails": {}, "rules": RULES, "audience": None}
    return build("2026-W47", timezone=BERLIN, incidents=incidents, **(given | more))


def ids(rows) -> list[int]:
    return [one.incident.id for one in rows]


def mail(what):
    return digest(
        what,
        recipient="leads@example.com",
        from_="Triage <support@example.com>",
        templates=TEMPLATES,
        message_id="triage.00@example.com",
        timezone=BERLIN,
    )


def test_the_key_differs_by_week_audience_and_recipient():
    keys = {digest_key(w, a, r) for w in ("2026-W47", "2026-W48") for a in "ab" for r in "cd"}

    assert len(keys) == 8


def test_known_errors_are_counted_per_tenant_against_the_week_before():
    made = content(
        incident(1, "queue", 2, 3),
        incident(2, "queue", 1, tenant="contoso"),
        incident(3, "cpu", 1, 0),
        incident(4, "queue", 9, 0, 0),
        incident(5, None, 1),
        incident(6, None, 7, kind="own", tenant=None),
    )

    assert made.known == (
        Bar("The employee is a queue (northwind)", 3, 2),
        Bar("The employee is a queue (contoso)", 1, 0),
        Bar("Apex CPU time limit (northwind)", 0, 1),
    )
    assert made.tenants == (Bar("northwind", 4, 3), Bar("contoso", 1, 0))
    assert (made.notifications, made.before) == (5, 3)


def test_what_is_off_and_at_risk_counts_only_while_open_and_outside_sandboxes():
    made = content(
        incident(1, "off"),
        incident(2, "cpu"),
        incident(3, "off", closed_at=NOW),
        incident(4, "off", sandbox=True),
        incident(5, "off", apart="not_our_integration", reason="silenced"),
        incident(6, "queue"),
    )

    assert ids(made.off) == [1]
    assert ids(made.at_risk) == [2]


def test_what_was_reported_off_stays_told_when_it_became_quiet_and_did_not_come_back():
    closed = {"counts": (3, *[0] * 7), "closed_at": NOW}
    made = content(
        incident(1, "off", **closed),
        incident(2, "cpu", **closed, tenant="contoso"),
        incident(3, "off", **closed, fingerprint="again"),
        incident(4, "off", fingerprint="again", episode=2),
        incident(5, "off", **closed, sandbox=True),
        incident(6, "queue", **closed),
    )
    text = " ".join(mail(made).text.split())

    assert (ids(made.off_before), ids(made.at_risk_before)) == ([1], [2])
    assert "a job that does not run reports nothing" in text
    assert "Nothing that is known of" not in " ".join(
        mail(content(incident(1, "cpu", **closed))).text.split()
    )


def test_a_tenant_who_was_reported_off_and_of_whom_nothing_comes_gives_no_sign_of_life():
    gone = {"counts": (3, *[0] * 7)}
    made = content(
        incident(1, "off", **gone, closed_at=NOW),
        incident(2, "off", **gone, tenant="contoso"),
        incident(3, "off", **gone, tenant="adventure"),
        incident(4, "queue", 1, tenant="adventure"),
        incident(5, "queue", **gone, tenant="tailspin"),
    )

    assert {one.tenant for one in made.silent} == {"northwind", "contoso"}


def test_what_is_off_says_since_when_what_to_do_and_whether_the_tenant_knows():
    text = " ".join(mail(content(incident(1, "off", told_at=NOW), incident(2, "off"))).text.split())

    assert "A job was shut off - northwind, since Tue 17 Nov 2026, 10:00 CET" in text
    assert "The steps for an admin, in short: Do this about: A job was shut off" in text
    assert "The tenant was sent the steps on Tue 17 Nov 2026." in text
    assert "When the week ended, nobody at the tenant had been sent any steps." in text


def test_support_reads_no_steps_for_admins_where_no_admin_gets_them():
    rules = {"off": rule("A job was shut off", "yes", action="ticket")}
    ours, theirs = (
        mail(content(incident(1, "off", tenant="contoso"), rules=rules, audience=audience)).text
        for audience in (None, CONTOSO)
    )

    assert "Do this" not in ours
    assert "What to do: Do this about: A job was shut off" in theirs


def test_new_growing_and_closed_incidents_are_told_apart():
    start, end = week_bounds("2026-W47", BERLIN)
    before = start - DAY
    made = content(
        incident(1, "queue", opened_at=start),
        incident(2, "queue", 4, 6, opened_at=before),
        incident(3, "queue", 4, 5, opened_at=before),
        incident(4, None, 0, 1, opened_at=before),
        incident(5, "queue", 1, 9, opened_at=before, closed_at=end - DAY),
        incident(6, "queue", 1, 0, opened_at=before, closed_at=before),
        incident(7, None, opened_at=start, kind="own"),
        incident(8, None, opened_at=start, kind="suspicious"),
        incident(9, None, 0, 3, opened_at=before),
        incident(10, None, 1, 2, opened_at=before),
    )

    assert ids(made.opened) == [1]
    assert ids(made.growing) == [2, 9]
    assert ids(made.closed) == [5]


def test_a_trend_is_shown_without_images_and_as_text():
    message = mail(content(incident(1, "queue", 1, 0, 2, 3, 4)))

    assert "  ···▂·▄▆█  northwind, 4 in this week, 3 in the one before" in message.text
    assert 'aria-label="0, 0, 0, 1, 0, 2, 3, 4"' in message.html
    assert "<img" not in message.html


def test_a_remedy_is_followed_by_quiet_or_by_a_relapse_after_some_days():
    told = {"told_at": NOW - 40 * DAY, "opened_at": NOW - 40 * DAY, "last_at": NOW - 30 * DAY}
    made = content(
        incident(1, "queue", **told, closed_at=NOW - 20 * DAY, fingerprint="again"),
        incident(2, "queue", fingerprint="again", episode=2),
        incident(3, "queue", **told, closed_at=NOW - 20 * DAY),
        incident(4, "queue", **told),
        incident(5, "cpu", closed_at=NOW),
    )

    assert made.remedies == (Remedy("queue", "The employee is a queue", "steps", 3, 1, 1, 1, 30),)
    text = " ".join(mail(made).text.split())
    assert "Quiet is no proof" in text
    assert "1 came again (after 30 days without a notification)" in text


def test_of_several_relapses_it_says_within_how_many_days_half_of_them_came():
    told = {"told_at": NOW - 40 * DAY, "opened_at": NOW - 50 * DAY, "closed_at": NOW - 9 * DAY}
    made = content(
        *(
            one
            for number, days in ((1, 10), (2, 20))
            for one in (
                incident(number, "queue", **told, last_at=NOW - days * DAY),
                incident(number, "queue", episode=2),
            )
        )
    )

    assert made.remedies[0].days == 15
    text = " ".join(mail(made).text.split())
    assert "2 came again (at least half of these within 16 days)" in text


def test_numbers_beside_bars_are_written_as_in_the_text():
    assert "  1,840  (+1,828)" in mail(content(incident(1, "cpu", 12, 1840))).text


@pytest.mark.parametrize(
    ("counts", "silent"),
    [
        ((1, 1, 1, 0), True),
        ((1, 0, 0, 1, 0, 0, 1, 0), True),
        ((9, 9, 0), False),
        ((1, 1, 1, 1), False),
        ((1, 1, 1, 1, 1, 1, 1, 1), False),
    ],
)
def test_a_tenant_of_whom_nothing_comes_any_more_is_named(counts, silent):
    made = content(incident(1, "queue", *counts), incident(2, None, 1, kind="suspicious"))

    assert [one.tenant for one in made.silent] == ["northwind"] * silent
    assert ("without any sign of life" in mail(made).text) is silent


def test_unknown_suspicious_and_own_troubles_are_told_apart():
    made = content(
        incident(1, None, kind="apex_exception"),
        incident(2, None, kind="suspicious"),
        incident(3, None, kind="own", about="template x"),
        incident(4, None, 1, 0, kind="apex_exception"),
    )

    assert [ids(group) for group in (made.unknown, made.suspicious, made.own)] == [[1], [2], [3]]


def test_an_unknown_error_has_an_example_that_names_nobody():
    words = (
        "Dear priya@northwind.example, user 0058x000001AbCdEAA failed at line 41:\n"
        "see https://northwind.my.salesforce.com/0058x and northwind.my.salesforce.com/x"
    )
    (unknown,) = content(incident(1, None, example=words)).unknown

    assert unknown.example == ("Dear ADDRESS, user ID failed at line N: see LINK and LINK")


def test_what_was_held_back_is_told_with_its_reason():
    reasons = {"within_repeat_interval": (3, 9), "budget": (1, 1), "first_in_incident": (1, 2)}
    made = content(incident(1, "queue", by_reason=reasons), incident(2, "queue", by_reason=reasons))

    assert [(held.count, held.reason) for held in made.held] == [
        (6, "within_repeat_interval"),
        (2, "budget"),
    ]
    assert made.over_budget == (("northwind", 2),)


def test_bounces_and_budgets_have_their_own_places():
    made = content(
        incident(1, None, 3, kind="own", about="bounce jonas@contoso.example 5.1.1"),
        incident(2, None, 1, 0, kind="own", about="bounce priya@northwind.example 5.1.1"),
        incident(3, None, kind="own", about="budget per_tenant of contoso"),
        incident(4, None, kind="own", about="dead letters"),
    )
    assert "Messages about contoso (per_tenant)" in mail(made).text

    assert made.bounced == (Bounce("jonas@contoso.example", "5.1.1", 3, NOW),)
    assert made.budgets == (Budget("per_tenant", "contoso"),)
    assert ids(made.own) == [4]


def test_the_catalog_owes_what_is_not_confirmed_no_longer_fits_or_never_matches():
    rules = RULES | {
        "new": rule("A new one", status=Status.EXPERIMENTAL),
        "gone": rule("An old one", status=Status.DEPRECATED),
    }
    made = content(
        incident(1, "queue", by_reason={"drifted": (0, 1)}),
        incident(2, "cpu", by_reason={"fuzzy_only": (1, 1)}),
        incident(3, None, 3, 4, title="A new one", by_reason={}),
        *[incident(n, "queue", 1, 0) for n in (4, 5)],
        IncidentTrend(
            9, "f", 1, "northwind", "new", "other", "A new one", Severity.LOW, NOW, None,
            counts=(0, 0, 0, 0, 0, 1, 0, 2), last_at=NOW,
        ),
        rules=rules,
    )  # fmt: skip

    assert made.debt.experimental == (Entry("new", "A new one", 3),)
    assert made.debt.drifted == (Entry("queue", "The employee is a queue", 1),)
    assert made.debt.similar == (Entry("cpu", "Apex CPU time limit", 1),)
    assert made.debt.never == ("off",)


def test_a_tenant_sees_nothing_of_others_and_nothing_of_how_support_works():
    made = content(
        incident(1, "off"),
        incident(2, "cpu", 2, tenant="contoso", by_reason={"no_contact": (1, 1)}, told_at=NOW),
        incident(3, None, kind="suspicious", tenant="contoso"),
        incident(4, "queue", tenant="contoso", apart="foreign_org", reason="silenced"),
        incident(5, None, kind="own", tenant=None, about="bounce priya@northwind.example 5.1.1"),
        incident(6, None, kind="own", tenant=None, about="bounce jonas@contoso.example 5.1.1"),
        incident(7, None, kind="own", tenant=None, about="budget total"),
        incident(8, None, 1, tenant="contoso", example="an excerpt"),
        audience=CONTOSO,
        mails={("known", "northwind"): 5, ("known", "contoso"): 1, ("unreadable", None): 1},
    )
    text = mail(made).text

    assert (made.notifications, made.mails, made.off, made.suspicious) == (3, 1, (), ())
    assert made.known == (Bar("Apex CPU time limit", 2, 0),)
    assert [row.address for row in made.bounced] == ["jonas@contoso.example"]
    assert not made.held
    secrets = ("northwind", "quarantine", "Triage itself", "budget", "catalog", "excerpt", "steps ")
    assert not any(word in text for word in secrets)


def test_lists_are_cut_and_say_how_many_are_left():
    made = content(*(incident(n, "cpu", tenant=f"t{n:03}") for n in range(MAX_ROWS + 5)))
    message = mail(made)

    assert len(made.tenants) == MAX_ROWS + 1
    assert made.tenants[-1] == Bar("5 others", 10, 0)
    assert f"And {MAX_ROWS + 5 - TREND_ROWS} more." in message.text
    assert len(message.html) < 100_000


def test_a_digest_reads_well_as_text():
    made = content(
        incident(1, "off", episode=2),
        incident(2, "queue", 2, 4, opened_at=NOW - 9 * DAY),
        incident(3, None, kind="own", about="bounce jonas@contoso.example 5.1.1"),
        mails={("known", "northwind"): 1, ("not_ours", None): 1, ("unreadable", None): 1},
    )
    message = mail(made)

    assert message.subject == "Agent Connect, week 2026-W47: 6 error notifications, 1 switched off"
    assert message.text.startswith("""\
This is the week from Mon 16 Nov 2026 to Sun 22 Nov 2026. 6 error
notifications came, 2 the week before. 3 mails were read; 1 of them had
nothing to do with Agent Connect and stayed untouched.

Switched off, or about to be
============================

The integration was switched off when the week ended, as far as the mails
tell:

- A job was shut off - northwind, since Tue 17 Nov 2026, 10:00 CET, episode
  2; 2 notifications in this week, last Tue 17 Nov 2026, 10:00 CET
  - The steps for an admin, in short: Do this about: A job was shut off
  - When the week ended, nobody at the tenant had been sent any steps.

New, growing and closed
=======================

The bars are eight weeks, this one last; each row has a scale of its own.

New in this week: 1
-------------------

A job was shut off
  ·······█  northwind, 2 in this week, 0 in the one before, episode 2

Growing: 1
----------

At least 3 notifications, and at least half as many again as in the week
before.

The employee is a queue
  ······▄█  northwind, 4 in this week, 2 in the one before
""")
    assert "- jonas@contoso.example, status 5.1.1, last Tue 17 Nov 2026, 10:00 CET" in message.text
    assert "1 mail could not be read" in message.text
    assert max(map(len, message.text.splitlines())) < 80
    assert to_octets(message, date=NOW)


def test_a_quiet_week_does_not_claim_that_all_is_well():
    assert "no proof that all is well" in mail(content()).text


def test_strangers_words_in_a_title_are_shown_and_not_obeyed():
    made = content(incident(1, None, title="<b>[x](//evil.example)</b>\n```\n# y"))
    message = mail(made)

    assert "<b>[x](//evil.example)</b> ``` # y" in message.text
    assert "<a " not in message.html
    assert "<b>" not in message.html
