"""Where sentences end, found while a text is still being made: one look ahead, whatever pieces the text comes in.

A full stop is no end in 3.14, v1.2, Mr. or node.js; inside of quotes, brackets, actions and code nothing ends. After
。！？ no space is needed, and closing quotes and emoji stay with their sentence. A line break always ends one.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from chatbot.core.style.graphemes import is_emoji

_WIDE: Final = "。！？｡"
_PAUSES: Final = "…‥"
_MARKS: Final = frozenset(f".!?{_WIDE}{_PAUSES}")
_PAIRS: Final = {
    **{'"': '"', "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", "《": "》"},
    **{"(": ")", "（": "）", "[": "]", "【": "】", "*": "*", "`": "`"},
}
_CLOSING: Final = frozenset(_PAIRS.values()) - frozenset('"*`')
_SHORT: Final = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "e.g", "i.e", "cf", "approx", "no.")
)
_WORD_CHARACTERS: Final = 12
_MOST_OPEN: Final = 16
_FENCE: Final = 3


@dataclass(frozen=True, slots=True)
class Border:
    """An end of a sentence.

    Attributes:
        at: Characters of the whole text before it.
        is_pause: Only dots of omission stand there: the sentence may go on.
    """

    at: int
    is_pause: bool = False


class Scanner:
    """Finds the borders of one text; what follows the last of them is its last sentence."""

    def __init__(self) -> None:
        self._at = 0
        self._run = ""  # marks that may end the sentence, and what stays with them
        self._is_quoted = False  # the run stands at the end of a quote
        self._open: list[str] = []
        self._ticks = 0
        self._is_code = False
        self._last = ""
        self._before = ""  # what stands before the run
        self._begin()

    def feed(self, text: str) -> list[Border]:
        """The borders that are known now."""
        found: list[Border] = []
        for char in text:
            border = self._step(char)
            if border is not None:
                found.append(border)
            self._at += 1
            self._last = char
        return found

    def _begin(self) -> None:
        self._has_text = False
        self._word = ""
        self._words = 0

    def _step(self, char: str) -> Border | None:
        self._ticks = self._ticks + 1 if char == "`" else 0
        if self._ticks == _FENCE:
            self._is_code = not self._is_code
            self._open = [one for one in self._open if one != "`"]
            self._run = ""
            self._has_text = True
            return None
        if self._is_code:
            return None
        border = None
        if self._run:
            if _stays(char):
                self._run += char
                return None
            border = self._decided(char)
            self._run = ""
        if char == "\n":
            ended = border or (Border(self._at) if self._has_text else None)
            self._open = []
            self._begin()
            return ended
        if border is not None:
            self._begin()
        self._place(char)
        return border

    def _place(self, char: str) -> None:
        if char.isspace():
            if self._open and self._last == self._open[-1] == "*":
                self._open.pop()  # a bullet, or a product: no action begins with a space
            self._word = ""
            return
        self._words += not self._has_text or self._last.isspace()
        self._has_text = True
        if self._open and char == self._open[-1]:
            self._open.pop()
            if not self._open and self._last in _MARKS:
                self._run, self._is_quoted = self._last + char, True
        elif char in _PAIRS and len(self._open) < _MOST_OPEN:
            self._open.append(_PAIRS[char])
        elif char in _MARKS and not self._open:
            self._run, self._is_quoted, self._before = char, False, self._last
        else:
            self._word = (self._word + char)[-_WORD_CHARACTERS:]

    def _decided(self, char: str) -> Border | None:
        """Whether the marks end the sentence before this character."""
        marks = [mark for mark in self._run if mark in _MARKS]
        if self._is_quoted:
            return Border(self._at) if char.isspace() else None
        if any(mark in _WIDE for mark in marks):
            return Border(self._at)
        if len(marks) > 1 and set(marks) <= set(f".{_PAUSES}") or marks[0] in _PAUSES and len(marks) == 1:
            is_end = not (char.isascii() and char.isalnum())
            return Border(self._at, is_pause=char != "\n") if is_end else None
        if marks == ["."]:
            return Border(self._at) if self._is_full_stop(char) else None
        return Border(self._at) if char.isspace() or not char.isascii() or char in _PAIRS else None

    def _is_full_stop(self, char: str) -> bool:
        word = self._word
        self._word = f"{word}."[-_WORD_CHARACTERS:]
        if not char.isspace():
            return _is_wide(self._before) and (_is_wide(char) or char in _PAIRS)
        is_initial = len(word) == 1 and word.isascii() and word.isupper()
        is_number = word.isdigit() and self._words == 1  # of a list
        return not (is_initial or is_number or word.lower() in _SHORT)


def split(text: str, *, at_pauses: bool = False) -> list[str]:
    """The sentences of a whole text; joined they are the text. White space stands before the sentence behind it."""
    return pieces(text, (border.at for border in Scanner().feed(text) if at_pauses or not border.is_pause))


def pieces(text: str, borders: Iterable[int]) -> list[str]:
    """A text cut at some places."""
    ends = [*dict.fromkeys(borders), len(text)]
    begins = [0, *ends[:-1]]
    return [text[begin:end] for begin, end in zip(begins, ends, strict=True) if begin < end]


def _stays(char: str) -> bool:
    """Whether a character belongs to the marks before it."""
    return char in _MARKS or char in _CLOSING or char in "~～\u200d" or is_emoji(char) or _is_combining(char)


def _is_combining(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me")


def _is_wide(char: str) -> bool:
    """Letters of scripts that put no space behind a sentence, or often none."""
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3"
