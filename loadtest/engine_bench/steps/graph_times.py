"""What a step of 1 to 8 answers takes as one graph, as a graph each, and as the engine parts it.

    python -m engine_bench.steps.graph_times MODEL THREADS CELLS ROUNDS PASSES

Prints one JSON object. The ways are computed by turns (`engine_bench.steps.ways`).
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from chatbot.llm.engine.batching.steps.graph_costs import measured
from chatbot.llm.engine.batching.steps.graphs import Rows, in_order
from chatbot.llm.engine.native.batch import Batch
from chatbot.llm.engine.native.gguf_header import read_gguf_header
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.native.model import DECODE_OK, Context, Model, NativeError
from chatbot.llm.engine.native.sizing import Wanted, choose_sizes

from engine_bench.steps.ways import Plan, parts_of, times_of, ways_of

MOST_ROWS: Final = 8
_TOKEN: Final = 300


class Steps:
    """A loaded model whose streams hold so many cells each, before each step and after it."""

    def __init__(self, path: Path, threads: int, cells: int) -> None:
        """Load, let the engine measure its graphs, then fill.

        Raises:
            NativeError: llama.cpp cannot, or the model gets no streams.
        """
        self._library = Library()
        header = read_gguf_header(path)
        wanted = Wanted(context_tokens=cells + 1, slots=MOST_ROWS, threads=threads)
        sizes = choose_sizes(wanted, header, has_gpu=False, cpus=threads)
        self._model = Model(path, 0, lambda _fraction: None)
        self._context = Context(self._model, sizes)
        if not sizes.has_streams:
            raise NativeError("the model gets no streams, so its steps are one graph each")
        self._cells = cells
        self.costs = measured(self._context, sizes)
        tokens = np.full(cells, _TOKEN % header.vocabulary_size, np.int32)
        for number in range(MOST_ROWS):
            for start in range(0, cells, sizes.step_tokens):
                batch = Batch(sizes.step_tokens)
                batch.add(tokens[start : start + sizes.step_tokens], start, number, output=False)
                self._decode(batch)

    def seconds(self, order: Sequence[int]) -> float:
        """Of a step with one row of each of these streams, in this order."""
        batch = Batch(len(order))
        for number in order:
            batch.add(np.full(1, _TOKEN, np.int32), self._cells, number, output=True)
        began = time.perf_counter()
        self._decode(batch)
        seconds = time.perf_counter() - began
        for number in order:
            self._context.cut(number, self._cells)
        return seconds

    def _decode(self, batch: Batch) -> None:
        code = self._context.decode(batch)
        if code != DECODE_OK:
            raise NativeError(f"llama.cpp refused a step: {code}; {self._library.last_words()}")


def measure(path: Path, threads: int, plan: Plan) -> dict[str, Any]:
    """All steps of one model.

    Returns:
        Per number of rows: the seconds of each way by round, and the graphs that the engine makes.
    """
    steps = Steps(path, threads, plan.cells)
    found = []
    for rows in range(1, MOST_ROWS + 1):
        ways = ways_of(rows, plan.cells, steps.costs)
        times_of(ways, Plan(plan.cells, 1, 1), steps.seconds)  # the first of each way allocates
        chosen = in_order([Rows(number, plan.cells, 1) for number in range(rows)], steps.costs)
        found.append({"rows": rows, "parts": parts_of(chosen), "seconds": times_of(ways, plan, steps.seconds)})
    return {"threads": threads, "cells": plan.cells, "load_average": os.getloadavg()[0], "steps": found}


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    model, *numbers = arguments
    threads, cells, rounds, passes = map(int, numbers)
    print(json.dumps(measure(Path(model), threads, Plan(cells, rounds, passes))))


if __name__ == "__main__":
    main(sys.argv[1:])
