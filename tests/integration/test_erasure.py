"""Erasures against everything that happens at the same time, and against everything that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chatbot.core.history import History
from chatbot.core.personal.desk import PersonalDesk
from chatbot.core.personal.eraser import Eraser
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.documents import LeaseLost, Upload
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.erasure import Erasure, ErasureState, UserErased
from chatbot.domain.personal.stores import Person, PersonalData
from parts.document_place import claimed, kept_bytes, passages
from parts.fakes import CountingTelemetry
from parts.mongo_server import scratch_database
from parts.people import QUICK, People, Told, eraser_of, open_people, person
from parts.store_place import StorePlace
from parts.waiting import until

MINA, NOAH = person("mina@example.org"), person("noah@example.org")
KEY = ConversationKey("office", MINA.caller(), "chat")
TURN = Turn("late", "canary-mina asks", "canary-mina is told", datetime(2026, 11, 21, tzinfo=UTC))


@pytest.fixture(params=["sqlite", "motor"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """The suite of the stores runs on each driver; here one will do."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "deep" / "store.sqlite3"))
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        yield StorePlace(request.param, url, database)


@pytest.fixture
async def people(place: StorePlace) -> AsyncIterator[People]:
    people = open_people(place)
    yield people
    await people.close()


@asynccontextmanager
async def running(*erasers: Eraser) -> AsyncIterator[None]:
    """Workers, as long as the block runs."""
    tasks = [asyncio.create_task(eraser.run()) for eraser in erasers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def done(desk: PersonalDesk, who: Person = MINA) -> Erasure:
    """The erasure of a person, when it is over."""

    async with asyncio.timeout(20):
        while True:
            found = await desk.erasure(who.tenant, who.user)
            if found is not None and found.state is ErasureState.DONE:
                return found
            await asyncio.sleep(0.02)


class Failing:
    """A store that fails so often, then does its work. `at` is the name of a call."""

    def __init__(self, store: PersonalData, at: str, times: int, error: Exception) -> None:
        self._store, self._at, self.left, self._error = store, at, times, error
        self.name, self.keeps, self.export = store.name, store.keeps, store.export
        self.oldest, self.expire = store.oldest, store.expire

    async def erase(self, who: Person) -> None:
        await self._store.erase(who)
        self._fail("erase")  # worse than before: the work is done and nobody learns it

    async def count(self, who: Person) -> int:
        self._fail("count")
        return await self._store.count(who)

    def _fail(self, call: str) -> None:
        if call == self._at and self.left:
            self.left -= 1
            raise self._error


async def test_the_receipt_says_what_went_and_what_stays(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    await people.fill(NOAH, "canary-noah")
    before, others = await people.counts(MINA), await people.counts(NOAH)
    eraser = eraser_of(people)
    desk = PersonalDesk(eraser)

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=True)
        receipt = (await done(desk)).receipt

    assert receipt.kept == {"limits": (2, "limits")}
    assert receipt.erased == {name: count for name, count in before.items() if name != "limits"}
    assert await people.counts(NOAH) == others
    assert b"canary-mina" not in kept_bytes(people.place)


async def test_asking_twice_is_one_erasure_and_asking_later_another(people: People) -> None:
    eraser = eraser_of(people)
    desk = PersonalDesk(eraser)
    first = [await desk.erase(MINA.tenant, MINA.user, is_self=False) for _ in range(3)]
    assert {one.epoch for one in first} == {1}

    async with running(eraser):
        await done(desk)
        again = await desk.erase(MINA.tenant, MINA.user, is_self=False)

    assert again.epoch == 2


@pytest.mark.parametrize(
    ("call", "error"), [("erase", StoreUnavailable("away")), ("count", RuntimeError("canary-mina"))]
)
async def test_a_store_that_fails_is_tried_again_wherever_it_is(
    people: People, call: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    await people.fill(MINA, "canary-mina")
    told = Told()
    failing = [Failing(store, call, 1, error) for store in people.stores]
    eraser = eraser_of(people, stores=failing, told=told)
    desk = PersonalDesk(eraser)

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        await done(desk)

        await until(lambda: "done" in told.outcomes)
    assert all(one.left == 0 for one in failing)
    assert told.outcomes == ["failed"] * len(failing) + ["done"]
    assert set((await people.counts(MINA)).values()) == {0}
    assert "canary-mina" not in caplog.text
    assert "mina@example.org" not in caplog.text


async def test_it_is_not_done_while_anything_is_left(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    told = Told()

    class Lazy(Failing):
        async def erase(self, who: Person) -> None:
            if "failed" in told.outcomes:
                await super().erase(who)

    stores = [*people.stores[:2], Lazy(people.stores[2], "", 0, RuntimeError()), *people.stores[3:]]
    eraser = eraser_of(people, stores=stores, told=told)
    desk = PersonalDesk(eraser)

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        await until(lambda: told.outcomes)
        found = await desk.erasure(MINA.tenant, MINA.user)
        await done(desk)
        await until(lambda: "done" in told.outcomes)

    assert told.outcomes == ["failed", "done"]
    assert found is not None and found.state is ErasureState.ERASING
    assert set((await people.counts(MINA)).values()) == {0}


async def test_another_process_goes_on_where_one_died(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    reached = asyncio.Event()

    class Deadly(Failing):
        async def erase(self, who: Person) -> None:
            reached.set()
            await asyncio.Event().wait()

    stores = [*people.stores[:2], Deadly(people.stores[2], "", 0, RuntimeError()), *people.stores[3:]]
    first = eraser_of(people, replace(QUICK, lease_seconds=0.5), stores)
    desk = PersonalDesk(first)
    async with running(first):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        async with asyncio.timeout(10):
            await reached.wait()
    assert (await people.counts(MINA))["files"] > 0

    second = eraser_of(people)
    async with running(second):
        receipt = (await done(PersonalDesk(second))).receipt

    assert set((await people.counts(MINA)).values()) == {0}
    assert receipt.erased["conversations"] == 2, "what the dead process found is told"


async def test_a_request_that_began_before_stores_nothing_afterwards(people: People) -> None:
    eraser = eraser_of(people)
    desk, guard = PersonalDesk(eraser), eraser.tombstones
    await guard.refresh()
    history = History("office", people.conversations, CountingTelemetry(), refuses_when_down=True, guard=guard)
    library = Library(people.documents, Retriever(people.documents), lambda: None, 1000, guard)
    shelves = Shelves(people.shelves, library)
    early = replace(MINA.caller(), erasures=guard.epoch(MINA.tenant, MINA.user))

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        during = replace(MINA.caller(), erasures=guard.epoch(MINA.tenant, MINA.user))
        await done(desk)
    writes: list[Callable[[Caller], Awaitable[object]]] = [
        lambda who: history.append(Conversation(replace(KEY, caller=who)), TURN, local_only=False),
        lambda who: library.add(who, Upload("a.txt", b"canary-mina", "default", {})),
        lambda who: shelves.add_file(who, "canary-mina", b"canary-mina", "assistants"),
        lambda who: shelves.add_store(who, "canary-mina", {}),
    ]
    for write in writes:
        for who in (early, during, MINA.caller()):  # of the last one nobody knows when it began
            with pytest.raises(UserErased):
                await write(who)

    assert set((await people.counts(MINA)).values()) == {0}
    assert b"canary-mina" not in kept_bytes(people.place)
    await guard.refresh()  # a process that has not heard yet that it is over refuses for a moment longer
    late = replace(MINA.caller(), erasures=guard.epoch(MINA.tenant, MINA.user))
    for write in writes:
        await write(late)
    assert (await people.counts(MINA))["conversations"] == 1


async def test_a_write_that_the_tombstone_overtakes_is_taken_back(people: People) -> None:
    """The first look finds nothing, then the tombstone comes, and only then the write lands."""

    class Overtaken:
        def __init__(self) -> None:
            self.looks = 0

        def epoch(self, _tenant: str, _user: str) -> int | None:
            return 0

        def erased_since(self, _tenant: str, _user: str, _began: float) -> bool:
            return False

        async def check(self, _caller: Caller) -> None:
            self.looks += 1
            if self.looks % 2 == 0:
                raise UserErased

    guard = Overtaken()
    history = History("office", people.conversations, CountingTelemetry(), refuses_when_down=True, guard=guard)
    library = Library(people.documents, Retriever(people.documents), lambda: None, 1000, guard)
    shelves = Shelves(people.shelves, library)
    owner = MINA.caller()
    earlier = replace(TURN, turn_id="earlier", question="another", answer="another")
    await people.conversations.append(KEY, earlier, epoch=0)

    with pytest.raises(UserErased):
        await history.append(Conversation(KEY), TURN, local_only=False)
    with pytest.raises(UserErased):
        await history.append(Conversation(replace(KEY, db_id="new")), TURN, local_only=False)
    with pytest.raises(UserErased):
        await library.add(owner, Upload("a.txt", b"canary-mina", "default", {}))
    with pytest.raises(UserErased):
        await shelves.add_file(owner, "canary-mina", b"canary-mina", "assistants")

    assert [turn.turn_id for turn in (await people.conversations.load(KEY)).turns] == ["earlier"]
    counts = await people.counts(MINA)
    assert (counts["conversations"], counts["documents"], counts["files"]) == (1, 0, 0)
    assert b"canary-mina" not in kept_bytes(people.place)


async def test_a_document_that_is_read_meanwhile_stays_away(people: People) -> None:
    await people.documents.add(MINA.caller(), Upload("a.txt", b"canary-mina", "default", {}))
    job = await claimed(people.documents)
    await people.documents.store_chunks(job, passages(["canary-mina one"]))
    eraser = eraser_of(people)
    desk = PersonalDesk(eraser)

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        await done(desk)
    with pytest.raises(LeaseLost):
        await people.documents.store_chunks(job, passages(["canary-mina two"], first=1))
    with pytest.raises(LeaseLost):
        await people.documents.complete(job)

    assert b"canary-mina" not in kept_bytes(people.place)


async def test_every_process_gives_up_what_it_makes_for_the_user(people: People, tmp_path: Path) -> None:
    here, there = eraser_of(people), eraser_of(people)
    given_up: list[tuple[str, bool, bool]] = []
    for name, eraser in (("here", here), ("there", there)):
        eraser.tombstones.tell(
            lambda is_meant, name=name: given_up.append(  # type: ignore[misc]
                (name, is_meant(MINA.tenant, MINA.user), is_meant(NOAH.tenant, NOAH.user))
            )
        )

    async with running(here, there):
        await PersonalDesk(here).erase(MINA.tenant, MINA.user, is_self=False)
        await until(lambda: {name for name, *_ in given_up} == {"here", "there"})
        await done(PersonalDesk(here))

    assert {(mine, others) for _, mine, others in given_up} == {(True, False)}


async def test_it_lasts_as_long_as_it_settles(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    eraser = eraser_of(people, replace(QUICK, settle_seconds=0.5))
    desk = PersonalDesk(eraser)
    began = time.time()

    async with running(eraser):
        await desk.erase(MINA.tenant, MINA.user, is_self=False)
        await until(lambda: eraser.waiting[0] == 1)
        over = await done(desk)
        await until(lambda: eraser.waiting == (0, 0.0))

    assert over.done_at is not None and over.done_at - began >= 0.5
