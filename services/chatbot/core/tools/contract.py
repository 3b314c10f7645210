"""What a tool of ours is: arguments in, a small JSON object out, and the same in words for a person."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from chatbot.domain.chat import Caller, Dialogue
from chatbot.domain.generation import Sampling

JsonValue: TypeAlias = "str | int | float | bool | None | list[JsonValue] | Mapping[str, JsonValue]"
ToolResult: TypeAlias = Mapping[str, JsonValue]


class ToolRefused(Exception):
    """A tool cannot work with these arguments; the model is told why and may ask better.

    Args:
        problem: One of a closed set of words; never text of a user.
        details: What helps to ask better (`candidates`, `maximum`…).
    """

    def __init__(self, problem: str, **details: JsonValue) -> None:
        super().__init__(problem)
        self.problem = problem
        self.details = details


class MaybeDone(Exception):
    """Nobody knows whether a tool did what it was called for; it is not called again by itself."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Of a tool that does more than read: its calls are shown to the user, and run once he says so.

    Attributes:
        server: Who runs it.
        pin: Of its definition.
    """

    server: str
    pin: str


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a tool reaches; what says nothing of it asks nobody.

    Attributes:
        leaves: Its calls go out of the cluster: nothing that others wrote may cause one (ADR 0015).
        is_outside: Its results are other people's text.
        has_sources: Its results are `{"results": [{"title", "url", "text"}, …]}`: numbered and named behind the answer.
        seconds: Longest call; None: that of all tools.
        label: Its name in metrics; "" for its own.
        asks_first: None where it only reads.
    """

    leaves: bool = False
    is_outside: bool = False
    has_sources: bool = False
    seconds: float | None = None
    label: str = ""
    asks_first: Approval | None = None


_HERE: Final = Reach()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom and when a tool works.

    Attributes:
        language: ko, en or ja: of names and sentences.
        now: Aware; the moment that counts for the whole answer.
        zone: IANA name of the zone that is meant where nobody names a place.
        ask: Asks the model itself; None where there is none. Raises what a generation raises.
        said: The user's own messages of the conversation, the question last.
        texts: Whole texts of the numbered sources that were read for the answer, from number 1.
        granted: Calls that the user confirmed: name of the tool, `canonical` arguments.
    """

    caller: Caller
    language: str
    now: datetime
    zone: str
    ask: Callable[[Dialogue, Sampling], Awaitable[str]] | None = None
    said: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    granted: frozenset[tuple[str, str]] = frozenset()


class Tool(Protocol):
    """A tool that the services run themselves. Bounded in time and in the size of its result.

    One that asks somebody has an attribute `reach` besides.
    """

    @property
    def name(self) -> str:
        """1-64 of `[A-Za-z0-9_-]`; a label of metrics."""

    @property
    def description(self) -> str:
        """For the model, one or two sentences."""

    @property
    def parameters(self) -> Mapping[str, JsonValue]:
        """JSON Schema of the arguments, an object."""

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """Work it out.

        Raises:
            ToolRefused: Not with these arguments.
            MaybeDone: See there; of tools that do more than read.
        """

    def say(self, result: ToolResult, language: str) -> str:
        """A result as a sentence for a person, for answers without a model."""


def reach_of(tool: Tool) -> Reach:
    """How far a tool reaches."""
    reach: Reach = getattr(tool, "reach", _HERE)
    return reach


def canonical(arguments: Mapping[str, JsonValue]) -> str:
    """Arguments as text, the same however they were written."""
    return json.dumps(arguments, sort_keys=True)


def text_argument(arguments: Mapping[str, JsonValue], name: str, maximum: int) -> str:
    """A text, stripped; "" where it is missing.

    Raises:
        ToolRefused: It is no text, or longer than `maximum` characters.
    """
    value = arguments.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ToolRefused("not_text", argument=name)
    if len(value) > maximum:
        raise ToolRefused("too_long", argument=name, maximum=maximum)
    return value.strip()
