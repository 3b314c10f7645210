"""`PassageIndex` in MongoDB itself.

The documents of an owner are asked for anew with each search, so a search sees what is complete now, whichever process
made it so; what their passages are found by never changes once they are complete, so it is kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from weakref import WeakValueDictionary

from chatbot.adapters.documents import dense
from chatbot.adapters.documents.mongo.own import written
from chatbot.adapters.documents.mongo.own.ranking import best
from chatbot.adapters.documents.mongo.own.segments import Postings, from_segments, merged
from chatbot.adapters.documents.mongo.tables import FOUND, Row, Tables, owner_key, runs_of, space_key
from chatbot.adapters.documents.mongo.visible import found_in, rows_of
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import Lookup
from chatbot.domain.documents import DocumentState, Found, IndexedChunk, VectorSpace

KEPT_BYTES = 64 * 2**20
"""20,000 passages take about 20 MiB."""

_PAGE = 32
_DOCUMENTS_AT_ONCE = 100
_PARTS = 8


class OwnIndex:
    """See `PassageIndex`.

    Args:
        tables: The collections.
        kept_bytes: Bytes of all owners' postings that are kept, at most.
    """

    def __init__(self, tables: Tables, kept_bytes: int = KEPT_BYTES) -> None:
        self._tables = tables
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[str, list[Postings]] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._blocks = dense.Blocks()

    async def generation(self) -> str:
        """MongoDB's own."""
        return ""

    async def add_terms(self, row: Row, lease: str, chunks: Sequence[IndexedChunk]) -> None:
        """Keep them as segments."""
        await written.add_segments(self._tables, row, lease, chunks)

    async def has_terms(self, row: Row) -> bool:
        """The database that has the row acknowledged them."""
        return True

    async def add_vectors(self, row: Row, space: VectorSpace, packed: Mapping[int, bytes]) -> None:
        """Keep them as one row."""
        await written.add_vectors(self._tables, row, space, packed)

    async def vectors_from(self, row: Row, space: VectorSpace, number: int) -> Set[int]:
        """Those of rows that reach so far."""
        return await written.vectors_from(self._tables, row, space, number)

    async def has_vectors(self, row: Row, space: VectorSpace) -> bool:
        """As `has_terms`."""
        return True

    async def keep_only(self, document_id: str, row: Row | None) -> None:
        """Remove the other rows."""
        await written.keep_only(self._tables, document_id, row)

    async def count(self, owner: str) -> int:
        """Rows of segments and of vectors."""
        return await written.count(self._tables, owner)

    async def erase_owner(self, owner: str) -> None:
        """Nothing: every row has gone with its document."""

    def forget(self, owner: Caller) -> None:
        """Let go of what is kept in memory."""
        self._kept.pop(owner_key(owner), None)
        self._blocks.forget(owner)

    async def close(self) -> None:
        """Nothing: the connections are the store's."""

    async def by_terms(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages by their words."""
        if not lookup.terms:
            return ()
        rows = await rows_of(self._tables, owner, lookup, "", {"state": {"$in": FOUND}})
        if not rows:
            return ()
        is_whole = not (lookup.collections or lookup.ids or lookup.filters)
        postings = await self._postings(owner_key(owner), rows, is_whole=is_whole)
        places = {document_id: place for place, document_id in enumerate(rows)}
        hits = await asyncio.to_thread(best, postings, places, lookup.terms, lookup.limit)
        return await found_in(
            self._tables, owner_key(owner), rows, [(hit.document_id, hit.number, hit.score) for hit in hits]
        )

    async def by_vector(self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup) -> tuple[Found, ...]:
        """The nearest passages."""
        key = space_key(space)
        conditions = {"state": DocumentState.COMPLETED.value, "spaces.key": key}
        rows = await rows_of(self._tables, owner, lookup, "", conditions)
        blocks = []
        for document_id, row in rows.items():
            made = next(one["made"] for one in row["spaces"] if one["key"] == key)
            block = self._blocks.peek(owner, made)
            if block is None:
                read = await written.block_of(self._tables, row, space)
                block = self._blocks.get(owner, made, lambda read=read: read)  # type: ignore[misc]
            blocks.append((document_id, block))
        near = await asyncio.to_thread(dense.nearest, blocks, vector, lookup.limit)
        return await found_in(
            self._tables, owner_key(owner), rows, [(one.document, one.number, one.score) for one in near]
        )

    async def _postings(self, owner: str, rows: Mapping[str, Row], *, is_whole: bool) -> list[Postings]:
        """Those of these documents at least, which may be all of the owner; what is not kept is read."""
        lock = self._locks.setdefault(owner, asyncio.Lock())
        async with lock:
            kept = self._kept.pop(owner, [])
            known = {document_id for part in kept for document_id in part.documents}
            if is_whole and len(known) > 2 * len(known & rows.keys()) + _DOCUMENTS_AT_ONCE:
                kept, known = [], set()  # most of them were erased by other processes
            missing = [row for document_id, row in rows.items() if document_id not in known]
            parts = [*kept]
            for begin in range(0, len(missing), _DOCUMENTS_AT_ONCE):
                parts += await self._read(owner, missing[begin : begin + _DOCUMENTS_AT_ONCE])
            if len(parts) > _PARTS:
                parts = [await asyncio.to_thread(merged, parts)]
            self._keep(owner, parts)
            return parts

    def _keep(self, owner: str, parts: list[Postings]) -> None:
        self._kept[owner] = parts
        total = sum(one.bytes for kept in self._kept.values() for one in kept)
        while total > self._kept_bytes:
            _, gone = self._kept.popitem(last=False)
            total -= sum(one.bytes for one in gone)

    async def _read(self, owner: str, rows: Sequence[Row]) -> list[Postings]:
        """The postings of documents, page by page."""
        valid = {(row["_id"], run["lease"]): (run["first"], beyond) for row in rows for run, beyond in runs_of(row)}
        wanted: Row = {"owner": owner, "document": {"$in": [row["_id"] for row in rows]}}
        parts: list[Postings] = []
        after = ""
        while True:
            page = {**wanted, "_id": {"$gt": after}}
            found = await self._tables.call(
                lambda page=page: self._tables.segments.find(page).sort("_id", 1).limit(_PAGE).to_list(None)  # type: ignore[misc]
            )
            if not found:
                return parts
            after = found[-1]["_id"]
            counted = []
            for one in found:
                first, beyond = valid.get((one["document"], one["lease"]), (0, 0))
                if first <= one["first"] < beyond:
                    counted.append(one)
            if counted:
                parts.append(await asyncio.to_thread(from_segments, counted))
