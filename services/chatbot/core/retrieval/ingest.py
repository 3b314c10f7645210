"""Jobs of documents: claimed, read elsewhere, stored passage by passage, and begun again where a worker was lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatbot.core.retrieval.leases import while_held
from chatbot.core.waking import woken
from chatbot.domain.document_store import DocumentStore, ReaderLost, Reading
from chatbot.domain.documents import FailureReason, Job, LeaseLost, Unreadable
from chatbot.domain.errors import StoreUnavailable

PIPELINE = 1
"""Number of the code that reads, cuts and makes terms. Raise it with any change that moves a passage or a term: half
read documents are then begun anew."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """Rhythm of a worker, seconds.

    Attributes:
        beat_seconds: How often it says that it lives: well within a lease.
        idle_seconds: How long it waits before it looks for work again, if nobody wakes it.
        awaits_vectors: Whether documents get vectors when they were read.
    """

    beat_seconds: float = 5.0
    idle_seconds: float = 2.0
    awaits_vectors: bool = False


class Ingestor:
    """One worker: one document at a time.

    Args:
        store: Where documents and jobs are.
        read: Starts to read a job's file in another process; raises `ReaderLost` where there is none to be had.
        policy: Its rhythm.
        on_read: Called when a document was read to its end.
    """

    def __init__(
        self,
        store: DocumentStore,
        read: Callable[[Job], Awaitable[Reading]],
        policy: IngestPolicy,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._read = read
        self._policy = policy
        self._on_read = on_read
        self._has_forgone = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is work: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; the document that is worked on is then given back."""
        while True:
            self._woken.clear()
            try:
                if await self.work():
                    continue
                await self._store.tidy()
                if not (self._policy.awaits_vectors or self._has_forgone):
                    await self._store.forgo_vectors()
                    self._has_forgone = True
            except StoreUnavailable:
                _log.warning("the store of documents does not answer; jobs wait")
            except Exception as exc:
                # Only the kind: the message may hold text of a user. The job is begun again after its lease.
                _log.error("a document's job ended unexpectedly (%s)", type(exc).__name__)
            await woken(self._woken, self._policy.idle_seconds)

    async def work(self) -> bool:
        """Do the next job. False where there is none.

        Raises:
            StoreUnavailable: The job, if there was one, is done by whoever claims it after its lease.
        """
        job = await self._store.claim(PIPELINE)
        if job is None:
            return False
        try:
            await self._finish(job)
        except LeaseLost:
            _log.info("a document was erased, cancelled or taken over while it was read")
        except asyncio.CancelledError:
            await asyncio.shield(self._store.release(job, counts_try=False))
            raise
        return True

    async def _finish(self, job: Job) -> None:
        """Bring a job to its end, whatever the file does."""
        try:
            await while_held(self._store, job, self._index(job), self._policy.beat_seconds)
        except Unreadable as exc:
            await self._store.fail(job, exc.reason)
        except ReaderLost:
            _log.warning("the process that read a document was lost; it is begun again")
            await self._store.release(job, counts_try=True)

    async def _index(self, job: Job) -> None:
        reading = await self._read(job)
        stored = job.chunks_done
        try:
            while not (progress := await reading.next()).is_last:
                await self._store.store_chunks(job, progress.chunks)
                stored += len(progress.chunks)
        finally:
            await reading.close()
        if not stored:
            raise Unreadable(FailureReason.NO_TEXT)
        await self._store.complete(job, awaits_vectors=self._policy.awaits_vectors)
        self._on_read()
