"""Documents that are not in the present index are brought into it, from their texts: nobody uploads anything again.

They are not there because another store of passages was chosen, or because the index's server lost its disk. Words come
first, vectors afterwards as for a new model: rows forget the spaces that they had.
"""

import logging
from collections.abc import Callable

from chatbot.adapters.documents.mongo.sweeping import note
from chatbot.adapters.documents.mongo.tables import FOUND, Row, Tables, indexed_in, runs_of
from chatbot.adapters.documents.mongo.vectors import passages
from chatbot.domain.documents import Chunk, IndexedChunk

TermsOf = Callable[[Chunk], tuple[str, ...]]
_DOCUMENTS_AT_ONCE = 8
_PASSAGES_AT_ONCE = 64
_log = logging.getLogger(__name__)


async def bring_some(tables: Tables, terms_of: TermsOf) -> int:
    """Bring a few documents in; how many were. Doing it twice, or in two processes, changes nothing."""
    generation = await tables.index.generation()
    waiting = {"state": {"$in": FOUND}, "lease_until": {"$lte": tables.now()}}
    missing = {**waiting, "$nor": [{"indexed_in": indexed_in(generation)}]}
    rows = await tables.call(lambda: tables.documents.find(missing).limit(_DOCUMENTS_AT_ONCE).to_list(None))
    brought = [await _bring(tables, row, generation, terms_of) for row in rows]
    if rows:
        _log.info("%d documents were brought into the index, from %d that waited", sum(brought), len(rows))
    return sum(brought)


async def _bring(tables: Tables, row: Row, generation: str, terms_of: TermsOf) -> bool:
    await note(tables, row["_id"])  # it may be erased meanwhile
    for run, beyond in runs_of(row):
        for first in range(run["first"], beyond, _PASSAGES_AT_ONCE):
            numbers = list(range(first, min(first + _PASSAGES_AT_ONCE, beyond)))
            chunks = [one for one in await passages(tables, row, numbers) if one is not None]
            await tables.index.add_terms(row, run["lease"], [IndexedChunk(one, terms_of(one)) for one in chunks])
    if not await tables.index.has_terms(row):
        return False
    expected = {name: row[name] for name in ("_id", "state", "lease", "runs")}
    change: Row = {"indexed_in": generation, "spaces": [], "vectors": None}
    done = await tables.call(lambda: tables.documents.update_one(expected, {"$set": change}))
    return bool(done.matched_count)
