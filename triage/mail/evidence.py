"""What in a text speaks for a notification, apart from who sent it (design 4.2).

A person's sentence about an error is none; an error line that stands alone, the way machines
write it, is. `known` always says whether a literal of the catalog stands in a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from triage.mail.hosts import is_agent_connect_host
from triage.mail.message import Link
from triage.mail.phrases import fold, visible

Known = Callable[[str], bool]

_CHUNK: Final = 32
"""Lines that are asked about at once."""
_LONGEST: Final = 600
"""Characters of a line that can be an error line rather than a paragraph."""
_BRAND: Final = re.compile(r"(?:stella|agent) ?connect")
_ERROR: Final = re.compile(
    r"\b(?:errors?|exceptions?|fail(?:ed|ure|s)|cannot|could not|unable|invalid|missing|stopped"
    r"|shut ?off|(?:not|no longer) running|fehler|erreur)\b|エラー"
)
_LABELLED: Final = re.compile(r"(?:error|fehler|erreur|message|reason|exception|エラー)[^:]{0,20}:")
_REFUSAL: Final = re.compile(r"can ?not be|can't be|must not be|may not be|missing (?:value|field)")
_ERROR_WORDS: Final = 12
_ALERT_TITLE: Final = re.compile(r"api error alerts?(?:$|\s?[^\w\s]|\s(?:for|from)\b|\s?[0-9])")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?\uff1f\u3002])\s+")
_EXCEPTION: Final = re.compile(r"(?:[\w.]{1,80}: ?)?(?:system|stellaconnect)\.\w{1,80}: ?\S")
_URL: Final = re.compile(r"<?\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)
_SEPARATOR: Final = re.compile(
    r"[:\uff1a|\t()\[\]\"'\u201c\u201d\u201e\u00ab\u00bb;]|\s[-\u2013\u2014]\s"
)
_BULLET: Final = re.compile(r"\s*(?:[-*\u2022\u00b7>\u2013]|\(?[0-9]{1,3}[.)])\s+")
_WORDS: Final = 6
"""That may stand beside the matched words in an error line, before a separator."""
_FEW_WORDS: Final = 4
"""That the catalog may not know of an error's own."""
_LABEL_WORDS: Final = 8
_WRAPPED: Final = 55
"""Characters from which a line may go on in the next one."""
_PROSE_WORDS: Final = (
    "i we you they he she our my your us me keep get gets got getting see seen saw seeing "
    "receive received have has had the this that these those what why how when where which "
    "who since because and but so whether if means mean does did do can could please also "
    "still again every error-message says saying said reads called named phrase wording about "
    "like wir ich sie ihr er uns unser unsere bekommen bekomme kommt erhalten haben hat die "
    "der das den dem ein eine und aber wenn weil dass bei immer wieder heißt bedeutet was "
    "warum wie ob bitte nous je vous ils on notre avons recevons le la les un une et mais que "
    "qui pourquoi nosotros yo ustedes nuestro recibimos tenemos el los las una y pero porque "
)
_PROSE: Final = frozenset(_PROSE_WORDS.split())
"""Words of sentences. Error lines hold them only among the words that the catalog knows."""

_GREETING: Final = re.compile(
    r"(?:hi|hello|hey|dear|hallo|guten (?:tag|morgen|abend)|sehr geehrte\w?|liebe[rs]?|moin"
    r"|bonjour|salut|hola|buen[oa]s? \w+|ciao|olá|お世話|お疲れ|こんにちは)\b"
)
_CLOSING: Final = re.compile(
    r"(?:thanks|thank you|many thanks|regards|kind regards|best(?: regards| wishes)?|cheers"
    r"|sincerely|please|danke|vielen dank|gru(?:ß|ss)|(?:viele|beste|liebe|schöne) grü(?:ß|ss)e"
    r"|mit freundlichen|bitte|cordialement|merci|saludos|gracias|por favor"
    r"|よろしく|宜しく|ください)\b"
)
_QUESTION: Final = re.compile(r"\w\s?[?\uff1f]+(?:[\s)\"]|$)|か。?$")


def has_brand(text: str) -> bool:
    """Whether Stella Connect or Agent Connect is named."""
    return _BRAND.search(fold(text)) is not None


def names_package(text: str) -> bool:
    """Whether the package's namespace stands in a text: `StellaConnect`, in one word."""
    return "stellaconnect" in text.casefold()


