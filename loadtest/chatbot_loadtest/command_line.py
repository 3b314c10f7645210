"""`run` puts a load on a target; `report` makes the report of a table that is there."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chatbot_loadtest.judging import Judged, about_of, judge_files, show
from chatbot_loadtest.results.figures import Figures
from chatbot_loadtest.results.reading import Unreadable
from chatbot_loadtest.results.run import Run, RunFiles, Waits
from chatbot_loadtest.results.summary import flat_figures
from chatbot_loadtest.results.verdicts import BadThreshold, threshold
from chatbot_loadtest.scenarios import SCENARIOS

KEPT, MISSED, UNUSABLE = 0, 1, 2
"""Exit codes: every threshold met; one was not; the command line, the target or a file is unusable."""
_FIGURE_NAMES: Final = tuple(flat_figures(Run(Figures(), Waits([], [], [], []), [], 0)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="chatbot_loadtest",
        description="Load tests of both chat services. An API key is taken from CHATBOT_LOADTEST_KEY.",
        epilog="Figures for --require: " + ", ".join(_FIGURE_NAMES),
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--require", action="append", default=[], type=_threshold, metavar="NAME>=NUMBER",
                        help="exit with 1 unless it holds; may be given again")  # fmt: skip
    shared.add_argument("--previous", type=Path, metavar="summary.json", help="an earlier run to compare with")
    shared.add_argument(
        "--note", default="", metavar="TEXT", help="what a reader of the report must know about the run"
    )
    run = commands.add_parser("run", parents=[shared], help="put a load on a target")
    run.add_argument("url", nargs="?", default="http://127.0.0.1:8001", help="the gateway; default %(default)s")
    texts = "; ".join(f"{name}: {scenario.text.replace('%', '%%')}" for name, scenario in SCENARIOS.items())
    run.add_argument("--scenario", choices=SCENARIOS, default="v1.7.4", help=texts)
    run.add_argument("--seconds", type=_seconds, help="stretch or shorten the scenario to this length")
    run.add_argument("--think-seconds", type=_seconds, nargs=2, metavar=("MIN", "MAX"), help="pause between questions")
    run.add_argument("--drain-seconds", type=_seconds, default=60.0, help="for requests under way at the end")
    run.add_argument("--out", type=Path, help="folder of the results; default var/loadtest/<time>-<scenario>")
    report = commands.add_parser("report", parents=[shared], help="make the report of requests.csv")
    report.add_argument("requests", type=Path, metavar="requests.csv")
    report.add_argument("--out", type=Path, help="folder of the results; default: beside the table")
    return parser.parse_args(arguments)


def _threshold(text: str) -> str:
    try:
        return threshold(text, _FIGURE_NAMES).text
    except BadThreshold as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError("seconds are 0-86400")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it.

    Returns:
        The exit code.
    """
    chosen = parse(arguments)
    try:
        judged = _run(chosen) if chosen.command == "run" else _report(chosen)
    except Unreadable as exc:
        print(f"error: {exc}", file=sys.stderr)
        return UNUSABLE
    except OSError as exc:
        print(f"error: {exc.filename}: {exc.strerror}", file=sys.stderr)
        return UNUSABLE
    if judged is None:
        return UNUSABLE
    show(judged)
    return KEPT if judged.is_kept else MISSED


def _run(chosen: argparse.Namespace) -> Judged | None:
    from chatbot_loadtest.play import Stage, play  # Locust makes sockets cooperative for the whole process
    from chatbot_loadtest.target import BadTarget, look, sessions

    session = sessions(os.environ.get("CHATBOT_LOADTEST_KEY", ""))
    scenario = SCENARIOS[chosen.scenario]
    scenario = scenario.lasting(chosen.seconds) if chosen.seconds else scenario
    if chosen.think_seconds:
        scenario = scenario.thinking(*chosen.think_seconds)
    try:
        target = look(chosen.url, ("office", "character"), session())
    except BadTarget as exc:
        print(f"error: {exc}", file=sys.stderr)
        return None
    folder = chosen.out or Path("var/loadtest") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{chosen.scenario}"
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "scenario": chosen.scenario,
        "text": scenario.text,
        "model": target.model,
        "version": target.version,
        "limits": target.limits,
        "machine": f"load from {platform.machine()}, {os.cpu_count()} cores",
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "note": chosen.note,
    }
    about |= play(scenario, Stage(target, session, folder, chosen.drain_seconds))
    about["load_average"] += f" before, {os.getloadavg()[1]:.1f} over the last 5 minutes"
    return judge_files(RunFiles.beside(folder / "requests.csv"), folder, about, chosen.require, chosen.previous)


def _report(chosen: argparse.Namespace) -> Judged:
    folder = chosen.out or chosen.requests.parent
    folder.mkdir(parents=True, exist_ok=True)
    files = RunFiles.beside(chosen.requests)
    about = about_of(files)
    if chosen.note:
        about = {**about, "note": chosen.note}
    return judge_files(files, folder, about, chosen.require, chosen.previous)
