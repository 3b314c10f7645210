"""Limits before every answer: reserve, run, settle, and give back on every path that ends without an answer.

The shared store is asked with a limit of time and a circuit breaker. While it is away each replica counts by itself,
under its share of the limits: neither open nor closed (ADR 0016).
"""

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from chatbot.core.limits.account import LEAST_ANSWER_TOKENS, Ask, Granted, Refused
from chatbot.core.limits.estimate import Estimates
from chatbot.core.limits.hold import NO_HOLD, Held, Hold
from chatbot.core.limits.ledger import Ledger, MemoryAccounts
from chatbot.core.limits.windows import WINDOWS, Calendar
from chatbot.domain.chat import Caller
from chatbot.domain.errors import InvalidInput, QuotaSpent, RateLimited, StoreUnavailable
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.limits import AccountStore, Limits, LimitTelemetry, Policy, Quota

_LOG = logging.getLogger(__name__)
FAILURES: Final = 3
"""So many failures in a row, and the store is asked once a second only."""

PROBE_SECONDS: Final = 1.0
REMEMBER_SECONDS: Final = 1.0
"""A refusal is repeated from memory for at most so long."""

MOST_REMEMBERED: Final = 10_000
MOST_OWED: Final = 10_000
"""Settlements that the store did not take yet."""

GRACE_SECONDS: Final = 60.0
"""A reservation lapses so long after its request's deadline: the process that made it is dead."""

ANSWER_TOKENS: Final = 1024
"""Reserved for the answer where the caller names no bound; it is cut there."""

