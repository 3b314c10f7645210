"""`EmbeddingSource` on `POST /embeddings` of an OpenAI-compatible API.

The connection, the breaker and the judging of faults are those of the second backend, the objects its own: an API that
makes no vectors must not stop answers.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import openai
from openai import AsyncOpenAI, Omit
from openai.types import CreateEmbeddingResponse

from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Embedded, EmbeddingModel, Purpose
from chatbot.domain.errors import BackendUnavailable, EmbeddingUnavailable, InvalidInput, PromptTooLong
from chatbot.domain.outside.breaker import Attempt, BreakerOpen, BreakerPolicy, CircuitBreaker
from chatbot.llm.embedding.families import Family, family_of
from chatbot.llm.embedding.packing import packed, shortened
from chatbot.llm.openai.connection import KeyFile, connect
from chatbot.llm.openai.fault import BrokenAnswer, Fault, FaultKind, fault_of
from chatbot.llm.resilience import RetryBudget

TEXTS_A_CALL = 64
KEY_PAUSE_SECONDS = 300.0
OVERLOAD_PAUSE_SECONDS = 5.0
RETRY_DELAY_SECONDS = (0.1, 0.5)
_PREFIX = "api:"


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Which API.

    Attributes:
        base_url: With its version, without credentials.
        model: Model to ask for.
        api_key_file: File that holds the key; None sends none.
        family: Name by which its family is found; "" takes the model's.
        dimensions: Numbers of a vector; 0 takes what comes.
        name: For clients; "" takes the model's.
        timeout_seconds: Of one call.
        max_concurrent: Connections at once.
        ca_file: PEM file of certificate authorities to trust besides the machine's own.
    """

    base_url: str
    model: str
    api_key_file: Path | None = None
    family: str = ""
    dimensions: int = 0
    name: str = ""
    timeout_seconds: float = 30.0
    max_concurrent: int = 4
    ca_file: Path | None = None


