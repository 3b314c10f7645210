"""Rules of style as questions that a machine can answer of a whole text. Pure; 700 characters take about 2 ms."""

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from chatbot.core.style.graphemes import graphemes
from chatbot.core.style.sentences import split
from chatbot.core.style.spoken import is_spoken, language_in, spoken, spoken_end, without_code
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle

GRAM: Final = 4
"""Words that are looked at together; in scripts without spaces twice as many characters."""

TIMES: Final = 3
WITHIN_GRAMS: Final = 60
"""A loop says the same `GRAM` words `TIMES` times in so many."""

_LAUGHTER: Final = 3
"""A single word that is said again and again is a loop only when it is so many times as long."""

_UNIT: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_MARKER: Final = re.compile(
    r"\{\{[^{}\n]{0,60}\}\}|<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:START|user|char|bot)>", re.IGNORECASE
)
_NAMED: Final = re.compile(r"\{\{\s*(char|user)\s*\}\}|<(char|bot|user)>", re.IGNORECASE)
_MACHINE_NAMES: Final = ("assistant", "어시스턴트", "アシスタント")
_USER_NAMES: Final = ("user", "human", "you", "사용자", "ユーザー", "用户")


@dataclass(frozen=True, slots=True)
class Rules:
    """What an answer is held to.

    Attributes:
        character_name: What `{{char}}` is.
        user_name: What `{{user}}` is.
    """

    style: CharacterStyle
    repair: CharacterRepair
    character_name: str
    user_name: str

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that have something to look at."""
        return tuple(name for name, applies in _APPLIES.items() if applies(self.style))

    @property
    def may_edit(self) -> bool:
        """Whether answers are changed."""
        return self.repair.mode != "off"

    @property
    def may_retry(self) -> bool:
        """Whether the model is asked once more."""
        return self.repair.mode == "edit_then_retry"


def broken(text: str, rules: Rules) -> tuple[str, ...]:
    """The checks that a whole text does not pass."""
    said = Said(text, rules)
    return tuple(name for name in rules.checks if _BROKEN[name](said))


@dataclass(frozen=True)
class Said:
    """A text under rules."""

    text: str
    rules: Rules

    @cached_property
    def sentences(self) -> list[str]:
        """Those with words of the character's own."""
        return [one for one in split(self.text) if is_spoken(one)]


class Loops:
    """Hears a text piece by piece and knows when it turns in a circle."""

    def __init__(self) -> None:
        self._units: deque[str] = deque(maxlen=2 * GRAM * _LAUGHTER)
        self._seen: dict[tuple[str, ...], deque[int]] = {}
        self._count = 0

    def hear(self, text: str) -> bool:
        """Whether it does, with this text."""
        is_loop = False
        for unit in _UNIT.findall(text.casefold()):
            self._units.append(unit)
            self._count += 1
            length = 2 * GRAM if len(unit) == 1 and not unit.isascii() else GRAM
            gram = tuple(self._units)[-length:]
            if len(set(gram)) == 1:
                length *= _LAUGHTER
                gram = tuple(self._units)[-length:]
            if len(gram) < length:
                continue
            places = self._seen.setdefault(gram, deque(maxlen=TIMES))
            places.append(self._count)
            is_loop = is_loop or (len(places) == TIMES and self._count - places[0] <= WITHIN_GRAMS)
        return is_loop


def cleaned(text: str, rules: Rules, *, begins_line: bool) -> str:
    """A sentence without markers that leaked: names in the place of their macros, nothing in that of others.

    Where it begins a line, the label of the speaker goes as well.
    """
    if "`" in text:
        return text
    if "{{" in text or "<" in text or "[" in text:
        text = _MARKER.sub("", _NAMED.sub(lambda found: _name(found, rules), text))
    if not begins_line:
        return text
    return own_label(rules).sub(r"\1", text)


def own_label(rules: Rules) -> re.Pattern[str]:
    """The character's label before a line of its own."""
    return _label((rules.character_name, *_MACHINE_NAMES))


def user_label(rules: Rules) -> re.Pattern[str]:
    """The user's label: from there on the model speaks for the user."""
    return _label((rules.user_name, *_USER_NAMES))


def forbidden_in(text: str, rules: Rules) -> bool:
    """Whether a phrase is said that never is."""
    said = _folded(text)
    return any(_folded(phrase) in said for phrase in rules.style.forbid)


def has_suffix(sentence: str, rules: Rules) -> bool | None:
    """Whether a sentence ends as it shall; None where that cannot be asked of it."""
    if not is_spoken(sentence):
        return None
    end = spoken_end(sentence)
    if end is None:
        return None
    return any(_ends_with(sentence, end, suffix) for suffix in rules.style.sentence_suffix.any)


def _ends_with(sentence: str, end: int, suffix: str) -> bool:
    bare = suffix.rstrip("~～!?.。！？♪♥ ")
    return sentence[:end].endswith(bare) if bare else sentence[end:].startswith(suffix)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _name(found: re.Match[str], rules: Rules) -> str:
    name = (found[1] or found[2]).lower()
    return rules.user_name if name == "user" else rules.character_name


def _label(names: Iterable[str]) -> re.Pattern[str]:
    wanted = "|".join(sorted((re.escape(name) for name in names if name), key=len, reverse=True))
    return re.compile(rf"^(\s*)(?:\*\*)?(?:{wanted})(?:\*\*)?\s*[:：](?:\*\*)?[ \t]*", re.IGNORECASE)


def _lines(said: Said) -> list[str]:
    return without_code(said.text).split("\n")


def _wrong_language(said: Said) -> bool:
    wanted = said.rules.style.language
    found = language_in(said.text, wanted)
    return found not in ("", wanted)


def _few_suffixes(said: Said) -> bool:
    asked = [has for one in said.sentences if (has := has_suffix(one, said.rules)) is not None]
    return bool(asked) and sum(asked) / len(asked) < said.rules.style.sentence_suffix.min_share


def _leaks(said: Said) -> bool:
    text = without_code(said.text)
    label = own_label(said.rules)
    return _MARKER.search(text) is not None or any(label.match(line) for line in text.split("\n"))


_APPLIES: Final[Mapping[str, Callable[[CharacterStyle], bool]]] = {
    "language": lambda style: style.language != "",
    "suffix": lambda style: bool(style.sentence_suffix.any),
    "sentences": lambda style: style.max_sentences is not None,
    "characters": lambda style: style.max_chars is not None,
    "forbidden": lambda style: bool(style.forbid),
    "user_speech": lambda style: True,
    "markers": lambda style: True,
    "loop": lambda style: True,
}
_BROKEN: Final[Mapping[str, Callable[[Said], bool]]] = {
    "language": _wrong_language,
    "suffix": _few_suffixes,
    "sentences": lambda said: len(said.sentences) > (said.rules.style.max_sentences or 0),
    "characters": lambda said: len(graphemes(said.text)) > (said.rules.style.max_chars or 0),
    "forbidden": lambda said: forbidden_in(said.text, said.rules),
    "user_speech": lambda said: any(user_label(said.rules).match(line) for line in _lines(said)),
    "markers": _leaks,
    "loop": lambda said: Loops().hear(spoken(said.text)),
}
CHECKS: Final = tuple(_APPLIES)
"""Names of all checks; labels of metrics."""
