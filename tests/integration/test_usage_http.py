"""Use over HTTP: a row for whatever became of a request, what it cost, and who may read it."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.core.admission import AdmissionPolicy
from chatbot.core.usage.recorder import RecorderPolicy
from chatbot.domain.access import Rights, Scope
from chatbot.domain.errors import BackendUnavailable, PromptTooLong, StoreUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limits
from chatbot.domain.usage.prices import PriceTable
from parts.embedding_models import HandmadeMeaning
from parts.http_service import Service, ServiceOptions, running_service
from parts.keyed_service import Keyed, keyed_service
from parts.stub_generator import StubGenerator
from parts.waiting import until

# Micro-dollars a token. The stub says: 7 prompt tokens, one token a piece.
PRICES = PriceTable.parse(
    [
        {"model": "small", "match": ["stub*"], "from": "2026-01-01", "input": 100, "output": 1000},
        {"model": "local/office", "from": "2026-01-01", "input": 1, "output": 10},
    ]
)
CHAT = frozenset({Scope.CHAT})


def options(tmp_path: Path, **given: Any) -> ServiceOptions:
    remote = StubGenerator(backend=Backend.OPENAI)
    return ServiceOptions(usage=SqliteUsage(tmp_path / "usage.sqlite3"), prices=PRICES, remote=remote, **given)


def asked(user: str = "test_user") -> dict[str, Any]:
    return {"input_data": "안녕하세요!", "user_id": user}


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Keyed]:
    async with keyed_service(tmp_path, options(tmp_path)) as keyed:
        yield keyed


async def report(client: httpx.AsyncClient, headers: dict[str, str], query: str = "") -> dict[str, Any]:
    """A report after the last row was written."""
    answer = await client.get(f"/usage?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reported(
    client: httpx.AsyncClient, headers: dict[str, str], requests: int, query: str = ""
) -> dict[str, Any]:
    """A report with so many requests."""
    async with asyncio.timeout(30):
        while True:
            found = await report(client, headers, query)
            if found["total"]["requests"] >= requests:
                return found
            await asyncio.sleep(0.02)


async def test_every_way_to_an_answer_is_recorded_with_what_it_cost(keyed: Keyed) -> None:
    headers = await keyed.header()
    message = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
    async with keyed.service.client(headers=headers) as client:
        whole = [
            await client.post("/Llama", json=asked()),
            await client.post("/OpenAI", json=asked()),
            await client.post("/chat", json={"message": "hi", "user_id": "test_user"}),
            await client.post("/v1/chat/completions", json=message),
        ]
        stream = await client.post("/OpenAI", json=asked(), headers={"accept": "text/event-stream"})
        found = await reported(client, headers, 5, "group_by=route,backend")

    assert [answer.status_code for answer in (*whole, stream)] == [200] * 5
    told = [answer.headers["x-chatbot-usage"] for answer in whole]
    # 7 x 1 + 3 x 10 = 37 and 7 x 100 + 3 x 1000 = 3,700 micro-dollars
    assert told == [
        f"prompt=7,completion=3,cached=0,cost_usd={cost}" for cost in ("0.000037", "0.003700", "0.000037", "0.000037")
    ]
    done = json.loads(stream.text.split("event: done\ndata: ")[1].splitlines()[0])
    assert done["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 0, "cost_usd": "0.003700"}
    assert {(row["route"], row["backend"]): row["requests"] for row in found["rows"]} == {
        ("/Llama", "llama"): 1,
        ("/OpenAI", "openai"): 2,
        ("/chat", "llama"): 1,
        ("/v1/chat/completions", "llama"): 1,
    }
    assert found["total"]["cost_usd"] == "0.007511"
    assert keyed.service.metric("chatbot_cost_usd_total", model="small") == pytest.approx(0.0074)


async def test_vectors_are_recorded_too(tmp_path: Path) -> None:
    given = options(tmp_path, embedding=HandmadeMeaning())
    async with running_service(tmp_path, given) as service, service.client() as client:
        for text in ("휴가", ""):
            await client.post("/v1/embeddings", json={"model": "handmade-meaning", "input": text})
        await client.post("/v1/embeddings", json={"model": "handmade-meaning", "input": ["휴가", "연차"]})
        found = await reported(client, {}, 2, "group_by=route,model")

    (row,) = found["rows"]
    assert (row["route"], row["model"], row["requests"]) == ("/v1/embeddings", "handmade-meaning", 2)
    assert row["cost_usd"] == f"0.{row['prompt_tokens']:06d}", "one micro-dollar a token"
    assert row["prompt_tokens"] > 2


async def test_answers_that_are_cut_refused_or_fail_are_rows_too(tmp_path: Path) -> None:
    slow = StubGenerator(["a", "b", "c", "d"], piece_seconds=0.02)
    given = replace(options(tmp_path), generator=slow, slots=1, policy=AdmissionPolicy(180.0, 1))
    async with keyed_service(tmp_path, given) as keyed:
        headers = await keyed.header()
        limited = await keyed.header(Rights(limits=Limits(requests_per_minute=1)))
        async with keyed.service.client(headers=headers) as client:
            await client.post("/Llama", json=asked())
            for _ in range(2):
                await client.post("/Llama", json=asked(), headers=limited)
            slow.refusal = PromptTooLong("question", 9000, 8192)
            await client.post("/Llama", json=asked())
            slow.refusal, slow.failure = None, BackendUnavailable("gone")
            await client.post("/Llama", json=asked())
            slow.failure, slow.piece_seconds = None, 3600.0
            first = asyncio.create_task(client.post("/Llama", json=asked()))
            await until(lambda: slow.running)
            second = asyncio.create_task(client.post("/Llama", json=asked()))
            await until(lambda: keyed.service.admission.line("office").depth == 1)
            assert (await client.post("/Llama", json=asked())).status_code == 429
            first.cancel()
            second.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            found = await reported(client, headers, 8, "group_by=outcome")

    assert {row["outcome"]: row["requests"] for row in found["rows"]} == {
        "ok": 2,
        "rate_limited": 1,
        "invalid": 1,
        "unavailable": 1,
        "client_gone": 2,
        "queue_full": 1,
    }


async def test_a_cut_answer_costs_what_was_made_of_it(tmp_path: Path) -> None:
    remote = StubGenerator(["a", "b", "c"] + ["d"] * 1000, backend=Backend.OPENAI, piece_seconds=0.05)
    async with running_service(tmp_path, replace(options(tmp_path), remote=remote)) as service:
        async with service.client() as client:
            async with client.stream(
                "POST", "/OpenAI", json=asked(), headers={"accept": "text/event-stream"}
            ) as stream:
                async for line in stream.aiter_lines():
                    if '"text": "c"' in line:
                        break
            found = await reported(client, {}, 1, "group_by=outcome,model")

    (row,) = found["rows"]
    assert (row["outcome"], row["estimated_requests"]) == ("client_gone", 1)
    assert row["completion_tokens"] >= 3
    cost = row["prompt_tokens"] * 100 + row["completion_tokens"] * 1000
    assert row["cost_usd"] == f"0.{cost:06d}"
    assert row["prompt_tokens"] > 0, "the provider bills the prompt, too"


async def test_a_key_without_the_scope_sees_itself_alone_and_no_tenant_sees_another(keyed: Keyed) -> None:
    mine, other = await keyed.header(Rights(scopes=CHAT)), await keyed.header(Rights(scopes=CHAT))
    chief, stranger = await keyed.header(), await keyed.header(tenant="team-b")
    async with keyed.service.client() as client:
        for headers, count in ((mine, 1), (other, 2), (stranger, 4)):
            for number in range(count):
                assert (await client.post("/Llama", json=asked(f"user-{number}"), headers=headers)).status_code == 200
        await reported(client, chief, 3)
        seen = [
            (await reported(client, headers, count, "group_by=key,user"))["total"]["requests"]
            for headers, count in ((mine, 1), (other, 2), (chief, 3), (stranger, 4))
        ]
        key = (await client.get("/key", headers=mine)).json()
        everything = (await client.get("/usage?group_by=user,key", headers=chief)).text

    assert seen == [1, 2, 3, 4]
    assert key["usage"]["today"] == key["usage"]["month"]
    assert key["usage"]["today"] | {"requests": 1, "cost_usd": "0.000037"} == key["usage"]["today"]
    assert "user-" not in everything
    assert '"u_' in everything


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("from=2026-11-22&to=2026-11-21", "from"),
        ("from=2020-01-01&to=2026-01-01", "from"),
        ("group_by=input_data", "group_by"),
        ("group_by=day;DROP TABLE days", "group_by"),
        ("format=xml", "format"),
        ("from=0001-01-01&to=0001-01-01%00", "to"),
    ],
)
async def test_a_wrong_question_is_refused_by_its_field(keyed: Keyed, query: str, field: str) -> None:
    async with keyed.service.client(headers=await keyed.header()) as client:
        answer = await client.get(f"/usage?{query}")

    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
async def test_days_at_the_end_of_time_have_no_requests(keyed: Keyed, day: str) -> None:
    async with keyed.service.client(headers=await keyed.header()) as client:
        answer = await client.get(f"/usage?to={day}")

    assert (answer.status_code, answer.json()["rows"]) == (200, [])


async def test_a_table_is_for_spreadsheets_and_nothing_in_it_calculates(tmp_path: Path) -> None:
    given = options(tmp_path, generator=StubGenerator(name='=cmd|"/c calc"!A1'))
    async with running_service(tmp_path, given) as service, service.client() as client:
        await client.post("/Llama", json=asked())
        await reported(client, {}, 1)
        answer = await client.get("/usage?group_by=model,outcome&format=csv")

    assert answer.headers["content-type"].startswith("text/csv")
    header, row = csv.reader(io.StringIO(answer.text))
    assert header[:3] == ["model", "outcome", "requests"]
    assert row[:3] == ['\'=cmd|"/c calc"!A1', "ok", "1"]


async def test_there_is_nothing_to_read_where_nothing_is_recorded(tmp_path: Path) -> None:
    async with running_service(tmp_path, ServiceOptions()) as service, service.client() as client:
        off = await client.get("/usage")

    assert off.status_code == 404


class Away(SqliteUsage):
    """A store that never answers."""

    async def add(self, rows: object) -> None:
        raise StoreUnavailable("away")

    async def report(self, ask: object) -> Any:
        raise StoreUnavailable("away")


async def test_a_store_that_is_away_is_in_nobodys_way(tmp_path: Path) -> None:
    given = replace(
        options(tmp_path),
        usage=Away(tmp_path / "usage"),
        recording=RecorderPolicy(batch_rows=2, batch_seconds=0.01, most_waiting=10, close_seconds=0.1),
    )
    async with running_service(tmp_path, given) as service, service.client() as client:
        statuses = Counter([(await client.post("/Llama", json=asked())).status_code for _ in range(30)])
        told = await client.get("/usage")
        key = (await client.get("/key")).json()

    assert statuses == {200: 30}
    assert (told.status_code, key["usage"]) == (503, None)
    lost = {reason: service.metric("chatbot_usage_unrecorded_total", reason=reason) for reason in ("full", "shutdown")}
    assert sum(lost.values()) == 30
    assert lost["full"] >= 18
    assert service.metric("chatbot_usage_requests_total", outcome="ok") == 30


async def mixed(service: Service, client: httpx.AsyncClient, number: int) -> str:
    """One of many kinds of requests; how it ended, as its client saw it."""
    route = ("/Llama", "/OpenAI", "/chat", "/v1/chat/completions")[number % 4]
    body: dict[str, Any] = asked(f"user-{number % 7}")
    if route == "/chat":
        body = {"message": "hi", "user_id": f"user-{number % 7}"}
    if route.startswith("/v1"):
        body = {
            "model": "stub",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": number % 8 == 3 or number % 10 == 7,
        }
    headers = {"accept": "text/event-stream"} if number % 3 == 0 else {}
    if number % 10 == 7:
        async with client.stream("POST", route, json=body, headers={"accept": "text/event-stream"}) as stream:
            async for _ in stream.aiter_lines():
                break  # the place in the line is known: the answer is being made
        return "left"
    answer = await client.post(route, json=body, headers=headers)
    if answer.status_code != 200:
        return "refused"
    return "failed" if "event: error" in answer.text or '"error":' in answer.text else "ok"


async def test_rows_days_metrics_and_clients_count_the_same(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Thousands of mixed requests, some cut, some refused, some failing: every sum is equal, tokens and money too."""
    count = scale(300, 5000)
    local = Flaky(["안녕", "하세요", "!"], piece_seconds=0.02)
    remote = Flaky(["Hello", "!"], backend=Backend.OPENAI, piece_seconds=0.02)
    store = SqliteUsage(tmp_path / "usage.sqlite3")
    given = replace(options(tmp_path), generator=local, remote=remote, policy=AdmissionPolicy(180.0, 8), usage=store)
    async with running_service(tmp_path, given) as service:
        limits = httpx.Limits(max_connections=40)
        async with service.client(limits=limits) as client:
            gate = asyncio.Semaphore(24)

            async def one(number: int) -> str:
                async with gate:
                    return await mixed(service, client, number)

            seen = Counter(await asyncio.gather(*map(one, range(count))))
            await until(lambda: _recorded(service) == count, 60)
            await service.answerer.idle()
            await until(lambda: service.recorder is not None and service.recorder.is_idle, 60)
            today = datetime.now(UTC).date()
            span = f"from={today - timedelta(days=1)}&to={today}"
            by_row = await report(client, {}, f"group_by=outcome,user&{span}")
            by_day = await report(client, {}, f"group_by=outcome&{span}")

    assert by_row["total"] == by_day["total"]
    outcomes = {row["outcome"]: row["requests"] for row in by_day["rows"]}
    total = by_day["total"]
    assert outcomes == {
        outcome: service.metric("chatbot_usage_requests_total", outcome=outcome) for outcome in outcomes
    }
    assert total["requests"] == _recorded(service)
    assert seen["ok"] <= outcomes["ok"] <= seen["ok"] + seen["left"], "some left too late to be missed"
    assert outcomes["client_gone"] <= seen["left"]
    assert outcomes["queue_full"] + outcomes["unavailable"] >= seen["refused"] + seen["failed"]
    money_and_tokens_agree(service, total)
    figures(requests=count, seen=dict(seen), rows=outcomes, cost_usd=total["cost_usd"], difference=0)


def money_and_tokens_agree(service: Service, total: dict[str, Any]) -> None:
    """Metrics say what the rows say."""
    kinds = {"prompt": "prompt_tokens", "completion": "completion_tokens", "cached": "cached_tokens"}
    for kind, name in kinds.items():
        told = sum(service.metric("chatbot_usage_tokens_total", backend=b, kind=kind) for b in ("llama", "openai"))
        assert told == total[name]
    assert service.metric("chatbot_prompt_tokens_total") == total["prompt_tokens"]
    assert service.metric("chatbot_generation_tokens_total") == total["completion_tokens"]
    cost = sum(service.metric("chatbot_cost_usd_total", model=model) for model in PRICES.models)
    assert round(cost * 1e6) == round(float(total["cost_usd"]) * 1e6)


class Flaky(StubGenerator):
    """Every ninth generation breaks off."""

    def generate(self, request: Any) -> Any:
        number = len(self.requests) + 1
        self.failure = BackendUnavailable("gone") if number % 9 == 0 else None
        return super().generate(request)


def _recorded(service: Service) -> float:
    names = ("ok", "client_gone", "queue_full", "unavailable", "invalid", "error", "timed_out")
    return sum(service.metric("chatbot_usage_requests_total", outcome=name) for name in names)
