"""Conversations of a person where those are in Redis or Valkey."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from chatbot.adapters.memory.summary_text import shown_summary
from chatbot.adapters.redis.connection import RedisConnection
from chatbot.adapters.redis.conversations import PURPOSE
from chatbot.adapters.redis.names import AGES, Place, named, owned_by, read_conversation, time_of
from chatbot.adapters.redis.removal import Removal
from chatbot.adapters.redis.standing import of_row, summary_of_row
from chatbot.domain.chat import ConversationKey
from chatbot.domain.personal.stores import Overdue, Person, Row

_PAGE: Final = 200
_SWEEPS: Final = 20


class RedisConversationsOfPeople:
    """`PersonalData` of conversations with their turns; tombstones of single conversations are among them.

    Args:
        url: Of the server.
        services: All that there are.

    Raises:
        ValueError: `url` is none; the message does not repeat it.
    """

    name = "conversations"

    def __init__(self, url: str, services: Sequence[str]) -> None:
        self._server = RedisConnection.open(url, PURPOSE)
        self._client: Any = self._server.client
        self._removal = Removal(self._server)
        self._services = services

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`; one conversation in memory at a time."""
        async for keys in self._pages(person):
            for key in keys:
                place = Place.of(key)
                row = await self._server.call(lambda place=place: self._client.hgetall(place.key))  # type: ignore[misc]
                if row:
                    for shown in _show(key, row):
                        yield shown

    async def erase(self, person: Person) -> None:
        """See `PersonalData`; names of what the server has dropped go, too."""
        async for keys in self._pages(person):
            await self._removal.remove([Place.of(key) for key in keys])

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        total = 0
        async for keys in self._pages(person):
            names = [Place.of(key).key for key in keys]
            total += await self._server.call(lambda names=names: self._client.exists(*names))  # type: ignore[misc]
        return total

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return ""

    async def oldest(self) -> float | None:
        """See `PersonalData`; what the server dropped by itself is not there any more."""
        now_milliseconds = int(time.time() * 1000)
        for _ in range(_SWEEPS):
            if not await self._removal.sweep(now_milliseconds):
                break
        first = await self._server.call(lambda: self._client.zrange(AGES, 0, 0, withscores=True))
        return float(first[0][1]) / 1000 if first else None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`; the oldest first."""
        before = int(overdue.before * 1000)
        found: list[Place] = []
        start = 0
        while len(found) < overdue.most:
            names = await self._server.call(
                lambda start=start: self._client.zrangebyscore(AGES, "-inf", f"({before}", start=start, num=_PAGE)  # type: ignore[misc]
            )
            found += [Place.of(key) for key in map(named, names) if _is_meant(key.caller.tenant, overdue)]
            if len(names) < _PAGE:
                break
            start += _PAGE
        return await self._removal.remove(found[: overdue.most], "old", before)

    async def close(self) -> None:
        """Give back the connections."""
        await self._server.close()

    async def _pages(self, person: Person) -> AsyncIterator[list[ConversationKey]]:
        caller = person.caller()
        for service in self._services:
            owned, begin = owned_by(service, caller), "-"
            while True:
                members = await self._server.call(
                    lambda owned=owned, begin=begin: self._client.zrangebylex(owned, begin, "+", 0, _PAGE)  # type: ignore[misc]
                )
                if members:
                    yield [ConversationKey(service, caller, member) for member in members]
                if len(members) < _PAGE:
                    break
                begin = f"({members[-1]}"


def _is_meant(tenant: str, overdue: Overdue) -> bool:
    return tenant == overdue.tenant if overdue.tenant is not None else tenant not in overdue.except_tenants


def _show(key: ConversationKey, row: dict[str, str]) -> list[Row]:
    conversation = read_conversation(key, row)
    name = {"service": key.service, "db_id": key.db_id}
    updated_at = time_of(int(row["updated_at"])).isoformat()
    standing = of_row(row)
    head = {
        "kind": "conversation",
        **name,
        "local_only": conversation.local_only,
        "updated_at": updated_at,
        "note": {"text": standing.note.text, "depth": standing.note.depth},
        "pins": list(standing.pins),
        "summary": shown_summary(summary_of_row(row)),
    }
    turns = [
        {
            "kind": "turn",
            **name,
            **{field: getattr(turn, field) for field in ("turn_id", "question", "answer", "character", "proposals")},
            "at": turn.at.isoformat(),
        }
        for turn in conversation.turns
    ]
    return [head, *turns]
