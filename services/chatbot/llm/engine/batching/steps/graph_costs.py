"""What a graph costs on this machine: measured when a model has been loaded, before it answers anybody.

The rows of a graph do not cost alike: a kernel that multiplies one row is none that multiplies two. Two answers of F16
weights cost an AVX2 CPU three times one answer in one graph, and twice one in two graphs; of Q8_0, seven cost more than
eight. The next CPU, the next format and the next llama.cpp differ, so it is looked at and not looked up.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from chatbot.llm.engine.native.batch import Batch
from chatbot.llm.engine.native.model import DECODE_OK, Context
from chatbot.llm.engine.native.sizing import Sizes

_MOST_STREAMS: Final = 8
_PASSES: Final = 3
_MOST_SECONDS: Final = 1.0
"""Of all passes, beside the first two: one to allocate, and one that counts."""
_LONGEST_SECONDS: Final = 0.05
"""Of a graph of one row; measuring a slower model would keep it from its work, a second and more."""


def measured(context: Context, sizes: Sizes, clock: Callable[[], float] = time.perf_counter) -> GraphCosts:
    """Compute graphs of one row to eight, and forget them; the best pass counts, neighbours only add time.

    Args:
        context: Empty, and empty again afterwards.
        sizes: Of that context.
        clock: Seconds.
    """
    times: dict[int, float] = {}
    spent = 0.0
    for number in range(_PASSES + 1):  # the first one allocates
        for streams in range(1, min(_MOST_STREAMS, sizes.sequences) + 1):
            seconds = _seconds(context, streams, clock)
            if seconds is None or seconds > _LONGEST_SECONDS * streams:
                return GraphCosts(sizes.graph_cells)
            times[streams] = min(seconds, times.get(streams, seconds))
            spent += seconds
        if number and spent > _MOST_SECONDS:
            break
    return GraphCosts(sizes.graph_cells, [seconds / times[1] for seconds in times.values()])


def _seconds(context: Context, streams: int, clock: Callable[[], float]) -> float | None:
    """Of a graph with the first row of each; None where llama.cpp refuses."""
    batch = Batch(streams)
    for number in range(streams):
        batch.add(np.zeros(1, np.int32), 0, number, output=True)
    began = clock()
    code = context.decode(batch)
    seconds = clock() - began
    for number in range(streams):
        context.cut(number, 0)
    return seconds if code == DECODE_OK else None
