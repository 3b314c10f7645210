"""`tools` and `tool_choice` of the OpenAI API: functions that the caller runs; calls of them are returned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import TextModel
from chatbot.api.v1.named_schemas import MAX_SCHEMA_BYTES, Name, Schema, schema_text
from chatbot.domain.tools import ToolDefinition, ToolUse

MAX_TOOLS = 64
MAX_ALL_BYTES = 96 * 1024
_MODES = ("none", "auto", "required")


class Function(TextModel):
    """`function` of a tool."""

    name: Name = Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"})
    description: str | None = Field(None, max_length=1_024)
    parameters: Schema | None = Field(
        None, description=f"JSON Schema of the arguments, an object of at most {MAX_SCHEMA_BYTES} bytes; absent: none."
    )
    strict: bool | None = Field(
        None,
        description="Hold arguments to all of the schema, and refuse one that they cannot be held to. "
        "Else keywords that a grammar does not know (pattern, format, …) are for you to check.",
    )


class FunctionTool(TextModel):
    """One of `tools`."""

    type: Literal["function"]
    function: Function


def _together(tools: list[FunctionTool]) -> list[FunctionTool]:
    names = [tool.function.name for tool in tools]
    if len(set(names)) < len(names):
        raise PydanticCustomError("named_twice", "a name comes twice")
    if sum(len(schema_text(tool.function.parameters or {}).encode()) for tool in tools) > MAX_ALL_BYTES:
        raise PydanticCustomError("too_many_bytes", "are too large", {"maximum": MAX_ALL_BYTES})
    return tools


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS), AfterValidator(_together)]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `tool_choice` says.

    Attributes:
        mode: none, auto or required.
        names: The only tools that may be called; empty allows all.
        is_one: Whether exactly one call is wanted: a function was named.
    """

    mode: str = "auto"
    names: tuple[str, ...] = ()
    is_one: bool = False


def _choice(value: object) -> object:
    if value is None or isinstance(value, Choice):
        return value
    if isinstance(value, str) and value in _MODES:
        return Choice(value)
    if isinstance(value, Mapping) and value.get("type") == "function":
        return Choice("required", (_named(value),), is_one=True)
    if isinstance(value, Mapping) and value.get("type") == "allowed_tools":
        return _allowed(value.get("allowed_tools"))
    raise PydanticCustomError("bad_tool_choice", "is no choice")


def _allowed(said: object) -> Choice:
    if isinstance(said, Mapping) and said.get("mode") in ("auto", "required"):
        tools = said.get("tools")
        if isinstance(tools, list) and 0 < len(tools) <= MAX_TOOLS:
            return Choice(said["mode"], tuple(_named(tool) for tool in tools))
    raise PydanticCustomError("bad_tool_choice", "is no choice")


def _named(value: object) -> str:
    function = value.get("function") if isinstance(value, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise PydanticCustomError("bad_tool_choice", "names no function")
    return name


def check_choice(choice: Choice | None, tools: list[FunctionTool] | None) -> None:
    """Refuse a choice that these tools do not have.

    Raises:
        PydanticCustomError: It needs tools, or names one that is not there.
    """
    if choice is None:
        return
    if not tools and (choice.names or choice.mode == "required"):
        raise PydanticCustomError("choice_without_tools", "there are no tools")
    if set(choice.names) - {tool.function.name for tool in tools or ()}:
        raise PydanticCustomError("choice_unknown", "names no tool")


_ONE = {
    "type": "object",
    "properties": {
        "type": {"const": "function"},
        "function": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
    "required": ["type", "function"],
}
_SOME = {
    "type": "object",
    "properties": {
        "type": {"const": "allowed_tools"},
        "allowed_tools": {
            "type": "object",
            "properties": {
                "mode": {"enum": ["auto", "required"]},
                "tools": {"type": "array", "items": _ONE, "minItems": 1, "maxItems": MAX_TOOLS},
            },
            "required": ["mode", "tools"],
        },
    },
    "required": ["type", "allowed_tools"],
}
ToolChoice = Annotated[
    Choice | None,
    BeforeValidator(_choice),
    WithJsonSchema({"anyOf": [{"enum": list(_MODES)}, _ONE, _SOME, {"type": "null"}]}),
]


def tool_use(tools: list[FunctionTool] | None, choice: Choice | None, is_parallel: bool | None) -> ToolUse | None:
    """What a generation is given; None where nothing may be called."""
    chosen = choice or Choice()
    if not tools or chosen.mode == "none":
        return None
    return ToolUse(
        definitions=tuple(_definition(tool.function) for tool in tools),
        must_call=chosen.mode == "required",
        allowed=chosen.names,
        is_parallel=is_parallel is not False and not chosen.is_one,
        most_tokens=None,
    )


def _definition(said: Function) -> ToolDefinition:
    parameters = schema_text(said.parameters) if said.parameters else ""
    return ToolDefinition(said.name, said.description or "", parameters, said.strict)
