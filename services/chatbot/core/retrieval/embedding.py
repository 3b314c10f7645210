"""Vectors of documents: made behind their reading, and anew where the model changed.

A worker takes one document at a time and stores a few passages' vectors with each step, so that a killed one costs
little. Where the model does not answer, documents wait, and tell so; nothing is given up.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from chatbot.core.retrieval.leases import while_held
from chatbot.core.waking import woken
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.documents import Chunk, FailureReason, LeaseLost, VectorJob, VectorSpace
from chatbot.domain.embedding.source import EmbeddingModel, EmbeddingSource, Purpose
from chatbot.domain.errors import EmbeddingUnavailable, InvalidInput, StoreUnavailable

_PROBE = "?"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmbedPolicy:
    """Rhythm of the worker.

    Attributes:
        passages: Vectors that are made and stored together.
        step_seconds: Longest time for them.
        beat_seconds: How often it says that it lives.
        idle_seconds: How long it waits before it looks for work again, if nobody wakes it.
        pauses_seconds: After failures in a row; the last one repeats.
        peace_seconds: For so long a document is not made anew that was made here, and that another process then took
            the vectors of: while a rollout lasts, pods of two models would do that to each other for ever.
    """

    passages: int = 16
    step_seconds: float = 120.0
    beat_seconds: float = 5.0
    idle_seconds: float = 2.0
    pauses_seconds: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 30.0)
    peace_seconds: float = 300.0


class _Contested(Exception):
    """Another process, which has another model, took the vectors of a document away that were made here just now."""


class Embedder:
    """One worker.

    Args:
        store: Documents and their vectors.
        source: Makes vectors.
        policy: Its rhythm.
        chat_comes_first: Returns when no chat waits that this work would hold up; bounded.
        stays: Whether the documents of a tenant must not leave the house. They are then found by their words alone,
            for as long as their reading holds.
    """

    def __init__(
        self,
        store: DocumentStore,
        source: EmbeddingSource,
        policy: EmbedPolicy,
        chat_comes_first: Callable[[], Awaitable[None]],
        stays: Callable[[str], bool] = lambda _tenant: False,
    ) -> None:
        self._store, self._source, self._policy = store, source, policy
        self._chat_comes_first = chat_comes_first
        self._stays = stays
        self._woken = asyncio.Event()
        self._failures = 0
        self._made = _Made(policy.peace_seconds)

    def wake(self) -> None:
        """There may be work: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; the document that is worked on is then given back."""
        while True:
            self._woken.clear()
            pause = self._policy.idle_seconds
            try:
                if await self.work():
                    self._failures = 0
                    continue
            except EmbeddingUnavailable:
                pause = self._pause_seconds()
                _log.warning("the embedding model does not answer; documents wait")
            except _Contested:
                pause = self._policy.peace_seconds
                _log.info("another process makes vectors with another model; documents keep what they have for a while")
            except StoreUnavailable:
                _log.warning("the store of documents does not answer; vectors wait")
            except Exception as exc:
                # Only the kind: the message may hold text of a user. The document is claimed again after its lease.
                _log.error("making vectors ended unexpectedly (%s)", type(exc).__name__)
            await woken(self._woken, pause)

    async def work(self) -> bool:
        """Give the next document its vectors. False where none waits.

        Raises:
            EmbeddingUnavailable, _Contested: The document was given back.
            StoreUnavailable: It is claimed again after its lease.
        """
        model = await self._known_model()
        job = await self._store.claim_vectors(model.space)
        if job is None:
            return False
        if job.is_complete and self._made.lately(job):
            await self._store.release_vectors(job, None)
            raise _Contested
        try:
            await while_held(self._store, job, self._finish(job), self._policy.beat_seconds)
            self._made.note(job)
        except LeaseLost:
            _log.info("a document was erased or taken over while its vectors were made")
        except EmbeddingUnavailable:
            await self._store.release_vectors(job, FailureReason.EMBEDDING_UNAVAILABLE)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._store.release_vectors(job, None))
            raise
        return True

    async def _known_model(self) -> EmbeddingModel:
        """The model; what is not known of one before it was asked is found out.

        Raises:
            EmbeddingUnavailable: It does not answer.
        """
        if self._source.model() is None:
            await self._source.embed((_PROBE,), Purpose.PLAIN, time.monotonic() + self._policy.step_seconds)
        model = self._source.model()
        if model is None:
            raise EmbeddingUnavailable("nothing is known of the embedding model yet")
        return model

    async def _finish(self, job: VectorJob) -> None:
        while chunks := await self._store.without_vector(job, self._policy.passages):
            await self._chat_comes_first()
            await self._store.store_vectors(job, await self._vectors(job, chunks))
        await self._store.finish_vectors(job)

    async def _vectors(self, job: VectorJob, chunks: tuple[Chunk, ...]) -> Mapping[int, bytes | None]:
        """Vectors by number; where the model does not take them together, each alone, and None where not even so."""
        if self._source.is_remote and self._stays(job.tenant):
            return {one.number: None for one in chunks}
        deadline = time.monotonic() + self._policy.step_seconds
        try:
            made = await self._source.embed(tuple(map(passage_text, chunks)), Purpose.PASSAGE, deadline, job.space)
        except InvalidInput:
            if len(chunks) == 1:
                return {chunks[0].number: None}
            return {number: vector for one in chunks for number, vector in (await self._vectors(job, (one,))).items()}
        return {one.number: vector for one, vector in zip(chunks, made.vectors, strict=True)}

    def _pause_seconds(self) -> float:
        pauses = self._policy.pauses_seconds
        self._failures += 1
        return pauses[min(self._failures, len(pauses)) - 1]


class _Made:
    """Documents that this process gave all their vectors lately, in the space of the model that it has now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._space: VectorSpace | None = None
        self._at: dict[str, float] = {}

    def note(self, job: VectorJob) -> None:
        """One was given them."""
        if job.space != self._space:
            self._space, self._at = job.space, {}
        since = time.monotonic() - self._seconds
        while self._at and next(iter(self._at.values())) < since:  # the oldest is first
            del self._at[next(iter(self._at))]
        self._at.pop(job.document_id, None)
        self._at[job.document_id] = time.monotonic()

    def lately(self, job: VectorJob) -> bool:
        """Whether one was."""
        made_at = self._at.get(job.document_id) if job.space == self._space else None
        return made_at is not None and time.monotonic() - made_at < self._seconds


def passage_text(chunk: Chunk) -> str:
    """What a passage's vector is made of: the headings above it say what it is about."""
    return f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text
