"""Documents for tests: owners, passages made by hand, and a store that has them."""

import math
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bson.raw_bson import RawBSONDocument
from chatbot.adapters.documents.mongo.store import FoundBy, MongoDocuments
from chatbot.adapters.documents.qdrant.index import QdrantIndex
from chatbot.adapters.documents.qdrant.places import QdrantPlace
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.terms import passage_terms, terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds, DocumentStore
from chatbot.domain.documents import Chunk, Document, IndexedChunk, Job, Upload, VectorJob, VectorSpace
from pymongo import MongoClient

from parts.store_place import StorePlace

ALICE = Caller("acme", "alice")
BOB = Caller("acme", "bob")


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


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


async def claimed_for_vectors(store: DocumentStore, space: VectorSpace) -> VectorJob:
    """The next document without vectors; there must be one."""
    job = await store.claim_vectors(space)
    assert job is not None
    return job


async def embedded(store: DocumentStore, space: VectorSpace, vectors: Sequence[Sequence[float]]) -> None:
    """Give the next document without vectors these, by number of passage."""
    job = await claimed_for_vectors(store, space)
    await store.store_vectors(job, {number: unit(*vector) for number, vector in enumerate(vectors)})
    await store.finish_vectors(job)


def unit(*numbers: float) -> bytes:
    """A vector of that direction, packed as the port wants it."""
    length = math.hypot(*numbers)
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))


def open_documents(
    place: StorePlace, bounds: DocumentBounds | None = None, clock: Callable[[], float] = time.time
) -> SqliteDocuments | MongoDocuments:
    """The store of documents at a place."""
    bounds = bounds or DocumentBounds()
    if place.kind == "sqlite":
        return SqliteDocuments(Path(place.where), bounds, clock=clock)
    if place.kind == "qdrant":
        index_of = QdrantIndex.at(QdrantPlace(place.qdrant, place.database))
        found_by = FoundBy(index_of, passage_terms)
        return MongoDocuments.open(place.where, place.database, "pymongo", bounds, clock=clock, found_by=found_by)
    return MongoDocuments.open(place.where, place.database, place.kind, bounds, clock=clock)  # type: ignore[arg-type]


def kept_bytes(place: StorePlace) -> bytes:
    """Everything that lies at a place."""
    if place.kind == "sqlite":
        return b"".join(file.read_bytes() for file in Path(place.where).parent.iterdir())
    with MongoClient[RawBSONDocument](place.where, document_class=RawBSONDocument) as client:
        database = client[place.database]
        rows = b"".join(row.raw for name in database.list_collection_names() for row in database[name].find())
    files = Path(place.qdrant_folder).glob(f"{place.database}*/**/*") if place.kind == "qdrant" else ()
    return rows + b"".join(file.read_bytes().rstrip(b"\0") for file in files if file.is_file())  # 150 MB are room
