"""Figures of a run from its rows: one pass, a few bytes per row."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chatbot_loadtest.results.reading import Attempt

BUSY = 429


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank: the smallest value that at least `share` of all are not above. None of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread; None where there are none."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


def spread(values: Iterable[float]) -> Spread:
    """Of any number of values."""
    ordered = sorted(values)
    mean = math.fsum(ordered) / len(ordered) if ordered else None
    cuts = [percentile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)]
    return Spread(len(ordered), mean, *cuts)


@dataclass(slots=True)
class Group:
    """Requests of one kind.

    Attributes:
        seconds: Response times of answers.
    """

    answered: int = 0
    failed: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Ends:
    """How requests ended that came back equally often."""

    answered: int = 0
    failed: int = 0


class Figures:
    """Collects attempts, then answers questions about all of them.

    Attributes:
        ended_at: When each answer came, beside `seconds`.
        outcomes: Final outcomes by name: "answered" or the reason.
        refused: Requests whose first attempt was told to come back (`Retry-After`).
        got_in: Those of them that were answered later; `gave_up` those that were not.
        returns: Ends of requests by how often each came back.
        obeyed: Attempts made after a 429 and its `Retry-After`; `obeyed_admitted` those not refused again.
    """

    def __init__(self) -> None:
        self.attempts = 0
        self.retries = 0
        self.connection_errors = 0
        self.server_errors = 0
        self.refused = 0
        self.got_in = 0
        self.gave_up = 0
        self.obeyed = 0
        self.obeyed_admitted = 0
        self.first_began_at = math.inf
        self.last_ended_at = -math.inf
        self.seconds = array("d")
        self.ended_at = array("d")
        self.failed_at = array("d")
        self.refused_at = array("d")
        self.outcomes: Counter[str] = Counter()
        self.returns: dict[int, Ends] = {}
        self.users: dict[str, bool] = {}
        self.characters: dict[str, Group] = {}
        self.kinds: dict[str, Group] = {}
        self._met_busy: dict[str, bool] = {}

    def add(self, attempt: Attempt) -> None:
        """One row."""
        self.attempts += 1
        self.first_began_at = min(self.first_began_at, attempt.ended_at - attempt.response_seconds)
        self.last_ended_at = max(self.last_ended_at, attempt.ended_at)
        self.connection_errors += attempt.status_code == 0
        self._note_refusal(attempt)
        self.users.setdefault(attempt.user_id, False)
        if attempt.is_retry:
            self.retries += 1
            return
        self._note_end(attempt)

    def _note_refusal(self, attempt: Attempt) -> None:
        """Whether a request that was told to come back was let in at its next try."""
        if self._met_busy.get(attempt.user_id) and attempt.retry_count:
            self.obeyed += 1
            self.obeyed_admitted += attempt.status_code != BUSY
        self._met_busy[attempt.user_id] = attempt.status_code == BUSY
        if attempt.status_code == BUSY:
            self.refused_at.append(attempt.ended_at)
        told = attempt.retry_after_seconds is not None
        self.refused += told and attempt.retry_count == 0
        if not attempt.is_retry:
            self.got_in += attempt.retry_count > 0 and attempt.is_success
            self.gave_up += (told or attempt.retry_count > 0) and not attempt.is_success

    def _note_end(self, attempt: Attempt) -> None:
        ends = self.returns.setdefault(attempt.retry_count, Ends())
        ends.answered += attempt.is_success
        ends.failed += not attempt.is_success
        groups = [self.kinds.setdefault(attempt.test_type, Group())]
        if attempt.character_name:
            groups.append(self.characters.setdefault(attempt.character_name, Group()))
        if attempt.is_success:
            self.users[attempt.user_id] = True
            self.outcomes["answered"] += 1
            self.seconds.append(attempt.response_seconds)
            self.ended_at.append(attempt.ended_at)
            for group in groups:
                group.answered += 1
                group.seconds.append(attempt.response_seconds)
            return
        self.outcomes[attempt.failure_reason or "unknown"] += 1
        self.failed_at.append(attempt.ended_at)
        self.server_errors += attempt.status_code >= 500 or 200 <= attempt.status_code < 300
        for group in groups:
            group.failed += 1

    @property
    def answered(self) -> int:
        """Requests that ended in an answer."""
        return self.outcomes["answered"]

    @property
    def requests(self) -> int:
        """Requests that ended."""
        return self.outcomes.total()

    @property
    def wall_seconds(self) -> float:
        """From the first attempt's begin to the last one's end."""
        return max(0.0, self.last_ended_at - self.first_began_at) if self.attempts else 0.0

    def longest_silence(self) -> tuple[float, float] | None:
        """Begin (seconds since 1970) and length of the longest time between two answers."""
        moments = sorted(self.ended_at)
        gaps = [(later - earlier, earlier) for earlier, later in zip(moments, moments[1:], strict=False)]
        length, begin = max(gaps, default=(0.0, 0.0))
        return (begin, length) if gaps else None
