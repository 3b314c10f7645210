"""All tool servers of a process: what they offer now, judged anew whenever one of them says something new."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from chatbot.core.agent.toolbox import definition_of
from chatbot.core.toolservers.judging import SOURCE, CompileCheck, Judge, Judged, ServerPolicy
from chatbot.core.toolservers.tool import RemoteTool
from chatbot.domain.tools import ToolDefinition
from chatbot.domain.toolservers.server import Listing, ToolServer
from chatbot.domain.toolservers.standing import ToolStanding, ToolState

_LOG = logging.getLogger(__name__)
_END_SECONDS: Final = 1.0


class ToolServers:
    """All tool servers of a process.

    Args:
        servers: With different names, and what the operator says of each.
        own: Tools of ours, which have a place in the same grammar.
        compiles: Judges tools together.
    """

    def __init__(
        self,
        servers: Iterable[tuple[ToolServer, ServerPolicy]] = (),
        own: Sequence[ToolDefinition] = (),
        compiles: CompileCheck = lambda definitions: True,
    ) -> None:
        self._own = tuple(own)
        self._compiles = compiles
        self._judges = tuple(Judge(server, policy, {}, compiles, self._is_offered) for server, policy in servers)
        self._seen: tuple[Listing, ...] = ()
        self._standings: tuple[ToolStanding, ...] = ()
        self._tools: dict[str, RemoteTool] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the servers."""
        return tuple(judge.server.name for judge in self._judges)

    def tools(self) -> tuple[RemoteTool, ...]:
        """Those that may be called now."""
        self._look()
        return tuple(self._tools.values())

    def standings(self) -> tuple[ToolStanding, ...]:
        """Every tool that is allowed or that a server has, with its state."""
        self._look()
        return self._standings

    def is_up(self, name: str) -> bool:
        """Whether a server answered when it was asked last."""
        return any(judge.server.name == name and not judge.server.listing().reason for judge in self._judges)

    def changed(self, name: str) -> int:
        """How many tools of a server are withdrawn because their definition is not the approved one."""
        self._look()
        return sum(one.source == f"{SOURCE}{name}" and one.reason == "changed" for one in self._standings)

    async def follow(self) -> None:
        """Keep in touch with all of them until cancelled."""
        tasks = [asyncio.create_task(judge.server.follow()) for judge in self._judges]
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            await _ended(tasks)

    def _look(self) -> None:
        seen = tuple(judge.server.listing() for judge in self._judges)
        if len(seen) == len(self._seen) and all(new is old for new, old in zip(seen, self._seen, strict=True)):
            return
        self._seen = seen
        judged = [one for judge, listing in zip(self._judges, seen, strict=True) for one in _judged(judge, listing)]
        fitting = self._fitting([one.tool for one in judged if one.tool is not None])
        standings = tuple(
            replace(one.standing, state=ToolState.WITHDRAWN, reason="too_many")
            if one.tool is not None and one.tool.name not in fitting
            else one.standing
            for one in judged
        )
        self._tell(standings)
        available = {one.name for one in standings if one.state is ToolState.AVAILABLE}
        self._tools = {one.tool.name: one.tool for one in judged if one.tool and one.tool.name in available}

    def _fitting(self, tools: Sequence[RemoteTool]) -> frozenset[str]:
        """Names of the first tools, as many as hold together with ours in one grammar."""
        definitions = [definition_of(tool) for tool in tools]
        fits, least = len(tools), 0
        if not self._compiles([*self._own, *definitions]):
            while least + 1 < fits:  # `fits` are too many, `least` are not
                middle = (least + fits) // 2
                least, fits = (middle, fits) if self._compiles([*self._own, *definitions[:middle]]) else (least, middle)
            fits = least
        return frozenset(tool.name for tool in tools[:fits])

    def _is_offered(self, tool: RemoteTool) -> bool:
        self._look()
        now = self._tools.get(tool.name)
        told = (tool.description, tool.parameters, tool.reach.asks_first)
        return now is not None and (now.description, now.parameters, now.reach.asks_first) == told

    def _tell(self, standings: tuple[ToolStanding, ...]) -> None:
        """Log what is otherwise than before; names are the operator's and the servers', never a user's."""
        before = {one.name: one.reason for one in self._standings}
        for one in standings:
            if one.reason != before.get(one.name, ""):
                level = logging.WARNING if one.reason == "changed" else logging.INFO
                _LOG.log(level, "tool of a server", extra={"tool": one.name, "state": one.state, "reason": one.reason})
        self._standings = standings


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End tasks, asking again: a library that cancels by itself may take one cancellation for its own."""
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_END_SECONDS)


def _judged(judge: Judge, listing: Listing) -> Iterator[Judged]:
    """First the tools that are allowed, in the operator's order, then what the server has besides."""
    offered = {one.name: one for one in listing.definitions}
    for name in [*judge.policy.pins, *(name for name in offered if name not in judge.policy.pins)]:
        yield judge.judged(name, offered.get(name), listing.reason)
