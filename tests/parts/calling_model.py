"""A model that calls tools as a test says, tools that are slow or broken, and a place to run the loop in."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.tools.contract import JsonValue, Tool, ToolContext, ToolRefused, ToolResult
from chatbot.domain.chat import Caller
from chatbot.domain.generation import (
    Backend,
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

Move = str | ToolCall | Exception | FinishReason | float
"""What a model does: say a piece, call, break, end for another reason than it would, or take so many seconds."""


def call(name: str, arguments: str | dict[str, JsonValue] = "{}", call_id: str = "") -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(call_id or f"call_{name}_{abs(hash(text)) % 10**6}", name, text)


class CallingModel:
    """Implements `TextGenerator`: each generation is what `play` makes of its request."""

    backend = Backend.LLAMA

    def __init__(self, play: Callable[[GenerationRequest], Sequence[Move]], context_tokens: int = 8192) -> None:
        self._play = play
        self.requests: list[GenerationRequest] = []
        self.checked: list[GenerationRequest] = []
        self.refusal: Callable[[GenerationRequest], Exception | None] = lambda request: None
        self.served: ModelInfo | None = ModelInfo("calling", "0" * 16, "", context_tokens, "llama3")

    @classmethod
    def playing(cls, *rounds: Sequence[Move]) -> "CallingModel":
        """One round after the other; the last one again and again."""
        left = list(rounds)
        return cls(lambda request: left.pop(0) if len(left) > 1 else left[0])

    def model(self) -> ModelInfo | None:
        return self.served

    async def check(self, request: GenerationRequest) -> None:
        self.checked.append(request)
        refused = self.refusal(request)
        if refused is not None:
            raise refused

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.requests.append(request)
        refused = self.refusal(request)
        if refused is not None:
            raise refused
        reason, tokens = FinishReason.STOP, 0
        for move in self._play(request):
            await asyncio.sleep(0)
            tokens += 1
            if isinstance(move, Exception):
                raise move
            if isinstance(move, FinishReason):
                reason = move
            elif isinstance(move, float):
                await asyncio.sleep(move)
            elif isinstance(move, ToolCall):
                reason = FinishReason.TOOL_CALLS
                yield move
            else:
                yield TextPiece(move)
        yield Finished(reason, Usage(10, tokens, 5), Timings(0.0, 0.5, 1.5))


@dataclass
class StubTool:
    """A tool that takes its time, breaks, or says what a test wants; counts what runs at once."""

    name: str = "look"
    seconds: float = 0.0
    result: ToolResult = field(default_factory=lambda: {"value": "7"})
    failure: Exception | None = None
    runs: list[dict[str, JsonValue]] = field(default_factory=list)
    active: int = 0
    most_active: int = 0
    cancelled: int = 0
    description: str = "Looks."
    parameters: dict[str, JsonValue] = field(default_factory=lambda: {"type": "object", "properties": {}})

    async def run(self, arguments: object, context: ToolContext) -> ToolResult:
        assert isinstance(arguments, dict)
        self.runs.append(arguments)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        if self.failure is not None:
            raise self.failure
        return self.result

    def say(self, result: ToolResult, language: str) -> str:
        return f"{language}: {result['value']}"


class CountingCalls:
    """Remembers what it was told of tools."""

    def __init__(self) -> None:
        self.called: list[tuple[str, str]] = []
        self.ended: list[tuple[int, str]] = []
        self.confirmed: list[str] = []

    def tool_called(self, service: str, tool: str, outcome: str, seconds: float) -> None:
        self.called.append((tool, outcome))

    def call_asked_first(self, service: str, outcome: str) -> None:
        self.confirmed.append(outcome)

    def agent_ended(self, service: str, rounds: int, stopped: str) -> None:
        self.ended.append((rounds, stopped))


def toolbox(*tools: Tool, bounds: AgentBounds | None = None) -> tuple[Toolbox, CountingCalls]:
    told = CountingCalls()
    return Toolbox("office", tools, bounds or AgentBounds(), told, clock=asyncio.get_running_loop().time), told


def asked_for() -> ToolContext:
    return ToolContext(Caller("", "user"), "ko", datetime(2026, 7, 21, 3, tzinfo=UTC), "Asia/Seoul")


REFUSED = ToolRefused("unknown_place", candidates=["서울"])
