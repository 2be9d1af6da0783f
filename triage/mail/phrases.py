"""What mail programs of many languages write around what people write: marks, labels, prefixes.

Everything is in folded form: see `fold`. Observed in Outlook, Gmail, Apple Mail, Thunderbird,
Notes, mutt and their translations.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")


def fold(text: str) -> str:
    """One line for comparison: compatibility forms, case and blanks made alike (NFKC)."""
    if not text.isascii():
        text = visible(unicodedata.normalize("NFKC", text)).replace("\u2019", "'")
    return " ".join(text.split()).casefold()


def visible(text: str) -> str:
    """A text without the characters that have no width."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


FORWARDED: Final = frozenset(
    (
        "forwarded message",
        "forwarded mail",
        "weitergeleitete nachricht",
        "weitergeleitete mail",
        "message transféré",
        "message transmis",
        "courriel transféré",
        "mensaje reenviado",
        "転送されたメッセージ",
        "転送メッセージ",
        "messaggio inoltrato",
        "mensagem encaminhada",
        "mensagem reencaminhada",
        "doorgestuurd bericht",
        "vidarebefordrat meddelande",
        "videresendt meddelelse",
        "videresendt melding",
        "przekazana wiadomość",
        "wiadomość przekazana dalej",
        "пересылаемое сообщение",
        "пересланное сообщение",
        "转发的邮件",
        "轉寄郵件",
        "전달된 메시지",
    )
)
"""Between dashes, above a forwarded mail."""

FORWARDED_BY: Final = ("forwarded by ", "weitergeleitet von ", "forwarded message from ")
"""The same with a name and a date behind it (Notes, mutt)."""

BEGIN_FORWARDED: Final = frozenset(
    (
        "begin forwarded message:",
        "anfang der weitergeleiteten nachricht:",
        "anfang der weitergeleiteten e-mail:",
        "début du message transféré :",
        "début du message transféré:",
        "début du message réexpédié :",
        "début de l'e-mail transféré :",
        "inicio del mensaje reenviado:",
        "empieza el mensaje reenviado:",
        "転送されたメッセージ:",
        "inizio messaggio inoltrato:",
        "início da mensagem encaminhada:",
        "início da mensagem reencaminhada:",
        "begin doorgestuurd bericht:",
        "vidarebefordrat brev:",
        "vidarebefordrat mejl:",
        "start på videresendt besked:",
        "videresendt melding:",
        "początek przekazywanej wiadomości:",
        "начало переадресованного сообщения:",
        "下面是被转发的邮件:",
    )
)
"""Apple Mail, without dashes."""

END_FORWARDED: Final = frozenset(
    (
        "end forwarded message",
        "end of forwarded message",
        "ende der weitergeleiteten nachricht",
        "fin du message transféré",
        "fin del mensaje reenviado",
    )
)

ORIGINAL: Final = frozenset(
    (
        "original message",
        "original appointment",
        "ursprüngliche nachricht",
        "originalnachricht",
        "original-nachricht",
        "ursprünglicher termin",
        "message d'origine",
        "message original",
        "courriel original",
        "mensaje original",
        "元のメッセージ",
        "オリジナルメッセージ",
        "messaggio originale",
        "mensagem original",
        "oorspronkelijk bericht",
        "ursprungligt meddelande",
        "oprindelig meddelelse",
        "opprinnelig melding",
        "oryginalna wiadomość",
        "исходное сообщение",
        "原始邮件",
        "원본 메시지",
    )
)
"""Between dashes: a reply's history, or a forward when the subject says so."""

_LABELS: Final = {
    "from": "from von de da van från fra od от 差出人 送信者 发件人 寄件者 보낸사람 lähettäjä "
    "expéditeur absender mittente remitente από feladó kimden",
    "date": "date sent gesendet datum envoyé enviado data fecha inviato verzonden skickat skickad "
    "sendt dato wysłano 送信日時 送信日 日付 日時 发送时间 日期 보낸날짜 날짜 отправлено дата "
    "lähetetty enviadoel enviadaem envoyéle gesendetam odesláno odoslané elküldve gönderildi "
    "tarih στάλθηκε ημερομηνία enviat trimis 寄件日期",
    "to": "to an à a para aan til till do кому 宛先 收件人 收件者 받는사람 vastaanottaja "
    "destinataire komu címzett kime προς pera către",
    "subject": "subject betreff objet asunto oggetto assunto onderwerp ämne emne temat тема 件名 "
    "主题 主旨 제목 aihe sujet předmět predmet tárgy konu θέμα subiect tema",
    "other": "cc bcc kopie copie copia ccn kopi kopia reply-to antwortan répondreà importance "
    "wichtigkeit priority priorität attachments anlagen anhänge piècesjointes 添付ファイル 重要度 "
    "копия dw организация organization organisation resent-from importancia cópia",
}
LABELS: Final = {label: kind for kind, labels in _LABELS.items() for label in labels.split()}
"""Labels of a header block inside a text, without blanks, and what they stand for."""

NOTICES: Final = (
    "confidentiality notice",
    "this e-mail and any attachments",
    "this email and any attachments",
    "this message and any attachments",
    "diese e-mail enthält vertrauliche",
    "der inhalt dieser e-mail ist vertraulich",
    "ce message et ses pièces jointes",
    "este mensaje y sus archivos adjuntos",
)
"""How the legal notice begins that closes the mails of many companies."""

