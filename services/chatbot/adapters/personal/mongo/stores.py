"""Which documents of the database are a person's."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bson import ObjectId

from chatbot.adapters.documents.mongo.store import MongoDocuments
from chatbot.adapters.documents.mongo.tables import names_of, owner_key
from chatbot.adapters.memory.mongo import of_document, summary_of, values
from chatbot.adapters.memory.summary_text import shown_summary
from chatbot.adapters.personal.mongo.rows import Collection, Database, MongoPersonal, of_tenants
from chatbot.adapters.shelves.mongo import owner_mark
from chatbot.domain.chat import Caller
from chatbot.domain.limits import user_accounts
from chatbot.domain.personal.stores import Overdue, Person, Row

_USE: Final = (
    *("at", "key", "service", "route", "backend", "model", "outcome", "prompt_tokens", "cached_tokens"),
    *("completion_tokens", "tools", "queue_seconds", "seconds", "micro_usd", "price"),
)
_PASSAGES: Final = 200


def conversations(database: Database, services: Sequence[str]) -> MongoPersonal:
    """Conversations with their turns; `services` are all that there are."""

    def mine(person: Person) -> dict[str, Any]:
        return {"_id.tenant": person.tenant, "_id.service": {"$in": list(services)}, "_id.user": person.user}

    return MongoPersonal(
        database,
        "conversations",
        [
            Collection(
                "conversation",
                "conversations",
                mine,
                _show_conversation,
                page=2,
                at="updated_at",
                tenant="_id.tenant",
                may_expire=True,
            )
        ],
    )


def files(database: Database) -> MongoPersonal:
    """Files and vector stores."""
    return _Files(
        database,
        "files",
        [
            Collection(
                "thing",
                "shelves",
                lambda person: {"owner": owner_mark(person.caller())},
                _show_thing,
                at="created_at",
                is_number=True,
                only={"kind": {"$in": ["file", "place"]}},
            ),
            Collection("content", "shelf_files", _contents, _show_content, page=1),
        ],
    )


def use(database: Database) -> MongoPersonal:
    """Records of requests: they stay for the bill, without their subject."""
    return _Use(
        database,
        "usage",
        [
            Collection(
                "request",
                "usage",
                lambda person: {"tenant": person.tenant, "user": {"$in": list(person.pseudonyms)}},
                lambda document: [{name: document[name] for name in _USE}],
                page=200,
                at="at",
                is_number=True,
                may_expire=True,
                only={"batch": ""},  # what the sums of its day have
            )
        ],
    )


def accounts(database: Database) -> MongoPersonal:
    """Counters of a user's limits: an operator may reset them, the user may not."""

    def mine(person: Person) -> dict[str, Any]:
        return {"_id": {"$in": user_accounts(person.tenant, person.user, person.pseudonyms)}}

    return MongoPersonal(
        database,
        "limits",
        [Collection("account", "limits", mine, lambda document: [{"counters": json.loads(document["state"])}])],
        kept=lambda person: "limits" if person.is_self else "",
    )


