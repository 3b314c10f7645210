"""Limits on trial: they refuse nobody, cut no answer, and count what they would have refused."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from chatbot.core.limits.hold import Hold
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy, Wanted
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend, GenerationRequest, Sampling, Usage
from chatbot.domain.limits import Limited, Limits, RateLimited, Subject, account_name
from chatbot.domain.usage.prices import PriceTable

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
PRICES = PriceTable.parse([{"model": "remote", "from": "2026-01-01", "input": 3, "output": 5}])


class Told:
    """`LimitTelemetry` that counts."""

    def __init__(self) -> None:
        self.decided = Counter[tuple[str, str]]()

    def limit_decided(self, _service: str, limit: str, outcome: str) -> None:
        self.decided[limit, outcome] += 1

    def limit_store_called(self, outcome: str, seconds: float) -> None:
        """Not counted."""


class House:
    """A limiter, and a caller with some limits and some shadows."""

    def __init__(self, limited: Limits | None = None, accounts: MemoryAccounts | None = None, **shadow: int) -> None:
        self.told = Told()
        policy = LimiterPolicy(call_seconds=60.0)
        self.limiter = Limiter(accounts or MemoryAccounts(), policy, self.told, prices=PRICES, now=lambda: NOON)
        name = account_name(Subject.TENANT, "t", is_shadow=True)
        self.shadow = Limited(Subject.TENANT, Limits(account=name, **shadow), is_shadow=True)
        enforced = () if limited is None else (Limited(Subject.TENANT, limited),)
        self.caller = Caller("t", "u", "k", enforced, shadows=(self.shadow,))

    async def ask(self, max_tokens: int | None = 10, backend: Backend = Backend.LLAMA, model: str = "remote") -> Hold:
        dialogue = Dialogue("", (), (), Message("user", "hello"))
        request = GenerationRequest("r", dialogue, Sampling(max_tokens=max_tokens), 0.0)
        return await self.limiter.reserve(self.caller, Wanted("office", backend, request, model, 0, {}, 60.0))

    async def answer(self, **how: int) -> None:
        """Ask, and take five tokens each way."""
        hold = await self.ask(**how)
        (await hold.admit(self.request(hold))).ended(Usage(5, 5))
        await hold.finish()

    @staticmethod
    def request(hold: Hold) -> GenerationRequest:
        dialogue = Dialogue("", (), (), Message("user", "hello"))
        return hold.admitted(GenerationRequest("r", dialogue, Sampling(), 0.0))

    async def used(self) -> int:
        (standing,) = (await self.limiter.quota([self.shadow])).standings
        return standing.used


async def test_what_would_be_refused_is_counted_and_passes() -> None:
    house = House(requests_per_minute=2)
    for _ in range(5):
        await house.answer()

    assert house.told.decided == {("all", "granted"): 5, ("tenant-requests-minute", "shadow_refused"): 3}


async def test_real_use_is_charged_to_the_shadow_and_only_of_what_it_would_have_let_pass() -> None:
    house = House(tokens_per_day=100)
    passed = []
    for _ in range(12):
        await house.answer(max_tokens=16)
        passed.append(await house.used())

    refused = house.told.decided["tenant-tokens-day", "shadow_refused"]
    assert passed[:2] == [10, 20] and passed[-1] <= 100
    assert refused == len(passed) - passed[-1] / 10 > 0


async def test_no_answer_is_cut_by_what_a_shadow_has_left() -> None:
    house = House(tokens_per_day=150)

    hold = await house.ask(max_tokens=None)
    generation = await hold.admit(house.request(hold))

    assert hold.quota.standings == ()
    assert hold.admitted(generation.request).sampling.most_tokens is None
    assert generation.request.sampling.most_tokens is None


async def test_whom_a_limit_refuses_no_shadow_counts() -> None:
    house = House(Limits(requests_per_minute=1, account="tenant/t"), requests_per_minute=2)
    await house.answer()
    for _ in range(3):
        with pytest.raises(RateLimited):
            await house.ask()

    assert await house.used() == 1
    assert not house.told.decided["tenant-requests-minute", "shadow_refused"]


async def test_a_shadow_of_money_wants_no_price() -> None:
    house = House(micro_usd_per_day=100)

    await (await house.ask(backend=Backend.OPENAI, model="unknown")).finish()
    await (await house.ask(backend=Backend.OPENAI)).finish()

    assert house.told.decided == {("all", "granted"): 2, ("tenant-usd-day", "shadow_refused"): 1}


class Away(MemoryAccounts):
    """A store that does not answer."""

    async def update(self, account: str, change: object) -> object:  # type: ignore[override]
        raise StoreUnavailable("away")


async def test_without_the_store_a_shadow_tells_nothing() -> None:
    house = House(accounts=Away(), requests_per_minute=1)
    for _ in range(5):
        await (await house.ask()).finish()

    assert not house.told.decided["tenant-requests-minute", "shadow_refused"]


async def test_places_of_a_shadow_are_given_back() -> None:
    house = House(concurrent=1)
    first = await house.ask()
    await (await house.ask()).finish()
    await first.finish()
    await house.answer()

    assert house.told.decided["tenant-concurrent", "shadow_refused"] == 1
