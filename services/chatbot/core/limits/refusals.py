"""Refusals of a moment ago, from memory and at a bounded pace: who hammers a limit costs nobody else's answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from chatbot.core.limits.asks import LEAST_ANSWER_TOKENS, Ask
from chatbot.core.limits.windows import WINDOWS
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limited, Limits, LimitTelemetry, Policy, Quota, QuotaSpent, RateLimited, limit_name

REMEMBER_SECONDS: Final = 1.0
"""A refusal is repeated to other requests for at most so long."""

HAMMERED_SECONDS: Final = 10.0
"""And for so long where it was repeated more often than `HAMMERING` times what a minute allows."""

HAMMERING: Final = 10
USUAL_REQUESTS: Final = 60
"""Of a minute, where a subject has no limit of requests."""

MOST_REMEMBERED: Final = 10_000
"""Accounts, and requests."""

REPEATED_SECONDS: Final = 0.02
"""What a refusal from memory takes of its account's pace."""

FOUND_SECONDS: Final = 0.05
"""And one that took the whole way, which costs the service more."""

UNPACED_SECONDS: Final = 0.2
"""Refusals that come at once for so much of the pace do not wait."""

LONGEST_WAIT_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Account:
    """Who is refused. All times are clock seconds.

    Attributes:
        came_back: How often something of it was given back, which all refusals before end with.
        paced_until: When its next refusal has its turn, were none told at once (GCRA's theoretical arrival time).
    """

    limits: Limits
    refused: "dict[Backend, _Refusal]" = field(default_factory=dict)
    came_back: int = 0
    repeated: int = 0
    minute_ends: float = 0.0
    paced_until: float = 0.0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Holds until a clock's second, for as long as nothing came back."""

    error: RateLimited
    account: _Account
    until: float
    came_back: int


class Refusals:
    """What was refused lately: to an account whatever it asks of a backend, or one request alone.

    Args:
        clock: Monotonic, seconds.
    """

    def __init__(self, clock: Callable[[], float], telemetry: LimitTelemetry) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._accounts: dict[str, _Account] = {}
        self._requests: dict[bytes, _Refusal] = {}
        self._latest_until = 0.0

    @property
    def are_some(self) -> bool:
        """Whether anybody was refused lately: a refusal may still hold."""
        return self._clock() < self._latest_until

    def check(self, service: str, backend: Backend, limited: Iterable[Limited]) -> None:
        """Repeat a refusal before anything is made for a request.

        Raises:
            RateLimited, QuotaSpent: As `Limiter.reserve`.
        """
        error = self._to_all(limited, backend)
        if error is not None:
            raise self._counted(service, error)

    def before_reading(self, service: str, limited: Iterable[Limited]) -> RateLimited | None:
        """The same before anything is read of it; not where money is spent, which other backends do without."""
        for backend in Backend:
            error = self._to_all(limited, backend)
            if error is not None and error.policy is not Policy.USD_DAY:
                return self._counted(service, error)
        return None

    def of_request(self, service: str, digest: bytes) -> RateLimited | None:
        """What this very request was told, where that still holds."""
        kept = self._requests.get(digest)
        error = self._again(kept) if kept is not None else None
        if error is None:
            self._requests.pop(digest, None)
            return None
        return self._counted(service, error)

    def keep(self, limits: Limits, backend: Backend | None, error: RateLimited, seconds: float) -> None:
        """Remember that an account was refused, for so many seconds at least.

        Whatever is asked of the backend would be; None: a smaller request might not be, to whichever.
        """
        account = self._account(limits)
        if backend is not None:
            account.refused[backend] = self._refusal(account, error, min(_longest(account), seconds))
        account.repeated += 1
        self._latest_until = self._clock() + HAMMERED_SECONDS

    def keep_request(self, digest: bytes, error: RateLimited) -> None:
        """Remember what a request was told, which holds until it may come again; not of money, as above."""
        account = self._accounts.get(error.account)
        if account is None or error.policy is Policy.USD_DAY or error.quota.is_degraded:
            return
        if len(self._requests) >= MOST_REMEMBERED:
            del self._requests[next(iter(self._requests))]
        longest = HAMMERED_SECONDS if isinstance(error, QuotaSpent) else _longest(account)
        self._requests[digest] = self._refusal(account, error, min(longest, error.retry_after_seconds))

    def forget(self, name: str) -> None:
        """Something came back to an account: it may be asked for."""
        account = self._accounts.get(name)
        if account is not None:
            account.came_back += 1

    def turn(self, error: RateLimited, seconds: float) -> float:
        """Seconds that a refusal waits before it is told, where it takes so many of its account's pace.

        Clients that ask again as soon as they are answered are slowed by that to what costs others nothing.
        """
        account, now = self._accounts.get(error.account), self._clock()
        if account is None:
            return 0.0
        latest = now + UNPACED_SECONDS + LONGEST_WAIT_SECONDS
        account.paced_until = min(latest, max(now, account.paced_until) + seconds)
        return max(0.0, account.paced_until - now - UNPACED_SECONDS)

    def _to_all(self, limited: Iterable[Limited], backend: Backend) -> RateLimited | None:
        for one in limited:
            account = self._accounts.get(one.limits.account)
            if account is None or account.limits != one.limits or backend not in account.refused:
                continue
            error = self._again(account.refused[backend])
            if error is not None:
                return error
        return None

    def _again(self, kept: _Refusal) -> RateLimited | None:
        account = kept.account
        if self._clock() >= kept.until or kept.came_back != account.came_back:
            return None
        account.repeated += 1
        return kept.error.again(is_quiet=account.repeated > _often(account.limits))

    def _account(self, limits: Limits) -> _Account:
        """As known, or new: with other limits nothing holds any more."""
        name, now = limits.account, self._clock()
        account = self._accounts.get(name)
        if account is None or account.limits != limits:
            if account is None and len(self._accounts) >= MOST_REMEMBERED:
                del self._accounts[next(iter(self._accounts))]  # whoever is forgotten costs one read of the store
            account = self._accounts[name] = _Account(limits)
        if now >= account.minute_ends:
            account.repeated, account.minute_ends = 0, now + 60.0
        return account

    def _refusal(self, account: _Account, error: RateLimited, seconds: float) -> _Refusal:
        return _Refusal(error, account, self._clock() + seconds, account.came_back)

    def _counted(self, service: str, error: RateLimited) -> RateLimited:
        self._telemetry.limit_decided(service, limit_name(error.subject, error.policy), "refused")
        return error


def is_for_all(limited: Limited, policy: Policy, ask: Ask, quota: Quota) -> bool:
    """Whether a smaller request to the same backend would be refused, too."""
    if policy in (Policy.REQUESTS_MINUTE, Policy.CONCURRENT):
        return True
    left = [one.remaining for one in quota.standings if one.policy is policy and one.subject is limited.subject]
    if policy is Policy.USD_DAY:
        return ask.price is not None and left[0] < ask.price.bound(1, LEAST_ANSWER_TOKENS)
    return policy in WINDOWS and left[0] < LEAST_ANSWER_TOKENS


def _longest(account: _Account) -> float:
    return HAMMERED_SECONDS if account.repeated > _often(account.limits) else REMEMBER_SECONDS


def _often(limits: Limits) -> int:
    return HAMMERING * (limits.requests_per_minute or USUAL_REQUESTS)
