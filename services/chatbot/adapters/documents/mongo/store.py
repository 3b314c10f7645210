"""`DocumentStore` in MongoDB: any number of processes on it, each with its worker."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from chatbot.adapters.documents.mongo import jobs, records, reindexing, sweeping, vectors
from chatbot.adapters.documents.mongo.index import PassageIndex
from chatbot.adapters.documents.mongo.own.index import OwnIndex
from chatbot.adapters.documents.mongo.reindexing import TermsOf
from chatbot.adapters.documents.mongo.tables import Tables, owner_key
from chatbot.adapters.mongo_client import Driver, close_client, open_client
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


@dataclass(frozen=True, slots=True)
class FoundBy:
    """How passages are found.

    Attributes:
        index_of: Makes the index beside the collections; None is MongoDB itself.
        terms_of: Makes a passage's terms anew where the index does not have them; None leaves such documents unfound.
    """

    index_of: Callable[[Tables], PassageIndex] | None = None
    terms_of: TermsOf | None = None


class MongoDocuments:
    """See `DocumentStore`."""

    def __init__(self, tables: Tables, found_by: FoundBy | None = None) -> None:
        found_by = found_by or FoundBy()
        self._tables = tables
        self._terms_of = found_by.terms_of
        self._index = found_by.index_of(tables) if found_by.index_of is not None else OwnIndex(tables)
        tables.index = self._index

    @classmethod
    def open(
        cls,
        uri: str,
        database: str,
        driver: Driver,
        bounds: DocumentBounds,
        *,
        clock: Callable[[], float] = time.time,
        found_by: FoundBy | None = None,
    ) -> Self:
        """Make the store; the first call connects.

        Args:
            uri: Connection string, with its password.
            database: Name of the database.
            driver: Which library.
            bounds: How much one owner may keep, and how long a claim lasts: much longer than clocks may differ.
            clock: Unix seconds.
            found_by: None is MongoDB itself, for good.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(Tables(open_client(uri, driver), database, bounds, clock), found_by)

    async def add(self, owner: Caller, upload: Upload) -> Document:
        """Keep a file and queue its job."""
        return await records.add(self._tables, owner, upload)

    async def read(self, owner: Caller, document_id: str) -> Document | None:
        """A document of this owner."""
        return await records.read(self._tables, owner, document_id)

    async def listing(self, owner: Caller, *, limit: int, after: str = "") -> tuple[Document, ...]:
        """One page of an owner's documents."""
        return await records.listing(self._tables, owner, limit, after)

    async def cancel(self, owner: Caller, document_id: str) -> Document | None:
        """Stop a job."""
        return await records.cancel(self._tables, owner, document_id)

    async def erase(self, owner: Caller, document_id: str) -> bool:
        """Remove a document."""
        try:
            return await records.erase(self._tables, owner, document_id)
        finally:
            self._index.forget(owner)

    async def erase_owner(self, owner: Caller) -> None:
        """Remove an owner."""
        try:
            await records.erase_owner(self._tables, owner)
        finally:
            self._index.forget(owner)

    async def count_made(self, owner: Caller) -> int:
        """How much the index keeps of an owner; nothing once they were erased."""
        return await self._index.count(owner_key(owner))

    async def search(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages of this owner."""
        return await self._index.by_terms(owner, lookup)

    async def claim(self, pipeline: int) -> Job | None:
        """Take the next document."""
        return await jobs.claim(self._tables, pipeline)

    async def beat(self, job: Job | VectorJob) -> None:
        """Renew a claim."""
        await jobs.beat(self._tables, job.document_id, job.lease)

    async def store_chunks(self, job: Job, chunks: Sequence[IndexedChunk]) -> None:
        """Store the next passages."""
        await jobs.store(self._tables, job, chunks)

    async def complete(self, job: Job, *, awaits_vectors: bool = False) -> None:
        """Show a document to searches."""
        await jobs.complete(self._tables, job, awaits_vectors=awaits_vectors)

    async def fail(self, job: Job, reason: FailureReason) -> None:
        """Give a document up."""
        await jobs.fail(self._tables, job, reason)

    async def release(self, job: Job, *, counts_try: bool) -> None:
        """Give a claim back."""
        await jobs.release(self._tables, job, counts_try=counts_try)

    async def claim_vectors(self, space: VectorSpace) -> VectorJob | None:
        """Take the next document that lacks vectors."""
        return await vectors.claim(self._tables, space)

    async def without_vector(self, job: VectorJob, limit: int) -> tuple[Chunk, ...]:
        """The next passages that have none."""
        return await vectors.missing(self._tables, job, limit)

    async def store_vectors(self, job: VectorJob, stored: Mapping[int, bytes | None]) -> None:
        """Store vectors by number of passage."""
        await vectors.store(self._tables, job, stored)

    async def finish_vectors(self, job: VectorJob) -> None:
        """Find a document by its vectors."""
        await vectors.finish(self._tables, job)

    async def release_vectors(self, job: VectorJob, reason: FailureReason | None) -> None:
        """Give a claim back."""
        await vectors.release(self._tables, job, reason)

    async def forgo_vectors(self) -> None:
        """Complete documents that wait for vectors."""
        await vectors.forgo(self._tables)

    async def coverage(self, owner: Caller) -> Coverage:
        """How much of this owner's passages has vectors."""
        return await vectors.coverage(self._tables, owner)

    async def search_vectors(
        self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup
    ) -> tuple[Found, ...]:
        """The nearest passages of this owner."""
        return await self._index.by_vector(owner, space, vector, lookup)

    async def tidy(self) -> None:
        """Remove what erased, cancelled and lost jobs left."""
        await sweeping.sweep_due(self._tables)
        if self._terms_of is not None:
            await reindexing.bring_some(self._tables, self._terms_of)

    async def close(self) -> None:
        """Close the connections."""
        await self._index.close()
        await close_client(self._tables.client)
