"""One call of `POST /chat/completions`, streamed or not, as generation events under a deadline."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from typing import Any, TypeVar

from openai import AsyncOpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chatbot.domain.generation import Finished, FinishReason, GenerationEvent, TextPiece, Timings, Usage
from chatbot.llm.openai.fault import BrokenAnswer
from chatbot.llm.openai.request import SurrogateJoiner
from chatbot.llm.openai.tools import MAX_CALLS, CallCollector

T = TypeVar("T")


class Call:
    """One call; `streamed` or `whole`, once.

    Attributes:
        opened: Whether the server began an answer with 200.
    """

    def __init__(
        self, client: AsyncOpenAI, deadline: float, parameters: dict[str, Any], most_calls: int = MAX_CALLS
    ) -> None:
        self._client = client
        self._most_calls = most_calls
        self._calls = CallCollector()
        self._deadline = deadline
        self._parameters = parameters
        self.opened = False
        self._began = time.monotonic()
        self._first: float | None = None
        self._usage: CompletionUsage | None = None

    @property
    def usage_seen(self) -> bool:
        """Whether the server told its token counts."""
        return self._usage is not None

    async def streamed(self) -> AsyncGenerator[GenerationEvent, None]:
        """Pieces as they come, then `Finished`; at the deadline `Finished(LENGTH)` with what there is.

        Raises:
            TimeoutError: The deadline passed before the first text.
            BrokenAnswer: The stream ended without a finish reason.
            openai.OpenAIError, httpx2.HTTPError, ValueError: As the SDK raises them.
        """
        joiner = SurrogateJoiner()
        reason: FinishReason | None = None
        stream = await self._in_time(self._client.chat.completions.create(stream=True, **self._parameters))
        self.opened = True
        try:
            chunks = aiter(stream)
            while True:
                chunk = await self._in_time(anext(chunks, None))
                if chunk is None:
                    break
                text, reason = self._read(chunk, reason)
                if text := joiner.feed(text):
                    yield self._piece(text)
        except TimeoutError:
            if self._first is None:
                raise
            reason = FinishReason.LENGTH
        finally:
            await stream.close()
        if reason is None:
            raise BrokenAnswer("no finish reason")
        for event in self._ending(reason, joiner.flush()):
            yield event

    async def whole(self) -> AsyncGenerator[GenerationEvent, None]:
        """The answer in one piece, then `Finished`.

        Raises:
            TimeoutError, BrokenAnswer, openai.OpenAIError, httpx2.HTTPError, ValueError: As above.
        """
        answer = await self._in_time(self._client.chat.completions.create(stream=False, **self._parameters))
        if not isinstance(answer, ChatCompletion):
            raise BrokenAnswer("no completion")
        self._usage = answer.usage
        choice = _choice_of(answer)
        reason = _reason_of(getattr(choice, "finish_reason", None))
        if reason is None:
            raise BrokenAnswer("no finish reason")
        joiner, message = SurrogateJoiner(), getattr(choice, "message", None)
        self._calls.add(getattr(message, "tool_calls", None))
        for event in self._ending(reason, joiner.feed(_text_of(message)) + joiner.flush()):
            yield event

    def _read(self, chunk: ChatCompletionChunk, reason: FinishReason | None) -> tuple[str, FinishReason | None]:
        """Text of one chunk, and the finish reason so far. A chunk without choices carries the usage."""
        if not isinstance(chunk, ChatCompletionChunk):
            raise BrokenAnswer("no chunk")
        self._usage = chunk.usage or self._usage
        choice = _choice_of(chunk)
        self._calls.add(getattr(getattr(choice, "delta", None), "tool_calls", None))
        return _text_of(getattr(choice, "delta", None)), _reason_of(getattr(choice, "finish_reason", None)) or reason

    def _ending(self, reason: FinishReason, rest: str) -> Iterator[GenerationEvent]:
        """The last text, the calls, which are whole only now, and the end."""
        if rest:
            yield self._piece(rest)
        calls = self._calls.calls(was_cut=reason is FinishReason.LENGTH)[: self._most_calls]
        yield from calls
        yield self._finished(FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason)

    def _piece(self, text: str) -> TextPiece:
        if self._first is None:
            self._first = time.monotonic()
        return TextPiece(text)

    def _finished(self, reason: FinishReason) -> Finished:
        now = time.monotonic()
        first = now if self._first is None else self._first
        timings = Timings(prompt_seconds=first - self._began, generation_seconds=now - first)
        return Finished(reason, _usage_of(self._usage), timings)

    async def _in_time(self, step: Awaitable[T]) -> T:
        async with asyncio.timeout(self._deadline - time.monotonic()):
            return await step


def _choice_of(answer: ChatCompletion | ChatCompletionChunk) -> object:
    """The first choice, or None. The SDK builds its objects without checking their types."""
    choices: object = answer.choices
    return choices[0] if isinstance(choices, list) and choices else None


def _text_of(said: object) -> str:
    """Text of a message or delta; a refusal in words is an answer too."""
    for text in (getattr(said, "content", None), getattr(said, "refusal", None)):
        if isinstance(text, str) and text:
            return text
    return ""


def _reason_of(value: object) -> FinishReason | None:
    if not isinstance(value, str):
        return None
    return FinishReason.LENGTH if value == "length" else FinishReason.STOP


def _usage_of(usage: CompletionUsage | None) -> Usage:
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), _count(details, "cached_tokens"))


def _count(holder: object, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0
