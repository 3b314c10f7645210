"""History in one file: the embedded store of one machine, also with several processes on it."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from chatbot.adapters import sqlite_tables as tables
from chatbot.adapters.history_bounds import CALL_SECONDS, HistoryBounds, utc_now
from chatbot.adapters.sqlite_file import SqliteFile
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary

SWEEP_EVERY = timedelta(minutes=10)
_SETTING = "CHATBOT_HISTORY_SQLITE_PATH"


class SqliteConversations:
    """`ConversationStore` in a file. Recovers by itself: after a failure the file is opened anew."""

    def __init__(self, path: Path, bounds: HistoryBounds, clock: Callable[[], datetime]) -> None:
        self._file = SqliteFile(path, _SETTING, tables.connect, CALL_SECONDS)
        self._bounds = bounds
        self._clock = clock
        self._swept_at: datetime | None = None

    @classmethod
    def open(cls, path: Path, bounds: HistoryBounds, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """Make the store; the file is opened by the first call, so `ping` tells whether it can be.

        Args:
            path: The file; it and its folder are made where they are missing.
            bounds: What is kept of a conversation.
            clock: Time, UTC.
        """
        return cls(path, bounds, clock)

    async def load(self, key: ConversationKey) -> Conversation:
        """Read a conversation. See `ConversationStore`."""
        return await self._file.call(lambda connection: tables.load(connection, key, self._clock()))

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """Store a turn in one transaction. See `ConversationStore`."""
        asked = Conversation(key, epoch, local_only=local_only)

        def store(connection: sqlite3.Connection) -> Turn:
            stored = tables.append(connection, asked, turn, self._bounds, self._clock())
            self._sweep(connection)
            return stored

        return await self._file.call(store)

    async def remember(
        self, key: ConversationKey, *, note: Note | None = None, pins: Sequence[str] | None = None
    ) -> bool:
        """Set what stands beside the turns. See `ConversationStore`."""
        return await self._file.call(lambda connection: tables.remember(connection, key, note, pins, self._clock()))

    async def summarise(self, read: Conversation, summary: Summary) -> bool:
        """Keep a summary. See `ConversationStore`."""
        return await self._file.call(lambda connection: tables.summarise(connection, read, summary, self._clock()))

    async def swap(self, key: ConversationKey, turn: Turn, proposals: str) -> bool:
        """Put other proposals in the place of a turn's. See `ConversationStore`."""
        return await self._file.call(lambda connection: tables.swap(connection, key, turn, proposals))

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations. See `ConversationStore`."""
        return await self._file.call(lambda c: tables.listing(c, service, caller, (after, limit), self._clock()))

    async def erase(self, key: ConversationKey) -> None:
        """Empty a conversation. See `ConversationStore`."""
        await self._file.call(lambda connection: tables.erase(connection, key, self._clock()))

    async def retract(self, key: ConversationKey, turn_id: str) -> None:
        """Take one turn back. See `ConversationStore`."""
        await self._file.call(lambda connection: tables.retract(connection, key, turn_id))

    async def ping(self) -> None:
        """Ask for the write lock: a read-only file is no store."""
        await self._file.call(lambda connection: tables.sweep(connection, self._clock()))

    async def close(self) -> None:
        """Close the file after the calls that run now; at most as long as a call takes."""
        await self._file.close()

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now = self._clock()
        if self._swept_at is None or now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            with suppress(sqlite3.OperationalError):  # the turn is stored; tidying can wait
                tables.sweep(connection, now)
