"""In which graphs llama.cpp computes a step's rows, where each sequence has a stream of cells of its own.

It computes runs of neighbouring streams in one graph, as many rows of each as the one with the fewest has, and every
row scans as many cells as the longest of them has. It looks for the next neighbour in all that is left of the batch.
So graphs that are not to be joined come with the highest numbers first: the next neighbour has then been computed.

Source: `llama_batch_allocr::split_equal` of the vendored llama.cpp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LENT_SHARE: Final = 4  # a prompt's row costs that share of a graph more beside answers than among its own
_NEVER: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Rows:
    """What a stream adds to a step.

    Attributes:
        number: The stream's.
        length: Cells that it has.
        count: Rows; one of an answer, several of a prompt.
    """

    number: int
    length: int
    count: int


class GraphCosts:
    """What graphs cost, in cells that a row scans.

    Attributes:
        one: A graph of one row.
    """

    def __init__(self, one: int, shares: Sequence[float] = ()) -> None:
        """Take what was measured.

        Args:
            one: Cells whose scanning takes a row as long as a graph of its own.
            shares: What graphs of 1, 2, 3 … rows of as many streams take, in graphs of one row; those of more rows go
                on as the last ones grow. Nothing was measured: the number of rows makes no difference.
        """
        self.one = one
        self._measured = [round(one * share) for share in shares] or [one]
        half = len(self._measured) // 2
        self._growth = (self._measured[-1] - self._measured[half]) // max(1, len(self._measured) - 1 - half)
        self._worth: dict[int, int] = {}

    def of(self, streams: int) -> int:
        """A graph with one row of each of so many streams."""
        more = streams - len(self._measured)
        return self._measured[streams - 1] if more <= 0 else self._measured[-1] + more * self._growth

    def worth_joining(self, streams: int) -> int:
        """How much more so many streams cost in the best graphs than in one; below 0 where one is not the best."""
        if streams not in self._worth:
            least = [0]  # of so many streams, however they are parted
            for end in range(1, streams):
                least.append(min(least[start] + self.of(end - start) for start in range(end)))
            parted = min((least[start] + self.of(streams - start) for start in range(1, streams)), default=_NEVER)
            self._worth[streams] = parted - self.of(streams)
        return self._worth[streams]


def in_order(rows: Sequence[Rows], costs: GraphCosts) -> list[int]:
    """The places of what is computed, in the order that makes the graphs that cost least together.

    Args:
        rows: Of each stream that takes part.
        costs: What a graph costs.
    """
    places = sorted(range(len(rows)), key=lambda place: rows[place].number)
    runs: list[list[int]] = []
    for place in places:
        if runs and rows[runs[-1][-1]].number + 1 == rows[place].number:
            runs[-1].append(place)
        else:
            runs.append([place])
    graphs = [graph for run in runs for graph in _parted(run, [rows[place] for place in run], costs)]
    return [place for graph in reversed(graphs) for place in graph]


def _parted(places: list[int], run: list[Rows], costs: GraphCosts) -> list[list[int]]:
    """Neighbours in the graphs that cost least together, by what the first of them cost at least."""
    longest = max(one.length for one in run)
    if all(one.count == 1 for one in run):
        waste = sum(longest - one.length for one in run)
        if waste <= costs.worth_joining(len(run)):
            return [places]
    least, starts = [0], [0]
    for end in range(1, len(run) + 1):
        cost, start = min((least[start] + _cost(run[start:end], costs), start) for start in range(end))
        least.append(cost)
        starts.append(start)
    parts: list[list[int]] = []
    end = len(run)
    while end:
        parts.insert(0, places[starts[end] : end])
        end = starts[end]
    return parts


def _cost(joined: list[Rows], costs: GraphCosts) -> int:
    """Of neighbours that come one after the other, in cells.

    Where a prompt lies between answers its first row joins theirs, and the others are a graph of their own.
    """
    longest = max(one.length for one in joined)
    count = joined[0].count
    if all(one.count == count for one in joined):
        return (costs.of(len(joined)) if count == 1 else costs.one) + longest * count * len(joined)
    lent = [one for one in joined if one.count > 1]
    left = sum(costs.one + costs.one // _LENT_SHARE + one.length * (one.count - 1) for one in lent)
    return costs.of(len(joined)) + longest * len(joined) + left
