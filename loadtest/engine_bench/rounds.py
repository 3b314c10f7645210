"""Runs in the order of the plan, each in a fresh process, noted before the next one begins."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engine_bench.load.client import Question, ask
from engine_bench.load.workload import Workload, fresh
from engine_bench.plan import Bench, is_due, seconds_left
from engine_bench.results.goals import PRIMARY
from engine_bench.results.journal import Journal, Run
from engine_bench.results.machine import Clock
from engine_bench.results.ratios import best
from engine_bench.servers.contestants import LLAMA_SERVERS, OURS, OURS_AGAIN, OURS_IN, Place, command_of
from engine_bench.servers.process import Command, Server, ServerFailed

PLAY_SECONDS: Final = 900.0
_WARM_TOKENS: Final = 64
_WARM_ANSWER_TOKENS: Final = 8


def run_all(bench: Bench, journal: Journal, command: Callable[[str, Place, str], Command] = command_of) -> None:
    """Do what the journal does not have yet, with a line of progress for each run.

    Args:
        bench: What.
        journal: Where it is noted.
        command: How a contestant is started, given its name, its place and what the tuned llama-server is made of.
    """
    plan = bench.plan()
    for index, (number, workload, name) in enumerate(plan):
        while is_due(journal, number, workload.name, name):
            place = bench.place.sized(workload.slots, workload.slot_tokens)
            told = OURS_IN.get(workload.name, ()) if name.startswith(OURS) else ()
            started = command(" ".join((name, *told)), place, _base_of(journal, workload.name))
            voids = journal.attempts(workload.name, number, name)[1]
            run = asyncio.run(_one(started, workload, (number, name, voids), f"{bench.seed}/{number}/{workload.name}"))
            allowed = bench.allowed_bytes.get(workload.name)
            if allowed and name in {OURS, OURS_AGAIN} and "peak_bytes" in run.figures:
                run = replace(run, figures={**run.figures, "memory_of_allowed": run.figures["peak_bytes"] / allowed})
            journal.add(run)
            left = seconds_left(journal, [(later, each.name, who) for later, each, who in plan[index + 1 :]])
            print(f"[{index + 1}/{len(plan)}, {left / 60:.0f} min left] {_line(run)}", flush=True)


def _base_of(journal: Journal, workload: str) -> str:
    """What the tuned llama-server is made of: who was best in the first round; it stays that."""
    first = [run for run in journal.runs if run.round == 0]
    return best(first, workload, LLAMA_SERVERS, PRIMARY[workload]) or next(iter(LLAMA_SERVERS))


async def _one(command: Command, workload: Workload, turn: tuple[int, str, int], texts: str) -> Run:
    number, name, attempt = turn
    began = time.monotonic()
    seed = random.Random(texts).randrange(2**31)  # noqa: S311 - texts
    try:
        with Server(command) as server:
            await server.ready()
            await _warm_up(server.port, workload, seed)
            figures, machine, void = await _measured(server, workload, seed)
    except ServerFailed as exc:
        figures, machine, void = {}, {}, f"{type(exc).__name__}: {exc}"
    except TimeoutError:
        figures, machine, void = {}, {}, f"not over after {PLAY_SECONDS:.0f} s"
    machine["wall_seconds"] = time.monotonic() - began
    return Run(workload.name, number, name, attempt, void, figures, str(command), machine)


async def _warm_up(port: int, workload: Workload, seed: int) -> None:
    """As many at once as will be, with texts that nobody asks for again."""
    rng = random.Random(-seed)  # noqa: S311 - texts
    tokens = min(_WARM_TOKENS, workload.slot_tokens // 4)
    questions = [
        Question(f"warm{index}", "warm", f"warm{index}", fresh(rng, tokens, tokens), _WARM_ANSWER_TOKENS)
        for index in range(workload.slots)
    ]
    await asyncio.gather(*(ask(port, question) for question in questions))


async def _measured(server: Server, workload: Workload, seed: int) -> tuple[dict[str, float], dict[str, float], str]:
    allowed = os.sched_getaffinity(0)
    before, clock, own = server.usage(), Clock.now(), time.process_time()
    os.sched_setaffinity(0, {max(allowed)})  # the client stays on one core; the server was started on all
    try:
        exchanges = await asyncio.wait_for(workload.play(server.port, seed), PLAY_SECONDS)
    finally:
        os.sched_setaffinity(0, allowed)
    client_seconds = time.process_time() - own
    if not server.command.tells_counts:
        for exchange in exchanges:
            exchange.believe()
    after = server.usage()
    cpu_seconds = after.cpu_seconds - before.cpu_seconds
    machine = Clock.now().since(clock, cpu_seconds + client_seconds)
    void = workload.fault(exchanges) or ""
    figures = {} if void else dict(workload.figures(exchanges))
    tokens = sum(count for each in exchanges for _, count in each.pieces)
    figures |= {"cpu_seconds": cpu_seconds, "client_cpu_seconds": client_seconds, "peak_bytes": after.peak_bytes}
    if cpu_seconds > 0:
        figures["tokens_per_cpu_second"] = tokens / cpu_seconds
    return figures, machine, void


def _line(run: Run) -> str:
    head = f"{run.workload} round {run.round + 1} {run.contestant}"
    if run.void:
        return f"{head}: VOID, {run.void}"
    shown = (
        ("tokens_per_second", "{:.1f} tok/s"),
        ("ttft_p50", "TTFT p50 {:.2f} s"),
        ("itl_beside_p99", "p99 gap beside {:.3f} s"),
        ("tokens_per_cpu_second", "{:.1f} tok/CPU s"),
    )
    parts = [text.format(run.figures[name]) for name, text in shown if name in run.figures]
    parts.append(f"others {run.machine.get('foreign_cpu_seconds', 0):.1f} CPU s")
    return f"{head}: {', '.join(parts)}"


def stop_on_interrupt(folder: str) -> None:
    """What to say when a person stops it."""
    print(f"\nstopped; the same command goes on from here ({folder})", file=sys.stderr)
