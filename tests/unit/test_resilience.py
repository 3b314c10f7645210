import pytest
from chatbot.domain.outside.breaker import BreakerOpen, BreakerPolicy, BreakerState, CircuitBreaker
from chatbot.llm.resilience import RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(BreakerPolicy(failures=3, open_seconds=10), clock=clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.attempt().failed()


def test_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED

    fail(breaker, 1)

    assert breaker.state is BreakerState.OPEN
    with pytest.raises(BreakerOpen) as refused:
        breaker.attempt()
    assert refused.value.retry_after_seconds == 10


def test_stays_closed_when_successes_lie_between(breaker: CircuitBreaker) -> None:
    for _ in range(10):
        fail(breaker, 2)
        breaker.attempt().succeeded()

    assert breaker.state is BreakerState.CLOSED


def test_lets_one_call_through_when_half_open(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10

    probe = breaker.attempt()

    with pytest.raises(BreakerOpen):
        breaker.attempt()
    probe.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_one_failed_probe_opens_again(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10

    breaker.attempt().failed()

    assert breaker.state is BreakerState.OPEN
    clock.now += 10
    assert breaker.state is BreakerState.HALF_OPEN


def test_probe_is_given_back_when_the_client_left(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    probe = breaker.attempt()

    probe.release()
    probe.release()

    breaker.attempt().succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_release_after_a_verdict_gives_no_second_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    first = breaker.attempt()
    first.failed()
    clock.now += 10
    breaker.attempt()

    first.release()

    with pytest.raises(BreakerOpen):
        breaker.attempt()


def test_calls_from_before_neither_close_nor_lengthen_the_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    early = [breaker.attempt() for _ in range(3)]
    fail(breaker, 3)
    clock.now += 9

    early[0].succeeded()
    early[1].failed()

    assert breaker.state is BreakerState.OPEN
    clock.now += 1
    assert breaker.state is BreakerState.HALF_OPEN


def test_pause_that_the_server_asked_for_is_kept(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.attempt().refused(42.5)

    with pytest.raises(BreakerOpen) as refused:
        breaker.check()
    assert refused.value.retry_after_seconds == 43
    clock.now += 42.5
    breaker.check()


def test_reset_closes(breaker: CircuitBreaker) -> None:
    breaker.attempt().refused(300)

    breaker.reset()

    breaker.attempt().succeeded()


def test_retries_stay_within_a_tenth_of_requests() -> None:
    budget = RetryBudget()
    retries = 0

    for _ in range(1000):
        budget.earn()
        retries += budget.spend()

    assert 95 <= retries <= 101


def test_saved_retries_are_bounded() -> None:
    budget = RetryBudget(share=0.1, most=10)
    for _ in range(10_000):
        budget.earn()

    assert sum(budget.spend() for _ in range(100)) == 10
