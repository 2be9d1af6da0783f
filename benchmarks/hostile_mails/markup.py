"""Mails whose HTML costs too much."""

from __future__ import annotations

import base64

from hostile_mails.build import (
    BASE64,
    FILE,
    HEAD,
    HTML,
    fill,
    html,
    mail,
    many_parts,
)

# HTML -----------------------------------------------------------------------------------------


def formatting(count: int, blocks: int) -> str:
    """Open formatting elements, which the parser opens again in every block."""
    return "<p>" + "".join(f"<b a={n}>" for n in range(count)) + "</p>" + "<p>x</p>" * blocks


mail("HTML, 60,000 elements deep", lambda: html("<div>" * 60_000), quick=True)
mail("HTML, 900 deep, 20,000 blocks", lambda: html("<div>" * 900 + "<p>x</p>" * 20_000))
mail("HTML, formatting opened again, 16 kB", lambda: html(formatting(800, 600)), quick=True)
mail(
    "HTML, formatting opened again, 499 parts",
    lambda: many_parts(HTML + formatting(500, 1_000).encode(), 400),
)
mail("HTML, formatting opened again, within the limits", lambda: html(formatting(150, 9_000)))
mail(
    "HTML, formatting kept by cells",
    lambda: html("".join(f"<b a={n}><table><td></b></td></table>" for n in range(12_000))),
)
mail("HTML, depth kept by tables", lambda: html("<div><table></div></table><p>" * 17_000))
mail("HTML, many tags that say nothing", lambda: html("<b></b>" * 70_000))
mail(
    "HTML, attributes behind a quoted bracket",
    lambda: html('<p a=">" ' + " ".join(f"a{n}=1" for n in range(50_000)) + ">"),
    quick=True,
)
mail(
    "HTML, attributes in end tags",
    lambda: html('</p a=">" ' + " ".join(f"a{n}=1" for n in range(50_000)) + ">"),
)
mail(
    "HTML, attributes after a less-than sign",
    lambda: html("<p a=< " + " ".join(f"a{n}=<" for n in range(50_000)) + ">"),
)
mail(
    "HTML, attributes just within the limit",
    lambda: html(("<p " + " ".join(f"a{n}" for n in range(2_700)) + ">") * 30),
)
mail(
    "HTML, style that hides slowly",
    lambda: html(('<p style="' + ";max-height:0;" * 1_100 + '">') * 30),
    quick=True,
)
mail("HTML, options", lambda: html("<select>" + "<option>" * 60_000))
mail("HTML, tables in tables", lambda: html("<table><tr><td>" * 10_000))
mail("HTML, text beside cells", lambda: html("<table>" + "<b>x<tr>" * 20_000))
mail(
    "HTML, 120,000 links",
    lambda: html("".join(f'<a href="https://a.example/{n}">x</a>' for n in range(120_000))),
)
mail("HTML, entities", lambda: html("&CounterClockwiseContourIntegral;&#x10FFFF;&notin;" * 12_000))
mail("HTML, comments and processing", lambda: html("<!--<![CDATA[<?x " * 30_000))
mail("HTML, unclosed everything", lambda: html("<a b='<!--\"" * 40_000))
mail("HTML, quotations in each other", lambda: html("<blockquote type=cite>" * 3_000 + "x"))
mail("HTML, 20 parts of 500 kB", lambda: many_parts(HTML + fill(b"<i>x</i>\r\n", 490_000), 20))
mail(
    "HTML, 20 parts of 500 kB in long lines",
    lambda: many_parts(HTML + fill(b"<i>x</i>", 490_000), 20),
)
mail(
    "20 texts of 500 kB in short lines",
    lambda: many_parts(
        BASE64 + base64.b64encode(fill(b"From: a\n", 370_000)),
        20,
    ),
)
mail(
    "40 files .eml of 150,000 empty lines",
    lambda: many_parts(
        FILE + BASE64 + base64.b64encode(HEAD + b"Date: x\r\n\r\n" + b"\n" * 150_000),
        40,
    ),
)
mail("HTML, cells of 500 kB", lambda: html("<td>x" * 100_000))
