"""The engine dies under a load test: the report shows when."""

import csv
import json
import random
import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from parts.load_run import load_run
from parts.local_process import LocalProcess, local_process

WAIT_SECONDS = 60.0
SHOWN = re.compile(r'"what":"([\d.]+) s without an answer"')
DEATHS = 3
"""One in the middle of the work and two of its successors, so that the dip is longer than a busy machine's hiccups."""


def until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s for {what}"
        time.sleep(0.02)


def engine(local: LocalProcess) -> psutil.Process | None:
    """The engine process of `chatbot-local`."""
    for child in psutil.Process(local.process.pid).children():
        try:
            if "chatbot.llm.engine.process" in child.cmdline():
                return child
        except psutil.Error:  # it died while it was looked at
            continue
    return None


def kill_engine(local: LocalProcess, dead: set[int]) -> None:
    """Kill the next one that is not dead yet."""

    def lives() -> bool:
        found = engine(local)
        return found is not None and found.pid not in dead

    until("an engine", lives)
    found = engine(local)
    assert found is not None
    dead.add(found.pid)
    found.kill()


def answered_at(folder: Path) -> list[float]:
    """When each answer came, read from the table while it is written."""
    if not (folder / "requests.csv").exists():
        return []
    with (folder / "requests.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["is_final_success"] == "true"]
    return sorted(datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows)


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.scale
@pytest.mark.timeout(3000)
def test_the_dip_of_the_report_is_where_the_engine_was_killed(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    for number in range(scale(1, 10)):
        folder = tmp_path / str(number)
        folder.mkdir()

        done, killed = run_with_deaths(folder, random.Random(number))

        assert done.returncode == 0, done.stdout + done.stderr
        dip = json.loads((folder / "out/summary.json").read_text())["longest_silence"]
        began, ended = seconds_of(dip["began"]), seconds_of(dip["ended"])
        figures(began_after_kill_seconds=round(began - killed, 2), lasted_seconds=dip["seconds"])
        last_before = max(moment for moment in answered_at(folder / "out") if moment <= killed)
        assert last_before <= began <= killed + 2
        assert ended > killed
        shown = SHOWN.search((folder / "out/report.html").read_text())
        assert shown is not None
        assert float(shown[1]) == pytest.approx(ended - began, abs=0.1)


def run_with_deaths(folder: Path, rng: random.Random) -> tuple[subprocess.CompletedProcess[str], float]:
    """A load test of 35 s; its end, and when the engine was killed."""
    out = folder / "out"
    with local_process(folder) as local, ThreadPoolExecutor(1) as beside:
        running = beside.submit(load_run, out, local.gateway, "--seconds=35", "--think-seconds", "0.1", "0.4")
        until("the first answers", lambda: len(answered_at(out)) >= 20)
        time.sleep(rng.uniform(1, 8))  # the random second
        killed, dead = time.time(), set[int]()
        for _ in range(DEATHS):
            kill_engine(local, dead)
        until("answers of another engine", lambda: answered_at(out)[-1] > killed + 2)
        return running.result(), killed
