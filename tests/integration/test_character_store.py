"""One suite for every store of characters: SQLite, MongoDB by motor, MongoDB by PyMongo's asyncio client."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chatbot.adapters.characters.mongo import MongoCharacters
from chatbot.adapters.characters.sqlite import SqliteCharacters
from chatbot.domain.characters import KEPT_REVISIONS, CharacterStore, KeptCharacter
from chatbot.domain.errors import CharacterQuota, CharactersUnavailable
from parts.store_place import StorePlace

Opening = Callable[[], CharacterStore]
START = datetime(2026, 11, 21, tzinfo=UTC)
CARD = {"spec": "chara_card_v3", "data": {"name": "나비", "$set": {"a.b": [1, 2.5, None]}, "": "\u202e<|eot_id|>"}}


def kept(revision: str = "r1", name: str = "nabi", *, after_seconds: int = 0) -> KeptCharacter:
    return KeptCharacter(name, revision, CARD | {"revision": revision}, START + timedelta(seconds=after_seconds))


@pytest.fixture
def opening(place: StorePlace) -> Opening:
    if place.kind == "sqlite":
        return lambda: SqliteCharacters(Path(place.where).with_name("characters.sqlite3"))
    return lambda: MongoCharacters.open(place.where, place.database, place.kind)  # type: ignore[arg-type]


@pytest.fixture
async def store(opening: Opening) -> AsyncIterator[CharacterStore]:
    store = opening()
    yield store
    await store.close()


async def put(store: CharacterStore, character: KeptCharacter, tenant: str = "acme", most: int = 9) -> None:
    await store.put(tenant, character, f"called {character.name}", most=most)


async def test_a_card_comes_back_as_it_was(store: CharacterStore) -> None:
    await put(store, kept())

    assert await store.find("acme", "nabi") == kept()
    assert await store.find("acme", "nabi", "r1") == kept()


@pytest.mark.parametrize(("tenant", "name"), [("other", "nabi"), ("", "nabi"), ("acme", "Nabi"), ("acme", "nab%")])
async def test_another_name_or_tenant_has_no_part_in_it(store: CharacterStore, tenant: str, name: str) -> None:
    await put(store, kept())

    assert await store.find(tenant, name) is None
    await store.erase(tenant, name)
    assert await store.find("acme", "nabi") is not None
    assert [one.name for one in await store.listing(tenant, limit=9)] == (["nabi"] if tenant == "acme" else [])


async def test_earlier_revisions_can_be_read_until_there_are_too_many(store: CharacterStore) -> None:
    revisions = [f"r{number}" for number in range(KEPT_REVISIONS + 2)]
    for number, revision in enumerate(revisions):
        await put(store, kept(revision, after_seconds=number))

    found = [await store.find("acme", "nabi", revision) for revision in revisions]

    assert [one is not None for one in found] == [False, False, *[True] * KEPT_REVISIONS]
    newest = await store.find("acme", "nabi")
    assert newest is not None and (newest.revision, newest.card["revision"]) == (revisions[-1], revisions[-1])


async def test_a_revision_that_is_put_again_is_the_newest_and_kept_once(store: CharacterStore) -> None:
    for number, revision in enumerate(["r1", "r2", "r1", "r1"]):
        await put(store, kept(revision, after_seconds=number))

    newest = await store.find("acme", "nabi")
    assert newest == kept("r1", after_seconds=3)
    assert await store.find("acme", "nabi", "r2") is not None


async def test_what_nobody_reads_is_replaced_though_the_revision_is_the_same(store: CharacterStore) -> None:
    await put(store, kept())
    await put(store, KeptCharacter("nabi", "r1", {"data": {"tags": ["new"]}}, START))

    found = await store.find("acme", "nabi")
    assert found is not None and found.card == {"data": {"tags": ["new"]}}


async def test_erased_is_gone_with_all_revisions_and_may_come_again(store: CharacterStore) -> None:
    await put(store, kept("r1"))
    await put(store, kept("r2"))
    await store.erase("acme", "nabi")
    await store.erase("acme", "nabi")

    assert [await store.find("acme", "nabi", one) for one in (None, "r1", "r2")] == [None] * 3
    await put(store, kept("r3"))
    assert await store.find("acme", "nabi", "r1") is None


async def test_the_bound_holds_for_new_ones_alone(store: CharacterStore) -> None:
    for name in ("a", "b"):
        await put(store, kept(name=name), most=2)

    with pytest.raises(CharacterQuota):
        await put(store, kept(name="c"), most=2)
    await put(store, kept("r2", name="b"), most=2)
    await put(store, kept(name="c"), tenant="other", most=2)

    assert [(one.name, one.revision) for one in await store.listing("acme", limit=9)] == [("a", "r1"), ("b", "r2")]


async def test_pages_show_all_once_by_name(store: CharacterStore) -> None:
    names = sorted(["a", "b", "나비", "z.1", "Z", "10"])
    for name in names:
        await put(store, kept(name=name))

    pages, after = [], ""
    while page := await store.listing("acme", limit=2, after=after):
        pages.append(page)
        after = page[-1].name

    assert [len(page) for page in pages] == [2, 2, 2]
    assert [one.name for page in pages for one in page] == names
    assert pages[0][0].display_name == f"called {names[0]}"
    assert pages[0][0].updated_at == START


async def test_writers_that_race_leave_one_whole_character(opening: Opening) -> None:
    stores = [opening() for _ in range(3)]
    await asyncio.gather(*(put(stores[n % 3], kept(f"r{n}", after_seconds=n)) for n in range(9)))

    found = await stores[0].find("acme", "nabi")

    assert found is not None and found.card["revision"] == found.revision
    assert len(await stores[1].listing("acme", limit=9)) == 1
    for store in stores:
        await store.close()


async def test_a_file_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (a)")
    other.commit()
    other.close()
    store = SqliteCharacters(path)

    with pytest.raises(CharactersUnavailable, match="CHATBOT_CHARACTERS_SQLITE_PATH"):
        await store.find("acme", "nabi")
    await store.close()


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_server_that_is_away_is_told_within_three_seconds(driver: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    store = MongoCharacters.open(f"mongodb://127.0.0.1:{port}", "none", driver)  # type: ignore[arg-type]

    async with asyncio.timeout(30):  # 2.5 s on an idle machine
        with pytest.raises(CharactersUnavailable, match="MongoDB"):
            await store.find("acme", "nabi")
    await store.close()
