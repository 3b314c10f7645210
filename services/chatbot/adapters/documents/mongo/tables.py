"""Where documents lie in MongoDB: collections, names of their rows, indexes, and how a call is made.

    documents          {_id, owner, tenant, user, name, collection, metadata: [{k, v}], sha256, file, file_bytes, state,
                        reason, pipeline, chunks_done, chunks_total, text_bytes, tries, lease, lease_until, added,
                        indexed_in,
                        runs: [{lease, first}], spaces: [{key, made, model, dimensions, recipe}],
                        vectors: {space, done}}
    document_owners    {_id: owner, turn}
    document_files     {_id: document/file/part, content}
    document_passages  {_id: document/lease/number/owner, heading, text, page, start, end}
    document_segments  {_id: document/lease/first, owner, document, lease, first, lengths, keys, rows, counts}
    document_vectors   {_id: document/space/first, owner, document, space, last, stored, with_vector, vectors}
    document_sweeps    {_id: document/after, due}
    document_indexes   {_id: prefix, base, number, made}

Everything that is made of a document has a name that begins with the document's. What the document's row does not name
is rubbish, and `sweeping` removes it; so one update of that row decides, and nothing has to be written together.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from chatbot.adapters.mongo_client import Client, in_time
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import DocumentState, VectorSpace
from chatbot.domain.errors import DocumentsUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from chatbot.adapters.documents.mongo.index import PassageIndex

Row = dict[str, Any]
T = TypeVar("T")

_GROUPS = 10_000

UNREAD = [DocumentState.QUEUED.value, DocumentState.PARSING.value, DocumentState.INDEXING.value]
"""States of a document that is still to be read."""

FOUND = [DocumentState.COMPLETED.value, DocumentState.EMBEDDING.value]
"""States of a document that searches show."""

NOTHING_MADE: Row = {"runs": [], "chunks_done": 0, "chunks_total": None, "text_bytes": 0, "spaces": [], "vectors": None}
NOT_CLAIMED: Row = {"lease": "", "lease_until": 0}


def owner_key(owner: Caller) -> str:
    """An owner as one text; the length keeps `a` + `bc` and `ab` + `c` apart."""
    return f"{len(owner.tenant)}.{owner.tenant}{owner.user}"


def passage_name(document_id: str, lease: str, number: int) -> str:
    """Name of a passage, and of the segment that begins with it; sorts by number."""
    return f"{document_id}/{lease}/{number:08d}"


def text_name(owner: str, document_id: str, lease: str, number: int) -> str:
    """Name of the row with a passage's text. The owner is a part of it: nobody else's question can name it."""
    mark = hashlib.sha256(owner.encode()).hexdigest()[:32]
    return f"{passage_name(document_id, lease, number)}/{mark}"


def space_key(space: VectorSpace) -> str:
    """A space as a part of a name."""
    told = f"{space.recipe}/{space.dimensions}/{space.model}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def indexed_in(generation: str) -> Row:
    """What the field is like in documents of an index; those read before there were others than "" have none."""
    return {"$in": [generation] if generation else [None, ""]}


def names_of(document_id: str) -> Row:
    """Names of everything made of a document."""
    return {"$gte": f"{document_id}/", "$lt": f"{document_id}0"}  # "0" comes after "/"


def runs_of(row: Row) -> Iterator[tuple[Row, int]]:
    """Which claim stored which passages: each run of `runs` with the number behind its last passage."""
    runs = row["runs"]
    for place, run in enumerate(runs):
        yield run, runs[place + 1]["first"] if place + 1 < len(runs) else row["chunks_done"]


@dataclass
class Tables:
    """The collections of one database, and the index beside them; the store that has both sets `index`."""

    client: Client
    name: str
    bounds: DocumentBounds
    clock: Callable[[], float] = time.time
    is_prepared: bool = False
    index: "PassageIndex" = field(init=False)

    def __post_init__(self) -> None:
        database = self.client[self.name]
        self.documents = database["documents"]
        self.owners = database["document_owners"]
        self.files = database["document_files"]
        self.passages = database["document_passages"]
        self.segments = database["document_segments"]
        self.vectors = database["document_vectors"]
        self.sweeps = database["document_sweeps"]
        self.index_names = database["document_indexes"]
        self.database = database

    def now(self) -> int:
        """Unix milliseconds."""
        return int(self.clock() * 1000)

    def until(self) -> int:
        """When a claim that is made now ends."""
        return self.now() + int(self.bounds.lease_seconds * 1000)

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The result of one call.

        Raises:
            DocumentsUnavailable: It failed or took too long.
        """
        try:
            if not self.is_prepared:
                await self._prepare()
                self.is_prepared = True
            return await in_time(operation)
        except StoreUnavailable as exc:
            raise DocumentsUnavailable(str(exc)) from None

    async def sum_of(self, field: str, matching: Row) -> int:
        """Sum of a number over documents."""
        lines = await self._groups(matching, None, {"$sum": f"${field}"})
        return int(lines[0]["sum"]) if lines else 0

    async def counts_by_owner(self, matching: Row) -> dict[str, int]:
        """How many documents of each owner; those without any are left out."""
        return {line["_id"]: int(line["sum"]) for line in await self._groups(matching, "$owner", {"$sum": 1})}

    async def _groups(self, matching: Row, by: str | None, total: Row) -> list[Row]:
        """A bare command: the one form of `aggregate` that both drivers have alike."""
        stages = [{"$match": matching}, {"$group": {"_id": by, "sum": total}}]
        command = {"aggregate": "documents", "pipeline": stages, "cursor": {"batchSize": _GROUPS}}
        answer = await self.call(lambda: self.database.command(command))
        return list(answer["cursor"]["firstBatch"])

    async def _prepare(self) -> None:
        """Make the indexes, each in the time of a call; making them again changes nothing."""
        up = [("document", ASCENDING), ("_id", ASCENDING)]
        same = [("owner", ASCENDING), ("collection", ASCENDING), ("sha256", ASCENDING)]
        jobs = [("state", ASCENDING), ("lease_until", ASCENDING)]
        await in_time(lambda: self.documents.create_index(same, name="same_bytes", unique=True))
        await in_time(lambda: self.documents.create_index([("owner", ASCENDING), ("_id", ASCENDING)], name="owner"))
        await in_time(lambda: self.documents.create_index(jobs, name="jobs"))
        await in_time(lambda: self.owners.create_index("turn", name="turn"))
        await in_time(lambda: self.segments.create_index(up, name="document"))
        await in_time(lambda: self.vectors.create_index(up, name="document"))


async def insert_missing(tables: Tables, made: Any, rows: list[Row]) -> None:
    """Insert rows; those that are there already stay."""

    async def insert() -> None:
        try:
            await made.insert_many(rows, ordered=False)
        except BulkWriteError as exc:
            if any(error.get("code") != 11000 for error in (exc.details or {}).get("writeErrors", [{}])):
                raise

    await tables.call(insert)
