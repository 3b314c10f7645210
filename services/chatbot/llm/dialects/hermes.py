"""The dialect of Qwen 2.5, Qwen 3 and Hermes: tools, calls and results as their models were trained to read them.

Definitions stand between <tools> and </tools> in the system prompt, a call is JSON between two tokens of its own in the
assistant's turn, and results stand between <tool_response> and </tool_response> in a user's turn, in the calls' order.
What is a token there is set between two marks, and becomes one by its id (`DialogueFrame`); the same characters in
anybody's text stay text. Where a vocabulary has no token for it, that text is all there is: so nobody's text holds the
ends of these blocks.

Source: the format's words, https://github.com/NousResearch/Hermes-Function-Calling, in the arrangement of
https://qwen.readthedocs.io/en/latest/framework/function_call.html ("hermes").
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.tools import ToolDefinition, ToolUse
from chatbot.llm.dialects.dialect import WARNING, Dialect, Round, definition, rounds_of, shown
from chatbot.llm.grammar import Shape

_NAMES: Final = re.compile("</?(?:tools|tool_call|tool_response)>")
_ENDS: Final = re.compile("</(?=(?:tools|tool_response)>)", re.IGNORECASE)
_HEAD: Final = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_TAIL: Final = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


def told(dialogue: Dialogue, tools: ToolUse | None, mark: str) -> Dialogue:
    """The same dialogue in texts of system, user and assistant, with the tools in the system prompt.

    Args:
        dialogue: Of any messages.
        tools: Those that are told.
        mark: Stands around the names of tokens; drawn for this dialogue.
    """
    system = dialogue.system
    if tools is not None:
        said = f"{WARNING}\n\n{definitions(tools.definitions, mark)}"
        system = "\n\n".join(filter(None, (system.strip(), said)))
    return replace(
        dialogue,
        system=system,
        history=tuple(_turns(dialogue.history, mark)),
        rounds=tuple(_turns(dialogue.rounds, mark)),
    )


def definitions(tools: Sequence[ToolDefinition], mark: str) -> str:
    """What the system prompt says of tools: a line of JSON for each."""
    lines = "\n".join(_unended(definition(tool)) for tool in tools)
    return f"{tokens(_HEAD, mark)}{lines}{tokens(_TAIL, mark)}"


def tokens(text: str, mark: str) -> str:
    """A text of ours with marks around the names of tokens in it."""
    return _NAMES.sub(lambda name: f"{mark}{name[0]}{mark}", text)


def _turns(messages: Sequence[Message], mark: str) -> Iterator[Message]:
    for each in rounds_of(messages):
        if isinstance(each, Message):
            yield each
            continue
        if each.calls:
            yield Message("assistant", _called(each, mark))
        if each.results:
            yield Message("user", _answered(each, mark))


def _called(made: Round, mark: str) -> str:
    said = (f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}' for call in made.calls)
    blocks = (f"{tokens('<tool_call>', mark)}\n{one}\n{tokens('</tool_call>', mark)}" for one in said)
    return "\n".join(filter(None, (made.content, *blocks)))


def _answered(made: Round, mark: str) -> str:
    """The results; their order tells whose each is."""
    begin, end = tokens("<tool_response>", mark), tokens("</tool_response>", mark)
    return "\n".join(f"{begin}\n{_unended(shown(result))}\n{end}" for result in made.results)


def _unended(text: str) -> str:
    """A text that ends no block: a slash that JSON may write so, too."""
    return _ENDS.sub(r"<\\/", text)


DIALECT: Final = Dialect("hermes", told, Shape.TAGGED, "<tool_call>")
