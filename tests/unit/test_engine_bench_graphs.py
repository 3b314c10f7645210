"""The bench of the engine's graphs: which ways of a step there are, whose turn it is, and what is said of them."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from engine_bench.model_file import SHAPES, Shape, make_model
from engine_bench.results.ratios import NO_DIFFERENCE
from engine_bench.steps.graph_table import rows_of, write_graphs
from engine_bench.steps.ways import ALONE, CHOSEN, ONE, ONE_AGAIN, Plan, parts_of, times_of, ways_of

TWO_COST_MORE = GraphCosts(100, [1, 3, 3.2, 3.6, 3.9, 4.2, 4.7, 5])
PAIRS_COST_LEAST = GraphCosts(100, [1, 1.1, 9, 9, 9, 9, 9, 9])


def step(rows: int, parts: list[int], **seconds: list[float]) -> dict[str, Any]:
    return {"rows": rows, "parts": parts, "seconds": {name.replace("_", " "): each for name, each in seconds.items()}}


def measured(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"model": "small", "threads": 1, "cells": 200, "load_average": 0.5, "steps": list(steps)}]


@pytest.mark.parametrize(
    ("order", "sizes"),
    [([0], [1]), ([0, 1, 2], [3]), ([2, 1, 0], [1, 1, 1]), ([2, 3, 0, 1], [2, 2]), ([1, 2, 3, 0], [3, 1])],
)
def test_neighbours_that_follow_upwards_are_one_graph(order: list[int], sizes: list[int]) -> None:
    assert parts_of(order) == sizes


def test_what_is_measured_once_is_not_measured_under_another_name() -> None:
    two, eight, pairs = (
        ways_of(2, 200, TWO_COST_MORE),
        ways_of(8, 200, TWO_COST_MORE),
        ways_of(4, 200, PAIRS_COST_LEAST),
    )

    assert two == {ONE: [0, 1], ONE_AGAIN: [0, 1], ALONE: [1, 0]}
    assert eight == {ONE: list(range(8)), ONE_AGAIN: list(range(8)), ALONE: list(range(8))[::-1]}
    assert pairs[CHOSEN] == [2, 3, 0, 1]
    assert ways_of(1, 200, TWO_COST_MORE) == {ONE: [0], ONE_AGAIN: [0]}


def test_each_way_comes_first_as_often_as_the_others_and_its_figure_is_a_median() -> None:
    turns: list[str] = []
    takes = iter([9.0, 1.0, 5.0] * 6)

    def seconds(order: list[str]) -> float:
        turns.append(order[0])
        return next(takes)

    found = times_of({"a": ["a"], "b": ["b"], "c": ["c"]}, Plan(200, 2, 3), seconds)  # type: ignore[dict-item, arg-type]

    assert [turns[number] for number in range(0, len(turns), 3)] == ["a", "b", "c", "b", "c", "a"]
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 2, "b": 2, "c": 2}
    assert all(value == 5.0 for rounds in found.values() for value in rounds)


def test_a_row_says_whether_the_engine_takes_the_cheaper_graphs() -> None:
    again = {"one": [2.0, 2.0, 4.0], "one_again": [2.0, 2.1, 3.9]}
    parted, joined, neither, alone = rows_of(
        measured(
            step(2, [1, 1], alone=[1.0, 1.0, 2.0], **again),
            step(8, [8], alone=[1.0, 1.0, 2.0], **again),
            step(7, [6, 1], alone=[9.0, 9.0, 9.0], chosen=[2.0, 1.99, 4.0], **again),
            step(1, [1], **again),
        )
    )

    assert (parted["ratio"], parted["verdict"], parted["left"], parted["taken"]) == ([2, 2, 2], "better", ONE, ALONE)
    assert (joined["ratio"], joined["verdict"], joined["left"], joined["taken"]) == (
        [0.5, 0.5, 0.5],
        "worse",
        ALONE,
        ONE,
    )
    assert (neither["verdict"], neither["taken"]) == (NO_DIFFERENCE, CHOSEN)
    assert (alone["ratio"], alone["verdict"], alone["noise"]) == (None, "", [1.0, 0.975, 1.05])


def test_the_table_names_the_machine_and_goes_between_a_pages_marks(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- graphs: begin -->\nold\n<!-- graphs: end -->\nafter\n")
    machine = {"cpu": "test", "cores": 2, "commit": "abc", "is_dirty": True}
    found = measured(step(2, [1, 1], one=[0.01], one_again=[0.01], alone=[0.005]))

    text = write_graphs(tmp_path / "out", {"machine": machine, **vars_of(Plan(200, 1, 1)), "measured": found}, [page])

    assert "| small, 1 | 2 | 10.0 | 5.0 | 1 + 1 | 5.0 | 2.00 (2.00-2.00) | 1.00 (1.00-1.00) | better |" in text
    assert "load average 0.5-0.5; test, 2 cores" in text
    assert "commit abc, with changes" in text
    assert page.read_text() == f"before\n<!-- graphs: begin -->\n{text}<!-- graphs: end -->\nafter\n"
    assert json.loads((tmp_path / "out" / "graphs.json").read_text())["rows"][0]["parts"] == [1, 1]


def vars_of(plan: Plan) -> dict[str, int]:
    return {"cells": plan.cells, "rounds": plan.rounds, "passes": plan.passes}


def test_a_quantised_model_has_the_same_weights_in_another_format(tmp_path: Path) -> None:
    exact, small = (
        {tensor.name: tensor for tensor in gguf.GGUFReader(make_model(tmp_path / f"{kind}.gguf", shape)).tensors}
        for kind, shape in (("f16", SHAPES["tiny"]), ("q8", Shape(2, 128, 2048, weights="Q8_0")))
    )

    kinds = {tensor.tensor_type.name for tensor in small.values()}
    assert kinds == {"F32", "Q8_0"}
    output = gguf.quants.dequantize(small["output.weight"].data, gguf.GGMLQuantizationType.Q8_0)
    may_come = {token for token, row in enumerate(exact["output.weight"].data) if row[0] == 0}
    assert {token for token, row in enumerate(output) if abs(row[0]) < 1} == may_come
