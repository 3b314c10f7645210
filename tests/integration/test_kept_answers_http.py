"""Kept answers over HTTP: headers, both wire formats, streams, rows of use, and what a request may say of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.core.kept_answers.keeper import KeepingPolicy
from chatbot.core.personal.eraser import Eraser
from chatbot.core.personal.tombstones import Tombstones
from chatbot.domain.generation import GenerationEvent, GenerationRequest, Sampling
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Policies, Tenant
from parts.http_service import ServiceOptions, running_service
from parts.people import QUICK, Told, open_people
from parts.store_place import StorePlace
from parts.stub_generator import StubGenerator
from parts.waiting import until

ASKED = {"input_data": "안녕하세요!", "user_id": "u"}
TALK = {"model": "stub", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "user": "u"}


def options(**more: object) -> ServiceOptions:
    return ServiceOptions(kept=KeepingPolicy(), sampling=Sampling(temperature=0.0), **more)  # type: ignore[arg-type]


async def test_every_endpoint_tells_whether_its_answer_was_kept(tmp_path: Path) -> None:
    async with running_service(tmp_path, options()) as service, service.client() as client:
        stream = {"accept": "text/event-stream"}
        calls = [
            ("/Llama", ASKED, {}),
            ("/Llama", ASKED, stream),
            ("/chat", {"message": "안녕하세요!"}, {}),
            ("/chat", {"message": "안녕하세요!"}, stream),
            ("/v1/chat/completions", TALK, {}),
            ("/v1/chat/completions", TALK | {"stream": True}, {}),
        ]
        told = [await client.post(path, json=body, headers=headers) for path, body, headers in calls]
        generations = len(service.generator.requests)
        counted = {
            outcome: service.metric("chatbot_cache_requests_total", cache="answer", outcome=outcome)
            for outcome in ("hit", "miss", "joined")
        }

    assert [one.status_code for one in told] == [200] * 6
    assert [one.headers["x-chatbot-cache"] for one in told] == ["miss", "hit"] * 3
    assert [one.headers.get("age") for one in told] == [None, "0"] * 3
    assert told[0].json() == "안녕하세요!" and '"text": "안녕하세요!"' in told[1].text and "event: done" in told[1].text
    assert told[2].json()["usage"]["total_tokens"] == 10 and '"total_tokens":0' in told[3].text.replace(" ", "")
    assert told[0].headers["x-chatbot-usage"] == "prompt=7,completion=3,cached=0"
    assert told[5].text.endswith("data: [DONE]\n\n") and '"content": "안녕하세요!"' in told[5].text
    assert (generations, counted) == (3, {"hit": 3.0, "miss": 3.0, "joined": 0.0})


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "no-cache"},
        {"cache-control": "max-age=60, NO-STORE"},
        {"cache-control": "max-age=0"},
        {"cache-control": "max-age=soon"},
        {"pragma": "no-cache"},
    ],
)
async def test_a_request_may_ask_for_an_answer_that_is_made_anew(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running_service(tmp_path, options()) as service, service.client() as client:
        await client.post("/Llama", json=ASKED)
        told = await client.post("/Llama", json=ASKED, headers=headers)
        again = await client.post("/Llama", json=ASKED, headers={"cache-control": "max-age=60", "pragma": "no-cache"})
        generations = len(service.generator.requests)

    assert "x-chatbot-cache" not in told.headers and again.headers["x-chatbot-cache"] == "hit"
    assert generations == 2


async def test_what_must_not_be_stored_is_not_kept(tmp_path: Path) -> None:
    tenants = Policies([Tenant("default", privacy=Privacy(may_store=False))])
    async with running_service(tmp_path, options(tenants=tenants)) as service, service.client() as client:
        strict = [
            await client.post(path, json=body) for path, body in (("/Llama", ASKED), ("/v1/chat/completions", TALK))
        ]
    async with running_service(tmp_path, options()) as service, service.client() as client:
        flagged = [
            await client.post("/Llama", json=ASKED | {"store": False}),
            await client.post("/v1/chat/completions", json=TALK | {"store": False}),
            await client.post("/Llama", json=ASKED | {"db_id": "c"}),
            await client.post("/v1/chat/completions", json=TALK | {"temperature": 0.5}),
        ]

    for one in (*strict, *flagged):
        assert one.status_code == 200 and "x-chatbot-cache" not in one.headers


async def test_a_kept_answer_is_cut_for_a_voice_as_a_new_one(tmp_path: Path) -> None:
    spoken = ASKED | {"speech": {"max_chars": 40}}
    async with running_service(tmp_path, options(generator=StubGenerator(("하나다. ", "둘이다.")))) as service:
        async with service.client() as client:
            told = [await client.post("/Llama", json=body) for body in (ASKED, spoken)]
            streamed = await client.post("/Llama", json=spoken, headers={"accept": "text/event-stream"})

    assert [one.headers["x-chatbot-cache"] for one in (*told, streamed)] == ["miss", "hit", "hit"]
    assert told[1].json() == {"text": "하나다. 둘이다.", "segments": ["하나다.", "둘이다."]}
    assert streamed.text.count("event: speech") == 2


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    async with running_service(tmp_path, ServiceOptions(sampling=Sampling(temperature=0.0))) as service:
        async with service.client() as client:
            told = [await client.post("/Llama", json=ASKED) for _ in range(2)]
        assert len(service.generator.requests) == 2
    assert all("x-chatbot-cache" not in one.headers for one in told)


class Gated(StubGenerator):
    """Says nothing until it may, however long the others take to come."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        await self.may.wait()
        async for event in super().generate(request):
            yield event


