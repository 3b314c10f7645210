"""Refusals that are remembered: for a second, for ten where somebody hammers, and no longer than they hold."""

from dataclasses import dataclass

import pytest
from chatbot.core.limits.ledger import IDLE_SECONDS, MemoryAccounts
from chatbot.core.limits.refusals import HAMMERING, MOST_REMEMBERED, Refusals
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.limits import NO_QUOTA, Limited, Limits, Policy, RateLimited, Subject

KEY = Limited(Subject.KEY, Limits(requests_per_minute=2, account="key/a"))
OTHER = Limited(Subject.USER, Limits(tokens_per_day=9, account="user/b"))
ERROR = RateLimited(Policy.REQUESTS_MINUTE, 30, NO_QUOTA)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_refusal_is_repeated_for_a_second_to_the_same_account_and_backend() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)

    assert refusals.find([OTHER, KEY], Backend.LLAMA) is not None
    assert refusals.find([KEY], Backend.OPENAI) is None and refusals.find([OTHER], Backend.LLAMA) is None
    clock.now = 1.0
    assert refusals.find([KEY], Backend.LLAMA) is None


def test_a_refusal_is_repeated_no_longer_than_it_holds_nor_under_other_limits() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 0.2)
    raised = Limited(Subject.KEY, Limits(requests_per_minute=5, account="key/a"))

    assert refusals.find([raised], Backend.LLAMA) is None
    clock.now = 0.3
    assert refusals.find([KEY], Backend.LLAMA) is None


def test_what_comes_back_is_asked_for_at_once() -> None:
    refusals = Refusals(Clock())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)

    refusals.forget("key/a")

    assert refusals.find([KEY], Backend.LLAMA) is None


def test_who_hammers_is_refused_for_ten_seconds_and_quietly_until_the_minute_is_over() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    told = [refusals.find([KEY], Backend.LLAMA) for _ in range(HAMMERING * 2 + 2)]
    assert [error.is_quiet for error in told if error is not None].count(True) == 3

    clock.now = 2.0
    assert refusals.find([KEY], Backend.LLAMA) is None
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    clock.now = 11.9
    assert refusals.find([KEY], Backend.LLAMA) is not None

    clock.now = 100.0
    assert refusals.find([KEY], Backend.LLAMA) is None
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    clock.now = 101.5
    assert refusals.find([KEY], Backend.LLAMA) is None, "a new minute begins with a second"


def test_memory_is_bounded() -> None:
    refusals = Refusals(Clock())
    for number in range(MOST_REMEMBERED + 5):
        refusals.keep(Limits(requests_per_minute=1, account=str(number)), Backend.LLAMA, ERROR, 30.0)

    assert len(refusals._kept) == MOST_REMEMBERED


async def test_a_full_memory_of_accounts_refuses_new_ones_until_an_old_one_was_idle_for_a_day() -> None:
    clock = Clock()
    accounts = MemoryAccounts(most=2, clock=clock)
    for name in "ab":
        await accounts.update(name, lambda _: ({"n": 1}, None))
    clock.now = 100.0
    await accounts.update("a", lambda _: ({"n": 2}, None))

    with pytest.raises(StoreUnavailable):
        await accounts.update("c", lambda _: ({"n": 1}, None))
    clock.now = IDLE_SECONDS + 1
    await accounts.update("c", lambda _: ({"n": 1}, None))

    assert accounts.states.keys() == {"a", "c"}
