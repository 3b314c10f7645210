"""Documents of users: opened when they are first used, none where they are switched off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatbot.core.retrieval.embedding import Embedder
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.core.retrieval.terms import passage_terms
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.document_store import DocumentBounds, DocumentStore
from chatbot.domain.personal.erasure import NO_GUARD, Guard
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.embedding import Embedding, open_embedder
from chatbot.server.wiring.shelves import open_shelves
from chatbot.server.wiring.stores import line_of, mongo_uri

if TYPE_CHECKING:
    from chatbot.adapters.documents.mongo.index import PassageIndex
    from chatbot.adapters.documents.mongo.tables import Tables


@dataclass(frozen=True, slots=True)
class Documents:
    """What the endpoints use, and the worker beside them."""

    library: Library
    shelves: Shelves
    ingestor: Ingestor
    embedder: Embedder | None = None

    async def run(self) -> None:
        """Read, and make vectors, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ingestor.run())
            if self.embedder is not None:
                group.create_task(self.embedder.run())


def open_documents(
    settings: Settings,
    embedding: Embedding | None = None,
    waiting: Callable[[], int] = lambda: 0,
    tenants: Tenants = NO_POLICIES,
    guard: Guard = NO_GUARD,
) -> Documents | None:
    """Documents of users; None where they are switched off. The store is opened when it is first used.

    Args:
        settings: Of the process.
        embedding: Makes their vectors; None leaves them to their words.
        waiting: How many requests wait for an answer now: those come first.
        tenants: Say whose documents stay in the house.
        guard: Knows who was erased.

    Raises:
        ValueError: An address or a file cannot be used; the message names the setting.
    """
    chosen = settings.documents
    if chosen.store == "none":
        return None
    from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess

    store = _open_document_store(settings)
    limits = ReaderLimits(memory_bytes=chosen.reader_memory_bytes, cpu_seconds=chosen.reader_cpu_seconds)
    embedder = open_embedder(embedding, store, waiting, tenants) if embedding is not None else None
    ingestor = Ingestor(
        store,
        lambda job: ReaderProcess.open(job, limits),
        IngestPolicy(awaits_vectors=embedder is not None),
        embedder.wake if embedder is not None else lambda: None,
    )
    retriever = Retriever(store, meaning=embedding.meaning if embedding is not None else None)
    library = Library(store, retriever, ingestor.wake, chosen.file_bytes, guard)
    shelves = open_shelves(settings, library, mongo_uri(settings) if chosen.has_rows_in_mongodb else None)
    return Documents(library, shelves, ingestor, embedder)


def _open_document_store(settings: Settings) -> DocumentStore:
    bounds = DocumentBounds(file_bytes=settings.documents.file_bytes)
    if settings.documents.store == "sqlite":
        from chatbot.adapters.documents.sqlite_store import SqliteDocuments

        return SqliteDocuments(settings.documents.sqlite_path, bounds)
    from chatbot.adapters.documents.mongo.store import FoundBy, MongoDocuments

    index_of = _index_of(settings) if settings.documents.store == "qdrant" else None
    found_by, mongodb = FoundBy(index_of, passage_terms), settings.mongodb
    return MongoDocuments.open(mongo_uri(settings), mongodb.database, mongodb.driver, bounds, found_by=found_by)


def _index_of(settings: Settings) -> "Callable[[Tables], PassageIndex]":
    from chatbot.adapters.documents.qdrant.index import QdrantIndex
    from chatbot.adapters.documents.qdrant.places import QdrantPlace

    chosen = settings.documents
    if not chosen.qdrant_url:
        raise ValueError("CHATBOT_DOCUMENTS_QDRANT_URL: needed where CHATBOT_DOCUMENTS_STORE is qdrant")
    key_file = chosen.qdrant_api_key_file
    key = line_of(key_file, "CHATBOT_DOCUMENTS_QDRANT_API_KEY_FILE") if key_file is not None else ""
    return QdrantIndex.at(QdrantPlace(chosen.qdrant_url, chosen.qdrant_prefix, key))
