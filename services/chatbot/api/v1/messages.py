"""`messages` of the OpenAI API: text, calls of tools, and the results of those calls."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import TextModel, printable
from chatbot.api.v1.named_schemas import Name
from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.tools import ToolCall

MAX_MESSAGES = 100
MAX_MESSAGE_CHARACTERS = 8_000
MAX_CALLS = 64
_UNPRINTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CallId = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(printable)]


def _joined_parts(value: object) -> object:
    """Content may be a list of text parts; pictures and sound are not supported."""
    if not isinstance(value, list):
        return value
    texts = []
    for part in value:
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise PydanticCustomError("not_supported", "only text parts")
        texts.append(part["text"])
    return "".join(texts)


class CalledFunction(TextModel):
    """`function` of a call."""

    name: Name
    arguments: str = Field(max_length=MAX_MESSAGE_CHARACTERS, description="JSON text, as it was returned.")


class V1ToolCall(TextModel):
    """A call that the assistant made before."""

    id: _CallId
    type: Literal["function"]
    function: CalledFunction


class V1Message(TextModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    tool_calls: Annotated[list[V1ToolCall], Field(max_length=MAX_CALLS)] | None = Field(
        None, description="Of the role assistant; a message of the role tool for each must follow."
    )
    tool_call_id: _CallId | None = Field(None, validate_default=True, description="Of the role tool: whose result.")
    content: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] | None = Field(
        None, validate_default=True, description="Required but for the role assistant with tool_calls."
    )

    @field_validator("tool_calls", mode="after")
    @classmethod
    def _by_the_assistant(cls, value: list[V1ToolCall] | None, info: ValidationInfo) -> list[V1ToolCall] | None:
        if value and info.data.get("role") != "assistant":
            raise PydanticCustomError("not_supported", "is the assistant's")
        return value

    @field_validator("tool_call_id", mode="after")
    @classmethod
    def _of_a_call(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("role") == "tool":
            raise PydanticCustomError("missing", "is required")
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _as_text(cls, value: object, info: ValidationInfo) -> object:
        text = _joined_parts(value)
        if isinstance(text, str) and info.data.get("role") == "tool":
            return _UNPRINTED.sub("", text)  # colours and bells of a program's output
        return text

    @field_validator("content", mode="after")
    @classmethod
    def _given(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "role" in info.data and not info.data.get("tool_calls"):
            raise PydanticCustomError("missing", "is required")
        return value

    def message(self) -> Message | None:
        """It as a message of a dialogue; None where it belongs to the system prompt."""
        if self.role == "system" or self.role == "developer":
            return None
        calls = tuple(ToolCall(each.id, each.function.name, each.function.arguments) for each in self.tool_calls or ())
        return Message(self.role, self.content or "", calls, self.tool_call_id or "" if self.role == "tool" else "")


def _in_order(messages: list[V1Message]) -> list[V1Message]:
    if messages[-1].role not in ("user", "tool") or all(message.role != "user" for message in messages):
        raise PydanticCustomError("last_not_user", "must end with the user")
    wanted: set[str] = set()
    for number, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in wanted:
                raise PydanticCustomError("result_without_call", "answers no call", {"index": number})
            wanted.discard(message.tool_call_id)
        elif wanted:
            raise PydanticCustomError("call_without_result", "a call has no result", {"index": number})
        ids = [call.id for call in message.tool_calls or ()]
        if len(set(ids)) < len(ids):
            raise PydanticCustomError("call_without_result", "an id comes twice", {"index": number})
        wanted |= set(ids)
    if wanted:
        raise PydanticCustomError("call_without_result", "a call has no result", {"index": len(messages)})
    return messages


Messages = Annotated[list[V1Message], Field(min_length=1, max_length=MAX_MESSAGES), AfterValidator(_in_order)]


def dialogue_of(messages: Sequence[V1Message]) -> Dialogue:
    """Messages as a dialogue that is never shortened; system texts come first, wherever they stood."""
    system = "\n\n".join(m.content or "" for m in messages if m.role in ("system", "developer"))
    said = list(_said(messages))
    asked = max(number for number, message in enumerate(said) if message.role == "user")
    return Dialogue(system, (), tuple(said[:asked]), said[asked], may_shorten=False, rounds=tuple(said[asked + 1 :]))


def _said(messages: Sequence[V1Message]) -> Iterator[Message]:
    for message in messages:
        if (said := message.message()) is not None:
            yield said
