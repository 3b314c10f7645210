"""The MongoDB client object, by either driver, and what its errors mean.

motor and PyMongo's own asyncio client differ here alone; everything above uses what both offer (ADR 0005).
"""

import inspect
import logging
from typing import Any, Literal, cast

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

Driver = Literal["motor", "pymongo"]
Client = AsyncMongoClient[dict[str, Any]]
OPERATION_MILLISECONDS = 2000
_SETTING = "CHATBOT_MONGODB_URI_FILE"
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
    try:
        if driver == "pymongo":
            return AsyncMongoClient(uri, **options)
        from motor.motor_asyncio import AsyncIOMotorClient

        return cast(Client, AsyncIOMotorClient(uri, **options))
    except (PyMongoError, ValueError, TypeError) as exc:
        raise ValueError(
            f"{_SETTING}: not a connection string (mongodb://host:27017 or mongodb+srv://host): {type(exc).__name__}"
        ) from None  # the library's message may repeat parts of it


async def close_client(client: Client) -> None:
    """Close the connections; motor does so at once, PyMongo's client is awaited."""
    closing = client.close()
    if inspect.isawaitable(closing):
        await closing


def explain(exc: PyMongoError) -> str:
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
