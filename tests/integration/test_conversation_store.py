"""One suite for every store: SQLite, MongoDB by motor, MongoDB by PyMongo's asyncio client, Redis (conftest.py)."""

import asyncio
import inspect
import itertools
import logging
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from chatbot.adapters.history_bounds import TOMBSTONE, HistoryBounds
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased
from chatbot.domain.memory.standing import NOTHING, Note, Standing
from chatbot.domain.memory.summary import Summary
from chatbot.domain.ports import ConversationStore
from hypothesis import given, settings
from parts.history_model import START, HandClock, HistoryModel
from parts.history_steps import KEYS, Step, histories
from parts.store_place import StorePlace

BOUNDS = HistoryBounds(max_turns=5, max_bytes=100, ttl_seconds=1000)
USER = Caller("", "user")
KEY = ConversationKey("office", USER, "chat")


def turn(number: int, answer: str = "a") -> Turn:
    return Turn(f"t{number}", f"q{number}", answer, START + timedelta(seconds=number))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(place: StorePlace, clock: HandClock) -> AsyncIterator[ConversationStore]:
    store = place.open(BOUNDS, clock)
    yield store
    await store.close()


async def numbers(store: ConversationStore, key: ConversationKey = KEY) -> list[str]:
    return [turn.turn_id for turn in (await store.load(key)).turns]


async def test_unknown_conversation_is_empty_with_epoch_0(store: ConversationStore) -> None:
    assert await store.load(KEY) == Conversation(KEY, epoch=0, turns=(), local_only=False)


async def test_turns_come_back_as_stored_and_in_order(store: ConversationStore) -> None:
    stored = [await store.append(KEY, turn(number), epoch=0) for number in (2, 1, 3)]

    assert stored == [turn(2), turn(1), turn(3)]
    assert (await store.load(KEY)).turns == tuple(stored)


@pytest.mark.parametrize(
    "text",
    ["", "안녕하세요! 👩‍👩‍👧", "a\x00b", "<|eot_id|>", "'; DROP TABLE turns; --", '{"$gt": ""}', "\u202e\ufeff\r\n"],
    ids=["empty", "korean", "nul", "control token", "sql", "operator", "invisible"],
)
async def test_text_comes_back_unchanged(store: ConversationStore, text: str) -> None:
    await store.append(KEY, Turn("t", text, text, START), epoch=0)

    assert (await store.load(KEY)).turns == (Turn("t", text, text, START),)


async def test_who_answered_is_kept_with_the_turn_and_the_repeat_of_it(store: ConversationStore) -> None:
    played = replace(turn(1), character="나비@0123456789abcdef")
    await store.append(KEY, played, epoch=0)

    assert await store.append(KEY, turn(1), epoch=0) == played
    assert (await store.load(KEY)).turns == (played,)


async def test_note_and_pins_are_set_each_alone_and_go_with_an_erasure(store: ConversationStore) -> None:
    note, pins = Note("<|eot_id|> '; DROP TABLE turns; --\n짧게", 3), ('{"$gt": ""}', "고양이 👩‍👩‍👧")

    assert not await store.remember(KEY, note=note)  # nothing comes to be by it
    assert await store.load(KEY) == Conversation(KEY)
    await store.append(KEY, turn(1), epoch=0)
    assert await store.remember(KEY, note=note)
    assert await store.remember(KEY, pins=pins)
    assert not await store.remember(replace(KEY, caller=Caller("team", "user")), pins=())
    assert (await store.load(KEY)).standing == Standing(note, pins)
    await store.append(KEY, turn(2), epoch=0)
    assert (await store.load(KEY)).standing == Standing(note, pins)

    await store.erase(KEY)
    assert not await store.remember(KEY, pins=("afterwards",))
    epoch = (await store.load(KEY)).epoch
    await store.append(KEY, turn(3), epoch=epoch)
    assert (await store.load(KEY)).standing == NOTHING


async def test_note_and_pins_go_with_a_conversation_that_expires(store: ConversationStore, clock: HandClock) -> None:
    await store.append(KEY, turn(1), epoch=0)
    clock.pass_by(999)
    assert await store.remember(KEY, note=Note("old"), pins=("old",))
    clock.pass_by(1)

    assert not await store.remember(KEY, note=Note("late"))  # and it lived no longer for what was set
    await store.append(KEY, turn(2), epoch=0)
    assert (await store.load(KEY)).standing == NOTHING


