"""The watch over the audit: what it tells, what it counts, and that others who write meanwhile raise no alarm."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from chatbot.core.audit.audit import Audit, Deed
from chatbot.core.audit.chain import Chain
from chatbot.core.audit.kept import AuditOfPeople
from chatbot.core.audit.watch import AuditWatch
from chatbot.domain.audit.records import AuditAction, AuditMark, AuditOutcome, AuditRecord, Bound
from chatbot.domain.errors import AuditUnavailable, StoreUnavailable
from chatbot.domain.personal.stores import Overdue

DEED = Deed(AuditAction.KEY_CREATE, "team-a")


class Memory:
    """`AuditStore` in memory."""

    def __init__(self) -> None:
        self.records: dict[int, AuditRecord] = {}
        self.ends: dict[Bound, AuditMark] = {}
        self.is_away = False
        self.before_reading: Callable[[], Awaitable[object]] | None = None

    async def append(self, link: Callable[[AuditRecord | None], AuditRecord]) -> AuditRecord:
        record = link(await self.last())
        self.records[record.number] = record
        return record

    async def read(self, after: int, limit: int) -> Sequence[AuditRecord]:
        self._answer()
        if (meanwhile := self.before_reading) is not None:
            self.before_reading = None
            await meanwhile()
        return [self.records[number] for number in sorted(self.records) if number > after][:limit]

    async def last(self) -> AuditRecord | None:
        self._answer()
        return self.records[max(self.records)] if self.records else None

    async def mark(self, mark: AuditMark) -> None:
        self._answer()
        self.ends[mark.bound] = mark

    async def marks(self) -> Sequence[AuditMark]:
        self._answer()
        return tuple(self.ends.values())

    async def remove_before(self, number: int, limit: int) -> int:
        old = [one for one in sorted(self.records) if one < number][:limit]
        for one in old:
            del self.records[one]
        return len(old)

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")


class Turns:
    """Whose turn it is: the first one's who comes."""

    def __init__(self) -> None:
        self.holder = ""

    async def take_turn(self, _what: str, holder: str, _now: float, _seconds: float) -> bool:
        self.holder = self.holder or holder
        return holder == self.holder


class Counted(list[tuple[str, str]]):
    """`AuditTelemetry` that remembers."""

    def audit_called(self, operation: str, outcome: str) -> None:
        self.append((str(operation), outcome))


@pytest.fixture
def store() -> Memory:
    return Memory()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def audit(store: Memory, counted: Counted) -> Audit:
    seconds = count(1_795_000_000)
    return Audit(store, Chain([b"secret"]), lambda: float(next(seconds)), counted)


async def written(audit: Audit, times: int) -> None:
    for _ in range(times):
        await audit.write(DEED, AuditOutcome.DONE)


async def test_a_changed_record_is_told_until_it_is_as_it_was(audit: Audit, store: Memory, counted: Counted) -> None:
    await written(audit, 3)
    watch = AuditWatch(audit, Turns())
    await watch.look()
    whole = store.records[2]
    assert watch.problems == 0

    store.records[2] = replace(whole, entry=replace(whole.entry, object="another"))
    for _ in range(2):
        await watch.look()
        assert watch.problems == 1
    store.records[2] = whole
    await watch.look()

    assert watch.problems == 0
    assert counted == [("write", "ok")] * 3 + [("check", "ok")] * 4


async def test_an_older_copy_is_told_for_as_long_as_the_watch_lives(audit: Audit, store: Memory) -> None:
    await written(audit, 2)
    copy = dict(store.records), dict(store.ends)
    await written(audit, 2)
    watch = AuditWatch(audit, Turns())
    await watch.look()

    store.records, store.ends = copy
    await watch.look()
    assert watch.problems == 1
    await written(audit, 5)  # others take the missing one's number
    await watch.look()

    assert watch.problems == 1
    late = AuditWatch(audit, Turns())
    await late.look()
    assert late.problems == 0


async def test_one_of_several_looks_and_the_others_tell_nothing(audit: Audit, store: Memory, counted: Counted) -> None:
    await written(audit, 1)
    store.ends.clear()
    turns = Turns()
    first, second = AuditWatch(audit, turns), AuditWatch(audit, turns)
    for watch in (first, second, first):
        await watch.look()
    assert (first.problems, second.problems) == (1, 0)
    assert counted.count(("check", "ok")) == 2

    turns.holder = "another"
    await first.look()

    assert first.problems == 0


async def test_a_store_that_is_away_is_counted_and_no_problem(audit: Audit, store: Memory, counted: Counted) -> None:
    watch = AuditWatch(audit, Turns())
    store.is_away = True

    with pytest.raises(StoreUnavailable):
        await watch.look()
    with pytest.raises(AuditUnavailable):
        await written(audit, 1)
    await audit.note(DEED, AuditOutcome.DONE)

    assert counted == [("check", "failed"), ("write", "failed"), ("write", "failed")]
    assert watch.problems == 0


async def test_what_others_write_and_remove_while_it_is_read_is_no_problem(audit: Audit, store: Memory) -> None:
    first = Audit(store, audit.chain)
    store.before_reading = lambda: written(first, 1)  # the very first record, and its mark
    assert (await audit.chain.verify(store)).problems == ()

    await written(audit, 9)
    store.before_reading = lambda: AuditOfPeople(audit).expire(Overdue(4e9))
    verdict = await audit.chain.verify(store)

    assert (verdict.records, verdict.problems) == (1, ())
