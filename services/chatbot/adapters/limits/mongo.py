"""Accounts in MongoDB: a document an account in `limits`, replaced only where nobody changed it since it was read.

    {_id, version, state: text, changed_at: date}

Changes of one account that come while another is under way are made together, with one write: so a replica never races
itself, and a key that is used a lot costs less a request, not more. A change begins with the document that this replica
wrote last, and is one call where nobody else wrote since; what would write nothing, a refusal above all, is always
judged by a document that was read for it. Plain reads and writes, no transactions: they work on every MongoDB.
"""

import asyncio
import json
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, cast

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import IDLE_SECONDS, Change, State, T

COLLECTION = "limits"
_ATTEMPTS = 50
_MOST_WRITTEN = 10_000
_SKIPPED = 16
_VERSION_BITS = 40
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
        self._written: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._is_indexed = False
        self._skipping: OrderedDict[str, int] = OrderedDict()
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
            document = self._written.pop(account, None)
            is_fresh = document is None
            if is_fresh:
                document = await in_time(lambda: self._accounts.find_one({"_id": account}))
            state, is_changed, results = _apply(changes, None if document is None else json.loads(document["state"]))
            if is_changed and await self._replace(account, document, json.dumps(state)):
                return results
            if is_fresh and not is_changed:
                return results
            if is_changed and not is_fresh:
                self._remember(account, None)
            elif is_changed:
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - another replica was faster
        raise StoreUnavailable("MongoDB: other replicas change this account all the time")

    async def _replace(self, account: str, document: dict[str, Any] | None, state: str) -> bool:
        """Whether the document was still as it was read; then it is remembered as it is now."""
        # A row that was removed and made anew must not look like the one that a replica remembers.
        version = random.getrandbits(_VERSION_BITS) if document is None else int(document["version"])
        changed = {"_id": account, "version": version + 1, "state": state, "changed_at": datetime.now(UTC)}

        async def write() -> bool:
            if document is None:
                await self._index()
                try:
                    await self._accounts.insert_one(changed)
                except DuplicateKeyError:
                    return False
                return True
            done = await self._accounts.replace_one({"_id": account, "version": version}, changed)
            return done.matched_count == 1

        is_done = await in_time(write)
        if is_done:
            self._remember(account, changed)
        return is_done

    async def _index(self) -> None:
        """Let the server remove accounts that nobody uses; once a process, made again it changes nothing."""
        if not self._is_indexed:
            await self._accounts.create_index("changed_at", name="idle", expireAfterSeconds=IDLE_SECONDS)
            self._is_indexed = True

    def _remember(self, account: str, document: dict[str, Any] | None) -> None:
        """Remember what was written; None: another replica wrote, and will again: for a while nothing is remembered."""
        left = _SKIPPED if document is None else self._skipping.pop(account, 0) - 1
        kept: OrderedDict[str, Any] = self._skipping if left > 0 else self._written
        kept[account] = left if left > 0 else document
        if len(kept) > _MOST_WRITTEN:
            kept.popitem(last=False)


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
