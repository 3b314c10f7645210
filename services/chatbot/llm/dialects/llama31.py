"""The dialect of Llama 3.1, 3.2 and 3.3: tools, calls and results as their models were trained to read them.

Definitions stand in the system prompt, a call is the whole of an assistant's turn, JSON with `parameters`, and a result
is a turn of the role ipython: the ends of both are tokens that no text becomes. The family makes one call at a time, so
calls that were made together are told one by one, each with its result. A model may write a call with or without
`<|python_tag|>` in front.

Two lines of the published template are left out: the date until which the model knows things, and one for today that is
a date of 2024 wherever nobody sets it. Results are told as they are; that template quotes what is no JSON object.

Source: https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/prompt_format.md, and the words of the
template in meta-llama/Llama-3.1-8B-Instruct with `tools_in_user_message` false: there they are never cut off with old
turns, and are computed once for all conversations.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from chatbot.llm.dialects.dialect import WARNING, Dialect, Round, definition, rounds_of, shown
from chatbot.llm.grammar import Shape

_INDENT: Final = 4
_HEAD: Final = """\
Environment: ipython

You have access to the following functions. To call a function, please respond with JSON for a function call.\
Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.\
Do not use variables.

"""


def told(dialogue: Dialogue, tools: ToolUse | None, _mark: str = "") -> Dialogue:
    """The same dialogue in texts of system, user, assistant and tool, with the tools in the system prompt."""
    system = dialogue.system
    if tools is not None:
        own = "\n\n".join(filter(None, (system.strip(), WARNING)))
        system = f"{definitions(tools.definitions)}{own}"
    return replace(
        dialogue,
        system=system,
        history=tuple(_turns(dialogue.history)),
        rounds=tuple(_turns(dialogue.rounds)),
    )


def definitions(tools: Sequence[ToolDefinition]) -> str:
    """What the system prompt says of tools, in front of everything else: JSON of each, on lines of their own."""
    return _HEAD + "".join(f"{definition(tool, _INDENT)}\n\n" for tool in tools)


def _turns(messages: Sequence[Message]) -> Iterator[Message]:
    for each in rounds_of(messages):
        if isinstance(each, Message):
            yield each
        else:
            yield from _one_by_one(each)


def _one_by_one(made: Round) -> Iterator[Message]:
    if made.content:
        yield Message("assistant", made.content)
    for call in made.calls:
        yield Message("assistant", _said(call))
        yield from (Message("tool", shown(result)) for result in made.results if result.call_id == call.id)
    known = {call.id for call in made.calls}
    yield from (Message("tool", shown(result)) for result in made.results if result.call_id not in known)


def _said(call: ToolCall) -> str:
    return f'{{"name": {json.dumps(call.name)}, "parameters": {call.arguments}}}'


DIALECT: Final = Dialect("llama31", told, Shape.SINGLE, "<|python_tag|>", settled_by='"parameters":')
