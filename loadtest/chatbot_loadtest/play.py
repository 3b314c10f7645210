"""Plays a scenario with Locust in this process, with a progress line and a look at the services every second."""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gevent
import requests
from locust import LoadTestShape
from locust.env import Environment

from chatbot_loadtest.results.records import COLUMNS, TIMELINE_COLUMNS, WAIT_COLUMNS, Table, iso
from chatbot_loadtest.scenarios import Scenario
from chatbot_loadtest.target import Target
from chatbot_loadtest.users.client import Run
from chatbot_loadtest.users.kinds import user_classes

_LOOK_SECONDS: Final = 1.0
_SPAWN_PER_SECOND: Final = 20.0
_SERVICES: Final = ("office", "character")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run plays.

    Attributes:
        drain_seconds: How long requests under way may take to end after the scenario.
    """

    target: Target
    session: Callable[[], requests.Session]
    folder: Path
    drain_seconds: float


class _Shape(LoadTestShape):
    """A scenario's stages, for Locust; then nothing new until requests under way have ended."""

    def __init__(self, scenario: Scenario, run: Run, drain_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._scenario = scenario
        self._run = run
        self._ends_at_latest = scenario.seconds + drain_seconds
        self._last = (0, _SPAWN_PER_SECOND)

    def tick(self) -> tuple[int, float] | None:
        """Users now; None ends the run."""
        users = self._scenario.users_at(float(self.get_run_time()))  # type: ignore[no-untyped-call]
        if users is not None:
            self._last = (users + self._scenario.greedy_clients, _SPAWN_PER_SECOND)
            return self._last
        self._run.is_ending = True
        is_over = self._run.under_way == 0 or float(self.get_run_time()) > self._ends_at_latest  # type: ignore[no-untyped-call]
        return None if is_over else self._last


class _Lookout:
    """Writes `timeline.csv` and shows the progress."""

    def __init__(self, stage: Stage, run: Run, scenario: Scenario, timeline: Table) -> None:
        self._stage = stage
        self._run = run
        self._scenario = scenario
        self._timeline = timeline
        self._session = stage.session()
        self.users: Callable[[], int] = lambda: 0

    def watch(self) -> None:
        """For ever; ended from outside."""
        began = time.monotonic()
        for number in range(sys.maxsize):
            counts = [count for service in _SERVICES for count in self._look(service)]
            self._timeline.add((iso(time.time()), str(self.users()), *counts))
            self._show(time.monotonic() - began)
            gevent.sleep(max(0.0, began + (number + 1) * _LOOK_SECONDS - time.monotonic()))

    def _look(self, service: str) -> tuple[str, str]:
        """Waiting and running; empty where it did not tell."""
        try:
            body = self._session.get(f"{self._stage.target.url}/{service}/performance", timeout=5).json()
            waiting, active = int(body["queue_size"]), int(body["active_requests"])
        except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
            return "", ""
        return str(waiting), str(max(0, active - waiting))

    def _show(self, seconds: float) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        if sys.stderr.isatty() or int(seconds) % 10 == 0:
            text = (
                f"{min(seconds, self._scenario.seconds):5.0f} of {self._scenario.seconds:.0f} s   "
                f"{self.users():3d} users   {self._run.sent} sent   {self._run.under_way} under way"
            )
            print(f"{text:<78}", end=end, file=sys.stderr, flush=True)


def play(scenario: Scenario, stage: Stage) -> dict[str, Any]:
    """Play it to its end, or until Ctrl-C; then let requests under way end.

    Returns:
        What the summary says about the run.
    """
    tables = {
        name: Table(stage.folder / f"{name}.csv", columns)
        for name, columns in (("requests", COLUMNS), ("waits", WAIT_COLUMNS), ("timeline", TIMELINE_COLUMNS))
    }
    run = Run(
        stage.target.url,
        stage.session,
        scenario.think_seconds,
        tables["requests"].add,
        tables["waits"].add,
        stage.target.model,
    )
    began = time.time()
    is_whole = _play(scenario, stage, run, tables["timeline"])
    for table in tables.values():
        table.close()
    return {
        "started": iso(began),
        "seconds": round(time.time() - began, 1),
        "is_whole": is_whole,
        "cut_off_requests": run.cut_off,
    }


def _play(scenario: Scenario, stage: Stage, run: Run, timeline: Table) -> bool:
    environment = Environment(
        user_classes=list(user_classes(run, scenario.mix, scenario.greedy_clients)),
        shape_class=_Shape(scenario, run, stage.drain_seconds),
        stop_timeout=stage.drain_seconds,
    )
    runner = environment.create_local_runner()
    lookout = _Lookout(stage, run, scenario, timeline)
    lookout.users = lambda: int(runner.user_count)
    stopped: list[int] = []

    def stop(number: int) -> None:
        stopped.append(number)
        gevent.spawn(runner.quit)

    handlers = [gevent.signal_handler(number, stop, number) for number in (signal.SIGINT, signal.SIGTERM)]
    watcher = gevent.spawn(lookout.watch)
    runner.start_shape()
    gevent.joinall([runner.shape_greenlet])
    runner.quit()
    watcher.kill()
    for handler in handlers:
        handler.cancel()
    print(file=sys.stderr)
    return not stopped