T = TypeVar("T")
Debt = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LimiterPolicy:
    """How limits are counted.

    Attributes:
        replicas: How many count for themselves while the store is away.
        call_seconds: A call of the store that takes longer is given up, and the replica counts by itself.
    """

    calendar: Calendar = Calendar()
    replicas: int = 1
    call_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that wants to enter the line.

    Attributes:
        context_tokens: Of the model; 0 where nobody knows them.
        field_names: The parts of a prompt -> the caller's names of fields.
        seconds: Until its deadline, line and generation together.
    """

    service: str
    backend: Backend
    request: GenerationRequest
    context_tokens: int
    field_names: Mapping[str, str]
    seconds: float


class Limiter:
    """The limits of all keys, as one replica sees them.

    Args:
        store: Shared by all replicas.
        clock: Monotonic, seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        store: AccountStore,
        policy: LimiterPolicy,
        telemetry: LimitTelemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shared = Ledger(store, policy.calendar, now=now)
        self._alone = Ledger(MemoryAccounts(), policy.calendar, now=now, is_degraded=True)
        self._policy = policy
        self._telemetry = telemetry
        self._clock = clock
        self._now = now
        self._estimates = Estimates()
        self._refusals: dict[str, tuple[float, Limits, RateLimited]] = {}
        self._owed: deque[Debt] = deque(maxlen=MOST_OWED)
        self._failures = 0
        self._probe_at = 0.0

    @property
    def is_degraded(self) -> bool:
        """Whether the store is away and this replica counts by itself."""
        return self._failures >= FAILURES

    def check(self, service: str, limits: Limits) -> None:
        """Repeat a refusal of a moment ago, before anything is read or made for the request.

        Raises:
            RateLimited, QuotaSpent: As `reserve`.
        """
        remembered = self._refusals.get(limits.account)
        if remembered is None:
            return
        until, under, error = remembered
        if self._clock() >= until or under != limits:
            del self._refusals[limits.account]
            return
        self._telemetry.limit_decided(service, str(error.policy), "refused")
        raise error.again()

    async def reserve(self, caller: Caller, wanted: Wanted) -> Hold:
        """Reserve a request and its tokens.

        Raises:
            RateLimited, QuotaSpent: A limit of the key is reached; nothing was consumed.
            InvalidInput: The request alone is larger than a limit of the key.
            StoreUnavailable: The store is away and there are too many keys to count here.
        """
        limits, request = caller.limits, wanted.request
        if not limits:
            return NO_HOLD
        bound = self._estimates.bound(request, wanted.context_tokens)
        times = 1 if request.tools is None else 2  # the decision is a generation of its own
        ask = Ask(
            request.request_id,
            bound * times,
            _answer_tokens(wanted) * times,
            self._now() + wanted.seconds + GRACE_SECONDS,
        )
        ledger, under, outcome, quota = await self._ask(limits, ask)
        if isinstance(outcome, Refused):
            raise self._refusal(wanted, ask, under, outcome, quota)
        self._telemetry.limit_decided(wanted.service, "all", "degraded" if quota.is_degraded else "granted")
        most = max(1, outcome.answer_tokens // times)
        held = Held(
            ask.id, replace(request, sampling=replace(request.sampling, most_tokens=most)), bound, wanted.backend
        )
        return Hold(held, quota, self._estimates, lambda tokens: self._end(ledger, under, ask, tokens))

    async def quota(self, limits: Limits) -> Quota:
        """What is left of a key's limits now."""
        if not limits:
            return Quota()
        try:
            return await self._call(lambda: self._shared.quota(limits))
        except StoreUnavailable:
            return await self._alone.quota(limits.share(self._policy.replicas))

    async def follow(self) -> None:
        """Pay what is owed to the store, for ever."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self._pay()

    async def close(self) -> None:
        """Pay what can be paid, and give back the store."""
        await self._pay()
        await self._shared.close()

    async def _ask(self, limits: Limits, ask: Ask) -> tuple[Ledger, Limits, Granted | Refused, Quota]:
        calling = asyncio.ensure_future(self._call(lambda: self._shared.reserve(limits, ask)))
        try:
            outcome, quota = await asyncio.shield(calling)
        except asyncio.CancelledError:
            calling.cancel()
            self._owed.append(lambda: self._shared.release(limits, ask.id))  # it may have been reserved
            raise
        except StoreUnavailable:
            self._owed.append(lambda: self._shared.release(limits, ask.id))
            share = limits.share(self._policy.replicas)
            return self._alone, share, *await self._alone.reserve(share, ask)
        return self._shared, limits, outcome, quota

    async def _end(self, ledger: Ledger, limits: Limits, ask: Ask, tokens: int | None) -> None:
        """Settle with what was used, or give back where that is None."""

        async def pay() -> None:
            await (ledger.release(limits, ask.id) if tokens is None else ledger.settle(limits, ask.id, tokens))

        self._refusals.pop(limits.account, None)  # what came back may be asked for
        if ledger is self._alone:
            await pay()
            return
        try:
            await self._call(pay)
        except StoreUnavailable:
            self._owed.append(pay)
        if tokens is not None:  # so that the replica's own count is true when it is needed
            share = limits.share(self._policy.replicas)
            try:
                await self._alone.charge(share, tokens)
            except StoreUnavailable:
                _LOG.warning("limits: too many keys to count beside the store")

    def _refusal(self, wanted: Wanted, ask: Ask, limits: Limits, refused: Refused, quota: Quota) -> Exception:
        self._telemetry.limit_decided(wanted.service, str(refused.policy), "refused")
        never = math.isinf(refused.seconds)
        if never and not quota.is_degraded:
            field = wanted.field_names.get("question", "messages")
            return InvalidInput(field, "above_limit", tokens=ask.prompt_tokens, maximum=limits.of(refused.policy) or 0)
        seconds = self._policy.calendar.seconds_left(refused.policy, self._now()) if never else refused.seconds
        # Upwards only, so that everybody who was refused does not come back at the same moment.
        retry_after = max(1, math.ceil(seconds * random.uniform(1.0, 1.1)))  # noqa: S311
        is_rate = refused.policy in (Policy.REQUESTS_MINUTE, Policy.TOKENS_MINUTE)
        error = (RateLimited if is_rate else QuotaSpent)(refused.policy, retry_after, quota)
        if self._is_for_all(refused.policy, quota) and len(self._refusals) < MOST_REMEMBERED:
            until = self._clock() + min(REMEMBER_SECONDS, seconds)
            self._refusals[limits.account] = (until, limits, error)
        return error

    def _is_for_all(self, policy: Policy, quota: Quota) -> bool:
        """Whether a smaller request would be refused, too."""
        left = {standing.policy: standing.remaining for standing in quota.standings}
        return policy is Policy.REQUESTS_MINUTE or (policy in WINDOWS and left[policy] < LEAST_ANSWER_TOKENS)

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """One call of the store, unless it was away a moment ago."""
        began = self._clock()
        if self.is_degraded:
            if began < self._probe_at:
                raise StoreUnavailable("limits: the store was away a moment ago")
            self._probe_at = began + PROBE_SECONDS
        outcome = "unavailable"
        try:
            async with asyncio.timeout(self._policy.call_seconds):
                result = await operation()
            outcome = "ok"
        except (StoreUnavailable, TimeoutError) as exc:
            self._failed(str(exc) or f"no answer within {self._policy.call_seconds} s")
            raise StoreUnavailable("limits: the store does not answer") from exc
        finally:
            self._telemetry.limit_store_called(outcome, self._clock() - began)
        if self.is_degraded:
            _LOG.warning("the store of limits answers again")
        self._failures = 0
        return result

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            self._probe_at = self._clock() + PROBE_SECONDS
            _LOG.error("the store of limits does not answer: this replica counts by itself; %s", reason)

    async def _pay(self) -> None:
        """Pay in the order in which it was owed; what lapsed meanwhile is still charged."""
        for _ in range(len(self._owed)):
            pay = self._owed.popleft()
            try:
                await self._call(pay)
            except StoreUnavailable:
                self._owed.appendleft(pay)
                return
            except Exception as exc:  # an account that somebody spoilt by hand must not keep the others from paying
                _LOG.error("limits: an answer could not be settled", extra={"error": type(exc).__name__})


def _answer_tokens(wanted: Wanted) -> int:
    asked = wanted.request.sampling.max_tokens
    if asked is not None:
        return asked
    return min(ANSWER_TOKENS, wanted.context_tokens // 2) if wanted.context_tokens else ANSWER_TOKENS
