"""Connections to one Redis or Valkey: every call bounded in time, every failure told with its remedy and no address.

A single server, or one with a replica behind one address; not a cluster of several shards.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.domain.errors import StoreUnavailable

T = TypeVar("T")
_SCHEMES: Final = ("redis://", "rediss://")
_SOCKET_SECONDS: Final = 2.0
_CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a server is used for, as errors tell it.

    Attributes:
        setting: Where its URL stands.
        rights: What its user needs.
    """

    setting: str
    rights: str


class RedisConnection:
    """The connections of one store; each call may fail and the next one work again."""

    def __init__(self, client: Redis, purpose: Purpose) -> None:
        self.client = client
        self._remedies = _remedies(purpose)

    @classmethod
    def open(cls, url: str, purpose: Purpose) -> Self:
        """Make them; the first call connects.

        Args:
            url: `redis://` or, by TLS, `rediss://`, with user and password.
            purpose: For errors.

        Raises:
            ValueError: `url` is none; the message does not repeat it.
        """
        if not url.startswith(_SCHEMES):
            raise ValueError(f"{purpose.setting}: not a URL (redis://host:6379/0 or rediss://host:6379/0)")
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_SOCKET_SECONDS,
                socket_timeout=_SOCKET_SECONDS,
                socket_connect_timeout=_SOCKET_SECONDS,
                decode_responses=True,
                encoding_errors="replace",  # of what is not ours
                protocol=2,
                retry=Retry(NoBackoff(), 1),  # a server that began anew left old connections in the pool
                client_name="chatbot",
            )
        except (ValueError, TypeError) as exc:
            raise ValueError(f"{purpose.setting}: not a URL: {type(exc).__name__}") from None
        return cls(Redis(connection_pool=pool), purpose)

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
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
            await self.client.connection_pool.disconnect(inuse_connections=False)  # the name may lead elsewhere now
            raise StoreUnavailable(self._explain(exc)) from None
        except exceptions.RedisError as exc:
            raise StoreUnavailable(self._explain(exc)) from None

    async def close(self) -> None:
        """Give them back, within the time of a call."""
        with suppress(TimeoutError, exceptions.RedisError, OSError):
            async with asyncio.timeout(_SOCKET_SECONDS):
                await self.client.aclose(close_connection_pool=True)

    def _explain(self, exc: exceptions.RedisError) -> str:
        remedy = next((remedy for kind, remedy in self._remedies if isinstance(exc, kind)), "see its log")
        return f"Redis: {remedy} ({type(exc).__name__})"


def _remedies(purpose: Purpose) -> tuple[tuple[type[exceptions.RedisError], str], ...]:
    return (
        (exceptions.AuthenticationError, f"wrong user or password in {purpose.setting}"),
        (exceptions.NoPermissionError, f"the user of {purpose.setting} may not do this: {purpose.rights}"),
        (exceptions.OutOfMemoryError, "the server is full: give it more memory"),
        (exceptions.ReadOnlyError, "the server is a replica: a fail-over goes on, or the address is not the primary's"),
        (exceptions.BusyLoadingError, "the server reads its data"),
        (exceptions.TimeoutError, f"no answer within {_SOCKET_SECONDS:g} s: the server is slow or hangs"),
        (
            exceptions.ConnectionError,
            f"no connection: check the address in {purpose.setting}, the server and the network",
        ),
        (
            exceptions.ResponseError,
            "the server refused; one that is neither Redis nor Valkey, or a cluster of several shards?",
        ),
    )
