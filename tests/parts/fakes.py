"""Small stand-ins for the core's ports, for tests without an engine or a store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased, StoreUnavailable
from chatbot.domain.generation import (
    Backend,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.memory.standing import Note, Standing
from chatbot.domain.memory.summary import Summary
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolCall


class CountingTelemetry:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.left: list[tuple[str, str, float]] = []
        self.ended: list[tuple[str, FinishReason | str, int, int]] = []
        self.stored: list[tuple[str, str]] = []
        self.first_tokens: list[float] = []
        self.inter_tokens: list[float] = []

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        self.left.append((service, outcome, wait_seconds))

    def first_token(self, service: str, seconds: float) -> None:
        self.first_tokens.append(seconds)

    def inter_token(self, service: str, seconds: float) -> None:
        self.inter_tokens.append(seconds)

    def generation_ended(
        self, service: str, finish: FinishReason | str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        self.ended.append((service, finish, prompt_tokens, completion_tokens))

    def store_operation(self, operation: str, outcome: str, seconds: float) -> None:
        self.stored.append((operation, outcome))

    def outcomes(self) -> list[str]:
        """Outcomes of the line, in order."""
        return [outcome for _, outcome, _ in self.left]


class ScriptedGenerator:
    """Plays one script per generation; the last one again and again.

    A script is a list of: text, a call, seconds to wait (a number), an exception to raise, or a `Finished`. Without a
    `Finished` at its end it ends with `stop`.
    """

    backend = Backend.LLAMA

    def __init__(self, *scripts: Sequence[str | ToolCall | float | Exception | Finished]) -> None:
        self.scripts = list(scripts) or [["안녕", "하세요"]]
        self.requests: list[GenerationRequest] = []
        self.refusal: Exception | None = None
        self.active = 0
        self.cancelled = 0
        self.served: ModelInfo | None = ModelInfo("toy", "0" * 16, "", 1024, "llama3")

    def model(self) -> ModelInfo | None:
        return self.served

    async def check(self, request: GenerationRequest) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.requests.append(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self.active += 1
        tokens = 0
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Finished):
                    yield step
                    return
                if isinstance(step, ToolCall):
                    yield step
                    continue
                if isinstance(step, str):
                    tokens += 1
                    yield TextPiece(step)
                else:
                    await asyncio.sleep(step)
            yield Finished(FinishReason.STOP, Usage(7, tokens), Timings(0.0, 0.5, 1.5))
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.active -= 1


class MemoryStore:
    """Conversations in a dict, with the epochs of the port. `down` makes every call fail, `slow_seconds` wait."""

    def __init__(self) -> None:
        self.conversations: dict[ConversationKey, Conversation] = {}
        self.down = False
        self.failures = 0
        self.slow_seconds = 0.0
        self.calls: list[str] = []

    async def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("down for once")
        if self.down:
            raise StoreUnavailable("down")

    async def load(self, key: ConversationKey) -> Conversation:
        await self._call("load")
        return self.conversations.get(key, Conversation(key))

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        await self._call("append")
        now = self.conversations.get(key, Conversation(key))
        for stored in now.turns:
            if stored.turn_id == turn.turn_id:
                return stored
        if now.epoch != epoch:
            raise ConversationErased
        self.conversations[key] = replace(now, turns=(*now.turns, turn), local_only=now.local_only or local_only)
        return turn

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        await self._call("listing")
        return ()

    async def erase(self, key: ConversationKey) -> None:
        await self._call("erase")
        self.conversations[key] = Conversation(key, epoch=self.conversations.get(key, Conversation(key)).epoch + 1)

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> bool:
        await self._call("remember")
        now = self.conversations.get(key, Conversation(key))
        before = now.standing
        standing = Standing(note or before.note, before.pins if pins is None else tuple(pins))
        self.conversations[key] = replace(now, standing=standing) if now.turns else now
        return bool(now.turns)

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        await self._call("summarise")
        now = self.conversations.get(read.key, Conversation(read.key))
        is_there = any((turn.turn_id, turn.at) == (summary.last, summary.last_at) for turn in now.turns)
        if now.epoch != read.epoch or now.summary != read.summary or not is_there:
            return False
        self.conversations[read.key] = replace(now, summary=summary)
        return True

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        await self._call("swap")
        now = self.conversations.get(key, Conversation(key))
        if turn not in now.turns:
            return False
        swapped = tuple(replace(one, proposals=proposals) if one == turn else one for one in now.turns)
        self.conversations[key] = replace(now, turns=swapped)
        return True

    async def retract(self, key: ConversationKey, turn_id: str) -> None:
        await self._call("retract")
        now = self.conversations.get(key, Conversation(key))
        kept = tuple(turn for turn in now.turns if turn.turn_id != turn_id)
        self.conversations[key] = replace(now, turns=kept, summary=None)

    async def ping(self) -> None:
        await self._call("ping")

    async def close(self) -> None:
        pass
