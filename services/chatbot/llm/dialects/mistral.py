"""The dialect of Mistral's third tokenizer: tools, calls and results as its models were trained to read them.

Definitions are a list in front of the last message of the user, calls a list behind a token of their own, and each
result an object that names its call: by nine characters, which are made of the call's id. All of these stand between
control tokens, so nobody's text ends them.

Later tokenizers have the same tokens and others, and their models were trained on other arrangements: they are not
spoken to in this one. Earlier ones have no token for tools.

Source: https://docs.mistral.ai/cookbook/concept-deep-dive-tokenization-tool_calling, tokenizer V3, and the template of
mistralai/Mistral-Nemo-Instruct-2407; results that are JSON stand there as they are, as in
https://github.com/mistralai/mistral-common (`InstructTokenizerV3`).
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
_ID: Final = re.compile("[A-Za-z0-9]{9}")


def told(dialogue: Dialogue, tools: ToolUse | None, mark: str) -> Dialogue:
    """The same dialogue in texts of system, user, assistant and tool; the tools themselves stand apart.

    Args:
        dialogue: Of any messages.
        tools: Those that are told.
        mark: Stands around the names of tokens; drawn for this dialogue.
    """
    system = dialogue.system
    if tools is not None:
        system = "\n\n".join(filter(None, (system.strip(), WARNING)))
    return replace(
        dialogue,
        system=system,
        history=tuple(_turns(dialogue.history, mark)),
        rounds=tuple(_turns(dialogue.rounds, mark)),
    )


def definitions(tools: ToolUse) -> str:
    """What is said of tools: a list of JSON."""
    return f"[{', '.join(definition(tool) for tool in tools.definitions)}]"


def call_id(said: str) -> str:
    """Nine characters for the id of a call; an id that is so short already stays."""
    return said if _ID.fullmatch(said) else hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:9]


def _turns(messages: Sequence[Message], mark: str) -> Iterator[Message]:
    for each in rounds_of(messages):
        if isinstance(each, Message):
            yield each
            continue
        if each.content:  # such a message has words or calls, never both
            yield Message("assistant", each.content)
        if each.calls:
            said = ", ".join(map(_said, each.calls))
            yield Message("assistant", f"{mark}{_TRIGGER}{mark}[{said}]")
        yield from (Message("tool", _result(result)) for result in each.results)


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
