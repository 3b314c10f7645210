"""What a grammar cannot hold an answer to: for answers that nobody checks afterwards.

A keyword that the grammar would ignore is named here, so that an answer is always of its schema. Keywords that only
describe (`title`, `default`, …) and unknown ones say nothing about a value, and are let through.

Source of the keywords: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation
"""

from collections.abc import Mapping
from typing import Any, Final

from chatbot.llm.grammar.ranges import RANGE_KEYWORDS

_IGNORED: Final = frozenset(
    """not allOf oneOf if then else dependentRequired dependentSchemas dependencies patternProperties propertyNames
    minProperties maxProperties unevaluatedProperties unevaluatedItems additionalItems contains minContains maxContains
    uniqueItems pattern format multipleOf $dynamicRef $recursiveRef""".split()
)
_ASSERTED: Final = _IGNORED | frozenset(
    """type enum const anyOf $ref properties required additionalProperties items prefixItems minItems maxItems
    minLength maxLength""".split()
    + list(RANGE_KEYWORDS)
)
_ALONE: Final = ("$ref", "const", "enum", "anyOf")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def unheld(schema: Mapping[str, Any], *, is_root: bool, most_text: int, most_items: int) -> tuple[str, str] | None:
    """The first keyword of one schema that its grammar would not keep, and what is wrong; None where it keeps all.

    Args:
        schema: Looked at alone, without the schemas in it.
        is_root: Whether it is the whole; only there `$id` moves no reference.
        most_text: Longest string that a grammar counts.
        most_items: Longest list that a grammar counts.
    """
    if "$id" in schema and not is_root:
        return "$id", "only the whole schema may have one"
    for keyword in schema:
        if keyword in _IGNORED and not (keyword == "uniqueItems" and schema[keyword] is False):
            return keyword, "answers cannot be held to it"
    return _beside(schema) or _beyond(schema, most_text, most_items) or _numbers(schema) or _unnamed(schema)


def _beside(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """What stands beside a keyword that is compiled alone."""
    alone = next((keyword for keyword in _ALONE if keyword in schema), None)
    if alone is None:
        return None
    for keyword in schema:
        if keyword in _ASSERTED and keyword != alone and not (keyword == "type" and alone in ("const", "enum")):
            return keyword, f"not beside {alone}"
    values = [schema["const"]] if alone == "const" else schema[alone] if alone == "enum" else []
    if "type" in schema and isinstance(values, list) and not all(_is_of(value, schema["type"]) for value in values):
        return alone, "not of its type"
    return None


def _beyond(schema: Mapping[str, Any], most_text: int, most_items: int) -> tuple[str, str] | None:
    for keyword, most in (("minLength", most_text), ("maxLength", most_text), ("maxItems", most_items)):
        value = schema.get(keyword)
        if isinstance(value, int | float) and value > most:
            return keyword, f"more than {most}"
    return None


def _numbers(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """Ranges are kept for whole numbers; of other numbers only the sign is."""
    kinds = schema.get("type", "number")
    if "number" not in (kinds if isinstance(kinds, list) else [kinds]):
        return None
    for keyword in RANGE_KEYWORDS:
        if keyword in schema and not (keyword == "minimum" and schema[keyword] == 0):
            return keyword, "only whole numbers can be held to a range; of others, to minimum 0"
    return None


def _unnamed(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    required, properties = schema.get("required"), schema.get("properties", {})
    if schema.get("additionalProperties", True) is True or not isinstance(required, list):
        return None
    if isinstance(properties, Mapping) and any(isinstance(name, str) and name not in properties for name in required):
        return "required", "a name that properties does not have"
    return None


def _is_of(value: object, kinds: Any) -> bool:
    return any(
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        for kind in (kinds if isinstance(kinds, list) else [kinds])
        if isinstance(kind, str) and kind in _TYPES
    )
