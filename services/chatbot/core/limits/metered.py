"""A model whose every generation for one answer is counted, whoever asks for it: the loop, a tool, a repair."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.core.usage.meter import Meter
from chatbot.domain.generation import Backend, Finished, GenerationEvent, GenerationRequest, TextPiece, Usage
from chatbot.domain.model import ModelInfo
from chatbot.domain.outside.upstream_key import is_on_own_key
from chatbot.domain.ports import TextGenerator


class Metered:
    """`TextGenerator` of one answer.

    Attributes:
        meter: What the answer took so far.
        hold: What the answer has reserved; set before it generates.
    """

    def __init__(self, generator: TextGenerator, meter: Meter, estimates: Estimates) -> None:
        self._generator = generator
        self._estimates = estimates
        self.backend = generator.backend
        self.meter = meter
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
        generation.also(partial(self._spent, generation.request))
        events = cast("AsyncGenerator[GenerationEvent, None]", self._generator.generate(generation.request))
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Finished):
                        generation.ended(event.usage)
                    elif isinstance(event, TextPiece):
                        generation.heard(event)
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            generation.cut()
            raise
        except BaseException:
            generation.is_billed = self.backend is Backend.OPENAI and not is_on_own_key(request.upstream_key)
            generation.broke()
            raise

    def forgive(self) -> int:
        """What was made so far is ours, as far as nobody else bills it; its tokens."""
        if self.backend is Backend.LLAMA:
            self.hold.forgive()
        return self.meter.forgive()

    def spent(self) -> Usage:
        """Of the answer so far, as it is billed."""
        return self.meter.usage

    def _spent(self, request: GenerationRequest, usage: Usage) -> None:
        is_estimated = not usage.prompt_tokens
        if is_estimated:
            model = self._generator.model()
            bound = self._estimates.bound(request, model.context_tokens if model else 0)
            usage = replace(usage, prompt_tokens=self._estimates.likely(self.backend, request, bound))
        else:
            self._estimates.learn(self.backend, request, usage.prompt_tokens)
        self.meter.spent(usage, is_estimated=is_estimated, is_ours=not is_on_own_key(request.upstream_key))
