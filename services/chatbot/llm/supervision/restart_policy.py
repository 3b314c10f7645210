"""When a dead engine is started again, and when its deaths count as a failure. Pure; the clock is given."""

import time
from collections import deque
from collections.abc import Callable

BACKOFF_SECONDS = (0.0, 1.0, 5.0, 15.0)
"""Wait before the first, second… start in a row; the last one repeats for ever."""

DEATHS_UNTIL_FAILING = 3
WINDOW_SECONDS = 300.0

_SECONDS_BEFORE_FIRST_MEASUREMENT = 2.0
_BYTES_PER_SECOND_BEFORE_FIRST_MEASUREMENT = 100e6
_SMALL_BYTES = 256 << 20


class RestartPolicy:
    """Deaths of the engine on one model.

    The wait grows with deaths in a row. An engine that finished an answer for somebody ends that row: starting it
    again at once is useful work, however often it dies, while one that dies without an answer must not spin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: deque[float] = deque(maxlen=DEATHS_UNTIL_FAILING)
        self._in_a_row = 0
        self._next_start = clock()
        self._failing = False

    def died(self) -> None:
        """Note a death that nobody asked for."""
        now = self._clock()
        self._deaths.append(now)
        self._next_start = now + BACKOFF_SECONDS[min(self._in_a_row, len(BACKOFF_SECONDS) - 1)]
        self._in_a_row += 1
        if len(self._deaths) == DEATHS_UNTIL_FAILING and now - self._deaths[0] <= WINDOW_SECONDS:
            self._failing = True

    def smoke_answered(self) -> None:
        """The engine serves again; until the next death it is not failing."""
        self._failing = False

    def answered(self) -> None:
        """The engine finished an answer for somebody."""
        self._in_a_row = 0

    @property
    def failing(self) -> bool:
        """Whether this was the third death within 5 minutes, and no smoke answer came since."""
        return self._failing

    @property
    def wait_seconds(self) -> float:
        """Seconds until the next start is due."""
        return max(0.0, self._next_start - self._clock())


class LoadForecast:
    """How long a load takes, learned from the loads so far."""

    def __init__(self) -> None:
        self._seconds_per_byte = 1 / _BYTES_PER_SECOND_BEFORE_FIRST_MEASUREMENT
        self._fixed_seconds = _SECONDS_BEFORE_FIRST_MEASUREMENT

    def measured(self, size_bytes: int, seconds: float) -> None:
        """Note a load that ended well, smoke answer included."""
        if size_bytes < _SMALL_BYTES:  # all start-up: it says nothing about the disk
            self._fixed_seconds = max(0.0, seconds - size_bytes * self._seconds_per_byte)
        else:
            self._fixed_seconds = min(self._fixed_seconds, seconds / 2)
            self._seconds_per_byte = (seconds - self._fixed_seconds) / size_bytes

    def total_seconds(self, size_bytes: int) -> float:
        """Expected seconds of a load of a file of this size."""
        return self._fixed_seconds + size_bytes * self._seconds_per_byte

    def left_seconds(self, size_bytes: int, elapsed_seconds: float) -> float:
        """Expected rest of a running load; one that is late is expected to need a quarter of its time more."""
        return max(self.total_seconds(size_bytes) - elapsed_seconds, elapsed_seconds / 4, 0.5)
