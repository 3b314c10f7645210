"""A model backend that says fixed text at a fixed pace, and notes who was stopped: for tests of what is around it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from chatbot.domain.chat import Dialogue
from chatbot.domain.errors import ChatError
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
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolCall


@dataclass
class StubGenerator:
    """Implements `TextGenerator`.

    Args:
        pieces: The answer, piece by piece; calls of tools are pieces too.
        first_seconds: Time before the first piece (the prefill).
        piece_seconds: Time before each piece; 0 yields to the loop only.
        refusal: Raised by `check`.
        failure: Raised by `generate` after `pieces`, instead of the end.
    """

    pieces: Sequence[str | ToolCall] = ("안녕", "하세요", "!")
    backend: Backend = Backend.LLAMA
    name: str = "stub"
    first_seconds: float = 0.0
    piece_seconds: float = 0.0
    refusal: ChatError | None = None
    failure: Exception | None = None
    has_model: bool = True
    keep_requests: bool = True
    requests: list[GenerationRequest] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    prefilling: set[str] = field(default_factory=set)
    stopped: dict[str, float] = field(default_factory=dict)
    """Request id -> `time.monotonic()` at which its generation was cancelled."""

    def model(self) -> ModelInfo | None:
        return ModelInfo(self.name, "0" * 16, "0" * 64, 8192, "chatml") if self.has_model else None

    async def prompt_tokens(self, _dialogue: Dialogue) -> int | None:
        """Nobody can count: there is no vocabulary."""
        return None

    async def check(self, request: GenerationRequest) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        if self.keep_requests:
            self.requests.append(request)
        self.running.add(request.request_id)
        ended = False
        try:
            await self._may_begin()
            self.prefilling.add(request.request_id)
            await asyncio.sleep(self.first_seconds)
            self.prefilling.discard(request.request_id)
            for piece in self.pieces:
                await asyncio.sleep(self.piece_seconds)
                yield piece if isinstance(piece, ToolCall) else TextPiece(piece)
            if self.failure is not None:
                raise self.failure
            ended = True
            has_called = any(isinstance(piece, ToolCall) for piece in self.pieces)
            reason = FinishReason.TOOL_CALLS if has_called else FinishReason.STOP
            yield Finished(reason, Usage(7, len(self.pieces), 0), Timings())
        finally:
            self.running.discard(request.request_id)
            self.prefilling.discard(request.request_id)
            if not ended:
                self.stopped[request.request_id] = time.monotonic()

    async def _may_begin(self) -> None:
        """At once."""


class HeldGenerator(StubGenerator):
    """Begins no answer until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def _may_begin(self) -> None:
        await self.may_answer.wait()
