"""What was measured so far, as JSON lines on disk: a bench that was interrupted goes on with the run it was at."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class OtherBench(Exception):
    """The folder holds runs of another commit, model or plan, or is being written; ratios must not mix them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant's go at one workload in one round.

    Attributes:
        void: Why it does not count; "" where it does.
        attempt: 0, or how many void ones came before.
        command: What was started.
        machine: Load average, stolen and foreign CPU seconds while it ran.
    """

    workload: str
    round: int
    contestant: str
    attempt: int
    void: str
    figures: Mapping[str, float]
    command: str = ""
    machine: Mapping[str, float] = field(default_factory=dict)


class Journal:
    """The file `runs.jsonl`: a first line about the bench, then a line per run."""

    def __init__(self, folder: Path, inputs: Mapping[str, Any]) -> None:
        """Open it, or begin it.

        Args:
            folder: Where.
            inputs: What all runs have in common; it has to be the same when one goes on.

        Raises:
            OtherBench: It is not.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "runs.jsonl"
        lines = _lines(self._path)
        if not lines:
            self._path.write_text(json.dumps({"inputs": dict(inputs)}) + "\n")
            self.runs: list[Run] = []
            return
        begun = lines[0].get("inputs", {})
        if begun != json.loads(json.dumps(dict(inputs))):
            differs = sorted(name for name in {*begun, *inputs} if begun.get(name) != inputs.get(name))
            raise OtherBench(
                f"{folder} holds another bench ({', '.join(differs)} differ); name another folder with --out"
            )
        self.runs = [Run(**line) for line in lines[1:]]
        # A line that was cut by the interruption is not repeated behind: the file is written anew without it, beside
        # the old one, so that whoever is killed here loses nothing either.
        new = self._path.with_suffix(".new")
        new.write_text("".join(json.dumps(line) + "\n" for line in lines))
        new.rename(self._path)

    def add(self, run: Run) -> None:
        """Note a run, on disk before anything else happens."""
        self.runs.append(run)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def attempts(self, workload: str, number: int, contestant: str) -> tuple[bool, int]:
        """Whether this was measured already, and how many attempts were void."""
        runs = runs_of(self.runs, workload, contestant)
        mine = [run for run in runs if run.round == number]
        return any(not run.void for run in mine), sum(1 for run in mine if run.void)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other bench out of a folder; whoever is killed lets go of it.

    Raises:
        OtherBench: One is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OtherBench(f"a bench is at work in {folder}; wait for it, or name another folder with --out") from None
    finally:
        os.close(descriptor)


def read_journal(folder: Path) -> tuple[dict[str, Any], list[Run]]:
    """Inputs and runs of a folder, for a report.

    Raises:
        OSError: There is none.
        ValueError: It is no journal.
    """
    lines = _lines(folder / "runs.jsonl")
    if not lines or "inputs" not in lines[0]:
        raise ValueError(f"{folder / 'runs.jsonl'} is no journal of a bench")
    return lines[0]["inputs"], [Run(**line) for line in lines[1:]]


def runs_of(runs: Sequence[Run], workload: str, contestant: str) -> list[Run]:
    """All attempts of one contestant at one workload."""
    return [run for run in runs if run.workload == workload and run.contestant == contestant]


def _lines(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break  # the machine stopped while this was written
    return found