def summary_up_to(covered: Turn, text: str = "요약") -> Summary:
    return Summary(text, "t1", covered.turn_id, covered.at, 1, "toy@0", START)


async def test_a_summary_is_kept_once_and_goes_with_an_erasure(store: ConversationStore) -> None:
    hostile = summary_up_to(turn(1), '<|eot_id|> \'; DROP TABLE turns; --\n{"$gt": ""} 👩‍👩‍👧 a\x00b')
    assert not await store.summarise(Conversation(KEY), hostile)  # nothing comes to be by it
    assert await store.load(KEY) == Conversation(KEY)
    for number in (1, 2):
        await store.append(KEY, turn(number), epoch=0)
    read = await store.load(KEY)

    assert await store.summarise(read, hostile)
    assert not await store.summarise(read, summary_up_to(turn(2)))  # another process, at the same time
    assert not await store.summarise(replace(read, key=replace(KEY, caller=Caller("team", "user"))), hostile)
    again = await store.load(KEY)
    assert again == replace(read, summary=hostile)
    assert await store.summarise(again, summary_up_to(turn(2)))
    before = await store.load(KEY)
    await store.erase(KEY)

    assert not await store.summarise(before, summary_up_to(turn(2), "afterwards"))
    for number in (1, 2):
        await store.append(KEY, turn(number), epoch=1)
    assert (await store.load(KEY)).summary is None


@pytest.mark.parametrize("change", [{"last": "t9"}, {"last_at": START}], ids=["another turn", "another time"])
async def test_a_summary_of_a_turn_that_is_not_there_is_not_kept(
    store: ConversationStore, change: dict[str, Any]
) -> None:
    await store.append(KEY, turn(1), epoch=0)
    read = await store.load(KEY)

    assert not await store.summarise(read, replace(summary_up_to(turn(1)), **change))
    assert await store.load(KEY) == read


async def test_a_summary_outlives_the_turns_that_the_bounds_drop(store: ConversationStore) -> None:
    await store.append(KEY, turn(1), epoch=0)
    summary = summary_up_to(turn(1))
    assert await store.summarise(await store.load(KEY), summary)
    for number in range(2, 9):
        await store.append(KEY, turn(number), epoch=0)

    read = await store.load(KEY)
    assert "t1" not in [one.turn_id for one in read.turns]
    assert read.summary == summary


async def test_a_summary_goes_with_a_turn_that_is_taken_back(store: ConversationStore) -> None:
    for number in (1, 2):
        await store.append(KEY, turn(number), epoch=0)
    assert await store.summarise(await store.load(KEY), summary_up_to(turn(1)))
    await store.retract(KEY, "t1")

    assert ((await store.load(KEY)).summary, await numbers(store)) == (None, ["t2"])


async def test_a_summary_goes_with_a_conversation_that_expires(store: ConversationStore, clock: HandClock) -> None:
    await store.append(KEY, turn(1), epoch=0)
    clock.pass_by(999)
    assert await store.summarise(await store.load(KEY), summary_up_to(turn(1)))
    read = await store.load(KEY)
    clock.pass_by(1)

    assert not await store.summarise(read, summary_up_to(turn(1)))  # and it lived no longer for it
    await store.append(KEY, turn(1), epoch=0)
    assert (await store.load(KEY)).summary is None


async def test_of_summaries_made_at_once_one_is_kept(place: StorePlace) -> None:
    stores = [place.open() for _ in range(2)]
    await stores[0].append(KEY, turn(1), epoch=0)
    read = await stores[0].load(KEY)

    made = [summary_up_to(turn(1), str(number)) for number in range(8)]
    kept = await asyncio.gather(*(stores[number % 2].summarise(read, one) for number, one in enumerate(made)))

    assert kept.count(True) == 1
    assert (await stores[1].load(KEY)).summary == made[kept.index(True)]
    await asyncio.gather(*(store.close() for store in stores))


async def test_microseconds_are_cut_alike(store: ConversationStore) -> None:
    finer = replace(turn(1), at=START + timedelta(microseconds=123_456))

    stored = await store.append(KEY, finer, epoch=0)

    assert stored.at == START + timedelta(milliseconds=123)
    assert (await store.load(KEY)).turns == (stored,)


