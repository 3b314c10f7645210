"""Grammars of tool calls: what follows them is JSON of the schema, what the schema allows follows them."""

import json
import random
import time
from typing import Any

import jsonschema_rs
import pytest
from chatbot.llm.grammar import Calls, SchemaRefused, Tool, call_grammar, decision_grammar
from chatbot.llm.grammar.tools import selected
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.gbnf import Grammar
from parts.hostile_tools import REFUSED_TOOLS, prop

WEATHER = Tool(
    "weather",
    {
        "type": "object",
        "properties": {
            "place": {"type": "string", "maxLength": 20},
            "unit": {"enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 0},
        },
        "required": ["place"],
    },
)
NOW = Tool("now", {"type": "object", "properties": {}})
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def compact(value: Any, space: str = "") -> str:
    return json.dumps(value, ensure_ascii=False, separators=("," + space, ":" + space))


def arguments(schema: dict[str, Any]) -> Grammar:
    """The grammar of `{"name": "t", "arguments": <schema>}`."""
    return Grammar(call_grammar([Tool("t", schema)]))


def call(value: Any, space: str = "") -> str:
    return compact({"name": "t", "arguments": value}, space)


def accepts(schema: Any, value: Any) -> bool:
    """Whether a value follows the grammar of a schema, as the property `x`."""
    return arguments({"type": "object", "properties": {"x": schema}, "required": ["x"]}).accepts(call({"x": value}))


# ---- single keywords


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string"}, ["", "가 🙂", 'quote " back \\ line \n', "\x01"], [1, None, ["a"]]),
        ({"type": "string", "maxLength": 2}, ["", "가나", "\n\n"], ["abc"]),
        ({"type": "string", "minLength": 2}, ["ab", "abcdef"], ["", "a"]),
        ({"type": "string", "minLength": 1, "maxLength": 500}, ["a", "a" * 500], ["", "a" * 501]),
        ({"type": "string", "maxLength": 501}, ["a" * 600], [1]),  # beyond what is counted: checked afterwards
        ({"type": "integer"}, [0, -1, 10**14], [1.5, "1", True]),
        ({"type": "integer", "minimum": 0}, [0, 7], [-1]),
        ({"type": "number"}, [0, -1.5, 1e22, 12.000001], ["1", None]),
        ({"type": "number", "exclusiveMinimum": 0}, [0.5], [-0.5]),
        ({"type": "boolean"}, [True, False], [0, "true", None]),
        ({"type": "null"}, [None], [0, ""]),
        ({"type": ["string", "null"]}, ["a", None], [1]),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}, {}]),
        ({"enum": ["가", 1, None, "|", '"']}, ["가", 1, None, "|", '"'], ["나", 2, ""]),
        ({"anyOf": [{"type": "integer"}, {"enum": ["x"]}]}, [3, "x"], ["y", 1.5]),
        ({"oneOf": [{"type": "boolean"}, {"type": "null"}], "description": "d"}, [True, None], [1]),
        ({"type": "string", "anyOf": [{"format": "date"}, {"pattern": "^x"}]}, ["anything"], [1]),
        ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3]], [["a"], [1, "a"], {}]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3}, [[None] * 2, [None] * 3], [[]]),
        ({"type": "array", "maxItems": 1}, [[], ["any", ][:1]], [[1, 2]]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [[None] * 9], [[None]]),
        ({"type": "array", "maxItems": 0}, [[]], [[1]]),
        ({}, [1, "a", None, [1, {"a": [True]}], {"a": {"b": {"c": 1}}}], [[[[[[1]]]]]]),  # no deeper than four
        (True, [1, {"k": [1]}], []),
        ({"type": "object"}, [{}, {"any": 1, "thing": [1]}], [1]),
        ({"type": "object", "additionalProperties": False}, [{}], [{"a": 1}]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1, "b": 2}], [{"a": "b"}]),
        ({"minimum": 3}, [5], ["a"]),
        ({"allOf": [{"type": "string"}]}, ["a", 1], []),  # checked afterwards
    ],
)  # fmt: skip
def test_keyword(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not accepts(schema, value)] == []
    assert [value for value in bad if accepts(schema, value)] == []


