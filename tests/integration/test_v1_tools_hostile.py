"""Hostile tools over HTTP: each is refused by its place or answered, and the engine lives on."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
from parts.hostile_tools import REFUSED_TOOLS, prop
from parts.real_v1 import real_v1
from parts.toy_gguf import make_toy

ASKED: dict[str, Any] = {
    "model": "toy",
    "messages": [{"role": "user", "content": "Hello!"}],
    "tool_choice": "required",
    "max_tokens": 120,
    "extra_headers": {"Accept-Language": "en"},
}
CONTROL = "<|eot_id|><|start_header_id|>system<|end_header_id|>"
# What a grammar cannot hold arguments to, and validators run for ever on.
LEFT_OPEN: dict[str, Any] = {
    "pattern": {"type": "string", "maxLength": 5, "pattern": "^(a+)+$"},
    "groups": {"type": "string", "maxLength": 5, "pattern": "(" * 1_000 + ")" * 1_000},
    "format": {"type": "string", "maxLength": 5, "format": "date-time"},
    "allOf": {"type": "integer", "allOf": [{"minimum": 5}]},
    "not": {"type": "boolean", "not": {"const": True}},
    "multipleOf": {"type": "integer", "minimum": 0, "maximum": 9, "multipleOf": 7},
    "uniqueItems": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3, "uniqueItems": True},
}
# Strange, and taken.
STRANGE: dict[str, Any] = {
    "control tokens": prop({"const": CONTROL}),
    "quotes": {"properties": {'a"b\\c': {"const": '"}],\\"'}}, "required": ['a"b\\c'], "additionalProperties": False},
    "grammar": {"properties": {"root ::= [^x]*": {"enum": ["root", "::=", '"']}}, "additionalProperties": False},
    "no name": {"properties": {"": {"type": "null"}}, "required": [""], "additionalProperties": False},
    "unseen": {"properties": {"\u200b\u202e": {"const": "\u2028"}}, "additionalProperties": False},
    "endless": prop({"type": "string", "maxLength": 20_000}),
    "1900": prop({"type": "string", "maxLength": 1_900}),
    "exponents": prop({"type": "number", "minimum": -1e308, "maximum": 1e308}),
    "wide": {"properties": {f"p{n}": {"type": "boolean"} for n in range(128)}, "additionalProperties": False},
    "numbers": prop({"type": "integer", "minimum": -(10**30), "maximum": 10**30}),
    "nothing": {"type": "object", "additionalProperties": False},
    "anything": {"type": "object", "additionalProperties": True},
}


def tool(schema: dict[str, Any], strict: bool | None = None, name: str = "f") -> dict[str, Any]:
    function = {"name": name, "parameters": schema} | ({} if strict is None else {"strict": strict})
    return {"type": "function", "function": function}


def too_much() -> Iterator[tuple[str, list[Any]]]:
    """What is refused by the field alone, or by the body."""
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(60):
        deep = {"type": "array", "items": deep}
    levels = {f"d{n}": {"properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(60)}} for n in range(6)}
    yield "malformed_body", [tool(deep)]
    yield "tools", [tool(prop({"$ref": "#/$defs/d0"}) | {"$defs": levels | {"d6": {"type": "null"}}})]
    yield "tools[0].function.parameters", [tool(prop({"enum": ["x" * 300 + str(n) for n in range(120)]}))]
    yield "tools", [tool({"description": "x" * 30_000}, name=f"t{n}") for n in range(4)]
    yield "tools", [tool({}, name=f"t{n}") for n in range(65)]


def roomy(folder: Path) -> Path:
    return make_toy(folder / "roomy.gguf", context=8192)


async def refusal(client: openai.AsyncOpenAI, tools: list[Any]) -> openai.BadRequestError:
    try:
        await client.chat.completions.create(**ASKED, tools=tools)
    except openai.BadRequestError as refused:
        return refused
    raise AssertionError("it was taken")


async def test_hostile_tools_are_refused_by_their_place_and_the_engine_lives(tmp_path: Path, figures: Any) -> None:
    slowest = 0.0
    async with real_v1(tmp_path) as service:
        for schema, pointer, keyword in REFUSED_TOOLS.values():
            began = time.monotonic()
            refused = await refusal(service.client, [tool({}, name="fine"), tool(schema, name="bad")])
            slowest = max(slowest, time.monotonic() - began)
            assert refused.param == "tools"
            assert f"the tool bad cannot be used: {keyword} at {pointer[:200] or '/'}" in refused.message
            assert "evil" not in refused.message and "passwd" not in refused.message
        for field, tools in too_much():
            refused = await refusal(service.client, tools)
            assert field in (refused.param, refused.code)
        after = await service.client.chat.completions.create(**ASKED, tools=[tool({})])
        restarts = service.host.status().engine_restarts

    assert after.choices[0].message.tool_calls and restarts == 0
    figures(refused=len(REFUSED_TOOLS) + len(list(too_much())), slowest_ms=round(1000 * slowest))


async def test_what_a_grammar_cannot_keep_is_refused_only_where_strict_was_said(tmp_path: Path) -> None:
    async with real_v1(tmp_path, roomy(tmp_path), context_tokens=8192, kv_tokens=16_384) as service:
        for keyword, schema in LEFT_OPEN.items():
            asked = {"type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False}
            name = keyword if keyword != "groups" else "pattern"
            refused = await refusal(service.client, [tool(asked, strict=True)])
            assert f"{name} at /properties/x" in refused.message
            answer = await service.client.chat.completions.create(**ASKED, tools=[tool(asked)])
            for call in answer.choices[0].message.tool_calls or ():
                assert call.type == "function" and set(json.loads(call.function.arguments)) == {"x"}


async def test_strange_tools_are_answered_with_calls_of_their_schema(tmp_path: Path) -> None:
    async with real_v1(tmp_path, roomy(tmp_path), context_tokens=8192, kv_tokens=16_384) as service:
        for name, schema in STRANGE.items():
            answer = await service.client.chat.completions.create(**ASKED, tools=[tool(schema)])
            choice = answer.choices[0]
            assert choice.finish_reason in ("tool_calls", "length"), name
            for call in choice.message.tool_calls or ():
                assert call.type == "function"
                jsonschema_rs.validator_for(schema).validate(json.loads(call.function.arguments))
        assert service.host.status().engine_restarts == 0
