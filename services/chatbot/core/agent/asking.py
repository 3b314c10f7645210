"""Questions that a tool asks the model itself, inside the slot that the answer has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from chatbot.domain.chat import Dialogue
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, Sampling, TextPiece, Usage
from chatbot.domain.outside.upstream_key import UpstreamKey
from chatbot.domain.ports import TextGenerator


class Asking:
    """Asks one question after the other: the answer has one slot, and it is free while tools run.

    Attributes:
        deadline: Clock seconds, of the answer that the tools work for.
        upstream_key: As of that answer.
        usage: Of all questions.
    """

    def __init__(self, generator: TextGenerator) -> None:
        self._generator = generator
        self._turn = asyncio.Lock()
        self._count = 0
        self.request_id = ""
        self.deadline = 0.0
        self.upstream_key: UpstreamKey | None = None
        self.usage = Usage(0, 0)

    async def ask(self, dialogue: Dialogue, sampling: Sampling) -> str:
        """The model's whole answer.

        Raises:
            ChatError: As `TextGenerator.generate`.
        """
        async with self._turn:
            self._count += 1
            request_id = f"{self.request_id}+ask{self._count}"
            request = GenerationRequest(request_id, dialogue, sampling, self.deadline, upstream_key=self.upstream_key)
            said = ""
            events = cast("AsyncGenerator[GenerationEvent, None]", self._generator.generate(request))
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TextPiece):
                        said += event.text
                    elif isinstance(event, Finished):
                        self.usage = both(self.usage, event.usage)
            return said


def both(first: Usage, then: Usage) -> Usage:
    """Tokens of two generations."""
    return Usage(
        first.prompt_tokens + then.prompt_tokens,
        first.completion_tokens + then.completion_tokens,
        first.cached_tokens + then.cached_tokens,
    )
