"""`Retry-After` as a promise: refused callers are told when to come back, one after the other, and places are kept.

Without this everyone that was refused in one second comes back in one second, and newcomers take the places that
were announced to others.
"""

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil, floor
from random import Random

from chatbot.domain.chat import Caller

LATE_SECONDS = 30.0
MAX_CALLERS = 10_000
JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Promise:
    """One caller's announced return.

    Attributes:
        due: Clock seconds at which it may come back.
        service_seconds: What its request is believed to take.
    """

    due: float
    service_seconds: float


def retry_after(overdue_seconds: float, promised_seconds: float, slots: int, rng: Random) -> int:
    """Whole seconds after which a refused caller should come back, >= 1.

    `max(1, ceil((overdue + promised / slots) x (1 + U[0, 0.2])))`: the line gets shorter by one second per second, so
    a wait of `limit + overdue` fits after `overdue`; those refused earlier come first; the jitter spreads a burst.

    Args:
        overdue_seconds: Predicted wait above the limit plus, at the hard bound, the seconds until a place is free.
        promised_seconds: Service seconds of refusals that were promised an earlier return.
        slots: Requests served at once, >= 1.
        rng: Source of the jitter.
    """
    return max(1, ceil((overdue_seconds + promised_seconds / slots) * (1 + rng.uniform(0, JITTER))))


class Promises:
    """Promises that are neither kept nor forgotten. Bounded; forgotten when kept or 30 s late."""

    def __init__(self, max_callers: int = MAX_CALLERS) -> None:
        self._max_callers = max_callers
        self._by_caller: OrderedDict[Caller, Promise] = OrderedDict()
        self._seconds_by_due: dict[int, float] = {}
        self._total_seconds = 0.0
        self._looked_at = 0

    def __len__(self) -> int:
        return len(self._by_caller)

    def give(self, caller: Caller, promise: Promise) -> None:
        """Remember a promise; an older one of this caller is replaced, and at the bound the oldest is dropped."""
        self.forget(caller)
        while len(self._by_caller) >= self._max_callers:
            self.forget(next(iter(self._by_caller)))
        self._by_caller[caller] = promise
        second = floor(promise.due)
        self._seconds_by_due[second] = self._seconds_by_due.get(second, 0.0) + promise.service_seconds
        self._total_seconds += promise.service_seconds

    def of(self, caller: Caller) -> Promise | None:
        """This caller's promise."""
        return self._by_caller.get(caller)

    def forget(self, caller: Caller) -> None:
        """The promise was kept, or is void."""
        promise = self._by_caller.pop(caller, None)
        if promise is None:
            return
        second = floor(promise.due)
        left = self._seconds_by_due[second] - promise.service_seconds
        if left > 1e-6:
            self._seconds_by_due[second] = left
        else:
            del self._seconds_by_due[second]
        self._total_seconds = self._total_seconds - promise.service_seconds if self._by_caller else 0.0

    def forget_late(self, now: float) -> None:
        """Forget what was due more than 30 s ago. Looks once a second."""
        if floor(now) == self._looked_at:
            return
        self._looked_at = floor(now)
        for caller in [c for c, promise in self._by_caller.items() if promise.due < now - LATE_SECONDS]:
            self.forget(caller)

    def seconds_before(self, due: float | None) -> float:
        """Service seconds promised an earlier return than `due` (whole seconds); all of them where it is None."""
        if due is None:
            return self._total_seconds
        return sum(seconds for second, seconds in self._seconds_by_due.items() if second < floor(due))

    def worst_wait(self, wait_seconds: float, slots: int, now: float, horizon_seconds: float) -> float:
        """Longest wait that a promised return within the horizon will meet, if nobody else joins from now on.

        Args:
            wait_seconds: Predicted wait of a request that joins now.
            slots: Requests served at once, >= 1.
            now: Clock seconds.
            horizon_seconds: Promises due later are not looked at: their line has not formed yet.

        Returns:
            Seconds; minus infinity where nothing is promised.
        """
        worst = float("-inf")
        ahead = 0.0
        for second in sorted(s for s in self._seconds_by_due if s <= now + horizon_seconds):
            line = max(0.0, wait_seconds + ahead / slots - max(0.0, second - now))
            worst = max(worst, line)
            ahead += self._seconds_by_due[second]
        return worst
