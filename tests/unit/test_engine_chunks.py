"""Which prompts a step reads, and how much of each."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.steps.chunks import NOTHING_READ, Round, chunks, n_rows, together
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
        ((6000, 69), 160, [69, 91]),  # a second turn beside a document
        ((6000, 40, 40), 160, [40, 40, 80]),
        ((6000, 80, 80), 160, [80, 80]),  # no more than half for quick ones beside a long one
        ((6000, 300, 69), 160, [69, 91]),  # the quickest first
        ((6000, 1600), 160, [158]),  # which is not quick
        ((40, 40, 40, 40), 256, [40, 40, 40]),  # three at once
        ((200,), 32, [29]),  # what a slow machine can take
        ((6000, 69), 32, [14, 18]),
        ((200, 200), 0, []),
        ((), 256, []),
    ],
)
def test_reads_what_costs_least(lengths: tuple[int, ...], room: int, read: list[int]) -> None:
    assert [count for _generation, count in chunks(readers(*lengths), room, 256)] == read


def test_without_balance_a_rest_is_left_to_a_step_of_its_own() -> None:
    assert [count for _generation, count in chunks(readers(200), 190, 256, are_alike=False)] == [190]
    assert [count for _generation, count in chunks(readers(200), 190, 256)] == [200]


@given(st.lists(st.integers(2, 9000), max_size=9), st.integers(1, 512), st.integers(0, 256))
def test_the_first_is_always_read_and_nothing_beyond_the_batch(lengths: list[int], room: int, more: int) -> None:
    reading = readers(*lengths)
    picked = chunks(reading, room, room + more)

    rows = sum(count for _generation, count in picked)
    assert rows <= room + min(more, room // 2)
    assert all(0 < count <= len(generation.pending) for generation, count in picked)
    assert not reading or any(generation is reading[0] for generation, _count in picked)


@given(
    st.lists(st.lists(st.integers(2, 2000), max_size=3), min_size=1, max_size=12),
    st.integers(1, 512),
    st.integers(0, 256),
)
def test_whoever_comes_while_a_round_is_read_makes_it_no_longer_and_takes_nothing_from_the_oldest(
    arrivals: list[list[int]], room: int, more: int
) -> None:
    reading, so_far = readers(6000), NOTHING_READ
    oldest = reading[0]
    for lengths in [*arrivals, *[[]] * 600]:
        reading += readers(*lengths)
        call = together(chunks(reading, room, room + more, so_far=so_far))
        if not call:
            break
        so_far = Round(so_far.rows + n_rows(call), so_far.has_begun or any(one is oldest for one, _count in call))
        for one, count in call:
            one.pending = one.pending[count:]  # type: ignore[misc]
        reading = [one for one in reading if len(one.pending) > 1]

    assert not call
    assert so_far.has_begun
    assert so_far.rows <= room * 3 // 2


@pytest.mark.parametrize(
    ("picked", "call"),
    [
        ((69, 69, 69), [69]),
        ((20, 20, 20), [20, 20, 20]),  # few rows cost nearly as much as many
        ((40, 40, 40), [40, 40]),
        ((20, 69), [20]),
        ((), []),
    ],
)
def test_prompts_come_one_after_the_other_and_few_rows_together(picked: tuple[int, ...], call: list[int]) -> None:
    chosen = [(reader, len(reader.pending)) for reader in readers(*picked)]

    assert [count for _generation, count in together(chosen)] == call


@given(st.integers(65, 9000), st.integers(64, 256), st.integers(0, 256))
def test_no_prompt_leaves_a_few_rows_to_a_step_of_their_own(length: int, room: int, more: int) -> None:
    pieces: list[int] = []
    while (left := length - sum(pieces)) > 0:
        pieces.append(chunks(readers(left), room, room + more)[0][1])

    assert len(pieces) == 1 or min(pieces) >= room // 2
