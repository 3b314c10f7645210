"""Characters as people see them: grapheme clusters.

Source: UAX #29, extended grapheme clusters; without its rules for Indic conjuncts and prepended marks, which need
tables that Python does not have.
"""

import re
import unicodedata
from typing import Final

_ALONE: Final = re.compile(
    "[\n\x20-\x7e\u00a0-\u02ff\u2010-\u2027\u3000-\u3029\u3041-\u3096\u309b-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff01-\uff9d]*"
)
"""Most of what is written: characters of which none joins another of them."""

_JOINER: Final = "\u200d"
_EXTENDING: Final = frozenset(("Mn", "Me", "Mc"))
_CONTROLS: Final = frozenset(("Cc", "Zl", "Zp"))
_KEYCAP: Final = "\u20e3"
_IN_COLOUR: Final = "\ufe0f"


def graphemes(text: str) -> list[str]:
    """The clusters of a text, in order; joined they are the text."""
    if _ALONE.fullmatch(text):
        return list(text)
    clusters: list[str] = []
    for char in text:
        if clusters and _joins(clusters[-1], char):
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters


def is_emoji(cluster: str) -> bool:
    """Whether a cluster is shown as a picture: whole families, flags and keycaps."""
    return any(_is_picture(char) or char in (_IN_COLOUR, _KEYCAP) or _is_flag(char) for char in cluster)


def _joins(cluster: str, char: str) -> bool:
    last = cluster[-1]
    if char == "\n":
        return last == "\r"
    if unicodedata.category(last) in _CONTROLS or unicodedata.category(char) in _CONTROLS:
        return False
    if _extends(char):
        return True
    if last == _JOINER:
        return _is_picture(char) and any(map(_is_picture, cluster))
    if _is_flag(char):
        return len(cluster) == 1 and _is_flag(last)
    return _is_one_syllable(last, char)


def _extends(char: str) -> bool:
    return (
        unicodedata.category(char) in _EXTENDING
        or char in (_JOINER, "\u200c", "\uff9e", "\uff9f")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _is_flag(char: str) -> bool:
    """Regional indicators: two of them are a flag."""
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_picture(char: str) -> bool:
    """The blocks that emoji are in, without arrows and mathematics."""
    return (
        "\U0001f000" <= char <= "\U0001f1e5"
        or "\U0001f200" <= char <= "\U0001faff"
        or "\u2600" <= char <= "\u27bf"
        or "\u2b00" <= char <= "\u2bff"
        or char in "\u203c\u2049\u231a\u231b\u2328\u23cf\u3030\u303d\u3297\u3299"
        or "\u23e9" <= char <= "\u23fa"
    )


def _is_one_syllable(last: str, char: str) -> bool:
    """Hangul that is written as jamo."""
    kind, before = _jamo(char), _jamo(last)
    return kind != "" and kind in {"L": ("L", "V", "LV", "LVT"), "V": ("V", "T"), "LV": ("V", "T")}.get(
        before, ("T",) if before in ("T", "LVT") else ()
    )


def _jamo(char: str) -> str:
    if "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb":
        return "T"
    if "\uac00" <= char <= "\ud7a3":
        return "LV" if (ord(char) - 0xAC00) % 28 == 0 else "LVT"
    return ""
