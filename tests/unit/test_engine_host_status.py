"""What is said of the served model: state, reason, readiness; and the numbers that survive an engine process."""

from datetime import UTC, datetime, timedelta

import pytest
from chatbot.domain.model import ModelReason, ModelState
from chatbot.llm.supervision.engine_stats import EngineStats
from chatbot.llm.supervision.model_file import Fault
from chatbot.llm.supervision.status_board import StatusBoard

OLD, NEW = "0" * 16, "f" * 16
FAULT = Fault(ModelReason.LOAD_FAILED, "It does not load: download it again.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def utc_now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)


@pytest.fixture
def clock():
    return Clock()


def board_serving(clock, ready_during_swap=False):
    board = StatusBoard(ready_during_swap, clock, clock.utc_now)
    board.expect(OLD)
    board.serving(OLD, 50.0, is_expected=True)
    return board


def told(board):
    status = board.status
    return status.state, status.revision, status.expected, status.reason


def test_nothing_configured_is_no_model_and_not_ready(clock):
    board = StatusBoard(False, clock, clock.utc_now)

    board.no_model("Apply a Model.")

    assert told(board) == (ModelState.NO_MODEL, "", "", None)
    assert board.status.message == "Apply a Model."
    assert not board.ready


def test_first_start_is_ready_only_after_the_smoke_answer(clock):
    board = StatusBoard(True, clock, clock.utc_now)

    board.expect(OLD)
    assert told(board) == (ModelState.LOADING, "", OLD, None)
    assert not board.ready
    board.serving(OLD, 50.0, is_expected=True)

    assert told(board) == (ModelState.SERVING, OLD, OLD, None)
    assert board.status.tokens_per_second == 50.0
    assert board.ready


@pytest.mark.parametrize("ready_during_swap", [True, False])
def test_planned_swap_is_ready_only_where_that_is_set(clock, ready_during_swap):
    board = board_serving(clock, ready_during_swap)

    board.expect(NEW)
    board.swap_begins()
    draining = board.ready, told(board)
    board.engine_down()
    loading = board.ready, told(board)
    board.serving(NEW, 60.0, is_expected=True)

    assert draining == (ready_during_swap, (ModelState.SWAPPING, OLD, NEW, None))
    assert loading == (ready_during_swap, (ModelState.SWAPPING, "", NEW, None))
    assert board.ready
    assert told(board) == (ModelState.SERVING, NEW, NEW, None)


def test_swap_that_went_back_is_failed_but_ready(clock):
    board = board_serving(clock)
    board.expect(NEW)
    board.swap_begins()
    board.engine_down()

    board.failed(FAULT, going_back=True)
    assert not board.ready
    board.serving(OLD, 50.0, is_expected=False)

    assert told(board) == (ModelState.FAILED, OLD, NEW, ModelReason.LOAD_FAILED)
    assert board.status.message == FAULT.message
    assert board.ready


def test_next_wanted_revision_clears_the_fault(clock):
    board = board_serving(clock)
    board.expect(NEW)
    board.failed(FAULT, going_back=True)
    board.serving(OLD, 50.0, is_expected=False)

    board.expect(OLD)
    board.serving(OLD, 50.0, is_expected=True)

    assert told(board) == (ModelState.SERVING, OLD, OLD, None)
    assert board.status.message == ""


def test_dead_engine_is_ready_for_a_minute(clock):
    board = board_serving(clock)
    clock.now = 100

    board.engine_lost(crashing=False)
    at_once = board.ready
    clock.now = 159
    board.engine_lost(crashing=False)  # it died again while it loaded: the minute goes on
    after_59 = board.ready
    clock.now = 161

    assert (at_once, after_59, board.ready) == (True, True, False)
    assert told(board) == (ModelState.LOADING, "", OLD, None)
    assert board.status.engine_restarts == 2


def test_third_crash_is_not_ready_until_a_smoke_answer(clock):
    board = board_serving(clock)

    board.engine_lost(crashing=True)
    board.failed(Fault(ModelReason.ENGINE_CRASHED, "Look."), going_back=False)
    assert not board.ready
    assert told(board) == (ModelState.FAILED, "", OLD, ModelReason.ENGINE_CRASHED)
    board.serving(OLD, 50.0, is_expected=True)

    assert board.ready
    assert told(board) == (ModelState.SERVING, OLD, OLD, None)


def test_ready_during_swap_ends_where_nothing_can_be_served(clock):
    board = board_serving(clock, ready_during_swap=True)
    board.expect(NEW)
    board.swap_begins()
    board.engine_down()

    board.engine_lost(crashing=True)

    assert not board.ready


def test_since_moves_only_with_state_or_revision(clock):
    board = board_serving(clock)
    before = board.status.since

    clock.now = 50
    board.serving(OLD, 55.0, is_expected=True)
    assert board.status.since == before
    board.expect(NEW)

    assert board.status.since == before + timedelta(seconds=50)


def test_counters_grow_over_engine_processes_and_gauges_do_not():
    stats = EngineStats()

    stats.update({"steps": 10.0, "active": 3.0})
    stats.process_ended()
    assert stats.totals() == {"steps": 10.0}
    stats.update({"steps": 4.0, "active": 1.0})

    assert stats.totals() == {"steps": 14.0, "active": 1.0}


def test_counter_that_fell_belongs_to_a_new_process():
    stats = EngineStats()

    stats.update({"steps": 10.0})
    stats.update({"steps": 2.0})

    assert stats.totals() == {"steps": 12.0}
