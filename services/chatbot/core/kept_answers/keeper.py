"""Answers of one service, kept for equal questions.

An answer that is kept costs a request of the limits and no tokens. Neither errors are kept nor answers that were cut,
nor any that a tool had a part in. Entries are in this process alone, so that nothing outlives it.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

from chatbot.core.answering.pump import Answer, Reuse
from chatbot.core.answering.ready import repeated
from chatbot.core.keeping import CacheTelemetry, Room
from chatbot.core.kept_answers.equal import Shaped, is_whole
from chatbot.core.kept_answers.flights import Fate, Flight, Kept, Landing
from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.core.limits.metered import Metered
from chatbot.core.question import Done
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Draining, EngineLost
from chatbot.domain.model import ModelInfo
from chatbot.domain.personal.erasure import UserErased

_ENTRY_BYTES: Final = 850
"""What an entry takes besides its text, measured with 100,000 of them."""


@dataclass(frozen=True, slots=True)
class KeepingPolicy:
    """How much is kept, for how long and for whom.

    Attributes:
        seconds: An answer.
        limit_bytes: Of all answers together.
        most: Answers.
        tenants: Whose answers are kept; empty: everybody's.
        shared: Tenants whose users get each other's answers.
    """

    seconds: float = 600.0
    limit_bytes: int = 64 * 2**20
    most: int = 100_000
    tenants: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Way:
    """How one caller gets to an answer.

    Attributes:
        begin: Makes it, with everything that takes.
        count: Counts a request for which nothing is generated.
        finish: Gives back what `count` reserved, or settles it; ends by itself.
        generator: Whose answer it is.
    """

    begin: Callable[[], Awaitable[Answer]]
    count: Callable[[], Awaitable[Hold]]
    finish: Callable[[Hold], object]
    generator: Metered


@dataclass(frozen=True, slots=True)
class _Place:
    """The digest of a question, with who asks it and the model that it was told apart by."""

    digest: bytes
    caller: Caller
    model: ModelInfo | None


class KeptAnswers:
    """What is kept, and what is being made.

    Args:
        service: Whose answers.
        policy: How much, how long, for whom.
        telemetry: Counts.
        clock: Seconds.
        erasures: How often everything of a tenant's user was erased, as `Caller.erasures`.
    """

    def __init__(
        self,
        service: str,
        policy: KeepingPolicy,
        telemetry: CacheTelemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
        erasures: Callable[[str, str], int | None] = lambda _tenant, _user: None,
    ) -> None:
        self._erasures = erasures
        self._service = service
        self._policy = policy
        self._telemetry = telemetry
        self._clock = clock
        self._secret = token_bytes(32)
        self._room: Room[Kept] = Room(policy.limit_bytes, policy.most, clock=clock)
        self._flights: dict[bytes, Flight] = {}

    @property
    def kept_bytes(self) -> int:
        """Of all answers together."""
        return self._room.kept_bytes

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._room)

    async def answer(self, shaped: Shaped, way: Way) -> Answer:
        """The answer: a kept one, the one that is being made for somebody else, or one that is made now.

        Raises:
            ChatError: As `way.begin` and `way.count`; or how the one that is being made ended.
        """
        asked, tenants = shaped.asked, self._policy.tenants
        tenant = asked.caller.tenant
        if (tenants and tenant not in tenants) or not shaped.is_repeatable:
            return await way.begin()
        digest = shaped.digest(self._secret, self._service, for_all_users=tenant in self._policy.shared)
        kept = self._found(digest)
        if kept is not None and self._clock() - kept.made_at <= asked.oldest_seconds:
            self._tell("hit")
            return self._repeated(kept, way, await way.count(), "hit")
        place = _Place(digest, asked.caller, shaped.model)
        flight = self._flights.get(digest)
        if flight is not None:
            self._tell("joined")
            return await self._joined(place, flight, way)
        self._tell("miss")
        return await self._led(place, self._open(place), way)

    def forget(self, is_meant: Callable[[str, str], bool]) -> None:
        """Forget the answers of those whose tenant and user are meant, also what is being made."""
        for flight in self._flights.values():
            flight.is_forgotten = flight.is_forgotten or is_meant(flight.caller.tenant, flight.caller.user)
        self._room.drop_owned(lambda owner: is_meant(owner[0], owner[1]))

    def _open(self, place: _Place, losses: int = 0) -> Flight:
        flight = self._flights[place.digest] = Flight(place.caller, losses)
        return flight

    async def _led(self, place: _Place, flight: Flight, way: Way, hold: Hold = NO_HOLD) -> Answer:
        """Make it, for whoever else waits too. Nothing may be awaited between opening the flight and this."""
        way.finish(hold)
        try:
            answer = await way.begin()
        except BaseException:  # it may be of this caller alone, as his limits are: the next one tries himself
            self._landed(place, flight, Fate.NEXT)
            raise
        answer.reuse = Reuse("miss")
        flight.led_by(answer)
        answer.when_ended(lambda: self._ended(place, flight, answer, way))
        return answer

    async def _joined(self, place: _Place, flight: Flight, way: Way) -> Answer:
        flight.join()
        try:
            hold = await way.count()
            try:
                landing = await flight.landing()
            except BaseException:
                way.finish(hold)
                raise
        finally:
            flight.leave()
        if isinstance(landing, Kept):
            return self._repeated(landing, way, hold, "joined")
        if isinstance(landing, UserErased) and flight.caller != place.caller:  # somebody else's, of a shared tenant
            landing = Fate.NEXT
        if landing is Fate.NEXT:
            other = self._flights.get(place.digest)
            if other is None:
                return await self._led(place, self._open(place, flight.losses), way, hold)
            way.finish(hold)
            return await self._joined(place, other, way)
        way.finish(hold)
        if isinstance(landing, Exception):
            raise landing.with_traceback(None)
        answer = await way.begin()
        answer.reuse = Reuse("miss")
        return answer

    def _repeated(self, kept: Kept, way: Way, hold: Hold, outcome: str) -> Answer:
        hold.repeated()
        way.finish(hold)
        answer = repeated(way.generator.backend, kept.text, way.generator.meter)
        answer.quota = hold.quota
        answer.reuse = Reuse(outcome, max(0.0, self._clock() - kept.made_at))
        return answer

    def _landed(self, place: _Place, flight: Flight, landing: Landing) -> None:
        if self._flights.get(place.digest) is flight:
            del self._flights[place.digest]
        flight.land(landing)

    def _ended(self, place: _Place, flight: Flight, answer: Answer, way: Way) -> None:
        if not flight.has_landed:
            self._landed(place, flight, self._landing(place, flight, answer, way))

    def _landing(self, place: _Place, flight: Flight, answer: Answer, way: Way) -> Landing:
        """What an answer that is over is for those who wait; a whole one is kept."""
        end = answer.outcome
        if isinstance(end, Done):
            if not (is_whole(end) and way.generator.model() == place.model):
                return Fate.ALONE
            kept = Kept(end.text, self._clock(), place.caller)
            if not flight.is_forgotten and self._is_of_now(kept):
                size = len(end.text.encode()) + _ENTRY_BYTES
                self._room.keep(
                    place.digest, kept, self._policy.seconds, size, (place.caller.tenant, place.caller.user)
                )
            return kept
        if isinstance(end, EngineLost) and not flight.losses:  # once more, as for each who asked by himself
            flight.losses += 1
            return Fate.NEXT
        return Fate.NEXT if end is None or isinstance(end, Draining) else end

    def _found(self, digest: bytes) -> Kept | None:
        kept = self._room.find(digest)
        if kept is not None and not self._is_of_now(kept):
            self._room.drop(digest)
            return None
        return kept

    def _is_of_now(self, kept: Kept) -> bool:
        """Whether whoever it was made for was not erased since, here or by another replica."""
        return self._erasures(kept.caller.tenant, kept.caller.user) == kept.caller.erasures

    def _tell(self, outcome: str) -> None:
        self._telemetry.cache_asked(self._service, "answer", outcome)
