"""Pictures of errors: what they say cannot be read, only what stands beside them."""

from __future__ import annotations

import re
from typing import Final

from triage.mail import evidence, phrases, sender
from triage.mail.message import Mail

_TEXT: Final = 400
"""Characters beside a picture that leave it to the picture to say what happened."""
_PICTURE: Final = re.compile(
    r"screen ?shot|screen ?capture|attached|attachment|see below|picture|image\b|anbei|bild\b"
    r"|anhang|siehe unten|capture|pièce jointe|ci-joint|captura|adjunt|スクリーンショット|添付"
)
_PROBLEM: Final = re.compile(
    r"\b(?:error|errors|exception|failed|failure|fehler|fehlermeldung|erreur|message)\b|エラー"
)
_PLATFORM_WORDS: Final = ("apex", "salesforce", "developer script exception")


def is_one(mail: Mail) -> bool:
    """Whether a person sends a picture of an error of ours, with hardly any text."""
    pictures = [a for a in mail.attachments if a.content_type.startswith("image/")]
    text = mail.newest.strip()
    if not pictures or len(pictures) < len(mail.attachments) or len(text) > _TEXT:
        return False
    words = phrases.fold(f"{mail.subject} {text}")
    about_us = evidence.has_brand(words) or any(word in words for word in _PLATFORM_WORDS)
    if not (about_us and _PROBLEM.search(words)) or sender.is_reply(mail):
        return False
    return not (text and evidence.is_conversation(text) and not _PICTURE.search(words))
