"""`run` measures, goes on where it was interrupted, and writes the report; `report` writes it again."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from engine_bench.load.neighbours import neighbours
from engine_bench.load.workload import Workload
from engine_bench.model_file import SHAPES, make_model
from engine_bench.plan import Bench
from engine_bench.results.journal import Journal, OtherBench, alone_in
from engine_bench.results.machine import describe
from engine_bench.results.report import write_into, write_report
from engine_bench.rounds import run_all, stop_on_interrupt
from engine_bench.servers.ceilings import ceilings
from engine_bench.servers.contestants import OURS, Place
from engine_bench.servers.memory import allowed_bytes
from engine_bench.settings import contestants_with, setting_of
from engine_bench.sizes import SIZES, Size
from engine_bench.steps.graph_table import measure_graphs, write_graphs
from engine_bench.steps.ways import Plan
from engine_bench.token_time import profile

ROOT: Final = Path(__file__).parents[2]
_GRAPH_SHAPES: Final = ("small", "small-q8")
DONE, UNUSABLE, INTERRUPTED = 0, 2, 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process where it is wrong."""
    parser = argparse.ArgumentParser(prog="engine_bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, or go on measuring")
    run.add_argument("--size", choices=SIZES, default="bench", help="default %(default)s")
    run.add_argument("--programs", type=Path, required=True, help="folder that .ci/llama_server.py printed")
    run.add_argument("--rounds", type=int, help="default: 5 of full, 2 of try, else 3")
    run.add_argument("--workloads", type=_words, default=(), metavar="W1,W2", help="default: those of the size")
    run.add_argument("--contestants", type=_words, default=(), metavar="ours,…", help="default: those of the size")
    text = "instead of others: ours with this setting beside its defaults; may be given again"
    run.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help=text)
    run.add_argument("--shape", choices=SHAPES, help="of the model that is made on the spot; default: that of the size")
    run.add_argument("--model", type=Path, help="a GGUF of engine_bench.model_file instead")
    run.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default %(default)s")
    text = "processes beside that compute all the time; default %(default)s"
    run.add_argument("--neighbours", type=int, default=0, metavar="N", help=text)
    run.add_argument("--out", type=Path, help="default var/bench/<size>-…-<commit>")
    profiled = commands.add_parser("profile", help="where the time of a token goes in our service")
    profiled.add_argument("--programs", type=Path, required=True, help="folder that .ci/llama_server.py printed")
    profiled.add_argument("--shape", choices=SHAPES, default="small", help="of the model; default %(default)s")
    profiled.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default %(default)s")
    _add_graphs(commands.add_parser("graphs", help="what a step costs as one graph and as several; without HTTP"))
    report = commands.add_parser("report", help="write the report of a folder again")
    report.add_argument("folder", type=Path)
    report.add_argument(
        "--into", type=Path, nargs="*", default=[], metavar="PAGE", help="put it between a page's marks"
    )
    return parser.parse_args(arguments)


