"""What `POST /v1/chat/completions` takes: the OpenAI API's fields that a local model can honour.

A field that would change the answer and is not supported is refused, never ignored; fields that change nothing
(`metadata`, `store`, …) are ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import TextModel, UserId
from chatbot.api.v1.response_format import ResponseFormat
from chatbot.domain.chat import Dialogue, Message

MAX_MESSAGES = 100
MAX_MESSAGE_CHARACTERS = 8_000


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


def _unsupported(*harmless: object) -> BeforeValidator:
    """Refuse every value but those that ask for nothing."""

    def check(value: object) -> object:
        if value is None or any(value == known and type(value) is type(known) for known in harmless):
            return value
        raise PydanticCustomError("not_supported", "is not supported")

    return BeforeValidator(check)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class V1Message(TextModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS), BeforeValidator(_joined_parts)]
    tool_calls: Annotated[Any, _unsupported([])] = None


class StreamOptions(TextModel):
    """`stream_options`."""

    include_usage: bool = False


def _ends_with_user(messages: list[V1Message]) -> list[V1Message]:
    if messages[-1].role != "user":
        raise PydanticCustomError("last_not_user", "must end with the user")
    return messages


_Stop = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100)]


class ChatCompletionRequest(TextModel):
    """A chat completion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "chatbot-demo", "messages": [{"role": "user", "content": "안녕하세요!"}]}]
        },
    )

    model: str = Field(min_length=1, max_length=200)
    messages: Annotated[list[V1Message], Field(min_length=1, max_length=MAX_MESSAGES), AfterValidator(_ends_with_user)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000, description="Not in the OpenAI API; 0 is off.")] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, description="Not in the OpenAI API.")] | None = None
    repeat_penalty: Annotated[float, Field(ge=1, le=2, description="Not in the OpenAI API.")] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Annotated[list[_Stop], Field(max_length=4), BeforeValidator(_one_or_many)] | None = None
    safety_identifier: UserId | None = None
    user: UserId | None = None
    n: Annotated[Any, _unsupported(1)] = None
    logprobs: Annotated[Any, _unsupported(False)] = None
    top_logprobs: Annotated[Any, _unsupported(0)] = None
    logit_bias: Annotated[Any, _unsupported({})] = None
    tools: Annotated[Any, _unsupported([])] = None
    tool_choice: Annotated[Any, _unsupported("none", "auto")] = None
    functions: Annotated[Any, _unsupported([])] = None
    function_call: Annotated[Any, _unsupported("none", "auto")] = None
    response_format: ResponseFormat | None = None
    modalities: Annotated[Any, _unsupported(["text"])] = None
    audio: Annotated[Any, _unsupported()] = None
    web_search_options: Annotated[Any, _unsupported()] = None

    def dialogue(self) -> Dialogue:
        """The messages as a dialogue that is never shortened; system texts come first, wherever they stood."""
        system = "\n\n".join(m.content for m in self.messages if m.role in ("system", "developer"))
        said = [Message(m.role, m.content) for m in self.messages if m.role == "user" or m.role == "assistant"]
        return Dialogue(system, (), tuple(said[:-1]), said[-1], may_shorten=False)
