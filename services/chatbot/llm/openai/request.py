"""A dialogue as the parameters of `POST /chat/completions`, and what a server turned out not to support.

OpenAI-compatible servers differ in their optional parameters: newer models of OpenAI want `max_completion_tokens`,
older servers know no `stream_options`. A server that names the parameter it does not take is believed, for as long
as the process lives.

Source: OpenAI API reference, "Create chat completion"; error codes `unsupported_parameter`, `unsupported_value`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import AnswerFormat, Sampling
from chatbot.domain.tools import ToolUse
from chatbot.llm.openai.tools import tool_parameters

DEFAULT_MAX_TOKENS = 1024
NOBODY: Mapping[str, str] = {}
RENAMED: Mapping[str, str] = {"max_tokens": "max_completion_tokens"}
DROPPABLE = frozenset(
    """temperature top_p presence_penalty frequency_penalty seed stop stream_options parallel_tool_calls user
    safety_identifier""".split()
) | frozenset(RENAMED)


@dataclass(slots=True)
class Dialect:
    """What one server takes.

    Attributes:
        refused: Optional parameters that it named as not supported.
        usage_seen: Whether a stream brought its usage, so `stream_options` is surely known.
    """

    refused: set[str] = field(default_factory=set)
    usage_seen: bool = False

    def learn(self, parameter: str | None, *, streaming: bool) -> bool:
        """Take note of a 400; whether the same request is worth sending again without that parameter.

        Args:
            parameter: What the server named, or None: then the parameter that servers most often do not know.
            streaming: Whether the request asked for a stream.
        """
        suspect = parameter or ("stream_options" if streaming and not self.usage_seen else None)
        if suspect not in DROPPABLE or suspect in self.refused:
            return False
        self.refused.add(suspect)
        return True

    def parameters(
        self, sampling: Sampling, tools: ToolUse | None, *, streaming: bool, named: Mapping[str, str] = NOBODY
    ) -> dict[str, object]:
        """Optional parameters of a call. `top_k`, `min_p` and `repeat_penalty` have no counterpart: not sent.

        Args:
            sampling: How tokens are chosen.
            tools: That may be called.
            streaming: Whether a stream is asked for.
            named: The parameter that tells users apart, with a pseudonym.
        """
        wanted: dict[str, object] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": _most_tokens(sampling),
            "presence_penalty": sampling.presence_penalty or None,
            "frequency_penalty": sampling.frequency_penalty or None,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            "response_format": _format(sampling.format),
            "stream_options": {"include_usage": True} if streaming else None,
            **tool_parameters(tools),
            **named,
        }
        taken = {name: value for name, value in wanted.items() if value is not None and name not in self.refused}
        for name, successor in RENAMED.items():
            if name in self.refused and successor not in self.refused:
                taken[successor] = wanted[name]
        return taken


def _most_tokens(sampling: Sampling) -> int:
    wanted = DEFAULT_MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
    return wanted if sampling.most_tokens is None else min(wanted, sampling.most_tokens)


def _format(wanted: AnswerFormat | None) -> dict[str, object] | None:
    """The format in the API's words, as the caller gave it."""
    if wanted is None:
        return None
    if not wanted.schema:
        return {"type": "json_object"}
    said = {"name": wanted.name, "description": wanted.description or None, "strict": wanted.is_strict}
    known = {name: value for name, value in said.items() if value is not None}
    return {"type": "json_schema", "json_schema": known | {"schema": json.loads(wanted.schema)}}


def messages(dialogue: Dialogue) -> list[dict[str, object]]:
    """The dialogue as chat messages: system, opening, history, question, rounds. Content is sent as it is."""
    system = (Message("system", dialogue.system),) if dialogue.system else ()
    utterances = (*system, *dialogue.opening, *dialogue.history, dialogue.question, *dialogue.rounds)
    return [_message(message) for message in utterances]


def _message(message: Message) -> dict[str, object]:
    said: dict[str, object] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        said["tool_call_id"] = message.call_id
    if message.calls:
        said["content"] = message.content or None
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    return said


def shortened(dialogue: Dialogue) -> Dialogue | None:
    """The dialogue with the newer half of its history's pairs, or None where nothing may be dropped."""
    if not dialogue.may_shorten or not dialogue.history:
        return None
    kept_pairs = len(dialogue.history) // 4
    return replace(dialogue, history=dialogue.history[len(dialogue.history) - 2 * kept_pairs :])


class SurrogateJoiner:
    """Makes text of pieces whole Unicode characters.

    JSON may carry half of a character outside the basic plane (one surrogate alone), and servers cut pieces there. The
    halves are joined; a half that stays alone becomes U+FFFD: it is no text, and no store or socket would take it.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """New text; a first half at the end waits for the next piece."""
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _whole(text[: len(text) - len(self._half)])

    def flush(self) -> str:
        """What is left at the end of the answer."""
        rest, self._half = self._half, ""
        return _whole(rest)


def _whole(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
