"""When a dead engine is started again, what a load is believed to take, and when a process is stuck."""

import pytest
from chatbot.llm.supervision.restart_policy import LoadForecast, RestartPolicy
from chatbot.llm.supervision.watchdog import Stuck, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_first_start_is_at_once():
    assert RestartPolicy(Clock()).wait_seconds == 0


@pytest.mark.parametrize(
    ("deaths", "seconds"), [(1, 0), (2, 1), (3, 5), (4, 15), (5, 15), (50, 15)], ids=lambda value: str(value)
)
def test_waits_longer_after_each_death_in_a_row(deaths, seconds):
    policy = RestartPolicy(Clock())

    for _ in range(deaths):
        policy.died()

    assert policy.wait_seconds == seconds


def test_wait_runs_down_with_the_clock():
    clock = Clock()
    policy = RestartPolicy(clock)
    for _ in range(3):
        policy.died()

    clock.now += 3

    assert policy.wait_seconds == 2
    clock.now += 100
    assert policy.wait_seconds == 0


def test_starts_at_once_again_after_an_answer():
    policy = RestartPolicy(Clock())
    for _ in range(4):
        policy.died()

    policy.smoke_answered()
    assert policy.wait_seconds == 15
    policy.answered()
    policy.died()

    assert policy.wait_seconds == 0


@pytest.mark.parametrize(
    ("deaths_at", "is_failing"),
    [
        ([0, 1], False),
        ([0, 1, 2], True),
        ([0, 150, 300], True),
        ([0, 150, 301], False),
        ([0, 200, 400, 450], True),
        ([0, 200, 400, 600, 800], False),
    ],
    ids=["two", "three quick", "just within", "just outside", "last three", "slowly for ever"],
)
def test_fails_at_the_third_death_within_five_minutes(deaths_at, is_failing):
    clock = Clock()
    policy = RestartPolicy(clock)

    for at in deaths_at:
        clock.now = 1000.0 + at
        policy.died()

    assert policy.failing is is_failing


def test_a_smoke_answer_ends_failing_until_the_next_death_in_the_window():
    policy = RestartPolicy(Clock())
    for _ in range(3):
        policy.died()

    policy.smoke_answered()

    assert not policy.failing
    policy.died()
    assert policy.failing


def test_load_forecast_scales_with_the_file():
    forecast = LoadForecast()
    before = forecast.total_seconds(8_000_000_000)

    forecast.measured(4_000_000_000, 42.0)

    assert 60 < before < 120
    assert forecast.total_seconds(4_000_000_000) == pytest.approx(42.0)
    assert forecast.total_seconds(8_000_000_000) == pytest.approx(82.0)


def test_small_file_says_nothing_about_the_disk():
    forecast = LoadForecast()

    forecast.measured(3_000_000, 2.0)

    assert forecast.total_seconds(3_000_000) == pytest.approx(2.0)
    assert forecast.total_seconds(8_000_000_000) < 120


def test_late_load_is_still_expected_to_take_time():
    forecast = LoadForecast()
    forecast.measured(1000, 4.0)

    assert forecast.left_seconds(1000, 1.0) == pytest.approx(3.0)
    assert forecast.left_seconds(1000, 40.0) == pytest.approx(10.0)
    assert forecast.left_seconds(1000, 3.9) > 0


def ask_for(watchdog, clock, seconds):
    """Ask every half second as the real owner does; the first verdict counts."""
    for _ in range(int(seconds * 2)):
        clock.now += 0.5
        if verdict := watchdog.verdict():
            return verdict
    return None


def test_load_may_take_its_time_but_no_longer():
    clock = Clock()
    watchdog = Watchdog(30.0, clock)

    assert ask_for(watchdog, clock, 30) is None
    assert ask_for(watchdog, clock, 1) is Stuck.LOAD


def test_slow_load_before_the_first_heartbeat_is_not_silence():
    clock = Clock()
    watchdog = Watchdog(300.0, clock)
    watchdog.heard()

    assert ask_for(watchdog, clock, 60) is None


def test_silence_after_a_heartbeat_is_stuck():
    clock = Clock()
    watchdog = Watchdog(300.0, clock)
    watchdog.heartbeat(0.0, 0.0)
    ask_for(watchdog, clock, 9)
    watchdog.heard()

    assert ask_for(watchdog, clock, 10) is None
    assert ask_for(watchdog, clock, 1) is Stuck.SILENT


@pytest.mark.parametrize(
    ("step", "predicted", "verdict"),
    [(9.9, 0.01, None), (10.1, 0.01, Stuck.STEP), (19.9, 1.0, None), (20.1, 1.0, Stuck.STEP), (0.0, 0.0, None)],
    ids=["short", "long", "long as predicted", "far beyond prediction", "idle"],
)
def test_step_is_stuck_far_beyond_its_prediction(step, predicted, verdict):
    clock = Clock()
    watchdog = Watchdog(300.0, clock)
    watchdog.loaded()

    watchdog.heartbeat(step, predicted)

    assert watchdog.verdict() is verdict


def test_own_pause_is_not_held_against_the_engine():
    clock = Clock()
    watchdog = Watchdog(30.0, clock)
    watchdog.heartbeat(0.0, 0.0)

    clock.now += 3600

    assert watchdog.verdict() is None
    assert ask_for(watchdog, clock, 9) is None
    assert ask_for(watchdog, clock, 2) is Stuck.SILENT
