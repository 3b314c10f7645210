"""Conversations in Redis: what tests of them open, close, call and look at."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from chatbot.adapters.history_bounds import HistoryBounds, utc_now
from chatbot.adapters.personal.redis_conversations import RedisConversationsOfPeople
from chatbot.adapters.redis.conversations import RedisConversations
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.memory.summary import Summary
from redis import Redis

KEY = ConversationKey("office", Caller("", "CANARY"), "CANARY")
BOUNDS = HistoryBounds(ttl_seconds=7200)
RIGHTS = (
    *("resetchannels", "~chatbot:history:*", "-@all", "+info", "+ping", "+evalsha", "+script|load", "+client|setname"),
    *("+hget", "+hgetall", "+hmget", "+hset", "+hmset", "+hincrby", "+hdel", "+del", "+exists", "+pttl", "+pexpire"),
    *("+zadd", "+zrem", "+zscore", "+zrange", "+zrangebylex", "+zrangebyscore"),
)
"""What docs/operations.md says that its user needs."""


def turn(turn_id: str = "CANARY") -> Turn:
    """A turn of now."""
    return Turn(turn_id, "CANARY", "CANARY", datetime.now(UTC))


class Openings:
    """Everything that a test opens; closed after it, however it ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[RedisConversations | RedisConversationsOfPeople] = []

    def store(
        self, url: str = "", bounds: HistoryBounds = BOUNDS, clock: Callable[[], datetime] = utc_now
    ) -> RedisConversations:
        """A store of its own."""
        store = RedisConversations.open(url or self._url, bounds, clock=clock)
        self._open.append(store)
        return store

    def people(self, url: str = "") -> RedisConversationsOfPeople:
        """What conversations are to people."""
        people = RedisConversationsOfPeople(url or self._url, ("office", "character"))
        self._open.append(people)
        return people

    async def close(self) -> None:
        """All of it."""
        await asyncio.gather(*(one.close() for one in self._open))


def every_call(store: RedisConversations) -> list[Callable[[], Awaitable[Any]]]:
    """Each of its methods."""
    return [
        lambda: store.load(KEY),
        lambda: store.append(KEY, turn(), epoch=0),
        lambda: store.listing("office", KEY.caller, limit=5),
        lambda: store.remember(KEY, pins=("CANARY",)),
        lambda: store.summarise(Conversation(KEY), Summary("CANARY", "t", "t", turn().at, 1, "toy@0", turn().at)),
        lambda: store.erase(KEY),
        lambda: store.retract(KEY, "t"),
        store.ping,
    ]


async def complaints(store: RedisConversations) -> set[str]:
    """What each call says, all at once; no word of a user, no password."""
    results = await asyncio.gather(*(call() for call in every_call(store)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}, results
    printed = "".join(line for result in results for line in traceback.format_exception(result))
    assert "CANARY" not in printed and "redis://" not in printed
    return {str(result) for result in results}


async def recovered(store: RedisConversations) -> None:
    """Wait until it answers again."""
    deadline = time.monotonic() + 120
    while True:
        with suppress(StoreUnavailable):
            await store.load(KEY)
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def kept(raw: Redis) -> str:
    """Everything that lies in the server."""
    shown = []
    for key in raw.scan_iter("*"):
        kind = raw.type(key)
        value = raw.hgetall(key) if kind == "hash" else raw.zrange(key, 0, -1) if kind == "zset" else raw.dump(key)
        shown.append(f"{key} {value}")
    return "\n".join(shown)
