"""Grammars of tool calls: the decision step's list, and one call for formats that have a place of their own for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chatbot.llm.grammar.refusal import SchemaRefused
from chatbot.llm.grammar.rules import MAX_GRAMMAR_BYTES, SPACE, RuleBook, choice, json_literal, literal, repeated
from chatbot.llm.grammar.schema import SchemaCompiler
from chatbot.llm.grammar.tools import Tool, check_tools

MAX_CALLS: Final = 4
_LINE: Final = r'"\n"'


class Shape(StrEnum):
    """How a dialect writes calls, behind what they begin with."""

    LIST = "list"
    """A list behind `{"calls":`, or null."""
    TAGGED = "tagged"
    """Each between `<tool_call>` and `</tool_call>`, behind the first of these."""
    SINGLE = "single"
    """One alone, whose arguments are called parameters."""
    ARRAY = "array"
    """A list, each call with an id of nine characters where the model writes one."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls a decision may hold: `tool_choice` and `parallel_tool_calls` in numbers.

    Attributes:
        least: 0 lets the model call nothing, 1 is `required` or a named tool.
        most: 1 without parallel calls, at most 4.
    """

    least: int = 0
    most: int = MAX_CALLS

    def __post_init__(self) -> None:
        """Refuse what no decision can be.

        Raises:
            ValueError: 0 <= least <= most, 1 <= most <= 4 does not hold.
        """
        if not 0 <= self.least <= self.most or not 1 <= self.most <= MAX_CALLS:
            raise ValueError(f"between 0 and {MAX_CALLS} calls, not {self.least} to {self.most}")


def shaped_grammar(tools: Sequence[Tool], calls: Calls, shape: Shape) -> str:
    """The grammar of calls as a dialect writes them.

    Raises:
        SchemaRefused, ValueError: As `decision_grammar`.
    """
    match shape:
        case Shape.TAGGED:
            return tagged_grammar(tools, calls)
        case Shape.SINGLE:
            return call_grammar(tools, "parameters")
        case Shape.ARRAY:
            return array_grammar(tools, calls)
        case Shape.LIST:
            return decision_grammar(tools, calls, is_begun=True)


def decision_grammar(tools: Sequence[Tool], calls: Calls = Calls(), *, is_begun: bool = False) -> str:
    """The grammar of `{"calls": [{"name": …, "arguments": {…}}, …]}`; no calls are `null`.

    Args:
        tools: Those that may be called.
        calls: How many.
        is_begun: Whether `{"calls":` stands there already; then no space follows, so that the first token tells whether
            there is a call, and its brace is not closed either, which takes a token.

    Raises:
        SchemaRefused: A tool cannot be compiled, or all together are too large; says which, where and why.
        ValueError: There is no tool.
    """
    rules = RuleBook()
    call = _any_call(tools, "arguments", rules)
    several = repeated(call, max(1, calls.least), calls.most)
    listed = f'"[" {several} "]"'
    if not calls.least:  # told from a list by its first character: a decision needs no second token
        listed = f'("null" | {listed})'
    return rules.text(listed if is_begun else f'{json_start("calls")} {listed} "}}"')


def call_grammar(tools: Sequence[Tool], arguments_key: str = "arguments") -> str:
    """The grammar of one call, `{"name": …, "<arguments_key>": {…}}`.

    Raises:
        SchemaRefused: A tool cannot be compiled; says which, where and why.
        ValueError: There is no tool.
    """
    rules = RuleBook()
    return rules.text(_any_call(tools, arguments_key, rules))


def tagged_grammar(tools: Sequence[Tool], calls: Calls = Calls()) -> str:
    """The grammar of calls, each between `<tool_call>` and `</tool_call>`, behind the first of these.

    A single call is not ended: it is whole without, and its end takes tokens.

    Raises:
        SchemaRefused: As `call_grammar`.
        ValueError: There is no tool.
    """
    rules = RuleBook()
    call = _any_call(tools, "arguments", rules)
    if calls.most == 1:
        return rules.text(f"{_LINE} {call}")
    ended = f"{_LINE} {call} {_LINE} {literal('</tool_call>')}"
    more = f"{_LINE} {literal('<tool_call>')} {ended}"
    return rules.text(f"{ended} ({more}){{0,{calls.most - 1}}}")


def array_grammar(tools: Sequence[Tool], calls: Calls = Calls()) -> str:
    """The grammar of `[{"name": …, "arguments": {…}, "id": "…"}, …]`; a tokenizer may put a space in front.

    Ids of nine letters and digits may be left out. A list of one call is not ended: the call is whole without.

    Raises:
        SchemaRefused: As `call_grammar`.
        ValueError: There is no tool.
    """
    rules = RuleBook()
    named = rules.add("id", f'"," {SPACE} {json_literal("id")} ":" {SPACE} "\\"" [A-Za-z0-9]{{9}} "\\""')
    call = _any_call(tools, "arguments", rules, behind=f"({named})?")
    if calls.most == 1:
        return rules.text(f'{SPACE} "[" {call}')
    return rules.text(f'{SPACE} "[" {repeated(call, max(1, calls.least), calls.most)} "]"')


def json_start(key: str) -> str:
    """Beginning of an object: its brace and first key."""
    return f'"{{" {json_literal(key)} ":" {SPACE}'


def _any_call(tools: Sequence[Tool], arguments_key: str, rules: RuleBook, behind: str = "") -> str:
    if not tools:
        raise ValueError("a grammar of calls needs a tool")
    check_tools(tools)
    made = []
    for tool in tools:
        arguments = SchemaCompiler(tool.name, tool.parameters, rules, is_exact=tool.is_exact).arguments()
        name, key = json_literal(tool.name), json_literal(arguments_key)
        made.append(rules.add("call", f'{name} "," {SPACE} {key} ":" {SPACE} {arguments}'))
        if rules.n_bytes > MAX_GRAMMAR_BYTES:
            raise SchemaRefused(tool.name, "", "parameters", "the grammar of the tools up to this one is too large")
    # What all calls begin with is written once: llama.cpp follows each beginning by itself.
    end = f'{behind} "}}"'.lstrip()
    return rules.add("calls", f"{json_start('name')} ({choice(made)}) {end}")
