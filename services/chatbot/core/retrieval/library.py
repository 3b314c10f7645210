"""What the endpoints of documents work with."""

from collections.abc import Callable
from dataclasses import dataclass

from chatbot.core.retrieval.search import Retriever
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.documents import Document, Upload
from chatbot.domain.personal.erasure import NO_GUARD, Guard, UserErased


@dataclass(frozen=True, slots=True)
class Library:
    """Documents of all owners.

    Attributes:
        store: Keeps them.
        retriever: Finds in them.
        wake: Tells the worker that there is something to read.
        file_bytes: Largest file.
        guard: Knows who was erased.
    """

    store: DocumentStore
    retriever: Retriever
    wake: Callable[[], None]
    file_bytes: int
    guard: Guard = NO_GUARD

    async def add(self, owner: Caller, upload: Upload) -> Document:
        """Keep a file and have it read, unless its owner was erased meanwhile.

        Raises:
            UserErased: See there; nothing is kept.
            Unreadable: `too_large` or `quota`.
        """
        await self.guard.check(owner)
        document = await self.store.add(owner, upload)
        try:
            await self.guard.check(owner)
        except UserErased:
            await self.store.erase(owner, document.document_id)
            raise
        self.wake()
        return document