class RemoteEmbedding:
    """Vectors of an API.

    Raises, when it is made:
        ValueError: The environment names a proxy or authorities that cannot be used.
    """

    is_remote = True

    def __init__(self, options: RemoteOptions, *, breaker: CircuitBreaker | None = None) -> None:
        self._options = options
        self._family = family_of(options.family or options.model)
        self._breaker = breaker or CircuitBreaker(BreakerPolicy())
        self._budget = RetryBudget()
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._key = KeyFile(options.api_key_file)
        self._client: AsyncOpenAI = connect(
            options.base_url, options.timeout_seconds, options.max_concurrent, options.ca_file
        )
        self._dimensions = options.dimensions
        self._gone: set[VectorSpace] = set()

    def model(self) -> EmbeddingModel | None:
        """The configured model; None until the length of its vectors is known."""
        if not self._dimensions:
            return None
        space = VectorSpace(f"{_PREFIX}{self._options.model}", self._dimensions, self._family.recipe)
        return EmbeddingModel(self._options.name or self._options.model, space, 0, self._family.may_shorten)

    def serves(self, space: VectorSpace) -> bool:
        """An earlier model of the same API can be asked as long as it is there."""
        name = space.model.removeprefix(_PREFIX)
        is_ours = space.model.startswith(_PREFIX) and space not in self._gone
        return is_ours and self._family_of(name).recipe == space.recipe

    async def embed(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
    ) -> Embedded:
        """Make vectors. See `EmbeddingSource.embed`; what is too long is refused for every purpose."""
        name = self._options.model if space is None else space.model.removeprefix(_PREFIX)
        family = self._family_of(name)
        given = [family.text(text, purpose) for text in texts]
        vectors: list[bytes | None] = []
        tokens = 0
        for at in range(0, len(given), TEXTS_A_CALL):
            answer = await self._call(name, given[at : at + TEXTS_A_CALL], deadline, space)
            made = _vectors(answer, len(given[at : at + TEXTS_A_CALL]))
            tokens += answer.usage.prompt_tokens if answer.usage is not None else 0
            vectors += [self._fitted(one, space, family) for one in made]
        return Embedded(tuple(vectors), tokens)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.close()

    def _family_of(self, name: str) -> Family:
        return self._family if name == self._options.model else family_of(name)

    def _fitted(self, vector: bytes | None, space: VectorSpace | None, family: Family) -> bytes | None:
        """The vector as long as the space wants it; the first one tells the length where none is configured."""
        if vector is None:
            return None
        own = len(vector) // 4
        if space is None and not self._dimensions:
            self._dimensions = own
        wanted = self._dimensions if space is None else space.dimensions
        if own < wanted or (own > wanted and not family.may_shorten):
            raise EmbeddingUnavailable("the embedding API's vectors have another length: CHATBOT_EMBEDDING_DIMENSIONS")
        return shortened(vector, wanted)

    async def _call(
        self, name: str, texts: Sequence[str], deadline: float, space: VectorSpace | None
    ) -> CreateEmbeddingResponse:
        """One call, tried once more where that may help."""
        self._budget.earn()
        has_retried = False
        while True:
            attempt = self._attempt()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    answer = await self._asked(name, texts)
                _vectors(answer, len(texts))
            except Exception as error:
                fault = self._judge(error, attempt, space)
                if fault.kind is not FaultKind.TRANSIENT or has_retried or not self._budget.spend():
                    raise _told(fault) from error
            else:
                attempt.succeeded()
                return answer
            finally:
                attempt.release()
            has_retried = True
            await asyncio.sleep(self._rng.uniform(*RETRY_DELAY_SECONDS))

    def _attempt(self) -> Attempt:
        try:
            key, changed = self._key.read()
            if changed:
                self._breaker.reset()
            return self._breaker.attempt()
        except (BackendUnavailable, BreakerOpen) as exc:
            raise EmbeddingUnavailable("the embedding API is not asked now") from exc

    async def _asked(self, name: str, texts: Sequence[str]) -> CreateEmbeddingResponse:
        key, _ = self._key.read()
        wanted = self._options.dimensions if self._family_of(name).may_shorten else 0
        return await self._client.embeddings.create(
            model=name,
            input=list(texts),
            encoding_format="float",  # what every server knows
            dimensions=wanted or openai.omit,
            extra_headers={"Authorization": f"Bearer {key}" if key else Omit()},
        )

    def _judge(self, error: Exception, attempt: Attempt, space: VectorSpace | None) -> Fault:
        """Classify, and tell the breaker; an earlier model that is gone says nothing of the one of now."""
        fault = fault_of(error)
        if fault is None:
            raise error
        own = self.model()
        if space is not None and own is not None and space != own.space and isinstance(error, openai.NotFoundError):
            self._gone.add(space)
            return replace(fault, kind=FaultKind.FATAL)
        if fault.kind is FaultKind.KEY_REFUSED:
            attempt.refused(KEY_PAUSE_SECONDS)
        elif fault.kind is FaultKind.OVERLOADED:
            attempt.refused(fault.pause_seconds or OVERLOAD_PAUSE_SECONDS)
        elif fault.kind in (FaultKind.TOO_LONG, FaultKind.REFUSED_REQUEST):
            attempt.succeeded()
        else:
            attempt.failed()
        return fault


def _vectors(answer: CreateEmbeddingResponse, count: int) -> list[bytes | None]:
    """Vectors in the order of the texts.

    Raises:
        BrokenAnswer: There are others.
    """
    rows = sorted(answer.data or (), key=lambda one: one.index) if isinstance(answer, CreateEmbeddingResponse) else []
    if [one.index for one in rows] != list(range(count)) or not all(isinstance(one.embedding, list) for one in rows):
        raise BrokenAnswer("not a vector for each text")
    try:
        return [packed(one.embedding) for one in rows]
    except (TypeError, ValueError, OverflowError) as exc:
        raise BrokenAnswer("vectors that are no numbers") from exc


def _told(fault: Fault) -> Exception:
    if fault.kind is FaultKind.TOO_LONG:
        return PromptTooLong("input", 0, 0)
    if fault.kind is FaultKind.REFUSED_REQUEST:
        return InvalidInput("input", "not_supported_remotely")
    return EmbeddingUnavailable(f"the embedding API does not answer: {fault.message}")
