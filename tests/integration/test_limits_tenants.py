"""Limits of tenants and users beside those of keys, money, and requests at once, through the routes."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import LimiterPolicy
from chatbot.domain.access import Rights
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Change, Limits, T
from chatbot.domain.tenants.policy import Policies, Tenant, TenantLimits, WhenBudgetSpent
from chatbot.domain.usage.prices import PriceTable
from parts.http_service import ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.stub_generator import StubGenerator
from parts.waiting import until

ASKED = {"input_data": "안녕하세요!", "user_id": "u1"}
NOON = 1_795_262_400.0
PRICES = PriceTable.parse([{"model": "remote", "from": "2026-01-01", "input": 3, "output": 5}])
ANSWER_MICRO_USD = 7 * 3 + 3 * 5  # the stub: 7 tokens of the prompt, 3 pieces
USER, TENANT = "user-requests-minute", "tenant-requests-minute"


def remote(**options: Any) -> StubGenerator:
    return StubGenerator(backend=Backend.OPENAI, name="remote", **options)


def under(limits: TenantLimits, name: str = "team-a", **options: Any) -> ServiceOptions:
    """Options with one policy, and a clock that stands still."""
    spent = options.pop("when_budget_spent", WhenBudgetSpent.REFUSE)
    tenants = Policies([Tenant(name, limits=limits, when_budget_spent=spent)])
    return ServiceOptions(tenants=tenants, prices=PRICES, limiter_now=lambda: NOON, **options)


def of_tenant(**limits: int) -> TenantLimits:
    return TenantLimits(tenant=Limits(**limits))


async def asked(
    client: httpx.AsyncClient, headers: dict[str, str], user: str = "u1", path: str = "/Llama"
) -> httpx.Response:
    return await client.post(path, json=ASKED | {"user_id": user}, headers=headers)


async def standings(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, int]:
    return {one["policy"]: one["used"] for one in (await client.get("/key", headers=headers)).json()["limits"]}


async def test_user_key_and_tenant_are_limited_at_once_and_a_refusal_takes_from_nobody(tmp_path: Path) -> None:
    limits = TenantLimits(
        tenant=Limits(requests_per_minute=9),
        per_key=Limits(requests_per_minute=4),
        per_user=Limits(requests_per_minute=2),
    )
    async with keyed_service(tmp_path, under(limits)) as keyed, keyed.service.client() as client:
        first, second = await keyed.header(), await keyed.header()
        told = [
            (await asked(client, headers, user)).json()
            for headers, user in [(first, "a")] * 3 + [(first, "b")] * 3 + [(first, "c")] + [(second, "c")] * 3
        ]
        used = await standings(client, first)

    violated = [body["violated-policies"] if isinstance(body, dict) else [] for body in told]
    assert violated == [[], [], [USER], [], [], [USER], ["requests-minute"], [], [], [USER]]
    assert used == {"requests-minute": 4, TENANT: 6}, "what was refused by one limit is in no other"


async def test_a_rate_of_the_tenant_is_told_as_the_tenants(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, under(of_tenant(requests_per_minute=1))) as keyed:
        async with keyed.service.client() as client:
            headers = [await keyed.header(), await keyed.header()]
            answers = [await asked(client, one, user) for one, user in zip(headers, "ab", strict=True)]
            told = await asked(client, headers[1] | {"accept-language": "en"})

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["ratelimit"] == '"tenant-requests-minute";r=0;t=60'
    assert told.json()["detail"].startswith("This API key's organization has reached its limit of requests a minute.")


async def test_other_tenants_are_not_slowed_and_a_tenant_without_policy_has_the_default_one(tmp_path: Path) -> None:
    limits = of_tenant(requests_per_minute=1)
    async with keyed_service(tmp_path, under(limits, "default")) as keyed, keyed.service.client() as client:
        spent, other = await keyed.header(), await keyed.header(tenant="team-b")
        codes = [(await asked(client, headers)).status_code for headers in (spent, spent, spent, other, other)]

    assert codes == [200, 429, 429, 200, 429]


async def test_who_needs_no_key_is_limited_by_tenant_and_user(tmp_path: Path) -> None:
    limits = TenantLimits(
        tenant=Limits(requests_per_minute=3),
        per_key=Limits(requests_per_minute=1),
        per_user=Limits(requests_per_minute=2),
    )
    accounts = MemoryAccounts()
    async with running_service(tmp_path, under(limits, "default", accounts=accounts)) as service:
        async with service.client() as client:
            codes = [
                (await asked(client, {}, user)).status_code
                for user in ("secret-name", "secret-name", "secret-name", "b", "b")
            ]

    assert codes == [200, 200, 429, 200, 429]
    assert not [name for name in accounts.states if "secret" in name], "rows have no user's name"
    assert {name.split("/")[0] for name in accounts.states} == {"user", "tenant"}


async def test_a_keys_own_limits_stand_in_the_place_of_each_keys(tmp_path: Path) -> None:
    limits = TenantLimits(per_key=Limits(requests_per_minute=1))
    own = Rights(limits=Limits(requests_per_minute=3))
    async with keyed_service(tmp_path, under(limits)) as keyed, keyed.service.client() as client:
        headers = await keyed.header(own)
        codes = [(await asked(client, headers)).status_code for _ in range(4)]

    assert codes == [200, 200, 200, 429]


async def test_money_is_charged_as_the_provider_told_and_a_budget_is_never_passed(tmp_path: Path) -> None:
    stub = remote()
    budget = 20_000
    async with keyed_service(tmp_path, under(of_tenant(micro_usd_per_day=budget), remote=stub)) as keyed:
        async with keyed.service.client() as client:
            headers = await keyed.header()
            answers = await asyncio.gather(*(asked(client, headers, f"u{n}", "/OpenAI") for n in range(300)))
            await keyed.service.answerer.idle()
            used = (await standings(client, headers))["tenant-usd-day"]
            refused = [answer for answer in answers if answer.status_code == 429]

    granted = [answer for answer in answers if answer.status_code == 200]
    assert len(granted) + len(refused) == 300 and granted and refused
    assert used == len(granted) * ANSWER_MICRO_USD == len(stub.requests) * ANSWER_MICRO_USD <= budget
    assert {answer.json()["violated-policies"][0] for answer in refused} == {"tenant-usd-day"}
    assert {answer.headers["x-should-retry"] for answer in refused} == {"false"}


async def test_a_budget_that_is_spent_cuts_answers_first_and_costs_the_provider_nothing_then(tmp_path: Path) -> None:
    stub = remote()
    async with keyed_service(tmp_path, under(of_tenant(micro_usd_per_day=3000), remote=stub)) as keyed:
        async with keyed.service.client() as client:
            headers = await keyed.header()
            tenant = Limits(micro_usd_per_day=3000, account="tenant/team-a")
            first = await asked(client, headers, path="/OpenAI")
            cut = stub.requests[0].sampling.most_tokens
            await keyed.service.answerer.idle()
            await keyed.service.limiter.counters.shared.charge(tenant, 0, 3000 - ANSWER_MICRO_USD - 5)
            local = await asked(client, headers)
            hammered = [await asked(client, headers, path="/OpenAI") for _ in range(50)]

    assert first.status_code == 200 and cut is not None and 16 <= cut < 1024
    assert {answer.status_code for answer in hammered} == {429} and len(stub.requests) == 1
    assert local.status_code == 200, "our own machines cost nothing"


async def test_the_local_model_answers_where_the_tenant_says_so(tmp_path: Path) -> None:
    stub = remote()
    options = under(of_tenant(micro_usd_per_day=1), when_budget_spent=WhenBudgetSpent.LOCAL, remote=stub)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        answer = await asked(client, await keyed.header(), path="/OpenAI")
        no_llama = await asked(client, await keyed.header(Rights(backends=frozenset({"openai"}))), path="/OpenAI")

    assert (answer.status_code, answer.headers["x-backend"]) == (200, "llama")
    assert no_llama.status_code == 429 and not stub.requests


async def test_a_model_without_a_price_is_not_asked_where_money_is_limited(tmp_path: Path) -> None:
    stub = remote()
    stub.name = "unknown"
    async with keyed_service(tmp_path, under(of_tenant(micro_usd_per_day=10**9), remote=stub)) as keyed:
        async with keyed.service.client() as client:
            refused = await asked(client, await keyed.header(), path="/OpenAI")
            free = await asked(client, await keyed.header(tenant="team-b"), path="/OpenAI")

    assert (refused.status_code, refused.json()["code"]) == (503, "budget_unavailable")
    assert free.status_code == 200 and len(stub.requests) == 1


class Away(MemoryAccounts):
    """A store that is away."""

    is_away = False

    async def update(self, account: str, change: Change[T]) -> T:
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().update(account, change)


@pytest.mark.parametrize("goes_local", [False, True])
async def test_nothing_is_spent_while_nobody_knows_what_is_left(tmp_path: Path, goes_local: bool) -> None:
    stub, accounts = remote(), Away()
    spent = WhenBudgetSpent.LOCAL if goes_local else WhenBudgetSpent.REFUSE
    options = under(of_tenant(micro_usd_per_day=10**9), remote=stub, accounts=accounts, when_budget_spent=spent)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        accounts.is_away = True
        answers = [await asked(client, headers, path="/OpenAI") for _ in range(5)]
        local = await asked(client, headers)
        accounts.is_away = False
        await until(lambda: keyed.service.limiter.counters._clock() >= keyed.service.limiter.counters._probe_at)
        after = await asked(client, headers, path="/OpenAI")

    assert {answer.status_code for answer in answers} == {200 if goes_local else 503}
    assert local.status_code == 200 and after.status_code == 200 and len(stub.requests) == 1


async def test_requests_at_once_are_bounded_and_places_come_back(tmp_path: Path) -> None:
    options = under(of_tenant(concurrent=2), generator=StubGenerator(first_seconds=30))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        running = [asyncio.create_task(asked(client, headers, f"u{n}")) for n in range(2)]
        await until(lambda: len(keyed.service.generator.running) == 2)
        refused = await asked(client, headers, "u3")
        keyed.service.generator.first_seconds = 0.0
        running[0].cancel()
        await until(lambda: len(keyed.service.generator.running) == 1)
        await keyed.service.limiter.counters.pay()
        await until(lambda: len(keyed.service.answerer._tasks) == 1)
        again = await asked(client, headers, "u3")
        running[1].cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await keyed.service.answerer.idle()
        left = await standings(client, headers)

    assert (refused.status_code, refused.json()["violated-policies"]) == (429, ["tenant-concurrent"])
    assert refused.headers["ratelimit-policy"] == '"tenant-concurrent";q=2;qu="concurrent-requests"'
    assert again.status_code == 200 and left == {"tenant-concurrent": 0}


async def test_a_replica_that_dies_gives_its_places_back_within_half_a_minute(tmp_path: Path) -> None:
    now, accounts = [NOON], MemoryAccounts()
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()

    def options(generator: StubGenerator) -> ServiceOptions:
        made = under(of_tenant(concurrent=1), "default", generator=generator, accounts=accounts)
        made.limiter_now = lambda: now[0]
        return made

    async with running_service(tmp_path / "a", options(StubGenerator(first_seconds=30))) as dying:
        async with running_service(tmp_path / "b", options(StubGenerator())) as living, living.client() as client:
            async with dying.client() as caller:
                held = asyncio.create_task(asked(caller, {}))
                await until(lambda: bool(dying.generator.running))
                before = await asked(client, {})
                now[0] += 29
                await dying.limiter.counters.renew()  # it lives: its lease goes on
                now[0] += 29
                living.limiter.refusals._accounts.clear()
                living.limiter.refusals._requests.clear()  # the store is asked, not the memory of a second
                renewed = await asked(client, {})
                now[0] += 2  # it does not any more
                for _ in range(600):  # a refusal is remembered for a second
                    after = await asked(client, {})
                    if after.status_code == 200:
                        break
                    await asyncio.sleep(0.05)
                held.cancel()
                await asyncio.gather(held, return_exceptions=True)

    assert [one.status_code for one in (before, renewed, after)] == [429, 429, 200]


@pytest.mark.parametrize(("limits", "calls"), [({"micro_usd_per_day": 1}, 1), ({"concurrent": 1}, 3)])
async def test_how_often_the_openai_client_comes_back(tmp_path: Path, limits: dict[str, int], calls: int) -> None:
    seen: list[str] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request.url.path)

    stub = remote(first_seconds=30)
    async with keyed_service(tmp_path, under(of_tenant(**limits), remote=stub)) as keyed:
        key = await keyed.key()
        transport = httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]})
        async with (
            keyed.service.client() as client,
            openai.AsyncOpenAI(base_url=f"{keyed.service.url}/v1", api_key=key.text, http_client=transport) as asking,
        ):
            held = asyncio.create_task(asked(client, {"authorization": f"Bearer {key.text}"}, path="/OpenAI"))
            await until(lambda: bool(stub.running) or held.done())
            with pytest.raises(openai.RateLimitError):
                await asking.chat.completions.create(model="remote", messages=[{"role": "user", "content": "hello"}])
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)

    assert len(seen) == calls


async def test_two_replicas_share_the_limits_of_a_tenant(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    accounts = MemoryAccounts()
    limits = TenantLimits(tenant=Limits(requests_per_minute=20), per_user=Limits(requests_per_minute=15))
    one, two = (under(limits, "default", accounts=accounts, limiter=LimiterPolicy(call_seconds=60.0)) for _ in range(2))
    async with running_service(tmp_path / "a", one) as first, running_service(tmp_path / "b", two) as second:
        async with first.client() as a, second.client() as b:
            answers = await asyncio.gather(
                *(asked(client, {}, user) for client in (a, b) for user in "xy" for _ in range(20))
            )

    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 20 and codes.count(429) == 60


async def test_a_shadow_is_told_to_nobody_and_counted(tmp_path: Path) -> None:
    tenant = Tenant("team-a", shadow_limits=TenantLimits(per_user=Limits(requests_per_minute=2)))
    options = ServiceOptions(tenants=Policies([tenant]), limiter_now=lambda: NOON)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header()
        answers = [await asked(client, headers) for _ in range(5)]
        other = await asked(client, headers, "u2")
        key = (await client.get("/key", headers=headers)).json()
        decided = keyed.service.metric("chatbot_limit_decisions_total", limit=USER, outcome="shadow_refused")

    assert {answer.status_code for answer in (*answers, other)} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers) and key["limits"] == []
    assert decided == 3
