"""Whoever hammers a spent limit is refused before his request is read, and told and counted as if it had been."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.api.accounts.spent import SpentFirst
from chatbot.domain.access import Rights, Scope
from chatbot.domain.generation import Backend, GenerationEvent, GenerationRequest
from chatbot.domain.limits import Limits
from chatbot.domain.tenants.policy import Policies, Tenant, TenantLimits
from chatbot.domain.usage.prices import PriceTable
from chatbot.server import app as server_app
from parts.http_service import ServiceOptions
from parts.keyed_service import keyed_service
from parts.stub_generator import StubGenerator

ASKED = {"input_data": "안녕하세요!", "user_id": "u"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
PATHS: dict[str, dict[str, Any]] = {
    "/Llama": ASKED,
    "/chat": {"message": "hi", "user_id": "u"},
    "/v1/chat/completions": V1,
}
ONE = TenantLimits(tenant=Limits(requests_per_minute=1))
VARIES = {"x-request-id", "date"}


def options(limits: TenantLimits = ONE, **more: Any) -> ServiceOptions:
    return ServiceOptions(tenants=Policies([Tenant("team-a", limits=limits)]), limiter_now=lambda: 1_000_000.0, **more)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of requests that took their way, each time one does."""
    seen: list[str] = []
    whole = SpentFirst.__call__

    class Told(SpentFirst):
        def __init__(self, app: Any, *rest: Any) -> None:
            async def noted(scope: Any, receive: Any, send: Any) -> None:
                seen.append(scope["path"])
                await app(scope, receive, send)

            super().__init__(noted, *rest)

        __call__ = whole

    monkeypatch.setattr(server_app, "SpentFirst", Told)
    return seen


async def refused(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    return await client.post(path, json=PATHS[path], headers={"accept-language": "en"} | headers)


@pytest.mark.parametrize("path", PATHS)
async def test_the_second_refusal_says_what_the_first_said(tmp_path: Path, read: list[str], path: str) -> None:
    recorded = options(usage=SqliteUsage(tmp_path / "usage.sqlite3"))
    async with keyed_service(tmp_path, recorded) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        first = await refused(client, path, **headers)
        way = [await refused(client, path, **headers) for _ in range(3)]
        taken = list(read)
        shown = (await client.get("/performance", headers=headers)).json()
        metric = keyed.service.metric
        counted = metric("chatbot_requests_total", route=path, status="429", outcome="ok")
        decided = metric("chatbot_limit_decisions_total", limit="tenant-requests-minute", outcome="refused")
        keys = metric("chatbot_auth_requests_total", outcome="accepted")
        recorded_refusals = metric("chatbot_usage_requests_total", outcome="rate_limited")

    assert first.status_code == 200
    assert [one.status_code for one in way] == [429] * 3
    assert taken == [path, path], "an answer, and the refusal that is repeated"
    bodies = [one.json() for one in way]
    for body in bodies:
        (body["error"] if "error" in body else body).pop("request_id")
    assert bodies[0] == bodies[1] == bodies[2]
    names = [{name: value for name, value in one.headers.items() if name not in VARIES} for one in way]
    assert names[0] == names[1] == names[2]
    assert (counted, decided, shown["failed_requests"], recorded_refusals) == (3, 3, 3, 3)
    assert keys == 4 + 1, "each request's key is judged once"


async def test_nobody_else_is_refused_and_nothing_else_of_him(tmp_path: Path, read: list[str]) -> None:
    async with keyed_service(tmp_path, options()) as keyed, keyed.service.client() as client:
        spent, other = await keyed.header(), await keyed.header(tenant="team-b")
        reader = await keyed.header(Rights(scopes=frozenset({Scope.CONVERSATIONS_READ})))
        for _ in range(3):
            await refused(client, "/Llama", **spent)
        read.clear()
        answers = {
            "another tenant": await refused(client, "/Llama", **other),
            "a wrong key": await refused(client, "/Llama", authorization="Bearer cbk_nothing"),
            "no scope": await refused(client, "/Llama", **reader),
            "a bad body": await client.post("/Llama", content=b"{", headers=spent),
            "another key of the tenant": await refused(client, "/Llama", **await keyed.header()),
            "something that costs nothing": await client.get(
                "/conversations?limit=1", headers=spent | {"x-user-id": "u"}
            ),
            "what it has left": await client.get("/key", headers=spent),
        }
        taken = list(read)

    assert {name: one.status_code for name, one in answers.items()} == {
        "another tenant": 200,
        "a wrong key": 401,
        "no scope": 403,
        "a bad body": 429,
        "another key of the tenant": 429,
        "something that costs nothing": 200,
        "what it has left": 200,
    }
    assert (
        answers["a wrong key"].json()["code"] == "unauthorized"
        and answers["no scope"].json()["code"] == "scope_missing"
    )
    assert taken == ["/Llama", "/conversations", "/key"]


async def test_who_pays_himself_and_who_has_spent_money_take_their_way(tmp_path: Path, read: list[str]) -> None:
    money = TenantLimits(tenant=Limits(micro_usd_per_day=1))
    prices = PriceTable.parse([{"model": "gpt", "from": "1970-01-01", "input": 3, "output": 5}])
    remote = StubGenerator(backend=Backend.OPENAI, name="gpt")
    async with keyed_service(tmp_path, options(money, prices=prices, remote=remote)) as keyed:
        async with keyed.service.client() as client:
            headers = await keyed.header()
            spent = [await client.post("/OpenAI", json=ASKED, headers=headers) for _ in range(3)]
            own = await client.post("/OpenAI", json=ASKED, headers=headers | {"x-upstream-api-key": "k" * 20})
            local = await client.post("/Llama", json=ASKED, headers=headers)

    assert [one.status_code for one in (*spent, own, local)] == [429, 429, 429, 200, 200]
    assert read == ["/OpenAI"] * 4 + ["/Llama"]


class Held(StubGenerator):
    """Answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.asked.set()
        await self.may_answer.wait()
        async for event in super().generate(request):
            yield event


async def test_the_way_is_free_as_soon_as_the_limit_is(tmp_path: Path, read: list[str]) -> None:
    model = Held()
    one = TenantLimits(tenant=Limits(concurrent=1))
    async with keyed_service(tmp_path, options(one, generator=model)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        running = asyncio.create_task(refused(client, "/Llama", **headers))
        await model.asked.wait()
        meanwhile = [await refused(client, "/Llama", **headers) for _ in range(3)]
        model.may_answer.set()
        first = await running
        await keyed.service.answerer.idle()
        then = await refused(client, "/Llama", **headers)

    assert [one.status_code for one in (first, *meanwhile, then)] == [200, 429, 429, 429, 200]
    assert len(read) == 3
