"""An answer whose marks are checked while it is made, so that plain answers, streams and the history are the same.

Text is handed on at once; only what may become a mark waits for its end: a few characters.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast

from chatbot.core.answering.pump import AnswerSource
from chatbot.core.question import ToolStep
from chatbot.core.retrieval.citations import checked
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, TextPiece

_OPENING: Final = "[［"
_CLOSING: Final = "]］"
_BETWEEN: Final = ",、，"


class Marks:
    """Takes marks that name no source out of a text that comes in pieces; where it is cut changes nothing.

    Args:
        sources: How many there are.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._held = ""
        self._depth = 0

    def read(self, text: str) -> str:
        """What is certain now; "" while everything may still become a mark."""
        return "".join(map(self._next, text))

    def end(self) -> str:
        """What was held back."""
        held, self._held, self._depth = self._held, "", 0
        return checked(held, self._sources)[0]

    def _next(self, character: str) -> str:
        if character in _OPENING:
            self._depth += 1
        elif not self._may_continue(character):
            return f"{self.end()}{character}"
        self._held += character
        if self._depth and character in _CLOSING:
            self._depth -= 1
            if not self._depth:
                return self.end()
        return ""

    def _may_continue(self, character: str) -> bool:
        """Whether what is held, with this character, may be a mark or the space before one."""
        if not self._depth:
            return character in " \t"
        return character.isdecimal() or character.isspace() or character in _BETWEEN or character in _CLOSING


class CitedSource:
    """An `AnswerSource` whose text has passed `Marks`.

    Args:
        source: The backend, or the loop of tools before it.
        sources: How many sources there are.
    """

    def __init__(self, source: AnswerSource, sources: int) -> None:
        self._source = source
        self._sources = sources

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`."""
        await self._source.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent | ToolStep, None]:
        """As `AnswerSource.generate`."""
        marks, tokens = Marks(self._sources), 0
        events = cast("AsyncGenerator[GenerationEvent | ToolStep, None]", self._source.generate(request))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TextPiece):
                    tokens += event.tokens
                    if told := marks.read(event.text):
                        yield TextPiece(told, tokens)
                        tokens = 0
                    continue
                if isinstance(event, Finished) and (rest := marks.end()):
                    yield TextPiece(rest, tokens)
                yield event
