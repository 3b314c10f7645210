"""Interleaved rounds: who plays when, who need not play any more, and how long the rest will take."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine_bench.load.workload import Workload
from engine_bench.results.goals import BEST, DEFAULT, GOALS, PRIMARY
from engine_bench.results.goals import SERIAL as AGAINST_SERIAL
from engine_bench.results.goals import TUNED as AGAINST_TUNED
from engine_bench.results.journal import Journal, Run, runs_of
from engine_bench.results.ratios import best, by_round
from engine_bench.servers.contestants import EXAMPLE, LLAMA_SERVERS, OURS, OURS_AGAIN, SERIAL, TUNED, Place

MOST_VOID: Final = 3
"""Void runs of one contestant in one round, before the round goes on without it."""
FIRST_ROUNDS: Final = 2
"""Which those play against whom no goal is measured."""
BEATEN: Final = ((1, 1.4), (2, 1.15))
"""After so many rounds, in each of which another llama-server was so much better, a configuration plays no more: it
will not be the best one of five."""


_RIVALS: Final = frozenset({BEST, DEFAULT, AGAINST_TUNED})
_AGAINST: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys((*LLAMA_SERVERS, TUNED), _RIVALS),
    SERIAL: frozenset({AGAINST_SERIAL}),
    EXAMPLE: frozenset(),
}
"""Goals that a contestant may decide."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All of it.

    Attributes:
        contestants: Names per workload.
        seed: Of all texts; each round has others.
        allowed_bytes: Memory that ours may take, per workload.
    """

    place: Place
    workloads: Sequence[Workload]
    contestants: Mapping[str, Sequence[str]]
    rounds: int
    seed: int = 1
    allowed_bytes: Mapping[str, int] = field(default_factory=dict)

    def plan(self) -> list[tuple[int, Workload, str]]:
        """Every run, in an order that rotates.

        In the first round the tuned llama-server is last: it is made of the others' winner. Ours again is always half
        a round from ours: else a machine that drifts would show in the ratios, and not in what they are judged by.
        """
        found = []
        for number in range(self.rounds):
            for workload in self.workloads:
                names = _in_a_ring(self.contestants[workload.name])
                shift = number % len(names)
                order = names[shift:] + names[:shift]
                if number == 0 and TUNED in order:
                    order.remove(TUNED)
                    order.append(TUNED)
                found += [(number, workload, name) for name in order]
        return found


def _in_a_ring(names: Sequence[str]) -> list[str]:
    if not {OURS, OURS_AGAIN} <= set(names):
        return list(names)
    others = [name for name in names if name not in {OURS, OURS_AGAIN}]
    half = len(others) // 2
    return [OURS, *others[:half], OURS_AGAIN, *others[half:]]


def is_due(journal: Journal, number: int, workload: str, name: str) -> bool:
    """Whether a run is still to be done: it is not there, was not void too often, and may change a ratio."""
    is_done, voids = journal.attempts(workload, number, name)
    return not is_done and voids < MOST_VOID and not has_left(journal.runs, number, workload, name)


def has_left(runs: Sequence[Run], number: int, workload: str, name: str) -> bool:
    """Whether a contestant plays a workload no more: nothing is measured against it, or others are always better.

    It is judged by the rounds before, so that a bench that was interrupted goes on as it would have.
    """
    goals = {goal.against for goal in GOALS if goal.workload == workload}
    if name not in _AGAINST or (name == TUNED and AGAINST_TUNED in goals):
        return False
    if not goals & _AGAINST[name]:
        return number >= FIRST_ROUNDS
    if name == SERIAL:
        return False
    mine = [run for run in runs if run.workload == workload]
    return any(
        number >= rounds and _is_beaten([run for run in mine if run.round < rounds], workload, name, factor)
        for rounds, factor in BEATEN
    )


def _is_beaten(first: Sequence[Run], workload: str, name: str, factor: float) -> bool:
    """Whether the best of those with their own batch size was better by the factor in every one of these rounds."""
    figure, more_is_better = PRIMARY[workload]
    winner = best(first, workload, LLAMA_SERVERS, PRIMARY[workload])
    if winner in {None, name}:
        return False
    theirs = by_round(runs_of(first, workload, winner or ""), figure)
    own = by_round(runs_of(first, workload, name), figure)
    over, under = (theirs, own) if more_is_better else (own, theirs)
    rounds = {run.round for run in first}
    return bool(rounds) and all(
        number in over and number in under and over[number] >= factor * under[number] for number in rounds
    )


def seconds_left(journal: Journal, later: Iterable[tuple[int, str, str]]) -> float:
    """What the runs that are still due will take: as the same did before, else as others of their workload did."""
    known: dict[tuple[str, str], list[float]] = {}
    for run in journal.runs:
        if "wall_seconds" in run.machine:
            for key in ((run.workload, run.contestant), (run.workload, ""), ("", "")):
                known.setdefault(key, []).append(run.machine["wall_seconds"])
    seconds = 0.0
    for number, workload, name in later:
        if is_due(journal, number, workload, name):
            keys = ((workload, name), (workload, ""), ("", ""))
            seconds += next((statistics.mean(known[key]) for key in keys if key in known), 0.0)
    return seconds
