"""Connections to the public internet alone.

A name is resolved here, all its addresses are judged, and the connection goes to one that was judged. A name that would
answer differently the second time (DNS rebinding) is not asked a second time.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, TypeAlias

import httpcore2

from chatbot.adapters.web.addresses import is_public

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""A name and a port -> its addresses; raises OSError where there are none."""

MAX_ADDRESSES = 16


class WebRefused(Exception):
    """An address, a redirect or an answer that is not taken.

    Args:
        reason: One of a closed set of words; never an address.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine's resolver says.

    Raises:
        OSError: There are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses, and to hosts that the operator named.

    Args:
        trusted: Hosts, as they stand in a URL, with their ports: not judged.
        resolver: Resolves names.
        network: Opens the connections, to literal addresses only.
    """

    def __init__(
        self,
        trusted: Collection[tuple[str, int]] = (),
        resolver: Resolve = resolve,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._trusted = frozenset(trusted)
        self._resolve = resolver
        self._network = network or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, judge every address, connect to the first that answers.

        Raises:
            WebRefused: `address`: one of them is not public.
            httpcore2.ConnectError: The name has no address, or none answers.
        """
        try:
            addresses = (await self._resolve(host, port))[:MAX_ADDRESSES]
        except OSError as exc:  # UnicodeError, of names that no DNS can have, is judged before
            raise httpcore2.ConnectError("the name has no address") from exc
        if (host, port) not in self._trusted and not all(map(is_public, addresses)):
            raise WebRefused("address")
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never.

        Raises:
            WebRefused: Always.
        """
        raise WebRefused("address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
