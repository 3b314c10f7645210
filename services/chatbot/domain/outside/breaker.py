"""A circuit breaker: what keeps failing is left alone for a while, then tried with one call.

It only counts and decides; it calls nothing and knows no protocol. One for each backend, provider and tool.

Source: the pattern of M. Nygard, "Release It!".
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When calls stop, and for how long.

    Attributes:
        failures: Consecutive failures that open the breaker, >= 1.
        open_seconds: Pause before one call is tried. 10 s: back within 15 s after the backend is.
    """

    failures: int = 5
    open_seconds: float = 10.0


class BreakerOpen(Exception):
    """A call is not let through.

    Args:
        retry_after_seconds: Whole seconds until one is tried.
    """

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("failed shortly before; paused")
        self.retry_after_seconds = retry_after_seconds


class Attempt:
    """One call that was let through. A failure may still follow a success (a stream that broke).

    `release` without a verdict (the client left) says nothing about the backend.
    """

    def __init__(self, breaker: "CircuitBreaker", is_probe: bool) -> None:
        self._breaker = breaker
        self._is_probe = is_probe

    def succeeded(self) -> None:
        """The backend answers: close the breaker, unless it opened after this call began."""
        self._breaker._succeeded(self._is_probe)
        self._is_probe = False

    def failed(self) -> None:
        """The backend is in trouble: one more failure in a row; a failed probe opens at once."""
        self._breaker._failed(self._is_probe)
        self._is_probe = False

    def refused(self, pause_seconds: float) -> None:
        """The backend said "not now": let nothing through for `pause_seconds`, whatever came before."""
        self._breaker._open(pause_seconds)
        self._is_probe = False

    def release(self) -> None:
        """End without a verdict. Idempotent; a no-op after a verdict."""
        if self._is_probe:
            self._breaker._probe_given_back()
            self._is_probe = False


class CircuitBreaker:
    """Stops calling a backend that fails, and tries it with one call at a time until it answers."""

    def __init__(self, policy: BreakerPolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now; an open breaker becomes half-open by the clock alone."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._open_until else BreakerState.HALF_OPEN

    def check(self) -> None:
        """Refuse where a call now would be refused; takes nothing.

        Raises:
            BreakerOpen: With the whole seconds until a call is tried.
        """
        if self._open_until is None:
            return
        remaining_seconds = self._open_until - self._clock()
        if remaining_seconds > 0 or self._probing:
            raise BreakerOpen(max(1, math.ceil(remaining_seconds)))

    def attempt(self) -> Attempt:
        """Let one call through.

        Raises:
            BreakerOpen: The breaker is open, or half-open with its one call under way.
        """
        self.check()
        is_probe = self._open_until is not None
        self._probing = is_probe
        return Attempt(self, is_probe)

    def reset(self) -> None:
        """Close: what made the calls fail was mended (a new key)."""
        self._failures = 0
        self._open_until = None
        self._probing = False

    def _succeeded(self, is_probe: bool) -> None:
        if is_probe or self._open_until is None:
            self.reset()

    def _failed(self, is_probe: bool) -> None:
        if self._open_until is not None and not is_probe:
            return  # a call from before: it must not lengthen the pause
        self._failures += 1
        if is_probe or self._failures >= self._policy.failures:
            self._open(self._policy.open_seconds)

    def _open(self, pause_seconds: float) -> None:
        until = self._clock() + pause_seconds
        self._open_until = until if self._open_until is None else max(until, self._open_until)
        self._probing = False

    def _probe_given_back(self) -> None:
        self._probing = False
