"""A question -> the passages that are read for its answer, found by its words and, with a model, by its meaning."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chatbot.core.embedding.counted import EmbeddingTelemetry
from chatbot.core.retrieval.fusion import chosen, fused, ranked
from chatbot.core.retrieval.terms import query_terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentStore, Lookup
from chatbot.domain.documents import Coverage, Found, VectorSpace
from chatbot.domain.embedding.source import EmbeddingSource, Purpose
from chatbot.domain.errors import EmbeddingUnavailable, InvalidInput

CANDIDATES = 50
PER_DOCUMENT = 3
DEFAULT_PASSAGES = 5
QUESTION_SECONDS = 2.0
"""A question whose vector takes longer is looked up by its words alone."""


class Mode(StrEnum):
    """How passages were looked for."""

    LEXICAL = "lexical"
    HYBRID = "hybrid"


class WordsAlone(StrEnum):
    """Why a question was looked up by its words alone, although there is a model."""

    EMBEDDING_UNAVAILABLE = "embedding_unavailable"
    REINDEXING = "reindexing"
    LOCAL_ONLY = "local_only"


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and where.

    Attributes:
        passages: How many at most.
        collections: Only these; empty means all.
        filters: Metadata that must be equal.
        ids: Only these documents; empty means all.
        per_document: Passages of one document at most.
        local_only: Whether the question may not leave the house.
    """

    question: str
    passages: int = DEFAULT_PASSAGES
    collections: Sequence[str] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    ids: Sequence[str] = ()
    per_document: int = PER_DOCUMENT
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found, best first.

    Attributes:
        passages: `score` is 0-1: by words alone 1 is the best and the others are shares of it; in both ways it is 1
            for a passage that is first in both.
        candidates: How many passages the words offered.
        seconds: Time of all of it.
        mode: How they were looked for.
        dense: How many passages the meaning offered.
        words_alone: Why not by meaning; None where there is no model, or no need for one.
    """

    passages: tuple[Found, ...]
    candidates: int
    seconds: float
    mode: Mode = Mode.LEXICAL
    dense: int = 0
    words_alone: WordsAlone | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """Search by meaning.

    Attributes:
        source: Makes the questions' vectors.
        least_cosine: A passage that has none of the question's words and is less similar is not found.
        telemetry: Counts; None counts nothing.
    """

    source: EmbeddingSource
    least_cosine: float = 0.3
    telemetry: EmbeddingTelemetry | None = None


class Retriever:
    """Looks up questions.

    Args:
        store: The documents.
        clock: Monotonic seconds.
        meaning: None: by words alone.
    """

    def __init__(
        self, store: DocumentStore, clock: Callable[[], float] = time.monotonic, meaning: Meaning | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._meaning = meaning

    async def search(self, owner: Caller, search: Search) -> Retrieved:
        """The best passages of an owner's documents.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        retrieved = await self._search(owner, search)
        if self._meaning is not None and self._meaning.telemetry is not None:
            self._meaning.telemetry.retrieved(retrieved.mode, retrieved.words_alone or "", retrieved.seconds)
        return retrieved

    async def _search(self, owner: Caller, search: Search) -> Retrieved:
        began = self._clock()
        lookup = Lookup(query_terms(search.question), CANDIDATES, search.collections, search.filters, search.ids)
        lexical, dense = await asyncio.gather(self._by_words(owner, lookup), self._by_meaning(owner, search, lookup))
        if isinstance(dense, WordsAlone) or dense is None:
            kept = chosen(ranked(lexical), search.passages, search.per_document)
            return Retrieved(kept, len(lexical), self._clock() - began, words_alone=dense)
        near = self._like(dense, lexical)
        kept = chosen(fused(lexical, near), search.passages, search.per_document)
        return Retrieved(kept, len(lexical), self._clock() - began, Mode.HYBRID, len(near))

    async def _by_words(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        return await self._store.search(owner, lookup) if lookup.terms else ()

    async def _by_meaning(self, owner: Caller, search: Search, lookup: Lookup) -> tuple[Found, ...] | WordsAlone | None:
        """The nearest passages, why there are none, or None where nobody asked for them."""
        if self._meaning is None:
            return None
        source = self._meaning.source
        if search.local_only and source.is_remote:
            return WordsAlone.LOCAL_ONLY
        coverage = await self._store.coverage(owner)
        if not coverage.passages:
            return ()
        space = serving_space(source, coverage)
        if space is None:
            return WordsAlone.EMBEDDING_UNAVAILABLE if source.model() is None else WordsAlone.REINDEXING
        try:
            made = await source.embed((search.question,), Purpose.QUESTION, time.monotonic() + QUESTION_SECONDS, space)
        except (EmbeddingUnavailable, InvalidInput):
            return WordsAlone.EMBEDDING_UNAVAILABLE
        vector = made.vectors[0]
        return () if vector is None else await self._store.search_vectors(owner, space, vector, lookup)

    def _like(self, dense: Sequence[Found], lexical: Sequence[Found]) -> tuple[Found, ...]:
        """Those that are similar enough, or have words of the question."""
        least = self._meaning.least_cosine if self._meaning is not None else 0.0
        have_words = {(one.document_id, one.chunk.number) for one in lexical}
        return tuple(one for one in dense if one.score >= least or (one.document_id, one.chunk.number) in have_words)


def serving_space(source: EmbeddingSource, coverage: Coverage) -> VectorSpace | None:
    """The space in which an owner's questions are asked.

    The model's own where all documents have their vectors; while they are made anew, the one before, where the source
    can still ask in it. Where there was none before, nothing is found by meaning until all have vectors: else what
    was made first would win over what is right.
    """
    model = source.model()
    if model is None:
        return None
    if coverage.by_space.get(model.space, 0) == coverage.passages:
        return model.space
    others = sorted(coverage.by_space.items(), key=lambda item: (-item[1], item[0].model))
    return next((space for space, _ in others if space != model.space and source.serves(space)), None)
