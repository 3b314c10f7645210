"""Grammars of whole answers: what follows one is always of its schema, and what it cannot keep is refused by name."""

import json
import random
import re
import time
from typing import Any

import jsonschema_rs
import pytest
from chatbot.llm.grammar import KeptGrammars, SchemaRefused, document_grammar, object_grammar
from chatbot.llm.grammar.ranges import LARGEST, between
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.answer_schemas import ANSWER_SCHEMAS
from parts.gbnf import Grammar

REVIEW = {
    "$defs": {"Mood": {"enum": ["good", "bad"], "title": "Mood", "type": "string"}},
    "title": "Review",
    "description": "made by pydantic",
    "type": "object",
    "properties": {
        "stars": {"maximum": 5, "minimum": 1, "title": "Stars", "type": "integer"},
        "mood": {"$ref": "#/$defs/Mood", "description": "how it sounds"},
        "note": {"anyOf": [{"type": "string", "maxLength": 20}, {"type": "null"}], "default": None},
    },
    "required": ["stars", "mood", "note"],
    "additionalProperties": False,
}


def prop(schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def test_schema_of_a_pydantic_model_is_kept() -> None:
    grammar = Grammar(document_grammar(REVIEW))

    assert grammar.accepts('{"stars":5, "mood":"good", "note":null}')
    for wrong in ('{"stars":6,"mood":"good","note":null}', '{"stars":5,"mood":"fine","note":null}', "{}", "null"):
        assert not grammar.accepts(wrong)


@pytest.mark.parametrize("text", ["{}", '{"a":[1,{"b":null}]}', '{"":"", "x":{"y":{"z":[[[-1.5e9]]]}}}'])
def test_any_object_is_any_object(text: str) -> None:
    assert Grammar(object_grammar()).accepts(text)


@pytest.mark.parametrize("text", ["[]", '"a"', "1", "", "{", '{"a":1}}', "{1:2}"])
def test_any_object_is_nothing_else(text: str) -> None:
    assert not Grammar(object_grammar()).accepts(text)


@settings(max_examples=200)
@given(ANSWER_SCHEMAS, st.integers(0, 2**32))
def test_whatever_follows_the_grammar_is_of_the_schema(schema: dict[str, Any], seed: int) -> None:
    grammar, rng = Grammar(document_grammar(schema)), random.Random(seed)
    validator = jsonschema_rs.validator_for(schema)

    for _ in range(5):
        validator.validate(json.loads(grammar.made(rng)))


@settings(max_examples=300)
@given(st.integers(-5000, 5000), st.integers(0, 3000))
def test_a_range_holds_its_numbers_and_no_others(low: int, width: int) -> None:
    # GBNF of digits alone is a regular expression, but for quotes and spaces.
    pattern = re.compile(between(low, low + width).replace('"', "").replace(" ", ""))
    numbers = {number for number in range(low - 1100, low + width + 1100) if pattern.fullmatch(str(number))}

    assert numbers == set(range(low, low + width + 1))
    assert not pattern.fullmatch("-0") and not pattern.fullmatch("00")


def test_the_widest_range_is_a_few_rules() -> None:
    assert len(between(-LARGEST + 1, LARGEST - 1)) < 4000
    assert Grammar(document_grammar({"type": "integer", "maximum": 1e300, "minimum": -1e300})).accepts("-7")


REFUSED: dict[str, tuple[Any, str, str]] = {
    **{
        f"{keyword} is not kept": (prop({"type": "string", keyword: value}), "/properties/x", keyword)
        for keyword, value in {
            "pattern": "^(a+)+$",
            "format": "date",
            "not": {},
            "allOf": [{}],
            "oneOf": [{}],
            "if": {},
            "multipleOf": 2,
            "patternProperties": {},
            "contains": {},
            "uniqueItems": True,
            "$dynamicRef": "#x",
            "$id": "https://evil.test/",
        }.items()
    },
    "range of fractions": (prop({"type": "number", "maximum": 1}), "/properties/x", "maximum"),
    "range without a type": (prop({"minimum": 1}), "/properties/x", "minimum"),
    "range of nothing": (prop({"type": "integer", "minimum": 2, "maximum": 1}), "/properties/x", "maximum"),
    "bound is a text": (prop({"type": "integer", "minimum": "2"}), "/properties/x", "minimum"),
    "long text": (prop({"type": "string", "maxLength": 501}), "/properties/x", "maxLength"),
    "long least text": (prop({"type": "string", "minLength": 501}), "/properties/x", "minLength"),
    "long list": (prop({"type": "array", "maxItems": 65}), "/properties/x", "maxItems"),
    "beside a reference": (
        {"$defs": {"a": {"type": "string"}}, **prop({"$ref": "#/$defs/a", "maxLength": 3})},
        "/properties/x",
        "maxLength",
    ),
    "beside a choice": (prop({"anyOf": [{}], "type": "object"}), "/properties/x", "type"),
    "enum beside const": (prop({"const": 1, "enum": [2]}), "/properties/x", "enum"),
    "enum of another type": (prop({"type": "string", "enum": ["a", 1]}), "/properties/x", "enum"),
    "true is no integer": (prop({"type": "integer", "const": True}), "/properties/x", "const"),
    "required and forbidden": (
        {"type": "object", "required": ["y"], "properties": {}, "additionalProperties": False},
        "",
        "required",
    ),
    "behind a reference": ({"$ref": "#/$defs/a", "$defs": {"a": {"pattern": "a"}}}, "/$ref", "pattern"),
    "remote reference": (prop({"$ref": "https://evil.test/s.json"}), "/properties/x", "$ref"),
    "circle": ({"$ref": "#"}, "/$ref" * 8, "$ref"),
    "too deep": (nested(13), "/items" * 13, "schema"),
    "too many values": (
        {"type": "array", "items": {"anyOf": [{"enum": list(range(n, n + 250))} for n in range(0, 750, 250)]}},
        "/items/anyOf/2",
        "enum",
    ),
    "too many options": (
        {"anyOf": [{"type": "string", "maxLength": n % 500} for n in range(513)]}, "", "anyOf"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "pointer", "keyword"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_kept_is_refused_by_pointer_and_keyword(schema: Any, pointer: str, keyword: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        document_grammar(schema)

    assert (refused.value.pointer, refused.value.keyword) == (pointer, keyword)
    assert "evil" not in refused.value.problem


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "t", "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://a.test/", "x-a": 1},
        {"type": "array", "uniqueItems": False, "items": {"type": "string", "examples": ["a"], "default": "b"}},
        {"type": ["string", "null"], "enum": ["a", None]},
        {"type": "number", "enum": [1, 2.5]},
    ],
)
def test_what_says_nothing_about_values_is_taken(schema: Any) -> None:
    assert document_grammar(schema)


@given(
    st.lists(st.text('ab\\"가', max_size=30) | st.integers(0, 300), min_size=1, max_size=40), st.text("ab", max_size=5)
)
def test_an_enum_holds_its_values_and_no_others(values: list[Any], other: str) -> None:
    grammar = Grammar(document_grammar({"enum": values}))

    assert all(grammar.accepts(json.dumps(value, ensure_ascii=False)) for value in values)
    assert grammar.accepts(json.dumps(other)) == (other in values)


def test_what_values_begin_with_is_written_once() -> None:
    text = document_grammar({"enum": [f"department-{n}" for n in range(200)]})

    assert text.count("department") == 1


def test_a_schema_is_compiled_once() -> None:
    grammars = KeptGrammars()
    text = json.dumps(REVIEW)

    assert grammars.document(text) is grammars.document(text)
    assert grammars.document("") == object_grammar()
    for number in range(100):
        grammars.document(json.dumps({"const": number}))
    assert len(grammars._kept) == 32


def test_the_costliest_schemas_take_milliseconds(figures: Any) -> None:
    levels = {f"d{n}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(60)}} for n in range(7)}
    wide = {f"p{n}": {"type": "string", "minLength": n, "maxLength": 500 - n} for n in range(128)}
    schemas = {
        "bomb": {"$ref": "#/$defs/d0", "$defs": levels | {"d7": {"type": "null"}}},
        "wide": {"type": "object", "properties": wide},
        "enums": {"anyOf": [{"enum": ["a" * n + f"{m}" for n in range(240)]} for m in range(2)]},
    }
    for name, schema in schemas.items():
        began = time.process_time()
        try:
            size = len(document_grammar(schema))
        except SchemaRefused:
            size = 0
        figures(schema=name, grammar_bytes=size, cpu_ms=round(1000 * (time.process_time() - began), 1))
        assert size < 192 * 1024
