"""The counters of one account, as functions from state to state. No clock, no store: exact and replayable.

Requests and tokens a minute are leaky buckets (ITU-T I.371, annex A: the same as the generic cell rate algorithm, and
units instead of times stay true where a limit is changed); tokens and money of a day or month are counters of calendar
windows. What is reserved counts as used until it is settled or lapses. What is reserved and leased is under way.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from chatbot.core.limits.asks import Ask, Granted, Held, Refused
from chatbot.core.limits.windows import WINDOW_SECONDS, WINDOWS, Calendar
from chatbot.domain.limits import Limits, Policy, Standing, State

MOST_LAPSED: Final = 1000
"""Reservations that lapsed and are remembered, so that an answer that ends late is charged all the same."""

LEASE_SECONDS: Final = 30.0
"""A request whose process died is no longer under way after this."""

CONCURRENT_SECONDS: Final = 1.0
"""Nobody knows when an answer ends; asking again after this costs little."""

_RATES: Final = (Policy.REQUESTS_MINUTE, Policy.TOKENS_MINUTE)
_MONEY: Final = WINDOWS.index(Policy.USD_DAY)
_HEAL_SECONDS: Final = 60.0
_LAPSED_SECONDS: Final = 86_400.0
_ROUNDING: Final = 1e-6
_EMPTY: Final = (0.0, 0.0)


@dataclass(slots=True)
class Account:
    """Counters of one account.

    Attributes:
        rates: Policy -> [units that had not come back, at Unix seconds].
        windows: Policy -> [number of the window, used in it].
        held: By id.
        lapsed: Id of a reservation that nobody settled in time -> [Unix seconds when it lapsed, micro-dollars that
            stayed spent, number of their day].
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    windows: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    lapsed: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State | None) -> Self:
        """From what a store keeps; a copy, so that a change that is tried again begins where it began."""
        state = state or {}
        lapsed = state.get("lapsed", {}).items()
        return cls(
            {name: list(rate) for name, rate in state.get("rates", {}).items()},
            {name: list(window) for name, window in state.get("windows", {}).items()},
            {name: Held(*held) for name, held in state.get("held", {}).items()},
            # Before money was counted only the moment was kept.
            {name: list(one) if isinstance(one, list) else [one, 0, 0] for name, one in lapsed},
        )

    def state(self) -> State:
        """What a store keeps; nothing of it is changed later."""
        held = {name: one.plain() for name, one in self.held.items()}
        return {"rates": self.rates, "windows": self.windows, "held": held, "lapsed": self.lapsed}


