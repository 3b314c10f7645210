"""Decisions about tools: what a generation with tools begins with, and calls read from what comes, whole ones only.

In every function `mark` is what `mark_of` drew: "" speaks the generic dialect.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from chatbot.domain.generation import GenerationRequest
from chatbot.domain.tools import ToolCall, ToolUse
from chatbot.llm.dialects import hermes
from chatbot.llm.dialects.generic import ANSWER_START, NOTHING, plain
from chatbot.llm.dialogue_frames import Start
from chatbot.llm.engine.frames import DecisionFrame

LEAST_TOKENS: Final = 16
"""Room for a decision even where the answer may have fewer tokens: one call takes some."""
_DECODER: Final = json.JSONDecoder()
_ARGUMENTS: Final = '"arguments":'


def mark_of(request: GenerationRequest, dialect: str) -> str:
    """A mark for the tokens of a model's own dialect; "" where it has none, or nothing is said of tools."""
    if dialect != hermes.NAME:
        return ""
    messages = (*request.dialogue.history, *request.dialogue.rounds)
    says = request.tools is not None or any(message.calls or message.role == "tool" for message in messages)
    return f"[{secrets.token_hex(16)}]" if says else ""


def answering(request: GenerationRequest, mark: str = "") -> GenerationRequest:
    """The request for the answer in text: tools are told, calls are not asked for."""
    if mark:
        return replace(request, dialogue=hermes.told(request.dialogue, request.tools, mark))
    return replace(request, dialogue=plain(request.dialogue, request.tools))


def calling(request: GenerationRequest, grammar: str, mark: str = "") -> GenerationRequest:
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
    return replace(answering(request, mark), sampling=sampling)


def start_of(request: GenerationRequest, tools: ToolUse, grammar: str, mark: str = "") -> Start:
    """What stands before the answer: calls, where the model must call; else a decision whether to."""
    limits = [limit for limit in (tools.most_tokens, request.sampling.max_tokens) if limit is not None]
    most = max(LEAST_TOKENS, min(limits)) if limits else None
    if tools.must_call:
        return Start(hermes.tokens(hermes.TRIGGER, mark) if mark else ANSWER_START, most, mark=mark)
    if mark:
        decision: DecisionFrame = {"text": "", "grammar": grammar, "nothing": "", "most_tokens": most}
        return Start(decision=decision | {"trigger": hermes.TRIGGER}, mark=mark)
    return Start(decision={"text": ANSWER_START, "grammar": grammar, "nothing": NOTHING, "most_tokens": most})


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
            # As it was written, not as Python would: only the name stands before it, and that has no quotes.
            arguments = whole[whole.index(_ARGUMENTS) + len(_ARGUMENTS) : -1].strip()
            yield ToolCall(f"call_{secrets.token_hex(12)}", said["name"], arguments)
