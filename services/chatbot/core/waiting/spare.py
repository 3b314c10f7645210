"""Slots that nobody asks for: work that can wait is done in them, and gives way as soon as a person comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class GaveWay(Exception):
    """A person needs the slot."""


class Spare:
    """The seats of one engine for work that no person waits for. Belongs to one event loop.

    They are in no line and in no count of it: whoever waits there never waits for them.
    """

    def __init__(self) -> None:
        self._room = 0
        self._seats: dict[asyncio.Timeout, None] = {}
        self._has_room = asyncio.Event()

    @property
    def taken(self) -> int:
        """How many are held."""
        return len(self._seats)

    def set_room(self, room: int) -> None:
        """How many may be held from now on; the newest above that give way at once."""
        self._room = room
        for seat in list(reversed(self._seats))[: max(0, len(self._seats) - max(0, room))]:
            del self._seats[seat]
            seat.reschedule(0.0)  # the loop cancels what is done in it
        self._tell()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """Hold a seat while the block runs; waits for one, for ever where none is ever free.

        Raises:
            GaveWay: It was needed before the block was over.
        """
        while len(self._seats) >= self._room:
            await self._has_room.wait()
        try:
            async with asyncio.timeout(None) as seat:
                self._seats[seat] = None
                self._tell()
                try:
                    yield
                finally:
                    self._seats.pop(seat, None)
                    self._tell()
        except TimeoutError:
            if seat.expired():
                raise GaveWay from None
            raise

    def _tell(self) -> None:
        if len(self._seats) < self._room:
            self._has_room.set()
        else:
            self._has_room.clear()
