"""Documents for tests: owners, passages made by hand, and a store that has them."""

from collections.abc import Sequence

from chatbot.core.retrieval.terms import terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.documents import Chunk, Document, IndexedChunk, Job, Upload

ALICE = Caller("acme", "alice")
BOB = Caller("acme", "bob")


def passage(number: int, text: str, heading: str = "") -> IndexedChunk:
    """One passage as a reader makes it."""
    return IndexedChunk(Chunk(number, heading, text, None, 0, len(text)), terms(f"{heading}\n{text}"))


def passages(texts: Sequence[str], first: int = 0) -> list[IndexedChunk]:
    """Passages with numbers from `first`."""
    return [passage(first + place, text) for place, text in enumerate(texts)]


async def claimed(store: DocumentStore, pipeline: int = 1) -> Job:
    """The next job; there must be one."""
    job = await store.claim(pipeline)
    assert job is not None
    return job


async def completed(store: DocumentStore, owner: Caller, upload: Upload, texts: Sequence[str]) -> Document:
    """A document that can be searched."""
    added = await store.add(owner, upload)
    job = await claimed(store)
    assert job.document_id == added.document_id
    await store.store_chunks(job, passages(texts))
    await store.complete(job)
    found = await store.read(owner, added.document_id)
    assert found is not None
    return found
