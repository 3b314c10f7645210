"""Vectors for clients: in the limits of whoever asks, and only so many requests at once.

They do not stand in the line of the answers: that model has its own process, or is elsewhere.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.limits.limiter import Limiter, Wanted
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.embedding.source import Embedded, EmbeddingModel, EmbeddingSource, Purpose
from chatbot.domain.errors import Busy, EmbeddingUnavailable, TimedOut
from chatbot.domain.generation import Backend, GenerationRequest, Sampling, Usage

MOST_REQUESTS: Final = 64
_RETRY_SECONDS: Final = 2
_NO_ANSWER: Final = Sampling(max_tokens=1, most_tokens=1)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What a client wants vectors of."""

    request_id: str
    caller: Caller
    texts: Sequence[str]


class ClientEmbeddings:
    """Makes vectors for the clients of one service.

    Args:
        service: Its name.
        source: The model.
        limiter: Limits of keys; None where nobody has some.
        seconds: Longest time of a request.
    """

    def __init__(self, service: str, source: EmbeddingSource, limiter: Limiter | None, seconds: float = 60.0) -> None:
        self._service = service
        self._source = source
        self._limiter = limiter
        self._seconds = seconds
        self._running = 0

    @property
    def backend(self) -> Backend:
        """Which backend a key must be allowed to use for it: texts stay here, or leave the house."""
        return Backend.OPENAI if self._source.is_remote else Backend.LLAMA

    def model(self) -> EmbeddingModel | None:
        """The model; None before anything is known of it."""
        return self._source.model()

    async def embed(self, asked: EmbeddingRequest) -> Embedded:
        """Make vectors of a client's texts.

        Raises:
            Busy: Too many requests are under way.
            RateLimited, QuotaSpent, InvalidInput: Of the caller's limits; `PromptTooLong` where a text is.
            EmbeddingUnavailable, TimedOut: The model does not answer, or not in time.
        """
        if self._running >= MOST_REQUESTS:
            raise Busy(_RETRY_SECONDS, self._running)
        self._running += 1
        try:
            return await self._limited(asked, time.monotonic() + self._seconds)
        finally:
            self._running -= 1

    async def _limited(self, asked: EmbeddingRequest, deadline: float) -> Embedded:
        if self._limiter is None or not asked.caller.is_counted:
            return await self._embed(asked, deadline)
        model = self.model()
        dialogue = Dialogue("", (), (), Message("user", "\n".join(asked.texts)))
        request = GenerationRequest(asked.request_id, dialogue, _NO_ANSWER, deadline)
        name = model.name if model is not None else ""
        wanted = Wanted(self._service, self.backend, request, name, 0, {"question": "input"}, self._seconds)
        hold = await self._limiter.reserve(asked.caller, wanted)
        try:
            generation = await hold.admit(request)
            made = await self._embed(asked, deadline)
            generation.ended(Usage(made.tokens, 0))
            return made
        finally:
            await hold.finish()

    async def _embed(self, asked: EmbeddingRequest, deadline: float) -> Embedded:
        try:
            return await self._source.embed(asked.texts, Purpose.PLAIN, deadline)
        except EmbeddingUnavailable:
            if time.monotonic() >= deadline:
                raise TimedOut("generation") from None
            raise
