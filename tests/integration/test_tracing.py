"""Spans of answers at a collector: what came, in which order, under which caller's trace, and never text of a user."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from chatbot.api.wire.tracing import Told
from chatbot.domain.generation import Backend
from chatbot.domain.usage.rows import UsageRow, UseOutcome
from chatbot.server.observe.tracing.otlp import OtlpTraces
from parts.collector import Collector, collector
from parts.http_service import ServiceOptions
from parts.keyed_service import Keyed, bearer, keyed_service
from parts.local_process import local_process
from parts.stub_generator import StubGenerator

CANARY = "CANARY-질문"
QUESTION = {"input_data": CANARY, "user_id": "CANARY-user", "db_id": "CANARY-talk"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": CANARY}]}
CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'c' * 32}-{'d' * 16}-00"


@asynccontextmanager
async def traced(
    folder: Path, seen: Collector, options: ServiceOptions | None = None, *, sampled: float = 1.0
) -> AsyncIterator[Keyed]:
    """A service with keys that tells a collector; all of it has come when the block is left."""
    traces = OtlpTraces(seen.url, "chatbot-office", sampled=sampled, wait_seconds=0.05)
    options = replace(options or ServiceOptions(), traces=traces)
    async with keyed_service(folder, options) as keyed:
        yield keyed
    await traces.close()


async def test_a_trace_says_how_long_what_took_and_holds_no_text(tmp_path: Path) -> None:
    with collector() as seen:
        async with traced(tmp_path, seen) as keyed, keyed.service.client() as client:
            key = await keyed.key()
            for headers in ({}, {"accept": "text/event-stream"}):
                await client.post("/Llama", json=QUESTION, headers=bearer(key) | headers | {"traceparent": CALLER})
            await client.post("/Llama", json=QUESTION | {"db_id": "other"}, headers=bearer(key))
            await client.post("/v1/chat/completions", json=V1, headers=bearer(key))
            probes = [await client.get(path, headers=bearer(key)) for path in ("/healthz", "/key", "/conversations")]

    first, streamed, other, v1 = seen.roots()
    assert len(probes) == 3 and (first.name, first.service, first.is_error) == ("chat stub", "chatbot-office", False)
    assert (first.trace, first.parent) == ("a" * 32, "b" * 16) == (streamed.trace, streamed.parent)
    assert other.trace != first.trace and other.parent == "" == v1.parent
    told = first.attributes
    assert (told["chatbot.tenant"], told["chatbot.key.id"], told["http.route"]) == ("team-a", key.id, "/Llama")
    assert told["enduser.pseudo.id"] == keyed.peppers.pseudonyms.of("team-a", "CANARY-user")
    assert told["gen_ai.response.finish_reasons"] == ["stop"] and told["gen_ai.usage.output_tokens"] > 0
    conversations = [span.attributes["gen_ai.conversation.id"] for span in (first, streamed, other)]
    assert conversations[0] == conversations[1] != conversations[2] and conversations[0].startswith("c_")
    assert "gen_ai.conversation.id" not in v1.attributes and v1.attributes["http.route"] == "/v1/chat/completions"
    parts = [span for span in seen.spans if span.parent == first.id]
    assert "decode" in {span.name for span in parts} <= {"queue", "prefill", "decode"}
    assert all(first.begins <= span.begins < span.ends <= first.ends for span in parts)
    assert [word for word in ("CANARY", "질문") if word.encode() in b"".join(seen.raw)] == []


async def test_what_is_refused_or_cut_is_told_as_what_it_is(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(pieces=("가",) * 500, piece_seconds=0.02))
    with collector() as seen:
        async with traced(tmp_path, seen, options) as keyed, keyed.service.client() as client:
            key = await keyed.key()
            await client.post("/OpenAI", json=QUESTION, headers=bearer(key))
            headers = bearer(key) | {"accept": "text/event-stream"}
            async with client.stream("POST", "/Llama", json=QUESTION, headers=headers) as answer:
                async for line in answer.aiter_lines():
                    if "token" in line:
                        break

    assert {span.attributes["chatbot.outcome"]: span.is_error for span in seen.roots()} == {
        "unavailable": True,
        "client_gone": False,
    }
    (cut,) = (span for span in seen.roots() if not span.is_error)
    assert cut.attributes["gen_ai.response.finish_reasons"] == ["cancelled"]


async def test_the_caller_says_whether_his_trace_is_told_and_the_setting_for_all_others(tmp_path: Path) -> None:
    with collector() as seen:
        async with traced(tmp_path, seen, sampled=0.0) as keyed, keyed.service.client() as client:
            key = await keyed.key()
            for traceparent in (CALLER, UNSAMPLED, None, f"00-{'0' * 32}-{'0' * 16}-01"):
                given = {} if traceparent is None else {"traceparent": traceparent}
                await client.post("/Llama", json=QUESTION, headers=bearer(key) | given)

    assert [span.trace for span in seen.roots()] == ["a" * 32]


async def test_the_second_backend_and_the_log_learn_the_span(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    remote = StubGenerator(backend=Backend.OPENAI)
    with collector() as seen:
        async with traced(tmp_path, seen, ServiceOptions(remote=remote)) as keyed, keyed.service.client() as client:
            key = await keyed.key()
            await client.post("/OpenAI", json=QUESTION, headers=bearer(key) | {"traceparent": CALLER})

    (span,) = seen.roots()
    assert remote.requests[0].traceparent == f"00-{'a' * 32}-{span.id}-01" != CALLER
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert [record.traceparent for record in caplog.records if record.message == "request"] == [
        remote.requests[0].traceparent
    ]


async def test_a_collector_in_trouble_costs_spans_and_two_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with collector() as seen:
        async with traced(tmp_path, seen) as keyed, keyed.service.client() as client:
            key = await keyed.key()
            for status in (400, 200):
                seen.status = status
                asked = seen.asked
                while seen.asked < asked + 2:
                    assert (await client.post("/Llama", json=QUESTION, headers=bearer(key))).status_code == 200
                    await asyncio.sleep(0.01)

    lines = [each.message for each in caplog.records if "CHATBOT_TRACES_URL" in each.message]
    assert ["lost" in line for line in lines] == [True, False]
    assert [each.name for each in caplog.records if each.name.startswith("opentelemetry")] == []


async def test_a_collector_that_is_not_there_holds_up_no_answer_and_no_end(
    tmp_path: Path, figures: Callable[..., None]
) -> None:
    traces = OtlpTraces("http://127.0.0.1:9/v1/traces", "chatbot-office", wait_seconds=0.05)
    async with keyed_service(tmp_path, ServiceOptions(traces=traces)) as keyed, keyed.service.client() as client:
        key = await keyed.key()
        answers = [await client.post("/Llama", json=QUESTION, headers=bearer(key)) for _ in range(20)]
    began = time.monotonic()
    await traces.close()
    took = time.monotonic() - began

    figures(close_seconds=round(took, 2))
    assert {answer.status_code for answer in answers} == {200} and took < 30


async def test_cost_of_a_trace(scale: Callable[[int, int], int], figures: Callable[..., None]) -> None:
    """Figures only; the spans go nowhere."""
    traces = OtlpTraces("http://127.0.0.1:9/v1/traces", "chatbot-office", wait_seconds=60.0)
    row = UsageRow(
        "w", 0.0, "t", "k", "u", "office", "/Llama", "llama", "m", "r", UseOutcome.OK, 9, 0, 9, 0.1, 0.2, 1.0
    )
    taken = []
    for _ in range(scale(500, 20_000)):
        began = time.perf_counter()
        traces.begin(CALLER).end(Told(row, "chat", "c", "stop"))
        taken.append(time.perf_counter() - began)
    await traces.close()

    taken.sort()
    figures(p50_us=round(taken[len(taken) // 2] * 1e6), p99_us=round(taken[len(taken) * 99 // 100] * 1e6))


def test_a_process_tells_the_collector_of_both_services_and_ends_in_time(tmp_path: Path) -> None:
    question = {"input_data": "안녕하세요!", "user_id": "CANARY", "db_id": "d"}
    persona = {"character_name": "나비", "greeting": "안녕!", "context": "고양이"}
    with collector() as seen, local_process(tmp_path, CHATBOT_TRACES_URL=seen.url) as local:
        for service, more in (("office", {}), ("character", persona)):
            answer = httpx2.post(f"{local.gateway}/{service}/Llama", json=question | more, timeout=60, trust_env=False)
            assert answer.status_code == 200
        assert local.interrupt() == 0

    ours = [span for span in seen.roots() if "gen_ai.conversation.id" in span.attributes]  # its guide asks, too
    assert [(span.attributes["chatbot.service"], span.service) for span in ours] == [
        *(("office", "chatbot"), ("character", "chatbot"))
    ]
    assert {span.attributes["gen_ai.request.model"] for span in seen.roots()} == {"chatbot-demo"}
    assert b"CANARY" not in b"".join(seen.raw)
