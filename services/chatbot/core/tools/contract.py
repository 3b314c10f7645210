"""What a tool of ours is: arguments in, a small JSON object out, and the same in words for a person."""

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


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a tool reaches; what says nothing of it asks nobody.

    Attributes:
        leaves: Its calls go out of the cluster: nothing that others wrote may cause one (ADR 0015).
        is_outside: Its results are other people's text.
        has_sources: Its results are `{"results": [{"title", "url", "text"}, …]}`: numbered and named behind the answer.
        seconds: Longest call; None: that of all tools.
        label: Its name in metrics; "" for its own.
    """

    leaves: bool = False
    is_outside: bool = False
    has_sources: bool = False
    seconds: float | None = None
    label: str = ""


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
    """

    caller: Caller
    language: str
    now: datetime
    zone: str
    ask: Callable[[Dialogue, Sampling], Awaitable[str]] | None = None
    said: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


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
        """

    def say(self, result: ToolResult, language: str) -> str:
        """A result as a sentence for a person, for answers without a model."""


def reach_of(tool: Tool) -> Reach:
    """How far a tool reaches."""
    reach: Reach = getattr(tool, "reach", _HERE)
    return reach


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
