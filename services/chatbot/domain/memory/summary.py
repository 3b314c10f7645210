"""What a model wrote down of a conversation's oldest turns: it is told in their place, and they stay stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from chatbot.domain.errors import ChatError

MAX_SUMMARY_BYTES: Final = 8_192

SUMMARY_OUTCOMES: Final = ("made", "gave_way", "empty", "cut", "too_long", "stale", "failed", "dropped")
"""How a try ended: `made`; `gave_way` to a person who asked, or to the process's end; `empty`, `cut` at its bound or
`too_long`, so not kept; `stale`: the conversation was erased meanwhile, or another process was faster; `failed`;
`dropped`: too many wait."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One summary; a newer one takes in the text of the one before.

    Attributes:
        text: As the model wrote it.
        first: Id of the oldest turn that it covers.
        last: Id of the newest one.
        last_at: When that turn was stored, UTC: an id alone may come again once its turn is gone.
        turns: How many it covers.
        model: Name and revision of the model, `name@revision`.
        at: When it was made, UTC.
    """

    text: str
    first: str
    last: str
    last_at: datetime
    turns: int
    model: str
    at: datetime


class NothingToCarry(ChatError):
    """A conversation has neither summary nor note nor pins that a new one could begin with."""


class SummaryTelemetry(Protocol):
    """What comes of summaries, for whoever counts it."""

    def summary_ended(self, service: str, outcome: str, prompt_tokens: int, completion_tokens: int) -> None:
        """A try ended with one of `SUMMARY_OUTCOMES`; tokens are 0 where nobody told them."""
