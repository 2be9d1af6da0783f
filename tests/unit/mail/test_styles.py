"""What the styles of an HTML text keep from its reader."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.mail.html import html_to_text


def seen(html: str) -> str:
    return html_to_text(html).text.replace("\n", "")


@pytest.mark.parametrize(
    "style",
    [
        "height:0px;width:0px;overflow:hidden",
        "max-height: 1px; overflow-y: hidden",
        "max-width:0;overflow:hidden",
        "color:#fff;background:#fff",
        "color:white",
        "color:#fefefe",
        "color:rgb(250, 250, 250)",
        "color: rgba(0,0,0,0)",
        "color:#11223300",
        "background:navy;color:#000084",
        "color:transparent",
        "font:0/0 a",
        "font: bold 1px Arial, sans-serif",
        "font-size:1px",
        "font-size:.01em",
        "font-size:1%",
        "position:absolute;left:-9999px",
        "position:fixed;top:-100em",
        "text-indent:-999px",
        "margin: 0 0 0 -9999px",
        "margin-left:-800pt",
        "position:absolute;clip:rect(0,0,0,0)",
        "position:absolute;clip:rect(1px 1px 1px 1px)",
        "clip-path:inset(50%)",
        "opacity:.01",
        "visibility:collapse",
        "display:/**/none",
        "color:white!important;color:black",
    ],
)
def test_an_inline_style_can_hide_a_text(style: str) -> None:
    assert seen(f'a<span style="{style}">no<b>no</b></span>b') == "ab"


@pytest.mark.parametrize(
    "style",
    [
        "height:0",
        "height:0;overflow:visible",
        "width:100%;overflow:hidden",
        "color:#999",
        "color:#fff;background:#036",
        "color:#fff;background:#fff url(sky.png)",
        "color:#fff;background-image:linear-gradient(#000,#333)",
        "color:#fff;background:rebeccapurple",
        "color:rgba(255,255,255,0.6)",
        "color:inherit",
        "font:700 13px/0 Arial",
        "font-size:medium",
        "left:-9999px",
        "position:relative;left:-20px",
        "margin:-10px",
        "clip:rect(0,0,0,0)",
        "opacity:1",
        "display:none;display:block",
        "display:block!important;display:none",
        "x:y:z;;:;color",
    ],
)
def test_what_a_style_leaves_visible_is_read(style: str) -> None:
    assert seen(f'a<span style="{style}">b</span>') == "ab"


@pytest.mark.parametrize(
    "html",
    [
        '<td style="font-size:0"><div style="font-size:13px">b</div></td>',
        '<table bgcolor="#003366"><tr><td><font color="white">b</font></td></tr></table>',
        '<table background="x.png"><tr><td style="color:#fff">b</td></tr></table>',
        '<div style="color:#fff"><a href="https://a.example">b</a></div>',
        '<div style="color:#fff"><p style="color:#222">b</p></div>',
        '<a href="https://a.example" style="mso-hide:all">b</a>',
        "<!--[if mso]><p>no</p><![endif]--><![if !mso]><p>b</p><![endif]>",
    ],
)
def test_what_an_outer_element_hides_an_inner_one_may_show(html: str) -> None:
    assert seen(html) == "b"


@pytest.mark.parametrize(
    "html",
    [
        '<body bgcolor="#fff"><font color="#FFFFFE">no</font>b',
        '<body bgcolor="black" text="black">no<p style="color:#fff">b</p>',
        '<div style="font-size:0">no<b>no</b></div>b',
        '<div style="background:#fff"><span style="color:#fff"><i>no</i></span>b</div>',
    ],
)
def test_size_and_colour_go_on_below(html: str) -> None:
    assert seen(html) == "b"


@pytest.mark.parametrize(
    "sheet",
    [
        ".x{display:none}",
        "p , .x,h1 { DISPLAY : none !important }",
        "span.x { visibility: hidden }",
        ".x { max-height: 0; overflow: hidden }",
        "#y { mso-hide: all }",
        "span { font-size: 0 }",
        ".x { color: #fff }",
        ".x { color: #123 } .x.z { color: #fff }",
        "@import url(a.css); /* } */ .x { display: none }",
        "@media screen { .x { display: none } }",
        "<!-- .x { display: none } -->",
        ".x { display: none",
    ],
)
def test_a_rule_for_an_element_class_or_id_can_hide_a_text(sheet: str) -> None:
    html = f'<style>{sheet}</style>a<span class="z x" id=y>no</span>b'
    assert seen(html) == "ab"


@pytest.mark.parametrize(
    "sheet",
    [
        "@media (max-width: 480px) { .x { display: none !important } .y { color: red } }",
        "@media print { .x { display: none } }",
        "@supports (display: grid) { @media all { .x { display: none } } }",
        ".x:hover { display: none }",
        ".X { display: none }",
        "div.x { display: none }",
        ".x.other { display: none }",
        ".x { color: #fff; background: #036 }",
        ".x { color: #fff } td .x { background: #036 }",
        ".x { color: #fff } #y { color: #333 } span { color: #fff }",
        "@font-face { font-family: x; src: url(x) }",
        "} } { ; .x",
    ],
)
def test_what_a_sheet_leaves_visible_is_read(sheet: str) -> None:
    html = f'<style>{sheet}</style>a<span class="z x" id=y>b</span>'
    assert seen(html) == "ab"


def test_a_sheet_for_print_hides_nothing() -> None:
    assert seen("<style media=print>.x{display:none}</style><p class=x>b</p>") == "b"


def test_an_inline_style_is_stronger_than_a_sheet() -> None:
    html = '<style>.x{display:none}</style><p class=x style="display:block">b</p>'
    assert seen(html) == "b"
    html = '<style>.x{display:none!important}</style>b<p class=x style="display:block">no</p>'
    assert seen(html) == "b"


@pytest.mark.parametrize(
    "html",
    [
        "<style>" + "/*" * 100_000 + "</style>",
        "<style>" + "@media x{" * 25_000 + "</style>",
        "<style>" + "".join(f".a.b{n}{{color:red}}" for n in range(5_000)) + "</style>"
        + "<p class=a>x</p>" * 8_000,
        "<style>" + ".a," * 900 + ".a{" + "color:red;" * 10_000 + "}</style>"
        + "<p class=a>x</p>" * 8_000,
        '<p style="width:' + "1" * 200_000 + 'x;overflow:hidden">x</p>',
        '<p style="color:rgb(' + "1," * 100_000 + '">x</p>',
    ],
    ids=["comments", "blocks", "rules", "declarations", "digits", "numbers"],
)  # fmt: skip
def test_styles_take_time_in_line_with_their_length(html: str) -> None:
    start = time.process_time()
    html_to_text(html)
    assert time.process_time() - start < 1


@given(st.lists(st.sampled_from([
    "{", "}", ";", ":", ",", ".x", "#y", "p", "@media", " ", "/*", "*/", "color", "display", "none",
    "#fff", "rgb(1,2,3)", "font", "0", "-999px", "!important", "clip", "rect(", ")", "/", "%",
]), max_size=40))  # fmt: skip
def test_no_style_raises(pieces: list[str]) -> None:
    css = "".join(pieces)
    html = f'<style>{css}</style><p class=x id=y style="{css}">x</p>'
    assert html_to_text(html).text.replace("x", "") == ""
