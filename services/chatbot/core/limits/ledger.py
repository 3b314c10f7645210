"""Accounts of a store: each call is one atomic change of one account."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from chatbot.core.limits.account import LEASE_SECONDS, Book
from chatbot.core.limits.asks import Ask, Granted, Refused
from chatbot.core.limits.windows import Calendar
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import AccountStore, Change, Limits, Quota, State, T

MOST_ACCOUNTS: Final = 10_000
"""Accounts in memory; a new one is refused above it, for making room would give somebody his quota anew."""

IDLE_SECONDS: Final = 86_400.0
"""Whoever asked for nothing for so long has a new day, and makes room."""


class Ledger:
    """Reserves, settles and gives back. See `Book` for what each call means.

    Args:
        store: Where the accounts are.
        now: Unix seconds.
        is_degraded: Whether this one stands in for the shared one.
    """

    def __init__(
        self,
        store: AccountStore,
        calendar: Calendar,
        *,
        now: Callable[[], float] = time.time,
        is_degraded: bool = False,
    ) -> None:
        self._store = store
        self._calendar = calendar
        self._now = now
        self._is_degraded = is_degraded

    async def reserve(self, limits: Limits, ask: Ask) -> tuple[Granted | Refused, Quota]:
        """Reserve, and what is left afterwards."""

        def change(state: State | None) -> tuple[State | None, tuple[Granted | Refused, Quota]]:
            book = self._open(state, limits)
            outcome = book.reserve(ask)
            # A refusal writes nothing: who hammers an empty quota costs one read.
            is_changed = isinstance(outcome, Granted) or book.is_mended
            return book.account.state() if is_changed else None, (outcome, self._quota(book))

        return await self._store.update(limits.account, change)

    async def settle(self, limits: Limits, name: str, tokens: int, micro_usd: int = 0) -> None:
        """Charge what a reservation really used."""
        await self._change(limits, lambda book: book.settle(name, tokens, micro_usd))

    async def release(self, limits: Limits, name: str) -> None:
        """Give a reservation back."""
        await self._change(limits, lambda book: book.release(name))

    async def renew(self, limits: Limits, names: Iterable[str]) -> None:
        """Say that requests are still under way."""
        kept = tuple(names)
        await self._change(limits, lambda book: book.renew(kept, self._now() + LEASE_SECONDS))

    async def charge(self, limits: Limits, tokens: int, micro_usd: int = 0) -> None:
        """Count a request that was reserved elsewhere."""
        await self._change(limits, lambda book: book.charge(tokens, micro_usd))

    async def quota(self, limits: Limits) -> Quota:
        """What is left."""
        return await self._store.update(limits.account, lambda state: (None, self._quota(self._open(state, limits))))

    async def close(self) -> None:
        """Give back the store."""
        await self._store.close()

    async def _change(self, limits: Limits, apply: Callable[[Book], None]) -> None:
        def change(state: State | None) -> tuple[State | None, None]:
            book = self._open(state, limits)
            apply(book)
            return book.account.state(), None

        await self._store.update(limits.account, change)

    def _open(self, state: State | None, limits: Limits) -> Book:
        return Book.open(state, limits, self._calendar, self._now())

    def _quota(self, book: Book) -> Quota:
        return Quota(book.standings(), self._is_degraded)


class MemoryAccounts:
    """`AccountStore` of one process, for as long as it runs.

    Args:
        clock: Monotonic, seconds.
    """

    def __init__(self, most: int = MOST_ACCOUNTS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._states: dict[str, State] = {}
        self._changed: dict[str, float] = {}  # in the order of their last changes

    @property
    def states(self) -> Mapping[str, State]:
        """What there is, by account."""
        return self._states

    async def update(self, account: str, change: Change[T]) -> T:
        """See `AccountStore`."""
        if account not in self._states and len(self._states) >= self._most:
            self._make_room()
        state, result = change(self._states.get(account))
        if state is not None:
            self._states[account] = state
            self._changed.pop(account, None)
            self._changed[account] = self._clock()
        return result

    def _make_room(self) -> None:
        oldest = next(iter(self._changed))
        if self._changed[oldest] > self._clock() - IDLE_SECONDS:
            raise StoreUnavailable("limits: too many accounts in memory")
        del self._states[oldest], self._changed[oldest]

    async def close(self) -> None:
        """Nothing to give back."""
