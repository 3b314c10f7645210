"""An `EmbeddingSource` whose use is counted."""

import time
from collections.abc import Sequence
from typing import Protocol

from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Embedded, EmbeddingModel, EmbeddingSource, Purpose
from chatbot.domain.errors import InvalidInput

EMBEDDING_OUTCOMES = ("ok", "refused", "unavailable")


class EmbeddingTelemetry(Protocol):
    """What happened; never text of a user."""

    def embedded(self, purpose: str, outcome: str, tokens: int, seconds: float) -> None:
        """Texts were given to the model: ok, refused (the texts) or unavailable (the model)."""

    def retrieved(self, mode: str, reason: str, seconds: float) -> None:
        """A question was looked up; `reason` is why by its words alone, "" where there is none."""


class CountedSource:
    """See `EmbeddingSource`.

    Args:
        source: The model.
        telemetry: Counts.
    """

    def __init__(self, source: EmbeddingSource, telemetry: EmbeddingTelemetry) -> None:
        self._source = source
        self._telemetry = telemetry
        self.is_remote = source.is_remote

    def model(self) -> EmbeddingModel | None:
        """As the model says."""
        return self._source.model()

    def serves(self, space: VectorSpace) -> bool:
        """As the model says."""
        return self._source.serves(space)

    async def embed(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
    ) -> Embedded:
        """As the model does."""
        began, outcome, tokens = time.monotonic(), "unavailable", 0
        try:
            made = await self._source.embed(texts, purpose, deadline, space)
            outcome, tokens = "ok", made.tokens
            return made
        except InvalidInput:
            outcome = "refused"
            raise
        finally:
            self._telemetry.embedded(purpose.name.lower(), outcome, tokens, time.monotonic() - began)

    async def close(self) -> None:
        """As the model does."""
        await self._source.close()
