"""A connection of the SDK over our bounded HTTP. Proxies of the environment are not asked: the server was named."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from chatbot.adapters.mcp.wire import BoundedHttp

_CONNECT_SECONDS: Final = 5.0
_MOST_CONNECTIONS: Final = 32


@asynccontextmanager
async def http_streams(
    url: str, token_file: Path | None, timeout_seconds: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Any]:
    """Streams to one server while the block runs; a transport of the SDK.

    Args:
        url: The server's; nobody else is reached.
        token_file: Of a bearer token, None for none.
        timeout_seconds: Between two pieces of an answer.
        tls: Authorities that are trusted; the machine's by default.
    """
    limits = httpx2.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=4)
    inner = httpx2.AsyncHTTPTransport(verify=tls or ssl.create_default_context(), limits=limits, trust_env=False)
    timeout = httpx2.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds))
    async with (
        httpx2.AsyncClient(transport=BoundedHttp(url, token_file, inner), timeout=timeout, trust_env=False) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams
