"""The audit on SQLite and on MongoDB by both drivers: nobody with the database alone changes it unseen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from chatbot.core.audit.audit import Audit, Deed
from chatbot.core.audit.chain import Chain
from chatbot.core.audit.kept import AuditOfPeople
from chatbot.domain.audit.records import AuditAction, AuditOutcome, AuditStore, Bound
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.stores import Overdue, Person
from parts.audit_place import SECRET, Hands, auditor, open_audit, written
from parts.store_place import StorePlace


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[AuditStore]:
    store = open_audit(place)
    yield store
    await store.close()


@pytest.fixture
def hands(place: StorePlace, store: AuditStore) -> Hands:
    return Hands(place, store)


async def problems(audit: Audit, noted: tuple[int, str] | None = None) -> tuple[str, ...]:
    return (await audit.chain.verify(audit.store, noted)).problems


async def test_a_deed_is_recorded_before_it_is_done_and_when_it_has_ended(store: AuditStore) -> None:
    audit = auditor(store)
    async with audit.told(Deed(AuditAction.KEY_CREATE, "team-a")) as deed:
        begun = await store.last()
        deed.object = "key1"
    with pytest.raises(RuntimeError):
        async with audit.told(Deed(AuditAction.KEY_REVOKE, object="key1", actor="admin1", request_id="r")):
            raise RuntimeError

    records = await store.read(0, 10)
    assert begun is not None and (begun.entry.object, begun.entry.outcome) == ("", "begun")
    assert [(one.number, one.entry.action, one.entry.object, one.entry.outcome) for one in records] == [
        (1, "key.create", "", "begun"),
        (2, "key.create", "key1", "done"),
        (3, "key.revoke", "key1", "begun"),
        (4, "key.revoke", "key1", "failed"),
    ]
    assert (records[3].entry.actor, records[3].entry.request_id) == ("admin1", "r")
    assert await problems(audit) == ()


Spoiling = Callable[[Hands], Awaitable[None]]
SPOILT: dict[str, tuple[Spoiling, str]] = {
    "a changed object": (lambda h: h.change(5, object="another"), "5: was changed"),
    "a changed time": (lambda h: h.change(5, at_ms=1), "5: was changed"),
    "an outcome that is none": (lambda h: h.change(5, outcome="fine"), "5: was changed"),
    "a value of another type": (lambda h: h.change(5, actor=b"\xff"), "5: was changed"),
    "a digest of their own": (lambda h: h.change(5, digest="0" * 64), "5: was changed"),
    "a record less": (lambda h: h.remove(5), "5: missing"),
    "the first one less": (lambda h: h.remove(1), "1: missing"),
    "the last one less": (lambda h: h.remove(9), "9: missing at the end"),
    "two swapped": (lambda h: h.swap(3, 7), "3: was changed, moved"),
    "no mark of the end": (lambda h: h.unmark("last"), "9: the mark of the last record is missing"),
    "another mark of the end": (lambda h: h.unmark("last", number=8), "8: the mark of the last record was changed"),
}


@pytest.mark.parametrize("name", SPOILT)
async def test_every_change_is_told_with_its_record(name: str, store: AuditStore, hands: Hands) -> None:
    spoil, told = SPOILT[name]
    audit = auditor(store)
    await written(audit, 9)
    assert await problems(audit) == ()

    await spoil(hands)

    found = await problems(audit)
    assert any(one.startswith(told) for one in found), found
    if name == "two swapped":
        assert any(one.startswith("7: was changed, moved") for one in found), found


async def test_what_was_removed_at_the_end_stays_missing_when_others_come(store: AuditStore, hands: Hands) -> None:
    audit = auditor(store)
    await written(audit, 5)
    await hands.remove(5)
    await hands.remove(4)

    await written(audit, 2)

    assert await problems(audit) == ("4-5: missing",)
    assert [one.number for one in await store.read(0, 10)] == [1, 2, 3, 6, 7]


async def test_an_older_copy_is_told_by_a_note_from_elsewhere(store: AuditStore, hands: Hands) -> None:
    audit = auditor(store)
    await written(audit, 4)
    last = await store.last()
    assert last is not None
    for number in (3, 4):
        await hands.remove(number)
    kept = (await store.read(0, 10))[-1]
    await hands.unmark("last", **{"number": 2, "digest": kept.digest, "seal": audit.chain.last_mark(kept).seal})

    assert await problems(audit) == ()
    assert await problems(audit, (last.number, last.digest)) == ("4: the record that was noted is missing",)
    assert await problems(audit, (2, "f" * 64)) == ("2: is not the record that was noted",)


async def test_another_secret_makes_no_records_of_ours_and_a_change_of_the_secret_is_none(store: AuditStore) -> None:
    await written(auditor(store, b"old"), 2)
    await written(auditor(store, b"new", b"old"), 2)

    assert await problems(auditor(store, b"new", b"old")) == ()
    assert len(await problems(auditor(store, b"old"))) == 3  # two records, and the mark of the end


async def test_many_that_write_at_once_make_one_chain(place: StorePlace, scale: Callable[[int, int], int]) -> None:
    count = scale(10, 100)
    stores = [open_audit(place) for _ in range(4)]
    try:
        await stores[0].marks()  # the file is made once
        await asyncio.gather(*(written(auditor(store), count) for store in stores))
        verdict = await Chain([SECRET]).verify(stores[0])
    finally:
        for store in stores:
            await store.close()

    assert (verdict.records, verdict.problems) == (4 * count, ())
    assert verdict.last is not None and verdict.last.number == 4 * count


async def test_records_that_were_kept_long_enough_go_and_nothing_is_missing(store: AuditStore, hands: Hands) -> None:
    audit = auditor(store)
    await written(audit, 10)
    data = AuditOfPeople(audit)
    cutoff = (await store.read(6, 1))[0].entry.at_ms / 1000

    removed = [await data.expire(Overdue(cutoff, most=4)) for _ in range(3)]

    assert removed == [4, 2, 0] and await problems(audit) == ()
    assert [one.number for one in await store.read(0, 20)] == [7, 8, 9, 10]
    assert await data.oldest() == cutoff
    await written(audit, 1)
    await hands.remove(7)
    assert await problems(audit) == ("7: missing",)
    await hands.unmark("first", number=8)
    assert any("the mark of the first record was changed" in one for one in await problems(audit))


async def test_the_last_record_is_kept_however_old_so_that_the_chain_goes_on(store: AuditStore) -> None:
    audit = auditor(store)
    await written(audit, 3)
    data = AuditOfPeople(audit)

    assert await data.expire(Overdue(4e9)) == 2
    assert await data.expire(Overdue(4e9, tenant="team-a")) == 0  # one chain of all tenants
    assert [one.number for one in await store.read(0, 9)] == [3] and await problems(audit) == ()
    assert {mark.bound for mark in await store.marks()} == {Bound.FIRST, Bound.LAST}


async def test_records_about_a_person_are_exported_and_say_why_they_stay(store: AuditStore) -> None:
    audit, data = auditor(store), AuditOfPeople(auditor(store))
    me = Person("team-a", "me", ("u_now", "u_before"))
    for thing in ("u_now", "u_other", "u_before"):
        await audit.write(Deed(AuditAction.USER_EXPORT, "team-a", "key1", thing), AuditOutcome.DONE)
    await audit.write(Deed(AuditAction.USER_EXPORT, "team-b", "key1", "u_now"), AuditOutcome.DONE)

    await data.erase(me)

    assert [row["object"] async for row in data.export(me)] == ["u_now", "u_before"]
    assert (await data.count(me), data.keeps(me)) == (2, "audit")
    assert await problems(audit) == ()


async def test_what_cannot_be_recorded_does_not_begin(store: AuditStore) -> None:
    audit = auditor(store)
    await store.close()
    begun = False

    with pytest.raises(StoreUnavailable):
        async with audit.told(Deed(AuditAction.KEY_CREATE)):
            begun = True

    assert not begun
    await audit.note(Deed(AuditAction.POLICY_TAKE, object="d"), AuditOutcome.DONE)  # nobody is held up


async def test_what_several_processes_see_is_recorded_once(store: AuditStore) -> None:
    one, other = auditor(store), auditor(store)
    deed = Deed(AuditAction.POLICY_TAKE, actor="services", object="digest1")
    for audit in (one, other, one):
        await audit.note(deed, AuditOutcome.DONE)
    await other.note(replace(deed, object="digest2"), AuditOutcome.DONE)
    await one.note(deed, AuditOutcome.DONE)

    assert [record.entry.object for record in await store.read(0, 9)] == ["digest1", "digest2", "digest1"]
