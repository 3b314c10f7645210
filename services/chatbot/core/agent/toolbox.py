"""Runs one call of a tool: checked, timed out, and not at all while the tool keeps failing."""

import asyncio
import copy
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.tools.contract import JsonValue, MaybeDone, Tool, ToolContext, ToolRefused, ToolResult, reach_of
from chatbot.domain.outside.breaker import BreakerOpen, BreakerPolicy, CircuitBreaker
from chatbot.domain.tools import ToolCall, ToolDefinition

_LOG = logging.getLogger(__name__)
MAX_ARGUMENT_CHARACTERS: Final = 8_000
UNKNOWN_TOOL: Final = "unknown"
"""Label of tools that are not ours: a model may write any name."""


class Outcome(StrEnum):
    """How a call ended; a label of metrics."""

    OK = "ok"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown_tool"
    REPEATED = "repeated"
    LIMIT = "limit"
    ASKED = "asked"
    UNSURE = "unsure"


NOT_RUN: Final = (Outcome.UNAVAILABLE, Outcome.UNKNOWN, Outcome.REPEATED, Outcome.LIMIT, Outcome.ASKED)
"""Outcomes of calls that took no time."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A call that ended.

    Attributes:
        result: What the model is told.
        seconds: It took.
    """

    call: ToolCall
    outcome: Outcome
    result: ToolResult
    seconds: float = 0.0


class ToolTelemetry(Protocol):
    """Who counts calls. Never text of a user."""

    def tool_called(self, service: str, tool: str, outcome: str, seconds: float) -> None:
        """A call ended; `tool` is a name of ours, or "unknown"."""

    def agent_ended(self, service: str, rounds: int, stopped: str) -> None:
        """An answer with tools ended after so many generations; `stopped` says what turned tools off, "" nothing."""

    def call_asked_first(self, service: str, outcome: str) -> None:
        """What became of a call that its user has to confirm, one of `PROPOSAL_OUTCOMES`."""


class Toolbox:
    """The tools of one service.

    Args:
        service: For the metrics.
        tools: With different names.
        bounds: Seconds of a call, and when a tool is left alone.
        telemetry: Is told of every call that was run.
    """

    def __init__(
        self,
        service: str,
        tools: Iterable[Tool],
        bounds: AgentBounds,
        telemetry: ToolTelemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.bounds = bounds
        self.telemetry = telemetry
        self.clock = clock
        self._tools = {tool.name: tool for tool in tools}
        self._breakers = {name: self._breaker() for name in self._tools}
        self.definitions = tuple(map(definition_of, self._tools.values()))

    def plus(self, tools: Iterable[Tool]) -> "Toolbox":
        """The same tools and others, with different names; what is remembered of all is shared."""
        more = {tool.name: tool for tool in tools if tool.name not in self._tools}
        if not more:
            return self
        for name in more:
            self._breakers.setdefault(name, self._breaker())
        wider = copy.copy(self)
        wider._tools = {**self._tools, **more}
        wider.definitions = (*self.definitions, *map(definition_of, more.values()))
        return wider

    def only(self, names: Collection[str]) -> "Toolbox":
        """The same tools but for those that are not named; what is remembered of them is shared."""
        fewer = copy.copy(self)
        fewer._tools = {name: tool for name, tool in self._tools.items() if name in names}
        fewer.definitions = tuple(each for each in self.definitions if each.name in names)
        return fewer

    def staying(self) -> "Toolbox":
        """Those of the tools whose calls stay in the cluster: what may be called after outside text was read."""
        return self.only([name for name, tool in self._tools.items() if not reach_of(tool).leaves])

    def reading(self) -> "Toolbox":
        """Those of the tools that only read."""
        return self.only([name for name, tool in self._tools.items() if reach_of(tool).asks_first is None])

    @property
    def names(self) -> Collection[str]:
        """Of all tools, in their order."""
        return self._tools.keys()

    @property
    def asks_outside(self) -> bool:
        """Whether one of the tools brings text of others, or names where its results come from."""
        return any(reach_of(tool).is_outside or reach_of(tool).has_sources for tool in self._tools.values())

    def named(self, name: str) -> Tool | None:
        """The tool of that name."""
        return self._tools.get(name)

    async def run(self, call: ToolCall, context: ToolContext, seconds: float) -> Ran:
        """Run a call; whatever happens in it is an outcome.

        Args:
            call: As the model wrote it.
            context: For whom.
            seconds: Time that is left for it.
        """
        began = self.clock()
        tool = self._tools.get(call.name)
        if tool is None:
            ran = Ran(call, Outcome.UNKNOWN, {"error": "unknown_tool", "candidates": [*self._tools]})
        else:
            longest = reach_of(tool).seconds or self.bounds.tool_seconds
            ran = await self._run(tool, call, context, min(seconds, longest))
        ended = Ran(call, ran.outcome, ran.result, self.clock() - began)
        self.count(ended)
        return ended

    def count(self, ran: Ran) -> None:
        """Tell the telemetry of a call, also of one that was not run."""
        tool = self._tools.get(ran.call.name)
        name = UNKNOWN_TOOL if tool is None else reach_of(tool).label or tool.name
        self.telemetry.tool_called(self.service, name, ran.outcome, ran.seconds)

    def _breaker(self) -> CircuitBreaker:
        policy = BreakerPolicy(self.bounds.breaker_failures, self.bounds.breaker_seconds)
        return CircuitBreaker(policy, clock=self.clock)

    async def _run(self, tool: Tool, call: ToolCall, context: ToolContext, seconds: float) -> Ran:
        try:
            attempt = self._breakers[tool.name].attempt()
        except BreakerOpen:
            return Ran(call, Outcome.UNAVAILABLE, {"error": "unavailable"})
        try:
            arguments = parsed(call.arguments)
            if arguments is None:
                return Ran(call, Outcome.REFUSED, {"error": "bad_arguments"})
            async with asyncio.timeout(max(0.0, seconds)):
                result = await tool.run(arguments, context)
            attempt.succeeded()
        except ToolRefused as exc:
            return Ran(call, Outcome.REFUSED, {"error": exc.problem, **exc.details})
        except Exception as exc:  # a tool that breaks is a result like others
            attempt.failed()
            return _broken(tool, call, exc)
        finally:
            attempt.release()
        return Ran(call, Outcome.OK, result)


def _broken(tool: Tool, call: ToolCall, error: Exception) -> Ran:
    """The end of a call that gave nothing; what does more than read may have been done all the same."""
    if not isinstance(error, TimeoutError | MaybeDone):
        told = {"tool": reach_of(tool).label or tool.name, "error": type(error).__name__}
        _LOG.error("tool failed", extra=told)
    if reach_of(tool).asks_first is not None:
        note = "It may have been done or not. Say so; do not call it again."
        return Ran(call, Outcome.UNSURE, {"error": "unknown_whether_done", "note": note})
    if isinstance(error, TimeoutError):
        return Ran(call, Outcome.TIMEOUT, {"error": "timeout"})
    return Ran(call, Outcome.FAILED, {"error": "failed"})


def definition_of(tool: Tool) -> ToolDefinition:
    """A tool as the model is told of it; arguments of a tool server's are checked by the server besides."""
    parameters = json.dumps(tool.parameters, ensure_ascii=False)
    return ToolDefinition(tool.name, tool.description, parameters, is_strict=not reach_of(tool).is_outside)


def parsed(arguments: str) -> Mapping[str, JsonValue] | None:
    """Arguments as an object; None where the text is none."""
    if len(arguments) > MAX_ARGUMENT_CHARACTERS:
        return None
    try:
        value: Any = json.loads(arguments or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