class MongoDocumentsOfPeople(MongoPersonal):
    """Documents with their passages; what is computed from those is not handed out.

    Args:
        store: Erases as it does by itself, and sweeps what a worker leaves.
    """

    def __init__(self, database: Database, store: MongoDocuments) -> None:
        super().__init__(database, "documents", [Collection("document", "documents", _mine, _show_document)])
        self._store = store

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`."""
        async for row in super().export(person):
            yield row
        for document in await self._ids(self._collections[0], _mine(person)):
            async for passage in self._passages(document):
                yield passage

    async def erase(self, person: Person) -> None:
        """See `PersonalData`."""
        await self._store.erase_owner(person.caller())

    async def count(self, person: Person) -> int:
        """See `PersonalData`; what was made of documents counts, too."""
        total = await super().count(person)
        total += await self._store.count_made(person.caller())
        owner = {"_id": owner_key(person.caller())}
        owners = await self._database.call(lambda: self._database["document_owners"].count_documents(owner))
        return total + int(owners)

    async def oldest(self) -> float | None:
        """See `PersonalData`; an `ObjectId` has the time at which it was made."""
        cursor = self._database["documents"].find({}, {"added": 1}).sort("added", 1).limit(1)
        found = await self._database.call(lambda: cursor.to_list(1))
        return float(found[0]["added"].generation_time.timestamp()) if found else None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`; one by one, as their owner would."""
        before = ObjectId.from_datetime(datetime.fromtimestamp(overdue.before, UTC))
        old = {**of_tenants(overdue, "tenant"), "added": {"$lt": before}}
        cursor = self._database["documents"].find(old, {"tenant": 1, "user": 1}).sort("added", 1).limit(overdue.most)
        found = await self._database.call(lambda: cursor.to_list(None))
        for row in found:
            await self._store.erase(Caller(row["tenant"], row["user"]), row["_id"])
        return len(found)

    async def _passages(self, document_id: str) -> AsyncIterator[Row]:
        names = names_of(document_id)
        after = names["$gte"]
        while True:
            between = {"_id": {"$gt": after, "$lt": names["$lt"]}}
            cursor = self._database["document_passages"].find(between).sort("_id", 1).limit(_PASSAGES)
            found = await self._database.call(lambda cursor=cursor: cursor.to_list(None))  # type: ignore[misc]
            for passage in found:
                shown = {name: passage.get(name) for name in ("heading", "text", "page")}
                yield {"kind": "passage", "document_id": document_id, **shown}
            if not found:
                return
            after = found[-1]["_id"]


class _Files(MongoPersonal):
    """With their bytes."""

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`; bytes first, since bytes without a row would stay for ever."""
        found = await self._old(self._collections[0], overdue)
        for row in found:
            if row["kind"] == "file":
                of = {"of": f"{row['owner']}/{row['id']}"}
                await self._database.call(lambda of=of: self._database["shelf_files"].delete_many(of))  # type: ignore[misc]
        names = {"_id": {"$in": [row["_id"] for row in found]}}
        if found:
            await self._database.call(lambda: self._database["shelves"].delete_many(names))
        return len(found)


class _Use(MongoPersonal):
    """Rows stay, their subject goes."""

    async def _remove(self, one: Collection, person: Person) -> None:
        mine = one.mine(person)
        await self._database.call(lambda: self._database[one.name].update_many(mine, {"$set": {"user": ""}}))


def _mine(person: Person) -> dict[str, Any]:
    return {"owner": owner_key(person.caller())}


def _contents(person: Person) -> dict[str, Any]:
    """Names of files begin with their owner: a range of the index."""
    mark = owner_mark(person.caller())
    return {"of": {"$gte": f"{mark}/", "$lt": f"{mark}0"}}  # "0" comes after "/"


def _show_conversation(document: Mapping[str, Any]) -> list[Row]:
    name = {"service": document["_id"]["service"], "db_id": document["_id"]["db_id"]}
    standing = of_document(document)
    head = {
        **name,
        "local_only": document["local_only"],
        "updated_at": document["updated_at"].isoformat(),
        **values(standing.note, standing.pins),
        "summary": shown_summary(summary_of(document)),
    }
    turns = [
        {
            "kind": "turn",
            **name,
            **{field: turn.get(field, "") for field in ("turn_id", "question", "answer", "character", "proposals")},
            "at": turn["at"].isoformat(),
        }
        for turn in document["turns"]
    ]
    return [head, *turns]


def _show_thing(document: Mapping[str, Any]) -> list[Row]:
    shown = {"what": document["kind"], "id": document["id"], "created_at": document["created_at"]}
    return [{**shown, "fields": json.loads(document["fields"])}]


def _show_content(document: Mapping[str, Any]) -> list[Row]:
    _, _, name = document["of"].partition("/")
    part = int(document["_id"].rpartition("/")[2])
    return [{"id": name, "part": part, "base64": base64.b64encode(document["content"]).decode()}]


def _show_document(document: Mapping[str, Any]) -> list[Row]:
    metadata = {one["k"]: one["v"] for one in document["metadata"]}
    shown = {field: document[field] for field in ("name", "collection", "sha256", "state")}
    return [{"document_id": document["_id"], **shown, "metadata": metadata}]
