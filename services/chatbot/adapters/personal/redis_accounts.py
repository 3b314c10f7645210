"""Counters of a user's limits where those are counted in Redis or Valkey."""

from collections.abc import AsyncIterator

from chatbot.adapters.limits.redis import RedisAccounts
from chatbot.domain.limits import State, user_accounts
from chatbot.domain.personal.stores import Overdue, Person, Row


class RedisAccountsOfPeople:
    """`PersonalData` of limits: an operator may reset them, the user may not."""

    name = "limits"

    def __init__(self, accounts: RedisAccounts) -> None:
        self._accounts = accounts

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`."""
        for account in _names(person):
            state = await self._state(account)
            if state is not None:
                yield {"kind": "account", "counters": state}

    async def erase(self, person: Person) -> None:
        """See `PersonalData`."""
        if not self.keeps(person):
            for account in _names(person):
                await self._accounts.remove(account)

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        return sum([await self._state(account) is not None for account in _names(person)])

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return "limits" if person.is_self else ""

    async def oldest(self) -> float | None:
        """See `PersonalData`: each account has an end of its own, which the server keeps."""
        return None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`: as above."""
        return 0

    async def close(self) -> None:
        """Give back the connections."""
        await self._accounts.close()

    async def _state(self, account: str) -> State | None:
        return await self._accounts.update(account, lambda state: (None, state))


def _names(person: Person) -> list[str]:
    return user_accounts(person.tenant, person.user, person.pseudonyms)
