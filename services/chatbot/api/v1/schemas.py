"""What `POST /v1/chat/completions` takes: the OpenAI API's fields that a local model can honour.

A field that would change the answer and is not supported is refused, never ignored; fields that change nothing
(`metadata`, `store`, …) are ignored.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chatbot.api.schemas import GREETING_INDEX, LOCAL_ONLY, USER_NAME, TextModel, ToolName, UserId
from chatbot.api.style.fields import SPEECH, SpeechFields
from chatbot.api.v1.messages import Messages, dialogue_of
from chatbot.api.v1.response_format import ResponseFormat
from chatbot.api.v1.tools import Choice, ToolChoice, Tools, check_choice, tool_use
from chatbot.domain.chat import Dialogue
from chatbot.domain.tools import ToolUse


def _unsupported(*harmless: object, problem: str = "not_supported") -> BeforeValidator:
    """Refuse every value but those that ask for nothing; `problem` says what to do instead."""

    def check(value: object) -> object:
        if value is None or any(value == known and type(value) is type(known) for known in harmless):
            return value
        raise PydanticCustomError(problem, "is not supported")

    return BeforeValidator(check)


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class StreamOptions(TextModel):
    """`stream_options`."""

    include_usage: bool = False


_Stop = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100)]


class ChatCompletionRequest(TextModel):
    """A chat completion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "chatbot-demo", "messages": [{"role": "user", "content": "안녕하세요!"}]}]
        },
    )

    model: str = Field(min_length=1, max_length=200)
    messages: Messages
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
    greeting_index: int = GREETING_INDEX
    user_name: str = USER_NAME
    speech: SpeechFields | None = SPEECH
    safety_identifier: UserId | None = None
    user: UserId | None = None
    local_only: bool = LOCAL_ONLY
    n: Annotated[Any, _unsupported(1)] = None
    logprobs: Annotated[Any, _unsupported(False)] = None
    top_logprobs: Annotated[Any, _unsupported(0)] = None
    logit_bias: Annotated[Any, _unsupported({})] = None
    tools: Tools | None = Field(None, description="Functions that you run: calls of them are returned, never run here.")
    tool_choice: ToolChoice = Field(None, description="Obeyed by every model: answers cannot leave the grammar.")
    parallel_tool_calls: bool | None = Field(None, description="Whether one answer may hold several calls, at most 4.")
    chatbot_tools: Annotated[list[ToolName], Field(max_length=16)] | None = Field(
        None,
        description="Not in the OpenAI API: names of `/tools` that this service runs before it answers, instead of"
        " `tools`. The answer tells of them in `chatbot_tool_calls`, `search` and `sources`.",
    )
    functions: Annotated[Any, _unsupported([], problem="send_tools")] = None
    function_call: Annotated[Any, _unsupported("none", "auto", problem="send_tool_choice")] = None
    response_format: ResponseFormat | None = None
    modalities: Annotated[Any, _unsupported(["text"])] = None
    audio: Annotated[Any, _unsupported()] = None
    web_search_options: Annotated[Any, _unsupported()] = None

    @field_validator("tool_choice", mode="after")
    @classmethod
    def _known(cls, value: Choice | None, info: ValidationInfo) -> Choice | None:
        if "tools" in info.data:  # else they are wrong, and told first
            check_choice(value, info.data["tools"])
        return value

    def dialogue(self) -> Dialogue:
        """The messages as a dialogue that is never shortened; system texts come first, wherever they stood."""
        return dialogue_of(self.messages)

    def tool_use(self) -> ToolUse | None:
        """The tools that may be called."""
        return tool_use(self.tools, self.tool_choice, self.parallel_tool_calls)
