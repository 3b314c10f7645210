"""What was measured of graphs, as a table for people; the same for programs is the JSON it is made of."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine_bench.results.pages import put_between
from engine_bench.results.ratios import ratio_of, verdict
from engine_bench.steps.ways import ALONE, CHOSEN, ONE, ONE_AGAIN, Plan

MARK: Final = "graphs"
_SECONDS: Final = 600


def measure_graphs(models: Mapping[str, Path], threads: Sequence[int], plan: Plan) -> list[dict[str, Any]]:
    """Each model with each number of threads, in a process of its own.

    Args:
        models: Files, by the name that the table calls them.
        threads: Of llama.cpp.
        plan: How much.

    Raises:
        subprocess.CalledProcessError: One failed; what it said is on standard error.
    """
    found = []
    for name, model in models.items():
        for count in threads:
            words = [sys.executable, "-m", "engine_bench.steps.graph_times", str(model), str(count)]
            words += map(str, (plan.cells, plan.rounds, plan.passes))
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=_SECONDS)  # noqa: S603
            found.append({"model": name, **json.loads(done.stdout)})
            print(f"{name}, threads: {count}: done", file=sys.stderr, flush=True)
    return found


def write_graphs(folder: Path, inputs: Mapping[str, Any], pages: Sequence[Path]) -> str:
    """`graphs.json` and `graphs.md` in a folder, and the table between the marks of pages.

    Args:
        folder: Made if missing.
        inputs: `machine`, and `measured` as `measure_graphs` made it.
        pages: Of Markdown.

    Returns:
        The table.

    Raises:
        ValueError: A page has no marks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graphs.json").write_text(json.dumps({**inputs, "rows": rows_of(inputs["measured"])}, indent=1) + "\n")
    lines = list(_page(inputs))
    text = "\n".join(lines) + "\n"
    (folder / "graphs.md").write_text(text)
    for page in pages:
        put_between(page, MARK, lines)
    return text


def rows_of(measured: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per model, threads and number of answers.

    `ratio` is what the engine leaves over what it takes: one graph where it makes several, a graph for each where it
    makes one. `noise` is one graph over one graph, in the same rounds.
    """
    return [_row(each, step) for each in measured for step in each["steps"]]


def _row(each: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    seconds, parts = step["seconds"], step["parts"]
    taken = (CHOSEN if CHOSEN in seconds else ALONE) if len(parts) > 1 else ONE
    left = ONE if len(parts) > 1 else ALONE
    noise = ratio_of(_by_round(seconds[ONE_AGAIN]), _by_round(seconds[ONE]))
    ratio = ratio_of(_by_round(seconds[left]), _by_round(seconds[taken])) if left in seconds else None
    return {
        "model": each["model"],
        "threads": each["threads"],
        "rows": step["rows"],
        "parts": parts,
        "milliseconds": {name: statistics.median(values) * 1000 for name, values in seconds.items()},
        "taken": taken,
        "left": left if ratio else None,
        "ratio": ratio and [ratio.median, ratio.low, ratio.high],
        "noise": noise and [noise.median, noise.low, noise.high],
        "verdict": verdict(ratio, noise, more_is_better=True) if ratio else "",
    }


def _page(inputs: Mapping[str, Any]) -> Iterable[str]:
    machine, measured = inputs["machine"], inputs["measured"]
    loads = [each["load_average"] for each in measured]
    yield "| model, threads | rows | one graph ms | each alone ms | the engine's graphs | ms | left / taken | A/A | |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows_of(measured):
        times = row["milliseconds"]
        cells = (
            f"{row['model']}, {row['threads']}",
            str(row["rows"]),
            *(f"{times[name]:.1f}" if name in times else "" for name in (ONE, ALONE)),
            " + ".join(map(str, row["parts"])),
            f"{times[row['taken']]:.1f}",
            *(_span(values) for values in (row["ratio"], row["noise"])),
            row["verdict"],
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield f"Medians of {inputs['rounds']} rounds of {inputs['passes']} by turns, {inputs['cells']} cells a row; "
    yield f"load average {min(loads):.1f}-{max(loads):.1f}; {machine['cpu']}, {machine['cores']} cores; "
    yield f"commit {machine['commit']}{', with changes' if machine['is_dirty'] else ''}."


def _by_round(values: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(values))


def _span(values: Sequence[float] | None) -> str:
    return f"{values[0]:.2f} ({values[1]:.2f}-{values[2]:.2f})" if values else ""
