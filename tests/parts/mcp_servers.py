"""MCP servers of the official SDK, on loopback unless told, and others that break the protocol below it."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from chatbot.adapters.mcp.session import McpServer, SessionTimes
from chatbot.adapters.mcp.streams import http_streams
from chatbot.core.toolservers.judging import ServerPolicy
from chatbot.core.toolservers.servers import ToolServers
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import Response

from parts.waiting import until

QUICK = SessionTimes(open=10.0, call=10.0, list=300.0, list_least=0.01, again_least=0.02, again_most=0.1, reopened=10.0)
"""Clocks that let a test see every turn of a session; none of them is a deadline that a busy machine could miss."""


@dataclass
class Wiki:
    """What a server of a test does; its tools can be changed while it runs."""

    text: str = "the wiki says so"
    description: str = "Searches the wiki."
    seconds: float = 0.0
    called: list[str] = field(default_factory=list)
    active: int = 0
    most_active: int = 0
    dies: Callable[[], Awaitable[None]] | None = None

    def made(self) -> MCPServer:
        """A server with this wiki's tools."""
        server = MCPServer("wiki")

        async def search(query: str) -> str:
            self.called.append(query)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
            try:
                if self.dies is not None:
                    await self.dies()
                await asyncio.sleep(self.seconds)
            finally:
                self.active -= 1
            return self.text

        async def broken() -> str:
            raise RuntimeError("the disk is full")

        server.add_tool(search, name="search", description=self.description)
        server.add_tool(broken, name="broken", description="Always fails.")
        return server


@dataclass
class Place:
    """Where a server listens; it may go away and come back."""

    port: int = 0
    host: str = "127.0.0.1"
    server: uvicorn.Server | None = None
    task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/mcp"

    async def start(self, app: Any) -> None:
        """Serve an app, on the same port as before."""
        listening = socket.create_server((self.host, self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.task = asyncio.create_task(self.server.serve(sockets=[listening]))
        await until(lambda: self.server is not None and self.server.started)

    async def stop(self) -> None:
        """Go away; what is being answered is cut."""
        if self.server is not None and self.task is not None:
            self.server.should_exit = self.server.force_exit = True
            for listening in self.server.servers:
                listening.close()
            for connection in list(self.server.server_state.connections):
                connection.transport.abort()
            await self.task
            self.server = self.task = None


@asynccontextmanager
async def mcp_place(
    wiki: Wiki | MCPServer, port: int = 0, host: str = "127.0.0.1", **options: Any
) -> AsyncIterator[Place]:
    """A server of the SDK on a port; 0: a free one."""
    server = wiki.made() if isinstance(wiki, Wiki) else wiki
    async with asgi_place(server.streamable_http_app(host=host, **options), port, host) as place:
        yield place


@contextmanager
def mcp_in_a_thread(wiki: Wiki, port: int = 0, host: str = "127.0.0.1") -> Iterator[Place]:
    """The same beside a test that has no event loop."""
    ready: Future[Place] = Future()
    end = threading.Event()

    async def serve() -> None:
        async with mcp_place(wiki, port, host) as place:
            ready.set_result(place)
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield ready.result(timeout=30)
    finally:
        end.set()
        thread.join()


@asynccontextmanager
async def asgi_place(app: Any, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Place]:
    """An app on a port; 0: a free one."""
    place = Place(port, host)
    await place.start(app)
    try:
        yield place
    finally:
        await place.stop()


@asynccontextmanager
async def kept_up(*servers: McpServer) -> AsyncIterator[None]:
    """Sessions with servers while the block runs, as the product keeps them."""
    following = asyncio.create_task(ToolServers((server, ServerPolicy()) for server in servers).follow())
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


@asynccontextmanager
async def followed(place: Place, times: SessionTimes = QUICK, **options: Any) -> AsyncIterator[McpServer]:
    """Our client of a server, kept in touch while the block runs."""
    token_file = options.get("token_file")
    server = McpServer("wiki", lambda: http_streams(place.url, token_file, times.call), times)
    async with kept_up(server):
        yield server


Answers = Callable[[str, dict[str, Any]], Any]
"""A method and its parameters -> its result."""


def by_hand(answers: Answers) -> Any:
    """A server that answers as a test says, without the SDK's care: an ASGI app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await _lifespan(receive, send)
            return
        message = json.loads(await Request(scope, receive).body())
        if "id" not in message:
            await Response(status_code=202)(scope, receive, send)
            return
        found = answers(message["method"], message.get("params", {}))
        if isinstance(found, Response):
            await found(scope, receive, send)
            return
        headers = found.pop("headers", {})
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **found})
        await Response(body, headers=headers, media_type="application/json")(scope, receive, send)

    return app


async def _lifespan(receive: Any, send: Any) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def welcomed(method: str) -> dict[str, Any] | None:
    """The answers that open a session of the revision before the present one; None for other methods."""
    if method == "server/discover":
        return {"error": {"code": -32601, "message": "not found"}}
    if method == "initialize":
        info = {"name": "hand", "version": "1"}
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}}
    return None
