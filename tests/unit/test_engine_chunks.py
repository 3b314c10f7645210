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
        ((200,), 160, [160]),
        ((200, 200), 256, [200]),  # 56 rows of the next one would be a graph of their own
        ((150, 200), 256, [150, 106]),
        ((20, 30, 200), 256, [20, 30, 200]),  # whole ones, however short
        ((6000, 20), 160, [20, 140]),
        ((6000, 40, 40), 160, [40, 120]),  # no more than a quarter for short ones beside a long one
        ((40, 40, 40, 40), 256, [40, 40, 40]),  # three at once
        ((200,), 32, [32]),  # what a slow machine can take
        ((200, 200), 0, []),
    ],
)
def test_reads_what_costs_least(lengths: tuple[int, ...], room: int, read: list[int]) -> None:
    assert [count for _generation, count in chunks(readers(*lengths), room)] == read


@given(st.lists(st.integers(2, 9000), max_size=9), st.integers(1, 512))
def test_somebody_is_always_read_and_nothing_beyond_the_room(lengths: list[int], room: int) -> None:
    picked = chunks(readers(*lengths), room)

    assert sum(count for _generation, count in picked) <= room
    assert all(0 < count <= len(generation.pending) for generation, count in picked)
    assert bool(picked) == bool(lengths)