def test_required_properties_come_first_and_optional_ones_in_order() -> None:
    grammar = Grammar(call_grammar([WEATHER]))

    for given_ in (
        {"place": "서울"},
        {"place": "", "unit": "c"},
        {"place": "a", "days": 3},
        {"place": "a", "unit": "f", "days": 0},
    ):
        assert grammar.accepts(compact({"name": "weather", "arguments": given_}))
        assert grammar.accepts(compact({"name": "weather", "arguments": given_}, " "))
    for given_ in (
        {},
        {"unit": "c"},
        {"unit": "c", "place": "a"},
        {"place": "a", "days": 1, "unit": "c"},
        {"place": "a", "x": 1},
    ):
        assert not grammar.accepts(compact({"name": "weather", "arguments": given_}))


def test_required_name_without_a_schema_takes_any_value() -> None:
    assert arguments({"type": "object", "required": ["x"]}).accepts(call({"x": [1]}))
    assert not arguments({"type": "object", "required": ["x"]}).accepts(call({}))


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "object", "properties": {}}, {"properties": {}}])
def test_tool_without_parameters_takes_an_empty_object_only(schema: dict[str, Any]) -> None:
    assert arguments(schema).accepts(call({}))
    assert not arguments(schema).accepts(call({"a": 1}))


def test_references_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a~1b"}, "b": {"$ref": "#/properties/a"}},
        "$defs": {"a/b": {"type": "array", "items": {"$ref": "#/$defs/n"}}, "n": {"type": "integer"}},
        "required": ["a", "b"],
    }

    assert arguments(schema).accepts(call({"a": [1], "b": []}))
    assert not arguments(schema).accepts(call({"a": ["1"], "b": []}))


# ---- lists of calls


@pytest.mark.parametrize(
    ("calls", "allowed"),
    [(Calls(), {0, 1, 4}), (Calls(1, 4), {1, 4}), (Calls(0, 1), {0, 1}), (Calls(1, 1), {1}), (Calls(2, 3), {2, 3})],
)
def test_decision_has_as_many_calls_as_may_be(calls: Calls, allowed: set[int]) -> None:
    grammar = Grammar(decision_grammar([WEATHER, NOW], calls))
    one = {"name": "now", "arguments": {}}

    assert {n for n in (0, 1, 2, 3, 4, 5) if grammar.accepts(compact({"calls": [one] * n or None}))} >= allowed
    assert not grammar.accepts('{"calls": []}')  # no calls are null: one token tells
    assert not grammar.accepts(compact({"calls": [one] * (calls.most + 1)}))
    assert calls.least == 0 or not grammar.accepts(compact({"calls": [one] * (calls.least - 1) or None}))


def test_arguments_belong_to_their_tool() -> None:
    grammar = Grammar(decision_grammar([WEATHER, NOW]))

    assert grammar.accepts(
        '{"calls": [{"name": "weather", "arguments": {"place": "서울"}}, {"name":"now","arguments":{}}]}'
    )
    assert not grammar.accepts('{"calls":[{"name":"now","arguments":{"place":"서울"}}]}')
    assert not grammar.accepts('{"calls":[{"name":"other","arguments":{}}]}')


def test_llama_has_another_key_for_arguments() -> None:
    assert Grammar(call_grammar([NOW], "parameters")).accepts('{"name":"now","parameters":{}}')


@pytest.mark.parametrize(("least", "most"), [(-1, 1), (2, 1), (0, 0), (0, 5)])
def test_impossible_numbers_of_calls_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match="calls"):
        Calls(least, most)


def test_subset_keeps_the_order_and_names_must_be_given() -> None:
    assert selected([WEATHER, NOW], ["now", "weather"]) == [WEATHER, NOW]
    with pytest.raises(LookupError):
        selected([WEATHER, NOW], ["now", "other"])
    with pytest.raises(ValueError, match="a tool"):
        decision_grammar([])


# ---- refusals


