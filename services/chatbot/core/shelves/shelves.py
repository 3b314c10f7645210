"""Files that are kept, stores that they are put into, and the documents that are read from them there.

A store is a collection of `/documents`, and the same documents are seen either way. A file in a store is one of its
documents; the same bytes twice in a store are one document, which goes with the last file that it belongs to. Documents
that came by `/documents` are files of their store too, named by the document.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from chatbot.core.retrieval.library import Library
from chatbot.core.shelves.filters import Filter, Value
from chatbot.core.shelves.things import Place, Placed, StoredFile, VectorStore, place_id
from chatbot.domain.chat import Caller
from chatbot.domain.documents import Document, Upload
from chatbot.domain.errors import DocumentQuota, FileNotFound, VectorStoreNotFound
from chatbot.domain.personal.erasure import UserErased
from chatbot.domain.shelves.shelf_store import RowKind, ShelfBounds, ShelfRow, ShelfStore

_LEFT_SECONDS = 600
"""A file that is not whole after so long was left by a process that died."""

_ALL_DOCUMENTS = 100_000


class Shelves:
    """Files and stores of all owners.

    Args:
        store: Keeps files and places.
        library: The documents.
        bounds: How much one owner may keep.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: ShelfStore,
        library: Library,
        bounds: ShelfBounds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.library = library
        self._bounds = bounds or ShelfBounds()
        self._clock = clock

    async def add_file(self, owner: Caller, name: str, content: bytes, purpose: str) -> StoredFile:
        """Keep a file.

        Raises:
            DocumentQuota: The owner keeps as much as they may.
        """
        await self.library.guard.check(owner)
        file = StoredFile(f"file-{uuid4().hex}", name, purpose, len(content), self._now(), is_whole=False)
        await self.store.put(owner, file.row())  # first: bytes without a row would stay for ever
        kept = []
        for one in await self._all_files(owner):
            if one.is_whole or one.created_at >= self._clock() - _LEFT_SECONDS:
                kept.append(one)
            else:
                await self.store.remove(owner, RowKind.FILE, one.file_id)
        # Counted with its own row: of two that come at once at the bound none gets in too many.
        if len(kept) > self._bounds.files or sum(one.size_bytes for one in kept) > self._bounds.bytes:
            await self.store.remove(owner, RowKind.FILE, file.file_id)
            raise DocumentQuota
        await self.store.keep(owner, file.file_id, content)
        file = replace(file, is_whole=True)
        await self._put(owner, file.row())
        return file

    async def files(self, owner: Caller) -> list[StoredFile]:
        """All files of an owner, the oldest first."""
        return [one for one in await self._all_files(owner) if one.is_whole]

    async def file(self, owner: Caller, file_id: str) -> StoredFile:
        """One file.

        Raises:
            FileNotFound: This owner has none of that id.
        """
        row = await self.store.get(owner, RowKind.FILE, file_id)
        if row is None or not StoredFile.of(row).is_whole:
            raise FileNotFound
        return StoredFile.of(row)

    async def content(self, owner: Caller, file_id: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFound: This owner has none of that id.
        """
        await self.file(owner, file_id)
        content = await self.store.content(owner, file_id)
        if content is None:
            raise FileNotFound
        return content

    async def erase_file(self, owner: Caller, file_id: str) -> None:
        """Remove a file, from all stores too.

        Raises:
            FileNotFound: This owner has none of that id.
        """
        await self.file(owner, file_id)
        for place in await self._places(owner):
            if place.file_id == file_id:
                await self._unplace(owner, place)
        await self.store.remove(owner, RowKind.FILE, file_id)

    async def add_store(self, owner: Caller, name: str, metadata: Mapping[str, str]) -> VectorStore:
        """Make an empty store.

        Raises:
            DocumentQuota: The owner has as many as they may.
        """
        made = VectorStore(f"vs_{uuid4().hex}", name, metadata, self._now())
        await self._put(owner, made.row())
        if len(await self.store.rows(owner, RowKind.STORE)) > self._bounds.stores:
            await self.store.remove(owner, RowKind.STORE, made.store_id)
            raise DocumentQuota
        return made

    async def stores(self, owner: Caller) -> list[VectorStore]:
        """All stores of an owner, the oldest first: those that were made, and other collections of their documents."""
        made = [VectorStore.of(row) for row in await self.store.rows(owner, RowKind.STORE)]
        known = {one.store_id for one in made}
        others = {document.collection for document in await self._documents(owner)} - known
        return [*(VectorStore(name, name, {}, 0) for name in sorted(others)), *made]

    async def vector_store(self, owner: Caller, store_id: str) -> VectorStore:
        """One store.

        Raises:
            VectorStoreNotFound: This owner has none of that id.
        """
        row = await self.store.get(owner, RowKind.STORE, store_id)
        if row is not None:
            return VectorStore.of(row)
        if any(document.collection == store_id for document in await self._documents(owner)):
            return VectorStore(store_id, store_id, {}, 0)
        raise VectorStoreNotFound

    async def erase_store(self, owner: Caller, store_id: str) -> None:
        """Remove a store with the documents in it; files stay.

        Raises:
            VectorStoreNotFound: This owner has none of that id.
        """
        await self.vector_store(owner, store_id)
        for document in await self._documents(owner):
            if document.collection == store_id:
                await self.library.store.erase(owner, document.document_id)
        for place in await self._places(owner, store_id):
            await self.store.remove(owner, RowKind.PLACE, place_id(store_id, place.file_id))
        await self.store.remove(owner, RowKind.STORE, store_id)

    async def place(self, owner: Caller, store_id: str, file_id: str, attributes: Mapping[str, Value]) -> Placed:
        """Put a file into a store: it is read there in the background.

        Raises:
            VectorStoreNotFound, FileNotFound: This owner has none of that id.
            Unreadable: `too_large` or `quota`.
        """
        await self.vector_store(owner, store_id)
        file = await self.file(owner, file_id)
        content = await self.content(owner, file_id)
        metadata = {key: _told(value) for key, value in attributes.items()}
        document = await self.library.add(owner, Upload(file.name, content, store_id, metadata))
        place = Place(store_id, file_id, document.document_id, attributes, file.size_bytes, self._now())
        await self._put(owner, place.row())
        return Placed(place, document)

    async def placed(self, owner: Caller, store_id: str, file_id: str) -> Placed:
        """One file of a store.

        Raises:
            FileNotFound: The store has none of that id.
        """
        row = await self.store.get(owner, RowKind.PLACE, place_id(store_id, file_id))
        document = await self.library.store.read(owner, Place.of(row).document_id if row is not None else file_id)
        if document is None or document.collection != store_id:
            raise FileNotFound
        return Placed(Place.of(row) if row is not None else _place_of(document), document)

    async def all_placed(self, owner: Caller, store_id: str) -> list[Placed]:
        """All files of a store, the oldest first."""
        documents = [one for one in await self._documents(owner) if one.collection == store_id]
        return _joined(documents, await self._places(owner, store_id))

    async def contents(self, owner: Caller) -> dict[str, list[Placed]]:
        """The files of each store that has any."""
        places = await self._places(owner)
        by_store: dict[str, list[Placed]] = {}
        for one in _joined(await self._documents(owner), places):
            by_store.setdefault(one.document.collection, []).append(one)
        return by_store

    async def unplace(self, owner: Caller, store_id: str, file_id: str) -> None:
        """Take a file out of a store; the file stays.

        Raises:
            FileNotFound: The store has none of that id.
        """
        await self._unplace(owner, (await self.placed(owner, store_id, file_id)).place)

    def meant(self, placed: Sequence[Placed], wanted: Filter | None) -> list[Placed]:
        """Those whose attributes a filter means."""
        return [one for one in placed if wanted is None or wanted.matches(one.place.attributes)]

    async def _put(self, owner: Caller, row: ShelfRow) -> None:
        """Keep a row; it and its bytes are taken back where the owner was erased meanwhile.

        Raises:
            UserErased: He was.
        """
        await self.store.put(owner, row)
        try:
            await self.library.guard.check(owner)
        except UserErased:
            await self.store.remove(owner, row.kind, row.row_id)
            raise

    async def _unplace(self, owner: Caller, place: Place) -> None:
        """The document first: what dies in between leaves a place without one, which nobody sees."""
        others = [
            one
            for one in await self._places(owner, place.store_id)
            if one.document_id == place.document_id and one.file_id != place.file_id
        ]
        if not others:
            await self.library.store.erase(owner, place.document_id)
        await self.store.remove(owner, RowKind.PLACE, place_id(place.store_id, place.file_id))

    async def _all_files(self, owner: Caller) -> list[StoredFile]:
        return [StoredFile.of(row) for row in await self.store.rows(owner, RowKind.FILE)]

    async def _places(self, owner: Caller, store_id: str | None = None) -> list[Place]:
        places = [Place.of(row) for row in await self.store.rows(owner, RowKind.PLACE)]
        return [place for place in places if store_id is None or place.store_id == store_id]

    async def _documents(self, owner: Caller) -> tuple[Document, ...]:
        return await self.library.store.listing(owner, limit=_ALL_DOCUMENTS)

    def _now(self) -> int:
        return int(self._clock())


def _joined(documents: Sequence[Document], places: Sequence[Place]) -> list[Placed]:
    """Documents with their places; a document without one is its own."""
    by_id = {document.document_id: document for document in documents}
    placed = [Placed(place, by_id[place.document_id]) for place in places if place.document_id in by_id]
    named = {one.place.document_id for one in placed}
    others = [Placed(_place_of(one), one) for one in documents if one.document_id not in named]
    return [*others, *placed]


def _place_of(document: Document) -> Place:
    """Of a document that came by `/documents`; when, nobody wrote down."""
    return Place(document.collection, document.document_id, document.document_id, dict(document.metadata), 0, 0)


def _told(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"
