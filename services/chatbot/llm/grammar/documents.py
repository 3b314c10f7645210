"""Grammars of whole answers: JSON of a schema, or any JSON object (`response_format` of the OpenAI API)."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from chatbot.llm.grammar.anything import anything, map_of
from chatbot.llm.grammar.refusal import SchemaRefused
from chatbot.llm.grammar.rules import RuleBook
from chatbot.llm.grammar.schema import MAX_DEPTH, SchemaCompiler

MAX_SCHEMA_BYTES: Final = 32 * 1024
MAX_GRAMMAR_BYTES: Final = 192 * 1024
"""Below what the engine reads."""
_KEPT: Final = 32


def document_grammar(schema: Mapping[str, Any]) -> str:
    """The grammar of JSON that is always of this schema.

    Raises:
        SchemaRefused: It is wrong, beyond a bound, or says what a grammar cannot hold an answer to.
    """
    rules = RuleBook()
    grammar = rules.text(SchemaCompiler("", schema, rules, is_exact=True).document())
    if len(grammar.encode()) > MAX_GRAMMAR_BYTES:
        raise SchemaRefused("", "", "schema", "its grammar is too large")
    return grammar


def object_grammar() -> str:
    """The grammar of any JSON object, lists and objects in it nested up to twelve deep."""
    rules = RuleBook()
    return rules.text(map_of(rules, anything(rules, MAX_DEPTH - 1)))


class DocumentGrammars:
    """Grammars by the text of their schema; the ones used last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    def grammar(self, schema: str) -> str:
        """The grammar of a schema's JSON text; "" is any JSON object.

        Raises:
            SchemaRefused: As `document_grammar`.
        """
        if schema in self._kept:
            self._kept.move_to_end(schema)
            return self._kept[schema]
        if len(schema.encode()) > MAX_SCHEMA_BYTES:
            raise SchemaRefused("", "", "schema", f"more than {MAX_SCHEMA_BYTES} bytes")
        made = self._kept[schema] = document_grammar(json.loads(schema)) if schema else object_grammar()
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made
