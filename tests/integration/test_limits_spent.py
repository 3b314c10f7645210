"""Whoever hammers a spent limit is refused before his request is read, and told and counted as if it had been."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.api.accounts.spent import MOST_BYTES, SpentFirst
from chatbot.core.limits.refusals import UNPACED_SECONDS
from chatbot.domain.access import Rights, Scope
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limits
from chatbot.domain.tenants.policy import Policies, Tenant, TenantLimits, Tenants
from chatbot.domain.usage.prices import PriceTable
from chatbot.server import app as server_app
from parts.http_service import ServiceOptions
from parts.keyed_service import keyed_service
from parts.stub_generator import HeldGenerator, StubGenerator
from parts.waiting import until

ASKED = {"input_data": "안녕하세요!", "user_id": "u"}
V1 = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
PATHS: dict[str, dict[str, Any]] = {
    "/Llama": ASKED,
    "/chat": {"message": "hi", "user_id": "u"},
    "/v1/chat/completions": V1,
}
ONE = TenantLimits(tenant=Limits(requests_per_minute=1))
TOKENS = TenantLimits(tenant=Limits(tokens_per_day=400))
"""Room for some answers, and then for shorter ones only."""
ATTEMPTS = (
    {"x-request-id": "second"},
    {"x-stainless-retry-count": "2"},
    {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
)
"""What an SDK or a proxy writes anew each time."""
VARIES = {"x-request-id", "date"}


def options(limits: TenantLimits = ONE, **more: Any) -> ServiceOptions:
    return ServiceOptions(tenants=Policies([Tenant("team-a", limits=limits)]), limiter_now=lambda: 1_000_000.0, **more)


@dataclass
class Policy:
    """Tenants whose policy changes."""

    now: Tenants

    def of(self, tenant: str) -> Tenant:
        return self.now.of(tenant)


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


async def spend(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    """Ask until it is too much; what was told then."""
    for _ in range(100):
        answer = await refused(client, path, **headers)
        if answer.status_code != 200:
            return answer
    raise AssertionError("it is never too much")


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


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_that_a_shorter_one_would_pass_is_known_again(
    tmp_path: Path, read: list[str], path: str
) -> None:
    async with keyed_service(tmp_path, options(TOKENS)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        first = await spend(client, path, **headers)
        second = await refused(client, path, **headers)  # the first one whose digest is kept
        read.clear()
        again = [await refused(client, path, **headers, **more) for more in ({}, *ATTEMPTS)]
        known = list(read)
        others = {
            "another text": await client.post(path, json=PATHS[path] | {"max_tokens": 77}, headers=headers),
            "another service for it": await client.post(path + "?a=b", json=PATHS[path], headers=headers),
            "another header": await refused(client, path, **headers, **{"idempotency-key": "k"}),
        }
        shown = (await client.get("/performance", headers=headers)).json()
        decided = keyed.service.metric("chatbot_limit_decisions_total", limit="tenant-tokens-day", outcome="refused")

    told = [one.json().get("error", one.json()) for one in (first, second, *again)]
    assert {one["code"] for one in told} == {"insufficient_quota"}
    assert {one.headers["ratelimit"] for one in (second, *again)} == {first.headers["ratelimit"]}
    assert not known and read == [path] * 3 + ["/performance"]
    refusals = [one for one in (first, second, *again, *others.values()) if one.status_code == 429]
    assert shown["failed_requests"] == decided == len(refusals)


async def test_who_gets_another_limit_is_asked_anew(tmp_path: Path, read: list[str]) -> None:
    policy = Policy(options(TOKENS).tenants)
    async with keyed_service(tmp_path, replace(options(), tenants=policy)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        await spend(client, "/Llama", **headers)
        before = [(await refused(client, "/Llama", **headers)).status_code for _ in range(2)]
        read.clear()
        more = TenantLimits(tenant=Limits(tokens_per_day=100_000))
        policy.now = Policies([Tenant("team-a", limits=more)])
        after = await refused(client, "/Llama", **headers)

    assert (before, after.status_code, read) == ([429, 429], 200, ["/Llama"])


async def test_a_body_that_is_long_or_does_not_say_how_long_takes_its_way(tmp_path: Path, read: list[str]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        whole = json.dumps(ASKED).encode()
        yield whole[:9]
        yield whole[9:]

    long = ASKED | {"padding": "p" * MOST_BYTES}
    async with keyed_service(tmp_path, options(TOKENS)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        await spend(client, "/Llama", **headers)
        read.clear()
        chunked = [
            await client.post("/Llama", content=pieces(), headers=headers | {"content-type": "application/json"})
            for _ in range(2)
        ]
        longer = [await client.post("/Llama", json=long, headers=headers) for _ in range(2)]

    assert [one.status_code for one in (*chunked, *longer)] == [429] * 4
    assert read == ["/Llama"] * 4


async def test_who_leaves_before_his_body_is_here_is_waited_for_by_nobody(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, options(TOKENS)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        await spend(client, "/Llama", **headers)
        _reader, writer = await asyncio.open_connection("127.0.0.1", keyed.service.port)
        key = headers["authorization"]
        writer.write(
            f"POST /Llama HTTP/1.1\r\nhost: t\r\nauthorization: {key}\r\ncontent-type: application/json\r\n"
            "content-length: 40\r\n\r\n{".encode()
        )
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        left = {"route": "/Llama", "status": "499", "outcome": "client_gone"}
        await until(lambda: keyed.service.metric("chatbot_requests_total", **left))
        gone = keyed.service.metric("chatbot_requests_total", **left)

    assert gone == 1


@pytest.mark.parametrize("asked", [ASKED, ASKED | {"db_id": "another"}], ids=["again", "another one"])
async def test_refusals_wait_for_their_turn_and_nobody_else_does(tmp_path: Path, asked: dict[str, str]) -> None:
    async with keyed_service(tmp_path, options(TOKENS)) as keyed, keyed.service.client() as client:
        spent, other = await keyed.header(), await keyed.header(tenant="team-b")
        await spend(client, "/Llama", **spent)
        await refused(client, "/Llama", **spent)
        for account in keyed.service.limiter.refusals._accounts.values():
            account.paced_until = time.monotonic() + UNPACED_SECONDS + 1.0
        waiting = asyncio.create_task(client.post("/Llama", json=asked, headers=spent))
        answers = [await refused(client, "/Llama", **other) for _ in range(3)]
        is_waiting = not waiting.done()
        await keyed.service.answerer.idle()  # it holds nothing meanwhile
        told = await waiting

    assert [one.status_code for one in answers] == [200] * 3
    assert is_waiting and told.status_code == 429


async def test_the_way_is_free_as_soon_as_the_limit_is(tmp_path: Path, read: list[str]) -> None:
    model = HeldGenerator()
    one = TenantLimits(tenant=Limits(concurrent=1))
    async with keyed_service(tmp_path, options(one, generator=model)) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        running = asyncio.create_task(refused(client, "/Llama", **headers))
        await until(lambda: model.running)
        meanwhile = [await refused(client, "/Llama", **headers) for _ in range(3)]
        model.may_answer.set()
        first = await running
        await keyed.service.answerer.idle()
        then = await refused(client, "/Llama", **headers)

    assert [one.status_code for one in (first, *meanwhile, then)] == [200, 429, 429, 429, 200]
    assert len(read) == 3
