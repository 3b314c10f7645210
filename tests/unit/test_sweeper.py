"""The sweeper: whose rows go, how many at a time, and that one process does it."""

from collections.abc import AsyncIterator

from chatbot.core.personal.sweeper import Sweeper, SweepPolicy
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.retention import Retention
from chatbot.domain.personal.stores import Overdue, Person, Row
from chatbot.domain.tenants.policy import Tenant

DAY = 86_400.0
NOW = 1_000 * DAY


class Rows:
    """A store with so many rows that are old enough, whoever's they are."""

    def __init__(self, name: str, rows: int, oldest: float | None = None) -> None:
        self.name, self.rows, self.asked, self._oldest = name, rows, list[Overdue](), oldest

    async def export(self, person: Person) -> AsyncIterator[Row]:
        raise AssertionError(person)
        yield {}

    async def erase(self, person: Person) -> None:
        raise AssertionError(person)

    async def count(self, person: Person) -> int:
        raise AssertionError(person)

    def keeps(self, person: Person) -> str:
        raise AssertionError(person)

    async def oldest(self) -> float | None:
        return self._oldest

    async def expire(self, overdue: Overdue) -> int:
        self.asked.append(overdue)
        gone = min(self.rows, overdue.most)
        self.rows -= gone
        return gone


class Turns:
    """Whose turn it is: the first one's who comes."""

    def __init__(self) -> None:
        self.holder = ""

    async def take_turn(self, _what: str, holder: str, _now: float, _seconds: float) -> bool:
        self.holder = self.holder or holder
        return holder == self.holder


def sweeper(*stores: Rows, tenants: tuple[Tenant, ...] = (), turns: Turns | None = None, calls: int = 40) -> Sweeper:
    policy = SweepPolicy(rows=10, calls=calls)
    return Sweeper(turns or Turns(), stores, lambda: tenants, policy, now=lambda: NOW)  # type: ignore[arg-type]


async def test_nothing_goes_where_nobody_says_so() -> None:
    kept = Rows("conversations", 100)

    assert await sweeper(kept, tenants=(Tenant("a"), Tenant("default"))).sweep() == 0
    assert kept.asked == []


async def test_each_tenant_has_its_own_time_and_the_default_one_is_everybody_elses() -> None:
    chats, files, keys = Rows("conversations", 0), Rows("files", 0), Rows("keys", 0)
    tenants = (
        Tenant("a", retention=Retention(conversations=DAY)),
        Tenant("b", retention=Retention(documents=2 * DAY)),
        Tenant("default", retention=Retention(conversations=3 * DAY, usage=DAY)),
    )

    await sweeper(chats, files, keys, tenants=tenants).sweep()

    assert chats.asked == [
        Overdue(NOW - DAY, "a", most=10),
        Overdue(NOW - 3 * DAY, None, frozenset({"a", "b"}), 10),
    ]
    assert files.asked == [Overdue(NOW - 2 * DAY, "b", most=10)]
    assert keys.asked == []


async def test_a_round_goes_on_until_nothing_is_left_and_ends_all_the_same() -> None:
    tenants = (Tenant("a", retention=Retention(conversations=DAY)),)
    few, many = Rows("conversations", 25), Rows("conversations", 10_000)

    assert await sweeper(few, tenants=tenants).sweep() == 25
    assert len(few.asked) == 3
    assert await sweeper(many, tenants=tenants, calls=5).sweep() == 50


async def test_one_process_sweeps_and_tells_ages() -> None:
    tenants = (Tenant("a", retention=Retention(conversations=DAY)),)
    kept, turns = Rows("conversations", 5, NOW - 100), Turns()
    first, second = (sweeper(kept, tenants=tenants, turns=turns) for _ in range(2))

    assert (await first.sweep(), await second.sweep()) == (5, 0)
    assert (first.ages, second.ages) == ({"conversations": 100.0}, {})

    turns.holder = ""
    await second.sweep()
    await first.sweep()

    assert (first.ages, second.ages) == ({}, {"conversations": 100.0})


async def test_a_store_that_is_away_holds_up_no_other() -> None:
    class Away(Rows):
        async def oldest(self) -> float | None:
            raise StoreUnavailable("away")

    tenants = (Tenant("a", retention=Retention(usage=DAY)),)
    looked = sweeper(Away("conversations", 0), Rows("usage", 5, NOW - 100), tenants=tenants)

    assert await looked.sweep() == 5
    assert looked.ages == {"usage": 100.0}
