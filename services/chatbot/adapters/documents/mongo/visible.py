"""Which documents a search may show, and the texts of what was found: both by the owner, whatever an index answers."""

from collections.abc import Mapping, Sequence

from chatbot.adapters.documents.mongo.records import metadata_of
from chatbot.adapters.documents.mongo.tables import Row, Tables, indexed_in, owner_key, runs_of, text_name
from chatbot.adapters.documents.mongo.vectors import texts_of, to_chunk
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import Lookup
from chatbot.domain.documents import Found

Hits = Sequence[tuple[str, int, float]]
"""Document, number of the passage, score; best first."""

_SHOWN = {name: 1 for name in ("owner", "name", "metadata", "runs", "chunks_done", "added", "spaces")}


async def rows_of(tables: Tables, owner: Caller, lookup: Lookup, generation: str, conditions: Row) -> dict[str, Row]:
    """The documents that are searched, the oldest first.

    Args:
        tables: The collections.
        owner: Who asks.
        lookup: Where to look.
        generation: Of the index: what another one holds is not found here.
        conditions: What the documents are like.
    """
    mine: Row = {"owner": owner_key(owner), "indexed_in": indexed_in(generation), **conditions}
    if lookup.collections:
        mine["collection"] = {"$in": list(lookup.collections)}
    if lookup.ids:
        mine["_id"] = {"$in": list(lookup.ids)}
    if lookup.filters:
        mine["$and"] = [
            {"metadata": {"$elemMatch": {"k": {"$eq": key}, "v": {"$eq": value}}}}
            for key, value in lookup.filters.items()
        ]
    rows = await tables.call(lambda: tables.documents.find(mine, _SHOWN).to_list(None))
    return {row["_id"]: row for row in sorted(rows, key=lambda row: row["added"])}


async def found_in(tables: Tables, owner: str, rows: Mapping[str, Row], hits: Hits) -> tuple[Found, ...]:
    """The hits with their texts. One that was erased meanwhile has none and is left out."""
    names = {}
    for document_id, number, _ in hits:
        for run, beyond in runs_of(rows[document_id]):
            if run["first"] <= number < beyond:
                names[document_id, number] = text_name(owner, document_id, run["lease"], number)
    texts = await texts_of(tables, names.values())
    found = []
    for document_id, number, score in hits:
        text, row = texts.get(names.get((document_id, number), "")), rows[document_id]
        if text is not None:
            found.append(Found(document_id, row["name"], metadata_of(row), to_chunk(number, text), score))
    return tuple(found)