def _add_graphs(graphs: argparse.ArgumentParser) -> None:
    text = "may be given again; default: 52M parameters as F16 and as Q8_0, made on the spot"
    graphs.add_argument("--model", type=Path, action="append", default=[], metavar="GGUF", help=text)
    graphs.add_argument("--threads", type=_numbers, default=(1, 2), metavar="1,2", help="default 1,2")
    graphs.add_argument("--cells", type=int, default=200, help="tokens that each answer has; default %(default)s")
    graphs.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    graphs.add_argument("--passes", type=int, default=9, help="of each way in a round; default %(default)s")
    graphs.add_argument("--out", type=Path, help="default var/bench/graphs-<commit>")
    graphs.add_argument(
        "--into", type=Path, nargs="*", default=[], metavar="PAGE", help="put it between a page's marks"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it.

    Returns:
        The exit code: 0 done, 2 unusable, 130 interrupted.
    """
    chosen = parse(arguments)
    try:
        print(_ACTIONS[chosen.command](chosen))
    except (OtherBench, OSError, ValueError, subprocess.CalledProcessError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        stop_on_interrupt(" ".join(sys.argv[1:]))
        return INTERRUPTED
    return DONE


def _run(chosen: argparse.Namespace) -> str:
    size = SIZES[chosen.size]
    shape = chosen.shape or size.shape
    model = chosen.model or make_model(Path("var/bench") / f"{shape}.gguf", SHAPES[shape])
    place = Place(model.resolve(), chosen.programs.resolve(), chosen.threads)
    workloads = _workloads(size, chosen.workloads)
    allowed = {each.name: allowed_bytes(place.sized(each.slots, each.slot_tokens)) for each in workloads}
    contestants = _contestants(size, workloads, chosen)
    bench = Bench(place, workloads, contestants, chosen.rounds or size.rounds, allowed_bytes=allowed)
    machine = describe(ROOT)
    beside = f"beside-{chosen.neighbours}" if chosen.neighbours else None
    words = (chosen.size, chosen.shape, "settings" if chosen.setting else None, beside, machine["commit"])
    folder = chosen.out or Path("var/bench") / "-".join(filter(None, words))
    inputs: dict[str, Any] = {
        "size": chosen.size,
        "model": str(SHAPES[shape]) if chosen.model is None else chosen.model.name,
        "machine": machine,
        "threads": place.threads,
        "neighbours": chosen.neighbours,
        "workloads": [str(workload) for workload in size.workloads],
        "llama_cpp": _about(place.programs),
    }
    with alone_in(folder):
        journal = Journal(folder, inputs)
        print(f"results: {folder}; {len(bench.plan())} runs, {len(journal.runs)} of them were there", flush=True)
        with neighbours(chosen.neighbours):
            run_all(bench, journal)
    if size.has_ceilings and not chosen.setting and not (folder / "ceilings.json").exists():
        (folder / "ceilings.json").write_text(json.dumps(ceilings(place), indent=1) + "\n")
    return write_report(folder)


def _profile(chosen: argparse.Namespace) -> str:
    model = make_model(Path("var/bench") / f"{chosen.shape}.gguf", SHAPES[chosen.shape])
    return profile(Place(model.resolve(), chosen.programs.resolve(), chosen.threads))


def _graphs(chosen: argparse.Namespace) -> str:
    plan = Plan(chosen.cells, chosen.rounds, chosen.passes)
    made = () if chosen.model else _GRAPH_SHAPES
    models = {path.stem: path for path in chosen.model}
    models |= {SHAPES[name].short: make_model(Path("var/bench") / f"{name}.gguf", SHAPES[name]) for name in made}
    machine = describe(ROOT)
    inputs = {"machine": machine, **asdict(plan), "measured": measure_graphs(models, chosen.threads, plan)}
    return write_graphs(chosen.out or Path("var/bench") / f"graphs-{machine['commit']}", inputs, chosen.into)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _workloads(size: Size, names: Sequence[str]) -> list[Workload]:
    known = {workload.name: workload for workload in size.workloads}
    if unknown := set(names) - set(known):
        raise ValueError(f"no workload {', '.join(sorted(unknown))} in this size; there are {', '.join(known)}")
    return [known[name] for name in names or known]


def _contestants(size: Size, workloads: Sequence[Workload], chosen: argparse.Namespace) -> Mapping[str, list[str]]:
    if chosen.setting:
        known = [setting_of(f"{OURS} {setting}") for setting in chosen.setting]
        names = tuple(workload.name for workload in workloads)
        everywhere = [replace(setting, workloads=names) for setting in known]
        return {name: list(contestants_with(everywhere, name)) for name in names}
    return {workload.name: list(chosen.contestants or size.contestants[workload.name]) for workload in workloads}


def _about(programs: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((programs / "about.json").read_text())
    except FileNotFoundError:
        raise ValueError(f"{programs} holds no llama-server; build it: python3 .ci/llama_server.py") from None
    return about


def _report(chosen: argparse.Namespace) -> str:
    text = write_report(chosen.folder)
    write_into(chosen.folder, chosen.into)
    return text


_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace], str]]] = {
    "run": _run,
    "profile": _profile,
    "graphs": _graphs,
    "report": _report,
}