async def test_fifty_at_once_cost_one_generation_and_one_that_leaves_takes_nobody_with_him(tmp_path: Path) -> None:
    generator = Gated()
    async with running_service(tmp_path, options(generator=generator)) as service, service.client() as client:

        def asked(outcome: str) -> float:
            return service.metric("chatbot_cache_requests_total", cache="answer", outcome=outcome)

        first = asyncio.create_task(client.post("/Llama", json=ASKED, timeout=240.0))
        await until(lambda: asked("miss") == 1)
        others = [asyncio.create_task(client.post("/Llama", json=ASKED, timeout=240.0)) for _ in range(49)]
        await until(lambda: asked("joined") == 49, 120.0)
        first.cancel()
        gone = {"route": "/Llama", "status": "499", "outcome": "client_gone"}
        await until(lambda: service.metric("chatbot_requests_total", **gone) == 1, 120.0)
        generator.may.set()
        told = await asyncio.gather(*others)

    assert {one.json() for one in told} == {"안녕하세요!"}
    assert {one.headers["x-chatbot-cache"] for one in told} == {"joined"}
    assert (len(generator.requests), generator.stopped) == (1, {})


async def test_rows_of_use_say_which_answers_were_repeated(tmp_path: Path) -> None:
    usage = SqliteUsage(tmp_path / "usage.sqlite3")
    async with running_service(tmp_path, options(usage=usage)) as service, service.client() as client:
        for _ in range(3):
            await client.post("/Llama", json=ASKED)
        rows: dict[str, tuple[int, int]] = {}
        for _ in range(600):  # they are written in batches
            report = await client.get("/usage", params={"group_by": "outcome"})
            rows = {row["outcome"]: (row["requests"], row["prompt_tokens"]) for row in report.json()["rows"]}
            if sum(requests for requests, _ in rows.values()) == 3:
                break
            await asyncio.sleep(0.05)

    assert rows == {"ok": (1, 7), "repeated": (2, 0)}


async def test_an_erasure_at_one_replica_forgets_answers_of_that_user_alone_at_all_of_them(tmp_path: Path) -> None:
    people = open_people(StorePlace("sqlite", str(tmp_path / "kept" / "store.sqlite3")))
    erasers = [
        Eraser(people.stores, Tombstones(people.erasures, time.time), lambda _tenant, _user: (), Told(), QUICK)
        for _ in range(2)
    ]

    async def outcomes(client: httpx.AsyncClient) -> list[str]:
        users = ("u", "v")
        told = [await client.post("/Llama", json={"input_data": "안녕하세요!", "user_id": user}) for user in users]
        return [one.headers["x-chatbot-cache"] for one in told]

    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    async with (
        running_service(tmp_path / "one", options(eraser=erasers[0])) as one,
        running_service(tmp_path / "other", options(eraser=erasers[1])) as other,
        one.client() as here,
        other.client() as there,
    ):
        await until(lambda: all(eraser.tombstones.epoch("", "u") == 0 for eraser in erasers), 60.0)
        before = [await outcomes(here), await outcomes(here), await outcomes(there), await outcomes(there)]
        erased = await here.delete("/users/u")
        await until(lambda: all(eraser.tombstones.epoch("", "u") == 1 for eraser in erasers), 60.0)
        after = [await outcomes(here), await outcomes(there)]
    await people.close()

    assert erased.status_code == 202, erased.text
    assert before == [["miss", "miss"], ["hit", "hit"]] * 2
    assert after == [["miss", "hit"]] * 2
