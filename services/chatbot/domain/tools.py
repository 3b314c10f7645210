"""Tools: what a model may call, and what it called."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A function that a model may call.

    Attributes:
        name: 1-64 of `[A-Za-z0-9_-]`.
        description: What it is for, for the model; at most 1,024 characters.
        parameters: JSON text of the JSON Schema of its arguments, an object; "" takes none.
        is_strict: Whether arguments must be held to the whole schema, and a schema is refused that they cannot be held
            to. Else what a grammar does not know (`pattern`, `format`, …) is for whoever runs the tool to check. None
            where nothing was said.
    """

    name: str
    description: str = ""
    parameters: str = ""
    is_strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a model made.

    Attributes:
        id: Names the call in the message that holds its result.
        name: Of the tool.
        arguments: JSON text of an object, "{}" where there are none. The local model's always is; a remote one's is
            what it wrote.
    """

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Which tools a generation has, and whether it must call one. No tools, no `ToolUse`.

    Attributes:
        definitions: At least one.
        must_call: Whether it must call at least one; else it may answer in text.
        allowed: Names of those that it may call; empty allows all. The others are told to the model all the same.
        is_parallel: Whether it may make several calls at once, at most 4.
        most_tokens: Of all calls together. None: as many as the answer may have.
        may_call: Whether it may call anything now. Where not, tools are told all the same, so that the prompt begins as
            it did in the rounds before.
    """

    definitions: tuple[ToolDefinition, ...]
    must_call: bool = False
    allowed: tuple[str, ...] = ()
    is_parallel: bool = True
    most_tokens: int | None = 256
    may_call: bool = True

    def callable(self) -> tuple[ToolDefinition, ...]:
        """The tools that may be called."""
        return tuple(each for each in self.definitions if not self.allowed or each.name in self.allowed)
