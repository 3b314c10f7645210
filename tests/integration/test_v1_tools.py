"""Tools on `/v1` with a real engine of random weights: calls are always valid, and the choice is always obeyed."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
from openai.types.chat import ChatCompletion
from parts.real_v1 import real_v1
from parts.toy_gguf import make_slow_toy
from parts.waiting import until
from pydantic import BaseModel, Field

HELLO: list[Any] = [{"role": "user", "content": "서울 날씨 어때요?"}]
WILD: dict[str, Any] = {"model": "toy", "messages": HELLO, "temperature": 1.5, "top_p": 1.0, "max_tokens": 400}
SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "maxLength": 8},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
            "unit": {"enum": ["c", "f"]},
        },
        "required": ["place"],
        "additionalProperties": False,
    },
    "now": {},
    "book": {
        "type": "object",
        "properties": {"seats": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}},
        "required": ["seats"],
        "additionalProperties": False,
    },
}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


TOOLS: list[Any] = [function(name, parameters=schema) for name, schema in SCHEMAS.items()]


def called(answer: ChatCompletion) -> list[tuple[str, str]]:
    """Names and arguments of the calls in an answer; each is of its schema, and has its own id."""
    calls = [call for call in answer.choices[0].message.tool_calls or () if call.type == "function"]
    for call in calls:
        arguments = json.loads(call.function.arguments)
        jsonschema_rs.validator_for(SCHEMAS[call.function.name]).validate(arguments)
        assert isinstance(arguments, dict)
    assert len({call.id for call in calls}) == len(calls)
    assert answer.choices[0].finish_reason == ("tool_calls" if calls else "stop") or is_cut(answer)
    return [(call.function.name, call.function.arguments) for call in calls]


def is_cut(answer: ChatCompletion) -> bool:
    return answer.choices[0].finish_reason == "length"


async def ask(client: openai.AsyncOpenAI, number: int, **change: Any) -> ChatCompletion:
    question = [{"role": "user", "content": f"{HELLO[0]['content']} {number}"}]
    answer: ChatCompletion = await client.chat.completions.create(
        **WILD | {"messages": question, "seed": number, "tools": TOOLS} | change
    )
    return answer


async def test_tool_choice_is_obeyed_by_a_model_of_random_weights(tmp_path: Path, scale: Any, figures: Any) -> None:
    some = {"mode": "required", "tools": [function("now"), function("book")]}
    choices: Mapping[str, Any] = {
        "none": "none",
        "required": "required",
        "named": function("book"),
        "some": {"type": "allowed_tools", "allowed_tools": some},
    }
    seen: dict[str, list[list[str]]] = {name: [] for name in choices}
    async with real_v1(tmp_path, context_tokens=2048, kv_tokens=8192) as service:
        for number in range(scale(4, 50)):
            answers = await asyncio.gather(
                *(ask(service.client, number, tool_choice=choice) for choice in choices.values())
            )
            for name, answer in zip(choices, answers, strict=True):
                names = [one for one, _ in called(answer)]
                assert names or name == "none" or is_cut(answer)
                seen[name].append(names)

    assert all(names == [] for names in seen["none"])
    assert all(1 <= len(names) <= 4 for names in seen["required"])
    assert all(names == ["book"] for names in seen["named"])
    assert all(names and set(names) <= {"now", "book"} for names in seen["some"])
    figures(asked=sum(map(len, seen.values())), obeyed="all")


async def test_parallel_calls_can_be_switched_off(tmp_path: Path) -> None:
    async with real_v1(tmp_path) as service:
        answers = [
            await ask(service.client, number, tool_choice="required", parallel_tool_calls=False) for number in range(3)
        ]

    assert [len(called(answer)) for answer in answers] == [1, 1, 1]


async def test_with_auto_an_answer_is_text_or_calls(tmp_path: Path) -> None:
    async with real_v1(tmp_path) as service:
        for number in range(3):
            answer = await ask(service.client, number, max_tokens=60)
            calls, text = called(answer), answer.choices[0].message.content
            assert bool(calls) != bool(text) or is_cut(answer)
            assert answer.usage and answer.usage.completion_tokens > 0


async def test_stops_and_formats_are_of_the_answer_alone(tmp_path: Path) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1, 2]}}}
    both: dict[str, Any] = {"stop": ["}", "{", "1", "2"], "response_format": wanted}
    async with real_v1(tmp_path) as service:
        calling = await ask(service.client, 1, tool_choice=function("weather"), **both)
        stopped = await ask(service.client, 1, tool_choice="none", **both)
        written = await ask(service.client, 1, tool_choice="none", response_format=wanted)

    assert [name for name, _ in called(calling)] == ["weather"]
    assert stopped.choices[0].message.content == ""
    assert written.choices[0].message.content in ("1", "2")


async def test_streamed_and_plain_calls_are_the_same_bytes(tmp_path: Path) -> None:
    # Equal prompts may differ in llama.cpp's sums from run to run: so the only call that the schema has.
    only = {"const": {"인사": ["안녕 🙂", 'quote " back \\ line \n', None, -1.5], "<|eot_id|>": 1e-7}}
    tool = function("f", parameters={"type": "object", "properties": {"x": only}, "required": ["x"]})
    asked = WILD | {"tools": [tool], "tool_choice": function("f"), "max_tokens": 600}
    async with real_v1(tmp_path) as service:
        whole = (await service.client.chat.completions.create(**asked)).choices[0].message.tool_calls
        async with service.client.chat.completions.stream(**asked) as stream:
            streamed = (await stream.get_final_completion()).choices[0].message.tool_calls

    said = {call.function.arguments.replace(" ", "") for each in (whole, streamed) for call in each or ()}
    assert whole and streamed and len(whole) == len(streamed) == 1
    assert said == {json.dumps({"x": only["const"]}, ensure_ascii=False, separators=(",", ":")).replace(" ", "")}


async def test_a_conversation_goes_on_with_what_the_tool_said(tmp_path: Path) -> None:
    async with real_v1(tmp_path) as service:
        first = await ask(service.client, 1, tool_choice=function("weather"))
        message = first.choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "맑음"}'} for call in message.tool_calls or ()
        ]
        said: list[Any] = [*HELLO, message.model_dump(exclude_none=True), *results]
        with_tools = await service.client.chat.completions.create(
            **WILD | {"messages": said, "max_tokens": 20}, tools=TOOLS, tool_choice="none"
        )
        without = await service.client.chat.completions.create(**WILD | {"messages": said, "max_tokens": 20})

    assert with_tools.usage and without.usage and len(results) == 1
    assert with_tools.choices[0].message.tool_calls is None
    assert with_tools.usage.prompt_tokens == without.usage.prompt_tokens > 60


async def test_a_call_that_was_cut_is_not_told(tmp_path: Path) -> None:
    endless = function("f", parameters={"type": "object", "properties": {"x": {"const": "x" * 400}}, "required": ["x"]})
    asked = WILD | {"tools": [endless], "tool_choice": "required", "max_tokens": 30}
    async with real_v1(tmp_path) as service:
        whole = await service.client.chat.completions.create(**asked)
        async with service.client.chat.completions.stream(
            **asked | {"stream_options": {"include_usage": True}}
        ) as stream:
            chunks = [event.chunk async for event in stream if event.type == "chunk"]

    assert (whole.choices[0].finish_reason, whole.choices[0].message.tool_calls) == ("length", None)
    assert whole.choices[0].message.content == ""
    assert [choice.delta.tool_calls for chunk in chunks for choice in chunk.choices] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 30


async def test_the_client_checks_arguments_by_a_pydantic_model(tmp_path: Path) -> None:
    class Trip(BaseModel):
        """Plan a trip."""

        place: str = Field(max_length=6)
        nights: int = Field(ge=1, le=9)

    async with real_v1(tmp_path) as service:
        answer = await service.client.chat.completions.parse(
            **WILD, tools=[openai.pydantic_function_tool(Trip)], tool_choice="required"
        )

    calls = answer.choices[0].message.tool_calls
    assert calls and isinstance(calls[0].function.parsed_arguments, Trip)


async def test_both_generations_are_one_place_and_a_client_that_leaves_frees_it(tmp_path: Path) -> None:
    endless = function("f", parameters={"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]})
    asked = WILD | {"tools": [endless], "max_tokens": 1500}
    model = make_slow_toy(tmp_path / "slow.gguf", endless=True)
    async with real_v1(tmp_path, model, context_tokens=2048, kv_tokens=8192) as service:

        def active() -> float:
            return service.host.stats().get("active", 0.0)

        for choice in ("required", "none"):  # in the decision, and in the answer
            running = asyncio.create_task(service.client.chat.completions.create(**asked, tool_choice=choice))
            await until(lambda: active() == 1, 60)
            running.cancel()
            await until(lambda: active() == 0, 60)
            with pytest.raises(asyncio.CancelledError):
                await running


@pytest.mark.parametrize("choice", ["required", "none"], ids=["calls", "answer"])
async def test_an_engine_that_dies_in_calls_or_an_answer_costs_the_caller_nothing(tmp_path: Path, choice: str) -> None:
    asked = WILD | {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 60}
    async with real_v1(tmp_path) as service:
        child = service.host.child()
        assert child is not None
        running = asyncio.create_task(service.client.chat.completions.create(**asked))
        while not child._streams:
            await asyncio.sleep(0)
            if running.done():  # it was too quick to be hit
                running = asyncio.create_task(service.client.chat.completions.create(**asked))
        os.kill(child.pid, signal.SIGKILL)
        answer = await running
        await until(lambda: service.host.status().engine_restarts == 1, 60)

    assert bool(called(answer)) == (choice == "required") or is_cut(answer)
