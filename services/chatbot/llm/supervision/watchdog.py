"""Whether an engine process is stuck. Pure: told what came, asked now and then; the clock is given."""

import time
from collections.abc import Callable
from enum import StrEnum

SILENCE_SECONDS = 10.0
SHORTEST_STUCK_STEP_SECONDS = 10.0
STUCK_FACTOR = 20.0
TICK_SECONDS = 0.5

_OWN_PAUSE_SECONDS = 2.0


class Stuck(StrEnum):
    """What is stuck."""

    LOAD = "load"
    STEP = "step"
    SILENT = "silent"


class Watchdog:
    """Judges one engine process.

    Args:
        load_timeout_seconds: Longest time from the start to the smoke answer.
        clock: Monotonic seconds.
    """

    def __init__(self, load_timeout_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._load_timeout_seconds = load_timeout_seconds
        self._clock = clock
        self._started = self._asked = clock()
        self._heard: float | None = None
        self._is_loaded = False
        self._step_seconds = 0.0
        self._step_limit_seconds = SHORTEST_STUCK_STEP_SECONDS

    def heard(self) -> None:
        """A frame came, of whatever type: the process lives."""
        if self._heard is not None:
            self._heard = self._clock()

    def loaded(self) -> None:
        """The smoke answer is done; from now on steps and silence are judged instead of the load."""
        self._heard = self._clock()
        self._is_loaded = True

    def heartbeat(self, step_seconds: float, predicted_seconds: float) -> None:
        """The heartbeat's word on the running step; from the first one on, silence counts in any case."""
        self._heard = self._clock()
        self._step_seconds = step_seconds
        self._step_limit_seconds = max(SHORTEST_STUCK_STEP_SECONDS, STUCK_FACTOR * predicted_seconds)

    def verdict(self) -> Stuck | None:
        """Ask, at least every `TICK_SECONDS`.

        A pause of the asking process itself (a suspended machine, a throttled cgroup) is not held against the engine.
        """
        now = self._clock()
        pause = now - self._asked - TICK_SECONDS
        self._asked = now
        if pause > _OWN_PAUSE_SECONDS:
            self._started += pause
            self._heard = None if self._heard is None else max(self._heard, now - TICK_SECONDS)
        if not self._is_loaded and now - self._started > self._load_timeout_seconds:
            return Stuck.LOAD
        # Before the first heartbeat the interpreter imports and the file is read; only the load's own limit holds.
        if self._heard is not None and now - self._heard > SILENCE_SECONDS:
            return Stuck.SILENT
        if self._is_loaded and self._step_seconds > self._step_limit_seconds:
            return Stuck.STEP
        return None
