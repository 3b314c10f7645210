"""The totals of `GET /performance`."""

import pytest
from chatbot.core.admission import Line
from chatbot.core.performance import WINDOW, Statistics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def statistics() -> tuple[Statistics, Clock]:
    clock = Clock()
    line = Line(depth=3, running=2, slots=8, max_waiting=512, predicted_wait_seconds=1.0)
    return Statistics("office", lambda: line, clock=clock), clock


def test_says_nothing_false_before_the_first_request() -> None:
    counted, _ = statistics()

    snapshot = counted.snapshot()

    assert (snapshot.total_requests, snapshot.success_rate, snapshot.avg_response_time) == (0, 100.0, 0.0)


def test_counts_what_started_and_what_ended() -> None:
    counted, clock = statistics()
    for _ in range(4):
        counted.started()
    counted.ended(True, 1.0)
    counted.ended(True, 2.0)
    counted.ended(False, 60.0)
    clock.now = 160.0

    snapshot = counted.snapshot()

    assert (snapshot.successful_requests, snapshot.failed_requests, snapshot.active_requests) == (2, 1, 1)
    assert snapshot.success_rate == pytest.approx(66.67)
    assert snapshot.avg_response_time == 1.5
    assert snapshot.uptime_seconds == 60.0
    assert (snapshot.service_type, snapshot.max_concurrent, snapshot.queue_size) == ("office", 8, 3)


def test_average_forgets_the_old() -> None:
    counted, _ = statistics()
    for seconds in [100.0] * 10 + [1.0] * WINDOW:
        counted.started()
        counted.ended(True, seconds)

    assert counted.snapshot().avg_response_time == 1.0