async def test_repeated_turn_returns_the_stored_one_and_writes_nothing(store: ConversationStore) -> None:
    await store.append(KEY, turn(1, "first"), epoch=0)

    again = await store.append(KEY, turn(1, "second"), epoch=0)

    assert again == turn(1, "first")
    assert (await store.load(KEY)).turns == (turn(1, "first"),)


@pytest.mark.parametrize(
    "other",
    [
        ConversationKey("office", Caller("", "user2"), "chat"),
        ConversationKey("office", Caller("tenant", "user"), "chat"),
        ConversationKey("character", USER, "chat"),
        ConversationKey("office", USER, "chat2"),
        ConversationKey("office", Caller("", "User"), "chat"),
        ConversationKey("office", Caller("u", "ser"), "chat"),
        ConversationKey("office", Caller("", '{"$ne": ""}'), "chat"),
        ConversationKey("office", Caller("", "%"), "chat"),
    ],
    ids=["user", "tenant", "service", "db_id", "case", "border moved", "operator", "wildcard"],
)
async def test_other_key_is_another_conversation(store: ConversationStore, other: ConversationKey) -> None:
    await store.append(KEY, turn(1, "mine"), epoch=0, local_only=True)

    assert await store.load(other) == Conversation(other)
    assert await store.listing(other.service, other.caller, limit=9) == () or other.db_id == "chat2"
    await store.append(other, turn(1, "theirs"), epoch=0)
    await store.erase(other)
    assert (await store.load(KEY)).turns == (turn(1, "mine"),)


async def test_local_only_never_becomes_false_again(store: ConversationStore) -> None:
    seen = []
    for number, asked in enumerate([False, True, False]):
        await store.append(KEY, turn(number), epoch=0, local_only=asked)
        seen.append((await store.load(KEY)).local_only)
    await store.erase(KEY)

    assert [*seen, (await store.load(KEY)).local_only] == [False, True, True, True]


async def test_erasure_empties_and_raises_the_epoch(store: ConversationStore) -> None:
    await store.append(KEY, turn(1), epoch=0)

    await store.erase(KEY)
    await store.erase(KEY)

    assert await store.load(KEY) == Conversation(KEY, epoch=2)
    assert await store.listing("office", USER, limit=9) == ()


async def test_turn_begun_before_an_erasure_is_refused(store: ConversationStore) -> None:
    await store.append(KEY, turn(1), epoch=0)
    await store.erase(KEY)

    with pytest.raises(ConversationErased):
        await store.append(KEY, turn(2), epoch=0)

    assert await numbers(store) == []
    await store.append(KEY, turn(3), epoch=1)
    assert await numbers(store) == ["t3"]


async def test_erasure_beats_a_first_turn_that_still_runs(store: ConversationStore) -> None:
    before = await store.load(KEY)
    await store.erase(KEY)

    with pytest.raises(ConversationErased):
        await store.append(KEY, turn(1), epoch=before.epoch)

    assert (await store.load(KEY)).turns == ()


async def test_erasure_is_remembered_for_hours(store: ConversationStore, clock: HandClock) -> None:
    before = await store.load(KEY)
    await store.erase(KEY)
    clock.pass_by(TOMBSTONE.total_seconds() - 1)

    with pytest.raises(ConversationErased):
        await store.append(KEY, turn(1), epoch=before.epoch)


async def test_erasure_just_after_a_tombstone_ended_is_not_missed(store: ConversationStore, clock: HandClock) -> None:
    await store.erase(KEY)
    clock.pass_by(TOMBSTONE.total_seconds() - 1)
    before = await store.load(KEY)
    clock.pass_by(2)
    await store.erase(KEY)

    with pytest.raises(ConversationErased):
        await store.append(KEY, turn(1), epoch=before.epoch)


async def test_oldest_turns_go_when_there_are_too_many(store: ConversationStore) -> None:
    for number in range(8):
        await store.append(KEY, turn(number), epoch=0)

    assert await numbers(store) == ["t3", "t4", "t5", "t6", "t7"]


