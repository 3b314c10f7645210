"""How long a request will wait: measured service times, and the line played forward over the slots.

Pure arithmetic on seconds; who calls it brings the time. The forecast is a list schedule: each waiting request, in
the order of dispatch, takes the slot that is free first.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from heapq import heapify, heapreplace
from itertools import accumulate
from math import sqrt

WINDOW = 128
"""Service times kept per service: a change of model is forgotten after so many answers."""

BLOCK = 8
"""Answers in a row whose mean tells how fast the engine is at the moment."""

DRIFT_SHARE = 0.2
DRIFT_BLOCKS = 4
"""Believed deviation of such a mean, as a share of the service time, and how many measured blocks the belief weighs."""

INITIAL_SECONDS = 5.0
"""Believed service time before one was measured."""


class ServiceTimes:
    """What answers of each service took from dispatch to the return of the slot, seconds."""

    def __init__(self) -> None:
        self._guess_seconds = INITIAL_SECONDS
        self._recent: dict[str, deque[float]] = {}
        self._means: dict[str, float] = {}
        self._spreads: dict[str, float] = {}
        self._drifts: dict[str, float] = {}
        self._sorted: dict[str, tuple[list[float], list[float]]] = {}

    def restart(self, guess_seconds: float) -> None:
        """Another model serves: what was measured counts no more, and this is believed until something was."""
        self._guess_seconds = max(guess_seconds, 1e-3)
        for measured in (self._recent, self._means, self._spreads, self._drifts, self._sorted):
            measured.clear()

    def outlasts(self, seconds: float) -> None:
        """A request has run for so long and not ended: no first guess may be shorter."""
        self._guess_seconds = max(self._guess_seconds, seconds)

    def add(self, service: str, seconds: float) -> None:
        """Note one finished request."""
        recent = self._recent.setdefault(service, deque(maxlen=WINDOW))
        recent.append(max(0.0, seconds))
        values = sorted(recent)
        self._sorted[service] = values, list(accumulate(values, initial=0.0))
        mean = sum(values) / len(values)
        self._means[service] = max(mean, 1e-3)
        self._spreads[service] = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        self._drifts[service] = _drift(recent, mean)

    def mean(self, service: str) -> float:
        """Expected seconds of a request that starts now, > 0."""
        return self._means.get(service, self._guess_seconds)

    def doubt(self, service: str, ahead: int, slots: int) -> float:
        """Standard deviation of a forecast over `ahead` requests before one, seconds; 0 before anything is measured.

        Source:
            n independent times add up with a variance of n, and a mean of m measured ones is wrong by 1/m of it, n
            times over: sqrt(n + n^2 / m) deviations of one time. A machine that is slower for a while is so for all n
            of them: n deviations of the drift. Both are shared by the slots.
        """
        measured = len(self._recent.get(service, ())) or 1
        alone = self._spreads.get(service, 0.0) * sqrt(ahead + ahead * ahead / measured)
        together = self._drifts.get(service, 0.0) * ahead
        return sqrt(alone * alone + together * together) / slots

    def remaining(self, service: str, elapsed_seconds: float) -> float:
        """Expected seconds until a request ends that has run for `elapsed_seconds`.

        The mean excess of those measured that took longer; half a mean where it has outlasted them all.
        """
        values, sums = self._sorted.get(service, ((), (0.0,)))
        shorter = bisect_right(values, elapsed_seconds)
        longer = len(values) - shorter
        if longer:
            return (sums[-1] - sums[shorter]) / longer - elapsed_seconds
        mean = self.mean(service)
        return max(mean - elapsed_seconds, mean / 2)


def _drift(recent: Collection[float], mean: float) -> float:
    """Deviation of the engine's speed from block to block, seconds per answer, without what chance alone explains.

    Source:
        Batch means: R. W. Conway, "Some tactical problems in digital simulation", Management Science 10(1), 1963.
    """
    believed = (DRIFT_SHARE * mean) ** 2
    count = len(recent) // BLOCK
    if count < 2:
        return sqrt(believed)
    values = list(recent)[-count * BLOCK :]
    blocks = [sum(values[start : start + BLOCK]) / BLOCK for start in range(0, len(values), BLOCK)]
    middle = sum(blocks) / count
    between = sum((block - middle) ** 2 for block in blocks) / (count - 1)
    within = sum((value - middle) ** 2 for value in values) / len(values) / BLOCK
    return sqrt((count * max(0.0, between - within) + DRIFT_BLOCKS * believed) / (count + DRIFT_BLOCKS))


def slots_free_at(remaining_seconds: Iterable[float], slots: int, opens_in_seconds: float) -> list[float]:
    """When each slot is free, seconds from now, in no order.

    Args:
        remaining_seconds: Of each request that runs now.
        slots: Requests that run at once, >= 1. Where more run than that (capacity shrank), the first ones to end
            free no slot.
        opens_in_seconds: No slot takes a new request before.
    """
    ends = sorted(remaining_seconds)
    ends = ends[max(0, len(ends) - slots) :]
    return [max(opens_in_seconds, end) for end in ends] + [opens_in_seconds] * (slots - len(ends))


def start_times(free_at: Sequence[float], service_seconds: Iterable[float]) -> list[float]:
    """When each waiting request starts, seconds from now, in the order given.

    Args:
        free_at: When each slot is free, seconds from now; not empty.
        service_seconds: What each waiting request is believed to take, in the order of dispatch.

    Source:
        List scheduling, R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966.
    """
    heap = list(free_at)
    heapify(heap)
    starts = []
    for seconds in service_seconds:
        start = heap[0]
        starts.append(start)
        heapreplace(heap, start + seconds)
    return starts
