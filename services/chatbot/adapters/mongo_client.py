"""The MongoDB client object, by either driver, and what its errors mean.

motor and PyMongo's own asyncio client differ here alone; everything above uses what both offer (ADR 0005).
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar, cast

from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.domain.errors import StoreUnavailable

T = TypeVar("T")
Driver = Literal["motor", "pymongo"]
Client = AsyncMongoClient[dict[str, Any]]
OPERATION_MILLISECONDS = 2000
_SETTING = "CHATBOT_MONGODB_URI_FILE"
_NO_ADDRESS = f"{_SETTING}: not a connection string (mongodb://host:27017 or mongodb+srv://host)"
_REMEDIES = {  # https://www.mongodb.com/docs/manual/reference/error-codes/
    13: f"the user of {_SETTING} may not do this: give it the role readWrite on the database",
    18: f"wrong user or password in {_SETTING}",
    8000: f"wrong user or password in {_SETTING}",
    14031: "the disk of the server is full",
}


def open_client(uri: str, driver: Driver) -> Client:
    """Make a client; it connects when it is first used.

    Server selection, an operation with its retries, connecting and waiting for a pooled connection take at
    most 2 s each. Writes are acknowledged by a majority and reads come from the primary, whatever the
    connection string says, so an acknowledged turn survives a failover. No compression: zlib messages were
    the way into unpatched servers (CVE-2025-14847).

    Args:
        uri: Connection string, with its password.
        driver: Which library.

    Raises:
        ValueError: `uri` is not a connection string; the message does not repeat it.
    """
    # At DEBUG PyMongo logs whole commands, so text of users.
    logging.getLogger("pymongo").setLevel(logging.INFO)
    options: dict[str, Any] = {
        "appname": "chatbot",
        "serverSelectionTimeoutMS": OPERATION_MILLISECONDS,
        "timeoutMS": OPERATION_MILLISECONDS,
        "connectTimeoutMS": OPERATION_MILLISECONDS,
        "waitQueueTimeoutMS": OPERATION_MILLISECONDS,
        "retryWrites": True,
        "w": "majority",
        "readPreference": "primary",
        "compressors": [],
        "tz_aware": True,
    }
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError(_NO_ADDRESS)
    try:
        if driver == "pymongo":
            return AsyncMongoClient(uri, **options)
        from motor.motor_asyncio import AsyncIOMotorClient

        return cast(Client, AsyncIOMotorClient(uri, **options))
    except (PyMongoError, ValueError, TypeError) as exc:
        raise ValueError(f"{_NO_ADDRESS}: {type(exc).__name__}") from None  # its message may repeat parts of it


async def close_client(client: Client) -> None:
    """Close the connections, within 2 s also where the server hangs.

    PyMongo's client is awaited; motor's call blocks while it says goodbye to the server, so a thread makes it.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(OPERATION_MILLISECONDS / 1000):
            close: Callable[[], Any] = client.close
            await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))


async def in_time(operation: Callable[[], Awaitable[T]]) -> T:
    """The result of one call.

    Raises:
        StoreUnavailable: It failed or took too long; the driver's own text is left out, it may hold a key of a user.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await operation()
    except TimeoutError as exc:
        raise StoreUnavailable(f"MongoDB: no answer within {CALL_SECONDS} s") from exc
    except PyMongoError as exc:
        raise StoreUnavailable(_explain(exc)) from None


def _explain(exc: PyMongoError) -> str:
    """What to do, without any value of a document (the library's own messages may hold keys of users)."""
    name = type(exc).__name__
    if isinstance(exc, NotPrimaryError):
        return f"MongoDB: the server is not the primary: an election goes on ({name})"
    if isinstance(exc, WaitQueueTimeoutError):
        return f"MongoDB: no free connection within 2 s: the server is slow or overloaded ({name})"
    if isinstance(exc, ServerSelectionTimeoutError):
        return f"MongoDB: no server answers: check the address in {_SETTING}, the server and the network ({name})"
    if isinstance(exc, (NetworkTimeout, ExecutionTimeout)):
        return f"MongoDB: no answer within 2 s: the server is slow or hangs ({name})"
    if isinstance(exc, ConnectionFailure):
        return f"MongoDB: the connection broke: check the server and the network ({name})"
    if isinstance(exc, InvalidOperation):
        return f"MongoDB: the store was closed ({name})"
    if isinstance(exc, OperationFailure):
        remedy = _REMEDIES.get(exc.code or 0, "see the error codes in MongoDB's manual")
        return f"MongoDB: the server refused: {remedy} ({name}, code {exc.code})"
    return f"MongoDB: {name}"
