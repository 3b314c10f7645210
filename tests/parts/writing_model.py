"""A stub that is asked for summaries, too: it has a token for each byte, and writes what a test wants written."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from chatbot.core.limits.estimate import prompt_bytes
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import Finished, FinishReason, GenerationEvent, GenerationRequest, TextPiece, Usage
from chatbot.domain.generation import Timings as NoTimings
from chatbot.domain.model import ModelInfo

from parts.stub_generator import StubGenerator


@dataclass
class WritingModel(StubGenerator):
    """`TextGenerator` with a narrow context.

    Args:
        written: What it writes down, one after the other; the last one again and again.
        reason: Why it ends.
        waits: Cleared, it does not begin to write until it is set.
    """

    context_tokens: int = 4_096
    written: Sequence[str] = ("They talked.",)
    reason: FinishReason = FinishReason.STOP
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: list[GenerationRequest] = field(default_factory=list)
    """Requests for summaries; `requests` are those for answers."""

    def __post_init__(self) -> None:
        self.waits.set()

    def model(self) -> ModelInfo | None:
        found = super().model()
        return replace(found, context_tokens=self.context_tokens) if found else None

    async def check(self, request: GenerationRequest) -> None:
        dialogue = request.dialogue
        if dialogue.may_shorten:
            request = replace(request, dialogue=replace(dialogue, history=()))
        answer = request.sampling.max_tokens or self.context_tokens // 8
        if prompt_bytes(request) + answer > self.context_tokens:
            raise PromptTooLong("messages", prompt_bytes(request), self.context_tokens)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        if not request.request_id.startswith("summary-"):
            async for event in super().generate(request):
                yield event
            return
        self.wanted.append(request)
        text = self.written[min(len(self.wanted), len(self.written)) - 1]
        self.running.add(request.request_id)
        try:
            yield TextPiece(text[:3], 1, Usage(99, 0))
            await self.waits.wait()
            yield TextPiece(text[3:])
            yield Finished(self.reason, Usage(99, 2), NoTimings())
        finally:
            self.running.discard(request.request_id)
