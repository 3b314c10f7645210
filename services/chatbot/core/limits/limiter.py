"""Limits before every answer: reserve, run, settle, and give back on every path that ends without an answer.

A request is counted for its user, its key and its tenant, from narrow to wide, so that somebody who is refused by his
own limit never takes from the others', not even for a moment. What it got is given back where a wider limit refuses.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from chatbot.core.limits.asks import Ask, Granted, Price, Refused
from chatbot.core.limits.counters import Counters, Entry, LimiterPolicy
from chatbot.core.limits.estimate import Estimates, answer_tokens
from chatbot.core.limits.hold import NO_HOLD, Held, Hold, at_most, generations_of
from chatbot.core.limits.refusals import Refusals, is_for_all
from chatbot.core.limits.windows import WindowUse
from chatbot.domain.chat import Caller
from chatbot.domain.errors import InvalidInput, StoreUnavailable
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.limits import (
    AccountStore,
    BudgetUnavailable,
    Limited,
    LimitTelemetry,
    Policy,
    Quota,
    QuotaSpent,
    RateLimited,
    limit_name,
)
from chatbot.domain.usage.prices import NO_PRICES, PriceTable, priced_name

__all__ = ["Limiter", "LimiterPolicy", "Wanted"]

GRACE_SECONDS: Final = 60.0
"""A reservation lapses so long after its request's deadline: the process that made it is dead."""

