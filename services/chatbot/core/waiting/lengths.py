"""How long a line may get, and how long it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """How long a line may get.

    Attributes:
        limit_seconds: Longest wait: a newcomer is refused above it by estimate.
        max_waiting: Hard bound of waiting requests. One caller, or one named tenant, gets at most 7/8 of it.
    """

    limit_seconds: float
    max_waiting: int


@dataclass(frozen=True, slots=True)
class Line:
    """The line as one service sees it.

    Attributes:
        depth: Requests of this service that wait.
        running: Requests of this service that hold a slot.
        slots: Requests that run at once, of all services.
        max_waiting: Hard bound of the line, of all services.
        predicted_wait_seconds: Wait of a request that arrives now; the longest allowed one while nobody knows.
        aside: Requests of this service that gave their slot away while their tools run.
    """

    depth: int
    running: int
    slots: int
    max_waiting: int
    predicted_wait_seconds: float
    aside: int = 0
