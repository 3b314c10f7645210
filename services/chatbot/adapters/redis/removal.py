"""Conversations that go, and names of those that the server dropped by itself."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from chatbot.adapters.redis.connection import RedisConnection
from chatbot.adapters.redis.names import AGES, ENDS, Place, named
from chatbot.adapters.redis.scripts import REMOVE

_AT_ONCE: Final = 50
_SWEPT: Final = 500


class Removal:
    """What is removed from one server, in steps that hold it up for milliseconds."""

    def __init__(self, server: RedisConnection) -> None:
        self._server = server
        self._script = server.client.register_script(REMOVE)

    async def remove(
        self, places: Sequence[Place], which: Literal["all", "dead", "old"] = "all", before_milliseconds: int = 0
    ) -> int:
        """Remove those of the conversations that are meant; how many they were.

        Args:
            places: Where they are.
            which: All; those that the server has dropped, so their names; those last changed before a time.
            before_milliseconds: That time.

        Raises:
            StoreUnavailable: In the middle, perhaps.
        """
        removed = 0
        for begin in range(0, len(places), _AT_ONCE):
            step = places[begin : begin + _AT_ONCE]
            keys = [AGES, ENDS, *(key for place in step for key in (place.key, place.owned))]
            arguments = [which, str(before_milliseconds), *(text for one in step for text in (one.name, one.member))]
            removed += int(
                await self._server.call(lambda keys=keys, arguments=arguments: self._script(keys=keys, args=arguments))  # type: ignore[misc]
            )
        return removed

    async def sweep(self, now_milliseconds: int) -> int:
        """Remove names of conversations that the server has dropped, a bounded number; how many they were.

        Raises:
            StoreUnavailable: In the middle, perhaps.
        """
        client: Any = self._server.client
        names = await self._server.call(
            lambda: client.zrangebyscore(ENDS, "-inf", now_milliseconds, start=0, num=_SWEPT)
        )
        return await self.remove([Place.of(named(name)) for name in names], "dead")
