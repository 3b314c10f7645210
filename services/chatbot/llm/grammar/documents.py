"""Grammars of whole answers: JSON of a schema, or any JSON object (`response_format` of the OpenAI API)."""

from collections.abc import Mapping
from typing import Any, Final

from chatbot.llm.grammar.anything import anything, map_of
from chatbot.llm.grammar.refusal import SchemaRefused
from chatbot.llm.grammar.rules import MAX_GRAMMAR_BYTES, RuleBook
from chatbot.llm.grammar.schema import MAX_DEPTH, SchemaCompiler

MAX_SCHEMA_BYTES: Final = 32 * 1024


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
