"""What of a text the character says itself: outside of quotes, actions, brackets and code; and in which language."""

import re
import unicodedata
from typing import Final

HIDDEN: Final = "\0"
_BOLD: Final = re.compile(r"\*\*|__")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_LINK: Final = re.compile(r"\b(?:https?://|www\.)[^\s<>)\]}」』）]+", re.IGNORECASE)
_ASIDE: Final = re.compile(
    r'\*[^*\n]+\*|"[^"\n]*"|“[^”\n]*”|‘[^’\n]*’|「[^」\n]*」|『[^』\n]*』|«[^»\n]*»|《[^》\n]*》'
    r"|\([^()\n]*\)|（[^（）\n]*）|\[[^\[\]\n]*\]|【[^【】\n]*】"
)
_IN_COLOUR: Final = "\ufe0f"
_WORD: Final = 2
"""A word in Latin letters counts as so many characters of Hangul, kana or Han."""

_LEAST: Final = 2
"""With no more than that, nobody can tell the language."""

_KANA_SHARE: Final = 10
"""Japanese has at least one kana among so many of its characters."""


def without_code(text: str) -> str:
    """The text with its code and links hidden, place by place."""
    return _LINK.sub(_hidden, _CODE.sub(_hidden, text))


def spoken(text: str) -> str:
    """The text with everything hidden that the character does not say itself, place by place."""
    plain = _BOLD.sub("  ", without_code(text))
    return _ASIDE.sub(_hidden, plain)


def spoken_end(text: str) -> int | None:
    """Where the last spoken word ends; None where there is none, or something else stands behind it."""
    said = spoken(text)
    for at in range(len(said), 0, -1):
        char = said[at - 1]
        if char == HIDDEN:
            return None
        if char.isalnum() or (unicodedata.category(char) in ("Mn", "Mc") and char != _IN_COLOUR):
            return at
    return None


def is_spoken(text: str) -> bool:
    """Whether it has a word that the character says itself."""
    return any(map(str.isalpha, spoken(text)))


def language_in(text: str, otherwise: str) -> str:
    """The language of a text by its letters: ko, ja, zh, en, or other; "" where it has too few of them.

    Args:
        text: Quotes and actions count only where nothing else does.
        otherwise: Told for a text in Han alone, where that is a language written so.
    """
    for part in (spoken(text), without_code(text)):
        found = _language(part, otherwise)
        if found:
            return found
    return ""


def _language(text: str, otherwise: str) -> str:
    counts = {"ko": 0, "kana": 0, "han": 0, "en": 0, "other": 0}
    is_in_word = False
    for char in unicodedata.normalize("NFKC", text):
        script = _script(char)
        if script and not (script == "en" and is_in_word):
            counts[script] += _WORD if script == "en" else 1
        is_in_word = script == "en" or is_in_word and char in "'’-"
    kana, han = counts["kana"], counts["han"]
    shares = {"ko": counts["ko"], "east": kana + han, "en": counts["en"], "other": counts["other"]}
    if sum(shares.values()) <= _LEAST:
        return ""
    most = max(shares, key=lambda name: shares[name])
    if most != "east":
        return most
    if kana * _KANA_SHARE >= kana + han:
        return "ja"
    return otherwise if otherwise in ("ja", "zh") else "zh"


def _script(char: str) -> str:
    if not char.isalpha():
        return ""
    if "\uac00" <= char <= "\ud7a3" or "\u1100" <= char <= "\u11ff" or "\u3130" <= char <= "\u318f":
        return "ko"
    if "\u3040" <= char <= "\u30ff" or "\u31f0" <= char <= "\u31ff":
        return "kana"
    if "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or "\U00020000" <= char <= "\U0003ffff":
        return "han"
    return "en" if char.isascii() or unicodedata.name(char, "").startswith("LATIN") else "other"


def _hidden(found: re.Match[str]) -> str:
    return HIDDEN * len(found[0])