async def test_oldest_turns_go_when_the_text_is_too_long(store: ConversationStore) -> None:
    for number in range(4):
        await store.append(KEY, turn(number, "가" * 11), epoch=0)  # 35 bytes each

    assert await numbers(store) == ["t2", "t3"]


async def test_newest_turn_stays_even_if_it_is_too_long(store: ConversationStore) -> None:
    await store.append(KEY, turn(1), epoch=0)
    await store.append(KEY, turn(2, "x" * 1000), epoch=0)

    assert await numbers(store) == ["t2"]


async def test_conversation_is_gone_when_nobody_touched_it(store: ConversationStore, clock: HandClock) -> None:
    await store.append(KEY, turn(1), epoch=0)
    clock.pass_by(999)
    await store.append(KEY, turn(2), epoch=0)
    clock.pass_by(999)
    seen_before = await numbers(store)
    clock.pass_by(1)

    assert seen_before == ["t1", "t2"]
    assert await store.load(KEY) == Conversation(KEY)
    assert await store.listing("office", USER, limit=9) == ()


@pytest.mark.parametrize("erasures", [0, 1])
async def test_expired_conversation_begins_again_without_its_past(
    store: ConversationStore, clock: HandClock, erasures: int
) -> None:
    for _ in range(erasures):
        await store.erase(KEY)
    await store.append(KEY, turn(1), epoch=erasures, local_only=True)
    clock.pass_by(1000)

    both = await asyncio.gather(store.append(KEY, turn(3), epoch=0), store.append(KEY, turn(4), epoch=0))

    conversation = await store.load(KEY)
    assert {turn.turn_id for turn in conversation.turns} == {"t3", "t4"} == {turn.turn_id for turn in both}
    assert (conversation.epoch, conversation.local_only) == (0, False)


async def test_turn_lands_when_its_conversation_expired_meanwhile(store: ConversationStore, clock: HandClock) -> None:
    await store.erase(KEY)
    await store.append(KEY, turn(1), epoch=1)
    clock.pass_by(1001)

    await store.append(KEY, turn(2), epoch=1)

    assert await numbers(store) == ["t2"]


async def test_listing_pages_through_all_of_one_user(store: ConversationStore) -> None:
    names = ["B", "a", "a-1", "a.1", "a_1", "b"]
    for name in reversed(names):
        await store.append(replace(KEY, db_id=name), turn(1), epoch=0)
    await store.append(replace(KEY, db_id="b"), turn(2), epoch=0)
    await store.append(replace(KEY, db_id="erased"), turn(1), epoch=0)
    await store.erase(replace(KEY, db_id="erased"))

    pages, after = [], ""
    while page := await store.listing("office", USER, limit=4, after=after):
        pages.append(page)
        after = page[-1].db_id

    assert [len(page) for page in pages] == [4, 2]
    assert [line.db_id for page in pages for line in page] == sorted(names)
    assert pages[-1][-1] == ConversationSummary("b", 2, START)


async def test_pages_and_loads_export_everything_of_one_user(store: ConversationStore) -> None:
    told = {f"chat{name}": tuple(turn(number) for number in range(name % 3 + 1)) for name in range(9)}
    for name, turns in told.items():
        for one in turns:
            await store.append(replace(KEY, db_id=name), one, epoch=0)

    lines = await store.listing("office", USER, limit=100)

    exported = {line.db_id: (await store.load(replace(KEY, db_id=line.db_id))).turns for line in lines}
    assert exported == told


async def test_simultaneous_turns_all_land_once(place: StorePlace) -> None:
    stores = [place.open() for _ in range(2)]
    turns = [turn(number % 20) for number in range(40)]

    await asyncio.gather(*(stores[number % 2].append(KEY, one, epoch=0) for number, one in enumerate(turns)))

    assert sorted(await numbers(stores[0])) == sorted(f"t{number}" for number in range(20))
    await asyncio.gather(*(store.close() for store in stores))


async def test_simultaneous_turns_keep_the_bounds(store: ConversationStore) -> None:
    await asyncio.gather(*(store.append(KEY, turn(number, "x" * 30), epoch=0) for number in range(12)))

    kept = (await store.load(KEY)).turns
    assert len(kept) == 3


async def test_erasures_among_turns_leave_no_turn_of_an_older_epoch(place: StorePlace) -> None:
    stores = [place.open() for _ in range(2)]

    async def talk(number: int) -> str | None:
        try:
            return (await stores[number % 2].append(KEY, turn(number), epoch=0)).turn_id
        except ConversationErased:
            return None

    results = await asyncio.gather(*(stores[0].erase(KEY) if n == 10 else talk(n) for n in range(20)))

    assert await stores[1].load(KEY) == Conversation(KEY, epoch=1)
    assert results[10] is None
    await asyncio.gather(*(store.close() for store in stores))


async def test_caller_that_gives_up_leaves_the_store_working(place: StorePlace) -> None:
    store = place.open()
    await store.ping()
    for number in range(20):
        task = asyncio.ensure_future(store.append(KEY, turn(number), epoch=0))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    await store.append(KEY, turn(99), epoch=0)

    stored = await numbers(store)  # those given up may land, even later: motor's threads go on
    assert "t99" in stored
    assert len(stored) == len(set(stored))
    await store.close()


async def test_nothing_a_user_wrote_is_logged_at_debug(place: StorePlace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pymongo").setLevel(logging.NOTSET)  # as the library comes; it logs commands then
    store = place.open()
    secret = ConversationKey("office", Caller("CANARY", "CANARY"), "CANARY")

    await store.append(secret, Turn("CANARY", "CANARY", "CANARY", START), epoch=0)
    await store.erase(secret)
    with pytest.raises(ConversationErased):
        await store.append(secret, Turn("CANARY2", "CANARY", "CANARY", START), epoch=0)
    await store.close()

    assert "CANARY" not in caplog.text


@pytest.mark.parametrize("place", ["motor", "pymongo", "redis"], indirect=True)  # SQLite: tests/unit
def test_generated_histories_behave_like_the_reference(place: StorePlace, scale: Callable[[int, int], int]) -> None:
    runs = itertools.count()

    @settings(max_examples=scale(25, 500), deadline=None, database=None)
    @given(histories(TOMBSTONE.total_seconds()))
    def compare(steps: list[Step]) -> None:
        asyncio.run(replay(place, steps, f"run{next(runs)}"))

    compare()


async def replay(place: StorePlace, steps: list[Step], run: str) -> None:
    clock = HandClock()
    store, model = place.open(BOUNDS, clock), HistoryModel(BOUNDS, clock)
    keys = [replace(key, db_id=run) for key in KEYS]
    for step in steps:
        key = keys[step.key]
        read = await store.load(key)
        epoch = step.epoch(read.epoch)
        clock.pass_by(step.seconds)
        if step.verb == "erase":
            await store.erase(key)
            model.erase(key)
        elif step.verb == "remember":
            assert await store.remember(key, note=step.note, pins=step.pins) == model.remember(
                key, step.note, step.pins
            )
        elif step.verb == "summarise":
            if (summary := step.summary(read)) is not None:
                asked_of = replace(read, epoch=epoch)
                assert await store.summarise(asked_of, summary) == model.summarise(asked_of, summary)
        else:
            asked = {"turn": step.turn(clock.now), "epoch": epoch, "local_only": step.local_only}
            assert await outcome(store.append, key, asked) == await outcome(model.append, key, asked)
        assert await store.load(key) == model.load(key)
    await store.close()


async def outcome(append: Callable[..., Any], key: ConversationKey, asked: dict[str, Any]) -> object:
    try:
        stored = append(key, **asked)
        return await stored if inspect.isawaitable(stored) else stored
    except ConversationErased:
        return ConversationErased


@pytest.mark.scale
async def test_cost_of_a_turn_in_a_long_conversation(
    place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    store = place.open()
    for number in range(50):
        await store.append(KEY, turn(number, "답" * 300), epoch=0)
    seconds = []

    for number in range(50, 50 + scale(40, 2000)):
        began = time.perf_counter()
        conversation = await store.load(KEY)
        await store.append(KEY, turn(number, "답" * 300), epoch=conversation.epoch)
        seconds.append(time.perf_counter() - began)

    assert len(await numbers(store)) == min(200, 50 + len(seconds))
    figures(
        load_and_append_ms_p50=round(statistics.median(seconds) * 1000, 1),
        p99=round(sorted(seconds)[int(len(seconds) * 0.99)] * 1000, 1),
    )
    await store.close()
