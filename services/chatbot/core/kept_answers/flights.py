"""An answer that is being made, and those who wait for the same one.

It goes on as long as anybody wants it: where whoever asked first has left, it is made for the others.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto

from chatbot.core.answering.pump import Answer
from chatbot.domain.chat import Caller


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer. `made_at` is clock seconds; `caller` is whom it was made for."""

    text: str
    made_at: float
    caller: Caller


class Fate(Enum):
    """What those who waited do where there is no answer for them."""

    NEXT = auto()
    """Nobody makes it any more: one of them does."""
    ALONE = auto()
    """It is of the one who asked alone: each of them asks by himself."""


Landing = Kept | Fate | Exception


class Flight:
    """One answer that is being made.

    Args:
        caller: Whose it is.
        losses: How often the engine died of it, or with it.

    Attributes:
        is_forgotten: Whether its owner was erased since it began: it is not kept.
    """

    def __init__(self, caller: Caller, losses: int = 0) -> None:
        self.caller = caller
        self.losses = losses
        self.is_forgotten = False
        self._landed: asyncio.Future[Landing] = asyncio.get_running_loop().create_future()
        self._answer: Answer | None = None
        self._waiting = 0
        self._is_left = False

    @property
    def has_landed(self) -> bool:
        """Whether it is over."""
        return self._landed.done()

    def led_by(self, answer: Answer) -> None:
        """The answer is on its way."""
        self._answer = answer
        answer.goes_on = self._goes_on

    def land(self, landing: Landing) -> None:
        """Tell everybody who waits; the first one counts."""
        if not self._landed.done():
            self._landed.set_result(landing)

    def join(self) -> None:
        """Somebody waits."""
        self._waiting += 1

    def leave(self) -> None:
        """Somebody waits no longer; where nobody is left, it is given up."""
        self._waiting -= 1
        if self._is_left and not self._waiting and self._answer is not None:
            self._answer.give_up()

    async def landing(self) -> Landing:
        """How it ended."""
        return await asyncio.shield(self._landed)  # whoever leaves takes nobody with him

    def _goes_on(self) -> bool:
        """Whoever asked first has left: whether somebody else waits."""
        self._is_left = True
        return self._waiting > 0
