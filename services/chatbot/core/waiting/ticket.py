"""One request's way through the line: waiting, then running, then over. Made by `Admission.enter` alone.

Between two generations of one answer, while its tools run, the slot is given away and taken back before newcomers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
REST_SECONDS = 0.25
"""A slot in which nothing is generated is kept for so long: most tools take milliseconds, and whoever gives a slot
away may wait a whole answer for the next one."""


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
    """Where a ticket is in its life; it moves forward, but for RUNNING and ASIDE, which may alternate."""

    WAITING = "waiting"
    RUNNING = "running"
    ASIDE = "aside"
    OVER = "over"


class Counter(Protocol):
    """The part of the admission that a ticket speaks to."""

    def place(self, ticket: "Ticket") -> Place:
        """Where a waiting ticket stands now."""

    def give_back(self, ticket: "Ticket", outcome: str | None) -> None:
        """The ticket's place or slot is free again."""

    def step_aside(self, ticket: "Ticket") -> bool:
        """The ticket needs its slot no more for a while; False where it has to keep it."""

    def come_back(self, ticket: "Ticket") -> None:
        """A ticket that is aside wants a slot again, before all that wait."""

    def stay_aside(self, ticket: "Ticket") -> None:
        """It wants none any more."""


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
        self._seated = asyncio.Event()
        self._seated_at = 0.0
        self._held_before = 0.0
        self._generations = 0
        self._resting: asyncio.TimerHandle | None = None

    @property
    def waited_seconds(self) -> float:
        """Seconds in the line, so far or until the dispatch."""
        return (self._clock() if self.started_at is None else self.started_at) - self.entered_at

    @property
    def held_seconds(self) -> float:
        """Seconds for which it has held a slot."""
        running = self._clock() - self._seated_at if self.phase is Phase.RUNNING else 0.0
        return self._held_before + running

    def start(self) -> None:
        """The admission gives a slot: the first one, or one to go on in."""
        self.phase = Phase.RUNNING
        self._seated_at = self._clock()
        if self.started_at is None:
            self.started_at = self._seated_at
        self._settled.set()
        self._seated.set()

    def aside(self) -> None:
        """The admission took the slot back, and gives one again when this ticket asks."""
        self._held_before = self.held_seconds
        self.phase = Phase.ASIDE
        self._seated.clear()

    def end(self, *, expired: bool = False) -> None:
        """The admission took back place or slot."""
        self._awake()
        self._held_before = self.held_seconds
        self.phase = Phase.OVER
        self.expired = expired
        self._settled.set()
        self._seated.set()

    def rest(self) -> None:
        """Nothing is generated from now on: after a moment the slot is somebody else's, until `generating`."""
        self._awake()
        if self.phase is Phase.RUNNING and not self._generations:
            self._resting = asyncio.get_running_loop().call_later(REST_SECONDS, self._step_aside)

    @asynccontextmanager
    async def generating(self, deadline: float) -> AsyncIterator[None]:
        """Hold the slot for a generation; where it was given away, wait for one, before everybody who is new.

        Args:
            deadline: Clock seconds.

        Raises:
            TimedOut: ("generation") There was none until then.
        """
        self._generations += 1
        try:
            self._awake()
            await self._back(deadline)
            yield
        finally:
            self._generations -= 1
            self.rest()

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

    async def _back(self, deadline: float) -> None:
        if self.phase is not Phase.ASIDE:
            return
        self._counter.come_back(self)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                await self._seated.wait()
        except TimeoutError:
            raise TimedOut("generation") from None
        finally:
            self._counter.stay_aside(self)

    def _step_aside(self) -> None:
        if not self._counter.step_aside(self):
            self.rest()

    def _awake(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
