"""One request's way through the line: waiting, then running, then over. Made by `Admission.enter` alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from chatbot.domain.chat import Caller
from chatbot.domain.errors import TimedOut

REPEAT_SECONDS = 10.0
LOOK_SECONDS = 1.0
"""A place near the front is looked up once a second, however fast the line moves."""
NEAR = 20
"""Places behind this one are looked up the less often the farther back they are, at the latest after half of
`REPEAT_SECONDS`: 119 that wait are told 56 times a second, 512 are told 134 times, not once each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands.

    Attributes:
        position: 1 is next, 0 is no longer waiting.
        eta_seconds: Predicted seconds until it starts, >= 0.
    """

    position: int
    eta_seconds: float


def look_seconds(position: int) -> float:
    """How long a ticket at this place waits before it looks where it stands now."""
    return min(LOOK_SECONDS * max(1.0, position / NEAR), REPEAT_SECONDS / 2)


class Phase(Enum):
    """Where a ticket is in its life; it only moves forward."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


class Counter(Protocol):
    """The part of the admission that a ticket speaks to."""

    def place(self, ticket: "Ticket") -> Place:
        """Where a waiting ticket stands now."""

    def give_back(self, ticket: "Ticket", outcome: str | None) -> None:
        """The ticket's place or slot is free again."""


class Ticket:
    """A place in the line, later a slot. Whoever entered must leave, in every phase and on every path.

    Attributes:
        entered_at: Clock seconds.
        deadline: Clock seconds; a ticket that still waits then is evicted.
        started_at: Clock seconds of the dispatch; None before.
    """

    def __init__(
        self, counter: Counter, service: str, caller: Caller, deadline: float, clock: Callable[[], float]
    ) -> None:
        self.service = service
        self.caller = caller
        self.deadline = deadline
        self.entered_at = clock()
        self.started_at: float | None = None
        self.phase = Phase.WAITING
        self.expired = False
        self._counter = counter
        self._clock = clock
        self._settled = asyncio.Event()

    @property
    def waited_seconds(self) -> float:
        """Seconds in the line, so far or until the dispatch."""
        return (self._clock() if self.started_at is None else self.started_at) - self.entered_at

    def start(self) -> None:
        """The admission gives a slot."""
        self.phase = Phase.RUNNING
        self.started_at = self._clock()
        self._settled.set()

    def end(self, *, expired: bool = False) -> None:
        """The admission took back place or slot."""
        self.phase = Phase.OVER
        self.expired = expired
        self._settled.set()

    def leave(self, outcome: str | None = None) -> None:
        """Give back place or slot, in any phase. Idempotent, synchronous.

        Args:
            outcome: Of a ticket that still waits: a label of the queue metrics, by default `client_gone`. Of one
                that runs: `failed` keeps its time out of the measured service times.
        """
        if self.phase is not Phase.OVER:
            self._counter.give_back(self, outcome)

    async def places(self) -> AsyncIterator[Place]:
        """Where it stands: at once, on change (`look_seconds`) and at least every 10 s; 0 is the last, with a slot.

        A ticket that was left yields nothing more.

        Raises:
            TimedOut: ("queue") Its deadline passed in the line; it has left.
        """
        told, told_at = 0, 0.0
        while self.phase is Phase.WAITING:
            now = self._clock()
            if now >= self.deadline:
                self._counter.give_back(self, "expired")
                break
            place = self._counter.place(self)
            if place.position != told or now - told_at >= REPEAT_SECONDS:
                told, told_at = place.position, now
                yield place
                continue
            await self._look_again(min(look_seconds(told), self.deadline - now, told_at + REPEAT_SECONDS - now))
        if self.expired:
            raise TimedOut("queue")
        if self.phase is Phase.RUNNING:
            yield Place(0, 0.0)

    async def _look_again(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            pass
