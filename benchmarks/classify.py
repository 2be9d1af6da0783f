"""What reading and judging costs, beside `mail-parser` alone over the same mails.

    python benchmarks/classify.py [--quick]

1. One core, CPU time: the whole `Judge` (parse, unwrap, authenticate, judge) and
   `mailparser.parse_from_bytes`, in turns over small chunks of the same mails. `ratio` is the
   speed of the former divided by that of the latter, the median of all rounds: above 1 is faster.
2. Worker pool, wall time: two cores with two workers against one core with one.
3. CPU time with 10 and with 10,000 entries of an invented catalog.

The mails are those of `fixtures/emails`, padded to the size of real ones: more hops and seals in
the header block, an HTML alternative, longer threads. They are the same in every run. The last
line of the output is one JSON object with all figures. Nothing is asserted about time; that
padding changed no verdict is.
"""

from __future__ import annotations

import argparse
import email
import html
import json
import os
import quopri
import random
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import mailparser  # noqa: E402 - a checkout need not be installed

from triage.adapters.files import read_catalog  # noqa: E402
from triage.adapters.workers import WorkerPool  # noqa: E402
from triage.catalog.load import Catalog  # noqa: E402
from triage.catalog.rule import Rule  # noqa: E402
from triage.catalog.verdict import Outcome  # noqa: E402
from triage.mail.limits import DEFAULT  # noqa: E402
from triage.pipeline import Judge, world  # noqa: E402
from triage.settings import load  # noqa: E402

EMAILS = ROOT / "fixtures" / "emails"
SETTINGS = load(ROOT / "fixtures" / "triage.toml")
TRUST = SETTINGS.trust()
CHUNK = 10
"""Mails after which the two that are compared take turns."""

# Mails --------------------------------------------------------------------------------------

WORDS = (
    "the survey of last week went out late because our team moved the case to another owner and "
    "nobody saw it in time so we would like to know whether the report for march still counts "
    "when does the next release arrive and who will tell the agents about the new view please "
    "send me the notes of our call with the numbers from the dashboard as well many customers "
    "wrote that they were happy with the answer and two asked for a call back on monday"
).split()
HOP = (
    "Received: from {0}.prod.{1} (2001:db8:10a6:{2}::{3}) by {4}.prod.{1}\n"
    " (2001:db8:10a6:{3}::{2}) with Microsoft SMTP Server (version=TLS1_2,\n"
    " cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.{2}.{3}; Mon, 16\n"
    " Nov 2026 08:{5:02}:{6:02} +0000\n"
)
SEAL = (
    "ARC-Seal: i={0}; a=rsa-sha256; s=arcselector1000{0}; d={1}; cv=pass;\n b={2}\n"
    "ARC-Message-Signature: i={0}; a=rsa-sha256; c=relaxed/relaxed; d={1};\n"
    " s=arcselector1000{0};\n h=From:Date:Subject:Message-ID:Content-Type:MIME-Version;\n"
    " bh={3};\n b={2}\n"
    "X-Antispam-Report: CIP:255.255.255.255;CTRY:;LANG:en;SCL:1;SRV:;IPV:NLI;SFV:NSPM;\n"
    " H:{1};PTR:;CAT:NONE;SFS:(13230040)(366016)(1800799024)(376014)(7416014)(38070700018);\n"
    " DIR:OUT;SFP:1101;\n"
)
RULES = "\n".join(
    f"table.body .w{n} td{{padding:{n}px 0;font:{n}px/1.4 Calibri,sans-serif}}"
    for n in range(8, 48)
)
STYLE = f"<style>@media screen and (max-width:620px){{.wrapper{{padding:10px}}}}\n{RULES}</style>"
CELL = (
    '<tr><td align="left" valign="top" style="font-family:Segoe UI,Arial,sans-serif;'
    'font-size:14px;line-height:21px;color:#1d1d1d;padding:0 0 4px 0">'
)
URL = re.compile(r"https?://[^\s&<>()'\"]*[\w/]")


def _token(rng: random.Random, length: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join(rng.choices(letters, k=length))


def _prose(rng: random.Random, characters: int) -> str:
    """Paragraphs of sentences that name no error."""
    lines: list[str] = []
    while sum(map(len, lines)) < characters:
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(8, 14)))
        lines.append(sentence.capitalize() + ".")
        if rng.random() < 0.2:
            lines.append("")
    return "\n".join(lines)


