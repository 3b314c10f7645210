"""Which rows are computed in one graph: as llama.cpp splits a batch of streams, and as it costs least."""

from typing import Any, cast

import pytest
from chatbot.llm.engine.batching.streams import Streams
from chatbot.llm.engine.batching.tokens import Sequence
from chatbot.llm.engine.native.sizing import Sizes
from hypothesis import given
from hypothesis import strategies as st

Run = tuple[int, int, int]
"""Stream, tokens it has, rows that it adds."""


def ordered(runs: list[Run], graph_cells: int) -> list[tuple[int, int]]:
    sizes = Sizes(8192, 64, 64 * 8192, 160, 1, 64, 0, has_streams=True, graph_cells=graph_cells)
    picks = []
    for number, length, count in runs:
        sequence = Sequence(number)
        sequence.length = length
        picks.append((sequence, count))
    streams = Streams(cast(Any, None), sizes)
    return [(picks[place][0].number, picks[place][1]) for place in streams.order(picks)]


def graphs(batch: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Streams and rows of each graph that llama.cpp makes of a batch.

    Source: `llama_batch_allocr::split_equal`, sequential: from the first run that is left, whatever is the next
    neighbour further down comes along; of each so many rows as the one with the fewest has.
    """
    left, made = list(batch), []
    while left:
        taken = [left[0]]
        for run in left[1:]:
            if run[0] == taken[-1][0] + 1:
                taken.append(run)
        rows = min(count for _number, count in taken)
        made.append([(number, rows) for number, _count in taken])
        numbers = {number for number, _count in taken}
        left = [(number, count - rows if number in numbers else count) for number, count in left]
        left = [run for run in left if run[1]]
    return made


def cost(batch: list[tuple[int, int]], lengths: dict[int, int], graph_cells: int) -> int:
    return sum(
        graph_cells + sum(rows for _number, rows in graph) * max(lengths[number] for number, _rows in graph)
        for graph in graphs(batch)
    )


def test_neighbours_of_one_length_are_one_graph() -> None:
    batch = ordered([(number, 100, 1) for number in (2, 0, 3, 1)], 500)

    assert graphs(batch) == [[(0, 1), (1, 1), (2, 1), (3, 1)]]


def test_a_long_one_does_not_make_the_others_scan_its_cells() -> None:
    runs = [(0, 300, 1), (1, 300, 1), (2, 6000, 1), (3, 300, 1)]

    assert sorted(graphs(ordered(runs, 500))) == [[(0, 1), (1, 1)], [(2, 1)], [(3, 1)]]
    assert len(graphs(ordered(runs, 50_000))) == 1


@pytest.mark.parametrize("reader", range(4))
def test_a_prompt_is_a_graph_of_its_own_wherever_it_lies(reader: int) -> None:
    runs = [(number, 100, 150 if number == reader else 1) for number in range(4)]

    made = graphs(ordered(runs, 10_000))

    assert [(reader, 150)] in made
    assert sum(len(graph) for graph in made) == 4, "no row of the prompt is computed with the answers"


def test_prompts_of_neighbours_with_equally_many_rows_are_one_graph() -> None:
    batch = ordered([(0, 1000, 1), (1, 1000, 61), (2, 1000, 61), (3, 1000, 1)], 100_000)

    assert sorted(graphs(batch)) == [[(0, 1)], [(1, 61), (2, 61)], [(3, 1)]]


@given(st.dictionaries(st.integers(0, 11), st.tuples(st.integers(0, 8000), st.sampled_from([1, 1, 60, 150]))))
def test_whatever_runs_no_answer_waits_in_the_graph_of_a_prompt(runs: dict[int, tuple[int, int]]) -> None:
    batch = ordered([(number, length, count) for number, (length, count) in runs.items()], 3000)

    assert sorted(batch) == sorted((number, count) for number, (_length, count) in runs.items())
    assert all(rows == dict(batch)[number] for graph in graphs(batch) for number, rows in graph)


@given(st.dictionaries(st.integers(0, 11), st.integers(0, 8000)), st.integers(0, 20_000))
def test_whoever_answers_neither_one_graph_nor_one_each_costs_less(runs: dict[int, int], graph_cells: int) -> None:
    picked = [(number, length, 1) for number, length in runs.items()]
    lengths = {number: length for number, length, _count in picked}

    batch = ordered(picked, graph_cells)

    ours = cost(batch, lengths, graph_cells)
    ascending = cost(sorted(batch), lengths, graph_cells)
    each_alone = cost(sorted(batch, reverse=True), lengths, graph_cells)
    assert ours <= min(ascending, each_alone)
