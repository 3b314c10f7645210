"""Decisions about tools: what a generation with tools begins with, and calls read from what comes, whole ones only."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from chatbot.domain.generation import GenerationRequest
from chatbot.domain.tools import ToolCall, ToolUse
from chatbot.llm.dialects import generic, hermes, llama31, mistral
from chatbot.llm.dialects.dialect import Dialect
from chatbot.llm.dialects.generic import ANSWER_START, NOTHING
from chatbot.llm.dialogue_frames import Start
from chatbot.llm.engine.frames import DecisionFrame

LEAST_TOKENS: Final = 16
"""Room for a decision even where the answer may have fewer tokens: one call takes some."""
_DECODER: Final = json.JSONDecoder()
_OWN: Final = {dialect.name: dialect for dialect in (hermes.DIALECT, llama31.DIALECT, mistral.DIALECT, mistral.SEVENTH)}
"""Dialects of models that were trained for tools, by name."""


@dataclass(frozen=True, slots=True)
class Tongue:
    """How one generation speaks of tools.

    Attributes:
        dialect: Whose words.
        mark: Stands around names of tokens, drawn for this generation; "" where none are named.
    """

    dialect: Dialect = generic.DIALECT
    mark: str = ""


GENERIC: Final = Tongue()


def tongue_of(request: GenerationRequest, dialect: str) -> Tongue:
    """A model's own dialect with a new mark; the generic one where it has none, or nothing is said of tools."""
    messages = (*request.dialogue.history, *request.dialogue.rounds)
    says = request.tools is not None or any(message.calls or message.role == "tool" for message in messages)
    return Tongue(_OWN[dialect], f"[{secrets.token_hex(16)}]") if says and dialect in _OWN else GENERIC


def answering(request: GenerationRequest, tongue: Tongue = GENERIC) -> GenerationRequest:
    """The request for the answer in text: tools are told, calls are not asked for."""
    return replace(request, dialogue=tongue.dialect.told(request.dialogue, request.tools, tongue.mark))


def telling(request: GenerationRequest, tongue: Tongue = GENERIC) -> Start:
    """What comes before an answer where nothing is decided: what is said of tools in a place of its own."""
    apart, tools = tongue.dialect.apart, request.tools
    return Start(mark=tongue.mark, tools=apart(tools) if apart is not None and tools is not None else "")


def calling(request: GenerationRequest, grammar: str, tongue: Tongue = GENERIC) -> GenerationRequest:
    """The request of a model that must call: the likeliest tokens, nothing but calls."""
    sampling = replace(
        request.sampling,
        temperature=0.0,
        repeat_penalty=1.0,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        stop=(),
        format=None,
        grammar=grammar,
    )
    return replace(answering(request, tongue), sampling=sampling)


def start_of(request: GenerationRequest, tools: ToolUse, grammar: str, tongue: Tongue = GENERIC) -> Start:
    """What stands before the answer: calls, where the model must call; else a decision whether to."""
    limits = [limit for limit in (tools.most_tokens, request.sampling.max_tokens) if limit is not None]
    most = max(LEAST_TOKENS, min(limits)) if limits else None
    trigger, mark = tongue.dialect.trigger, tongue.mark
    told = telling(request, tongue)
    if tools.must_call:
        return replace(told, text=f"{mark}{trigger}{mark}" or ANSWER_START, most_tokens=most)
    if not trigger:
        asked: DecisionFrame = {"text": ANSWER_START, "grammar": grammar, "nothing": NOTHING, "most_tokens": most}
        return replace(told, decision=asked)
    decision: DecisionFrame = {"text": "", "grammar": grammar, "nothing": "", "most_tokens": most, "trigger": trigger}
    if tongue.dialect.settled_by:
        decision["settled_by"] = tongue.dialect.settled_by
    return replace(told, decision=decision)


class CallReader:
    """Takes the text behind the beginning of calls as it comes; a call is given out once it is whole.

    Attributes:
        count: Calls given out.
    """

    def __init__(self) -> None:
        self._text = ""
        self.count = 0

    def read(self, text: str) -> Iterator[ToolCall]:
        """The calls that this text completes."""
        self._text += text
        while "}" in self._text:
            start = self._text.find("{")
            if start < 0:
                return
            try:
                said, end = _DECODER.raw_decode(self._text, start)
            except ValueError:
                return  # not whole yet
            whole, self._text = self._text[start:end], self._text[end:]
            self.count += 1
            yield ToolCall(f"call_{secrets.token_hex(12)}", said["name"], _arguments(whole, list(said)[1]))


def _arguments(whole: str, key: str) -> str:
    """The arguments as they were written, not as Python would: only the name stands before, and that has no quotes."""
    named = f'"{key}":'
    behind = whole[whole.index(named) + len(named) :].lstrip()
    return behind[: _DECODER.raw_decode(behind)[1]]
