"""What a turn asks its user for, in every store of conversations: kept with it, swapped by one, gone with it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.domain.chat import Caller, ConversationKey, Turn
from chatbot.domain.ports import ConversationStore
from parts.history_model import START
from parts.store_place import StorePlace

KEY = ConversationKey("office", Caller("", "user"), "chat")
ASKED = Turn("t", "q", "a", START, proposals='[{"arguments": "\'; DROP TABLE turns; -- <|eot_id|> 안녕 👩‍👩‍👧"}]')


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[ConversationStore]:
    store = place.open(HistoryBounds(max_bytes=200))
    yield store
    await store.close()


async def test_proposals_come_back_with_their_turn_and_are_swapped_where_they_are_as_they_were_read(
    store: ConversationStore,
) -> None:
    await store.append(KEY, replace(ASKED, turn_id="before", proposals=""), epoch=0)
    await store.append(KEY, ASKED, epoch=0)
    assert (await store.load(KEY)).turns[1] == ASKED
    assert await store.append(KEY, ASKED, epoch=0) == ASKED

    assert not await store.swap(KEY, replace(ASKED, proposals="[]"), "[1]")
    assert not await store.swap(replace(KEY, caller=Caller("", "other")), ASKED, "[1]")
    assert not await store.swap(replace(KEY, caller=Caller("team", "user")), ASKED, "[1]")
    assert not await store.swap(KEY, replace(ASKED, turn_id="other"), "[1]")
    assert await store.swap(KEY, ASKED, "[1]")
    assert not await store.swap(KEY, ASKED, "[2]")

    assert [one.proposals for one in (await store.load(KEY)).turns] == ["", "[1]"]


async def test_of_many_that_swap_at_once_one_does(
    place: StorePlace, store: ConversationStore, scale: Callable[[int, int], int]
) -> None:
    other = place.open()
    try:
        for number in range(scale(5, 100)):
            asked = replace(ASKED, turn_id=f"t{number}")
            await store.append(KEY, asked, epoch=0)
            swaps = (one.swap(KEY, asked, f"[{n}]") for n, one in enumerate([store, other] * 4))
            assert sum(await asyncio.gather(*swaps)) == 1
    finally:
        await other.close()


async def test_proposals_count_as_bytes_and_go_with_an_erasure(store: ConversationStore) -> None:
    large = replace(ASKED, proposals="x" * 150)
    await store.append(KEY, large, epoch=0)
    await store.append(KEY, replace(large, turn_id="then"), epoch=0)
    assert [one.turn_id for one in (await store.load(KEY)).turns] == ["then"]

    await store.erase(KEY)
    assert not await store.swap(KEY, replace(large, turn_id="then"), "[1]")
    assert (await store.load(KEY)).turns == ()
