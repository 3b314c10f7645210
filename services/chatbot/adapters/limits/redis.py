"""Accounts in Redis or Valkey: a key an account, `VERSION:STATE`, replaced only where its version is still the same.

One script compares, writes and sets the end of the key's life, so that no key is ever without one. The script names
its one key and uses plain commands of Redis 2.6: it works on Valkey, behind a proxy and on a cluster's single shard.
See `ReplacedAccounts`.

What the server forgets was never used: it wants `maxmemory-policy noeviction`, and an append-only file.
"""

from typing import Final, Self

from chatbot.adapters.limits.replaced import ReplacedAccounts, Row
from chatbot.adapters.redis.connection import Purpose, RedisConnection
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import IDLE_SECONDS

PREFIX: Final = "chatbot:limits:"
_PURPOSE: Final = Purpose("CHATBOT_LIMITS_REDIS_URL_FILE", f"let it GET, SET, DEL and EVALSHA {PREFIX}*")
_REPLACE: Final = """
local row = redis.call('GET', KEYS[1])
local version = row and string.match(row, '^%d+') or ''
if version ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class RedisAccounts(ReplacedAccounts):
    """`AccountStore` in Redis or Valkey."""

    product = "Redis"

    def __init__(self, server: RedisConnection) -> None:
        super().__init__()
        self._server = server
        self._script = server.client.register_script(_REPLACE)

    @classmethod
    def open(cls, url: str) -> Self:
        """Make the store; the first call connects.

        Args:
            url: `redis://` or, by TLS, `rediss://`, with user and password.

        Raises:
            ValueError: `url` is none; the message does not repeat it.
        """
        return cls(RedisConnection.open(url, _PURPOSE))

    async def remove(self, account: str) -> None:
        """Forget an account, because its user was erased."""
        await self._server.call(lambda: self._server.client.delete(PREFIX + account))

    async def _read(self, account: str) -> Row | None:
        async def read() -> Row | None:
            kept = await self._server.client.get(PREFIX + account)
            if kept is None:
                return None
            version, _, state = str(kept).partition(":")
            if not version.isdecimal():
                raise StoreUnavailable(f"Redis: a key {PREFIX}* holds what is not ours: delete it")
            return Row(int(version), state)

        return await self._server.call(read)

    async def _replace(self, account: str, before: Row | None, after: Row) -> bool:
        version = "" if before is None else str(before.version)
        arguments = [version, f"{after.version}:{after.state}", str(IDLE_SECONDS)]

        async def write() -> bool:
            return bool(await self._script(keys=[PREFIX + account], args=arguments))

        return await self._server.call(write)

    async def _disconnect(self) -> None:
        await self._server.close()
