"""Which rows are computed in one graph: as llama.cpp splits a batch of streams, and as it costs least."""

from collections.abc import Iterable

import pytest
from chatbot.llm.engine.batching.steps.graphs import GraphCosts, Rows, in_order
from hypothesis import given
from hypothesis import strategies as st

Run = tuple[int, int, int]
"""Stream, tokens it has, rows that it adds."""


F16 = [1, 3, 3.2, 3.6, 3.9, 4.2, 4.7, 5]
"""What graphs of one to eight rows took, in graphs of one row: F16 weights, AVX2."""
Q8_0 = [1, 3, 4.4, 4, 5.4, 5, 6.4, 4.8]
"""The same of Q8_0 weights."""


def ordered(runs: list[Run], graph_cells: int, shares: Iterable[float] = ()) -> list[tuple[int, int]]:
    rows = [Rows(*run) for run in runs]
    places = in_order(rows, GraphCosts(graph_cells, tuple(shares)))
    return [(rows[place].number, rows[place].count) for place in places]


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


@pytest.mark.parametrize("reader", [0, 3])
def test_a_prompt_beside_answers_is_a_graph_of_its_own(reader: int) -> None:
    runs = [(number, 3000, 150 if number == reader else 1) for number in range(4)]

    made = graphs(ordered(runs, 1000))

    assert [(reader, 150)] in made
    assert sum(len(graph) for graph in made) == 4, "no row of the prompt is computed with the answers"


@pytest.mark.parametrize("reader", range(2, 6))
def test_a_prompt_between_answers_lends_its_first_row_to_keep_them_together(reader: int) -> None:
    runs = [(number, 200, 150 if number == reader else 1) for number in range(8)]

    made = graphs(ordered(runs, 2000, F16))

    assert made == [[(number, 1) for number in range(8)], [(reader, 149)]]


def test_a_long_prompt_lends_nothing_to_answers_that_would_scan_its_cells() -> None:
    runs = [(number, 6000 if number == 3 else 200, 150 if number == 3 else 1) for number in range(8)]

    assert [(3, 150)] in graphs(ordered(runs, 2000, F16))


@pytest.mark.parametrize(
    ("streams", "shares", "parts"),
    [(2, F16, [1, 1]), (3, F16, [1, 1, 1]), (4, F16, [4]), (7, F16, [7]), (3, Q8_0, [1, 1, 1]), (8, Q8_0, [8])],
)
def test_answers_are_parted_where_more_graphs_cost_less(streams: int, shares: list[float], parts: list[int]) -> None:
    made = graphs(ordered([(number, 200, 1) for number in range(streams)], 2000, shares))

    assert sorted(len(graph) for graph in made) == parts


@given(st.lists(st.floats(0.1, 20), min_size=1, max_size=8), st.integers(1, 12))
def test_no_parting_of_like_answers_costs_less_than_what_is_made(shares: list[float], streams: int) -> None:
    costs = GraphCosts(1000, [1, *shares])
    least = [0]
    for end in range(1, streams + 1):
        least.append(min(least[start] + costs.of(end - start) for start in range(end)))

    made = graphs(ordered([(number, 0, 1) for number in range(streams)], 1000, [1, *shares]))

    assert sum(costs.of(len(graph)) for graph in made) == least[streams]


def test_prompts_of_neighbours_with_equally_many_rows_are_one_graph() -> None:
    batch = ordered([(0, 1000, 1), (1, 1000, 61), (2, 1000, 61), (3, 1000, 1)], 100_000)

    assert sorted(graphs(batch)) == [[(0, 1)], [(1, 61), (2, 61)], [(3, 1)]]


@given(st.dictionaries(st.integers(0, 11), st.tuples(st.integers(0, 8000), st.sampled_from([1, 1, 60, 150]))))
def test_whatever_runs_every_row_is_computed_and_an_answer_never_twice(runs: dict[int, tuple[int, int]]) -> None:
    batch = ordered([(number, length, count) for number, (length, count) in runs.items()], 3000, F16)

    made = graphs(batch)

    assert sorted(batch) == sorted((number, count) for number, (_length, count) in runs.items())
    assert sum(rows for graph in made for _number, rows in graph) == sum(count for _length, count in runs.values())
    assert all(dict(batch)[number] > 1 for graph in made for number, rows in graph if rows > 1)


@given(st.dictionaries(st.integers(0, 11), st.integers(0, 8000)), st.integers(0, 20_000))
def test_whoever_answers_neither_one_graph_nor_one_each_costs_less(runs: dict[int, int], graph_cells: int) -> None:
    picked = [(number, length, 1) for number, length in runs.items()]
    lengths = {number: length for number, length, _count in picked}

    batch = ordered(picked, graph_cells)

    ours = cost(batch, lengths, graph_cells)
    ascending = cost(sorted(batch), lengths, graph_cells)
    each_alone = cost(sorted(batch, reverse=True), lengths, graph_cells)
    assert ours <= min(ascending, each_alone)
