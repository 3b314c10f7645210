"""The product's chat endpoints over a real socket."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from chatbot.api.profiles import CHARACTER
from chatbot.core.admission import AdmissionPolicy
from chatbot.domain.errors import BackendUnavailable, EngineLost, PromptTooLong
from chatbot.domain.generation import Backend
from parts.http_service import Service, ServiceOptions, running_service
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.waiting import until

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}
STREAM = {"accept": "text/event-stream"}


async def streamed(service: Service, body: dict[str, Any], path: str = "/Llama") -> list[tuple[str, Any]]:
    """All events of one streamed answer."""
    async with service.client() as client, client.stream("POST", path, json=body, headers=STREAM) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        return [event async for event in events(answer)]


async def test_answers_with_one_bare_json_string(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION)

    assert (answer.status_code, answer.json()) == (200, "안녕하세요!")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-backend"] == "llama"
    assert len(answer.headers["x-request-id"]) >= 16
    assert "x-history-saved" not in answer.headers


async def test_character_speaks_with_its_persona(tmp_path: Path) -> None:
    persona = {"character_name": "Mina", "greeting": "어서 와!", "context": "{braces} stay"}
    async with running_service(tmp_path, ServiceOptions(profile=CHARACTER)) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | persona | {"db_id": "test-uuid"})

    asked = service.generator.requests[0].dialogue
    assert answer.status_code == 200
    assert "Mina" in asked.system and "{braces} stay" in asked.system
    assert asked.opening[0].content == "어서 와!"


async def test_streams_the_same_text_in_events(tmp_path: Path) -> None:
    generator = StubGenerator(["안", "녕", "🙂", "\n\n", "data: x"], piece_seconds=0.01)
    async with running_service(tmp_path, ServiceOptions(generator=generator)) as service:
        got = await streamed(service, QUESTION | {"db_id": "d"})

    assert "".join(data["text"] for name, data in got if name == "token") == "안녕🙂\n\ndata: x"
    assert got[-1][0] == "done"
    assert got[-1][1]["finish_reason"] == "stop"
    assert got[-1][1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "cached_tokens": 0}
    assert got[-1][1]["history_saved"] is True


async def test_tells_a_waiting_stream_its_place(tmp_path: Path) -> None:
    generator = StubGenerator(piece_seconds=0.1)
    async with running_service(tmp_path, ServiceOptions(generator=generator, slots=1)) as service:
        first, second = await asyncio.gather(streamed(service, QUESTION), streamed(service, QUESTION))

    at_once, waited = sorted((first, second), key=lambda got: float(got[0][1]["position"]))
    places = [[data["position"] for name, data in got if name == "queue"] for got in (at_once, waited)]
    assert places == [[0], [1, 0]]
    assert at_once[0] == ("queue", {"position": 0, "eta_seconds": 0.0})
    assert waited[0][1]["eta_seconds"] >= 0
    assert [got[-1][0] for got in (at_once, waited)] == ["done", "done"]


async def test_a_stored_answer_is_streamed_like_a_new_one(tmp_path: Path) -> None:
    body = QUESTION | {"db_id": "d"}
    async with (
        running_service(tmp_path) as service,
        service.client(headers={"idempotency-key": "t"} | STREAM) as client,
    ):
        answers = [await client.post("/Llama", json=body) for _ in range(2)]

    lines = [[line for line in answer.text.splitlines() if line.startswith("event")] for answer in answers]
    assert [list(dict.fromkeys(names)) for names in lines] == [["event: queue", "event: token", "event: done"]] * 2
    assert len(service.generator.requests) == 1


async def test_an_error_in_mid_stream_is_an_event_and_no_end(tmp_path: Path) -> None:
    generator = StubGenerator(["안녕"], failure=EngineLost("died"), piece_seconds=0.05)
    async with running_service(tmp_path, ServiceOptions(generator=generator)) as service:
        got = await streamed(service, QUESTION)

    assert [name for name, _ in got] == ["queue", "token", "error"]
    assert got[-1][1]["code"] == "engine_lost" and got[-1][1]["status"] == 503
    assert service.metric("chatbot_requests_total", route="/Llama", status="200", outcome="error") == 1


async def test_an_unknown_error_is_a_500_that_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = StubGenerator([], failure=RuntimeError("secret canary"))
    async with running_service(tmp_path, ServiceOptions(generator=generator)) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION, headers={"accept-language": "en"})
        got = await streamed(service, QUESTION)

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal" and answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "canary" not in answer.text and "canary" not in json.dumps(got)
    assert got[-1][0] == "error"
    assert "canary" not in caplog.text and "안녕" not in caplog.text


@pytest.mark.parametrize("headers", [{}, STREAM], ids=["whole", "stream"])
async def test_refusals_are_real_statuses_before_any_byte(tmp_path: Path, headers: dict[str, str]) -> None:
    options = ServiceOptions(slots=1, policy=AdmissionPolicy(180.0, 1), generator=StubGenerator(first_seconds=30))
    async with running_service(tmp_path, options) as service, service.client() as client:
        held = [asyncio.create_task(client.post("/Llama", json=QUESTION | {"user_id": f"u{n}"})) for n in range(2)]
        await until(lambda: service.admission.line("office").depth >= 1)

        refused = await client.post("/Llama", json=QUESTION, headers={"accept-language": "en"} | headers)

        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
    body = refused.json()
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == str(body["retry_after"]) and body["retry_after"] >= 1
    assert body["queue_size"] == 1


@pytest.mark.parametrize(
    ("refusal", "status", "code", "field"),
    [
        (PromptTooLong("question", 9000, 8192), 422, "invalid_input", "input_data"),
        (BackendUnavailable("", 7), 503, "backend_unavailable", None),
    ],
)
async def test_tells_what_the_backend_refuses(
    tmp_path: Path, refusal: Any, status: int, code: str, field: str | None
) -> None:
    options = ServiceOptions(generator=StubGenerator(refusal=refusal))
    async with running_service(tmp_path, options) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION, headers={"accept-language": "en"})

    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field)
    assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


async def test_a_request_that_waits_too_long_gets_a_504_that_says_so(tmp_path: Path) -> None:
    options = ServiceOptions(slots=1, queue_seconds=0.3, generator=StubGenerator(first_seconds=30))
    async with running_service(tmp_path, options) as service, service.client() as client:
        held = asyncio.create_task(client.post("/Llama", json=QUESTION))
        await until(lambda: service.generator.running)
        late = await client.post("/Llama", json=QUESTION, headers={"accept-language": "en"})
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)

    assert (late.status_code, late.json()["code"]) in ((504, "timed_out"), (429, "queue_full"))


async def test_history_is_kept_told_and_replayed(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        body = QUESTION | {"db_id": "test-uuid"}
        first = await client.post("/Llama", json=body, headers={"idempotency-key": "k1"})
        again = await client.post("/Llama", json=body, headers={"idempotency-key": "k1"})
        other = await client.post("/Llama", json=body | {"input_data": "other"}, headers={"idempotency-key": "k1"})
        bad = await client.post("/Llama", json=body, headers={"idempotency-key": "k 1"})
        ignored = await client.post("/Llama", json=QUESTION, headers={"idempotency-key": "k 1"})
        await client.post("/Llama", json=body | {"input_data": "second"})

    assert first.headers["x-history-saved"] == "true"
    assert again.json() == first.json()
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    assert bad.status_code == 422 and ignored.status_code == 200
    assert [message.content for message in service.generator.requests[-1].dialogue.history] == ["안녕하세요!"] * 2
    assert len(service.generator.requests) == 3


async def test_openai_is_the_second_backend(tmp_path: Path) -> None:
    remote = StubGenerator(["원격"], backend=Backend.OPENAI, name="gpt-x")
    async with running_service(tmp_path, ServiceOptions(remote=remote)) as service, service.client() as client:
        answer = await client.post("/OpenAI", json=QUESTION)
        kept = await client.post("/OpenAI", json=QUESTION | {"local_only": True}, headers={"accept-language": "en"})
        info = (await client.get("/info")).json()

    assert (answer.json(), answer.headers["x-backend"]) == ("원격", "openai")
    assert (kept.status_code, kept.json()["field"]) == (422, "local_only")
    assert info["backends"] == ["llama", "openai"] and info["search"] is False


async def test_without_a_second_backend_openai_is_a_503(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/OpenAI", json=QUESTION)

    assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
    assert answer.headers["x-backend"] == "openai"


async def test_google_access_is_answered_without_references_and_says_so(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | {"google_access": True})

    assert (answer.status_code, answer.headers["x-references"]) == (200, "unavailable")


@pytest.mark.parametrize(
    ("language", "start"), [("en", "input_data: must"), ("ja", "input_data: 500"), ("ko", "input_data: 500자")]
)
async def test_errors_speak_the_language_of_the_caller(tmp_path: Path, language: str, start: str) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        wrong = QUESTION | {"input_data": "x" * 501}
        answer = await client.post("/Llama", json=wrong, headers={"accept-language": language})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(start)
    assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_takes_over_a_sane_request_id_only(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        sane = await client.post("/Llama", json=QUESTION, headers={"x-request-id": "order-17"})
        odd = await client.post("/Llama", json=QUESTION, headers={"x-request-id": "a b<script>"})

    assert sane.headers["x-request-id"] == "order-17"
    assert len(odd.headers["x-request-id"]) == 32


async def test_passes_on_a_trace_context_that_is_one(tmp_path: Path) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with running_service(tmp_path) as service, service.client() as client:
        await client.post("/Llama", json=QUESTION, headers={"traceparent": trace})
        await client.post("/Llama", json=QUESTION, headers={"traceparent": "00-nonsense"})

    assert [request.traceparent for request in service.generator.requests] == [trace, ""]


async def test_one_request_id_may_come_twice_at_once(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(piece_seconds=0.05))
    async with running_service(tmp_path, options) as service, service.client() as client:
        both = [client.post("/Llama", json=QUESTION, headers={"x-request-id": "same"}) for _ in range(2)]
        answers = await asyncio.gather(*both)

    assert [answer.json() for answer in answers] == ["안녕하세요!"] * 2
    assert len({request.request_id for request in service.generator.requests}) == 2


async def test_unknown_fields_are_ignored_and_counted(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | {"a": 1, "b": 2})

    assert answer.status_code == 200
    assert service.metric("chatbot_unknown_fields_total") == 2
