"""One SQLite file of ours: opened, checked, called from one thread, opened anew after a failure.

One thread owns the connection and runs each call as one function, so a caller that gives up never leaves a
transaction half done, and a disk that hangs never holds the event loop.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chatbot.domain.errors import StoreUnavailable

BUSY_MILLISECONDS = 2000
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


class ForeignFile(sqlite3.DatabaseError):
    """The file is a database, but not one of this version of this program."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file of ours holds.

    Attributes:
        application_id: Marks a file as ours (`PRAGMA application_id`), so that another program's database is
            never written to.
        version: Of the tables (`PRAGMA user_version`).
        statements: Make the tables.
        upgrades: What makes this version of an older one, by its number; all of it in one transaction.
    """

    application_id: int
    version: int
    statements: tuple[str, ...]
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def connect(path: Path, layout: Layout) -> sqlite3.Connection:
    """Open the file, make it and its tables where there is none.

    The file is readable by its owner alone: it holds what people wrote.

    Raises:
        OSError: The folder or the file cannot be made.
        sqlite3.Error: It cannot be opened, or is no database of ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_MILLISECONDS / 1000, isolation_level=None)
    try:
        is_empty = _is_empty(connection)
        if not is_empty:
            _check(connection, layout)
        _use_write_ahead_log(connection)
        # FULL: what was acknowledged survives a power cut; one fsync a call is nothing beside a generation.
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if is_empty:
            create(connection, layout)
        else:
            _upgrade(connection, layout)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file over, waiting for others that do the same: SQLite refuses them at once, whatever the timeout."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def _check(connection: sqlite3.Connection, layout: Layout) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != layout.application_id or version not in (layout.version, *layout.upgrades):
        raise ForeignFile("not a file of this version of the program")


def _upgrade(connection: sqlite3.Connection, layout: Layout) -> None:
    """Bring an older file of ours to this version, unless another process was faster."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == layout.version:
        return
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for statement in layout.upgrades[version] if version != layout.version else ():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {layout.version}")


def create(connection: sqlite3.Connection, layout: Layout) -> None:
    """Make the tables, unless another process was faster."""
    marks = (f"PRAGMA application_id = {layout.application_id}", f"PRAGMA user_version = {layout.version}")
    with transaction(connection):
        if _is_empty(connection):
            for statement in layout.statements + marks:
                connection.execute(statement)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and one writer at a time, also between processes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")
        raise


def flush(connection: sqlite3.Connection) -> None:
    """Take erased text out of the write-ahead log too; where somebody reads right now, the next erasure does it."""
    connection.execute("PRAGMA busy_timeout = 100")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


class SqliteFile:
    """The one connection of a store to its file. Recovers by itself: after a failure the file is opened anew.

    Args:
        path: The file; it and its folder are made where they are missing, by the first call.
        setting: Name of the setting that names the file, for messages.
        opening: Makes a connection.
        call_seconds: A call that takes longer is given up, seconds.
        failure: What is raised where the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        setting: str,
        opening: Callable[[Path], sqlite3.Connection],
        call_seconds: float,
        failure: type[StoreUnavailable] = StoreUnavailable,
    ) -> None:
        self._path = path
        self._setting = setting
        self._opening = opening
        self._call_seconds = call_seconds
        self._failure = failure
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    async def call(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the connection, on its thread, after those that were called before.

        Raises:
            StoreUnavailable: It failed or took too long; the message names the remedy and no value of a row.
        """
        try:
            waiting = self._thread.submit(self._attempt, operation)
        except RuntimeError as exc:
            raise self._failure("SQLite: the store was closed") from exc
        try:
            async with asyncio.timeout(self._call_seconds):
                return await asyncio.wrap_future(waiting)
        except TimeoutError as exc:
            raise self._failure(f"SQLite: no answer within {self._call_seconds} s: check the disk") from exc

    async def close(self) -> None:
        """Close the file after the calls that run now; at most as long as a call takes."""
        with suppress(RuntimeError, TimeoutError):  # closed before, or the disk hangs
            closing = self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=False)
            async with asyncio.timeout(self._call_seconds):
                await asyncio.wrap_future(closing)

    def _attempt(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return operation(self._connect())
        except (sqlite3.Error, OSError) as exc:
            if _primary_code(exc) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                self._disconnect()
            raise self._failure(self._explain(exc)) from exc

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and self._file != _identity(self._path):
            self._disconnect()  # moved or replaced: what we write would be lost
        if self._connection is None:
            self._connection = self._opening(self._path)
            self._connection.row_factory = sqlite3.Row
            self._file = _identity(self._path)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _explain(self, exc: Exception) -> str:
        """What to do, without any value of a row."""
        if isinstance(exc, ForeignFile):
            return f"SQLite: {self._setting}: the file belongs to another program or version: name another one"
        remedy = _REMEDIES.get(_primary_code(exc) or 0, "check the file, its folder and the disk")
        name = getattr(exc, "sqlite_errorname", type(exc).__name__)
        return f"SQLite: {self._setting}: {remedy} ({name})"


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