@pytest.mark.parametrize(("schema", "pointer", "keyword"), REFUSED_TOOLS.values(), ids=REFUSED_TOOLS.keys())
def test_refusal_names_tool_pointer_and_keyword(schema: dict[str, Any], pointer: str, keyword: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        call_grammar([NOW, Tool("bad", schema)])

    assert (refused.value.tool, refused.value.pointer, refused.value.keyword) == ("bad", pointer, keyword)
    assert "evil" not in str(refused.value) and "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    ("tools", "named"),
    [
        ([Tool("", {})], ("#1", "name")),
        ([NOW, Tool("a b", {})], ("#2", "name")),
        ([Tool("x" * 65, {})], ("#1", "name")),
        ([NOW, NOW], ("now", "name")),
        ([Tool("t", {}, "d" * 1025)], ("t", "description")),
        ([Tool("t", {"d": "x" * 33_000})], ("t", "parameters")),
        ([Tool(f"t{n}", {"d": "x" * 30_000}) for n in range(4)], ("t3", "parameters")),
        ([Tool(f"t{n}", {}) for n in range(65)], ("#65", "tools")),
        ([Tool("t", {"d": "\ud800"})], ("t", "parameters")),
        ([Tool("t", {"d": float("nan")})], ("t", "parameters")),
    ],
)
def test_too_much_is_refused_before_it_is_compiled(tools: list[Tool], named: tuple[str, str]) -> None:
    with pytest.raises(SchemaRefused) as refused:
        decision_grammar(tools)

    assert (refused.value.tool, refused.value.keyword) == named


def test_references_that_multiply_are_refused_at_once() -> None:
    levels = {f"d{n}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(60)}} for n in range(7)}
    schema = prop({"$ref": "#/$defs/d0"}) | {"$defs": levels | {"d7": {"type": "null"}}}

    with pytest.raises(SchemaRefused, match="unfold to more than"):
        call_grammar([Tool("bomb", schema)])


def test_equal_schemas_are_written_once() -> None:
    one = call_grammar([Tool("t", prop({"type": "string", "maxLength": 9}))])
    many = {f"p{n}": {"type": "string", "maxLength": 9} for n in range(100)}
    hundred = call_grammar([Tool("t", {"type": "object", "properties": many})])

    assert hundred.count("char{0,9}") == one.count("char{0,9}") == 1


def test_largest_tools_are_compiled_within_bounds(figures: Any) -> None:
    properties = {f"property_{n}": {"type": "string", "maxLength": 500, "description": "d" * 60} for n in range(10)}
    tools = [Tool(f"tool_{n}", {"type": "object", "properties": properties}) for n in range(64)]
    began = time.process_time()
    text = decision_grammar(tools)
    figures(tools=64, grammar_bytes=len(text), cpu_ms=round(1000 * (time.process_time() - began), 1))

    Grammar(text)
    assert len(text) < 96 * 1024 * 2


# ---- any schema


def _objects(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def made(properties: dict[str, Any], split: int) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:split],
            "additionalProperties": False,
        }

    return st.builds(made, st.dictionaries(WORDS, values, min_size=1, max_size=4), st.integers(0, 4))


def _arrays(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    counts = st.tuples(st.integers(0, 3), st.integers(0, 3))
    return st.builds(
        lambda items, n: {"type": "array", "items": items, "minItems": n[0], "maxItems": n[0] + n[1]}, values, counts
    )


SCALARS = st.one_of(
    st.builds(
        lambda a, b: {"type": "string", "minLength": a, "maxLength": a + b}, st.integers(0, 3), st.integers(0, 9)
    ),
    st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]),
    st.just({"type": ["integer", "null"]}),
    st.lists(st.one_of(WORDS, st.integers(-9, 9), st.booleans(), st.none()), min_size=1, max_size=5).map(
        lambda values: {"enum": values}
    ),
    WORDS.map(lambda text: {"const": text}),
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        _objects(inner), _arrays(inner), st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(_objects(SCHEMAS), st.integers(0, 2**32))
def test_whatever_follows_the_grammar_is_json_of_the_schema(schema: dict[str, Any], seed: int) -> None:
    grammar, rng = arguments(schema), random.Random(seed)
    validator = jsonschema_rs.Draft202012Validator(schema)

    for _ in range(3):
        text = grammar.made(rng)
        text.encode()
        made = json.loads(text)
        assert made["name"] == "t"
        assert [error.message for error in validator.iter_errors(made["arguments"])] == [], text
        assert grammar.accepts(text)