@dataclass(slots=True)
class Book:
    """One account at one moment, under its limits.

    Attributes:
        is_mended: Whether a clock that ran ahead was undone: to be kept also where nothing else changes.
        now: Unix seconds, of this replica: clocks that differ let through as much more as the difference allows.
    """

    account: Account
    limits: Limits
    calendar: Calendar
    now: float
    is_mended: bool = False

    @classmethod
    def open(cls, state: State | None, limits: Limits, calendar: Calendar, now: float) -> Self:
        """The account as it is now: windows that are over are new, reservations that nobody settled are given back."""
        book = cls(Account.of(state), limits, calendar, now)
        book._turn_pages()
        book._heal_rates()
        for name in [name for name, held in book.account.held.items() if held.lapses_at <= now]:
            held = book._end(name, 0, book.account.held[name].kept_micro_usd)
            book.account.lapsed[name] = [now, held.kept_micro_usd, held.windows[_MONEY] if held.kept_micro_usd else 0]
        recent = [(name, lapsed) for name, lapsed in book.account.lapsed.items() if lapsed[0] > now - _LAPSED_SECONDS]
        book.account.lapsed = dict(recent[-MOST_LAPSED:])
        return book

    def reserve(self, ask: Ask) -> Granted | Refused:
        """Reserve one request with its tokens, or widen its reservation; or consume nothing."""
        before = self.account.held.get(ask.id)
        if before is not None and not ask.extends:
            return Granted(before.answer_tokens)
        answer_tokens, reached = self._window_room(ask, before)
        if not ask.extends:
            reached |= self._entry_reached(ask, answer_tokens)
        if reached:
            policy = max(reached, key=lambda one: reached[one])
            return Refused(policy, reached[policy], tuple(one for one in reached if one is not policy))
        self._hold(ask, answer_tokens, before)
        return Granted(answer_tokens)

    def settle(self, name: str, tokens: int, micro_usd: int = 0) -> None:
        """Charge what was really used, once: also more than was reserved, and also where the reservation lapsed."""
        if name in self.account.held:
            self._end(name, tokens, micro_usd)
        elif name in self.account.lapsed:
            # Money that stayed spent on a day that is over was paid there.
            self.charge(tokens, micro_usd if self._forgive(name) else 0, requests=0)

    def release(self, name: str) -> None:
        """Give everything back, the request too. A reservation that is not there changes nothing."""
        if name in self.account.held:
            self._end(name, 0, 0)
            if self.limits.requests_per_minute is not None:
                self._push(Policy.REQUESTS_MINUTE, -1)
        elif name in self.account.lapsed:
            self._forgive(name)

    def renew(self, names: Iterable[str], until: float) -> None:
        """Say that requests are still under way."""
        for name in names:
            held = self.account.held.get(name)
            if held is not None:
                held.leased_until = max(held.leased_until, until)

    def charge(self, tokens: int, micro_usd: int = 0, *, requests: int = 1) -> None:
        """Count what nobody reserved."""
        for policy, _ in self._limited(_RATES):
            self._push(policy, requests if policy is Policy.REQUESTS_MINUTE else tokens)
        for policy in WINDOWS:
            self.account.windows[policy][1] += micro_usd if policy is Policy.USD_DAY else tokens

    def standings(self) -> tuple[Standing, ...]:
        """What is left of each limit."""
        return tuple(self._standing(policy, limit) for policy, limit in self._limited(tuple(Policy)))

    def _limited(self, policies: tuple[Policy, ...]) -> Iterator[tuple[Policy, int]]:
        for policy in policies:
            limit = self.limits.of(policy)
            if limit is not None:
                yield policy, limit

    def _window_room(self, ask: Ask, before: Held | None) -> tuple[int, dict[Policy, float]]:
        """How long the answer may be, and the windows that have no room for one, with seconds until they are new."""
        room, reached = ask.answer_tokens, {}
        for place, policy in enumerate(WINDOWS):
            limit = self.limits.of(policy)
            if limit is None:
                continue
            number, used = self.account.windows[policy]
            if before is not None and before.windows[place] == number:
                used -= before.amount(policy)
            elif policy is Policy.USD_DAY and ask.id in self.account.lapsed:
                _, kept_micro_usd, day = self.account.lapsed[ask.id]
                used -= kept_micro_usd if day == number else 0
            fits = ask.answer_for(policy, limit - used)
            if fits >= ask.least_answer_tokens:
                room = min(room, fits)
                continue
            is_never = not ask.extends and ask.answer_for(policy, limit) < ask.least_answer_tokens
            reached[policy] = math.inf if is_never else self.calendar.seconds_left(policy, self.now)
        return room, reached

    def _entry_reached(self, ask: Ask, answer_tokens: int) -> dict[Policy, float]:
        """Limits of a minute and of the moment that have no place for a new request."""
        waits = {
            policy: self._wait(policy, self._cost(policy, ask, answer_tokens)) for policy, _ in self._limited(_RATES)
        }
        reached = {policy: wait for policy, wait in waits.items() if wait > 0}
        if self.limits.concurrent is not None and self._under_way() >= self.limits.concurrent:
            reached[Policy.CONCURRENT] = CONCURRENT_SECONDS
        return reached

    def _cost(self, policy: Policy, ask: Ask, answer_tokens: int) -> int:
        return 1 if policy is Policy.REQUESTS_MINUTE else self._minute(ask.amount(Policy.TOKENS_DAY, answer_tokens))

    def _minute(self, tokens: int) -> int:
        """What a reservation of so many tokens takes of a minute: no more than there ever is; the rest is owed."""
        return min(tokens, self.limits.tokens_per_minute or tokens)

    def _hold(self, ask: Ask, answer_tokens: int, before: Held | None) -> None:
        numbers = [self.account.windows[policy][0] for policy in WINDOWS]
        micro_usd = ask.amount(Policy.USD_DAY, answer_tokens)
        is_billed = ask.price is not None and ask.price.is_billed
        lease = self.now + LEASE_SECONDS
        prompt_tokens = ask.spent_tokens + ask.prompt_tokens
        held = Held(
            *(prompt_tokens, answer_tokens, ask.lapses_at, numbers),
            *(micro_usd, micro_usd if is_billed else 0, lease),
        )
        if ask.id in self.account.lapsed:
            self._forgive(ask.id)
        if before is not None:
            self._end(ask.id, 0, 0)
        if not ask.extends and self.limits.requests_per_minute is not None:
            self._push(Policy.REQUESTS_MINUTE, 1)
        if self.limits.tokens_per_minute is not None:
            self._push(Policy.TOKENS_MINUTE, self._minute(held.tokens))
        for policy in WINDOWS:
            self.account.windows[policy][1] += held.amount(policy)
        self.account.held[ask.id] = held

    def _under_way(self) -> int:
        return sum(held.leased_until > self.now for held in self.account.held.values())

    def _standing(self, policy: Policy, limit: int) -> Standing:
        if policy is Policy.CONCURRENT:
            used = self._under_way()
            return Standing(policy, limit, 0, used, max(0, limit - used), 0.0 if used < limit else CONCURRENT_SECONDS)
        if policy in WINDOWS:
            used = self.account.windows[policy][1]
            seconds = self.calendar.seconds_left(policy, self.now)
            return Standing(policy, limit, WINDOW_SECONDS[policy], used, max(0, limit - used), seconds)
        level = self._level(policy)
        used, remaining = math.ceil(level - _ROUNDING), max(0, math.floor(self._size(policy) - level + _ROUNDING))
        seconds = self._wait(policy, remaining + 1) if used > 0 else 0.0
        return Standing(policy, limit, WINDOW_SECONDS[policy], used, remaining, seconds)

    def _size(self, policy: Policy) -> int:
        """Units that may come at once."""
        limit = self.limits.of(policy) or 1
        return (self.limits.burst or limit) if policy is Policy.REQUESTS_MINUTE else limit

    def _rate(self, policy: Policy) -> float:
        """Units that come back a second."""
        return (self.limits.of(policy) or 1) / 60.0

    def _level(self, policy: Policy) -> float:
        """Units that have not come back yet."""
        units, at = self.account.rates.get(policy, _EMPTY)
        return float(max(0.0, units - max(0.0, self.now - at) * self._rate(policy)))

    def _wait(self, policy: Policy, cost: int) -> float:
        """Seconds until so many units are there; more than there ever are waits for all and leaves a debt."""
        size = self._size(policy)
        missing = self._level(policy) + min(cost, size) - size
        ahead = max(0.0, self.account.rates.get(policy, _EMPTY)[1] - self.now)
        return ahead + missing / self._rate(policy) if missing > _ROUNDING else 0.0

    def _push(self, policy: Policy, units: float) -> None:
        # Never back in time: clocks of replicas differ, and what came back by one must not come back by the other.
        at = max(self.now, self.account.rates.get(policy, _EMPTY)[1])
        self.account.rates[policy] = [max(0.0, self._level(policy) + units), at]

    def _end(self, name: str, tokens: int, micro_usd: int) -> Held:
        """Put what was used in the place of what was reserved, in the windows that it was reserved in."""
        held = self.account.held.pop(name)
        for policy, number in zip(WINDOWS, held.windows, strict=False):  # money came later than other windows
            window = self.account.windows[policy]
            if window[0] == number:
                used = micro_usd if policy is Policy.USD_DAY else tokens
                window[1] = max(0, window[1] + used - held.amount(policy))
        if self.limits.tokens_per_minute is not None:
            self._push(Policy.TOKENS_MINUTE, tokens - self._minute(held.tokens))
        return held

    def _forgive(self, name: str) -> bool:
        """Give back the money of a reservation that lapsed, if its day is not over: now it is known what it cost."""
        _, micro_usd, number = self.account.lapsed.pop(name)
        window = self.account.windows[Policy.USD_DAY]
        if micro_usd and window[0] != number:
            return False
        window[1] = max(0, window[1] - micro_usd)
        return True

    def _turn_pages(self) -> None:
        """Begin windows anew. A clock that runs back refills nothing, and one that ran ahead locks nobody out."""
        for policy in WINDOWS:
            number = self.calendar.index(policy, self.now)
            window = self.account.windows.setdefault(policy, [number, 0])
            if window[0] < number:
                self.account.windows[policy] = [number, 0]
            elif window[0] > number + 1:  # a clock was wrong by more than a window: what was used stays used
                window[0], self.is_mended = number, True

    def _heal_rates(self) -> None:
        """What a clock wrote that ran ahead is of now: nothing would come back until then."""
        for rate in self.account.rates.values():
            if rate[1] > self.now + _HEAL_SECONDS:
                rate[1], self.is_mended = self.now, True
