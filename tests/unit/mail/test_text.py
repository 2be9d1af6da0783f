"""What is new, what is history, what was passed on: in text and in HTML alike."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.mail.html import Body, html_to_text
from triage.mail.message import Address
from triage.mail.text import Split, split

ERROR = "Stella Connect Employee cannot be a Queue"


def of(text: str, subject: str = "") -> Split:
    return split(Body(tuple(text.split("\n"))), subject)


def of_html(html: str, subject: str = "") -> Split:
    return split(html_to_text(html), subject)


def seen(html: str) -> str:
    return html_to_text(html).text


# What HTML shows


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Employee <b>can</b><i>not</i>\n be a&nbsp;Que<wbr>ue", "Employee cannot be a Queue"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("<p class=MsoNormal>a</p><p class=MsoNormal>b</p>", "a\nb"),
        ("<p class=MsoNormal>a</p><p class=MsoNormal>&nbsp;</p><p class=MsoNormal>b</p>", "a\n\nb"),
        ("<table><tr><td>k</td><td>v</td></tr><tr><td>l</td><td>w</td></tr></table>", "k\tv\nl\tw"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("a &lt;b&gt; &amp;amp; &#x41;", "a <b> &amp; A"),
        ("", ""),
        ("no tags at all", "no tags at all"),
    ],
)
def test_html_becomes_the_lines_that_a_reader_sees(html: str, text: str) -> None:
    assert seen(html) == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<!-- no -->",
        "<!--[if mso]><p>no</p><![endif]-->",
        "<script>no</script>",
        "<style>no</style>",
        "<title>no</title>",
        "<template>no</template>",
        "<span hidden>no</span>",
        '<div style="display:none">no</div>',
        '<div style="color:red; DISPLAY : NONE !important">no</div>',
        '<p style="visibility:hidden">no</p>',
        '<span style="font-size:0">no</span>',
        '<span style="font-size: 0px;">no</span>',
        '<span style="mso-hide:all">no</span>',
        '<span style="opacity:0">no</span>',
        '<div style="max-height:0; overflow:hidden">no</div>',
        '<div style="display:none"><p>no<b>no</b></p></div>',
        '<div class="gmail_signature">no</div>',
        '<div class="moz-signature">no</div>',
    ],
)
def test_what_a_reader_does_not_see_does_not_count(hidden: str) -> None:
    assert seen(f"a{hidden}b").replace("\n", "") == "ab"


@pytest.mark.parametrize("style", ["font-size:0.9em", "opacity:0.5", "display:block", "", "x"])
def test_what_a_reader_sees_counts(style: str) -> None:
    assert seen(f'a<span style="{style}">b</span>') == "ab"


RECORD = "https://a.my.salesforce.com/5008x00000Kq7TaAAJ"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (f'<td>e</td><td><a href="{RECORD}">1</a></td>', f"e\t1 <{RECORD}>"),
        (f'<p>e</p><a href="{RECORD}"><div>1</div></a>f', f"e\n\n1 <{RECORD}>\nf"),
        (f'<a href="{RECORD}">{RECORD}</a>', RECORD),
        ('<a href="https://b.example/5008x00000Kq7TaAAJ">1</a>', "1"),
        (f'<a href="{RECORD}"></a>e', "e"),
        (f'<h4><a href="{RECORD}">1</a></h4><p>e</p><h4>2</h4><p>f</p>',
         f"1 <{RECORD}>\ne\n\n2\n\nf"),
    ],
)  # fmt: skip
def test_the_link_of_a_record_stands_in_the_text_behind_its_label(html: str, text: str) -> None:
    if "<td>" in html:
        html = f"<table><tr>{html}</tr></table>"
    assert seen(html) == text


def test_targets_of_visible_links_are_kept() -> None:
    html = (
        '<a href="https://a.example">a</a> <a href="https://b.example"></a>'
        '<a href="https://c.example"><img src=x></a><a name=x>n</a>'
        '<p hidden><a href="https://d.example">d</a></p>'
    )
    assert [url for _, url in html_to_text(html).links] == [
        "https://a.example",
        "https://c.example",
    ]


# History


HISTORIES = {
    "English": "On Mon, 16 Nov 2026 at 10:00, Sam <sam@example.com> wrote:",
    "wrapped": "On Mon, 16 Nov 2026 at 10:00, Sam Ortega of Integration Support\n"
    "<sam@example.com> wrote:",
    "German": "Am 16.11.2026 um 10:00 schrieb Sam <sam@example.com>:",
    "German, person first": "Sam Ortega <sam@example.com> schrieb am Mo., 16. Nov. 2026, 10:00:",
    "French": "Le lun. 16 nov. 2026 à 10:00, Sam <sam@example.com> a écrit :",
    "Spanish": "El lun, 16 nov 2026 a las 10:00, Sam (<sam@example.com>) escribió:",
    "Italian": "Il giorno lun 16 nov 2026 alle ore 10:00 Sam <sam@example.com> ha scritto:",
    "Dutch": "Op ma 16 nov. 2026 om 10:00 schreef Sam <sam@example.com>:",
    "Portuguese": "Em seg., 16 de nov. de 2026 às 10:00, Sam <sam@example.com> escreveu:",
    "Swedish": "Den mån 16 nov. 2026 kl 10:00 skrev Sam <sam@example.com>:",
    "Japanese": "2026年11月16日(月) 10:00 Sam <sam@example.com>:",
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_quoted_answer_is_history_in_every_language(name: str) -> None:
    parts = of(f"Thanks!\n\n{HISTORIES[name]}\n> {ERROR}\n> more", "Re: x")
    assert parts.newest == "Thanks!"
    assert ERROR in parts.history


@pytest.mark.parametrize("name", HISTORIES)
def test_an_answer_above_an_unquoted_mail_leaves_it_all_behind(name: str) -> None:
    assert of(f"Thanks!\n\n{HISTORIES[name]}\n\n{ERROR}\nmore", "Re: x").newest == "Thanks!"


def test_answers_between_and_below_quotations_are_new() -> None:
    parts = of(f"{HISTORIES['English']}\n> {ERROR}\n\nYes.\n\n> second\n\nNo.", "Re: x")
    assert parts.newest.split() == ["Yes.", "No."]


@pytest.mark.parametrize(
    "mark",
    [
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-----Message d'origine-----",
        "-----Mensaje original-----",
        "-----元のメッセージ-----",
        "--- Original message ---",
        "________________________________\nFrom: A <a@b.example>\nSent: Monday\nTo: P\nSubject: x",
        "Von: A <a@b.example>\nGesendet: Montag\nAn: P\nBetreff: x",
        "De : A <a@b.example>\nEnvoyé : lundi\nÀ : P\nObjet : x",
        "De: A <a@b.example>\nEnviado el: lunes\nPara: P\nAsunto: x",
        "差出人: A <a@b.example>\n送信日時: 2026年11月16日\n宛先: P\n件名: x",
        "*From:* A <a@b.example>\n*Sent:* Monday\n*To:* P\n*Subject:* x",
    ],
)
def test_outlooks_history_is_history_below_a_reply_and_a_forward_below_a_forward(mark: str) -> None:
    answered = of(f"Thanks!\n\n{mark}\n\n{ERROR}", "AW: x")
    assert (answered.newest, answered.forwards) == ("Thanks!", ())
    passed_on = of(f"Please look.\n\n{mark}\n\n{ERROR}", "WG: x")
    assert passed_on.newest == "Please look."
    assert [forward.text for forward in passed_on.forwards] == [ERROR]


@pytest.mark.parametrize("subject", ["", "please help", "Stella Connect Integration Error"])
def test_a_header_block_below_a_subject_of_ones_own_is_a_forward_without_mark(subject: str) -> None:
    block = "From: A <a@b.example>\nSent: Monday\nTo: P\nSubject: Error"
    (found,) = of(f"Please look.\n\n____\n{block}\n\n{ERROR}", subject).forwards
    assert (found.subject, found.text, found.is_marked) == ("Error", ERROR, False)
    answer = split(Body((*f"OK\n\n{block}\n\n{ERROR}".split("\n"),)), subject, threaded=True)
    assert (answer.newest, answer.forwards) == ("OK", ())


def test_a_header_block_within_a_forward_without_mark_is_history() -> None:
    block = "From: A <a@b.example>\nSent: Monday\nTo: P\nSubject: Error"
    (found,) = of(f"Look.\n\n{block}\n\nfirst\n\n{block}\n\nsecond").forwards
    assert found.text == "first"


@pytest.mark.parametrize("subject", ["", "RE: else", "?\ufffd"])
def test_an_answer_may_have_lost_its_subject_and_its_labels(subject: str) -> None:
    block = "V=C3=A1: Mai <mai@b.example>\nKl=C3=BC: 16.11.2026 10:05\nC=C3: Dan"
    lines = (*f"OK\n\n{block}\n\n{ERROR}".split("\n"),)
    assert split(Body(lines), subject, threaded=True).newest == "OK"
    assert ERROR in split(Body(lines), "").newest


@pytest.mark.parametrize(
    ("block", "subject"),
    [
        ("Từ: Mai <mai@b.example>\nĐã gửi: 16.11. 10:05\nTới: P\nChủ đề: Trả lời: s", "Trả lời: s"),
        ("Saatja: Mai\nSaadetud: 16.11.2026 10:05\nTeema: s", "Re: FW: s"),
        ("\u200fמאת: Mai <mai@b.example>\nנושא: s\nתאריך: 16.11.2026", "RE: s"),
        ("Feladó: Mai\nElküldve: 16.11.2026 10:05\nCímzett: P\nTárgy: other", "RE: s"),
    ],
)
def test_a_header_block_that_repeats_the_subject_is_one_in_every_language(
    block: str, subject: str
) -> None:
    assert of(f"OK\n\n{block}\n\n{ERROR}", subject).newest == "OK"


def test_a_forward_below_labels_of_an_unknown_language_has_its_sender_and_subject() -> None:
    block = "Từ: Mai Tran <mai@b.example>\nĐã gửi: 16.11. 10:05\nTới: P\nChủ đề: s"
    (forward,) = of(f"OK\n\n{block}\n\n{ERROR}", "FW: s").forwards
    assert (forward.subject, forward.text) == ("s", ERROR)
    assert forward.from_ == Address("mai@b.example", "Mai Tran")


@pytest.mark.parametrize(
    "lines",
    [
        f"Object: Case\nError: {ERROR}\nDate: 16.11.2026 10:05",
        f"Owner: a@b.example\nError: {ERROR}\nRecord: https://a.my.salesforce.com/1",
        f"Owner: a@b.example\nError: {ERROR}",
    ],
)
def test_a_pasted_error_that_is_the_subject_as_well_is_no_header_block(lines: str) -> None:
    assert of(lines, ERROR).newest == lines


@pytest.mark.parametrize(
    "attribution",
    [
        ">>> Mai Tran <mai@b.example> 16.11.2026 10:05 >>>",
        ">>> Mai Tran 11/16/26 10:05 AM >>>",
        ">>> On 11/16/2026 at 10:05 AM, in message\n<a1@b.example>, Mai <mai@b.example> wrote:",
        "Mai schrieb am 16.11.2026 10:05:",
        "Mai Tran escribió el 16/11/2026 10:05:",
    ],
)
def test_an_attribution_without_marks_below_is_history_or_a_forward(attribution: str) -> None:
    text = f"OK\n\n{attribution}\n{ERROR}"
    answer = of(text, "Re: s")
    assert (answer.newest, answer.forwards) == ("OK", ())
    assert ERROR in answer.history
    passed_on = of(text, "Fwd: s")
    assert passed_on.newest == "OK"
    assert [forward.text for forward in passed_on.forwards] == [ERROR]


@pytest.mark.parametrize("line", ["He wrote:", "The job wrote at 10:05:", ">>> see below >>>"])
def test_a_sentence_that_ends_in_a_colon_is_no_attribution(line: str) -> None:
    assert of(f"{line}\n{ERROR}", "x").newest.endswith(ERROR)


def test_an_answer_attributes_without_a_time_as_well() -> None:
    line = "On Tuesday, Integration Support wrote:"
    assert of(f"Great.\n\n{line}\n{ERROR}", "Re: s").newest == "Great."
    assert of(f"{line}\n{ERROR}", "s").newest.endswith(ERROR)


def test_every_blockquote_of_an_answer_quotes() -> None:
    html = f"<p>Great.</p><blockquote>{ERROR}</blockquote>"
    assert f"> {ERROR}" in html_to_text(html, in_answer=True).text
    assert f"> {ERROR}" not in html_to_text(html).text


@pytest.mark.parametrize("name", ["del", "s", "strike"])
def test_what_is_struck_out_is_not_said(name: str) -> None:
    assert seen(f"<p>a</p><{name}><p>{ERROR}</p></{name}><p>b</p>") == "a\n\nb"


def test_words_that_look_like_labels_are_no_header_block() -> None:
    text = "From: the first job\nTo: the last one\nthere were errors."
    assert of(text, "Re: x").newest == text


@pytest.mark.parametrize("line", ["-- ", "--"])
def test_what_stands_below_the_signature_mark_is_signature(line: str) -> None:
    parts = of(f"Text\n{line}\nSam\n{ERROR}", "x")
    assert (parts.newest, parts.signature) == ("Text", f"{line.strip()}\nSam\n{ERROR}")


def test_a_line_of_dashes_within_a_long_text_is_no_signature() -> None:
    text = "Text\n--\n" + "\n".join(f"line {n}" for n in range(20))
    assert of(text).newest == text


# Forwards


MARKS = [
    "---------- Forwarded message ---------",
    "-------- Weitergeleitete Nachricht --------",
    "---------- Message transféré ----------",
    "---------- Mensaje reenviado ----------",
    "---------- 転送されたメッセージ ----------",
    "---------- Messaggio inoltrato ----------",
    "---------- Mensagem encaminhada ----------",
    "---------- Doorgestuurd bericht ----------",
    "----- Forwarded by Tom Okafor/Northwind on 16.11.2026 10:00 -----",
    "----- Forwarded message from Apex <info@salesforce.com> -----",
    "Begin forwarded message:",
    "Anfang der weitergeleiteten Nachricht:",
    "Début du message transféré :",
    "Inicio del mensaje reenviado:",
    "転送されたメッセージ：",
]
HEAD = (
    "From: Northwind Service <Salesforce@Northwind.example>\nDate: Mon, 16 Nov 2026 10:00\n"
    "Subject: Stella Connect Integration Error\nTo: priya@northwind.example\n"
)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("subject", ["Fwd: x", "look at this", "Re: x"])
def test_an_explicit_mark_begins_a_forward_under_any_subject(mark: str, subject: str) -> None:
    parts = of(f"FYI\n\n{mark}\n{HEAD}\n\n{ERROR}\nlink\n\n-- \nsig", subject)
    assert parts.newest == "FYI"
    (forward,) = parts.forwards
    assert forward.subject == "Stella Connect Integration Error"
    assert forward.from_ == Address("salesforce@northwind.example", "Northwind Service")
    assert forward.text == f"{ERROR}\nlink"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 1, 0, 3), (0, 2, 1, 3)])
@pytest.mark.parametrize("mark", [MARKS[0], "Begin forwarded message:"])
def test_a_forward_may_be_quoted(mark: str, order: tuple[int, ...]) -> None:
    labels = HEAD.strip().split("\n")
    lines = [*(labels[n] for n in order), "", ERROR, "> older"]
    quoted = "\n".join(f"> {line}".rstrip() for line in lines)
    parts = of(f"FYI\n\n{mark}\n\n{quoted}\n\nSent from my phone", "Fwd: x")
    assert [(f.subject, f.from_.spec, f.text) for f in parts.forwards] == [
        ("Stella Connect Integration Error", "salesforce@northwind.example", ERROR)
    ]
    assert parts.newest.split("\n")[0] == "FYI"


def test_a_whole_quoted_mail_below_a_forward_subject_is_a_forward() -> None:
    quoted = "\n".join(f"> {line}" for line in (HEAD + f"\n{ERROR}").split("\n"))
    assert [f.text for f in of(quoted, "Fwd: x").forwards] == [ERROR]
    assert of(quoted, "Re: x").forwards == ()


def test_quoted_history_with_a_forward_in_it_stays_history_in_a_reply() -> None:
    quoted = "\n".join(f"> {line}" for line in f"{MARKS[0]}\n{HEAD}\n{ERROR}".split("\n"))
    parts = of(f"Done.\n\n{HISTORIES['English']}\n{quoted}", "Re: x")
    assert (parts.newest, parts.forwards) == ("Done.", ())


def test_history_within_a_forward_does_not_count() -> None:
    text = f"FYI\n\n{MARKS[0]}\n{HEAD}\nSolved, thanks.\n\n{HISTORIES['English']}\n> {ERROR}"
    assert [f.text for f in of(text, "Fwd: Re: x").forwards] == ["Solved, thanks."]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (MARKS[0] + "\n" + HEAD.replace("Stella", "Fwd: Stella"), MARKS[0] + "\n" + HEAD),
        (HEAD.replace("Date:", "Sent:").replace("Stella", "FW: Stella"), HEAD),
        (MARKS[0] + "\n" + HEAD.replace("Stella", "FW: Stella"), HEAD.replace("Date:", "Sent:")),
    ],
    ids=["marks", "header blocks", "both"],
)
def test_a_forward_of_a_forward_gives_both(outer: str, inner: str) -> None:
    parts = of(f"one\n\n{outer}\ntwo\n\n{inner}\n{ERROR}", "FW: x")
    assert parts.newest == "one"
    assert [f.text for f in parts.forwards] == ["two", ERROR]
    assert parts.forwards[1].subject == "Stella Connect Integration Error"


def test_text_below_an_end_mark_is_the_senders_own() -> None:
    text = f"{MARKS[9]}\n{HEAD}\n{ERROR}\n----- End forwarded message -----\nwhat now"
    parts = of(text, "x")
    assert ([f.text for f in parts.forwards], parts.newest) == ([ERROR], "what now")


# The same in HTML


def test_gmails_forward_in_html() -> None:
    html = (
        '<div dir="ltr">FYI<br><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">'
        "---------- Forwarded message ---------<br>From: <strong>Apex</strong> &lt;"
        '<a href="mailto:info@salesforce.com">info@salesforce.com</a>&gt;<br>Date: Mon<br>'
        f"Subject: s<br>To: p<br></div><br><br><p>{ERROR} "
        '<a href="https://n.my.salesforce.com/5">open</a></p></div></div>'
    )
    parts = of_html(html, "Fwd: s")
    assert parts.newest == "FYI"
    (forward,) = parts.forwards
    assert (forward.from_.spec, forward.text) == ("info@salesforce.com", f"{ERROR} open")
    assert forward.links == ("https://n.my.salesforce.com/5",)


def test_gmails_reply_in_html() -> None:
    html = (
        '<div dir="ltr">Thanks!</div><br><div class="gmail_quote"><div class="gmail_attr">'
        "On Mon, 16 Nov 2026 at 10:00, Sam &lt;sam@example.com&gt; wrote:<br></div>"
        f'<blockquote class="gmail_quote"><p>{ERROR} <a href="https://n.example">x</a></p>'
        "</blockquote></div>"
    )
    parts = of_html(html, "Re: s")
    assert (parts.newest, parts.links, parts.forwards) == ("Thanks!", (), ())


OUTLOOK = (
    '<div><p class="MsoNormal">Please look.</p><div style="border:none;border-top:solid #E1E1E1 '
    '1.0pt;padding:3.0pt 0in 0in 0in"><p class="MsoNormal"><b>{0}:</b> A &lt;a@b.example&gt;<br>'
    "<b>{1}:</b> x<br><b>{2}:</b> P<br><b>{3}:</b> s</p></div>"
    f'<p class="MsoNormal">&nbsp;</p><p class="MsoNormal">{ERROR}</p></div>'
)


@pytest.mark.parametrize(
    "labels",
    [
        ("From", "Sent", "To", "Subject"),
        ("Von", "Gesendet", "An", "Betreff"),
        ("De&nbsp;", "Envoyé&nbsp;", "À&nbsp;", "Objet&nbsp;"),
        ("差出人", "送信日時", "宛先", "件名"),
        ("Saatja", "Saadetud", "Adressaat", "Teema"),
    ],
)
def test_outlooks_separator_in_html_needs_no_known_language(labels: tuple[str, ...]) -> None:
    html = OUTLOOK.format(*labels)
    assert of_html(html, "RE: s").newest == "Please look."
    (forward,) = of_html(html, "FW: s").forwards
    assert forward.text.endswith(ERROR)


def test_apple_mails_forward_in_html_is_quoted() -> None:
    html = (
        '<div>FYI<br><blockquote type="cite"><div>Begin forwarded message:</div><br>'
        "<div><b>From: </b>A &lt;a@b.example&gt;<br></div><div><b>Subject: </b><b>s</b><br></div>"
        "<div><b>Date: </b>Mon<br></div><div><b>To: </b>p<br></div><br>"
        f"<div>{ERROR}</div></blockquote></div>"
    )
    parts = of_html(html, "Fwd: s")
    assert parts.newest == "FYI"
    assert [(f.subject, f.text) for f in parts.forwards] == [("s", ERROR)]


def test_thunderbirds_forward_in_html_has_a_table() -> None:
    html = (
        '<p>FYI</p><div class="moz-forward-container"><br>-------- Forwarded Message --------'
        "<table><tr><th>Subject: </th><td>s</td></tr><tr><th>Date: </th><td>Mon</td></tr>"
        f"<tr><th>From: </th><td>A &lt;a@b.example&gt;</td></tr></table><br>{ERROR}</div>"
    )
    assert [(f.subject, f.from_.spec, f.text) for f in of_html(html, "Fwd: s").forwards] == [
        ("s", "a@b.example", ERROR)
    ]


def test_yahoos_reply_in_html_is_history() -> None:
    html = (
        "<div>Thanks!</div><div class=yahoo_quoted><div>On Monday, November 16, 2026 at 10:00 AM,"
        f" Sam &lt;sam@example.com&gt; wrote:</div><div>{ERROR}</div></div>"
    )
    assert of_html(html, "Re: s").newest == "Thanks!"


def test_an_indented_block_in_html_is_no_quotation() -> None:
    html = f'<blockquote style="margin:0 0 0 40px;border:none;padding:0">{ERROR}</blockquote>'
    assert of_html(html).newest == ERROR


# Laws


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=1_000), st.sampled_from(["", "Re: x", "Fwd: x", "WG: x"]))
def test_no_text_raises_and_every_part_stands_in_it(text: str, subject: str) -> None:
    parts = of(text, subject)
    for line in parts.newest.split("\n"):
        assert line in text


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<div>", "</div>", "<p>", "a", " ", "<br>", "<blockquote>", "</blockquote>", "<td>",
             "<a href=x>", "</a>", "<pre>", "</pre>", "<img>", "<b hidden>", "</b>", "\n", "&nbsp;"]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_no_html_raises(pieces: list[str]) -> None:
    body = html_to_text("".join(pieces))
    assert all(0 <= line < len(body.lines) for line, _ in body.links)
    assert all("\n" not in line for line in body.lines)


@pytest.mark.parametrize(
    "line",
    [
        "> ", ">" * 40, "On 2026 wrote", "From: a@b.example", "--", "On Mon 10:00 <", "-----",
        "Begin forwarded message:", "-----Original Message-----", "From: x\nDate: y\nTo: z\n",
        "---------- Forwarded message ---------\n> x", "> On 1.1.2026 x wrote:\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("subject", ["Re: x", "Fwd: x"])
def test_hostile_text_takes_linear_time(line: str, subject: str) -> None:
    lines = "\n".join([line] * (200_000 // (len(line) + 1))).split("\n")

    def seconds(body: Body) -> float:
        took = []
        for _ in range(3):
            start = time.process_time()
            split(body, subject)
            took.append(time.process_time() - start)
        return min(took)

    short, long = (seconds(Body(tuple(lines[: len(lines) // part]))) for part in (16, 1))
    assert long < 0.02 + 64 * short  # what is not linear takes 256 times as long, or more
