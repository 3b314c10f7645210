"""Who is next: the waiting line, without clocks and without asyncio.

Callers take turns (round robin between tenants, then between the users of a tenant); the requests of one user go
first come, first served. A tenant's turn is as many requests as its weight says: deficit round robin where each costs
one (Shreedhar and Varghese 1996, https://doi.org/10.1109/90.502236). Whoever was served last stands last, and a caller
without a request in the line joins in front of them: so a first request never waits for a second turn of a caller that
came before it. Of callers that have nothing waiting, only the last one served of each tenant is remembered.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from chatbot.domain.chat import Caller


class Waiting(Protocol):
    """What can stand in the line."""

    @property
    def caller(self) -> Caller:
        """Whose turn it takes."""


T = TypeVar("T", bound=Waiting)
Item = TypeVar("Item")


class _Ring(Generic[Item]):
    """Names that take turns, each with something behind it. The first of `members` is next."""

    def __init__(self) -> None:
        self.members: OrderedDict[str, Item] = OrderedDict()
        self._served_last: str | None = None

    def join(self, name: str, item: Item) -> None:
        """Add a newcomer at the end, but in front of the one that was served last if that one is the end."""
        last = next(reversed(self.members), None)
        self.members[name] = item
        if last is not None and last == self._served_last:
            self.members.move_to_end(last)

    def turn_taken(self, name: str, *, stays: bool) -> None:
        self._served_last = name
        if stays:
            self.members.move_to_end(name)
        else:
            del self.members[name]

    def turn_goes_on(self) -> None:
        """The first one is still being served: newcomers stand behind it."""
        self._served_last = None


class _Tenant(Generic[Item]):
    """The users of one API key. Kept when it is empty: there are as many as keys.

    Attributes:
        weight: Requests of a turn.
        left: Of the turn that it is having; 0 where it has none.
    """

    def __init__(self) -> None:
        self.ring: _Ring[OrderedDict[int, Item]] = _Ring()
        self.waiting = 0
        self.weight = 1
        self.left = 0

    def in_turn(self) -> Iterator[Item]:
        return _in_turn([(iter(requests.values()), 1, 1) for requests in self.ring.members.values()])


def _in_turn(rows: list[tuple[Iterator[Item], int, int]]) -> Iterator[Item]:
    """A turn of each row, then the next one of each, until all rows are empty; how long the first and others are."""
    while rows:
        left = []
        for row, now, later in rows:
            taken = list(islice(row, now))
            yield from taken
            if len(taken) == now:
                left.append((row, later, later))
        rows = left


class WaitingLine(Generic[T]):
    """Requests that wait, in the order in which they will be served."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant[T]] = {}
        self._turns: _Ring[_Tenant[T]] = _Ring()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All that wait, in the order of dispatch if nobody joins or leaves. O(n)."""
        tenants = self._turns.members.values()
        return _in_turn([(tenant.in_turn(), tenant.left or tenant.weight, tenant.weight) for tenant in tenants])

    def join(self, request: T) -> None:
        """Take a place. The same object must not be in the line already."""
        caller = request.caller
        tenant = self._tenants.setdefault(caller.tenant, _Tenant())
        if not tenant.waiting:
            self._turns.join(caller.tenant, tenant)
        tenant.weight = caller.weight  # as its policy says now
        requests = tenant.ring.members.get(caller.user)
        if requests is None:
            requests = OrderedDict()
            tenant.ring.join(caller.user, requests)
        requests[id(request)] = request
        tenant.waiting += 1
        self._size += 1

    def leave(self, request: T) -> bool:
        """Give a place back; False where it is not in the line. Nobody else's turn changes."""
        caller = request.caller
        tenant = self._tenants.get(caller.tenant)
        requests = tenant.ring.members.get(caller.user) if tenant else None
        if tenant is None or requests is None or requests.pop(id(request), None) is None:
            return False
        if not requests:
            del tenant.ring.members[caller.user]
        tenant.waiting -= 1
        if not tenant.waiting:
            del self._turns.members[caller.tenant]
            tenant.left = 0
        self._size -= 1
        return True

    def next(self) -> T:
        """Remove and return the request whose turn it is.

        Raises:
            LookupError: Nobody waits.
        """
        if not self._size:
            raise LookupError("nobody waits")
        tenant_name, tenant = next(iter(self._turns.members.items()))
        user, requests = next(iter(tenant.ring.members.items()))
        _, request = requests.popitem(last=False)
        tenant.ring.turn_taken(user, stays=bool(requests))
        tenant.waiting -= 1
        tenant.left = (tenant.left or tenant.weight) - 1 if tenant.waiting else 0
        if tenant.left:
            self._turns.turn_goes_on()
        else:
            self._turns.turn_taken(tenant_name, stays=tenant.waiting > 0)
        self._size -= 1
        return request

    def waiting_of(self, caller: Caller) -> tuple[int, int]:
        """How many requests of this user and of its whole tenant wait."""
        tenant = self._tenants.get(caller.tenant)
        if tenant is None:
            return 0, 0
        return len(tenant.ring.members.get(caller.user, ())), tenant.waiting