WROTE: Final = (
    "wrote",
    "schrieb",
    "a écrit",
    "escribió",
    "ha scritto",
    "escreveu",
    "schreef",
    "skrev",
    "napisał",
    "pisze",
    "kirjoitti",
    "написал",
    "пишет",
    "書きました",
    "写道",
    "작성",
)
ATTRIBUTION_STARTS: Final = (
    "on ",
    "am ",
    "le ",
    "el ",
    "il ",
    "em ",
    "op ",
    "den ",
    "w dniu ",
    "dnia ",
    "på ",
    "в ",
    "在 ",
)

_TAGS: Final = r"\s*(?:\[[^\]]{0,60}\]\s*)*"
_FORWARD: Final = (
    r"fwd?|wg|tr|trs|rv|i|vb|enc|pd|doorst|reenv|vl|πρθ|i\u0307?lt|tov|továbbítás|הועבר"
    r"|転送|转发|轉寄|전달"
)
_REPLY: Final = (
    r"re|aw|sv|antw|antwort|rif|r|res|odp|vs|ynt|bls|vá|απ|σχετ|תגובה|答复|回复|回覆|返信|회신"
)
_COUNT: Final = r"\s?(?:\[\d{1,3}\]|\(\d{1,3}\)|\d{1,3})?\s?[::]"
_IS_FORWARD: Final = re.compile(rf"{_TAGS}(?:{_FORWARD}){_COUNT}", re.IGNORECASE)
_IS_REPLY: Final = re.compile(rf"{_TAGS}(?:{_REPLY}){_COUNT}", re.IGNORECASE)
_PREFIX: Final = re.compile(
    rf"\s*(?:\[(?:external|extern|ext|externe|externo)\]|(?:{_FORWARD}|{_REPLY}){_COUNT})\s*",
    re.IGNORECASE,
)


def is_forward(subject: str) -> bool:
    """Whether the first prefix of a subject says that the mail is a forward."""
    return _IS_FORWARD.match(subject) is not None


def is_reply(subject: str) -> bool:
    """Whether the first prefix of a subject says that the mail is a reply."""
    return _IS_REPLY.match(subject) is not None


def without_prefixes(subject: str) -> str:
    """A subject without the marks of replies and forwards and of mail gateways before it."""
    for _ in range(10):
        match = _PREFIX.match(subject)
        if match is None:
            break
        subject = subject[match.end() :]
    return subject


_ANY_PREFIX: Final = re.compile(r"[^\W\d_]{1,12}(?: [^\W\d_]{1,12})? ?: ?")


def bare_subject(subject: str) -> str:
    """A subject for comparison, folded, without prefixes of any language."""
    bare = fold(without_prefixes(subject))
    for _ in range(5):
        match = _ANY_PREFIX.match(bare)
        if match is None:
            break
        bare = bare[match.end() :]
    return bare


_ACKNOWLEDGED: Final = re.compile(
    r"reply above this line|do not write below this line|antwort(?:en sie)? oberhalb dieser zeile"
    r"|your (?:request|ticket|case|enquiry|inquiry|message)(?: \(?[#\w-]{1,30}\)?)? has been"
    r" (?:received|created|opened|logged|registered)|we(?:'ve| have) received your"
    r"|thank you for contacting|eingangsbestätigung|ihre (?:anfrage|nachricht) ist (?:bei uns )?"
    r"eingegangen|votre demande a (?:bien )?été (?:reçue|enregistrée)|hemos recibido su"
    r"|お問い合わせを受け付けました"
)
_ACKNOWLEDGED_WITHIN: Final = 600
"""Characters at the top of an acknowledgement that say what it is."""


def is_acknowledgement(subject: str, text: str) -> bool:
    """Whether a ticket system says that it took a mail, which it may quote."""
    return _ACKNOWLEDGED.search(fold(f"{subject}\n{text[:_ACKNOWLEDGED_WITHIN]}")) is not None


_LEAVING: Final = re.compile(
    r"unsubscribe|abbestell|abmelden|désabonn|désinscri|darse de baja|disiscri|afmelden|配信停止"
)
_LEAVING_WITHIN: Final = 2_000
"""Characters at the end of a newsletter that say how to leave its list."""


def offers_leaving(text: str) -> bool:
    """Whether a text says how to be taken off a list, as newsletters do."""
    return _LEAVING.search(fold(text[-_LEAVING_WITHIN:])) is not None


_ABSENT: Final = re.compile(
    r"\s*(?:(?:automatic|auto|automated)[ -]?(?:reply|response|answer)\b"
    r"|autoreply\b|auto:|out of (?:the )?office\b|ooo\b\s?[:-]"
    r"|abwesenheit|abwesend\b|automatische antwort|automatisch antwoord|ich bin (?:nicht|abwesend)"
    r"|réponse automatique|absence (?:du|de) |absence\s?:|absent(?:e)? du bureau|absent(?:e)?\s?:"
    r"|respuesta automática|fuera de (?:la )?oficina|ausencia\b"
    r"|risposta automatica|fuori (?:sede|ufficio)|resposta automática|ausência\b|fora do escritório"
    r"|autosvar|automatiskt svar|frånvaro|fravær|automaattinen vastaus|poissa\b"
    r"|autoodpowiedź|automatyczna odpowiedź|nieobecno"
    r"|автоответ|автоматический ответ|自動応答|自動返信|不在|自动回复|自動回覆|자동 회신|부재중)",
    re.IGNORECASE,
)


def is_absence(subject: str) -> bool:
    """Whether a subject is one of an out-of-office answer, in any of many languages."""
    return _ABSENT.match(without_prefixes(subject)) is not None