def _hops(rng: random.Random) -> str:
    """What servers on the way wrote: it stands below our own border."""
    hosts = [f"{_token(rng, 12).replace('+', 'x').replace('/', 'y')}.eur0{n}" for n in range(9)]
    hops = "".join(
        HOP.format(
            *(hosts[n], "outlook.example", 100 + n, rng.randint(2, 99), hosts[n + 1]),
            *(59 - n, rng.randint(0, 59)),
        )
        for n in range(rng.randint(2, 5))
    )
    seal = "\n ".join(_token(rng, 76) for _ in range(5))
    seals = (SEAL.format(n, "outlook.example", seal, _token(rng, 44)) for n in (2, 1))
    return hops + "".join(seals)


def _as_html(rng: random.Random, text: str) -> str:
    linked = URL.sub(r'<a href="\g<0>" style="color:#0563C1">\g<0></a>', html.escape(text))
    rows = "".join(
        f"{CELL}<p class=MsoNormal>{line}</p></td></tr>\n" for line in linked.split("\n")
    )
    site = '<a href="https://www.example.org/contact" target="_blank">www.example.org</a>'
    footer = f'<p style="color:#999999;font-size:12px">{_prose(rng, 600)} {site}</p>'
    table = f'<table role="presentation" border="0" cellpadding="0" class="body">{rows}</table>'
    return f"<html><head>{STYLE}</head><body>{table}{footer}</body></html>"


