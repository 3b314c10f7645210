"""History in one file: the embedded store of one machine, also with several processes on it.

One thread owns the connection and runs each call as one function, so a caller that gives up never leaves a
transaction half done, and a disk that hangs never holds the event loop.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar

from chatbot.adapters import sqlite_tables as tables
from chatbot.adapters.history_bounds import CALL_SECONDS, HistoryBounds, utc_now
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import StoreUnavailable

SWEEP_EVERY = timedelta(minutes=10)
_SETTING = "CHATBOT_HISTORY_SQLITE_PATH"
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: name another one or move it away",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it or move it away",
    sqlite3.SQLITE_FULL: "the disk is full: free space",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only: make both writable",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check its folder and rights",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed: check the disk and its free space",
    sqlite3.SQLITE_BUSY: "another process holds the file",
    sqlite3.SQLITE_LOCKED: "another process holds the file",
    sqlite3.SQLITE_AUTH: "no right to use the file",
}
T = TypeVar("T")


class SqliteConversations:
    """`ConversationStore` in a file. Recovers by itself: after a failure the file is opened anew."""

    def __init__(self, path: Path, bounds: HistoryBounds, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._swept_at: datetime | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

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
        return await self._call(lambda connection: tables.load(connection, key, self._clock()))

    async def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """Store a turn in one transaction. See `ConversationStore`."""
        asked = Conversation(key, epoch, local_only=local_only)

        def store(connection: sqlite3.Connection) -> Turn:
            stored = tables.append(connection, asked, turn, self._bounds, self._clock())
            self._sweep(connection)
            return stored

        return await self._call(store)

    async def listing(
        self, service: str, caller: Caller, *, limit: int, after: str = ""
    ) -> tuple[ConversationSummary, ...]:
        """One page of a user's conversations. See `ConversationStore`."""
        return await self._call(lambda c: tables.listing(c, service, caller, (after, limit), self._clock()))

    async def erase(self, key: ConversationKey) -> None:
        """Empty a conversation. See `ConversationStore`."""
        await self._call(lambda connection: tables.erase(connection, key, self._clock()))

    async def ping(self) -> None:
        """Ask for the write lock: a read-only file is no store."""
        await self._call(lambda connection: tables.sweep(connection, self._clock()))

    async def close(self) -> None:
        """Close the file after the calls that run now; at most as long as a call takes."""
        with suppress(RuntimeError, TimeoutError):  # closed before, or the disk hangs
            closing = self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=False)
            async with asyncio.timeout(CALL_SECONDS):
                await asyncio.wrap_future(closing)

    async def _call(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            waiting = self._thread.submit(self._attempt, operation)
        except RuntimeError as exc:
            raise StoreUnavailable("SQLite: the store was closed") from exc
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await asyncio.wrap_future(waiting)
        except TimeoutError as exc:
            raise StoreUnavailable(f"SQLite: no answer within {CALL_SECONDS} s: check the disk") from exc

    def _attempt(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return operation(self._connect())
        except (sqlite3.Error, OSError) as exc:
            if _primary_code(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                self._disconnect()
            raise StoreUnavailable(_explain(exc)) from exc

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and self._file != _identity(self._path):
            self._disconnect()  # moved or replaced: what we write would be lost
        if self._connection is None:
            self._connection = tables.connect(self._path)
            self._connection.row_factory = sqlite3.Row
            self._file = _identity(self._path)
        return self._connection

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now = self._clock()
        if self._swept_at is None or now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            with suppress(sqlite3.OperationalError):  # the turn is stored; tidying can wait
                tables.sweep(connection, now)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _primary_code(exc: Exception) -> int | None:
    """Primary result code (low byte of the extended one: https://sqlite.org/rescode.html)."""
    code = getattr(exc, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None


def _explain(exc: Exception) -> str:
    """What to do, without any value of a row."""
    if isinstance(exc, tables.ForeignFile):
        return f"SQLite: {_SETTING}: the file belongs to another program or version: name another one"
    remedy = _REMEDIES.get(_primary_code(exc) or 0, "check the file, its folder and the disk")
    name = getattr(exc, "sqlite_errorname", type(exc).__name__)
    return f"SQLite: {_SETTING}: {remedy} ({name})"
