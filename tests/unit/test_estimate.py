"""The forecast of the line: measured times, played forward over the slots."""

import pytest
from chatbot.core.waiting.estimate import (
    DRIFT_BLOCKS,
    DRIFT_SHARE,
    INITIAL_SECONDS,
    WINDOW,
    ServiceTimes,
    slots_free_at,
    start_times,
)
from hypothesis import given
from hypothesis import strategies as st

SECONDS = st.floats(0.001, 1000)


@pytest.mark.parametrize(
    ("free", "services", "starts"),
    [
        pytest.param([0.0], [5, 5, 5], [0, 5, 10], id="one idle slot"),
        pytest.param([3.0, 0.0], [5, 5], [0, 3], id="the slot that is free first"),
        pytest.param([2.0, 9.0], [1, 1, 1], [2, 3, 4], id="short ones pass behind each other"),
        pytest.param([4.0], [], [], id="nobody waits"),
    ],
)
def test_plays_the_line_forward(free: list[float], services: list[float], starts: list[float]) -> None:
    assert start_times(free, services) == starts


def test_no_slot_takes_a_request_before_the_engine_opens() -> None:
    assert sorted(slots_free_at([2.0, 30.0], slots=3, opens_in_seconds=10.0)) == [10.0, 10.0, 30.0]


def test_first_ends_free_no_slot_when_more_run_than_slots() -> None:
    assert slots_free_at([1.0, 2.0, 3.0, 4.0], slots=2, opens_in_seconds=0.0) == [3.0, 4.0]


@given(st.lists(SECONDS, max_size=8), st.integers(1, 8), st.lists(SECONDS, min_size=1, max_size=40), SECONDS)
def test_wait_never_falls_when_more_wait_or_the_engine_opens_later(
    running: list[float], slots: int, services: list[float], later: float
) -> None:
    free = slots_free_at(running, slots, 0.0)

    shorter = start_times(free, [*services[:-1], 0.0])[-1]
    longer = start_times(free, [*services, 0.0])[-1]
    closed = start_times(slots_free_at(running, slots, later), [*services, 0.0])[-1]

    assert shorter <= longer <= closed
    assert start_times(slots_free_at(running, slots + 1, 0.0), [*services, 0.0])[0] <= start_times(free, [0.0])[0]


def test_believes_a_first_guess_until_something_was_measured() -> None:
    times = ServiceTimes()

    assert times.mean("office") == INITIAL_SECONDS
    assert times.remaining("office", 1.0) == INITIAL_SECONDS - 1.0


def test_remembers_the_last_answers_of_each_service_alone() -> None:
    times = ServiceTimes()
    for _ in range(WINDOW):
        times.add("office", 100.0)
    for _ in range(WINDOW):
        times.add("office", 2.0)

    assert times.mean("office") == pytest.approx(2.0)
    assert times.mean("character") == INITIAL_SECONDS


@pytest.mark.parametrize(("elapsed", "remaining"), [(0, 4), (2.5, 3.5), (7, 1), (20, 2)])
def test_remaining_time_is_that_of_those_that_took_longer(elapsed: float, remaining: float) -> None:
    times = ServiceTimes()
    for seconds in (2, 2, 4, 8):
        times.add("office", seconds)

    assert times.remaining("office", elapsed) == pytest.approx(remaining)


def test_doubt_grows_with_those_ahead_and_is_shared_by_the_slots() -> None:
    times = ServiceTimes()
    before = times.doubt("office", 100, 1)
    for seconds in (1.0, 3.0) * 8:
        times.add("office", seconds)

    assert before == 0.0
    drift = DRIFT_SHARE * 2.0 * (DRIFT_BLOCKS / (DRIFT_BLOCKS + 2)) ** 0.5  # two blocks of equal means
    assert times.doubt("office", 16, 1) == pytest.approx((16 + 16 * 16 / 16 + (16 * drift) ** 2) ** 0.5)
    assert times.doubt("office", 16, 8) == pytest.approx(times.doubt("office", 16, 1) / 8)
    assert times.doubt("office", 0, 1) == 0.0


def test_times_that_are_long_together_leave_more_doubt_than_the_same_ones_mixed() -> None:
    mixed, together = ServiceTimes(), ServiceTimes()
    for seconds in (1.0, 3.0) * 32:
        mixed.add("office", seconds)
    for seconds in (*[1.0] * 16, *[3.0] * 16) * 2:
        together.add("office", seconds)

    assert together.mean("office") == mixed.mean("office")
    assert together.doubt("office", 40, 4) > 2 * mixed.doubt("office", 40, 4)


def test_another_model_is_believed_to_take_what_is_told_until_measured() -> None:
    times = ServiceTimes()
    times.add("office", 100.0)

    times.restart(2.0)
    told = times.mean("office")
    times.add("office", 3.0)

    assert (told, times.mean("office")) == (2.0, 3.0)
    assert times.mean("character") == 2.0
