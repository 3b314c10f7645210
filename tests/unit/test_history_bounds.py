"""What is kept of a conversation."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from chatbot.adapters.history_bounds import GRACE, TOMBSTONE, HistoryBounds, stored_time, turn_bytes
from chatbot.domain.chat import Turn
from chatbot.server.settings.engine import GenerationSettings
from chatbot.server.settings.history import HistorySettings
from chatbot.server.settings.serving import QueueSettings
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("sizes", "surplus"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([10], 0, id="one"),
        pytest.param([500], 0, id="one that is too large stays"),
        pytest.param([10, 500], 1, id="a large newest pushes all others out"),
        pytest.param([60, 40], 0, id="exactly full"),
        pytest.param([60, 41], 1, id="one byte too much"),
        pytest.param([1, 1, 1, 1], 1, id="one turn too many"),
        pytest.param([1, 90, 9, 1], 1, id="turns bind before bytes"),
        pytest.param([1, 90, 9, 2], 2, id="bytes bind after turns"),
        pytest.param([1, 500, 1], 2, id="no hole: nothing older than a dropped turn stays"),
    ],
)
def test_oldest_turns_go_first(sizes: list[int], surplus: int) -> None:
    assert HistoryBounds(max_turns=3, max_bytes=100).surplus(sizes) == surplus


@given(st.lists(st.integers(0, 300)), st.integers(1, 20), st.integers(1, 1000))
def test_what_is_kept_fits_and_nothing_more_would(sizes: list[int], max_turns: int, max_bytes: int) -> None:
    surplus = HistoryBounds(max_turns, max_bytes).surplus(sizes)

    kept = sizes[surplus:]
    assert len(kept) <= max_turns
    assert len(kept) <= 1 or sum(kept) <= max_bytes
    assert bool(kept) == bool(sizes)
    if surplus:
        assert len(kept) == max_turns or sum(sizes[surplus - 1 :]) > max_bytes


def test_size_counts_utf8_bytes_of_question_and_answer() -> None:
    assert turn_bytes(Turn("t", "안녕", "hé", datetime.now(UTC))) == 6 + 3


def test_times_are_cut_to_milliseconds_in_utc() -> None:
    seoul = datetime(2026, 1, 1, 9, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=9)))

    assert stored_time(seoul) == datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)


def test_erasure_is_remembered_longer_than_any_request_may_last() -> None:
    longest = sum(
        next(bound.le for bound in section.model_fields["timeout_seconds"].metadata if hasattr(bound, "le"))
        for section in (QueueSettings, GenerationSettings)
    )

    assert TOMBSTONE.total_seconds() > longest
    assert GRACE.total_seconds() > longest


def test_defaults_are_those_of_the_settings() -> None:
    settings = HistorySettings()

    assert HistoryBounds() == HistoryBounds(settings.max_turns, settings.max_bytes, settings.ttl_seconds)
