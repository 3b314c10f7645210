"""What is kept of the web: asked for once, for a bounded time, in a bounded room."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from chatbot.core.web.kept import KeepPolicy, Kept


class Counting:
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        assert (service, cache) == ("office", "page")
        self.outcomes.append(outcome)


class House:
    def __init__(self, limit_bytes: int = 100) -> None:
        self.now, self.asked, self.told = 0.0, 0, Counting()
        policy = KeepPolicy("page", 60.0, limit_bytes)
        self.kept: Kept[str] = Kept("office", policy, self.told, len, clock=lambda: self.now)

    async def get(self, key: str, value: str = "v") -> str:
        return await self.kept.get((key,), self.asking(value))

    def asking(self, value: str) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            self.asked += 1
            await asyncio.sleep(0)
            if value == "fails":
                raise ConnectionError
            return value

        return ask


async def test_a_value_is_asked_for_once_until_its_time_is_over() -> None:
    house = House()

    first = [await house.get("k"), await house.get("k")]
    house.now = 59.9
    await house.get("k")
    house.now = 60.0
    await house.get("k", "new")

    assert first == ["v", "v"]
    assert (house.asked, house.told.outcomes) == (2, ["miss", "hit", "hit", "miss"])


async def test_a_failure_is_kept_for_a_short_while() -> None:
    house = House(limit_bytes=1000)

    for _ in range(3):
        with pytest.raises(ConnectionError):
            await house.get("k", "fails")
    house.now = 30.0

    assert (await house.get("k"), house.asked) == ("v", 2)
    assert house.told.outcomes == ["miss", "failure_hit", "failure_hit", "miss"]


async def test_who_wants_it_at_once_asks_once_and_who_leaves_does_not_end_it_for_others() -> None:
    house, arrived, gate = House(), asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        house.asked += 1
        arrived.set()
        await gate.wait()
        return "v"

    waiting = [asyncio.create_task(house.kept.get(("k",), ask)) for _ in range(5)]
    await arrived.wait()
    waiting[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    got = await asyncio.gather(*waiting, return_exceptions=True)

    assert got[1:] == ["v"] * 4 and isinstance(got[0], asyncio.CancelledError)
    assert (house.asked, house.told.outcomes) == (1, ["miss", *["joined"] * 4])


async def test_when_all_have_left_it_is_given_up_and_the_next_one_asks_anew() -> None:
    house, cancelled = House(), asyncio.Event()

    async def ask() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    waiting = [asyncio.create_task(house.kept.get(("k",), ask)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(10):
        await cancelled.wait()

    assert await house.get("k") == "v"


async def test_its_room_is_bounded_and_the_one_that_nobody_wanted_goes_first() -> None:
    house = House(limit_bytes=100)

    for key in "abc":
        await house.get(key, "x" * 30)
    await house.get("a")
    await house.get("d", "x" * 30)  # b goes
    await house.get("huge", "x" * 101)  # is not kept, and drives nobody out
    house.told.outcomes.clear()
    for key in "acdb":
        await house.get(key, "x" * 30)

    assert house.told.outcomes == ["hit", "hit", "hit", "miss"]
    assert house.kept.kept_bytes <= 100


async def test_keys_are_not_kept_as_text_and_parts_do_not_run_together() -> None:
    house = House()
    await house.kept.get(("tenant", "secret words"), house.asking("one"))
    await house.kept.get(("tenantsecret", " words"), house.asking("two"))

    assert house.asked == 2
    assert "secret" not in repr(vars(house.kept)) + repr(vars(house.kept._room))
