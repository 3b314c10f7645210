"""Rows of `document_segments` and `document_vectors`: written before the document's row names them, removed after."""

from collections.abc import Mapping, Sequence

from bson import Binary

from chatbot.adapters.documents import dense
from chatbot.adapters.documents.mongo.own.segments import SEGMENT_PASSAGES, to_segment
from chatbot.adapters.documents.mongo.sweeping import passage_gaps, remove_all_but, remove_between
from chatbot.adapters.documents.mongo.tables import Row, Tables, insert_missing, passage_name, space_key
from chatbot.domain.documents import IndexedChunk, VectorSpace

_BLOCKS_AT_ONCE = 16


async def add_segments(tables: Tables, row: Row, lease: str, chunks: Sequence[IndexedChunk]) -> None:
    """Keep the words of passages; those that are there already are the same."""
    for begin in range(0, len(chunks), SEGMENT_PASSAGES):
        part = chunks[begin : begin + SEGMENT_PASSAGES]
        first = part[0].chunk.number
        name = {"_id": passage_name(row["_id"], lease, first), "document": row["_id"], "lease": lease}
        segment = {**name, "owner": row["owner"], "first": first, **to_segment([one.terms for one in part])}
        await insert_missing(tables, tables.segments, [segment])


async def add_vectors(tables: Tables, row: Row, space: VectorSpace, packed: Mapping[int, bytes]) -> None:
    """Keep vectors; the same numbers again replace them."""
    key, numbers = space_key(space), sorted(packed)
    made = {
        "_id": f"{row['_id']}/{key}/{numbers[0]:08d}",
        "owner": row["owner"],
        "document": row["_id"],
        "space": key,
        "last": numbers[-1],
        "stored": numbers,
        "with_vector": [number for number in numbers if packed[number]],
        "vectors": Binary(b"".join(packed[number] for number in numbers)),
    }
    await tables.call(lambda: tables.vectors.replace_one({"_id": made["_id"]}, made, upsert=True))


async def vectors_from(tables: Tables, row: Row, space: VectorSpace, number: int) -> set[int]:
    """Passages from that number on that have been given theirs."""
    later = {"document": row["_id"], "owner": row["owner"], "space": space_key(space), "last": {"$gte": number}}
    rows = await tables.call(lambda: tables.vectors.find(later, {"stored": 1}).to_list(None))
    return {stored for one in rows for stored in one["stored"]}


async def block_of(tables: Tables, row: Row, space: VectorSpace) -> dense.Block:
    """All vectors of a document in a space."""
    mine = {"document": row["_id"], "owner": row["owner"], "space": space_key(space)}
    size = 2 * space.dimensions
    vectors: dict[int, bytes] = {}
    after = ""
    while True:
        page = {**mine, "_id": {"$gt": after}}
        found = await tables.call(
            lambda page=page: tables.vectors.find(page).sort("_id", 1).limit(_BLOCKS_AT_ONCE).to_list(None)  # type: ignore[misc]
        )
        if not found:
            return dense.block(sorted(vectors.items()), space.dimensions)
        after = found[-1]["_id"]
        for one in found:
            for place, number in enumerate(one["with_vector"]):
                vectors[number] = one["vectors"][place * size : (place + 1) * size]


async def keep_only(tables: Tables, document_id: str, row: Row | None) -> None:
    """Remove what the row does not name."""
    await remove_between(tables, tables.segments, list(passage_gaps(document_id, row)))
    begun = [row["vectors"]["space"]] if row and row["vectors"] else []
    spaces = [*(one["key"] for one in row["spaces"]), *begun] if row else []
    await remove_all_but(tables, tables.vectors, document_id, [f"{document_id}/{space}/" for space in spaces])


async def count(tables: Tables, owner: str) -> int:
    """Rows of an owner."""
    counted = [
        await tables.call(lambda made=made: made.count_documents({"owner": owner}))  # type: ignore[misc]
        for made in (tables.segments, tables.vectors)
    ]
    return sum(map(int, counted))
