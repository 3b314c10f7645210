"""The table for people (Markdown) and the same for programs (JSON)."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from engine_bench.plan import BEATEN, has_left
from engine_bench.results.goals import PRIMARY, Figure
from engine_bench.results.journal import Run, read_journal, runs_of
from engine_bench.results.pages import put_between
from engine_bench.results.ratios import best, median
from engine_bench.results.rows import contestants_of, goal_rows, rows, scaled, setting_rows, workloads_of
from engine_bench.servers.contestants import LLAMA_SERVERS, OURS, TUNED

MARK, SETTINGS_MARK = "bench", "settings"
_DETAILS = (
    Figure("tokens_per_second", "tokens/s", True),
    Figure("ttft_p50", "TTFT p50 s", False),
    Figure("ttft_p95", "TTFT p95 s", False),
    Figure("itl_p99", "gap p99 ms", False, 1000),
    Figure("prompt_tokens_sent", "prompt sent", False),
    Figure("prompt_tokens_computed", "computed", False),
    Figure("cpu_seconds", "CPU s", False),
    Figure("client_cpu_seconds", "client CPU s", False),
    Figure("tokens_per_cpu_second", "tokens/CPU s", True),
    Figure("peak_bytes", "peak MiB", False, 1 / 2**20),
)


def write_report(folder: Path) -> str:
    """Make `report.md` and `report.json` of the journal in a folder; the Markdown is returned."""
    inputs, runs = read_journal(folder)
    alone = folder / "ceilings.json"
    inputs["ceilings"] = json.loads(alone.read_text()) if alone.exists() else []
    text = "\n".join(_page(inputs, runs)) + "\n"
    (folder / "report.md").write_text(text)
    document = {
        "inputs": inputs,
        "rows": rows(runs),
        "goals": goal_rows(runs),
        "settings": setting_rows(runs),
        "medians": _medians(runs),
    }
    (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    return text


def write_into(folder: Path, pages: Sequence[Path]) -> None:
    """Put the result between the marks of pages: all of it, into a README the short form, of settings their rows.

    Raises:
        ValueError: A page has no such marks.
    """
    inputs, runs = read_journal(folder)
    for page in pages:
        if setting_rows(runs):
            put_between(page, SETTINGS_MARK, [*_settings(runs), "", *_conditions(inputs, runs)])
        else:
            put_between(page, MARK, _short(inputs, runs) if page.name == "README.md" else _page(inputs, runs))


def _short(inputs: Mapping[str, Any], runs: Sequence[Run]) -> Iterable[str]:
    """Goals, and on what they were measured."""
    yield from _goals(runs)
    yield ""
    yield from _conditions(inputs, runs)


def _conditions(inputs: Mapping[str, Any], runs: Sequence[Run]) -> Iterable[str]:
    machine = inputs.get("machine", {})
    rounds = max((run.round + 1 for run in runs), default=0)
    voids = sum(1 for run in runs if run.void)
    loads = [run.machine["load_average"] for run in runs if "load_average" in run.machine]
    yield f"{rounds} rounds on {machine.get('cpu')}, {machine.get('cores')} cores; load average {_span(loads)}; "
    yield f"{voids} void runs; commit {machine.get('commit')}; {inputs.get('model')}."


def _goals(runs: Sequence[Run]) -> Iterable[str]:
    yield "| goal | limit | measured (least-greatest round) | |"
    yield "|---|---|---|---|"
    for row in goal_rows(runs):
        word = "kept" if row["is_kept"] else "**missed**"
        measured = f"{row['measured']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
        yield f"| {row['workload']}: {row['text']} | {row['limit']} | {measured} | {word} |"


def _page(inputs: Mapping[str, Any], runs: Sequence[Run]) -> Iterable[str]:
    machine = inputs.get("machine", {})
    yield "| workload | figure | ours | best llama-server | ratio (least-greatest round) | ours / ours | verdict |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows(runs):
        theirs = f"{_number(row['theirs'])} {row['unit']} ({row['rival']})" if row["rival"] else "-"
        yield (
            f"| {row['workload']} | {row['text']} | {_number(row['ours'])} {row['unit']} | {theirs} "
            f"| {_range(row['ratio'])} | {_range(row['noise'])} | {row['verdict']} |"
        )
    yield ""
    yield from _goals(runs)
    yield ""
    yield from _settings(runs)
    yield from _details(runs)
    yield from _commands(runs)
    yield ""
    dirty = ", with changes" if machine.get("is_dirty") else ""
    yield f"Machine: {machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('system')}; "
    yield f"commit {machine.get('commit')}{dirty}; model: {inputs.get('model')}; "
    yield f"llama.cpp: {json.dumps(inputs.get('llama_cpp', {}))}."
    yield from (f"Without HTTP: {line}." for line in inputs.get("ceilings", []))


def _settings(runs: Sequence[Run]) -> Iterable[str]:
    found = [row for row in setting_rows(runs) if row["is_main"]]
    if found:
        yield "| workload | part | set otherwise | figure | so / else (least-greatest round) | ours / ours | verdict |"
        yield "|---|---|---|---|---|---|---|"
    for row in found:
        yield (
            f"| {row['workload']} | {row['part']} | `{row['setting']}` | {row['text']} | {_range(row['ratio'])} "
            f"| {_range(row['noise'])} | {row['verdict']} |"
        )


def _details(runs: Sequence[Run]) -> Iterable[str]:
    for workload in workloads_of(runs):
        rounds = len({run.round for run in runs if run.workload == workload and not run.void})
        whole = [run.machine for run in runs if run.workload == workload and "load_average" in run.machine]
        loads, others, stolen = (
            [machine[name] for machine in whole] for name in ("load_average", "foreign_cpu_seconds", "steal_seconds")
        )
        yield ""
        yield (
            f"{workload}: medians of {rounds} rounds; load average {_span(loads)}; CPU s of others per run "
            f"{_span(others)}, stolen {_span(stolen)}"
        )
        yield ""
        yield "| | " + " | ".join(figure.text for figure in _DETAILS) + " | rounds | void runs |"
        yield "|---|" + "---|" * (len(_DETAILS) + 2)
        for name in contestants_of(run for run in runs if run.workload == workload):
            mine = runs_of(runs, workload, name)
            cells = [_number(scaled(median(mine, figure.name), figure)) for figure in _DETAILS]
            voids = sum(1 for run in mine if run.void)
            yield f"| {name} | " + " | ".join(cells) + f" | {len(mine) - voids} | {voids} |"
        yield from _left(runs, workload)
        yield from _voids(run for run in runs if run.workload == workload and run.void)


def _left(runs: Sequence[Run], workload: str) -> Iterable[str]:
    """Who did not play all rounds, and why."""
    last = max(run.round for run in runs if run.workload == workload)
    gone = [name for name in contestants_of(runs) if has_left(runs, last, workload, name)]
    gone = [name for name in gone if runs_of(runs, workload, name)]
    if gone:
        yield ""
        beaten = ", or ".join(f"{factor:g} times in each of {rounds}" for rounds, factor in BEATEN)
        yield (
            f"Not in all rounds: {', '.join(gone)}. No goal is measured against it, or another llama-server was "
            f"better, {beaten}."
        )


def _voids(voids: Iterable[Run]) -> Iterable[str]:
    """Why runs did not count."""
    told = [f"round {run.round + 1}, {run.contestant}: {_of_no_machine(run.void.splitlines()[0])}" for run in voids]
    if told:
        yield ""
        yield "Void: " + "; ".join(told) + "."


def _commands(runs: Sequence[Run]) -> Iterable[str]:
    """The command lines of ours and of the winners."""
    yield ""
    for workload in workloads_of(runs):
        rival = best(runs, workload, [*LLAMA_SERVERS, TUNED], PRIMARY[workload])
        for name in (OURS, rival):
            command = next((run.command for run in runs_of(runs, workload, name or "")), None)
            if command:
                yield f"- {workload} {name}: `{_of_no_machine(command)}`"


def _of_no_machine(command: str) -> str:
    """A command as it works in a checkout anywhere: the page is published."""
    return command.replace(f"{Path.cwd()}/", "").replace(f"{Path.home()}/", "~/")


def _medians(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for workload, contestant in product(workloads_of(runs), contestants_of(runs)):
        mine = runs_of(runs, workload, contestant)
        names = dict.fromkeys(name for run in mine for name in run.figures)
        values = {name: value for name in names if (value := median(mine, name)) is not None}
        if values:
            found.setdefault(workload, {})[contestant] = values
    return found


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _range(values: Sequence[float] | None) -> str:
    return "-" if not values else f"{values[0]:.2f} ({values[1]:.2f}-{values[2]:.2f})"


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.1f}-{max(values):.1f}" if values else "-"
