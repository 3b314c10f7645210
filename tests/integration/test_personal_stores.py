"""One suite for what stores are to people: SQLite, MongoDB by motor, MongoDB by PyMongo's asyncio client."""

import asyncio
import base64
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from chatbot.adapters.limits.redis import RedisAccounts
from chatbot.adapters.personal.redis_accounts import RedisAccountsOfPeople
from chatbot.domain.limits import user_accounts
from chatbot.domain.personal.erasure import Erasure, ErasureGone, ErasureState, Receipt, Tombstone
from chatbot.domain.personal.stores import Overdue
from parts.document_place import kept_bytes
from parts.people import People, open_people, person
from parts.redis_server import redis_url
from parts.store_place import StorePlace

MINA, NOAH = person("mina@example.org"), person("noah@example.org")
WANTED = Erasure("m" * 64, 0, ErasureState.ERASING, 1000.0, tenant="team-a", user="mina@example.org")


@pytest.fixture
async def people(place: StorePlace) -> AsyncIterator[People]:
    people = open_people(place)
    yield people
    await people.close()


async def test_everything_of_one_user_goes_and_nothing_of_the_other(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    await people.fill(NOAH, "canary-noah")
    others = await people.counts(NOAH)
    assert min((await people.counts(MINA)).values()) > 0

    for store in people.stores:
        await store.erase(MINA)
        await store.erase(MINA)  # twice is as good as once

    assert set((await people.counts(MINA)).values()) == {0}
    assert await people.counts(NOAH) == others
    dump = kept_bytes(people.place)
    assert dump.count(b"canary-noah") > 10
    for trace in (b"canary-mina", b"mina@example.org"):
        assert trace not in dump, trace
    assert MINA.pseudonyms[0].encode() not in dump
    assert NOAH.pseudonyms[0].encode() in dump


async def test_the_same_user_of_another_tenant_stays(people: People) -> None:
    elsewhere = person(MINA.user, tenant="team-b")
    await people.fill(elsewhere, "canary-elsewhere")
    before = await people.counts(elsewhere)

    for store in people.stores:
        await store.erase(MINA)

    assert await people.counts(elsewhere) == before


async def test_a_user_does_not_free_himself_of_his_limits(people: People) -> None:
    await people.fill(MINA, "canary-mina")
    limits = next(store for store in people.stores if store.name == "limits")
    himself = replace(MINA, is_self=True)

    await limits.erase(himself)

    assert await limits.count(himself) == 2
    assert limits.keeps(himself) == "limits"
    assert limits.keeps(MINA) == ""


async def test_an_export_is_what_the_stores_have(people: People) -> None:
    await people.fill(MINA, "canary-mina", turns=120)
    await people.fill(NOAH, "canary-noah")

    rows = {store.name: [row async for row in store.export(MINA)] for store in people.stores}

    turns = [row for row in rows["conversations"] if row["kind"] == "turn"]
    assert sorted((row["service"], int(row["turn_id"][1:])) for row in turns) == [
        (service, number) for service in ("character", "office") for number in range(120)
    ]
    assert {row["question"] for row in turns} == {f"canary-mina asks {number}" for number in range(120)}
    heads = [row for row in rows["conversations"] if row["kind"] == "conversation"]
    assert [(row["note"], row["pins"]) for row in heads] == [
        ({"text": "canary-mina notes", "depth": 2}, ["canary-mina pins"])
    ] * 2
    passages = [row["text"] for row in rows["documents"] if row["kind"] == "passage"]
    assert passages == [f"canary-mina passage {number}" for number in range(3)]
    content = [base64.b64decode(row["base64"]) for row in rows["files"] if row["kind"] == "content"]
    assert content == [b"canary-mina"]
    assert [row["key"] for row in rows["usage"]] == ["k1"]
    assert len(rows["limits"]) == 2
    assert "canary-noah" not in json.dumps(rows)


@pytest.mark.parametrize("name", ["conversations", "documents", "files", "usage"])
async def test_rows_go_when_they_were_kept_long_enough_tenant_by_tenant(people: People, name: str) -> None:
    other = person("mina@example.org", tenant="team-b")
    await people.fill(MINA, "canary-mina")
    await people.fill(other, "canary-other")
    store = next(store for store in people.stores if store.name == name)
    later = time.time() + 100

    async def left() -> tuple[int, int]:
        return (await people.counts(MINA))[name], (await people.counts(other))[name]

    mine, others = await left()
    assert mine > 0 and others > 0
    oldest = await store.oldest()
    assert oldest is not None and (name == "files" or abs(oldest - time.time()) < 60)
    assert await store.expire(Overdue(1.0)) == 0
    assert await store.expire(Overdue(later, tenant="nobody")) == 0

    gone = 0
    while removed := await store.expire(Overdue(later, except_tenants=frozenset({"team-a"}), most=1)):
        gone += removed
    assert gone > 0
    assert await left() == (mine, 0)
    assert await store.expire(Overdue(later, tenant="team-a")) > 0
    assert await left() == (0, 0)
    assert await store.oldest() is None
    if name != "usage":  # a record's id stays in no other place, and holds no word
        await people.documents.tidy()
    assert name == "usage" or canary_of(name) not in kept_bytes(people.place)


def canary_of(name: str) -> bytes:
    """What only that store has of the words of `People.fill`."""
    return {
        "conversations": b"canary-mina asks",
        "documents": b"canary-mina passage",
        "files": b"file-canary-mina",
    }[name]


async def test_a_tombstone_rises_once_for_each_erasure(people: People) -> None:
    first = await people.erasures.begin(WANTED)
    again = await people.erasures.begin(replace(WANTED, begun_at=1001.0))
    assert (first.epoch, first.state, again) == (1, ErasureState.ERASING, first)
    claimed = await people.erasures.claim(1002.0, 20.0)
    assert claimed is not None and claimed.user == "mina@example.org"

    receipt = Receipt({"conversations": 3}, {"limits": (1, "limits")})
    await people.erasures.finish(replace(claimed, done_at=1003.0, receipt=receipt))

    found = await people.erasures.find(WANTED.mark)
    assert found is not None
    assert (found.state, found.tenant, found.user, found.receipt) == (ErasureState.DONE, "", "", receipt)
    assert b"mina@example.org" not in kept_bytes(people.place)
    assert await people.erasures.changed(1002.5) == (Tombstone(WANTED.mark, 1, False, 1003.0),)
    assert (await people.erasures.begin(replace(WANTED, begun_at=1004.0))).epoch == 2


async def test_an_erasure_has_one_worker_until_it_says_nothing_for_too_long(people: People) -> None:
    await people.erasures.begin(WANTED)
    claims = await asyncio.gather(*(people.erasures.claim(1000.0, 20.0) for _ in range(5)))
    mine = next(one for one in claims if one is not None)
    assert sum(one is not None for one in claims) == 1
    await people.erasures.hold(replace(mine, found={"usage": 2}), 1030.0)
    assert await people.erasures.claim(1029.0, 20.0) is None

    theirs = await people.erasures.claim(1031.0, 20.0)

    assert theirs is not None and theirs.found == {"usage": 2}
    with pytest.raises(ErasureGone):
        await people.erasures.hold(mine, 1060.0)
    with pytest.raises(ErasureGone):
        await people.erasures.finish(replace(mine, done_at=1032.0))
    assert await people.erasures.unfinished() == (1, 1000.0)


async def test_all_processes_key_their_hashes_alike(people: People) -> None:
    secrets = await asyncio.gather(*(people.erasures.secret() for _ in range(5)))

    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32


async def test_an_export_is_fetched_once_and_in_time(people: People) -> None:
    await people.erasures.offer_export("m", 100.0)
    assert await people.erasures.export_until("m") == 100.0
    assert await people.erasures.take_export("m", 101.0) is False

    taken = await asyncio.gather(*(people.erasures.take_export("m", 99.0) for _ in range(5)))

    assert sorted(taken) == [False, False, False, False, True]
    assert await people.erasures.export_until("m") == 0.0


async def test_one_process_at_a_time_has_a_turn(people: People) -> None:
    turns = await asyncio.gather(*(people.erasures.take_turn("sweep", f"p{n}", 100.0, 60.0) for n in range(5)))
    assert sum(turns) == 1
    holder = f"p{turns.index(True)}"

    assert await people.erasures.take_turn("sweep", holder, 110.0, 60.0)
    assert not await people.erasures.take_turn("sweep", "another", 165.0, 60.0)
    assert await people.erasures.take_turn("sweep", "another", 171.0, 60.0)


async def test_what_was_done_long_ago_is_forgotten(people: People) -> None:
    await people.erasures.begin(WANTED)
    await people.erasures.offer_export("m", 100.0)
    await people.erasures.forget(5000.0)
    assert await people.erasures.find(WANTED.mark) is not None, "it goes on"
    claimed = await people.erasures.claim(1002.0, 20.0)
    assert claimed is not None
    await people.erasures.finish(replace(claimed, done_at=1003.0))

    await people.erasures.forget(1003.5)

    assert await people.erasures.find(WANTED.mark) is None
    assert await people.erasures.export_until("m") == 0.0


async def test_counters_in_redis_go_with_their_user_alone(tmp_path: Path) -> None:
    with redis_url(tmp_path) as url:
        accounts, mine = RedisAccounts.open(url), RedisAccountsOfPeople(RedisAccounts.open(url))
        for who in (MINA, NOAH):
            for account in user_accounts(who.tenant, who.user, who.pseudonyms):
                await accounts.update(account, lambda _: ({"rates": {}}, None))
        himself = replace(MINA, is_self=True)
        await mine.erase(himself)
        every = 2 * 2 * 2  # himself and by a pseudonym, of the user and of his keys, counted and on trial
        assert (await mine.count(himself), len([row async for row in mine.export(MINA)])) == (every, every)

        await mine.erase(MINA)

        assert (await mine.count(MINA), await mine.count(NOAH)) == (0, every)
        await accounts.update(user_accounts(MINA.tenant, MINA.user, ())[0], lambda state: ({"new": state}, None))
        assert await mine.count(MINA) == 1, "what a replica remembers of it is not written again"
        await accounts.close()
        await mine.close()


async def test_documents_of_an_older_file_count_from_its_first_opening(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store.sqlite3"
    people = open_people(StorePlace("sqlite", str(path)))
    await people.fill(MINA, "canary-mina")
    await people.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE documents DROP COLUMN added_at")
        connection.execute("PRAGMA user_version = 2")

    people = open_people(StorePlace("sqlite", str(path)))
    documents = people.stores[1]
    oldest = await documents.oldest()
    await people.close()

    assert oldest is not None and abs(oldest - time.time()) < 60
