"""An MCP server with a tool that writes, a model that always calls it, and a service around both."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from chatbot.adapters.mcp.session import McpServer
from chatbot.adapters.mcp.streams import http_streams
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.audit.audit import Audit
from chatbot.core.tools.contract import Tool
from chatbot.core.toolservers.judging import ServerPolicy
from chatbot.core.toolservers.servers import ToolServers
from chatbot.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolCall
from chatbot.server.wiring.tool_servers import compiles
from mcp.server.mcpserver import MCPServer

from parts.http_service import Service, ServiceOptions, running_service
from parts.mcp_servers import QUICK, Place, mcp_place
from parts.stub_generator import StubGenerator
from parts.waiting import until

WRITE = "book__write"
TIMES = replace(QUICK, reopened=0.2)
ASKS_FIRST = ServerPolicy(takes_first=True, confirm=frozenset({"write"}))


@dataclass
class Notebook:
    """What the server of a test keeps; `read` only reads."""

    description: str = "Writes a line into the notebook."
    page: str = "an empty page"
    seconds: float = 0.0
    fails: bool = False
    written: list[str] = field(default_factory=list)
    begun: int = 0
    reads: int = 0

    def made(self) -> MCPServer:
        """A server with this notebook's tools."""
        server = MCPServer("book")

        async def write(line: str) -> str:
            self.begun += 1
            await asyncio.sleep(self.seconds)
            if self.fails:
                raise RuntimeError("the pen is dry")
            self.written.append(line)
            return f"line {len(self.written)} is written"

        async def read() -> str:
            self.reads += 1
            return self.page

        server.add_tool(write, name="write", description=self.description)
        server.add_tool(read, name="read", description="Reads the notebook.")
        return server


class Eager(StubGenerator):
    """Calls `calls` wherever it has not read a result, offered or not; then says what it has read.

    Attributes:
        calls: Names and arguments.
        persists: Whether it calls again behind each result.
    """

    calls: tuple[tuple[str, dict[str, Any]], ...] = ((WRITE, {"line": "우유 사기"}),)
    persists = False
    failure: Exception | None = None

    def model(self) -> ModelInfo | None:
        return ModelInfo("eager", "0" * 16, "0" * 64, 8192, "chatml")

    def offered(self) -> list[str]:
        """Names of the tools that the last question was asked with and may be called."""
        tools = self.requests[-1].tools
        return [one.name for one in tools.callable()] if tools is not None and tools.may_call else []

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.requests.append(request)
        read = [one.content for one in request.dialogue.rounds if one.role == "tool"]
        reason = FinishReason.STOP
        if self.failure is not None and read:
            raise self.failure
        if not read or self.persists:
            reason = FinishReason.TOOL_CALLS
            named = re.findall(r"book__\w+", " ".join(read))
            for number, (name, arguments) in enumerate([*self.calls, *((one, {"line": "stolen"}) for one in named)]):
                yield ToolCall(f"c{len(self.requests)}-{number}", name, json.dumps(arguments))
        else:
            yield TextPiece(" | ".join(read))
        yield Finished(reason, Usage(1, 1, 0), Timings())


@dataclass
class Clock:
    """Wall-clock time that a test moves."""

    ahead_seconds: float = 0.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self.ahead_seconds, UTC)


@dataclass
class Study:
    """A service whose model may call the notebook's tools."""

    book: Notebook
    place: Place
    service: Service
    servers: ToolServers
    model: Eager
    client: httpx.AsyncClient
    clock: Clock

    async def chat(self, session: str = "s", user: str = "u", **more: Any) -> httpx.Response:
        """A message of a session."""
        message = {"message": "적어 줘", "user_id": user, "session_id": session, "language": "ko", **more}
        return await self.client.post("/chat", json=message)

    async def asked(self, session: str = "s", user: str = "u", **more: Any) -> list[str]:
        """Ids of the calls that an answer asks for."""
        answer = await self.chat(session, user, **more)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json().get("confirmations", [])]

    async def leave(self) -> None:
        """Let the server go away, and be found out."""
        await self.place.stop()
        calls, self.model.calls = self.model.calls, (("book__read", {}),)
        await self.asked(session="other")
        self.model.calls = calls
        await until(lambda: not self.servers.is_up("book"))

    async def come_back(self) -> None:
        """Let the server be there again, as its notebook is now."""
        await self.place.start(self.book.made().streamable_http_app())
        await until(lambda: self.servers.is_up("book"))

    def told(self, outcome: str) -> float:
        """How often the metric says so."""
        return self.service.metric("chatbot_confirmations_total", outcome=outcome)


@asynccontextmanager
async def study(
    folder: Path,
    book: Notebook | None = None,
    policy: ServerPolicy = ASKS_FIRST,
    *,
    own: tuple[Tool, ...] = (),
    place: Place | None = None,
    audit: Audit | None = None,
) -> AsyncIterator[Study]:
    """The service while the block runs; `place`: of a server that runs already."""
    book, model, clock = book or Notebook(), Eager(), Clock()
    async with _place(book, place) as there:
        server = McpServer("book", lambda: http_streams(there.url, None, QUICK.call), TIMES)
        servers = ToolServers([(server, policy)], (), compiles)
        following = asyncio.create_task(servers.follow())
        made = ServiceOptions(
            generator=model,
            tool_servers=servers,
            audit=audit,
            agent=lambda meters: Agent(
                Toolbox("office", own, AgentBounds(), meters),
                "Asia/Seoul",
                clock,
                others=servers.tools,
                standings=servers.standings,
                audit=audit,
            ),
        )
        try:
            await until(lambda: not server.listing().reason)
            async with running_service(folder, made) as service, service.client() as client:
                yield Study(book, there, service, servers, model, client, clock)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


@asynccontextmanager
async def _place(book: Notebook, place: Place | None) -> AsyncIterator[Place]:
    if place is not None:
        yield place
        return
    async with mcp_place(book.made()) as made:
        yield made


async def _serve(folder: Path, port: int) -> None:
    """A process of its own with the same conversations, until its standard input ends."""
    async with study(folder, place=Place(port)) as room:
        sys.stdout.write(f"{room.service.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
