"""Tools through the OpenAI backend: sent as they came, and calls understood however a server writes them."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from chatbot.domain.chat import Message
from chatbot.domain.errors import InvalidInput
from chatbot.domain.generation import Finished, FinishReason, GenerationRequest, TextPiece
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions
from parts import openai_stub as stub_server
from parts.openai_dialogue import request
from parts.openai_stub import Behaviour, OpenAIStub, Talk, openai_stub

WEATHER = ToolDefinition("weather", "Weather", '{"type":"object","properties":{"place":{"format":"x"}}}', False)
NOW = ToolDefinition("now")
SENT: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather",
            "parameters": json.loads(WEATHER.parameters),
            "strict": False,
        },
    },
    {"type": "function", "function": {"name": "now"}},
]
BOTH = [("a", "weather", '{"place":"서울"}'), ("b", "now", "{}")]


@pytest.fixture
async def stub() -> AsyncIterator[OpenAIStub]:
    async with openai_stub() as running:
        yield running


@pytest.fixture
async def generator(stub: OpenAIStub) -> AsyncIterator[OpenAIGenerator]:
    made = OpenAIGenerator(OpenAIOptions(stub.base_url, "stub", timeout_seconds=5))
    yield made
    await made.close()


def asking(**use: Any) -> GenerationRequest:
    return replace(request(), tools=ToolUse((WEATHER, NOW), **use))


async def told(generator: OpenAIGenerator, asked: GenerationRequest) -> tuple[list[ToolCall], str, FinishReason]:
    events = [event async for event in generator.generate(asked)]
    assert isinstance(events[-1], Finished)
    text = "".join(event.text for event in events if isinstance(event, TextPiece))
    return [event for event in events if isinstance(event, ToolCall)], text, events[-1].reason


def piece(index: Any, **said: Any) -> dict[str, Any]:
    function = {name: said[name] for name in ("name", "arguments") if name in said}
    return {"index": index, "id": said.get("id"), "type": "function", "function": function}


def calling(*pieces: dict[str, Any], finish: str | None = "tool_calls", text: str = "") -> Behaviour:
    """A server that streams these pieces of calls, or has them in one message."""

    async def answer(talk: Talk) -> None:
        if not talk.asked.body.get("stream"):
            message = {"role": "assistant", "content": text or None, "tool_calls": list(pieces)}
            choices = [{"index": 0, "message": message, "finish_reason": finish}]
            await talk.json(
                200, {"id": "c", "object": "chat.completion", "choices": choices, "created": 1, "model": "m"}
            )
            return
        await talk.open_stream()
        if text:
            await talk.event(stub_server.delta(text))
        for each in pieces:
            chunk = stub_server.delta(None)
            chunk["choices"][0]["delta"] = {"tool_calls": [each]}
            await talk.event(chunk)
        await talk.event(stub_server.delta(None, finish))
        await talk.chunk(b"data: [DONE]\n\n")
        await talk.send(b"0\r\n\r\n")

    return answer


@pytest.mark.parametrize(
    ("use", "tools", "choice", "parallel"),
    [
        ({}, SENT, "auto", None),
        ({"must_call": True}, SENT, "required", None),
        ({"is_parallel": False}, SENT, "auto", False),
        ({"must_call": True, "allowed": ("now",), "is_parallel": False}, SENT[1:], {"name": "now"}, False),
        ({"allowed": ("now",)}, SENT[1:], "auto", None),
    ],
)
async def test_tools_are_sent_as_they_came(
    stub: OpenAIStub, generator: OpenAIGenerator, use: dict[str, Any], tools: Any, choice: Any, parallel: bool | None
) -> None:
    await told(generator, asking(**use))

    body = stub.calls[0].body
    named = {"type": "function", "function": choice}
    assert body["tools"] == tools
    assert body["tool_choice"] == (named if isinstance(choice, dict) else choice)
    assert body.get("parallel_tool_calls") is parallel


async def test_calls_and_results_are_sent_as_messages(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    rounds = (
        Message("assistant", "", (ToolCall("a", "weather", "{}"),)),
        Message("tool", "맑음", call_id="a"),
    )
    asked = asking()
    await told(generator, replace(asked, dialogue=replace(asked.dialogue, rounds=rounds)))

    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert stub.calls[0].body["messages"][-2:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "맑음", "tool_call_id": "a"},
    ]


WAYS: dict[str, list[dict[str, Any]]] = {
    "as the API says": [
        piece(0, id="a", name="weather", arguments=""),
        piece(0, arguments='{"place":'),
        piece(0, arguments='"서울"}'),
        piece(1, id="b", name="now", arguments="{}"),
    ],
    "all under one index": [
        piece(0, id="a", name="weather", arguments='{"place":"서울"}'),
        piece(0, id="b", name="now", arguments=""),
    ],
    "interleaved": [
        piece(0, id="a", name="weather", arguments='{"place":'),
        piece(1, id="b", name="now"),
        piece(0, arguments='"서울"}'),
    ],
    "arguments null or an object": [
        piece(0, id="a", name="weather", arguments={"place": "서울"}),
        piece(1, id="b", name="now", arguments=None),
    ],
}


@pytest.mark.parametrize("way", WAYS)
async def test_calls_are_understood_however_they_are_written(
    stub: OpenAIStub, generator: OpenAIGenerator, way: str
) -> None:
    stub.then(calling(*WAYS[way], text="볼게요"))

    calls, text, reason = await told(generator, asking())

    assert [(call.id, call.name, call.arguments) for call in calls] == BOTH
    assert (text, reason) == ("볼게요", FinishReason.TOOL_CALLS)


async def test_a_whole_answer_tells_the_same_calls(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    whole = calling(*(piece(None, id=call_id, name=name, arguments=said) for call_id, name, said in BOTH))
    stub.then(stub_server.cut_before_text, whole)  # a stream that breaks is asked again without one

    calls, _, reason = await told(generator, asking())

    assert [(call.id, call.name, call.arguments) for call in calls] == BOTH
    assert reason is FinishReason.TOOL_CALLS


async def test_an_id_that_never_comes_is_made(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(calling(piece(0, name="now"), piece(1, name="now"), finish="stop"))

    calls, _, reason = await told(generator, asking())

    assert len({call.id for call in calls}) == 2 and all(call.id for call in calls)
    assert reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(("last", "count"), [('{"place":"서', 1), ('{"place":"서울"}', 2), ("", 1)])
async def test_a_call_that_was_cut_is_not_told(
    stub: OpenAIStub, generator: OpenAIGenerator, last: str, count: int
) -> None:
    stub.then(calling(piece(0, id="b", name="now"), piece(1, id="a", name="weather", arguments=last), finish="length"))

    calls, _, reason = await told(generator, asking())

    assert len(calls) == count
    assert reason is FinishReason.LENGTH


async def test_one_call_is_told_where_only_one_may_be_made(stub: OpenAIStub, generator: OpenAIGenerator) -> None:
    stub.then(stub_server.knows_no("parallel_tool_calls"), calling(*WAYS["as the API says"]))

    calls, _, _ = await told(generator, asking(is_parallel=False))

    assert [call.name for call in calls] == ["weather"]
    assert ["parallel_tool_calls" in asked.body for asked in stub.calls] == [True, False]


@pytest.mark.parametrize(("named", "field"), [("tools", "tools"), ("tool_choice", "tool_choice")])
async def test_a_server_without_tools_is_told_to_the_caller(
    stub: OpenAIStub, generator: OpenAIGenerator, named: str, field: str
) -> None:
    stub.then(stub_server.knows_no(named))

    with pytest.raises(InvalidInput) as refused:
        await told(generator, asking())

    assert (refused.value.field, refused.value.problem) == (field, "not_supported_remotely")


@pytest.mark.parametrize("strange", [5, "x", [5], [{"function": 7}], [{"index": "0", "function": {"name": ["f"]}}]])
async def test_nonsense_instead_of_calls_is_no_call(stub: OpenAIStub, generator: OpenAIGenerator, strange: Any) -> None:
    async def answer(talk: Talk) -> None:
        await talk.open_stream()
        chunk = stub_server.delta("x", "stop")
        chunk["choices"][0]["delta"]["tool_calls"] = strange
        await talk.event(chunk)
        await talk.send(b"0\r\n\r\n")

    stub.then(answer)

    assert await told(generator, asking()) == ([], "x", FinishReason.STOP)