def padded(octets: bytes, rng: random.Random, *, thread: int = 0) -> bytes:
    """The mail at the size of a real one; `thread` is the length of the history below it."""
    octets = octets.replace(b"\r\n", b"\n")
    block, _, body = octets.partition(b"\n\n")
    message = email.message_from_bytes(octets)
    text = _text(message)
    if text is None:
        return block + b"\n" + _hops(rng).encode() + b"\n" + body
    if thread:
        quoted = "".join(f"> {line}\n" for line in _prose(rng, thread).split("\n"))
        prose = _prose(rng, thread // 4)
        text = (
            f"{text}\n\n{prose}\n\nOn 1 Apr 2026 at 15:08, Ana <ana@example.org> wrote:\n{quoted}"
        )
    kept = [
        f"{name}: {value}\n".encode("ascii", "surrogateescape")
        for name, value in message.raw_items()
        if not name.lower().startswith(("content-", "mime-version"))
    ]
    head = b"".join(kept) + _hops(rng).encode()
    head += b'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="=_b1"\n'
    parts = (("plain", text), ("html", _as_html(rng, text)))
    return head + b"".join(_part(*part) for part in parts) + b"\n--=_b1--\n"


def _text(message: email.message.Message) -> str | None:
    """The plain text of a mail that is nothing but a text, in one or two forms."""
    forms = message.get_payload() if message.is_multipart() else [message]
    kinds = [form.get_content_type() for form in forms]
    if message.is_multipart() and message.get_content_type() != "multipart/alternative":
        return None
    if kinds[:1] != ["text/plain"] or message.get_filename():
        return None
    octets = forms[0].get_payload(decode=True)
    try:
        return octets.decode(forms[0].get_content_charset() or "utf-8").replace("\r", "")
    except (UnicodeError, LookupError):
        return None


def _part(kind: str, text: str) -> bytes:
    coded = quopri.encodestring(text.encode("utf-8", "replace"))
    head = f"\n--=_b1\nContent-Type: text/{kind}; charset=utf-8\n"
    return head.encode() + b"Content-Transfer-Encoding: quoted-printable\n\n" + coded


def groups(judge: Judge, copies: int) -> dict[str, list[bytes]]:
    """Notifications, mails that are not ours, and one of the former to four of the latter."""
    rng = random.Random(20261122)
    found: dict[str, list[bytes]] = {"notifications": [], "automatic": [], "people": []}
    folders = {"agent_connect": 0, "salesforce": 0, "automatic": 0, "not_ours": 1}
    names = {"automatic": "automatic", "not_ours": "people"}
    for folder in folders:
        for path in sorted((EMAILS / folder).glob("*.eml")):
            octets = path.read_bytes()
            wanted = judge(octets, TRUST)
            for _ in range(copies):
                thread = rng.choice((1_000, 2_000, 4_000, 8_000)) * folders[folder]
                mail = padded(octets, rng, thread=thread)
                reading = judge(mail, TRUST)
                if reading.outcome is not wanted.outcome:
                    raise SystemExit(f"padding changed {path}: {reading.outcome} {reading.why}")
                found[names.get(folder, "notifications")].append(mail)
    half = max(len(found["automatic"]), len(found["people"]))
    pairs = zip(cycle(found["automatic"]), cycle(found["people"]), strict=False)
    others = [mail for pair in islice(pairs, half) for mail in pair]
    several = cycle(found["notifications"])
    mix = [m for n in range(0, len(others), 4) for m in (next(several), *others[n : n + 4])]
    return {"notifications": found["notifications"], "not_ours": others, "mix": mix}


# 1. Beside mail-parser ----------------------------------------------------------------------


def cpu_times(
    mails: Sequence[bytes], ways: Sequence[Callable[[bytes], object]], rounds: int
) -> list[list[float]]:
    """CPU seconds of each way to treat all the mails, one list a round; they take turns."""
    found = []
    for number in range(rounds):
        spent = [0.0] * len(ways)
        for start in range(0, len(mails), CHUNK):
            order = range(len(ways)) if (number + start // CHUNK) % 2 else range(len(ways))[::-1]
            for way in order:
                began = process_time()
                for mail in mails[start : start + CHUNK]:
                    ways[way](mail)
                spent[way] += process_time() - began
        found.append(spent)
    return found


def beside_mail_parser(
    judge: Judge, mails: dict[str, list[bytes]], rounds: int
) -> dict[str, object]:
    """The first table."""
    figures: dict[str, object] = {}
    print(f"{'one core':<14} {'mails':>5} {'median':>7} {'triage':>9} {'mail-parser':>12} ratio")
    for name, group in mails.items():
        spent = cpu_times(group, (lambda o: judge(o, TRUST), mailparser.parse_from_bytes), rounds)
        ours = len(group) / median(one for one, _ in spent)
        theirs = len(group) / median(other for _, other in spent)
        ratio = median(other / one for one, other in spent)
        size = int(median(map(len, group)))
        print(f"{name:<14} {len(group):>5} {size:>6}B {ours:>7.0f}/s {theirs:>10.0f}/s {ratio:.2f}")
        figures[name] = {
            "mails": len(group),
            "median_octets": size,
            "mails_per_second": round(ours),
            "mail_parser_per_second": round(theirs),
            "ratio": round(ratio, 3),
        }
    return figures


# 2. Two cores -------------------------------------------------------------------------------


def _pinned(cores: Sequence[int]) -> Judge:
    """What each worker builds, on these cores only."""
    os.sched_setaffinity(0, cores)
    return Judge(read_catalog(), world(SETTINGS))


def pool_speeds(mails: Sequence[bytes], cores: Sequence[int], rounds: int) -> dict[str, object]:
    """Mails per second of wall time on one and on two cores, the pools in turns."""
    if len(cores) < 2:
        return {"speedup": None}
    jobs = [(mail, TRUST) for mail in mails]
    pools = []
    try:
        for count in (1, 2):
            # The pool's threads get the cores of the one that starts them.
            os.sched_setaffinity(0, cores[:count])
            build = partial(_pinned, cores[:count])
            pool = WorkerPool(build, count, DEFAULT.seconds, DEFAULT.memory_octets)
            pool.run(jobs[: 4 * count])
            pools.append(pool)
        speeds: list[list[float]] = []
        for _ in range(rounds):
            speeds.append([])
            for count, pool in enumerate(pools, 1):
                os.sched_setaffinity(0, cores[:count])
                began = perf_counter()
                pool.run(jobs)
                speeds[-1].append(len(jobs) / (perf_counter() - began))
    finally:
        for pool in pools:
            pool.close()
    one, two = (median(speed) for speed in zip(*speeds, strict=True))
    ratios = [two / one for one, two in speeds]
    print(f"\npool: {one:.0f}/s on one core, {two:.0f}/s on two: {median(ratios):.2f} times")
    return {
        "one_core_per_second": round(one),
        "two_cores_per_second": round(two),
        "speedup": round(median(ratios), 2),
        "speedup_best": round(max(ratios), 2),
    }


# 3. Growth ----------------------------------------------------------------------------------

THINGS = "survey request employee profile channel brand language customer queue mapping".split()
STATES = "missing inactive locked unknown expired invalid disabled duplicate rejected".split()
PLACES = "mapping tab|data return job|request sender|status page|event trigger".split("|")


def _sentence(number: int) -> str:
    """The words of the invented error with this number; no two are the same."""
    thing, rest = THINGS[number % 10], number // 10
    state, rest = STATES[rest % 9], rest // 9
    place, rest = PLACES[rest % 5], rest // 5
    what = f"{_word(number)} {thing} of the {_word(7 * number + 3)} {place}"
    return f"Agent Connect {what} is {state} and cannot be sent"


def _word(number: int) -> str:
    syllables = (
        "ka re mo ti sul ven dor pix lam bey gor hun jat nel quo sar tov wim yel zub".split()
    )
    digits = []
    number += 20
    while number:
        number, digit = divmod(number, 20)
        digits.append(syllables[digit])
    return "".join(digits)


def invented(entries: int) -> Catalog:
    """A catalog of that many errors; the first ones are the same in each."""
    shape = read_catalog().rules["agent_connect/employee_is_queue"].model_dump(by_alias=True)
    rules = {}
    for number in range(entries):
        words, id_ = _sentence(number), f"invented/error_{number:05}"
        given = {
            "id": id_,
            "match": {"any": [{"literal": words}]},
            "fuzzy": {"phrase": words, "at_least": 85},
        }
        rules[id_] = Rule.model_validate({**shape, **given})
    return Catalog(rules, f"invented{entries:05}", {})


def _alerts(numbers: Iterable[int]) -> list[bytes]:
    """Package alerts that name these errors."""
    rng = random.Random(5)
    octets = (EMAILS / "agent_connect" / "employee_is_queue-01.eml").read_bytes()
    words = b"Stella Connect Employee cannot be a Queue"
    return [padded(octets.replace(words, _sentence(n).encode()), rng) for n in numbers]


def growth(others: Sequence[bytes], most: int, rounds: int) -> dict[str, object]:
    """CPU milliseconds a mail with few and with many entries."""
    began = perf_counter()
    few, many = (Judge(invented(entries), world(SETTINGS)) for entries in (10, most))
    print(f"\n{'entries':<10} {10:>9} {most:>9} growth   (built in {perf_counter() - began:.1f} s)")
    kinds = {
        "known": _alerts([*range(10)] * 3),
        "not_ours": [mail for mail in others if few(mail, TRUST).outcome is Outcome.NOT_OURS][:60],
        "unknown": _alerts(range(1_000_003, 1_000_033)),
    }
    figures: dict[str, object] = {"entries": most}
    for kind, mails in kinds.items():
        for judge in (few, many):
            seen = {judge(mail, TRUST).outcome.value for mail in mails}
            if seen != {kind}:
                raise SystemExit(f"the {kind} ones were judged {seen}")
        spent = cpu_times(mails, (lambda o: few(o, TRUST), lambda o: many(o, TRUST)), rounds)
        low, high = (1000 * median(times) / len(mails) for times in zip(*spent, strict=True))
        ratio = median(b / a for a, b in spent)
        print(f"{kind:<10} {low:>6.2f} ms {high:>6.2f} ms {ratio:.2f}")
        figures[kind] = {
            "ms_at_10": round(low, 3),
            "ms_at_most": round(high, 3),
            "growth": round(ratio, 3),
        }
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer mails and rounds: 15 s")
    quick = parser.parse_args().quick
    cores = sorted(os.sched_getaffinity(0))
    judge = Judge(read_catalog(), world(SETTINGS))
    mails = groups(judge, 1 if quick else 3)
    figures: dict[str, object] = {"quick": quick}
    figures["pool"] = pool_speeds(mails["mix"] * (2 if quick else 4), cores, 3 if quick else 9)
    os.sched_setaffinity(0, cores[:1])
    figures["one_core"] = beside_mail_parser(judge, mails, 5 if quick else 15)
    figures["growth"] = growth(mails["not_ours"], 10_000, 3 if quick else 9)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
