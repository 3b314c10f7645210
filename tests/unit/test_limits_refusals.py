"""Refusals that are remembered: for a second, for ten where somebody hammers, no longer than they hold, and in turn."""

from dataclasses import dataclass

import pytest
from chatbot.core.limits.ledger import IDLE_SECONDS, MemoryAccounts
from chatbot.core.limits.refusals import (
    FOUND_SECONDS,
    HAMMERED_SECONDS,
    HAMMERING,
    LONGEST_WAIT_SECONDS,
    MOST_REMEMBERED,
    REPEATED_SECONDS,
    UNPACED_SECONDS,
    Refusals,
)
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.limits import NO_QUOTA, Limited, Limits, Policy, Quota, QuotaSpent, RateLimited, Subject
from parts.limit_racer import Silent

KEY = Limited(Subject.KEY, Limits(requests_per_minute=2, account="key/a"))
OTHER = Limited(Subject.USER, Limits(tokens_per_day=9, account="user/b"))
ERROR = RateLimited(Policy.REQUESTS_MINUTE, 30, NO_QUOTA, account="key/a")
SPENT = QuotaSpent(Policy.TOKENS_DAY, 30, NO_QUOTA, account="user/b")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def told(refusals: Refusals, limited: list[Limited], backend: Backend = Backend.LLAMA) -> RateLimited | None:
    """What a request of these is told before anything is made for it."""
    try:
        refusals.check("office", backend, limited)
    except RateLimited as exc:
        return exc
    return None


def test_a_refusal_is_repeated_for_a_second_to_the_same_account_and_backend() -> None:
    clock = Clock()
    refusals = Refusals(clock, Silent())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)

    assert told(refusals, [OTHER, KEY]) is not None
    assert told(refusals, [KEY], Backend.OPENAI) is None and told(refusals, [OTHER]) is None
    clock.now = 1.0
    assert told(refusals, [KEY]) is None


def test_a_refusal_is_repeated_no_longer_than_it_holds_nor_under_other_limits() -> None:
    clock = Clock()
    refusals = Refusals(clock, Silent())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 0.2)
    raised = Limited(Subject.KEY, Limits(requests_per_minute=5, account="key/a"))

    assert told(refusals, [raised]) is None
    clock.now = 0.3
    assert told(refusals, [KEY]) is None


def test_a_refusal_that_a_smaller_request_might_not_get_is_repeated_to_nobody_else() -> None:
    refusals = Refusals(Clock(), Silent())
    refusals.keep(OTHER.limits, None, SPENT, 30.0)
    refusals.keep_request(b"one", SPENT)

    assert told(refusals, [OTHER]) is None and refusals.of_request("office", b"two") is None
    again = refusals.of_request("office", b"one")
    assert isinstance(again, QuotaSpent) and again.account == "user/b"


def test_the_same_request_is_refused_for_ten_seconds_where_a_quota_is_spent_and_one_for_other_limits() -> None:
    clock = Clock()
    refusals = Refusals(clock, Silent())
    refusals.keep(OTHER.limits, None, SPENT, 30.0)
    refusals.keep(KEY.limits, None, ERROR, 30.0)
    soon = QuotaSpent(Policy.TOKENS_DAY, 4, NO_QUOTA, account="user/b")
    for digest, error in ((b"quota", SPENT), (b"rate", ERROR), (b"soon", soon)):
        refusals.keep_request(digest, error)

    held = {}
    for clock.now in (0.9, 1.0, 3.9, 4.0, 9.9, HAMMERED_SECONDS):
        held[clock.now] = [name for name in (b"quota", b"rate", b"soon") if refusals.of_request("office", name)]

    assert held == {
        0.9: [b"quota", b"rate", b"soon"],
        1.0: [b"quota", b"soon"],
        3.9: [b"quota", b"soon"],
        4.0: [b"quota"],
        9.9: [b"quota"],
        HAMMERED_SECONDS: [],
    }


