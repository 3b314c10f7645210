"""`/v1` with the official openai client: it chats, streams, lists models and understands every error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.core.admission import AdmissionPolicy
from chatbot.domain.errors import EngineLost, PromptTooLong
from chatbot.domain.generation import Backend
from parts.http_service import Service, ServiceOptions, running_service
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.waiting import until

HELLO: list[Any] = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "안녕하세요!"}]


@asynccontextmanager
async def openai_client(service: Service, key: str = "none", retries: int = 0) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=retries) as client:
        yield client


async def test_chats(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, openai_client(service) as client:
        answer = await client.chat.completions.create(
            model="stub", messages=HELLO, temperature=0.1, max_completion_tokens=9, stop=["x"], seed=5, user="u1"
        )

    asked = service.generator.requests[0]
    assert answer.choices[0].message.content == "안녕하세요!"
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", "stub", "chat.completion")
    assert answer.usage and (answer.usage.prompt_tokens, answer.usage.total_tokens) == (7, 10)
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.sampling.seed) == (0.1, 9, 5)
    assert (asked.sampling.stop, asked.sampling.top_p) == (("x",), 0.9)
    assert (asked.dialogue.system, asked.dialogue.may_shorten) == ("be kind", False)


@pytest.mark.parametrize("with_usage", [False, True])
async def test_streams(tmp_path: Path, with_usage: bool) -> None:
    options = ServiceOptions(generator=StubGenerator(["안", "녕", "🙂"], piece_seconds=0.01))
    async with running_service(tmp_path, options) as service, openai_client(service) as client:
        extra: dict[str, Any] = {"stream_options": {"include_usage": True}} if with_usage else {}
        stream = await client.chat.completions.create(model="stub", messages=HELLO, stream=True, **extra)
        chunks = [chunk async for chunk in stream]

    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == "안녕🙂"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    finish = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert finish[-1] == "stop" and set(finish[:-1]) == {None}
    assert (chunks[-1].usage is not None) is with_usage


async def test_a_stream_that_does_not_wait_has_data_lines_only(tmp_path: Path) -> None:
    body = {"model": "stub", "messages": HELLO, "stream": True}
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/v1/chat/completions", json=body)

    assert {line[:6] for line in answer.text.splitlines() if line} == {"data: "}


async def test_a_waiting_stream_is_kept_by_comments(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(piece_seconds=0.1), slots=1)
    async with running_service(tmp_path, options) as service, openai_client(service) as client:

        async def text() -> str:
            stream = await client.chat.completions.create(model="stub", messages=HELLO, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        async def raw() -> list[tuple[str, Any]]:
            body = {"model": "stub", "messages": HELLO, "stream": True}
            async with service.client() as plain, plain.stream("POST", "/v1/chat/completions", json=body) as answer:
                return [event async for event in events(answer)]

        texts, seen = await asyncio.gather(asyncio.gather(text(), text()), raw())

    assert texts == ["안녕하세요!"] * 2
    assert seen[-1] == ("message", "[DONE]")
    assert {name for name, _ in seen} <= {":", "message"}


async def test_lists_models(tmp_path: Path) -> None:
    remote = StubGenerator(backend=Backend.OPENAI, name="vendor/gpt-x")
    async with running_service(tmp_path, ServiceOptions(remote=remote)) as service, openai_client(service) as client:
        found = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("vendor/gpt-x")
        answer = await client.chat.completions.with_raw_response.create(model="vendor/gpt-x", messages=HELLO)

    assert found == ["stub", "vendor/gpt-x"]
    assert one.owned_by == "openai"
    assert answer.headers["x-backend"] == "openai" and len(remote.requests) == 1


async def test_understands_refusals(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, openai_client(service) as client:
        with pytest.raises(openai.NotFoundError) as no_model:
            await client.chat.completions.create(model="gpt-4", messages=HELLO)
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-4")
        with pytest.raises(openai.BadRequestError) as two:
            await client.chat.completions.create(model="stub", messages=HELLO, n=2)
        with pytest.raises(openai.BadRequestError) as tools:
            tool: Any = {"type": "custom", "custom": {"name": "f"}}
            await client.chat.completions.create(model="stub", messages=HELLO, tools=[tool])
        with pytest.raises(openai.BadRequestError) as deep:
            await client.chat.completions.create(model="stub", messages=HELLO, temperature=3)

    assert no_model.value.code == "model_not_found"
    assert (two.value.param, tools.value.param, deep.value.param) == ("n", "tools[0].type", "temperature")
    assert two.value.type == "invalid_request_error"


async def test_understands_a_prompt_that_is_too_long(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(refusal=PromptTooLong("history", 9000, 8192)))
    async with running_service(tmp_path, options) as service, openai_client(service) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="stub", messages=HELLO)

    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


async def test_understands_a_full_line_and_obeys_its_wait(tmp_path: Path) -> None:
    options = ServiceOptions(slots=1, policy=AdmissionPolicy(180.0, 0), generator=StubGenerator(first_seconds=0.5))
    async with running_service(tmp_path, options) as service, openai_client(service) as client:
        held = asyncio.create_task(client.chat.completions.create(model="stub", messages=HELLO, user="a"))
        await until(lambda: service.generator.running)
        with pytest.raises(openai.RateLimitError) as full:
            await client.chat.completions.create(model="stub", messages=HELLO, user="b")
        await held
        async with openai_client(service, retries=3) as patient:
            held = asyncio.create_task(patient.chat.completions.create(model="stub", messages=HELLO, user="a"))
            await until(lambda: service.generator.running)
            answer = await patient.chat.completions.create(model="stub", messages=HELLO, user="b")
            await held

    assert full.value.code == "queue_full"
    assert int(full.value.response.headers["retry-after"]) >= 1
    assert answer.choices[0].message.content == "안녕하세요!"


async def test_understands_an_error_in_mid_stream(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(["안녕"], failure=EngineLost("died"), piece_seconds=0.05))
    async with running_service(tmp_path, options) as service, openai_client(service) as client:
        stream = await client.chat.completions.create(model="stub", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as broken:
            _ = [chunk async for chunk in stream]

    assert broken.value.code == "engine_lost"


async def test_a_stream_that_fails_before_its_first_word_has_a_status_and_is_asked_for_again(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator([], failure=EngineLost("died")))
    async with running_service(tmp_path, options) as service, openai_client(service, retries=1) as client:
        with pytest.raises(openai.InternalServerError) as broken:
            await client.chat.completions.create(model="stub", messages=HELLO, stream=True)

    assert (broken.value.status_code, broken.value.code) == (503, "engine_lost")
    assert len(service.generator.requests) == 4, "two questions, each begun anew once behind the client"


async def test_before_a_model_is_there_it_is_a_503(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(has_model=False))
    async with running_service(tmp_path, options) as service, openai_client(service) as client:
        with pytest.raises(openai.InternalServerError) as none:
            await client.chat.completions.create(model="stub", messages=HELLO)
        listed = [model.id async for model in client.models.list()]

    assert (none.value.status_code, none.value.code) == (503, "model_unavailable")
    assert listed == []


async def test_stores_no_history(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, openai_client(service) as client:
        await client.chat.completions.create(model="stub", messages=HELLO, user="u1")
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as plain:
            page = await plain.get("/conversations", headers={"x-user-id": "u1"})

    assert page.json() == {"conversations": [], "next_after": None}
