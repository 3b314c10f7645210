"""The counters of one account, as functions from state to state. No clock, no store: exact and replayable.

Requests and tokens a minute are leaky buckets (ITU-T I.371, annex A: the same as the generic cell rate algorithm, and
units instead of times stay true where a limit is changed); tokens a day and a month are counters of calendar windows.
What is reserved counts as used until it is settled or lapses.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from chatbot.core.limits.windows import WINDOW_SECONDS, WINDOWS, Calendar
from chatbot.domain.limits import Limits, Policy, Standing, State

LEAST_ANSWER_TOKENS: Final = 16
"""A quota that leaves less for the answer refuses the request."""

MOST_LAPSED: Final = 1000
"""Reservations that lapsed and are remembered, so that an answer that ends late is charged all the same."""

_RATES: Final = (Policy.REQUESTS_MINUTE, Policy.TOKENS_MINUTE)
_HEAL_SECONDS: Final = 60.0
_LAPSED_SECONDS: Final = 86_400.0
_ROUNDING: Final = 1e-6
_EMPTY: Final = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request wants to reserve.

    Attributes:
        id: Of the reservation; asking again for the same gives the same.
        prompt_tokens: An upper bound.
        answer_tokens: Most tokens of the answer.
        lapses_at: Unix seconds, when it is given back if nobody settled it.
    """

    id: str
    prompt_tokens: int
    answer_tokens: int
    lapses_at: float


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation; the answer may have so many tokens."""

    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No reservation, and nothing consumed.

    Attributes:
        seconds: Until it can be asked for again; infinity: never, the request is larger than the limit.
    """

    policy: Policy
    seconds: float


@dataclass(slots=True)
class Account:
    """Counters of one account.

    Attributes:
        rates: Policy -> [units that had not come back, at Unix seconds].
        windows: Policy -> [number of the window, tokens used in it].
        held: Id of a reservation -> [prompt tokens, answer tokens, lapses at, window numbers in the order of WINDOWS].
        lapsed: Id of a reservation that nobody settled in time -> Unix seconds when it lapsed.
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    windows: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, list[Any]] = field(default_factory=dict)
    lapsed: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State | None) -> Self:
        """From what a store keeps; a copy, so that a change that is tried again begins where it began."""
        state = state or {}
        return cls(
            {name: list(rate) for name, rate in state.get("rates", {}).items()},
            {name: list(window) for name, window in state.get("windows", {}).items()},
            {name: list(held) for name, held in state.get("held", {}).items()},
            dict(state.get("lapsed", {})),
        )

    def state(self) -> State:
        """What a store keeps."""
        return asdict(self)


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
        for name in [name for name, held in book.account.held.items() if held[2] <= now]:
            book._end(name, 0)
            book.account.lapsed[name] = now
        recent = [(name, at) for name, at in book.account.lapsed.items() if at > now - _LAPSED_SECONDS]
        book.account.lapsed = dict(recent[-MOST_LAPSED:])
        return book

    def reserve(self, ask: Ask) -> Granted | Refused:
        """Reserve one request with its tokens, or consume nothing."""
        held = self.account.held.get(ask.id)
        if held is not None:
            return Granted(held[1])
        least = ask.prompt_tokens + min(LEAST_ANSWER_TOKENS, ask.answer_tokens)
        room = ask.prompt_tokens + ask.answer_tokens
        for policy, limit in self._limited(WINDOWS):
            left = limit - self.account.windows[policy][1]
            if left < least:
                seconds = self.calendar.seconds_left(policy, self.now)
                return Refused(policy, float("inf") if limit < least else seconds)
            room = min(room, left)
        costs = {Policy.REQUESTS_MINUTE: 1, Policy.TOKENS_MINUTE: min(room, self.limits.tokens_per_minute or room)}
        for policy, _ in self._limited(_RATES):
            wait = self._wait(policy, costs[policy])
            if wait > 0:
                return Refused(policy, wait)
        for policy, _ in self._limited(_RATES):
            self._push(policy, costs[policy])
        for policy, _ in self._limited(WINDOWS):
            self.account.windows[policy][1] += room
        answer_tokens = room - ask.prompt_tokens
        self.account.lapsed.pop(ask.id, None)
        numbers = [self.account.windows[policy][0] for policy in WINDOWS]
        self.account.held[ask.id] = [ask.prompt_tokens, answer_tokens, ask.lapses_at, numbers]
        return Granted(answer_tokens)

    def settle(self, name: str, tokens: int) -> None:
        """Charge what was really used, once: also more than was reserved, and also where the reservation lapsed."""
        if name in self.account.held:
            self._end(name, tokens)
        elif self.account.lapsed.pop(name, None) is not None:
            self.charge(tokens, requests=0)

    def release(self, name: str) -> None:
        """Give everything back, the request too. A reservation that is not there changes nothing."""
        if name in self.account.held:
            self._end(name, 0)
            if self.limits.requests_per_minute is not None:
                self._push(Policy.REQUESTS_MINUTE, -1)
        self.account.lapsed.pop(name, None)

    def charge(self, tokens: int, *, requests: int = 1) -> None:
        """Count what nobody reserved."""
        for policy, _ in self._limited(_RATES):
            self._push(policy, requests if policy is Policy.REQUESTS_MINUTE else tokens)
        for policy, _ in self._limited(WINDOWS):
            self.account.windows[policy][1] += tokens

    def standings(self) -> tuple[Standing, ...]:
        """What is left of each limit."""
        return tuple(self._standing(policy, limit) for policy, limit in self._limited(tuple(Policy)))

    def _limited(self, policies: tuple[Policy, ...]) -> Iterator[tuple[Policy, int]]:
        for policy in policies:
            limit = self.limits.of(policy)
            if limit is not None:
                yield policy, limit

    def _standing(self, policy: Policy, limit: int) -> Standing:
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

    def _end(self, name: str, tokens: int) -> None:
        """Put what was used in the place of what was reserved, in the windows that it was reserved in."""
        prompt_tokens, answer_tokens, _, numbers = self.account.held.pop(name)
        reserved = prompt_tokens + answer_tokens
        for policy, number in zip(WINDOWS, numbers, strict=True):
            window = self.account.windows.get(policy)
            if window is not None and window[0] == number:
                window[1] = max(0, window[1] + tokens - reserved)
        limit = self.limits.tokens_per_minute
        if limit is not None:
            self._push(Policy.TOKENS_MINUTE, tokens - min(reserved, limit))

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
