"""Rules of a character's answers, what is done where one is broken, and how an answer is cut for a voice."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

MAX_SUFFIXES: Final = 20
MAX_SUFFIX_CHARACTERS: Final = 20
MAX_FORBIDDEN: Final = 50
MAX_FORBIDDEN_CHARACTERS: Final = 200
MAX_STYLE_SENTENCES: Final = 100
MIN_STYLE_CHARACTERS: Final = 10
MAX_STYLE_CHARACTERS: Final = 8_000
MAX_HOLD_BACK_CHARACTERS: Final = 200
MIN_SPEECH: Final = 8
"""Of a segment in its unit; every code point has at most 4 bytes."""

MAX_SPEECH: Final = 2_000

RepairMode = Literal["off", "edit", "edit_then_retry"]
SpeechUnit = Literal["grapheme", "codepoint", "byte"]
SpeechMarkup = Literal["strip", "ssml"]
CheckOutcome = Literal["ok", "repaired", "violated"]
REPAIR_STEPS: Final = ("edit", "retry", "accept")
StyleLanguage = Literal["", "ko", "en", "ja", "zh"]


@dataclass(frozen=True, slots=True)
class SentenceSuffix:
    """How sentences end, before marks and emoji.

    Attributes:
        any: One of these; the first is the one that is added where it is missing. Empty: as it comes.
        min_share: Of sentences outside of quotes, actions and code, 0-1.
    """

    any: tuple[str, ...] = ()
    min_share: float = 0.8


@dataclass(frozen=True, slots=True)
class CharacterStyle:
    """Rules that a machine can check in every answer.

    Attributes:
        language: Of the answer; "" is any.
        max_chars: User-perceived characters (grapheme clusters).
        forbid: Phrases that are never said, whatever their case.
    """

    language: StyleLanguage = ""
    sentence_suffix: SentenceSuffix = SentenceSuffix()
    max_sentences: int | None = None
    max_chars: int | None = None
    forbid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CharacterRepair:
    """What is done where an answer breaks a rule.

    Attributes:
        mode: edit changes what can be changed without the model; edit_then_retry asks it once more besides.
        hold_back_chars: Of a stream's first sentence, until when its language can still be changed.
    """

    mode: RepairMode = "edit_then_retry"
    hold_back_chars: int = 40


@dataclass(frozen=True, slots=True)
class Speech:
    """How an answer is cut for a voice.

    Attributes:
        max_chars: Of one segment, in units.
        markup: strip gives plain text, ssml a `speak` element with that text.
    """

    max_chars: int = 40
    unit: SpeechUnit = "grapheme"
    markup: SpeechMarkup = "strip"


class StyleTelemetry(Protocol):
    """Who counts checks. Never text of a user or a model."""

    def style_checked(self, service: str, check: str, outcome: str) -> None:
        """A rule was looked at in an answer; `outcome` is a `CheckOutcome`."""

    def style_repaired(self, service: str, step: str, tokens: int) -> None:
        """A step of `REPAIR_STEPS` was taken; `tokens` of what was made and not shown."""

    def text_held_back(self, service: str, seconds: float) -> None:
        """Seconds by which the first text of an answer came later for its rules."""
