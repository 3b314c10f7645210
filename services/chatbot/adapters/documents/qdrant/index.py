"""`PassageIndex` in a Qdrant.

What is written here is written before MongoDB's row names it, and removed after the row has gone. What it answers is
held against the rows of the owner who asks: a point that none of them names is left out, whatever the server says.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any, Final, Self, TypeVar

import numpy as np

from chatbot.adapters.documents.mongo.own import written
from chatbot.adapters.documents.mongo.tables import FOUND, Row, Tables, owner_key, runs_of, space_key
from chatbot.adapters.documents.mongo.visible import found_in, rows_of
from chatbot.adapters.documents.qdrant import points
from chatbot.adapters.documents.qdrant.places import Collections, QdrantPlace
from chatbot.adapters.documents.qdrant.wire import WRITE_SECONDS, MissingCollection, QdrantWire
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import Lookup
from chatbot.domain.documents import DocumentState, Found, IndexedChunk, VectorSpace
from chatbot.domain.errors import DocumentsUnavailable

_POINTS_AT_ONCE: Final = 64
"""Of one call: 64 passages take about 0.5 MB, with vectors of 1,024 numbers 0.7 MB; servers take 32 MB."""

_CROWDED: Final = 2
"""A worker that died may have left as many points as are named: so many times more are asked for."""

T = TypeVar("T")
Hit = tuple[str, int, float]


class QdrantIndex:
    """See `PassageIndex`.

    Args:
        tables: MongoDB's collections.
        wire: To the Qdrant.
        prefix: See `QdrantPlace`.
    """

    def __init__(self, tables: Tables, wire: QdrantWire, prefix: str) -> None:
        self._tables = tables
        self._wire = wire
        self._collections = Collections(tables, wire, prefix)

    @classmethod
    def at(cls, place: QdrantPlace) -> Callable[[Tables], Self]:
        """What makes an index there; the first call connects.

        Raises:
            ValueError: The place cannot be used; the message names the setting.
        """
        wire = QdrantWire.open(place.url, place.api_key)
        return lambda tables: cls(tables, wire, place.prefix)

    async def generation(self) -> str:
        """See `Collections`."""
        return await self._whole(self._collections.generation)

    async def add_terms(self, row: Row, lease: str, chunks: Sequence[IndexedChunk]) -> None:
        """One point a passage."""
        await self._whole(lambda: self._upsert(self._collections.terms, points.term_points(row, lease, chunks)))

    async def has_terms(self, row: Row) -> bool:
        """Count the points that the row names."""
        return await self._whole(lambda: self._has(self._collections.terms, row, row["chunks_done"]))

    async def add_vectors(self, row: Row, space: VectorSpace, packed: Mapping[int, bytes]) -> None:
        """One point a passage, in the collection of the space."""
        made = points.vector_points(row, packed)
        await self._whole(lambda: self._upsert(lambda: self._collections.vectors(space), made))

    async def vectors_from(self, row: Row, space: VectorSpace, number: int) -> Set[int]:
        """None: what the row does not count is made and written again, under the same names."""
        return frozenset()

    async def has_vectors(self, row: Row, space: VectorSpace) -> bool:
        """Count the points that the row counts."""
        done = row["vectors"]["done"]
        return await self._whole(lambda: self._has(lambda: self._collections.vectors(space), row, done))

    async def keep_only(self, document_id: str, row: Row | None) -> None:
        """Remove points by filter, in all collections, and what MongoDB's own index had of the document."""
        await written.keep_only(self._tables, document_id, None)
        kept = {points.TERMS}
        if row is not None:
            kept |= {one["key"] for one in row["spaces"]} | ({row["vectors"]["space"]} if row["vectors"] else set())

        async def remove() -> None:
            for name in await self._collections.every():
                named = row if name.rpartition("_")[2] in kept else None
                await self._remove(name, points.unnamed(document_id, named))

        await self._whole(remove)

    async def by_terms(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages by their words."""
        asked = points.question(lookup.terms)
        if not asked["indices"]:
            return ()
        rows = await rows_of(self._tables, owner, lookup, await self.generation(), {"state": {"$in": FOUND}})
        return await self._search(owner, rows, self._collections.terms, {"query": asked, "using": points.TERMS}, lookup)

    async def by_vector(self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup) -> tuple[Found, ...]:
        """The nearest passages."""
        conditions = {"state": DocumentState.COMPLETED.value, "spaces.key": space_key(space)}
        rows = await rows_of(self._tables, owner, lookup, await self.generation(), conditions)
        asked = {"query": np.frombuffer(vector, "<f4").tolist(), "using": points.MEANING}
        return await self._search(owner, rows, lambda: self._collections.vectors(space), asked, lookup)

    async def count(self, owner: str) -> int:
        """Points of an owner in all collections, and what MongoDB's own index had."""

        async def count() -> int:
            return sum([await self._count(name, points.of_owner(owner)) for name in await self._collections.every()])

        return await self._whole(count) + await written.count(self._tables, owner)

    async def erase_owner(self, owner: str) -> None:
        """Remove by the owner's mark what no row of theirs names, should a sweep have missed it."""
        rows = await self._tables.call(lambda: self._tables.documents.find({"owner": owner}, {"_id": 1}).to_list(None))
        beside = {
            **points.of_owner(owner),
            "must_not": [{"key": "document", "match": {"any": [r["_id"] for r in rows]}}],
        }

        async def remove() -> None:
            for name in await self._collections.every():
                await self._remove(name, beside if rows else points.of_owner(owner))

        await self._whole(remove)

    def forget(self, owner: Caller) -> None:
        """Nothing is kept in this process."""

    async def close(self) -> None:
        """Close the connections to the Qdrant."""
        await self._wire.close()

    async def _whole(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The result of an operation.

        Raises:
            DocumentsUnavailable: As the calls; a collection that has gone is made anew by the next one.
        """
        try:
            return await operation()
        except MissingCollection:
            self._collections.lost()
            raise DocumentsUnavailable("Qdrant: a collection has gone; documents are brought into a new one") from None

    async def _upsert(self, collection: Callable[[], Awaitable[str]], made: Sequence[points.Point]) -> None:
        name = await collection()
        for begin in range(0, len(made), _POINTS_AT_ONCE):
            body = {"points": made[begin : begin + _POINTS_AT_ONCE]}
            await self._wire.call("PUT", f"/collections/{name}/points?wait=true", body, WRITE_SECONDS)

    async def _remove(self, name: str, filtered: points.Filter) -> None:
        await self._wire.call(
            "POST", f"/collections/{name}/points/delete?wait=true", {"filter": filtered}, WRITE_SECONDS
        )

    async def _has(self, collection: Callable[[], Awaitable[str]], row: Row, passages: int) -> bool:
        """Whether there is a point of each of the first passages."""
        name = await collection()
        for run, beyond in runs_of(row):
            end = min(beyond, passages)
            if end <= run["first"]:
                continue
            named = points.of_run(row["owner"], run["lease"], run["first"], end)
            if await self._count(name, named) != end - run["first"]:
                return False
        return True

    async def _count(self, name: str, filtered: points.Filter) -> int:
        body = {"filter": filtered, "exact": True}
        counted = await self._wire.call("POST", f"/collections/{name}/points/count", body)
        try:
            return int(counted["count"])
        except (TypeError, KeyError, ValueError):
            raise DocumentsUnavailable("Qdrant: a count that cannot be read") from None

    async def _search(
        self,
        owner: Caller,
        rows: Mapping[str, Row],
        collection: Callable[[], Awaitable[str]],
        asked: Mapping[str, Any],
        lookup: Lookup,
    ) -> tuple[Found, ...]:
        """The best passages of these documents, with their texts."""
        runs = {run["lease"]: (one, run["first"], beyond) for one, row in rows.items() for run, beyond in runs_of(row)}
        if not runs:
            return ()
        within = points.of_runs(owner_key(owner), list(runs))
        body = {**asked, "filter": within, "limit": _CROWDED * lookup.limit, "with_payload": True}
        if asked["using"] == points.TERMS:
            body["params"] = {"idf": {"corpus": within}}

        async def query() -> Any:
            return await self._wire.call("POST", f"/collections/{await collection()}/points/query", body)

        hits = _hits(await self._whole(query), runs)
        places = {document_id: place for place, document_id in enumerate(rows)}
        best = sorted(hits, key=lambda hit: (-hit[2], places[hit[0]], hit[1]))[: lookup.limit]
        return await found_in(self._tables, owner_key(owner), rows, best)


def _hits(answer: Any, runs: Mapping[str, tuple[str, int, int]]) -> list[Hit]:
    """The points of an answer that rows name, each passage once.

    Raises:
        DocumentsUnavailable: It has another shape than a Qdrant's.
    """
    hits: dict[tuple[str, int], Hit] = {}
    try:
        for one in answer["points"]:
            payload, score = one["payload"], float(one["score"])
            document_id, first, beyond = runs.get(payload["run"], ("", 0, 0))
            number = int(payload["number"])
            if not math.isfinite(score):
                raise ValueError("a score")
            if first <= number < beyond and payload["document"] == document_id:
                hits.setdefault((document_id, number), (document_id, number, score))
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        raise DocumentsUnavailable("Qdrant: points that cannot be read") from None
    return list(hits.values())
