"""Conversations as the core uses them: every store call bounded in time, measured, and with one meaning of "down"."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased, ConversationNotFound, StoreUnavailable
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary
from chatbot.domain.personal.erasure import NO_GUARD, Guard, UserErased
from chatbot.domain.ports import ConversationStore, Telemetry

STORE_SECONDS = 3.0


class History:
    """The conversations of one service.

    Args:
        service: Part of every conversation's identity.
        store: Where they live.
        telemetry: Is told of every call.
        refuses_when_down: Whether a question is refused while the store does not answer; else it is answered
            without history.
        guard: Knows who was erased.
    """

    def __init__(
        self,
        service: str,
        store: ConversationStore,
        telemetry: Telemetry,
        *,
        refuses_when_down: bool,
        guard: Guard = NO_GUARD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._store = store
        self._telemetry = telemetry
        self._guard = guard
        self._clock = clock
        self.refuses_when_down = refuses_when_down

    def key(self, caller: Caller, db_id: str) -> ConversationKey:
        """Identity of a conversation of this service."""
        return ConversationKey(self._service, caller, db_id)

    async def load(self, key: ConversationKey) -> Conversation | None:
        """Read a conversation; None where the store is down and questions are answered all the same.

        Raises:
            StoreUnavailable: The store is down and questions are refused meanwhile; within 3 s.
        """
        try:
            async with self._measured("load"):
                return await self._store.load(key)
        except StoreUnavailable:
            if self.refuses_when_down:
                raise
            return None

    async def append(self, read: Conversation, turn: Turn, *, local_only: bool) -> Turn | None:
        """Store a turn of a conversation as it was read; None where it could not be, and that is allowed.

        Tried twice where it must be stored: the turn's id makes that safe.

        Returns:
            The turn that is stored now; another one of the same id may have come first.

        Raises:
            ConversationErased: The conversation, or everything of its user, was erased meanwhile.
            StoreUnavailable: It could not be stored, and must be.
        """
        try:
            return await self._append(read, turn, local_only)
        except StoreUnavailable:
            if not self.refuses_when_down:
                return None
        return await self._append(read, turn, local_only)

    async def listing(self, caller: Caller, *, limit: int, after: str = "") -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations, as `ConversationStore.listing`.

        Raises:
            StoreUnavailable: Within 3 s.
        """
        async with self._measured("listing"):
            return await self._store.listing(self._service, caller, limit=limit, after=after)

    async def read(self, key: ConversationKey) -> Conversation:
        """Read a conversation for its user.

        Raises:
            StoreUnavailable: Within 3 s, whatever is done with questions meanwhile.
        """
        async with self._measured("load"):
            return await self._store.load(key)

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> None:
        """Set what stands beside a conversation's turns; None leaves it as it is. Idempotent.

        Raises:
            ConversationNotFound: It has no turn.
            StoreUnavailable: Within 3 s.
        """
        async with self._measured("remember"):
            is_there = await self._store.remember(key, note=note, pins=pins)
        if not is_there:
            raise ConversationNotFound

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        """Keep a summary of a conversation as it was read; whether it is kept. See `ConversationStore.summarise`.

        Raises:
            UserErased: The user was erased since `read.key.caller` asked.
            StoreUnavailable: Within 3 s.
        """
        async with self._measured("summarise"):
            await self._guard.check(read.key.caller)
            return await self._store.summarise(read, summary)

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        """Put other proposals in the place of a turn's, where they are still the same; whether that was done.

        Raises:
            StoreUnavailable: Within 3 s; it is not known whether it was done.
        """
        async with self._measured("swap"):
            return await self._store.swap(key, turn, proposals)

    async def erase(self, key: ConversationKey) -> None:
        """Erase a conversation. Idempotent.

        Raises:
            StoreUnavailable: Within 3 s.
        """
        async with self._measured("erase"):
            await self._store.erase(key)

    async def _append(self, read: Conversation, turn: Turn, local_only: bool) -> Turn:
        async with self._measured("append"):
            await self._guard.check(read.key.caller)
            stored = await self._store.append(read.key, turn, epoch=read.epoch, local_only=local_only)
            try:
                await self._guard.check(read.key.caller)
            except UserErased:  # between the two: what was written is taken back, and nothing else
                await self._store.retract(read.key, stored.turn_id)
                raise
            return stored

    @asynccontextmanager
    async def _measured(self, operation: str) -> AsyncIterator[None]:
        began = self._clock()

        def told(outcome: str) -> None:
            self._telemetry.store_operation(operation, outcome, self._clock() - began)

        try:
            async with asyncio.timeout(STORE_SECONDS):
                yield
        except ConversationErased:
            told("conflict")
            raise
        except StoreUnavailable:
            told("unavailable")
            raise
        except TimeoutError as exc:
            told("unavailable")
            raise StoreUnavailable("the conversation store does not answer") from exc
        told("ok")
