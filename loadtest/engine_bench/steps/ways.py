"""Ways to compute one step, and in which turns they are measured.

They differ in nothing but the order of the batch's rows, from which llama.cpp makes its graphs
(`chatbot.llm.engine.batching.steps.graphs`).
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.llm.engine.batching.steps.graphs import GraphCosts, Rows, in_order

ONE: Final = "one"
ONE_AGAIN: Final = "one again"
ALONE: Final = "alone"
CHOSEN: Final = "chosen"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        cells: That each answer's sequence has when the step begins.
        rounds: Of which ratios are made.
        passes: Of each way in a round; their median is the round's figure.
    """

    cells: int
    rounds: int
    passes: int


def ways_of(rows: int, cells: int, costs: GraphCosts) -> dict[str, list[int]]:
    """Orders of the streams of a step; neighbours that follow each other upwards are one graph.

    Where the engine makes one graph there is nothing of its own to measure, and one row can only be one graph.
    """
    upwards = list(range(rows))
    ways = {ONE: upwards, ONE_AGAIN: upwards}
    if rows > 1:
        ways[ALONE] = upwards[::-1]
    chosen = in_order([Rows(number, cells, 1) for number in upwards], costs)
    if chosen not in ways.values():
        ways[CHOSEN] = chosen
    return ways


def parts_of(order: Sequence[int]) -> list[int]:
    """Rows of each graph that llama.cpp makes of neighbouring streams in this order."""
    sizes: list[int] = []
    for place, number in enumerate(order):
        if place and number == order[place - 1] + 1:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return sizes


def times_of(
    ways: Mapping[str, Sequence[int]], plan: Plan, seconds: Callable[[Sequence[int]], float]
) -> dict[str, list[float]]:
    """A figure per way and round: the median of its passes, seconds. Whose turn comes first changes with every pass."""
    names = list(ways)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(plan.rounds):
        passes: dict[str, list[float]] = {name: [] for name in names}
        for index in range(plan.passes):
            shift = (number + index) % len(names)
            for name in names[shift:] + names[:shift]:
                passes[name].append(seconds(ways[name]))
        for name in names:
            found[name].append(statistics.median(passes[name]))
    return found
