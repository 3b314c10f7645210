"""A note and facts that a user sets beside a conversation: they are told when its oldest turns no longer are."""

from dataclasses import dataclass
from typing import Final

MAX_PINS: Final = 20
MAX_PIN_CHARACTERS: Final = 500
MAX_NOTE_CHARACTERS: Final = 1_000
MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class Note:
    """How the conversation shall go on, in its user's words.

    Attributes:
        text: "" is no note.
        depth: How many stored turns stand between it and the question; 0 is with the question.
    """

    text: str = ""
    depth: int = 0


NO_NOTE: Final = Note()


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it. `pins`: facts, in the order in which they are told."""

    note: Note = NO_NOTE
    pins: tuple[str, ...] = ()


NOTHING: Final = Standing()
"""Where nobody set anything."""
