"""An answer that uses the web: one search before the model is asked, then the answer with its sources.

What leaves the house is decided before any outside text was seen: the question as the user wrote it, and the addresses
that the provider named. Nothing that a page says can cause another call (ADR 0015). Passages of the user's documents,
where the question has any, are sources too: theirs are the first numbers.
"""

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import Final, cast

from chatbot.core.agent.toolbox import Outcome, Toolbox
from chatbot.core.answering.pump import AnswerSource
from chatbot.core.language import language_of
from chatbot.core.question import Question, References, Source, ToolStep
from chatbot.core.retrieval.answer_text import AnswerText, Links, plain_title
from chatbot.core.retrieval.cited import own_texts
from chatbot.core.tools.contract import ToolContext
from chatbot.core.web.asking import BUDGETS, WebText, shortened, texts_of, with_sources
from chatbot.core.web.search_tool import WebSearchTool
from chatbot.core.web.sentences import behind, found, note
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import Finished, GenerationEvent, GenerationRequest, TextPiece
from chatbot.domain.ports import TextGenerator
from chatbot.domain.tools import ToolCall

_CALL_ID: Final = "web_1"
_NAME: Final = WebSearchTool.name


@dataclass(frozen=True, slots=True)
class Web:
    """The web for the questions of one service.

    Attributes:
        toolbox: Has `web_search`; None where no provider is configured.
        clock: Of the deadlines.
    """

    toolbox: Toolbox | None = None
    clock: Callable[[], float] = time.monotonic
    boundary: Callable[[], str] = field(default=lambda: token_hex(8))

    def answer(
        self, question: Question, generator: TextGenerator, source: AnswerSource, *, may_leave: bool
    ) -> AnswerSource:
        """The source of the answer: it uses the web where that is wished for, as far as it can.

        Args:
            question: The user's.
            generator: The model.
            source: The generator, or the loop of tools before it; what it says is cleaned here.
            may_leave: Whether the question may leave the house.
        """
        if not question.wishes.wants_web:
            return source
        reason = "" if may_leave else "local_only"
        return ReferencedAnswer(self, question, generator, source, "not_configured" if not self.toolbox else reason)


class ReferencedAnswer:
    """One answer. An `AnswerSource`; begun anew, it does not search again.

    Args:
        web: The service's.
        question: The user's.
        generator: The model, for what fits.
        source: Makes the answer.
        reason: Why the web cannot be used; "" where it can.
    """

    def __init__(
        self, web: Web, question: Question, generator: TextGenerator, source: AnswerSource, reason: str
    ) -> None:
        self._web = web
        self._question = question
        self._generator = generator
        self._source = source
        self._reason = reason
        self._language = language_of(question.text, question.language)
        self._passages = len(question.wishes.passages)
        self._found: tuple[WebText, ...] | None = () if reason else None

    async def check(self, request: GenerationRequest) -> None:
        """As `AnswerSource`: what the web adds is made to fit."""
        await self._source.check(request)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent | ToolStep | References]:
        """The search's steps, the answer, and what it refers to, in front of its end."""
        if self._found is None:
            async with aclosing(self._search(self._web.toolbox, request.deadline)) as steps:
                async for step in steps:
                    yield step
        asked, texts = await self._asked(request, self._found or ())
        reach = Links.of(own_texts(request.dialogue), (one.url for one in texts))
        sources = self._passages + len(texts)
        cleaner = AnswerText(reach, sources)
        events = cast("AsyncGenerator[GenerationEvent | ToolStep, None]", self._source.generate(asked))
        unsaid_tokens = 0
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TextPiece) and sources:
                    unsaid_tokens += event.tokens
                    if text := cleaner.feed(event.text):
                        yield TextPiece(text, unsaid_tokens)
                        unsaid_tokens = 0
                elif isinstance(event, Finished):
                    rest = cleaner.end()
                    references = self._references(texts, cleaner)
                    if text := rest + behind(references, self._language):
                        yield TextPiece(text, unsaid_tokens)
                    yield references
                    yield event
                else:
                    yield event

    async def _search(self, toolbox: Toolbox | None, deadline: float) -> AsyncGenerator[ToolStep, None]:
        self._found = ()
        if toolbox is None:
            return
        arguments = json.dumps({"query": self._question.text}, ensure_ascii=False)
        context = ToolContext(self._question.caller, self._language, datetime.now(UTC), "UTC")
        yield ToolStep(_CALL_ID, _NAME, "started")
        seconds = max(0.0, deadline - self._web.clock()) / 2  # the other half is for the answer
        ran = await toolbox.run(ToolCall(_CALL_ID, _NAME, arguments), context, seconds)
        if ran.outcome is Outcome.OK:
            self._found = texts_of(ran.result["results"])
            self._reason = "" if self._found else "empty"
        else:
            self._reason = "failed"
        said = note(self._reason, self._language) if self._reason else found(len(self._found), self._language)
        yield ToolStep(_CALL_ID, _NAME, "failed" if self._reason == "failed" else "done", ran.seconds, said)

    async def _asked(
        self, request: GenerationRequest, texts: tuple[WebText, ...]
    ) -> tuple[GenerationRequest, tuple[WebText, ...]]:
        """The request with as much of the web as the context takes, and the texts that are in it."""
        if not texts:
            return request, ()
        boundary = self._web.boundary()
        for budget in BUDGETS:
            kept = shortened(texts, budget)
            asked = replace(request, dialogue=with_sources(request.dialogue, kept, boundary, self._passages + 1))
            try:
                await self._generator.check(asked)
            except PromptTooLong:
                continue
            return asked, kept
        self._reason = "context"
        return request, ()

    def _references(self, texts: tuple[WebText, ...], cleaner: AnswerText) -> References:
        cited = cleaner.cited
        numbered = enumerate(texts, start=self._passages + 1)
        sources = (Source(number, plain_title(one.title), one.url, number in cited) for number, one in numbered)
        return References(tuple(sources), self._reason)
