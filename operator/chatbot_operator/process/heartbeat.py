"""Whether the operator is alive: it gets on with looking at every Model, whatever the API server says."""

import time
from collections.abc import Callable

LONGEST_SILENCE_SECONDS = 180.0


class Heartbeat:
    """Beats when a tick asked for all Models, and whenever the queue has worked off more of what that put there.

    That the probe handler answers says nothing: a dead worker or a silent watch must end the process. One Model that
    never comes to an end is left over, and then nothing beats any more. A thousand that a slow API server keeps for
    minutes are no reason to be killed in the midst of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """A tick is through, or nearer to it."""
        self._last = self._clock()

    @property
    def silence_seconds(self) -> float:
        """Time since the last beat."""
        return self._clock() - self._last

    @property
    def is_alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self.silence_seconds <= LONGEST_SILENCE_SECONDS
