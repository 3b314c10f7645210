"""Where the time of a token goes in our service: the engine's own clocks, and CPU per thread from /proc.

Two loads: answers only (8 rows, short prompts) and prompts only (answers of one token).
"""

import asyncio
import re
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from engine_bench.load.chat import Apart
from engine_bench.servers.contestants import OURS, Place, command_of
from engine_bench.servers.process import Server

LOADS: Final = {
    "decode, 8 rows": Apart(clients=8, prompts=8, prompt_tokens=16, answer_tokens=256),
    "prefill": Apart(clients=8, prompts=8, prompt_tokens=1000, answer_tokens=1),
}
GOAL_SHARE: Final = 0.05
_HEARTBEAT_SECONDS: Final = 1.5
"""The engine's counters reach the metrics once a second."""
_SAMPLE: Final = re.compile(r"^chatbot_engine_(\w+?)(?:_total)?\{([^}]*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of the engine and CPU seconds per thread, at one time."""

    counters: Mapping[str, float]
    threads: Mapping[tuple[int, int], float]

    def since(self, before: "Reading") -> "Reading":
        """What was added."""
        return Reading(
            {name: value - before.counters.get(name, 0.0) for name, value in self.counters.items()},
            {thread: seconds - before.threads.get(thread, 0.0) for thread, seconds in self.threads.items()},
        )


def profile(place: Place) -> str:
    """Both loads, as a table."""
    return "\n\n".join(asyncio.run(_profile(place, name, load)) for name, load in LOADS.items())


async def _profile(place: Place, name: str, load: Apart) -> str:
    with Server(command_of(OURS, place.sized(load.slots, load.slot_tokens))) as server:
        await server.ready()
        await replace(load, answer_tokens=1, prompt_tokens=64).play(server.port, seed=1)
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        before = _read(server)
        began = time.perf_counter()
        exchanges = await load.play(server.port, seed=2)
        seconds = time.perf_counter() - began
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        found = _read(server).since(before)
    fault = load.fault(exchanges)
    if fault is not None:
        raise ValueError(f"the run is void: {fault}")
    return table(name, found, seconds)


def table(name: str, found: Reading, seconds: float) -> str:
    """One load's table; times per step and per row in microseconds."""
    counters = found.counters
    steps, rows = counters["steps"], counters["step_rows"]
    parts = {
        "native: llama_decode": counters["step_seconds"],
        "choosing tokens": counters["step_overhead_seconds.sample"],
        "admission and filling the batch": counters["step_overhead_seconds.build"],
        "bytes to text, stop strings, bookkeeping": counters["step_overhead_seconds.deliver"],
    }
    parts["between steps: inbox, outbox, waiting for the interpreter, idle"] = seconds - sum(parts.values())
    lines = [
        f"{name}: {steps:.0f} steps, {rows / steps:.1f} rows a step, {seconds:.1f} s",
        "",
        "| engine thread, wall time | µs per step | µs per row | share |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part} | {value / steps * 1e6:.0f} | {value / rows * 1e6:.0f} | {value / seconds:.1%} |"
        for part, value in parts.items()
    ]
    ours = sum(counters[f"step_overhead_seconds.{part}"] for part in ("sample", "build", "deliver"))
    share = ours / (ours + counters["step_seconds"])
    lines += ["", f"Python and choosing: {share:.1%} of a step (goal with answers only: <= {GOAL_SHARE:.0%})"]
    lines += ["", "| CPU time | s | µs per row |", "|---|---|---|"]
    lines += [f"| {who} | {cpu:.2f} | {cpu / rows * 1e6:.0f} |" for who, cpu in _by_role(found.threads).items()]
    return "\n".join(lines)


def _by_role(threads: Mapping[tuple[int, int], float]) -> dict[str, float]:
    """Threads by what they do. The first process is the API's, the second the engine's; each one's first thread leads.

    The engine's busiest other thread is llama.cpp's second one; the rest sends, reads and beats.
    """
    api, engine = sorted({process for process, _ in threads})[:2]
    others = sorted((cpu for (process, thread), cpu in threads.items() if process == engine != thread), reverse=True)
    return {
        "engine: its thread (steps, and llama.cpp's first thread)": threads[engine, engine],
        "engine: llama.cpp's other threads": sum(others[:1]),
        "engine: frames in and out, heartbeat": sum(others[1:]),
        "API: event loop (frames, events, HTTP)": threads[api, api],
        "API: other threads": sum(cpu for (process, thread), cpu in threads.items() if process == api != thread),
    }


def _read(server: Server) -> Reading:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.other_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    counters = {}
    for name, labels, value in _SAMPLE.findall(text):
        part = re.search(r'part="(\w+)"', labels)
        counters[f"{name}.{part[1]}" if part else name] = float(value)
    return Reading(counters, server.thread_seconds())
