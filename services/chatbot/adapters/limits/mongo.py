"""Accounts in MongoDB: a document an account in `limits`, replaced only where nobody changed it since it was read.

    {_id, version, state: text}

Changes of one account that come while another is under way are made together, with one read and one write: so a
replica never races itself, and a key that is used a lot costs less a request, not more. Plain reads and writes, no
transactions: they work on every MongoDB.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, cast

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import Change, State, T

COLLECTION = "limits"
_ATTEMPTS = 50
_PAUSE_SECONDS = 0.01


@dataclass(slots=True)
class _Waiting:
    """A change that somebody waits for."""

    change: Change[Any]
    told: asyncio.Future[Any]


class MongoAccounts:
    """`AccountStore` in MongoDB."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._accounts = client[database][COLLECTION]
        self._waiting: dict[str, list[_Waiting]] = {}
        self._working: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def update(self, account: str, change: Change[T]) -> T:
        """See `AccountStore`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change, loop.create_future())
        line = self._waiting.get(account)
        if line is None:
            self._waiting[account] = [waiting]
            task = loop.create_task(self._work(account))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        else:
            line.append(waiting)
        return cast(T, await waiting.told)

    async def close(self) -> None:
        """See `AccountStore`."""
        if self._working:
            await asyncio.wait(self._working, timeout=CALL_SECONDS)
        await close_client(self._client)

    async def _work(self, account: str) -> None:
        """Make all changes of an account that wait, until none does."""
        while batch := self._waiting[account]:
            self._waiting[account] = []
            try:
                results = await self._write([waiting.change for waiting in batch], account)
            except Exception as exc:  # whatever it is, those who wait must learn it
                for waiting in batch:
                    _tell(waiting.told, lambda told, exc=exc: told.set_exception(exc))  # type: ignore[misc]
            else:
                for waiting, result in zip(batch, results, strict=True):
                    _tell(waiting.told, lambda told, result=result: told.set_result(result))  # type: ignore[misc]
        del self._waiting[account]

    async def _write(self, changes: list[Change[Any]], account: str) -> list[Any]:
        for _ in range(_ATTEMPTS):
            document = await in_time(lambda: self._accounts.find_one({"_id": account}))
            before = None if document is None else json.loads(document["state"])
            state, is_changed, results = _apply(changes, before)
            if not is_changed or await self._replace(account, document, json.dumps(state)):
                return results
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - another replica was faster
        raise StoreUnavailable("MongoDB: other replicas change this account all the time")

    async def _replace(self, account: str, document: dict[str, Any] | None, state: str) -> bool:
        """Whether the document was still as it was read."""
        version = 0 if document is None else int(document["version"])
        changed = {"_id": account, "version": version + 1, "state": state}

        async def write() -> bool:
            if document is None:
                try:
                    await self._accounts.insert_one(changed)
                except DuplicateKeyError:
                    return False
                return True
            done = await self._accounts.replace_one({"_id": account, "version": version}, changed)
            return done.matched_count == 1

        return await in_time(write)


def _apply(changes: list[Change[Any]], state: State | None) -> tuple[State | None, bool, list[Any]]:
    is_changed, results = False, []
    for change in changes:
        after, result = change(state)
        if after is not None:
            state, is_changed = after, True
        results.append(result)
    return state, is_changed, results


def _tell(told: asyncio.Future[Any], tell: Callable[[asyncio.Future[Any]], None]) -> None:
    if not told.done():  # whoever waited may have left
        tell(told)
