"""Accounts in MongoDB: a document an account in `limits`, replaced only where nobody changed it since it was read.

    {_id, version, state: text, changed_at: date}

Plain reads and writes, no transactions: they work on every MongoDB. See `ReplacedAccounts`.
"""

from datetime import UTC, datetime
from typing import Any, Self

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.limits.replaced import ReplacedAccounts, Row
from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.limits import IDLE_SECONDS

COLLECTION = "limits"


class MongoAccounts(ReplacedAccounts):
    """`AccountStore` in MongoDB."""

    product = "MongoDB"

    def __init__(self, client: Client, database: str) -> None:
        super().__init__()
        self._client = client
        self._accounts = client[database][COLLECTION]
        self._is_indexed = False

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def _read(self, account: str) -> Row | None:
        document = await in_time(lambda: self._accounts.find_one({"_id": account}))
        return None if document is None else Row(int(document["version"]), document["state"])

    async def _replace(self, account: str, before: Row | None, after: Row) -> bool:
        changed: dict[str, Any] = {"_id": account, "version": after.version, "state": after.state}
        changed["changed_at"] = datetime.now(UTC)

        async def write() -> bool:
            if before is None:
                await self._index()
                try:
                    await self._accounts.insert_one(changed)
                except DuplicateKeyError:
                    return False
                return True
            done = await self._accounts.replace_one({"_id": account, "version": before.version}, changed)
            return done.matched_count == 1

        return await in_time(write)

    async def _disconnect(self) -> None:
        await close_client(self._client)

    async def _index(self) -> None:
        """Let the server remove accounts that nobody uses; once a process, made again it changes nothing."""
        if not self._is_indexed:
            await self._accounts.create_index("changed_at", name="idle", expireAfterSeconds=IDLE_SECONDS)
            self._is_indexed = True
