"""Noticing that the client has left, in every phase of an answer.

Frameworks run a handler to its end after its client left; here the handler is cancelled instead. The watcher costs
one task per request and nothing per token.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive


class ClientGone(Exception):
    """The client closed the connection; nobody is left to tell."""


@asynccontextmanager
async def until_departure(receive: Receive) -> AsyncIterator[None]:
    """Run a block that ends early when the client leaves. The request's body must have been read before.

    Raises:
        ClientGone: The client left; whatever the block awaited was cancelled.
    """
    try:
        async with asyncio.timeout(None) as limit:
            watcher = asyncio.create_task(_watch(receive, limit))
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise ClientGone from None


async def _watch(receive: Receive, limit: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    limit.reschedule(asyncio.get_running_loop().time())