_LOG = logging.getLogger(__name__)
_OF_A_MOMENT: Final = (Policy.REQUESTS_MINUTE, Policy.TOKENS_MINUTE, Policy.CONCURRENT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that wants to enter the line.

    Attributes:
        model: Its name; "" where none is served.
        context_tokens: Of the model; 0 where nobody knows them.
        field_names: The parts of a prompt -> the caller's names of fields.
        seconds: Until its deadline, line and generation together.
        is_repeated: Whether an answer that is there is given once more: no tokens and no money.
    """

    service: str
    backend: Backend
    request: GenerationRequest
    model: str
    context_tokens: int
    field_names: Mapping[str, str]
    seconds: float
    is_repeated: bool = False


class Limiter:
    """The limits of everybody, as one replica sees them.

    Args:
        store: Shared by all replicas.
        prices: For limits of money.

    Attributes:
        estimates: Of prompts that nobody counted.
        use: Of tenants' days and months.
        refusals: Of a moment ago.
        clock: Monotonic, seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        store: AccountStore,
        policy: LimiterPolicy,
        telemetry: LimitTelemetry,
        *,
        prices: PriceTable = NO_PRICES,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.counters = Counters(store, policy, telemetry, clock=clock, now=now)
        self._policy = policy
        self._telemetry = telemetry
        self.prices = prices
        self._now = now
        self.estimates = Estimates()
        self.use = WindowUse(clock)
        self.refusals = Refusals(clock, telemetry)
        self._unpriced: set[str] = set()

    @property
    def is_degraded(self) -> bool:
        """Whether the store is away and this replica counts by itself."""
        return self.counters.is_degraded

    async def reserve(self, caller: Caller, wanted: Wanted) -> Hold:
        """Reserve a request and its tokens for everybody whose use is counted.

        Raises:
            RateLimited, QuotaSpent: A limit is reached; nothing was consumed.
            InvalidInput: The request alone is larger than a limit.
            BudgetUnavailable: Money is limited, and nobody knows what this costs or what is left.
            StoreUnavailable: The store is away and there are too many accounts to count here.
        """
        if not caller.is_counted:
            return NO_HOLD
        ask = self._asked(caller, wanted)
        taken: list[Entry] = []
        try:
            granted, quota = await self._reserve(caller, wanted, ask, taken)
            await self._count_shadows(caller, wanted, ask, taken)
        except asyncio.CancelledError:
            for entry in taken:
                self.counters.owe(entry)
            raise
        except Exception:
            await asyncio.gather(*(self.counters.end(entry, None, 0) for entry in taken), return_exceptions=True)
            raise
        self._telemetry.limit_decided(wanted.service, "all", "degraded" if quota.is_degraded else "granted")
        request, binds = wanted.request, bool(caller.limited)
        if binds:
            request = at_most(request, granted // generations_of(request))
        held = Held(ask, granted, request, wanted.backend, wanted.context_tokens, binds)
        return Hold(held, quota, self.estimates, _Reservation(self, wanted, taken))

    async def quota(self, limited: Sequence[Limited]) -> Quota:
        """What is left of everybody's limits now."""
        return _together([await self.counters.quota(one) for one in limited])

    async def follow(self) -> None:
        """Pay what is owed to the store and renew leases, for ever."""
        await self.counters.follow()

    async def close(self) -> None:
        """Pay what can be paid, and give back the store."""
        await self.counters.close()

    async def widen(self, wanted: Wanted, entries: Sequence[Entry], ask: Ask) -> Granted:
        """Reserve another generation of an answer.

        Raises:
            RateLimited, QuotaSpent: There is not so much left.
            BudgetUnavailable: Money is limited, and nobody knows what is left.
        """
        for entry in (one for one in entries if not one.limited.is_shadow):
            try:
                outcome = await self.counters.widen(entry, ask)
            except StoreUnavailable:
                _refuse_uncounted_money(entry.limited, ask)
                continue  # it is charged in full when the store is back
            if isinstance(outcome, Refused):
                raise self._refusal(wanted, ask, entry, outcome, await self.counters.quota(entry.limited))
            ask = replace(ask, answer_tokens=outcome.answer_tokens)
        return Granted(ask.answer_tokens)

    async def end(self, entries: Sequence[Entry], tokens: int | None, micro_usd: int) -> None:
        """Settle everybody's accounts, or give back where tokens are None."""
        for entry in entries:
            self.refusals.forget(entry.limited.limits.account)
        await asyncio.gather(*(self.counters.end(entry, tokens, micro_usd) for entry in entries))

    async def _reserve(self, caller: Caller, wanted: Wanted, ask: Ask, taken: list[Entry]) -> tuple[int, Quota]:
        quotas: list[Quota] = []
        for limited in caller.limited:
            entry, outcome, quota = await self.counters.reserve(limited, ask)
            self.use.seen(caller.tenant, () if quota.is_degraded else quota.standings)
            if isinstance(outcome, Refused):
                raise self._refusal(wanted, ask, entry, outcome, _together([*quotas, quota]))
            taken.append(entry)
            quotas.append(quota)
            if quota.is_degraded:
                _refuse_uncounted_money(limited, ask)
            ask = replace(ask, answer_tokens=min(ask.answer_tokens, outcome.answer_tokens))
        return ask.answer_tokens, _together(quotas)

    async def _count_shadows(self, caller: Caller, wanted: Wanted, ask: Ask, taken: list[Entry]) -> None:
        """Count what would be refused of what passed; nobody is."""
        for limited in caller.shadows:
            try:
                entry, outcome, quota = await self.counters.reserve(limited, ask)
            except StoreUnavailable:
                continue
            if isinstance(outcome, Granted):
                taken.append(entry)
            elif not quota.is_degraded:
                name = limit_name(limited.subject, outcome.policy)
                self._telemetry.limit_decided(wanted.service, name, "shadow_refused")

    def _asked(self, caller: Caller, wanted: Wanted) -> Ask:
        request = wanted.request
        times = generations_of(request)
        name = uuid4().hex  # not the request's: asked for once more, it must not meet what is still to be given back
        lapses_at = self._now() + wanted.seconds + GRACE_SECONDS
        if wanted.is_repeated:
            return Ask(name, 0, 0, lapses_at)
        return Ask(
            name,
            self.estimates.bound(request, wanted.context_tokens) * times,
            answer_tokens(request.sampling, wanted.context_tokens) * times,
            lapses_at,
            self._price(caller, wanted),
        )

    def _price(self, caller: Caller, wanted: Wanted) -> Price | None:
        """What it costs us, where money is limited. Our own machines cost nothing unless a price says so.

        Raises:
            BudgetUnavailable: Nobody knows.
        """
        key = wanted.request.upstream_key
        if wanted.backend is Backend.OPENAI and key is not None and not key.may_fall_back:
            return None
        if not _is_of_money((*caller.limited, *caller.shadows)):
            return None
        table, name = self.prices, priced_name(wanted.backend, wanted.service, wanted.model)
        day = datetime.fromtimestamp(self._now(), UTC).date()
        is_billed = wanted.backend is Backend.OPENAI
        if table.row(name, day) is not None:
            return Price(table, name, day, is_billed)
        if is_billed and _is_of_money(caller.limited):
            if name not in self._unpriced:
                self._unpriced.add(name)  # a name of the settings
                _LOG.error("money is limited and %s has no price in CHATBOT_USAGE_PRICES_FILE: it is not asked", name)
            raise BudgetUnavailable
        return None

    def _refusal(self, wanted: Wanted, ask: Ask, entry: Entry, refused: Refused, quota: Quota) -> Exception:
        subject, limits = entry.limited.subject, entry.limits
        self._telemetry.limit_decided(wanted.service, limit_name(subject, refused.policy), "refused")
        never = math.isinf(refused.seconds)
        if never and not quota.is_degraded and refused.policy is not Policy.USD_DAY:
            field = wanted.field_names.get("question", "messages")
            return InvalidInput(field, "above_limit", tokens=ask.prompt_tokens, maximum=limits.of(refused.policy) or 0)
        seconds = self._policy.calendar.seconds_left(refused.policy, self._now()) if never else refused.seconds
        # Upwards only, so that everybody who was refused does not come back at the same moment.
        retry_after = max(1, math.ceil(seconds * random.uniform(1.0, 1.1)))  # noqa: S311
        kind = RateLimited if refused.policy in _OF_A_MOMENT else QuotaSpent
        violated = tuple(limit_name(subject, policy) for policy in refused.policies)
        error = kind(refused.policy, retry_after, quota, subject, violated, entry.limited.limits.account)
        is_true_later = not ask.extends and not quota.is_degraded
        is_all = is_true_later and is_for_all(entry.limited, refused.policy, ask, quota)
        self.refusals.keep(entry.limited.limits, wanted.backend if is_all else None, error, seconds)
        return error


class _Reservation:
    """`Accounts` of one answer."""

    def __init__(self, limiter: Limiter, wanted: Wanted, entries: Sequence[Entry]) -> None:
        self._limiter = limiter
        self._wanted = wanted
        self._entries = entries

    async def widen(self, ask: Ask) -> Granted:
        """See `Accounts`."""
        return await self._limiter.widen(self._wanted, self._entries, ask)

    async def end(self, tokens: int | None, micro_usd: int) -> None:
        """See `Accounts`."""
        await self._limiter.end(self._entries, tokens, micro_usd)


def _refuse_uncounted_money(limited: Limited, ask: Ask) -> None:
    """Spend nothing of somebody else's bill while nobody knows what is left: a share each could pass the budget.

    Raises:
        BudgetUnavailable: It would be.
    """
    if limited.limits.micro_usd_per_day is not None and ask.price is not None and ask.price.is_billed:
        raise BudgetUnavailable("money cannot be counted now", retry_after_seconds=1)


def _is_of_money(limited: Sequence[Limited]) -> bool:
    return any(one.limits.micro_usd_per_day is not None for one in limited)


def _together(quotas: Sequence[Quota]) -> Quota:
    """What is left of several accounts."""
    standings = tuple(standing for quota in quotas for standing in quota.standings)
    return Quota(standings, any(quota.is_degraded for quota in quotas))
