"""One MCP server: a session that is opened again however often it ends, and the list of tools of the last contact.

Implements `ToolServer`. What servers may ask of clients (sampling, roots, elicitation) is refused by the SDK, since
nothing here offers it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import mcp_types
from mcp import Client

from chatbot.adapters.mcp.answers import (
    definition_of,
    failure_of,
    may_have_run,
    reason_of,
    result_of,
    was_not_delivered,
)
from chatbot.domain.toolservers.server import MAX_TOOLS, CallFailed, Listing, RemoteDefinition, RemoteResult

_LOG = logging.getLogger(__name__)
_MOST_PAGES: Final = 8
Transport = AbstractAsyncContextManager[Any]


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """Clocks of a session, seconds.

    Attributes:
        open: Longest opening, the list of tools included.
        call: Longest call.
        list: How long a list of tools counts where the server says nothing of it.
        list_least, list_most: Bounds of what a server may say of it.
        again_least, again_most: Between attempts to open; doubled from one to the next.
        reopened: How long a call that certainly was not run waits for a new session.
    """

    open: float = 15.0
    call: float = 15.0
    list: float = 300.0
    list_least: float = 10.0
    list_most: float = 3600.0
    again_least: float = 0.2
    again_most: float = 30.0
    reopened: float = 3.0


class McpServer:
    """One server. Implements `ToolServer`.

    Args:
        name: As the operator calls it.
        transport: Makes a connection of the SDK.
        times: Its clocks.
    """

    def __init__(self, name: str, transport: Callable[[], Transport], times: SessionTimes) -> None:
        self._name = name
        self._transport = transport
        self._times = times
        self._listing = Listing()
        self._client: Client | None = None
        self._opened = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def name(self) -> str:
        """As the operator calls it."""
        return self._name

    def listing(self) -> Listing:
        """What it offers now."""
        return self._listing

    async def call(self, tool: str, arguments: Mapping[str, Any], *, is_once: bool = False) -> RemoteResult:
        """Call a tool; once more in a new session where it certainly was not run, unless `is_once`.

        Raises:
            CallFailed: It gave nothing.
        """
        client = self._client
        if client is None:
            raise CallFailed("unavailable", may_have_run=False)
        try:
            return await self._called(client, tool, arguments)
        except CallFailed:
            raise
        except Exception as exc:
            reason, is_lost = failure_of(exc)
            if is_lost and self._client is client:
                self._client = None
                self._opened.clear()
                self._lost.set()
            if is_once or not was_not_delivered(exc):
                raise CallFailed(reason, may_have_run=may_have_run(exc)) from None
        return await self._called_again(tool, arguments)

    async def follow(self) -> None:
        """Keep a session open until cancelled."""
        wait = self._times.again_least
        while True:
            was_open = False
            try:
                await self._session()
                was_open, reason = True, "unreachable"
            except Exception as exc:  # ExceptionGroup is one: the SDK raises in groups
                was_open, reason = self._opened.is_set(), reason_of(exc)
            finally:
                self._client = None
                self._opened.clear()
            self._down(reason)
            wait = self._times.again_least if was_open else min(wait * 2, self._times.again_most)
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - so that replicas do not come at once

    async def _called(self, client: Client, tool: str, arguments: Mapping[str, Any]) -> RemoteResult:
        params = mcp_types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        # Not `Client.call_tool`: it holds results to the server's own schema, of which a pattern may take for ever.
        request = mcp_types.CallToolRequest(params=params)
        result = await client.session.send_request(request, mcp_types.CallToolResult, self._times.call)
        return result_of(result)

    async def _called_again(self, tool: str, arguments: Mapping[str, Any]) -> RemoteResult:
        """A second and last time.

        Raises:
            CallFailed: It gave nothing.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._times.reopened):
                await self._opened.wait()
        client = self._client
        if client is None:
            raise CallFailed("unavailable")
        try:
            return await self._called(client, tool, arguments)
        except CallFailed:
            raise
        except Exception as exc:
            raise CallFailed(failure_of(exc)[0]) from None

    async def _session(self) -> None:
        """One session: opened, listed again and again, until it is lost.

        Raises:
            Exception: It could not be opened, or broke; often a group.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._times.open) as clock:
            # Not the SDK's cache of lists: what was approved is compared with what the server says, not with that.
            async with Client(self._transport(), cache=None, read_timeout_seconds=self._times.open) as client:
                self._lost.clear()
                while not self._lost.is_set():
                    fresh_seconds = await self._look(client)
                    self._client = client
                    self._opened.set()
                    clock.reschedule(None)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(fresh_seconds):
                            await self._lost.wait()
                    clock.reschedule(loop.time() + self._times.open)

    async def _look(self, client: Client) -> float:
        """List the tools; how long the list counts, seconds."""
        found: dict[str, RemoteDefinition] = {}
        cursor, count, told = None, 0, 0
        for _ in range(_MOST_PAGES):
            params = mcp_types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await client.session.list_tools(params=params)
            told = told or page.ttl_ms
            count += len(page.tools)
            for tool in page.tools[: MAX_TOOLS - len(found)]:
                found[tool.name] = definition_of(tool)
            cursor = page.next_cursor
            if cursor is None or count >= MAX_TOOLS:
                break
        left_out = count - len(found) + (cursor is not None)
        listing = Listing("", tuple(found.values()), left_out)
        if listing != self._listing:
            self._listing = listing
            _LOG.info("tool server answers", extra={"server": self._name, "state": "up"})
        times = self._times
        return min(max(told / 1000, times.list_least), times.list_most) if told else times.list

    def _down(self, reason: str) -> None:
        if self._listing.reason != reason:
            self._listing = replace(self._listing, reason=reason)
            _LOG.warning("tool server is away", extra={"server": self._name, "state": "down", "reason": reason})
