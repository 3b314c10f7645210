"""Refusals of a moment ago, repeated from memory: who hammers a spent limit costs no store and no model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from chatbot.core.limits.asks import LEAST_ANSWER_TOKENS, Ask
from chatbot.core.limits.windows import WINDOWS
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limited, Limits, Policy, Quota, RateLimited

REMEMBER_SECONDS: Final = 1.0
"""A refusal is repeated from memory for at most so long."""

HAMMERED_SECONDS: Final = 10.0
"""And for so long where it was repeated more often than `HAMMERING` times what a minute allows."""

HAMMERING: Final = 10
USUAL_REQUESTS: Final = 60
"""Of a minute, where a subject has no limit of requests."""

MOST_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Remembered:
    """One refusal; `until` and `minute_ends` are clock seconds."""

    until: float
    limits: Limits
    error: RateLimited
    repeated: int = 0
    minute_ends: float = 0.0


class Refusals:
    """What was refused lately, by account and backend.

    Args:
        clock: Monotonic, seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, Backend], _Remembered] = {}
        self._latest_until = 0.0

    @property
    def are_some(self) -> bool:
        """Whether a refusal may still hold, if only one that was forgotten since."""
        return self._clock() < self._latest_until

    def find(self, limited: Iterable[Limited], backend: Backend) -> RateLimited | None:
        """The refusal of a moment ago that still holds, for another request; None: there is none."""
        for one in limited:
            kept = self._kept.get((one.limits.account, backend))
            if kept is None or kept.limits != one.limits:
                continue
            now = self._clock()
            if now < kept.until:
                kept.repeated += 1
                return kept.error.again(is_quiet=kept.repeated > _often(one.limits))
            if now >= kept.minute_ends:
                del self._kept[one.limits.account, backend]
        return None

    def keep(self, limits: Limits, backend: Backend, error: RateLimited, seconds: float) -> None:
        """Remember a refusal that holds for so many seconds at least."""
        name, now = (limits.account, backend), self._clock()
        kept = self._kept.get(name)
        if kept is None and len(self._kept) >= MOST_REMEMBERED:
            del self._kept[next(iter(self._kept))]  # whoever is forgotten costs one read of the store
        repeated, minute_ends = (kept.repeated, kept.minute_ends) if kept is not None else (0, 0.0)
        if now >= minute_ends:
            repeated, minute_ends = 0, now + 60.0
        longest = HAMMERED_SECONDS if repeated > _often(limits) else REMEMBER_SECONDS
        until = now + min(longest, seconds)
        self._kept[name] = _Remembered(until, limits, error, repeated + 1, minute_ends)
        self._latest_until = max(self._latest_until, until)

    def forget(self, account: str) -> None:
        """Something came back: it may be asked for."""
        for backend in Backend:
            kept = self._kept.get((account, backend))
            if kept is not None:
                kept.until = 0.0


def is_for_all(limited: Limited, policy: Policy, ask: Ask, quota: Quota) -> bool:
    """Whether a smaller request to the same backend would be refused, too."""
    if policy in (Policy.REQUESTS_MINUTE, Policy.CONCURRENT):
        return True
    left = [one.remaining for one in quota.standings if one.policy is policy and one.subject is limited.subject]
    if policy is Policy.USD_DAY:
        return ask.price is not None and left[0] < ask.price.bound(1, LEAST_ANSWER_TOKENS)
    return policy in WINDOWS and left[0] < LEAST_ANSWER_TOKENS


def _often(limits: Limits) -> int:
    return HAMMERING * (limits.requests_per_minute or USUAL_REQUESTS)
