"""The table for people (Markdown) and the same for programs (JSON)."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from engine_bench.results.goals import DEFAULT, FIGURES, GOALS, OWN, PRIMARY, Figure, Goal
from engine_bench.results.goals import SERIAL as AGAINST_SERIAL
from engine_bench.results.goals import TUNED as AGAINST_TUNED
from engine_bench.results.journal import Run, read_journal, runs_of
from engine_bench.results.ratios import best, by_round, compare, median, verdict
from engine_bench.servers.contestants import LLAMA_SERVERS, OURS, OURS_AGAIN, SERIAL, TUNED

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


def rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per compared figure: ours over the best llama-server, beside ours over ours."""
    found = []
    for workload in _workloads(runs):
        rival = best(runs, workload, [*LLAMA_SERVERS, TUNED], PRIMARY[workload])
        for figure in FIGURES[workload]:
            noise = compare(runs, workload, (OURS_AGAIN, OURS), figure.name)
            ratio = compare(runs, workload, (OURS, rival), figure.name) if rival else None
            row: dict[str, Any] = {
                "workload": workload,
                "figure": figure.name,
                "text": figure.text,
                "ours": _scaled(median(runs_of(runs, workload, OURS), figure.name), figure),
                "rival": rival,
                "theirs": _scaled(median(runs_of(runs, workload, rival), figure.name) if rival else None, figure),
                "unit": figure.unit,
                "noise": noise and [noise.median, noise.low, noise.high],
                "ratio": ratio and [ratio.median, ratio.low, ratio.high],
                "rounds": ratio.rounds if ratio else 0,
                "verdict": verdict(ratio, noise, more_is_better=figure.more_is_better) if ratio else "",
            }
            if row["ours"] is not None:
                found.append(row)
    return found


def setting_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Ours with a setting over ours without, beside ours over ours."""
    names = [name for name in _contestants(runs) if name.startswith(f"{OURS} ") and name != OURS_AGAIN]
    found = []
    for workload, name in product(_workloads(runs), names):
        for figure in FIGURES[workload]:
            ratio = compare(runs, workload, (name, OURS), figure.name)
            noise = compare(runs, workload, (OURS_AGAIN, OURS), figure.name)
            if ratio is not None:
                found.append(
                    {
                        "workload": workload,
                        "setting": name.removeprefix(f"{OURS} "),
                        "text": figure.text,
                        "ratio": [ratio.median, ratio.low, ratio.high],
                        "noise": noise and [noise.median, noise.low, noise.high],
                        "verdict": verdict(ratio, noise, more_is_better=figure.more_is_better),
                    }
                )
    return found


def goal_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What was promised and what was measured."""
    found = []
    for goal in GOALS:
        values = _measured(runs, goal)
        if values is not None:
            middle, low, high = values
            is_kept = middle >= goal.limit if goal.at_least else middle <= goal.limit
            found.append(
                {
                    "workload": goal.workload,
                    "text": goal.text,
                    "against": goal.against,
                    "limit": f"{'>=' if goal.at_least else '<='} {goal.limit:g}",
                    "measured": middle,
                    "low": low,
                    "high": high,
                    "is_kept": is_kept,
                }
            )
    return found


def _measured(runs: Sequence[Run], goal: Goal) -> tuple[float, float, float] | None:
    if goal.against == OWN:
        values = by_round(runs_of(runs, goal.workload, OURS), goal.figure).values()
        middle = median(runs_of(runs, goal.workload, OURS), goal.figure)
        return None if middle is None else (middle, min(values), max(values))
    names = {DEFAULT: [*LLAMA_SERVERS], AGAINST_TUNED: [TUNED], AGAINST_SERIAL: [SERIAL]}
    rival = best(runs, goal.workload, names.get(goal.against, [*LLAMA_SERVERS, TUNED]), PRIMARY[goal.workload])
    ratio = compare(runs, goal.workload, (OURS, rival), goal.figure) if rival else None
    return (ratio.median, ratio.low, ratio.high) if ratio else None


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
    yield "| goal | limit | measured | |"
    yield "|---|---|---|---|"
    for row in goal_rows(runs):
        word = "kept" if row["is_kept"] else "**missed**"
        measured = f"{row['measured']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
        yield f"| {row['workload']}: {row['text']} | {row['limit']} | {measured} | {word} |"
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
    found = setting_rows(runs)
    if found:
        yield ""
        yield "| workload | setting | figure | with / without (least-greatest round) | ours / ours | verdict |"
        yield "|---|---|---|---|---|---|"
    for row in found:
        yield (
            f"| {row['workload']} | `{row['setting']}` | {row['text']} | {_range(row['ratio'])} "
            f"| {_range(row['noise'])} | {row['verdict']} |"
        )


def _details(runs: Sequence[Run]) -> Iterable[str]:
    for workload in _workloads(runs):
        rounds = len({run.round for run in runs if run.workload == workload and not run.void})
        loads = [run.machine["load_average"] for run in runs if run.workload == workload and run.machine]
        others = [run.machine["foreign_cpu_seconds"] for run in runs if run.workload == workload and run.machine]
        stolen = [run.machine["steal_seconds"] for run in runs if run.workload == workload and run.machine]
        yield ""
        yield (
            f"{workload}: medians of {rounds} rounds; load average {_span(loads)}; CPU s of others per run "
            f"{_span(others)}, stolen {_span(stolen)}"
        )
        yield ""
        yield "| | " + " | ".join(figure.text for figure in _DETAILS) + " | void runs |"
        yield "|---|" + "---|" * (len(_DETAILS) + 1)
        for name in _contestants(run for run in runs if run.workload == workload):
            mine = runs_of(runs, workload, name)
            cells = [_number(_scaled(median(mine, figure.name), figure)) for figure in _DETAILS]
            yield f"| {name} | " + " | ".join(cells) + f" | {sum(1 for run in mine if run.void)} |"


def _commands(runs: Sequence[Run]) -> Iterable[str]:
    """The command lines of ours and of the winners."""
    yield ""
    for workload in _workloads(runs):
        rival = best(runs, workload, [*LLAMA_SERVERS, TUNED], PRIMARY[workload])
        for name in (OURS, rival):
            command = next((run.command for run in runs_of(runs, workload, name or "")), None)
            if command:
                yield f"- {workload} {name}: `{command}`"


def _medians(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for workload, contestant in product(_workloads(runs), _contestants(runs)):
        mine = runs_of(runs, workload, contestant)
        names = dict.fromkeys(name for run in mine for name in run.figures)
        values = {name: value for name in names if (value := median(mine, name)) is not None}
        if values:
            found.setdefault(workload, {})[contestant] = values
    return found


def _contestants(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.contestant for run in runs))


def _workloads(runs: Iterable[Run]) -> list[str]:
    return sorted({run.workload for run in runs})


def _scaled(value: float | None, figure: Figure) -> float | None:
    return None if value is None else value * figure.scale


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _range(values: Sequence[float] | None) -> str:
    return "-" if not values else f"{values[0]:.2f} ({values[1]:.2f}-{values[2]:.2f})"


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.1f}-{max(values):.1f}" if values else "-"
