"""Searches: which documents count, which of their passages suit, and the text of those.

The documents of an owner are asked for anew with each search, so a search sees what is complete now, whichever process
made it so; what their passages are found by never changes once they are complete, so it is kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from weakref import WeakValueDictionary

from chatbot.adapters.documents import dense
from chatbot.adapters.documents.mongo import vectors
from chatbot.adapters.documents.mongo.ranking import best
from chatbot.adapters.documents.mongo.records import metadata_of
from chatbot.adapters.documents.mongo.segments import Postings, from_segments, merged
from chatbot.adapters.documents.mongo.tables import FOUND, Row, Tables, owner_key, runs_of, text_name
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import Lookup
from chatbot.domain.documents import DocumentState, Found, VectorSpace

KEPT_BYTES = 64 * 2**20
"""20,000 passages take about 20 MiB."""

_PAGE = 32
_DOCUMENTS_AT_ONCE = 100
_PARTS = 8
_SHOWN = {name: 1 for name in ("owner", "name", "metadata", "runs", "chunks_done", "added", "spaces")}


class Finder:
    """Searches in one database.

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

    def forget(self, owner: Caller) -> None:
        """Let go of what is kept of an owner: something of theirs was erased."""
        self._kept.pop(owner_key(owner), None)
        self._blocks.forget(owner)

    async def by_terms(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages by their words."""
        if not lookup.terms:
            return ()
        rows = await self._rows(owner, lookup, {"state": {"$in": FOUND}})
        if not rows:
            return ()
        is_whole = not (lookup.collections or lookup.ids or lookup.filters)
        postings = await self._postings(owner_key(owner), rows, is_whole=is_whole)
        places = {document_id: place for place, document_id in enumerate(rows)}
        hits = await asyncio.to_thread(best, postings, places, lookup.terms, lookup.limit)
        return await self._found(owner_key(owner), rows, [(hit.document_id, hit.number, hit.score) for hit in hits])

    async def by_vector(self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup) -> tuple[Found, ...]:
        """The nearest passages."""
        key = vectors.space_key(space)
        rows = await self._rows(owner, lookup, {"state": DocumentState.COMPLETED.value, "spaces.key": key})
        blocks = []
        for document_id, row in rows.items():
            made = next(one["made"] for one in row["spaces"] if one["key"] == key)
            block = self._blocks.peek(owner, made)
            if block is None:
                read = await vectors.block_of(self._tables, row, space)
                block = self._blocks.get(owner, made, lambda read=read: read)  # type: ignore[misc]
            blocks.append((document_id, block))
        near = await asyncio.to_thread(dense.nearest, blocks, vector, lookup.limit)
        return await self._found(owner_key(owner), rows, [(one.document, one.number, one.score) for one in near])

    async def _rows(self, owner: Caller, lookup: Lookup, conditions: Row) -> dict[str, Row]:
        """The documents that are searched, the oldest first."""
        mine: Row = {"owner": owner_key(owner), **conditions}
        if lookup.collections:
            mine["collection"] = {"$in": list(lookup.collections)}
        if lookup.ids:
            mine["_id"] = {"$in": list(lookup.ids)}
        if lookup.filters:
            mine["$and"] = [
                {"metadata": {"$elemMatch": {"k": {"$eq": key}, "v": {"$eq": value}}}}
                for key, value in lookup.filters.items()
            ]
        rows = await self._tables.call(lambda: self._tables.documents.find(mine, _SHOWN).to_list(None))
        return {row["_id"]: row for row in sorted(rows, key=lambda row: row["added"])}

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

    async def _found(
        self, owner: str, rows: Mapping[str, Row], hits: Sequence[tuple[str, int, float]]
    ) -> tuple[Found, ...]:
        """The hits with their texts. One that was erased meanwhile has none and is left out."""
        names = {}
        for document_id, number, _ in hits:
            for run, beyond in runs_of(rows[document_id]):
                if run["first"] <= number < beyond:
                    names[document_id, number] = text_name(owner, document_id, run["lease"], number)
        texts = await vectors.texts_of(self._tables, names.values())
        found = []
        for document_id, number, score in hits:
            text, row = texts.get(names.get((document_id, number), "")), rows[document_id]
            if text is not None:
                chunk = vectors.to_chunk(number, text)
                found.append(Found(document_id, row["name"], metadata_of(row), chunk, score))
        return tuple(found)