def test_refusals_of_money_of_a_store_that_is_away_and_of_nobody_known_are_not_repeated() -> None:
    refusals = Refusals(Clock(), Silent())
    refusals.keep(OTHER.limits, None, SPENT, 30.0)
    others = (
        QuotaSpent(Policy.USD_DAY, 30, NO_QUOTA, account="user/b"),
        QuotaSpent(Policy.TOKENS_DAY, 30, Quota(is_degraded=True), account="user/b"),
        QuotaSpent(Policy.TOKENS_DAY, 30, NO_QUOTA, account="user/unknown"),
    )
    for number, error in enumerate(others):
        refusals.keep_request(b"%d" % number, error)

    assert [refusals.of_request("office", b"%d" % number) for number in range(3)] == [None] * 3


def test_what_comes_back_is_asked_for_at_once() -> None:
    refusals = Refusals(Clock(), Silent())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    refusals.keep_request(b"one", ERROR)

    refusals.forget("key/a")

    assert told(refusals, [KEY]) is None and refusals.of_request("office", b"one") is None
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    assert told(refusals, [KEY]) is not None, "what is refused later is remembered again"


def test_who_hammers_is_refused_for_ten_seconds_and_quietly_until_the_minute_is_over() -> None:
    clock = Clock()
    refusals = Refusals(clock, Silent())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    again = [told(refusals, [KEY]) for _ in range(HAMMERING * 2 + 2)]
    assert [error.is_quiet for error in again if error is not None].count(True) == 3

    clock.now = 2.0
    assert told(refusals, [KEY]) is None
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    clock.now = 11.9
    assert told(refusals, [KEY]) is not None

    clock.now = 100.0
    assert told(refusals, [KEY]) is None
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    clock.now = 101.5
    assert told(refusals, [KEY]) is None, "a new minute begins with a second"


def test_refusals_have_their_turn_at_their_accounts_pace_and_wait_no_longer_than_the_longest() -> None:
    clock = Clock(1000.0)
    refusals = Refusals(clock, Silent())
    refusals.keep(KEY.limits, Backend.LLAMA, ERROR, 30.0)
    refusals.keep(OTHER.limits, None, SPENT, 30.0)
    at_once = round(UNPACED_SECONDS / REPEATED_SECONDS)

    waits = [refusals.turn(ERROR, REPEATED_SECONDS) for _ in range(at_once + 50)]
    assert max(waits[:at_once]) < 1e-9 and waits[-1] == pytest.approx(50 * REPEATED_SECONDS)
    assert refusals.turn(SPENT, FOUND_SECONDS) == 0.0, "each account has a pace of its own"
    for _ in range(1000):
        longest = refusals.turn(ERROR, FOUND_SECONDS)
    assert longest == pytest.approx(LONGEST_WAIT_SECONDS)

    clock.now += LONGEST_WAIT_SECONDS + UNPACED_SECONDS
    assert refusals.turn(ERROR, FOUND_SECONDS) == 0.0


@pytest.mark.parametrize("connections", [50, 80])
def test_who_asks_again_as_soon_as_he_is_answered_is_refused_so_often_a_second_whatever_he_asks(
    connections: int,
) -> None:
    clock = Clock()
    refusals = Refusals(clock, Silent())
    refusals.keep(OTHER.limits, None, SPENT, 1000.0)
    ready = [0.0] * connections
    refused = 0
    while (at := min(ready)) < 60.0:
        clock.now = at
        ready[ready.index(at)] = at + 0.006 + refusals.turn(SPENT, FOUND_SECONDS)
        refused += at >= 10.0

    assert refused / 50.0 == pytest.approx(1 / FOUND_SECONDS, rel=0.05)


def test_memory_is_bounded() -> None:
    refusals = Refusals(Clock(), Silent())
    for number in range(MOST_REMEMBERED + 5):
        limits = Limits(requests_per_minute=1, account=str(number))
        refusals.keep(limits, Backend.LLAMA, ERROR, 30.0)
        refusals.keep_request(b"%d" % number, RateLimited(Policy.REQUESTS_MINUTE, 30, NO_QUOTA, account=str(number)))

    assert len(refusals._accounts) == len(refusals._requests) == MOST_REMEMBERED


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
