"""What one process does for all of them, from time to time."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from chatbot.domain.errors import StoreUnavailable


class Turns(Protocol):
    """Says whose turn it is. See `ErasureStore`."""

    async def take_turn(self, what: str, holder: str, now: float, seconds: float) -> bool:
        """Whether this process is the one that does something for all of them, for so long from now."""


class Rounds:
    """The rounds of one worker, each of them if it is this process's turn.

    Args:
        what: Is done.
        first_seconds: From the start to the first round.
        every_seconds: Between rounds.
        now: Unix seconds.
    """

    def __init__(
        self, turns: Turns, what: str, *, first_seconds: float, every_seconds: float, now: Callable[[], float]
    ) -> None:
        self._turns = turns
        self._what = what
        self._first_seconds = first_seconds
        self._every_seconds = every_seconds
        self._now = now
        self._holder = secrets.token_hex(8)

    async def is_mine(self) -> bool:
        """Whether this round is.

        Raises:
            StoreUnavailable: Nobody knows.
        """
        turn = self._every_seconds * 1.5  # longer than a round: who had it keeps it while it lives
        return await self._turns.take_turn(self._what, self._holder, self._now(), turn)

    async def run(self, work: Callable[[], Awaitable[object]], log: logging.Logger, complaint: str) -> None:
        """Work until cancelled; a round that fails is told of, and the next one comes."""
        await asyncio.sleep(self._first_seconds)
        while True:
            try:
                await work()
            except StoreUnavailable as exc:
                log.warning("%s: %s", complaint, exc)
            except Exception as exc:
                log.error("%s: an unexpected failure", complaint, extra={"error": type(exc).__name__})
            await asyncio.sleep(self._every_seconds)
