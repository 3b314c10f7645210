"""Grammars of what requests ask for; the ones used last are kept, for a client sends the same again and again."""

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from chatbot.domain.tools import ToolDefinition, ToolUse
from chatbot.llm.grammar.calls import MAX_CALLS, Calls, Shape, shaped_grammar
from chatbot.llm.grammar.documents import MAX_SCHEMA_BYTES, document_grammar, object_grammar
from chatbot.llm.grammar.refusal import SchemaRefused
from chatbot.llm.grammar.tools import Tool, check_tools

_KEPT: Final = 32


class KeptGrammars:
    """Grammars by what they are made of."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, str] = OrderedDict()

    def document(self, schema: str) -> str:
        """The grammar of a schema's JSON text; "" is any JSON object.

        Raises:
            SchemaRefused: As `document_grammar`.
        """
        return self._made(schema, lambda: _document(schema))

    def decision(self, tools: ToolUse, shape: Shape = Shape.LIST) -> str:
        """The grammar of the calls that a generation may or must make, behind what they begin with.

        Raises:
            SchemaRefused: As `decision_grammar`; also where tools that may not be called are too many or too large.
        """
        return self._made((tools, shape), lambda: _decision(tools, shape))

    def _made(self, key: Hashable, make: Callable[[], str]) -> str:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._kept[key] = make()
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made


def _document(schema: str) -> str:
    if len(schema.encode()) > MAX_SCHEMA_BYTES:
        raise SchemaRefused("", "", "schema", f"more than {MAX_SCHEMA_BYTES} bytes")
    return document_grammar(json.loads(schema)) if schema else object_grammar()


def _decision(tools: ToolUse, shape: Shape) -> str:
    check_tools([_tool(each) for each in tools.definitions])
    calls = Calls(least=int(tools.must_call), most=MAX_CALLS if tools.is_parallel else 1)
    return shaped_grammar([_tool(each) for each in tools.callable()], calls, shape)


def _tool(said: ToolDefinition) -> Tool:
    parameters = json.loads(said.parameters) if said.parameters else {}
    return Tool(said.name, parameters, said.description, is_exact=bool(said.is_strict))
