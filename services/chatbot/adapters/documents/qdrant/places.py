"""Collections of one installation: how they are named, made and found again.

    <prefix>_<generation>_terms        sparse vectors of words
    <prefix>_<generation>_<space>      vectors of one model, so those of two are never compared

MongoDB has the name of the generation. Where the collection of the words is not there, another server is there, or one
that lost its disk: a new generation begins, in which no document is found until it was brought into it (`reindexing`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.documents.mongo.tables import Row, Tables, space_key
from chatbot.adapters.documents.qdrant.points import MEANING, TERMS
from chatbot.adapters.documents.qdrant.wire import WRITE_SECONDS, QdrantWire
from chatbot.domain.documents import VectorSpace
from chatbot.domain.errors import DocumentsUnavailable

OLDEST: Final = (1, 19)
"""Since then rarity can be counted among an owner's passages alone; an older server would count everybody's."""

_ATTEMPTS: Final = 4
_INDEXED: Final = (
    ("owner", {"type": "keyword", "is_tenant": True}),
    ("document", {"type": "keyword"}),
    ("run", {"type": "keyword"}),
)


@dataclass(frozen=True, slots=True)
class QdrantPlace:
    """Where a Qdrant is.

    Attributes:
        url: `http://host:6333` or `https://…`.
        prefix: Of the names of collections; installations that share a server differ in it.
        api_key: "" sends none.
    """

    url: str
    prefix: str = "chatbot"
    api_key: str = field(default="", repr=False)


class Collections:
    """The collections of the present generation.

    Args:
        tables: MongoDB's, where the generation stands.
        wire: To the Qdrant.
        prefix: See `QdrantPlace`.
    """

    def __init__(self, tables: Tables, wire: QdrantWire, prefix: str) -> None:
        self._tables = tables
        self._wire = wire
        self._prefix = prefix
        self._generation = ""
        self._spaces: set[str] = set()

    async def generation(self) -> str:
        """The name of the present generation, which is made where there is none.

        Raises:
            DocumentsUnavailable: MongoDB or Qdrant does not answer, or is too old.
        """
        if not self._generation:
            await self._check_version()
            self._generation = await self._present()
        return self._generation

    def lost(self) -> None:
        """A collection was not there: look again before the next call."""
        self._generation = ""
        self._spaces.clear()

    async def terms(self) -> str:
        """Name of the collection of words."""
        return self._name(await self.generation(), TERMS)

    async def vectors(self, space: VectorSpace) -> str:
        """Name of the collection of a space, which is made where it is not there."""
        generation, key = await self.generation(), space_key(space)
        name = self._name(generation, key)
        if key not in self._spaces:
            meaning = {"size": space.dimensions, "distance": "Cosine", "datatype": "float16"}
            # A graph for each owner, none over all: a search is always one owner's.
            shape = {"vectors": {MEANING: meaning}, "hnsw_config": {"m": 0, "payload_m": 16}}
            if await self._make(name, shape):
                await self._forget(generation, key)
            self._spaces.add(key)
        return name

    async def every(self) -> Sequence[str]:
        """Names of all collections of the present generation."""
        return await self._named(self._name(await self.generation(), ""))

    async def _check_version(self) -> None:
        told = (await self._wire.call("GET", "/")).get("version")
        try:
            version = tuple(int(part) for part in str(told).split("-")[0].split(".")[:2])
        except ValueError:
            version = ()
        if version < OLDEST:
            raise DocumentsUnavailable("Qdrant: the server is older than 1.19, or none: it must be that or newer")

    async def _present(self) -> str:
        """The generation of MongoDB where its collection is there, else the next one.

        Names are decided in MongoDB before anything is made of that name: whoever dies, or is as fast, goes on with it.
        """
        for _ in range(_ATTEMPTS):
            row = await self._tables.call(self._row)
            known = f"{row['base']}-{row['number']}"
            name = self._name(known, TERMS)
            if row["made"] and await self._exists(name):
                return known
            if row["made"]:
                await self._drop(known)
                await self._change(row, {"number": row["number"] + 1, "made": False})
                continue
            await self._make(name, {"sparse_vectors": {TERMS: {"modifier": "idf"}}})
            if await self._change(row, {"made": True}):
                return known
        raise DocumentsUnavailable("Qdrant: collections come and go all the time")

    async def _row(self) -> Row:
        found = await self._tables.index_names.find_one({"_id": self._prefix})
        if found is None:
            found = {"_id": self._prefix, "base": uuid4().hex[:12], "number": 1, "made": False}
            with suppress(DuplicateKeyError):
                await self._tables.index_names.insert_one(found)
            found = await self._tables.index_names.find_one({"_id": self._prefix})
        return dict(found or {})

    async def _change(self, row: Row, change: Row) -> bool:
        """Whether the row was still as it was read."""
        done = await self._tables.call(lambda: self._tables.index_names.update_one(row, {"$set": change}))
        return bool(done.matched_count)

    async def _exists(self, name: str) -> bool:
        found = await self._wire.call("GET", f"/collections/{name}/exists")
        return bool(isinstance(found, dict) and found.get("exists") is True)

    async def _forget(self, generation: str, key: str) -> None:
        """Rows that have vectors in a space whose collection was not there get them anew."""
        having = {"indexed_in": generation, "spaces.key": key}
        await self._tables.call(lambda: self._tables.documents.update_many(having, {"$pull": {"spaces": {"key": key}}}))

    async def _make(self, name: str, shape: dict[str, Any]) -> bool:
        """Make a collection and what its filters need; whether it was not there. Where it is, nothing is lost."""
        is_missing = not await self._exists(name)
        if is_missing:
            try:
                await self._wire.call("PUT", f"/collections/{name}", shape, WRITE_SECONDS)
            except DocumentsUnavailable:  # made by another process at the same time, or it was refused
                if not await self._exists(name):
                    raise
        for key, schema in _INDEXED:
            body = {"field_name": key, "field_schema": schema}
            await self._wire.call("PUT", f"/collections/{name}/index?wait=true", body, WRITE_SECONDS)
        return is_missing

    async def _drop(self, generation: str) -> None:
        for name in await self._named(self._name(generation, "")):
            await self._wire.call("DELETE", f"/collections/{name}", seconds=WRITE_SECONDS)

    async def _named(self, beginning: str) -> Sequence[str]:
        listed = await self._wire.call("GET", "/collections")
        try:
            return [one["name"] for one in listed["collections"] if one["name"].startswith(beginning)]
        except (TypeError, KeyError, AttributeError):
            raise DocumentsUnavailable("Qdrant: a list of collections that cannot be read") from None

    def _name(self, generation: str, kind: str) -> str:
        return f"{self._prefix}_{generation}_{kind}"
