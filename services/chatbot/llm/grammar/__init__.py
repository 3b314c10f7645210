"""JSON Schemas of tools and answers -> a grammar that a generation cannot leave (ADR 0010)."""

from chatbot.llm.grammar.calls import Calls, Shape, call_grammar, decision_grammar
from chatbot.llm.grammar.documents import document_grammar, object_grammar
from chatbot.llm.grammar.kept import KeptGrammars
from chatbot.llm.grammar.refusal import SchemaRefused
from chatbot.llm.grammar.tools import Tool, check_tools

__all__ = [
    "Calls",
    "KeptGrammars",
    "SchemaRefused",
    "Shape",
    "Tool",
    "call_grammar",
    "check_tools",
    "decision_grammar",
    "document_grammar",
    "object_grammar",
]
