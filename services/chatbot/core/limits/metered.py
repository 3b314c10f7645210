"""A model whose every generation for one answer is counted, whoever asks for it: the loop, a tool, a repair."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, TextPiece
from chatbot.domain.model import ModelInfo
from chatbot.domain.ports import TextGenerator


class Metered:
    """`TextGenerator` of one answer.

    Attributes:
        hold: What the answer has reserved; set before it generates.
    """

    def __init__(self, generator: TextGenerator) -> None:
        self._generator = generator
        self.backend = generator.backend
        self.hold: Hold = NO_HOLD

    def model(self) -> ModelInfo | None:
        """See `TextGenerator`."""
        return self._generator.model()

    async def check(self, request: GenerationRequest) -> None:
        """See `TextGenerator`."""
        await self._generator.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """See `TextGenerator`.

        Raises:
            RateLimited: The limits have no room for one more generation; none was begun.
        """
        generation = await self.hold.admit(request)
        events = cast("AsyncGenerator[GenerationEvent, None]", self._generator.generate(generation.request))
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Finished):
                        generation.ended(event.usage)
                    elif isinstance(event, TextPiece):
                        generation.heard(event.tokens)
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            generation.cut()
            raise
        except BaseException:
            generation.broke()
            raise