def apex_heads(text: str) -> tuple[int, ...]:
    """Numbers of the lines that begin with the head of an Apex exception mail."""
    if text.isascii() and "unhandled" not in text.lower():
        return ()
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        start = fold(line[:200])
        if not start.startswith("apex"):
            continue
        whole = fold(" ".join(line[:200] for line in lines[number : number + 3]))
        if whole.startswith(
            (
                "apex script unhandled exception by user",
                "apex script unhandled trigger exception by user",
            )
        ):
            found.append(number)
    return tuple(found)


def is_warning_or_flow(subject: str, text: str) -> bool:
    """Whether this is Salesforce's governor warning or flow error, which is no exception mail."""
    title, start = fold(subject), fold(text[:4_000])
    if "apex governor limit warning" in title or "apex resource warnings:" in start:
        return True
    if title.startswith(("error occurred during flow", "an error occurred with your")):
        return True
    return start.startswith("error element ") and "flow" in start


def is_alert_subject(subject: str, *, is_bulk: bool = False) -> bool:
    """Whether a subject holds the words of Agent Connect's own alerts.

    In bulk mail they end it, or are followed by what the alert is about: news go on about them.
    """
    title = fold(subject)
    return (_ALERT_TITLE.search(title) is not None) if is_bulk else "api error alert" in title


def has_record(links: Sequence[Link]) -> bool:
    """Whether one of the links leads to a record on a Salesforce host."""
    return any(link.record_id for link in links)


def has_agent_connect(links: Sequence[Link]) -> bool:
    """Whether one of the links leads to Agent Connect."""
    return any(is_agent_connect_host(link.host) for link in links)


def is_package_alert(subject: str, text: str, links: Sequence[Link], known: Known) -> bool:
    """Whether what a machine wrote is an alert of the package, known or not."""
    if "stellaconnect__" in text.casefold():
        return True
    branded = has_brand(f"{subject}\n{text[:20_000]}")
    if (branded or has_record(links)) and known(f"{subject}\n{text}"):
        return True
    if is_alert_title(subject):
        return True
    return branded and any(_LABELLED.match(fold(line[:80])) for line in text.split("\n"))


def is_alert_title(subject: str) -> bool:
    """Whether a subject names the brand and that something went wrong."""
    title = fold(subject)
    return _BRAND.search(title) is not None and _ERROR.search(title) is not None


def is_asked_about(text: str, known: Known) -> bool:
    """Whether a known error stands in a question: then a person speaks, whoever sent it."""
    if "?" not in text and "\uff1f" not in text:
        return False
    lines = visible(text).split("\n")
    sentences = (
        sentence.rstrip(" )\"'\u201c\u201d\u00bb")
        for number in _candidates(lines, known)
        for sentence in _SENTENCE_END.split(lines[number])
    )
    return any(one.endswith(("?", "\uff1f")) and known(one) for one in sentences)


def is_conversation(text: str, subject: str = "") -> bool:
    """Whether a person speaks: a greeting, thanks, a question.

    Below the subject of an alert only a question says so: machines are polite as well.
    """
    polite = is_alert_title(subject)
    for line in text.split("\n"):
        folded = fold(_URL.sub("", line[:_LONGEST]))
        if _QUESTION.search(folded):
            return True
        if not polite and (_GREETING.match(folded) or _CLOSING.match(folded)):
            return True
    return False


# Lines that stand alone -----------------------------------------------------------------------


def standing_lines(text: str, known: Known) -> Iterator[int]:
    """Numbers of the lines where a known error stands alone, not inside a sentence."""
    lines = text.split("\n")
    for number in _candidates(lines, known):
        line = lines[number]
        if _is_alone(line, known) and not _is_within(lines, number, number):
            yield number
        elif number + 1 < len(lines) and not known(line):
            joined = f"{line} {lines[number + 1].strip()}"
            alone = _is_alone(joined, known) and not known(lines[number + 1])
            if alone and not _is_within(lines, number, number + 1):
                yield number


def exception_lines(text: str) -> Iterator[int]:
    """Numbers of the lines that are an error which the catalog need not know.

    They begin with an exception's type, or name the brand and what cannot be, and nothing else.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines):
        bare = fold(_BULLET.sub("", _URL.sub("", line[:_LONGEST])))
        refused = _BRAND.search(bare) and _REFUSAL.search(bare) and not _QUESTION.search(bare)
        alone = _EXCEPTION.match(bare) or (refused and _is_short(bare, _ERROR_WORDS))
        if alone and not _is_within(lines, number, number):
            yield number


def status_lines(text: str, known: Known) -> Iterator[int]:
    """Numbers of the lines with a job's status: `First error: …`, as Setup > Apex Jobs shows."""
    for number, line in enumerate(text.split("\n")):
        if line.isascii() and "error:" not in line.lower():
            continue
        bare = fold(_BULLET.sub("", line[:_LONGEST])).lstrip("\"'\u201c\u201e")
        before, mark, after = bare.partition("first error:")
        # A label may stand before it, a sentence may not.
        if not mark or (before and not _is_label(before)) or _goes_on(after):
            continue
        if known(line) or names_package(text):
            yield number


