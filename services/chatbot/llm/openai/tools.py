"""Tools in the API's words, and the calls in an answer put together from what servers really send.

Servers differ where the API leaves no doubt: all calls under index 0 of a stream, an id that never comes, arguments
that are null or an object. What can be understood is; a call that was cut is left out.

Source: OpenAI API reference, "Create chat completion", `tools`, `tool_choice` and `tool_calls`.
"""

import json
import secrets
from dataclasses import dataclass

from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from chatbot.llm.openai.fault import BrokenAnswer

MAX_CALLS = 64


def tool_parameters(tools: ToolUse | None) -> dict[str, object]:
    """`tools`, `tool_choice` and `parallel_tool_calls`; only tools that may be called, which every server obeys."""
    if tools is None:
        return {}
    offered = tools.callable()
    choice: object = "auto"
    if tools.must_call:
        is_named = len(offered) == 1 and not tools.is_parallel
        choice = {"type": "function", "function": {"name": offered[0].name}} if is_named else "required"
    wanted: dict[str, object] = {"tools": [_tool(each) for each in offered], "tool_choice": choice}
    return wanted if tools.is_parallel else wanted | {"parallel_tool_calls": False}


def _tool(said: ToolDefinition) -> dict[str, object]:
    known: dict[str, object] = {"name": said.name}
    if said.description:
        known["description"] = said.description
    if said.parameters:
        known["parameters"] = json.loads(said.parameters)
    if said.is_strict is not None:
        known["strict"] = said.is_strict
    return {"type": "function", "function": known}


@dataclass(slots=True)
class _Begun:
    """A call in the making."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class CallCollector:
    """Puts calls together, of a message or of the pieces of a stream."""

    def __init__(self) -> None:
        self._begun: list[_Begun] = []
        self._by_index: dict[int, _Begun] = {}

    def add(self, pieces: object) -> None:
        """Take the `tool_calls` of a message or of one piece.

        Raises:
            BrokenAnswer: There are more calls than any answer has.
        """
        for place, piece in enumerate(pieces if isinstance(pieces, list) else ()):
            index = getattr(piece, "index", None)
            self._add(index if isinstance(index, int) else place, piece)

    def calls(self, *, was_cut: bool) -> list[ToolCall]:
        """The calls, in the order in which they began; of a cut answer those that are whole."""
        found = []
        for number, begun in enumerate(self._begun, 1):
            is_last = number == len(self._begun)
            if begun.name and not (was_cut and is_last and not _is_object(begun.arguments)):
                call_id = begun.id or f"call_{secrets.token_hex(12)}"
                found.append(ToolCall(call_id, begun.name, begun.arguments.strip() or "{}"))
        return found

    def _add(self, index: int, piece: object) -> None:
        function = getattr(piece, "function", None)
        call_id, name = _text(getattr(piece, "id", None)), _text(getattr(function, "name", None))
        begun = self._by_index.get(index)
        if begun is None or (call_id and begun.id and call_id != begun.id):
            begun = self._by_index[index] = _Begun()
            self._begun.append(begun)
            if len(self._begun) > MAX_CALLS:
                raise BrokenAnswer("too many calls")
        begun.id = begun.id or call_id
        begun.name = begun.name or name
        begun.arguments += _arguments(getattr(function, "arguments", None))


def _arguments(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _text(value)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
