"""History in MongoDB: one document a conversation, one atomic update a turn, any number of processes.

    {_id: {tenant, service, user, db_id}, epoch, local_only, updated_at, expires_at,
     turns: [{turn_id, question, answer, at, bytes, character, proposals}], note: {text, depth}, pins: [text], summary}

A document whose `expires_at` has passed is not seen; MongoDB deletes it some hours later (see `GRACE`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Self, TypeVar

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.history_bounds import (
    GRACE,
    TOMBSTONE,
    HistoryBounds,
    stored_turn,
    utc_now,
)
from chatbot.adapters.memory import mongo as standing
from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.adapters.mongo_documents import Document, is_expired, to_document, to_id, to_time, to_turn
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased, StoreUnavailable
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary

COLLECTION = "conversations"
ATTEMPTS = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Append:
    """One turn on its way into a conversation that had `epoch` when its generation began."""

    key: ConversationKey
    turn: Turn
    epoch: int
    local_only: bool
    now: datetime


class MongoConversations:
    """`ConversationStore` in MongoDB."""

    def __init__(self, client: Client, database: str, bounds: HistoryBounds, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._database = client[database]
        self._conversations = self._database[COLLECTION]
        self._bounds = bounds
        self._clock = clock
        self._is_indexed = False

    @classmethod
    def open(
        cls,
        uri: str,
        database: str,
        driver: Driver,
        bounds: HistoryBounds,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """Make the store; the first call connects, so `ping` tells whether the server answers.

        Args:
            uri: Connection string, with its password.
            database: Name of the database.
            driver: Which library.
            bounds: What is kept of a conversation.
            clock: Time, UTC.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database, bounds, clock)

    async def load(self, key: ConversationKey) -> Conversation:
        """Read a conversation. See `ConversationStore`."""
        document = await self._call(lambda: self._conversations.find_one({"_id": to_id(key)}))
        if document is None or is_expired(document, self._clock()):
            return Conversation(key)
        turns, beside = tuple(map(to_turn, document["turns"])), standing.of_document(document)
        summary = standing.summary_of(document)
        return Conversation(key, document["epoch"], turns, document["local_only"], beside, summary)

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """Store a turn. See `ConversationStore`."""
        asked = _Append(key, stored_turn(turn), epoch, local_only, self._clock())
        return await self._call(lambda: self._append(asked))

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> bool:
        """Set what stands beside the turns. See `ConversationStore`."""
        there = {"_id": to_id(key), "expires_at": {"$gt": self._clock()}, "turns.0": {"$exists": True}}
        change = {"$set": standing.values(note, pins)}
        done = await self._call(lambda: self._conversations.update_one(there, change))
        return bool(done.matched_count)

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        """Keep a summary. See `ConversationStore`."""
        there = {"_id": to_id(read.key), **standing.unchanged(read, summary, self._clock())}
        change = {"$set": standing.summary_values(read, summary)}
        return bool((await self._call(lambda: self._conversations.update_one(there, change))).matched_count)

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        """Put other proposals in the place of a turn's. See `ConversationStore`."""
        read = {"turn_id": turn.turn_id, "proposals": turn.proposals}
        there, change = {"_id": to_id(key), "turns": {"$elemMatch": read}}, {"turns.$[read].proposals": proposals}
        which = [{f"read.{name}": value for name, value in read.items()}]
        update = partial(self._conversations.update_one, there, {"$set": change}, array_filters=which)
        return bool((await self._call(update)).matched_count)

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations. See `ConversationStore`."""
        mine = {
            "_id.tenant": caller.tenant,
            "_id.service": service,
            "_id.user": caller.user,
            "_id.db_id": {"$gt": after},
            "expires_at": {"$gt": self._clock()},
            "turns.0": {"$exists": True},
        }
        stages = (
            {"$match": mine},
            {"$sort": {"_id.db_id": ASCENDING}},
            {"$limit": limit},
            {"$project": {"updated_at": 1, "turns": {"$size": "$turns"}}},
        )
        # A bare command: the one form of `aggregate` that both drivers have alike.
        command = {"aggregate": COLLECTION, "pipeline": list(stages), "cursor": {"batchSize": limit}}
        answer = await self._call(lambda: self._database.command(command))
        return tuple(
            ConversationSummary(line["_id"]["db_id"], line["turns"], to_time(line["updated_at"]))
            for line in answer["cursor"]["firstBatch"]
        )

    async def erase(self, key: ConversationKey) -> None:
        """Empty a conversation in one upsert. See `ConversationStore`."""
        now = self._clock()
        change = {
            "$set": {"turns": [], "updated_at": now, "expires_at": now + TOMBSTONE, **standing.CLEARED},
            "$inc": {"epoch": 1},
            "$setOnInsert": {"local_only": False},
        }

        async def upsert() -> None:
            try:
                await self._conversations.update_one({"_id": to_id(key)}, change, upsert=True)
            except DuplicateKeyError:  # somebody else inserted first
                await self._conversations.update_one({"_id": to_id(key)}, change, upsert=True)

        await self._call(upsert)

    async def retract(self, key: ConversationKey, turn_id: str) -> None:
        """Take one turn back. See `ConversationStore`."""
        name = {"_id": to_id(key)}
        turn = {"$pull": {"turns": {"turn_id": turn_id}}, "$set": {"summary": None}}
        await self._call(lambda: self._conversations.update_one(name, turn))
        await self._call(lambda: self._conversations.delete_one({**name, "turns": {"$size": 0}}))

    async def ping(self) -> None:
        """Ask the server. See `ConversationStore`."""
        await self._call(lambda: self._database.command("ping"))

    async def close(self) -> None:
        """Close the connections."""
        await close_client(self._client)

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        async def prepared() -> T:
            await self._prepare()
            return await operation()

        return await in_time(prepared)

    async def _prepare(self) -> None:
        """Make the indexes, once a process; making them again changes nothing."""
        if self._is_indexed:
            return
        grace_seconds = int(GRACE.total_seconds())
        await self._conversations.create_index("expires_at", name="expiry", expireAfterSeconds=grace_seconds)
        owner = [(f"_id.{part}", ASCENDING) for part in ("tenant", "service", "user", "db_id")]
        await self._conversations.create_index(owner, name="owner")
        self._is_indexed = True

    async def _append(self, asked: _Append) -> Turn:
        for _ in range(ATTEMPTS):
            if await self._push(asked):
                return asked.turn
            there = await self._look(asked)
            if there is not None:
                return there
        raise StoreUnavailable("MongoDB: the conversation changed too often")

    async def _push(self, asked: _Append) -> bool:
        """Add the turn if epoch and expiry allow it and it is not there yet; whether it was added."""
        try:
            document = await self._update(asked, is_upsert=True)
        except DuplicateKeyError:  # the conversation exists, perhaps since a moment ago
            document = await self._update(asked, is_upsert=False)
        if document is None:
            return False
        await self._trim(asked, document["turns"])
        return True

    async def _update(self, asked: _Append, *, is_upsert: bool) -> Document | None:
        expected = {
            "_id": to_id(asked.key),
            "epoch": asked.epoch,
            "turns.turn_id": {"$ne": asked.turn.turn_id},
            "expires_at": {"$gt": asked.now},
        }
        change: dict[str, Any] = {
            "$push": {"turns": {"$each": [to_document(asked.turn)], "$slice": -self._bounds.max_turns}},
            "$set": {"updated_at": asked.now, "expires_at": self._bounds.expiry(asked.now)},
        }
        # Sticky: set, or left as it is.
        if asked.local_only:
            change["$set"]["local_only"] = True
        else:
            change["$setOnInsert"] = {"local_only": False}
        return await self._conversations.find_one_and_update(
            expected,
            change,
            projection={"turns.turn_id": 1, "turns.bytes": 1},
            upsert=is_upsert,
            return_document=ReturnDocument.AFTER,
        )

    async def _trim(self, asked: _Append, turns: Sequence[Document]) -> None:
        """Drop the oldest turns above `max_bytes`. Named by id, so two that trim at once drop no more than one."""
        surplus = self._bounds.surplus([turn["bytes"] for turn in turns])
        if surplus:
            oldest = {"turn_id": {"$in": [turn["turn_id"] for turn in turns[:surplus]]}}
            expected = {"_id": to_id(asked.key), "epoch": asked.epoch}
            await self._conversations.update_one(expected, {"$pull": {"turns": oldest}})

    async def _look(self, asked: _Append) -> Turn | None:
        """Why the turn was not added: it is there, the conversation expired or was erased; None: try again."""
        wanted = {"epoch": 1, "expires_at": 1, "turns": {"$elemMatch": {"turn_id": asked.turn.turn_id}}}
        document = await self._conversations.find_one({"_id": to_id(asked.key)}, wanted)
        if document is None:
            return None
        is_over = is_expired(document, asked.now)
        if is_over and asked.epoch in (0, document["epoch"]):
            return await self._begin_again(asked, document["epoch"])
        if document.get("turns") and not is_over:
            return to_turn(document["turns"][0])
        if document["epoch"] != asked.epoch:
            raise ConversationErased
        return None

    async def _begin_again(self, asked: _Append, epoch: int) -> Turn | None:
        """Put a new conversation into the document of an expired one."""
        expected = {"_id": to_id(asked.key), "epoch": epoch, "expires_at": {"$lte": asked.now}}
        fresh = {
            "epoch": asked.epoch,
            "local_only": asked.local_only,
            "turns": [to_document(asked.turn)],
            "updated_at": asked.now,
            "expires_at": self._bounds.expiry(asked.now),
            **standing.CLEARED,
        }
        result = await self._conversations.update_one(expected, {"$set": fresh})
        return asked.turn if result.matched_count else None
