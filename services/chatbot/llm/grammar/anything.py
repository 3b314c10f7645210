"""Values of which a schema says nothing."""

from chatbot.llm.grammar.rules import SPACE, RuleBook, choice, repeated


def anything(rules: RuleBook, levels: int) -> str:
    """The rule of any value, `levels` deep at most."""
    names = ["string", "number", "boolean", "null"]
    if levels:
        inner = anything(rules, levels - 1)
        names.append(rules.add("list", f'"[" {repeated(inner, 0, None)} "]"'))
        names.append(map_of(rules, inner))
    return rules.add("value", choice(names))


def map_of(rules: RuleBook, value: str) -> str:
    """The rule of an object with any keys, whose values follow a rule."""
    entry = rules.add("entry", f'string ":" {SPACE} {value}')
    return rules.add("map", f'"{{" {repeated(entry, 0, None)} "}}"')
