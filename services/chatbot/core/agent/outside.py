"""An answer whose tools brought something from outside: filtered, and with its sources behind it."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from chatbot.core.agent.loop import AgentLoop
from chatbot.core.question import References, Source, ToolStep
from chatbot.core.retrieval.answer_text import AnswerText, Links, plain_title
from chatbot.core.retrieval.cited import own_texts
from chatbot.core.web.sentences import behind
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, TextPiece
from chatbot.domain.toolservers.proposal import Proposal


class OutsideAnswer:
    """An `AnswerSource`: the loop's answer, cleaned from where it has read of outside, with the sources behind it.

    Args:
        loop: The loop of tools.
        language: Of the sentence in front of the sources.
    """

    def __init__(self, loop: AgentLoop, language: str) -> None:
        self._loop = loop
        self._language = language

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`."""
        await self._loop.check(request)

    async def generate(
        self, request: GenerationRequest
    ) -> AsyncGenerator[GenerationEvent | ToolStep | References | Proposal, None]:
        """As `AnswerSource.generate`."""
        cleaner, tokens = None, 0
        events = self._loop.generate(request)
        async with aclosing(events):
            async for event in events:
                cleaner = cleaner or self._cleaner(request)
                if cleaner is None:
                    yield event
                elif isinstance(event, TextPiece):
                    tokens += event.tokens
                    if text := cleaner.feed(event.text):
                        yield TextPiece(text, tokens)
                        tokens = 0
                elif isinstance(event, Finished):
                    for last in self._end(cleaner, event, tokens):
                        yield last
                else:
                    yield event

    def _end(self, cleaner: AnswerText, finished: Finished, tokens: int) -> Iterator[TextPiece | References | Finished]:
        rest = cleaner.end()
        references = self._references(cleaner)
        if references.sources:
            rest += behind(references, self._language)
        if rest:
            yield TextPiece(rest, tokens)
        if references.sources:
            yield references
        yield finished

    def _cleaner(self, request: GenerationRequest) -> AnswerText | None:
        """The filter; None while nothing of outside was read."""
        pages = self._loop.calls.sources.pages
        if not pages and not self._loop.calls.has_outside:
            return None
        # Where no result has a number, one in brackets is the answer's own affair.
        return AnswerText(Links.of(own_texts(request.dialogue), (page.url for page in pages)), len(pages) or None)

    def _references(self, cleaner: AnswerText) -> References:
        pages = enumerate(self._loop.calls.sources.pages, start=1)
        sources = (Source(n, plain_title(page.title), page.url, n in cleaner.cited) for n, page in pages)
        return References(tuple(sources))
