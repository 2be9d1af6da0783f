"""Salesforce ids and record links, and the org that a Salesforce envelope names.

Everything here is linear in the length of the text and raises nothing on any text.
Id forms: Salesforce Object Reference; the envelope form was observed, it is no contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl, unquote

from triage.mail.hosts import is_agent_connect_host, is_salesforce_host
from triage.mail.message import Link
from triage.mail.rewriting import decode, split

_SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_RECORDS: Final = frozenset(
    "001 003 006 00Q 00T 00U 500 02i 08p 0LQ 0Mw 0WO 570 800 801".split()  # noqa: SIM905 a table
    # Account, Contact, Opportunity, Lead, Task, Event, Case, and what else a survey can
    # follow: Asset, ServiceAppointment, VoiceCall, MessagingSession, WorkOrder, chat
    # transcript, Contract, Order.
)
_CONTEXT: Final = frozenset(
    "005 00D 00G 00N 012 01I 01p 01q 066 07L 08e 0jE 707".split()  # noqa: SIM905 a table
    # User, Organization, Group, CustomField, RecordType, CustomObject, ApexClass,
    # ApexTrigger, ApexPage, ApexLog, CronTrigger, orchestration run, AsyncApexJob.
)
_ZEROS: Final = 3
"""How many of the positions 6 to 9 are zeros in an id that no suffix proves."""

# Ids ----------------------------------------------------------------------------------------


def to18(id15: str) -> str:
    """The 18-character form of an id: three characters that tell the case of the 15.

    Raises ValueError when `id15` has not 15 ASCII letters and digits.
    """
    if len(id15) != 15 or not (id15.isascii() and id15.isalnum()):
        raise ValueError(f"not an id of 15 characters: {id15!r}")
    return id15 + _suffix(id15)


def _suffix(id15: str) -> str:
    bits = [0, 0, 0]
    for place, char in enumerate(id15):
        if "A" <= char <= "Z":
            bits[place // 5] |= 1 << place % 5
    return _SUFFIX[bits[0]] + _SUFFIX[bits[1]] + _SUFFIX[bits[2]]


def normalise(token: str) -> str | None:
    """The 18-character id that a token of 15 or 18 characters is, else None.

    It has a known or custom prefix and digits where ids have them; a suffix must fit. An 18
    whose case was lost (DNS, case-folding systems) gets it back from its suffix.
    """
    # Most words of that length end here: ids have digits there, in every case and form.
    if len(token) not in {15, 18} or not token[6:9].isdigit():
        return None
    if not (token.isascii() and token.isalnum()):
        return None
    id15, proved = token[:15], len(token) == 18 and token.endswith(_suffix(token[:15]))
    if len(token) == 18 and not proved:
        id15 = _restore(token) or ""
    if not _has_prefix(id15) or not (proved or _has_zeros(id15)):
        return None
    return id15 + _suffix(id15)


def is_record(id_: str) -> bool:
    """Whether an id is one of a record that can fail: such as a case or a custom object."""
    return id_[:3] in _RECORDS or _is_custom(id_)


def context_id(token: str, prefix: str) -> str | None:
    """The 15 characters of an org, user or job id where the text says that one stands.

    Only form, prefix and suffix are asked for, as the place already tells what it is.
    """
    if len(token) not in {15, 18} or not (token.isascii() and token.isalnum()):
        return None
    id15 = token[:15]
    if len(token) == 18 and to18(id15) != token:
        id15 = _restore(token) or ""
    return id15 if id15.startswith(prefix) else None


def _has_prefix(id15: str) -> bool:
    return id15[:3] in _RECORDS or id15[:3] in _CONTEXT or _is_custom(id15)


def _is_custom(id_: str) -> bool:
    """Custom objects have a00 to aZz, per org."""
    return id_[:1] == "a"


def _has_zeros(id15: str) -> bool:
    """Whether positions 6 to 9 are digits, mostly zeros.

    Where a suffix proves the id, the sixth may be a letter of the instance.
    """
    return id15[5:9].isdigit() and id15[5:9].count("0") >= _ZEROS


def _restore(token: str) -> str | None:
    """The 15 characters with their case, from a case-folded 18; None when it is not one."""
    if token not in {token.lower(), token.upper()}:
        return None
    restored = []
    for place, char in enumerate(token[:15].lower()):
        bits = _SUFFIX.find(token[15 + place // 5].upper())
        if bits < 0:
            return None
        upper = bits >> place % 5 & 1
        if upper and char.isdigit():
            return None
        restored.append(char.upper() if upper else char)
    return "".join(restored)


# Ids in text --------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"(?<![0-9A-Za-z_@%+.\-!~$&?])(?:[0-9A-Za-z]{18}|[0-9A-Za-z]{15})"
    r"(?![0-9A-Za-z_@%+\-=!~$&]|\.[0-9A-Za-z_])"
)
_WORD_END: Final = re.compile(r"[\s<>()\[\]{}\"|,;\u3001\u3002\uff0c]")
_WORD: Final = 300
"""Characters before and after an id in which the word that holds it must end."""
_PAIR: Final = re.compile(r"['*.:]*[0-9A-Za-z]{15,18}/[0-9A-Za-z]{15,18}['*.:]*")
_HOST_PATH: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::[0-9]{1,5})?[/?#]")


def record_ids(text: str, limit: int = 1_000) -> tuple[tuple[str, int], ...]:
    """Ids of failing records that stand free in `text`: (18 characters, first offset), in order.

    Pieces of links, mail addresses, Message-IDs and thread tokens are not records.
    """
    found: dict[str, int] = {}
    for id_, start in _free_ids(text):
        if is_record(id_):
            found.setdefault(id_, start)
            if len(found) >= limit:
                break
    return tuple(found.items())


def context_ids(text: str, prefix: str, limit: int = 1_000) -> tuple[tuple[str, int], ...]:
    """Free ids with a prefix such as 00D, as `record_ids`, but of 15 characters."""
    found: dict[str, int] = {}
    for id_, start in _free_ids(text):
        if id_.startswith(prefix):
            found.setdefault(id_[:15], start)
            if len(found) >= limit:
                break
    return tuple(found.items())


@lru_cache(maxsize=4)  # asked for by prefix, about the same text
def _free_ids(text: str) -> tuple[tuple[str, int], ...]:
    """Every id outside links, addresses and tokens, 18 characters, with its offset."""
    found: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        id_ = normalise(match.group())
        if id_ is None:
            continue
        start, end = match.span()
        before = _up_to_word_end(text[max(0, start - _WORD) : start][::-1])[::-1]
        after = _up_to_word_end(text[end : end + _WORD])
        word = before + match.group() + after
        if len(before) >= _WORD or len(after) >= _WORD or _is_other_token(word):
            continue
        # `user/org` is a pair of ids; other slashes are paths, of which one has an end.
        if after[:1] != "/" or after.startswith("/view") or _PAIR.fullmatch(word):
            found.append((id_, start))
    return tuple(found)


def _up_to_word_end(text: str) -> str:
    end = _WORD_END.search(text)
    return text[: end.start()] if end else text


def _is_other_token(word: str) -> bool:
    """A link, a mail address, a Message-ID, an Email-to-Case thread token."""
    return (
        "@" in word
        or "://" in word
        or "ref:" in word.lower()
        or _HOST_PATH.match(word.lstrip("'*:=")) is not None
    )


# Links --------------------------------------------------------------------------------------

_URL_CHARS: Final = r"[!#-;=?-\[\]_a-z{}~\u00ad\u200b-\u200d\u2060\ufeff]"
_URL: Final = re.compile(
    r"https?://" + _URL_CHARS + r"+"
    r"|(?<![\w@./%=-])(?:[a-z0-9-]{1,63}\.){1,9}(?:com|net|mil|cn|ms)/" + _URL_CHARS + r"*",
    re.IGNORECASE | re.ASCII,
)
_MAY_LINK: Final = re.compile(r"://|\.(?:com|net|mil|cn|ms)/", re.IGNORECASE | re.ASCII)
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_TRAILING: Final = ".,:;!?'*_"
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}
_URL_LENGTH: Final = 8_192
_BREAK: Final = re.compile(r"[ \t]*\n[> \t]{0,20}")
_CONTINUED: Final = re.compile(r"[!#-;=?-\[\]_a-z{}~]{1,200}", re.IGNORECASE)
_WRAP_AT: Final = 50
"""Characters before which no mail program breaks a line."""
_ID_KEYS: Final = ("id", "recordid", "c__recordid", "c__id")
_RETURN_KEYS: Final = frozenset({"returl", "cancelurl", "saveurl"})
_SEPARATORS: Final = re.compile(r"[/?#&=:]")


def links(text: str, html_links: Sequence[str] = (), limit: int = 500) -> tuple[Link, ...]:
    """The links of `text` in order, then those that only the HTML has; at most `limit`.

    Rewritten links are decoded offline. URLs broken over lines are joined where they stand
    in angle brackets, or where only the joined one leads to a record.
    """
    found = [*_written_first(text, limit)]
    seen = {link.url for link in found}
    for href in html_links[: 2 * limit]:
        if len(found) >= limit:
            break
        hidden = _link(_INVISIBLE.sub("", href.strip()), -1)
        if hidden and hidden.url not in seen:
            seen.add(hidden.url)
            found.extend(_with_workspace(hidden))
    return tuple(found)


@lru_cache(maxsize=4)  # several rooms ask about the same text
def _written_first(text: str, limit: int) -> tuple[Link, ...]:
    return tuple(islice(_written(text) if _MAY_LINK.search(text) else (), limit))


def _written(text: str) -> Iterator[Link]:
    """The links that stand in the text, line breaks within them removed."""
    for match in _urls(text):
        start, end = match.span()
        url = _INVISIBLE.sub("", match.group())
        bracketed = start > 0 and text[start - 1] == "<"
        trimmed = _to_bracket(text, url, end) if bracketed else _trim(url)
        link = _link(trimmed, start)
        if link and not bracketed and trimmed == url:
            link = _over_the_break(text, link, url, end)
        if link:
            yield from _with_workspace(link)


def _urls(text: str) -> Iterator[re.Match[str]]:
    """The URLs, looked for in lines with a slash only: the pattern is slow where there are none."""
    slash = text.find("/")
    while slash >= 0:
        end = text.find("\n", slash)
        end = end if end >= 0 else len(text)
        yield from _URL.finditer(text, text.rfind("\n", 0, slash) + 1, end)
        slash = text.find("/", end)


def _to_bracket(text: str, url: str, end: int) -> str:
    """The rest of `<https://…>`, over line breaks (RFC 3986, appendix C)."""
    pieces = [url]
    for _ in range(20):
        if text[end : end + 1] == ">":
            return "".join(pieces)
        gap = _BREAK.match(text, end)
        rest = _CONTINUED.match(text, gap.end()) if gap else None
        if rest is None:
            break
        pieces.append(rest.group())
        end = rest.end()
    return _trim(url)


def _over_the_break(text: str, link: Link, url: str, end: int) -> Link:
    """The link of `url` with its next line, where only so it leads to a record."""
    gap = _BREAK.match(text, end) if link.record_id is None else None
    if gap is None or end - text.rfind("\n", 0, link.start) < _WRAP_AT:
        return link
    rest = _CONTINUED.match(text, gap.end())
    joined = _link(url + _trim(rest.group()), link.start) if rest else None
    return joined if joined and joined.record_id else link


def _trim(url: str) -> str:
    """Without the punctuation of the sentence and closing brackets that were not opened."""
    url = url[:_URL_LENGTH]
    surplus = {close: url.count(close) - url.count(open_) for close, open_ in _BRACKETS.items()}
    end = len(url)
    while end:
        last = url[end - 1]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in _TRAILING:
            break
        end -= 1
    return url[:end]


def _link(url: str, start: int) -> Link | None:
    """The decoded link; None when it is no http(s) URL, or one without scheme to elsewhere."""
    found = _target(url[:_URL_LENGTH])
    return Link(found[0], found[1], start, found[2]) if found else None


@lru_cache(maxsize=64)  # a link stands in a text several times, and in its HTML form
def _target(url: str) -> tuple[str, str, str | None] | None:
    """Where a link leads: the URL, its host, and the record."""
    bare = "://" not in url[:8]
    url, host = decode("https://" + url if bare else url)
    ours = is_salesforce_host(host)
    if not host or (bare and not ours and not is_agent_connect_host(host)):
        return None
    return url, host, _record_of(url) if ours else None


def _record_of(url: str) -> str | None:
    """The record that a URL on a Salesforce host leads to: by path, fragment, then query."""
    parts = split(url)
    if parts is None:
        return None
    try:
        query = parse_qsl(parts.query.replace("&amp;", "&"), max_num_fields=50)
    except ValueError:  # more fields than that
        query = []
    # A page named by its own id comes before one that only says where to return to.
    query.sort(key=lambda pair: (pair[0].lower() in _RETURN_KEYS, pair[0].lower() not in _ID_KEYS))
    for place in (parts.path, parts.fragment, *(value for _, value in query)):
        if (found := _record_in(place)) is not None:
            return found
    return None


def _with_workspace(link: Link) -> tuple[Link, ...]:
    """The link, and it once more for the record whose workspace its record is opened in."""
    _, mark, field = link.url.partition("ws=") if link.record_id else ("", "", "")
    tab = _record_in(field.partition("&")[0]) if mark else None
    return (link, replace(link, record_id=tab)) if tab not in {None, link.record_id} else (link,)


def _record_in(place: str) -> str | None:
    """The first record id between separators, percent-encoding removed up to three times."""
    for _ in range(3):
        decoded = unquote(place)
        if decoded == place:
            break
        place = decoded
    for piece in _SEPARATORS.split(place):
        if (id_ := normalise(piece)) is not None and is_record(id_):
            return id_
    return None


# The envelope -------------------------------------------------------------------------------

_BOUNCES: Final = ".bnc.salesforce.com"
_PACKED: Final = re.compile(r"([0-9a-z]*)-([0-9a-z]+)")


def envelope_org(return_path: str) -> str | None:
    """What the envelope sender says of the org: `8x-1abcdeak` of `…@….8x-1abcdeak.na1.bnc…`.

    That is the 18-character org id in lower case without `00D`, its zeros folded into `-`.
    None when the host is not below bnc.salesforce.com.
    """
    host = return_path.strip().strip("<>").rpartition("@")[2].lower().rstrip(".")
    if not host.endswith(_BOUNCES):
        return None
    labels = host.removesuffix(_BOUNCES).split(".")
    return labels[-2] or None if len(labels) > 1 else None


def same_org(envelope: str, org15: str) -> bool | None:
    """Whether an envelope's org is `org15`; None when its form does not tell."""
    packed = _PACKED.fullmatch(envelope)
    zeros = 15 - len(envelope) + 1
    if packed is None or zeros < 1 or context_id(org15, "00D") is None:
        return None
    folded = "00d" + packed[1] + "0" * zeros + packed[2]
    return folded == to18(org15[:15]).lower()