def _goes_on(message: str) -> bool:
    """Whether a person asks about an error message on its line, or says more of it there."""
    _, *further = _SENTENCE_END.split(message.strip())
    said = any(not _PROSE.isdisjoint(_tokens(sentence)) for sentence in further)
    return said or _QUESTION.search(message) is not None


def _candidates(lines: Sequence[str], known: Known) -> Iterator[int]:
    """Lines that hold known words, or begin words that the next line ends."""
    for start in range(0, len(lines), _CHUNK):
        if not known("\n".join(lines[start : start + _CHUNK + 1])):
            continue
        for number in range(start, min(start + _CHUNK, len(lines))):
            line = lines[number]
            if (
                line.strip()
                and len(line) <= _LONGEST
                and known("\n".join(lines[number : number + 2]))
            ):
                yield number


def bare_lines(text: str, known: Known) -> Iterator[int]:
    """Numbers of the lines that are nothing but a known error, with no label but `Error:`."""
    lines = text.split("\n")
    for number in _candidates(lines, known):
        around = _around(lines[number], known)
        if around is None or _is_within(lines, number, number):
            continue
        (*labels, before), (after, *details) = around
        if (
            max(len(before.split()), len(after.split())) <= _FEW_WORDS
            and not any(detail.strip() for detail in details)
            and all(_names_error(label) for label in labels if label.strip())
        ):
            yield number


def _names_error(label: str) -> bool:
    """Whether a label says that an error follows, or is the type of an exception."""
    bare = label.strip()
    is_type = "." in bare and " " not in bare
    return is_type or _LABELLED.fullmatch(fold(f"{bare}:")) is not None


def _is_alone(line: str, known: Known) -> bool:
    """Whether a line is an error, perhaps with a label before and details behind it."""
    around = _around(line, known)
    if around is None:
        return False
    labels, details = around
    # What follows the error words is read up to the first separator only: it may be anything.
    return (
        _is_short(labels[-1], _WORDS)
        and all(_is_label(label) for label in labels[:-1])
        and _is_short(details[0], _WORDS)
        and not any(_is_sentence(detail) for detail in details[1:])
    )


def _around(line: str, known: Known) -> tuple[list[str], list[str]] | None:
    """What stands before and behind a known error on a line, cut at the separators.

    None where the line holds none, or asks about it.
    """
    line = _BULLET.sub("", _URL.sub("", line)).strip(" .!*_\"'\u201c\u201d\u201e\u00ab\u00bb")
    if len(line) > _LONGEST or not known(line) or _QUESTION.search(fold(line)):
        return None
    words = line.split()
    end = _first(range(1, len(words) + 1), lambda stop: known(" ".join(words[:stop])))
    start = len(words[:end]) - _first(
        range(1, end + 1), lambda count: known(" ".join(words[end - count : end]))
    )
    labels = _SEPARATOR.split(" ".join(words[:start]))
    return labels, _SEPARATOR.split(" ".join(words[end:]))


def _first(numbers: range, holds: Callable[[int], bool]) -> int:
    """The smallest number that holds; all above it do as well, and the last one does."""
    low, high = 0, len(numbers) - 1
    while low < high:
        middle = (low + high) // 2
        if holds(numbers[middle]):
            high = middle
        else:
            low = middle + 1
    return numbers[low]


def _tokens(text: str) -> list[str]:
    return [word.strip(".,!") for word in fold(text).split()]


def _is_short(text: str, most: int) -> bool:
    words = _tokens(text)
    return len(words) <= most and _PROSE.isdisjoint(words)


def _is_label(text: str) -> bool:
    return _is_short(text.rstrip(": "), _LABEL_WORDS)


def _is_sentence(text: str) -> bool:
    words = _tokens(text)
    return len(words) > _WORDS and not _PROSE.isdisjoint(words)


def _is_within(lines: Sequence[str], first: int, last: int) -> bool:
    """Whether the lines around, without a blank line between, make it part of a sentence."""
    before = lines[first - 1].rstrip() if first else ""
    if len(before) >= _WRAPPED and before[-1] not in ".:!?\uff1a\u3002" and not _URL.search(before):
        return True
    after = lines[last + 1].strip() if last + 1 < len(lines) else ""
    goes_on = after[:1].islower() and not _URL.match(after) and ":" not in after[:30]
    return goes_on and len(lines[last]) >= _WRAPPED
