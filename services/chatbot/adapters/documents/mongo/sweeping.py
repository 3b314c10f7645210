"""Rubbish: what a row of `documents` does not name (any more), because somebody erased it or a worker died.

Before rubbish can come about, a line in `document_sweeps` says where to look and when. So whatever dies in between, any
process looks there later; and where a worker that was thought dead still writes, it is removed after it, too.
"""

from collections.abc import Iterator
from typing import Any

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.documents.mongo.tables import Row, Tables, names_of, passage_name, runs_of

AFTER_SECONDS = 30.0
"""A worker that lost its lease learns it well within this."""

UPLOAD_SECONDS = 120.0
"""A file that is not named by then was left by a process that died."""

_AT_ONCE = 2000
_SWEEPS = 20


async def note(tables: Tables, document_id: str, seconds: float = AFTER_SECONDS) -> None:
    """Have a document looked at after a while, whatever happens until then."""
    line, change = {"_id": f"{document_id}/{seconds:.0f}"}, {"$max": {"due": tables.now() + int(seconds * 1000)}}

    async def upsert() -> None:
        try:
            await tables.sweeps.update_one(line, change, upsert=True)
        except DuplicateKeyError:  # somebody else inserted first
            await tables.sweeps.update_one(line, change, upsert=True)

    await tables.call(upsert)


async def sweep(tables: Tables, document_id: str) -> None:
    """Remove what the document's row does not name; all of it where there is no row."""
    row = await tables.call(lambda: tables.documents.find_one({"_id": document_id}))
    await remove_all_but(
        tables, tables.files, document_id, [f"{document_id}/{row['file']}/"] if row and row["file"] else []
    )
    await remove_between(tables, tables.passages, list(passage_gaps(document_id, row)))
    await tables.index.keep_only(document_id, row)


async def sweep_due(tables: Tables) -> None:
    """Look at the documents whose time has come; a bounded number of them."""
    now = tables.now()
    due = await tables.call(lambda: tables.sweeps.find({"due": {"$lte": now}}).limit(_SWEEPS).to_list(None))
    for one in due:
        await sweep(tables, one["_id"].partition("/")[0])
        await tables.call(lambda one=one: tables.sweeps.delete_one({"_id": one["_id"], "due": one["due"]}))  # type: ignore[misc]


def passage_gaps(document_id: str, row: Row | None) -> Iterator[tuple[str, str]]:
    """Ranges of names between those that the row names; the worker that holds it now may be ahead of the row."""
    names = names_of(document_id)
    ranges = []
    for run, beyond in runs_of(row) if row else ():
        first, end = (passage_name(document_id, run["lease"], number) for number in (run["first"], beyond))
        ranges.append((first, end))
    if row and row["lease"]:
        ranges.append((f"{document_id}/{row['lease']}/", f"{document_id}/{row['lease']}0"))
    begin = names["$gte"]
    for first, beyond_name in sorted(ranges):
        if begin < first:
            yield begin, first
        begin = max(begin, beyond_name)
    yield begin, names["$lt"]


async def remove_all_but(tables: Tables, made: Any, document_id: str, kept: list[str]) -> None:
    """Remove rows of a document, but not those whose names begin with one of `kept`."""
    names = names_of(document_id)
    begin, gaps = names["$gte"], []
    for prefix in sorted(kept):
        gaps.append((begin, prefix))
        begin = f"{prefix[:-1]}0"
    gaps.append((begin, names["$lt"]))
    await remove_between(tables, made, gaps)


async def remove_between(tables: Tables, made: Any, gaps: list[tuple[str, str]]) -> None:
    """In steps that a server makes within the time of a call."""
    for begin, end in gaps:
        between = {"_id": {"$gte": begin, "$lt": end}}
        while found := await tables.call(
            lambda between=between: made.find(between, {"_id": 1}).sort("_id", 1).limit(_AT_ONCE).to_list(None)  # type: ignore[misc]
        ):
            ids = {"_id": {"$gte": found[0]["_id"], "$lte": found[-1]["_id"]}}
            await tables.call(lambda ids=ids: made.delete_many(ids))  # type: ignore[misc]
            if len(found) < _AT_ONCE:
                break
