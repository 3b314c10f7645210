"""Bytes of a text file -> text: UTF-8, what a byte order mark says, else Korean or Japanese by what it would say.

The two overlap: almost any Japanese file is also some Korean. What decides is how much of it would be usual: syllables
of KS X 1001 on one side, kana and Han characters on the other.
"""

import codecs

from chatbot.domain.documents import FailureReason, Unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_CHARACTERS = 100_000


def decoded(content: bytes) -> str:
    """The text.

    Raises:
        Unreadable: `unsupported_type`: no text in an encoding that can be told.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _strictly(content, encoding) or _unreadable()
    if b"\0" in content:
        _unreadable()
    text = _strictly(content, "utf-8")
    if text is not None:
        return text
    readings = {encoding: _strictly(content, encoding) for encoding in ("cp949", "shift_jis")}
    sensible = {
        encoding: _sense(text, encoding) for encoding, text in readings.items() if text and _sense(text, encoding) > 0
    }
    if not sensible:
        _unreadable()
    return readings[max(sensible, key=lambda encoding: sensible[encoding])] or ""


def _unreadable() -> str:
    raise Unreadable(FailureReason.UNSUPPORTED_TYPE)


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _sense(text: str, encoding: str) -> float:
    """Usual characters less unusual ones, per character that is not ASCII; 0 and below is nonsense."""
    foreign = [character for character in text[:_SAMPLE_CHARACTERS] if not character.isascii()]
    usual = {character: _worth(character, encoding) for character in set(foreign)}
    return sum(usual[character] for character in foreign) / max(1, len(foreign))


def _worth(character: str, encoding: str) -> float:
    if "\u4e00" <= character <= "\u9fff":
        return 0.6 if encoding == "shift_jis" else 0.1
    if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff5e":
        return 0.2  # punctuation and full-width forms
    if encoding == "shift_jis":
        return 1.0 if "\u3041" <= character <= "\u30fc" else -1.0
    try:
        return 1.0 if "가" <= character <= "힣" and character.encode("euc_kr") else -0.3
    except UnicodeEncodeError:
        return -1.0
