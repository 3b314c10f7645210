"""The dialects of Mistral's third and seventh tokenizer: tools, calls and results as their models were trained.

Definitions are a list in front of the last message of the user, calls a list behind a token of their own, and each
result names its call: by nine characters, which are made of the call's id. With the third tokenizer a result is an
object, with the seventh it is text behind a token. All of these stand between control tokens, so nobody's text ends
them.

From the eleventh on tokenizers have the same tokens and others, and their models were trained on other arrangements:
they are not spoken to in these. The first one has no token for tools.

Source: https://docs.mistral.ai/cookbook/concept-deep-dive-tokenization-tool_calling, tokenizer V3, and the template of
mistralai/Mistral-Nemo-Instruct-2407; results that are JSON stand there as they are, as in
https://github.com/mistralai/mistral-common (`InstructTokenizerV3`, `InstructTokenizerV7`).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.tools import ToolCall, ToolUse
from chatbot.llm.dialects.dialect import WARNING, Dialect, definition, rounds_of, shown
from chatbot.llm.grammar import Shape

_TRIGGER: Final = "[TOOL_CALLS]"
_CONTENT: Final = "[TOOL_CONTENT]"
_ID: Final = re.compile("[A-Za-z0-9]{9}")


def told(dialogue: Dialogue, tools: ToolUse | None, mark: str) -> Dialogue:
    """The same dialogue in texts of system, user, assistant and tool; the tools themselves stand apart.

    Args:
        dialogue: Of any messages.
        tools: Those that are told.
        mark: Stands around the names of tokens; drawn for this dialogue.
    """
    history, rounds = (tuple(_turns(messages, mark)) for messages in (dialogue.history, dialogue.rounds))
    return replace(dialogue, system=_system(dialogue, tools), history=history, rounds=rounds)


def told_seventh(dialogue: Dialogue, tools: ToolUse | None, mark: str) -> Dialogue:
    """As `told`, for the seventh tokenizer."""
    history, rounds = (tuple(_seventh(messages, mark)) for messages in (dialogue.history, dialogue.rounds))
    return replace(dialogue, system=_system(dialogue, tools), history=history, rounds=rounds)


def definitions(tools: ToolUse) -> str:
    """What is said of tools: a list of JSON."""
    return f"[{', '.join(definition(tool) for tool in tools.definitions)}]"


def call_id(said: str) -> str:
    """Nine characters for the id of a call; an id that is so short already stays."""
    return said if _ID.fullmatch(said) else hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:9]


def _system(dialogue: Dialogue, tools: ToolUse | None) -> str:
    system = dialogue.system
    return system if tools is None else "\n\n".join(filter(None, (system.strip(), WARNING)))


def _turns(messages: Sequence[Message], mark: str) -> Iterator[Message]:
    for each in rounds_of(messages):
        if isinstance(each, Message):
            yield each
            continue
        if each.content:  # such a message has words or calls, never both
            yield Message("assistant", each.content)
        if each.calls:
            yield Message("assistant", _called(each.calls, mark))
        yield from (Message("tool", _result(result)) for result in each.results)


def _seventh(messages: Sequence[Message], mark: str) -> Iterator[Message]:
    for each in rounds_of(messages):
        if isinstance(each, Message):
            yield each
            continue
        if each.calls:
            yield Message("assistant", f"{each.content}{_called(each.calls, mark)}")
        for result in each.results:
            yield Message("tool", f"{call_id(result.call_id)}{mark}{_CONTENT}{mark}{shown(result)}")


def _called(calls: Sequence[ToolCall], mark: str) -> str:
    return f"{mark}{_TRIGGER}{mark}[{', '.join(map(_said, calls))}]"


def _said(call: ToolCall) -> str:
    name, called = json.dumps(call.name), call_id(call.id)
    return f'{{"name": {name}, "arguments": {call.arguments}, "id": "{called}"}}'


def _result(message: Message) -> str:
    text = shown(message)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        text = json.dumps(text, ensure_ascii=False)
    return f'{{"content": {text}, "call_id": "{call_id(message.call_id)}"}}'


DIALECT: Final = Dialect("mistral", told, Shape.ARRAY, _TRIGGER, apart=definitions)
SEVENTH: Final = Dialect("mistral7", told_seventh, Shape.ARRAY, _TRIGGER, apart=definitions)
