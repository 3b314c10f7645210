"""Totals since the start, for `GET /performance`, and what the process runs on, for `GET /info`."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chatbot.core.admission import Line

WINDOW = 1000
"""Response times that the average is taken over: those of a week ago say nothing about now."""


@dataclass(frozen=True, slots=True)
class Performance:
    """The body of `GET /performance`; names are part of the HTTP contract.

    Attributes:
        active_requests: Chat requests that are being answered now, waiting ones included.
        active_connections: Answers that are being streamed or produced to an open connection now.
        max_concurrent: Requests that run at once.
        queue_size: Requests that wait.
        avg_response_time: Seconds, of the last 1,000 requests that ended well; 0 before there was one.
        success_rate: Percent of the ended requests; 100 before there was one.
    """

    service_type: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    active_requests: int
    active_connections: int
    max_concurrent: int
    queue_size: int
    avg_response_time: float
    success_rate: float
    uptime_seconds: float


@dataclass(frozen=True, slots=True)
class Share:
    """Of memory or of a disk, bytes. `limited_by` is container or machine."""

    limit_bytes: int
    used_bytes: int
    limited_by: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process runs on; of a container its share. What cannot be read is None.

    Attributes:
        cpus: CPUs that may be used at once; parts of one count.
        cpus_limited_by: container or machine.
        disk: Of the folder that the process writes to.
        gpus: Names of the GPUs that the process sees.
    """

    cpus: float
    cpus_limited_by: str
    memory: Share | None
    disk: Share | None
    gpus: tuple[str, ...]


class Statistics:
    """Counts chat requests of one service. Belongs to one event loop."""

    def __init__(self, service: str, line: Callable[[], Line], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._line = line
        self._clock = clock
        self._began = clock()
        self._started = 0
        self._succeeded = 0
        self._failed = 0
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def started(self) -> None:
        """A chat request came."""
        self._started += 1

    def ended(self, ok: bool, seconds: float) -> None:
        """A chat request ended; every `started` is followed by exactly one of these."""
        if ok:
            self._succeeded += 1
            self._seconds.append(seconds)
        else:
            self._failed += 1

    def snapshot(self) -> Performance:
        """What `GET /performance` answers now."""
        line = self._line()
        ended = self._succeeded + self._failed
        active = self._started - ended
        return Performance(
            service_type=self._service,
            total_requests=self._started,
            successful_requests=self._succeeded,
            failed_requests=self._failed,
            active_requests=active,
            active_connections=active,
            max_concurrent=line.slots,
            queue_size=line.depth,
            avg_response_time=round(sum(self._seconds) / len(self._seconds), 3) if self._seconds else 0.0,
            success_rate=round(100 * self._succeeded / ended, 2) if ended else 100.0,
            uptime_seconds=round(self._clock() - self._began, 3),
        )
