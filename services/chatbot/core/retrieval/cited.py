"""An answer from sources, cleaned while it is made, so that plain answers, streams and the history are the same."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from chatbot.core.answering.pump import AnswerSource
from chatbot.core.question import ToolStep
from chatbot.core.retrieval.answer_text import AnswerText, Links
from chatbot.domain.chat import Dialogue
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, TextPiece


def own_texts(dialogue: Dialogue) -> tuple[str, ...]:
    """What of a dialogue is the user's or the operator's: instructions, questions, and documents that are quoted."""
    return (dialogue.system, *users_words(dialogue))


def users_words(dialogue: Dialogue) -> tuple[str, ...]:
    """The user's messages, the question last, with the documents that it quotes."""
    asked = [message.content for message in dialogue.history if message.role == "user"]
    return (*asked, dialogue.question.content)


class CitedSource:
    """An `AnswerSource` from the user's documents: what they do not say of links and sources is not said.

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
        cleaner, tokens = AnswerText(Links.of(own_texts(request.dialogue)), self._sources), 0
        events = cast("AsyncGenerator[GenerationEvent | ToolStep, None]", self._source.generate(request))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TextPiece):
                    tokens += event.tokens
                    if told := cleaner.feed(event.text):
                        yield TextPiece(told, tokens)
                        tokens = 0
                    continue
                if isinstance(event, Finished) and (rest := cleaner.end()):
                    yield TextPiece(rest, tokens)
                yield event
