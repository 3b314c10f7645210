"""Which prompts a step reads, and how much of each."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.steps.chunks import chunks
from hypothesis import given
from hypothesis import strategies as st


@dataclass
class Reader:
    """As much of a generation as the choice looks at."""

    pending: Any


def readers(*lengths: int) -> list[Generation]:
    return cast(list[Generation], [Reader(np.zeros(length, np.int32)) for length in lengths])


@pytest.mark.parametrize(
    ("lengths", "room", "read"),
    [
        ((200,), 160, [200]),  # a third longer, instead of a step more for 40 rows
        ((241,), 160, [121]),  # not half as long again: two alike
        ((300,), 220, [150]),  # nor where the batch has no rows for it
        ((500,), 220, [167]),
        ((200, 200), 256, [200]),  # 56 rows of the next one would be a graph of their own
        ((150, 200), 256, [150, 100]),
        ((150, 100), 256, [150, 100]),
        ((100, 230), 160, [100]),
        ((200, 20), 160, [20, 200]),
        ((20, 30, 200), 256, [20, 30, 200]),  # whole ones, however short
        ((6000, 20), 160, [20, 140]),
        ((6000, 40, 40), 160, [40, 120]),  # no more than a quarter for short ones beside a long one
        ((40, 40, 40, 40), 256, [40, 40, 40]),  # three at once
        ((200,), 32, [29]),  # what a slow machine can take
        ((200, 200), 0, []),
    ],
)
def test_reads_what_costs_least(lengths: tuple[int, ...], room: int, read: list[int]) -> None:
    assert [count for _generation, count in chunks(readers(*lengths), room, 256)] == read


def test_without_balance_a_rest_is_left_to_a_step_of_its_own() -> None:
    assert [count for _generation, count in chunks(readers(200), 190, 256, are_alike=False)] == [190]
    assert [count for _generation, count in chunks(readers(200), 190, 256)] == [200]


@given(st.lists(st.integers(2, 9000), max_size=9), st.integers(1, 512), st.integers(0, 256))
def test_somebody_is_always_read_and_nothing_beyond_the_batch(lengths: list[int], room: int, more: int) -> None:
    picked = chunks(readers(*lengths), room, room + more)

    rows = sum(count for _generation, count in picked)
    assert rows <= room + min(more, room // 2)
    assert all(0 < count <= len(generation.pending) for generation, count in picked)
    assert bool(picked) == bool(lengths)


@given(st.integers(65, 9000), st.integers(64, 256), st.integers(0, 256))
def test_no_prompt_leaves_a_few_rows_to_a_step_of_their_own(length: int, room: int, more: int) -> None:
    pieces: list[int] = []
    while (left := length - sum(pieces)) > 0:
        pieces.append(chunks(readers(left), room, room + more)[0][1])

    assert len(pieces) == 1 or min(pieces) >= room // 2
