"""A model whose every generation for one answer happens in the answer's slot, whoever asks for it: the loop, a tool."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from chatbot.core.waiting.ticket import Ticket
from chatbot.domain.generation import GenerationEvent, GenerationRequest
from chatbot.domain.model import ModelInfo
from chatbot.domain.ports import TextGenerator


class Seated:
    """`TextGenerator` of one answer.

    Attributes:
        ticket: The answer's; set before it generates.
    """

    def __init__(self, generator: TextGenerator) -> None:
        self._generator = generator
        self.backend = generator.backend
        self.ticket: Ticket | None = None

    def model(self) -> ModelInfo | None:
        """See `TextGenerator`."""
        return self._generator.model()

    async def check(self, request: GenerationRequest) -> None:
        """See `TextGenerator`."""
        await self._generator.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """See `TextGenerator`; where the slot was given away, this waits for one first.

        Raises:
            TimedOut: ("generation") Also where there was none until the deadline.
        """
        if self.ticket is None:
            raise RuntimeError("a generation without a ticket of the line")
        async with self.ticket.generating(request.deadline):
            events = cast("AsyncGenerator[GenerationEvent, None]", self._generator.generate(request))
            async with aclosing(events):
                async for event in events:
                    yield event
