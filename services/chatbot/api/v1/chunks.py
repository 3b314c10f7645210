"""The OpenAI API's answers: the whole completion, the chunks of a stream, the list of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatbot.domain.generation import FinishReason, Usage
from chatbot.domain.tools import ToolCall


@dataclass(frozen=True, slots=True)
class Completion:
    """What every part of one answer repeats. `created` is Unix seconds."""

    request_id: str
    created: int
    model: str

    def whole(self, text: str, calls: Sequence[ToolCall], finish_reason: FinishReason, usage: Usage) -> dict[str, Any]:
        """The body of an answer that is not streamed. Without text, calls have the content null."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message["content"] = text or None
            message["tool_calls"] = [call_fields(call) for call in calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": str(finish_reason)}
        return self._common("chat.completion") | {"choices": [choice], "usage": usage_fields(usage)}

    def chunk(
        self, delta: dict[str, Any], finish_reason: FinishReason | None = None, *, with_usage: bool = False
    ) -> dict[str, Any]:
        """One chunk; where the stream ends with a usage chunk, the others carry `usage: null`."""
        reason = None if finish_reason is None else str(finish_reason)
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage: dict[str, Any] = {"usage": None} if with_usage else {}
        return self._common("chat.completion.chunk") | {"choices": [choice]} | usage

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        """The last chunk where `stream_options.include_usage` was asked for: no choices."""
        return self._common("chat.completion.chunk") | {"choices": [], "usage": usage_fields(usage)}

    def _common(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.request_id}", "object": kind, "created": self.created, "model": self.model}


def call_fields(call: ToolCall) -> dict[str, Any]:
    """A whole call; `arguments` is always text."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def call_deltas(call: ToolCall, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two chunks say of a call: its id and name, then its arguments."""
    begun = call_fields(call)
    begun["function"]["arguments"] = ""
    return {"index": index} | begun, {"index": index, "function": {"arguments": call.arguments}}


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Token counts under the OpenAI API's names."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