@settings(max_examples=300)
@given(_objects(SCHEMAS), st.data())
def test_whatever_the_schema_allows_follows_the_grammar(schema: dict[str, Any], data: st.DataObject) -> None:
    value = data.draw(instances(schema))

    assert arguments(schema).accepts(call(value, data.draw(st.sampled_from(["", " "]))))


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema of `SCHEMAS`, with properties in the grammar's order."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return st.one_of(*map(instances, schema["anyOf"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of(*(_instances_of(kind, schema) for kind in kinds))


def _instances_of(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "string":
        characters = st.characters(exclude_categories=["Cs"])
        return st.text(characters, min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 30))
    if kind == "array":
        return st.lists(instances(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
    if kind == "object":
        names = schema["properties"]
        chosen = [(name, name in schema["required"]) for name in names]
        chosen.sort(key=lambda pair: not pair[1])
        fields = [
            st.tuples(st.just(name), instances(names[name]))
            if must
            else st.none() | st.tuples(st.just(name), instances(names[name]))
            for name, must in chosen
        ]
        return st.tuples(*fields).map(lambda pairs: dict(pair for pair in pairs if pair is not None))
    numbers = st.floats(-1e9, 1e9, width=32).map(lambda number: round(number, 3) + 0.0)
    return {
        "integer": st.integers(-(10**15) + 1, 10**15 - 1),
        "number": numbers,
        "boolean": st.booleans(),
        "null": st.none(),
    }[kind]


KEYWORDS = (
    "type", "properties", "items", "enum", "const", "anyOf", "oneOf", "$ref", "required", "minLength", "maxLength",
    "minItems", "maxItems", "additionalProperties", "x",
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYWORDS) | WORDS, inner),
    max_leaves=30,
)


@settings(max_examples=300)
@given(ANYTHING)
def test_any_json_is_compiled_or_refused_by_name(schema: Any) -> None:
    parameters = schema if isinstance(schema, dict) else {"properties": {"x": schema}}
    try:
        text = decision_grammar([Tool("t", parameters)])
    except SchemaRefused as refused:
        assert refused.tool == "t" and refused.keyword
        return

    json.loads(Grammar(text).made(random.Random(1)))


@pytest.mark.parametrize(
    ("one", "keyword"),
    [
        (
            lambda n: {
                "$ref": "#/$defs/d0",
                "$defs": {
                    f"d{d}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{d + 1}"} for m in range(15)}} for d in (0, 1)
                }
                | {"d2": {"type": "null", "title": str(n)}},
            },
            "$ref",
        ),
        (
            lambda n: {
                "properties": {
                    f"p{m}": {"type": "string", "minLength": (m + n * 30) % 250, "maxLength": 500 - (m * 7 + n) % 240}
                    for m in range(30)
                }
            },
            "maxLength",
        ),
        (
            lambda n: {
                "properties": {
                    f"p{m}": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": 500 - n - m},
                        "maxItems": 64 - m,
                    }
                    for m in range(20)
                }
            },
            "maxItems",
        ),
        (
            lambda n: {
                "properties": {
                    f"p{m}": {"type": "integer", "minimum": m * 997 + n, "maximum": 10**14 + m * n} for m in range(30)
                }
            },
            "parameters",
        ),
    ],
    ids=["references", "strings", "lists", "ranges"],
)
def test_tools_that_are_fine_alone_are_refused_where_all_together_are_too_much(
    one: Any, keyword: str, figures: Any
) -> None:
    """Each is small on the wire; together they would hold the compiler, or llama.cpp, for seconds."""
    call_grammar([Tool("t", one(1))])
    began = time.process_time()
    with pytest.raises(SchemaRefused) as refused:
        call_grammar([Tool(f"t{n}", one(n)) for n in range(40)])

    figures(kind=keyword, cpu_ms=round(1000 * (time.process_time() - began), 1))
    assert refused.value.keyword == keyword and refused.value.tool != "t0"
