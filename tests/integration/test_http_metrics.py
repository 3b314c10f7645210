"""What is counted of real requests: every series was there, at zero, before the first of them came."""

import asyncio
from pathlib import Path

from chatbot.core.admission import AdmissionPolicy
from chatbot.domain.errors import EngineLost, TimedOut
from parts.http_service import Service, ServiceOptions, running_service
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.waiting import until

QUESTION = {"input_data": "안녕하세요!", "user_id": "test_user"}
STREAM = {"accept": "text/event-stream"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}


def series(service: Service) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Names and labels of all samples."""
    return {
        (sample.name, frozenset(sample.labels.items()))
        for family in service.meters.registry.collect()
        for sample in family.samples
    }


def counted(service: Service, **labels: str) -> float:
    return service.metric("chatbot_requests_total", **labels)


async def test_no_request_makes_a_series(tmp_path: Path) -> None:
    generator = StubGenerator(["안녕"], failure=EngineLost("died"))
    options = ServiceOptions(slots=1, policy=AdmissionPolicy(180.0, 1), generator=generator)
    async with running_service(tmp_path, options) as service, service.client() as client:
        there = series(service)
        for path in ("/Llama", "/OpenAI", "/v1/chat/completions"):
            for body in (QUESTION, QUESTION | {"user_id": ""}, V1, V1 | {"model": "other"}, QUESTION | {"db_id": "d"}):
                await client.post(path, json=body)
            await client.post(path, content=b"{")
            await client.post(path, content=b"x" * 5_000_000)
            await client.get(path)
        async with client.stream("POST", "/Llama", json=QUESTION, headers=STREAM) as answer:
            assert [name async for name, _ in events(answer)][-1] == "error"
        for path in ("/info", "/performance", "/healthz", "/readyz", "/conversations", "/conversations/d", "/canary"):
            for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
                await client.request(method, path, headers={"x-user-id": "u"})
        generator.failure = TimedOut("generation")
        await client.post("/Llama", json=QUESTION)
        generator.failure, generator.first_seconds = None, 30.0
        leaving = [asyncio.create_task(client.post("/Llama", json=QUESTION)) for _ in range(2)]
        await until(lambda: service.admission.line("office").depth == 1)
        await client.post("/Llama", json=QUESTION)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await until(lambda: counted(service, route="/Llama", status="499", outcome="client_gone") == 2)

        assert counted(service, route="/Llama", status="429", outcome="ok") == 1
        assert counted(service, route="/Llama", status="504", outcome="error") == 1
        assert counted(service, route="/Llama", status="200", outcome="error") == 1
        assert series(service) == there
