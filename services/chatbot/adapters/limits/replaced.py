"""Accounts of a store that several replicas share: read, changed here, and written only where nobody else wrote since.

Changes of one account that come while another is under way are made together, with one write: so a replica never races
itself, and a key that is used a lot costs less a request, not more. A change begins with the row that this replica
wrote last, and is one call where nobody else wrote since; what would write nothing, a refusal above all, is always
judged by a row that was read for it.
"""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import Change, State, T

_ATTEMPTS: Final = 50
_MOST_WRITTEN: Final = 10_000
_SKIPPED: Final = 16
_VERSION_BITS: Final = 40
_PAUSE_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """An account as it is stored: `state` is JSON, `version` rises with each change."""

    version: int
    state: str

    @classmethod
    def after(cls, before: "Row | None", state: str) -> "Row":
        """The next one."""
        # A row that was removed and made anew must not look like the one that a replica remembers.
        version = random.getrandbits(_VERSION_BITS) if before is None else before.version
        return cls(version + 1, state)


@dataclass(slots=True)
class _Waiting:
    """A change that somebody waits for."""

    change: Change[Any]
    told: asyncio.Future[Any]


class ReplacedAccounts(ABC):
    """`AccountStore` over rows that are replaced as a whole.

    Attributes:
        product: What the store is, for errors.
    """

    product = ""

    def __init__(self) -> None:
        self._written: OrderedDict[str, Row] = OrderedDict()
        self._skipping: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, list[_Waiting]] = {}
        self._working: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _read(self, account: str) -> Row | None:
        """The row of an account, None where there is none. Raises `StoreUnavailable`."""

    @abstractmethod
    async def _replace(self, account: str, before: Row | None, after: Row) -> bool:
        """Write a row; False, and nothing written, where it is not as it was before. Raises `StoreUnavailable`."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Give back connections."""

    async def update(self, account: str, change: Change[T]) -> T:
        """See `AccountStore`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change, loop.create_future())
        line = self._waiting.get(account)
        if line is None:
            self._waiting[account] = [waiting]
            task = loop.create_task(self._work(account))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        else:
            line.append(waiting)
        return cast(T, await waiting.told)

    async def close(self) -> None:
        """See `AccountStore`."""
        if self._working:
            await asyncio.wait(self._working, timeout=CALL_SECONDS)
        await self._disconnect()

    async def _work(self, account: str) -> None:
        """Make all changes of an account that wait, until none does."""
        while batch := self._waiting[account]:
            self._waiting[account] = []
            try:
                results = await self._write([waiting.change for waiting in batch], account)
            except Exception as exc:  # whatever it is, those who wait must learn it
                for waiting in batch:
                    _tell(waiting.told, lambda told, exc=exc: told.set_exception(exc))  # type: ignore[misc]
            else:
                for waiting, result in zip(batch, results, strict=True):
                    _tell(waiting.told, lambda told, result=result: told.set_result(result))  # type: ignore[misc]
        del self._waiting[account]

    async def _write(self, changes: list[Change[Any]], account: str) -> list[Any]:
        for _ in range(_ATTEMPTS):
            row = self._written.pop(account, None)
            is_fresh = row is None
            if row is None:
                row = await self._read(account)
            state, is_changed, results = _apply(changes, None if row is None else json.loads(row.state))
            if is_changed and await self._is_replaced(account, row, json.dumps(state)):
                return results
            if is_fresh and not is_changed:
                return results
            if is_changed and not is_fresh:
                self._remember(account, None)
            elif is_changed:
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - another replica was faster
        raise StoreUnavailable(f"{self.product}: other replicas change this account all the time")

    async def _is_replaced(self, account: str, before: Row | None, state: str) -> bool:
        """Whether the row was still as it was read; then it is remembered as it is now."""
        after = Row.after(before, state)
        is_done = await self._replace(account, before, after)
        if is_done:
            self._remember(account, after)
        return is_done

    def _remember(self, account: str, row: Row | None) -> None:
        """Remember what was written; None: another replica wrote, and will again: for a while nothing is remembered."""
        left = _SKIPPED if row is None else self._skipping.pop(account, 0) - 1
        kept: OrderedDict[str, Any] = self._skipping if left > 0 else self._written
        kept[account] = left if left > 0 else row
        if len(kept) > _MOST_WRITTEN:
            kept.popitem(last=False)


def _apply(changes: list[Change[Any]], state: State | None) -> tuple[State | None, bool, list[Any]]:
    is_changed, results = False, []
    for change in changes:
        after, result = change(state)
        if after is not None:
            state, is_changed = after, True
        results.append(result)
    return state, is_changed, results


def _tell(told: asyncio.Future[Any], tell: Callable[[asyncio.Future[Any]], None]) -> None:
    if not told.done():  # whoever waited may have left
        tell(told)
