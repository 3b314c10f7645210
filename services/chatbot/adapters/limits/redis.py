"""Accounts in Redis or Valkey: a key an account, `VERSION:STATE`, replaced only where its version is still the same.

One script compares, writes and sets the end of the key's life, so that no key is ever without one. The script names
its one key and uses plain commands of Redis 2.6: it works on Valkey, behind a proxy and on a cluster's single shard.
See `ReplacedAccounts`.

What the server forgets was never used: it wants `maxmemory-policy noeviction`, and an append-only file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Self, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.limits.replaced import ReplacedAccounts, Row
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import IDLE_SECONDS

T = TypeVar("T")
PREFIX: Final = "chatbot:limits:"
_SETTING: Final = "CHATBOT_LIMITS_REDIS_URL_FILE"
_SCHEMES: Final = ("redis://", "rediss://")
_CALL_SECONDS: Final = 2.0
_CONNECTIONS: Final = 32
_REPLACE: Final = """
local row = redis.call('GET', KEYS[1])
local version = row and string.match(row, '^%d+') or ''
if version ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_REMEDIES: Final[tuple[tuple[type[exceptions.RedisError], str], ...]] = (
    (exceptions.AuthenticationError, f"wrong user or password in {_SETTING}"),
    (
        exceptions.NoPermissionError,
        f"the user of {_SETTING} may not do this: let it GET, SET, DEL and EVALSHA {PREFIX}*",
    ),
    (exceptions.OutOfMemoryError, "the server is full: give it more memory"),
    (exceptions.ReadOnlyError, "the server is a replica: a fail-over goes on, or the address is not the primary's"),
    (exceptions.BusyLoadingError, "the server reads its data"),
    (exceptions.TimeoutError, f"no answer within {_CALL_SECONDS:g} s: the server is slow or hangs"),
    (exceptions.ConnectionError, f"no connection: check the address in {_SETTING}, the server and the network"),
    (
        exceptions.ResponseError,
        "the server refused; one that is neither Redis nor Valkey, or a cluster of several shards?",
    ),
)


class RedisAccounts(ReplacedAccounts):
    """`AccountStore` in Redis or Valkey."""

    product = "Redis"

    def __init__(self, client: Redis) -> None:
        super().__init__()
        self._client = client
        self._script = client.register_script(_REPLACE)

    @classmethod
    def open(cls, url: str) -> Self:
        """Make the store; the first call connects.

        Args:
            url: `redis://` or, by TLS, `rediss://`, with user and password.

        Raises:
            ValueError: `url` is none; the message does not repeat it.
        """
        if not url.startswith(_SCHEMES):
            raise ValueError(f"{_SETTING}: not a URL (redis://host:6379/0 or rediss://host:6379/0)")
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_CALL_SECONDS,
                socket_timeout=_CALL_SECONDS,
                socket_connect_timeout=_CALL_SECONDS,
                decode_responses=True,
                encoding_errors="replace",  # of what is not ours
                protocol=2,
                retry=Retry(NoBackoff(), 1),  # a server that began anew left old connections in the pool
                client_name="chatbot",
            )
        except (ValueError, TypeError) as exc:
            raise ValueError(f"{_SETTING}: not a URL: {type(exc).__name__}") from None
        return cls(Redis(connection_pool=pool))

    async def remove(self, account: str) -> None:
        """Forget an account, because its user was erased."""
        await self._in_time(lambda: self._client.delete(PREFIX + account))

    async def _read(self, account: str) -> Row | None:
        async def read() -> Row | None:
            kept = await self._client.get(PREFIX + account)
            if kept is None:
                return None
            version, _, state = str(kept).partition(":")
            if not version.isdecimal():
                raise StoreUnavailable(f"Redis: a key {PREFIX}* holds what is not ours: delete it")
            return Row(int(version), state)

        return await self._in_time(read)

    async def _replace(self, account: str, before: Row | None, after: Row) -> bool:
        version = "" if before is None else str(before.version)
        arguments = [version, f"{after.version}:{after.state}", str(IDLE_SECONDS)]

        async def write() -> bool:
            return bool(await self._script(keys=[PREFIX + account], args=arguments))

        return await self._in_time(write)

    async def _disconnect(self) -> None:
        with suppress(TimeoutError, exceptions.RedisError, OSError):
            async with asyncio.timeout(_CALL_SECONDS):
                await self._client.aclose(close_connection_pool=True)

    async def _in_time(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The result of one call.

        Raises:
            StoreUnavailable: It failed or took too long; without the library's text, which may hold an address.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await operation()
        except TimeoutError as exc:
            raise StoreUnavailable(f"Redis: no answer within {CALL_SECONDS} s") from exc
        except exceptions.ReadOnlyError as exc:
            await self._client.connection_pool.disconnect(inuse_connections=False)  # the name may lead elsewhere now
            raise StoreUnavailable(_explain(exc)) from None
        except exceptions.RedisError as exc:
            raise StoreUnavailable(_explain(exc)) from None


def _explain(exc: exceptions.RedisError) -> str:
    remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(exc, kind)), "see its log")
    return f"Redis: {remedy} ({type(exc).__name__})"
