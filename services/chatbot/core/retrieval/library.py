"""What the endpoints of documents work with."""

from collections.abc import Callable
from dataclasses import dataclass

from chatbot.core.retrieval.search import Retriever
from chatbot.domain.document_store import DocumentStore


@dataclass(frozen=True, slots=True)
class Library:
    """Documents of all owners.

    Attributes:
        store: Keeps them.
        retriever: Finds in them.
        wake: Tells the worker that there is something to read.
        file_bytes: Largest file.
    """

    store: DocumentStore
    retriever: Retriever
    wake: Callable[[], None]
    file_bytes: int
