from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.response.markdown import (
    Bar,
    armour,
    bars,
    clean,
    defang,
    link_allowed,
    one_line,
    text_and_html,
)

OURS = frozenset({"northwind.lightning.force.com"})
RECORD = "https://northwind.lightning.force.com/lightning/r/5008x00000AbCdEAAX/view"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag, _attrs):
        self.names.add(tag)

    def handle_data(self, data):
        self.words += data


def as_text(markdown: str, hosts: frozenset[str] = frozenset()) -> str:
    return text_and_html(markdown, hosts)[0]


def as_html(markdown: str, hosts: frozenset[str] = frozenset()) -> str:
    return text_and_html(markdown, hosts)[1]


def read(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


@given(st.text(max_size=200))
def test_no_data_is_ever_markup_in_html(words):
    tags = read(as_html(f"Before {armour(one_line(words))} after"))

    assert tags.names == {"p"}


@given(st.text(alphabet=st.characters(exclude_characters=":/."), max_size=200))
def test_data_without_addresses_is_shown_mark_by_mark(words):
    expected = "".join(f"Before {one_line(words)} after".split())

    assert "".join(as_text(f"Before {armour(one_line(words))} after").split()) == expected
    assert "".join(read(as_html(f"Before {armour(words)} after")).words.split()) == expected


@given(st.text(max_size=300))
def test_an_excerpt_never_leaves_its_block(words):
    tags = read(as_html(f"```\n{armour(words)}\n```"))

    assert tags.names == {"pre", "code"}


@pytest.mark.parametrize(
    "words",
    [
        "<script>alert(1)</script>",
        "[click](http://evil.example)",
        "[click](https://northwind.lightning.force.com.evil.example/)",
        "![x](https://evil.example/pixel.png)",
        "<https://evil.example>",
        "# heading",
        "---",
        "`code` **bold** _em_",
        "&lt;b&gt;",
        "| a | b |",
    ],
)
def test_markup_in_data_is_shown_as_typed(words):
    text = as_text(armour(words), OURS)

    assert text.strip() == words.replace("http", "hxxp").replace(
        "northwind.lightning.force.com.evil.example",
        "northwind[.]lightning[.]force[.]com[.]evil[.]example",
    ).replace("//evil.example", "//evil[.]example")
    assert "<a" not in as_html(armour(words), OURS)


def test_data_is_shown_as_typed_inside_code_spans_and_links():
    name, url = armour("A`b`_c*"), armour(RECORD)

    assert as_html(f"`{name}`") == "<p><code>A`b`_c*</code></p>\n"
    assert f'<a href="{RECORD}">A`b`_c*</a>' in as_html(f"[{name}]({url})", OURS)
    assert as_text(f"[{name}]({url})", OURS).strip() == f"A`b`_c*\n<{RECORD}>"


@pytest.mark.parametrize(
    "url",
    [
        "http://northwind.lightning.force.com/x",
        "https://evil.example/x",
        "https://northwind.lightning.force.com@evil.example/",
        "https://northwind.lightning.force.com:8443/",
        "https://northwind.lightning.force.com\\@evil.example/",
        "https://northwind.lightning.force.com.evil.example/",
        "javascript:alert(1)",
        "//evil.example/x",
        "https://northwind.lightning.force.com/\r\nx",
        "https://northwind.lightning.force.com/ x",
    ],
)
def test_a_link_is_refused_unless_it_is_https_to_an_allowed_host(url):
    assert not link_allowed(url, OURS)
    assert "<a" not in as_html(f"[label]({armour(url)})", OURS)


def test_a_refused_link_of_the_template_is_shown_defanged():
    markdown = "Read [the page](https://evil.example/a.html)."

    assert as_text(markdown) == "Read the page (hxxps://evil[.]example/a.html).\n"
    assert "<a" not in as_html(markdown)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("see HTTPS://evil.example/x.", "see hxxps://evil[.]example/x."),
        ("see www.evil.example", "see www[.]evil[.]example"),
        ("see evil.example/login now", "see evil[.]example/login now"),
        ("ftp://evil.example", "ftp://evil[.]example"),
        ("version 1.65/1.66 and/or Class.Foo.bar: line 1", None),
        (f"record {RECORD}.", None),
    ],
)
def test_addresses_in_data_are_defanged_and_other_words_are_not(words, shown):
    assert as_text(armour(words), OURS).replace("\n", " ").strip() == (shown or words)


def test_an_address_that_the_template_wrote_stays():
    markdown = "Use `https://api.stellaconnect.net`, not https://sapi.stellaconnect.net."

    assert as_text(markdown).strip() == markdown.replace("`", "")


def test_defanging_keeps_the_path_readable():
    assert defang("https://evil.example/a.b?c=d.e") == "hxxps://evil[.]example/a.b?c=d.e"


def test_invisible_and_turning_characters_are_removed():
    assert clean("a\x00b\u202ec\ufeffd\r\ne\ud800f\ue03a") == "abcd\ne\ufffdf"


def test_text_is_what_a_person_would_type():
    markdown = """## First steps

Open *Setup > Apex Jobs* and look **carefully** at what stands there, because it matters a lot.

1. One
2. Two, with [a record](https://northwind.lightning.force.com/x)

- a point

> A warning

```
as   it is
```

| a | b |
|---|---|
| long cell | c |

---
"""

    assert (
        as_text(markdown, OURS)
        == """First steps
===========

Open "Setup > Apex Jobs" and look carefully at what stands there, because it
matters a lot.

1. One
2. Two, with a record <https://northwind.lightning.force.com/x>

- a point

> A warning

    as   it is

a          b
---------  -
long cell  c

----------------------------------------------------------------------------
"""
    )


def test_text_lines_are_at_most_76_columns_wide_except_addresses():
    text = as_text("- " + "word " * 100 + "\n\n  1. " + "word " * 50 + f"<{RECORD}>", OURS)

    assert all(len(line) <= 76 for line in text.splitlines() if "https" not in line)


def test_bars_show_without_images_and_as_text():
    chart = bars([Bar("northwind <b>", 12, 9), Bar("contoso", 3, 3), Bar("fabrikam", 0, 4)])

    assert as_text(chart).splitlines() == [
        "northwind <b>",
        "  ████████████████████████     12  (+3)",
        "contoso",
        "  ██████                        3  (±0)",
        "fabrikam",
        "                                0  (-4)",
    ]
    html = as_html(chart)
    assert 'width="100%"><tr><td class="bar" bgcolor="#2a6fdb"' in html
    assert 'width="25%"><tr><td class="bar" bgcolor="#2a6fdb"' in html
    assert "northwind &lt;b&gt;" in html
    assert "<img" not in html
