"""`DocumentStore` in one file: the embedded store of one machine, also with several processes on it."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chatbot.adapters.documents import sqlite_documents as documents
from chatbot.adapters.documents import sqlite_jobs as jobs
from chatbot.adapters.documents import sqlite_vectors as vectors
from chatbot.adapters.documents.dense import Blocks
from chatbot.adapters.sqlite_file import SqliteFile, connect
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds, Lookup
from chatbot.domain.documents import (
    Chunk,
    Coverage,
    Document,
    FailureReason,
    Found,
    IndexedChunk,
    Job,
    Upload,
    VectorJob,
    VectorSpace,
)
from chatbot.domain.errors import DocumentsUnavailable

CALL_SECONDS = 30.0
"""A call that takes longer is given up: erasing rewrites an owner's index, which takes seconds for a large one."""

_SETTING = "CHATBOT_DOCUMENTS_SQLITE_PATH"


def _open(path: Path) -> sqlite3.Connection:
    return connect(path, documents.LAYOUT)


class SqliteDocuments:
    """See `DocumentStore`. Searches have a connection of their own, so that a write never holds them up.

    Args:
        path: The file; it and its folder are made where they are missing, by the first call.
        bounds: How much one owner may keep, and how long a claim lasts.
        clock: Unix seconds.
    """

    def __init__(self, path: Path, bounds: DocumentBounds, *, clock: Callable[[], float] = time.time) -> None:
        self._written = SqliteFile(path, _SETTING, _open, CALL_SECONDS, DocumentsUnavailable)
        self._searched = SqliteFile(path, _SETTING, _open, CALL_SECONDS, DocumentsUnavailable)
        self._bounds = bounds
        self._clock = clock
        self._blocks = Blocks()

    async def add(self, owner: Caller, upload: Upload) -> Document:
        """Keep a file and queue its job."""
        return await self._written.call(lambda c: documents.add(c, owner, upload, self._bounds))

    async def read(self, owner: Caller, document_id: str) -> Document | None:
        """A document of this owner."""
        return await self._searched.call(lambda c: documents.read(c, owner, document_id))

    async def listing(self, owner: Caller, *, limit: int, after: str = "") -> tuple[Document, ...]:
        """One page of an owner's documents."""
        return await self._searched.call(lambda c: documents.listing(c, owner, limit, after))

    async def cancel(self, owner: Caller, document_id: str) -> Document | None:
        """Stop a job."""
        return await self._written.call(lambda c: documents.cancel(c, owner, document_id))

    async def erase(self, owner: Caller, document_id: str) -> bool:
        """Remove a document."""
        was_there = await self._written.call(lambda c: documents.erase(c, owner, document_id))
        self._blocks.forget(owner)
        return was_there

    async def erase_owner(self, owner: Caller) -> None:
        """Remove an owner."""
        await self._written.call(lambda c: documents.erase_owner(c, owner))
        self._blocks.forget(owner)

    async def search(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages of this owner."""
        return await self._searched.call(lambda c: documents.search(c, owner, lookup))

    async def claim(self, pipeline: int) -> Job | None:
        """Take the next document."""
        return await self._written.call(lambda c: jobs.claim(c, pipeline, self._bounds, self._now()))

    async def beat(self, job: Job | VectorJob) -> None:
        """Renew a claim."""
        if isinstance(job, VectorJob):
            await self._written.call(lambda c: vectors.beat(c, job, self._bounds, self._now()))
        else:
            await self._written.call(lambda c: jobs.beat(c, job, self._bounds, self._now()))

    async def store_chunks(self, job: Job, chunks: Sequence[IndexedChunk]) -> None:
        """Store the next passages."""
        await self._written.call(lambda c: jobs.store(c, job, chunks, self._bounds, self._now()))

    async def complete(self, job: Job, *, awaits_vectors: bool = False) -> None:
        """Show a document to searches."""
        await self._written.call(lambda c: jobs.complete(c, job, awaits_vectors=awaits_vectors))

    async def fail(self, job: Job, reason: FailureReason) -> None:
        """Give a document up."""
        await self._written.call(lambda c: jobs.fail(c, job, reason))

    async def release(self, job: Job, *, counts_try: bool) -> None:
        """Give a claim back."""
        await self._written.call(lambda c: jobs.release(c, job, counts_try=counts_try))

    async def claim_vectors(self, space: VectorSpace) -> VectorJob | None:
        """Take the next document that lacks vectors."""
        return await self._written.call(lambda c: vectors.claim(c, space, self._bounds, self._now()))

    async def without_vector(self, job: VectorJob, limit: int) -> tuple[Chunk, ...]:
        """The next passages that have none."""
        return await self._written.call(lambda c: vectors.missing(c, job, limit))

    async def store_vectors(self, job: VectorJob, stored: Mapping[int, bytes | None]) -> None:
        """Store vectors by number of passage."""
        await self._written.call(lambda c: vectors.store(c, job, stored, self._bounds, self._now()))

    async def finish_vectors(self, job: VectorJob) -> None:
        """Find a document by its vectors."""
        await self._written.call(lambda c: vectors.finish(c, job))

    async def release_vectors(self, job: VectorJob, reason: FailureReason | None) -> None:
        """Give a claim back."""
        await self._written.call(lambda c: vectors.release(c, job, reason))

    async def forgo_vectors(self) -> None:
        """Complete documents that wait for vectors."""
        await self._written.call(vectors.forgo)

    async def coverage(self, owner: Caller) -> Coverage:
        """How much of this owner's passages has vectors."""
        return await self._searched.call(lambda c: vectors.coverage(c, owner))

    async def search_vectors(
        self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup
    ) -> tuple[Found, ...]:
        """The nearest passages of this owner."""
        return await self._searched.call(
            lambda c: documents.search_vectors(c, owner, (space, vector), lookup, self._blocks)
        )

    async def tidy(self) -> None:
        """Remove the last traces of erased text."""
        await self._written.call(documents.tidy)

    async def close(self) -> None:
        """Close the file."""
        await self._searched.close()
        await self._written.close()

    def _now(self) -> int:
        return int(self._clock() * 1000)
