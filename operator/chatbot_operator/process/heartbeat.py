"""Whether the operator is alive: it looked at every Model not long ago, whatever the API server said."""

import time
from collections.abc import Callable

LONGEST_SILENCE_SECONDS = 180.0


class Heartbeat:
    """Beats when a tick asked for all Models and the queue worked off what it put there.

    That the probe handler answers says nothing: a dead worker or a silent watch must end the process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """A tick is through."""
        self._last = self._clock()

    @property
    def silence_seconds(self) -> float:
        """Time since the last beat."""
        return self._clock() - self._last

    @property
    def is_alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self.silence_seconds <= LONGEST_SILENCE_SECONDS
