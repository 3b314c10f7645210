"""Settings of tool servers -> sessions with them."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Final

from chatbot.core.agent.opening import built_in
from chatbot.core.agent.toolbox import definition_of
from chatbot.core.toolservers.judging import ServerPolicy
from chatbot.core.toolservers.servers import ToolServers
from chatbot.domain.tools import ToolDefinition, ToolUse
from chatbot.domain.toolservers.server import ToolServer
from chatbot.llm.grammar import KeptGrammars, SchemaRefused
from chatbot.server.settings.tool_servers import McpServerSettings

_OPEN_SECONDS: Final = 15.0
Transport = Callable[[], AbstractAsyncContextManager[Any]]


def open_tool_servers(servers: Sequence[McpServerSettings], *, may_start_programs: bool) -> ToolServers:
    """The tool servers; nothing is connected yet.

    Args:
        servers: Of the settings.
        may_start_programs: Whether this is a machine of somebody's own.

    Raises:
        ValueError: One of them cannot be used here; names the setting.
    """
    if not servers:
        return ToolServers()
    if not may_start_programs and any(server.command for server in servers):
        raise ValueError("CHATBOT_TOOLS_MCP: command: only chatbot-local starts programs; give the url of a server")
    try:
        made = [(_server(server), _policy(server)) for server in servers]
    except ModuleNotFoundError as exc:
        raise ValueError(f"CHATBOT_TOOLS_MCP: {exc.name} is missing; install chatbot-platform[services,mcp]") from None
    return ToolServers(made, _own(), compiles)


def compiles(definitions: Sequence[ToolDefinition]) -> bool:
    """Whether calls of all these tools together can be held to their schemas (ADR 0010)."""
    try:
        KeptGrammars().decision(ToolUse(tuple(definitions)))
    except (SchemaRefused, ValueError, RecursionError):
        return False
    return True


def _own() -> list[ToolDefinition]:
    """Tools of ours, and as much room again: for what one service has besides."""
    own = [definition_of(tool) for tool in built_in()]
    return [*own, *(replace(one, name=f"{one.name}-room") for one in own)]


def _policy(server: McpServerSettings) -> ServerPolicy:
    return ServerPolicy(
        pins=server.pins(),
        writes=frozenset(server.writes),
        confirm=frozenset(server.confirm),
        takes_first=server.approve == "first",
        is_inside=server.inside,
        timeout_seconds=server.timeout_seconds,
    )


def _server(server: McpServerSettings) -> ToolServer:
    from chatbot.adapters.mcp.session import McpServer, SessionTimes  # the SDK costs 1 CPU s to import

    times = SessionTimes(open=max(server.timeout_seconds, _OPEN_SECONDS), call=server.timeout_seconds)
    return McpServer(server.name, _transport(server), times)


def _transport(server: McpServerSettings) -> Transport:
    if server.url:
        from chatbot.adapters.mcp.streams import http_streams

        tls = ssl.create_default_context()
        return partial(http_streams, server.url, server.token_file, server.timeout_seconds, tls)
    from chatbot.adapters.mcp.program import program_streams

    return partial(program_streams, server.command)
