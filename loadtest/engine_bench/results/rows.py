"""What is compared with what: the rows of the tables."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final

from engine_bench.results.goals import DEFAULT, FIGURES, GOALS, OWN, PRIMARY, Figure, Goal
from engine_bench.results.goals import SERIAL as AGAINST_SERIAL
from engine_bench.results.goals import TUNED as AGAINST_TUNED
from engine_bench.results.journal import Run, runs_of
from engine_bench.results.ratios import best, by_round, compare, median, verdict
from engine_bench.servers.contestants import LLAMA_SERVERS, OURS, OURS_AGAIN, SERIAL, TUNED
from engine_bench.settings import setting_of

_MAIN_FIGURES: Final = 3
"""Of a workload: what a page shows of settings; the rest is in the JSON."""


def rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per compared figure: ours over the best llama-server, beside ours over ours."""
    found = []
    for workload in workloads_of(runs):
        rival = best(runs, workload, [*LLAMA_SERVERS, TUNED], PRIMARY[workload])
        for figure in FIGURES[workload]:
            noise = compare(runs, workload, (OURS_AGAIN, OURS), figure.name)
            ratio = compare(runs, workload, (OURS, rival), figure.name) if rival else None
            row: dict[str, Any] = {
                "workload": workload,
                "figure": figure.name,
                "text": figure.text,
                "ours": scaled(median(runs_of(runs, workload, OURS), figure.name), figure),
                "rival": rival,
                "theirs": scaled(median(runs_of(runs, workload, rival), figure.name) if rival else None, figure),
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
    """Ours set otherwise over ours without, beside ours over ours."""
    names = [name for name in contestants_of(runs) if name.startswith(f"{OURS} ") and name != OURS_AGAIN]
    found = []
    for workload, name in product(workloads_of(runs), names):
        setting = setting_of(name)
        for number, figure in enumerate(FIGURES[workload]):
            ratio = compare(runs, workload, (name, setting.base), figure.name)
            noise = compare(runs, workload, (OURS_AGAIN, OURS), figure.name)
            if ratio is not None:
                found.append(
                    {
                        "workload": workload,
                        "part": setting.part,
                        "setting": setting.other,
                        "beside": setting.beside,
                        "is_main": number < _MAIN_FIGURES,
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


def contestants_of(runs: Iterable[Run]) -> list[str]:
    """Who took part, in the order of their first run."""
    return list(dict.fromkeys(run.contestant for run in runs))


def workloads_of(runs: Iterable[Run]) -> list[str]:
    """What was played."""
    return sorted({run.workload for run in runs})


def scaled(value: float | None, figure: Figure) -> float | None:
    """A figure as it is printed."""
    return None if value is None else value * figure.scale
