"""The demo: what it tells is true, and it says so when it is not."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from triage import demo
from triage.catalog.rule import Severity
from triage.demo.aftermath import Aftermath, broken_later
from triage.demo.promise import CONTACT, FALLBACK
from triage.demo.story import STORM_AT, Message, delivery_report
from triage.incident.incident import Incident
from triage.mail.parse import parse

RECORD = "https://northwind.lightning.force.com/lightning/r/5008x00000Kq7TaAAJ/view"


def test_the_demo_keeps_all_its_promises_and_leaves_its_mails_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = demo.run(tmp_path / "out")
    said = capsys.readouterr().out
    assert status == 0, said
    chapters = ["A storm", "A bounce", "The digest", "Quiet", "A relapse", "The digest once more"]
    places = [said.index(f"\n{chapter} - ") for chapter in chapters]
    assert places == sorted(places)
    assert "This is back." in said
    assert len(list((tmp_path / "out").glob("*.eml"))) > 15


def mail(to: str, number: int, text: str = "", answers: int = 0) -> Message:
    message = EmailMessage()
    message["To"], message["Message-ID"] = to, f"<triage.{number:032x}@example.com>"
    if answers:
        message["References"] = f"<triage.{answers:032x}@example.com>"
    message.set_content(text)
    return (to,), message


def incident(episode: int) -> Incident:
    rule = "agent_connect/employee_is_queue"
    times = (STORM_AT, STORM_AT, None)
    return Incident(1, "f", episode, "northwind", rule, "", "", Severity.LOW, *times, 1)


def kept() -> tuple[Aftermath, list[Message]]:
    """A story as it should be, and all that was sent in it."""
    first, second = mail(CONTACT, 1, RECORD), mail(FALLBACK, 2, RECORD)
    digests = mail("leads@example.com", 3, CONTACT), mail("leads@example.com", 4, "1 came again")
    quiet, back = mail(FALLBACK, 5, answers=2), mail(FALLBACK, 6)
    after = Aftermath(
        first[1],
        [second],
        [CONTACT],
        [digests[0]],
        [quiet],
        [],
        [back],
        [incident(1), incident(2)],
        [digests[1]],
    )
    return after, [first, second, *digests, quiet, back]


def test_a_story_that_went_as_promised_has_no_broken_promise() -> None:
    assert list(broken_later(*kept())) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"unreachable": []}, "are unreachable"),
        ({"bounce": []}, "5008x00000Kq7TaAAJ"),
        ({"bounce": [mail("jonas@contoso.example", 2, RECORD)]}, "were written to"),
        ({"first_digest": []}, "first digest"),
        ({"still_open": ["Row lock"]}, "did not close when it was quiet: Row lock"),
        ({"quiet": []}, "was not told that it has been quiet"),
        ({"quiet": [mail(FALLBACK, 5, answers=9)]}, "not in the thread"),
        ({"quiet": [mail(CONTACT, 5, answers=1)]}, "is unreachable and was told"),
        ({"relapse": [mail(CONTACT, 6)]}, "of the relapse"),
        ({"incidents": [incident(1)]}, "no second episode"),
        ({"second_digest": []}, "second digest"),
    ],
)
def test_a_promise_that_is_broken_is_named(changed: dict[str, object], words: str) -> None:
    after, sent = kept()
    assert words in "\n".join(broken_later(replace(after, **changed), sent))


def test_a_message_that_was_sent_twice_is_named() -> None:
    after, sent = kept()
    assert "was sent 2 times" in "\n".join(broken_later(after, [*sent, sent[0]]))


def test_the_delivery_report_names_the_mail_that_came_back() -> None:
    _, message = mail(CONTACT, 7, "Hello")
    (report,) = parse(delivery_report(message, STORM_AT)).reports
    assert (report.recipient, report.action) == (CONTACT, "failed")
    assert f"<{report.original_message_id}>" == message["Message-ID"]
