"""What the core needs to keep documents, to find in them, and to work through their jobs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chatbot.domain.chat import Caller
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
class DocumentBounds:
    """How much one owner may keep.

    Attributes:
        file_bytes: One file.
        documents: Documents of one owner.
        text_bytes: UTF-8 bytes of all passages of one owner.
        chunks: Passages of one document.
        at_once: Documents of one owner that are worked on at the same time, over all workers.
        lease_seconds: A worker that says nothing for so long has lost its document.
        tries: How often a document is begun before it is given up.
    """

    file_bytes: int = 20 * 2**20
    documents: int = 1000
    text_bytes: int = 200 * 2**20
    chunks: int = 50_000
    at_once: int = 2
    lease_seconds: float = 20.0
    tries: int = 3


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is looked for.

    Attributes:
        terms: At least one of them must occur; made by `chatbot.core.retrieval.terms`.
        limit: Passages at most.
        collections: Only these; empty means all of the owner's.
        filters: Metadata that must be equal.
        ids: Only these documents; empty means all of the owner's.
    """

    terms: Sequence[str]
    limit: int = 50
    collections: Sequence[str] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    ids: Sequence[str] = ()


class VectorStore(Protocol):
    """Vectors of passages. A document has those of one space completely or is not found by them.

    Where the space changes, the vectors of the old one stay until every document of the owner has new ones; a search
    names one space, so they are never mixed. A vector is `dimensions` little-endian float32 numbers of length 1.
    Every call raises `StoreUnavailable` where the store does not answer in time.
    """

    async def claim_vectors(self, space: VectorSpace) -> VectorJob | None:
        """Take a read document that lacks vectors of the space: new ones first, owners in turn. None: no such."""

    async def without_vector(self, job: VectorJob, limit: int) -> tuple[Chunk, ...]:
        """The next passages that have no vector of the space yet, in order.

        Raises:
            LeaseLost: See there.
        """

    async def store_vectors(self, job: VectorJob, stored: Mapping[int, bytes | None]) -> None:
        """Store vectors by number of passage, all or none, and renew the claim. None: the passage can have none.

        Raises:
            LeaseLost: See there.
        """

    async def finish_vectors(self, job: VectorJob) -> None:
        """Find the document by its vectors from now on; it is `COMPLETED`.

        Raises:
            LeaseLost: See there.
        """

    async def release_vectors(self, job: VectorJob, reason: FailureReason | None) -> None:
        """Give the document back with what it has; a new one shows the reason. Nothing happens where it was lost."""

    async def forgo_vectors(self) -> None:
        """No model is set: documents that wait for vectors are `COMPLETED` without."""

    async def coverage(self, owner: Caller) -> Coverage:
        """How much of what this owner keeps has vectors, by space."""

    async def search_vectors(
        self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup
    ) -> tuple[Found, ...]:
        """This owner's nearest passages by cosine, nearest first; `lookup.terms` are not looked at."""


class DocumentStore(VectorStore, Protocol):
    """Documents with their index and their jobs; everything of an owner is reached by the owner alone.

    Every call raises `StoreUnavailable` where the store does not answer in time.
    """

    async def add(self, owner: Caller, upload: Upload) -> Document:
        """Keep a file and queue its job; the same bytes again are the same document.

        One that had failed or was cancelled is queued anew.

        Raises:
            Unreadable: `too_large` or `quota`.
        """

    async def read(self, owner: Caller, document_id: str) -> Document | None:
        """A document of this owner; None for anybody else's."""

    async def listing(self, owner: Caller, *, limit: int, after: str = "") -> tuple[Document, ...]:
        """One page of an owner's documents, ordered by id, after `after`."""

    async def cancel(self, owner: Caller, document_id: str) -> Document | None:
        """Stop a job that has not ended and throw away what it made; an ended one stays as it is."""

    async def erase(self, owner: Caller, document_id: str) -> bool:
        """Remove a document with everything made of it, whatever its job does. False where there is none."""

    async def erase_owner(self, owner: Caller) -> None:
        """Remove everything of an owner."""

    async def search(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages of this owner's documents that are `COMPLETED` or `EMBEDDING`, best first."""

    async def claim(self, pipeline: int) -> Job | None:
        """Take the next document: owners in turn, oldest first inside one. None where nothing waits.

        Args:
            pipeline: Number of the code that reads and cuts. Passages of another one are thrown away.
        """

    async def beat(self, job: Job | VectorJob) -> None:
        """Say that the worker lives.

        Raises:
            LeaseLost: See there.
        """

    async def store_chunks(self, job: Job, chunks: Sequence[IndexedChunk]) -> None:
        """Store the next passages, all or none.

        Raises:
            LeaseLost: See there.
            Unreadable: `quota`, or `too_large` where the document has too many.
        """

    async def complete(self, job: Job, *, awaits_vectors: bool = False) -> None:
        """Make the document visible to searches, and let go of its bytes.

        Args:
            job: The claim, which ends.
            awaits_vectors: It is `EMBEDDING` until `finish_vectors`.

        Raises:
            LeaseLost: See there.
        """

    async def fail(self, job: Job, reason: FailureReason) -> None:
        """Give the document up; its passages and bytes are removed.

        Raises:
            LeaseLost: See there.
        """

    async def release(self, job: Job, *, counts_try: bool) -> None:
        """Give the document back unfinished, at once. Nothing happens where the lease was lost."""

    async def tidy(self) -> None:
        """Remove the last traces of erased text from the index; does a bounded amount of work."""

    async def close(self) -> None:
        """Give back connections and files."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a reading process tells.

    Attributes:
        chunks: Passages read, in order; empty in the last word.
        is_last: Whether the file was read to its end.
    """

    chunks: tuple[IndexedChunk, ...]
    is_last: bool = False


class Reading(Protocol):
    """A file that is being read elsewhere."""

    async def next(self) -> Progress:
        """The next passages.

        Raises:
            Unreadable: The file gives none, with its reason.
            ReaderLost: The process ended without a word.
        """

    async def close(self) -> None:
        """End the process, whatever it does. Idempotent."""


class ReaderLost(Exception):
    """The reading process was killed or died; trying again may help."""


def batches(chunks: Iterator[IndexedChunk], size: int) -> Iterator[tuple[IndexedChunk, ...]]:
    """Passages in groups of `size`, the last one smaller; none is empty."""
    batch: list[IndexedChunk] = []
    for chunk in chunks:
        batch.append(chunk)
        if len(batch) == size:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)
