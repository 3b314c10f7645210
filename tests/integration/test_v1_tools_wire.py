"""Calls of tools on the wire of `/v1`: what the official openai client and one that reads deltas by hand get."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from chatbot.domain.generation import Backend
from chatbot.domain.tools import ToolCall, ToolUse
from parts.http_service import Service, ServiceOptions, running_service
from parts.stub_generator import StubGenerator

CALLS = (ToolCall("call_7f3a", "weather", '{"place":"서울"}'), ToolCall("call_91c0", "current_time"))
TOOLS: list[Any] = [{"type": "function", "function": {"name": call.name}} for call in CALLS]
ASKED: dict[str, Any] = {"model": "stub", "messages": [{"role": "user", "content": "서울 날씨?"}], "tools": TOOLS}


def client_of(service: Service) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


async def chunks(service: Service, **change: Any) -> list[dict[str, Any]]:
    async with service.client() as client:
        answer = await client.post("/v1/chat/completions", json=ASKED | {"stream": True} | change)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_a_stream_tells_each_call_with_its_own_index_and_id(tmp_path: Path) -> None:
    async with running_service(tmp_path, ServiceOptions(generator=StubGenerator(CALLS))) as service:
        choices = [chunk["choices"][0] for chunk in await chunks(service)]

    def begun(index: int, call: ToolCall) -> dict[str, Any]:
        return {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}

    assert [(choice["delta"], choice["finish_reason"]) for choice in choices] == [
        ({"role": "assistant", "content": None, "tool_calls": [begun(0, CALLS[0])]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"place":"서울"}'}}]}, None),
        ({"tool_calls": [begun(1, CALLS[1])]}, None),
        ({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}, None),
        ({}, "tool_calls"),
    ]


async def test_the_whole_answer_holds_the_same_calls_and_no_content(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, ServiceOptions(generator=StubGenerator(CALLS))) as service,
        client_of(service) as client,
    ):
        answer = await client.chat.completions.create(**ASKED)
        async with client.chat.completions.stream(**ASKED) as stream:
            streamed = await stream.get_final_completion()

    assert answer.choices[0].message.content is None
    assert answer.choices[0].finish_reason == streamed.choices[0].finish_reason == "tool_calls"
    told = [
        [(call.id, call.type, call.function.name, call.function.arguments) for call in each or () if call.type]
        for each in (answer.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls)
    ]
    assert told[0] == told[1] == [(call.id, "function", call.name, call.arguments) for call in CALLS]
    assert service.generator.requests[0].tools == service.generator.requests[1].tools


async def test_text_before_a_call_is_the_content(tmp_path: Path) -> None:
    generator = StubGenerator(["볼게", "요", *CALLS])
    async with running_service(tmp_path, ServiceOptions(generator=generator)) as service, client_of(service) as client:
        answer = await client.chat.completions.create(**ASKED)
        streamed = [chunk["choices"][0]["delta"] for chunk in await chunks(service)]

    assert answer.choices[0].message.content == "볼게요" == "".join(each.get("content") or "" for each in streamed)
    assert [each.get("role") for each in streamed].count("assistant") == 1
    assert [call["index"] for each in streamed for call in each.get("tool_calls", ())] == [0, 0, 1, 1]


async def test_an_answer_without_calls_says_nothing_of_them(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        async with service.client() as client:
            whole = (await client.post("/v1/chat/completions", json=ASKED)).json()["choices"][0]
        streamed = await chunks(service)

    assert whole["finish_reason"] == "stop" and "tool_calls" not in whole["message"]
    assert all("tool_calls" not in chunk["choices"][0]["delta"] for chunk in streamed)


async def test_tools_go_to_the_backend_that_the_model_is_of(tmp_path: Path) -> None:
    remote = StubGenerator(CALLS, backend=Backend.OPENAI, name="vendor/gpt-x")
    async with (
        running_service(tmp_path, ServiceOptions(remote=remote)) as service,
        client_of(service) as client,
    ):
        answer = await client.chat.completions.create(**ASKED | {"model": "vendor/gpt-x"}, tool_choice="required")

    assert answer.choices[0].finish_reason == "tool_calls"
    assert isinstance(remote.requests[0].tools, ToolUse) and remote.requests[0].tools.must_call
    assert service.generator.requests == []


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
async def test_what_is_wrong_with_tools_is_a_400_that_names_it(tmp_path: Path, language: str) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "tools[1].type": {"tools": [TOOLS[0], {"type": "custom", "custom": {"name": "x"}}]},
        "functions": {"functions": [{"name": "x"}]},
        "function_call": {"function_call": {"name": "x"}},
        "tool_choice": {"tool_choice": {"type": "function", "function": {"name": "other"}}},
        "messages": {"messages": [*ASKED["messages"], {"role": "tool", "tool_call_id": "x", "content": "y"}]},
    }
    texts = set()
    async with running_service(tmp_path) as service, client_of(service) as client:
        for field, change in wrong.items():
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(
                    **ASKED, extra_body=change, extra_headers={"Accept-Language": language}
                )
            assert refused.value.param == field
            texts.add(refused.value.message)

    assert len(texts) == len(wrong) and service.generator.requests == []
