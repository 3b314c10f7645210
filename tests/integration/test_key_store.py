"""One suite for every store of keys: SQLite, MongoDB by motor, MongoDB by PyMongo's asyncio client."""

import asyncio
import contextlib
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chatbot.adapters.keys.mongo import MongoKeys
from chatbot.adapters.keys.sqlite import SqliteKeys
from chatbot.core.accounts.issue import Issuer, Wish
from chatbot.core.accounts.key_text import mint
from chatbot.core.accounts.peppers import Peppers
from chatbot.core.accounts.stored import CALL_SECONDS, StoredKeys
from chatbot.domain.access import KeyRecord, Rights, Scope
from chatbot.domain.errors import KeysUnavailable, StoreUnavailable
from chatbot.domain.ports import KeyStore
from parts.mongo_server import running_server, scratch_database
from parts.store_place import KINDS
from pymongo import MongoClient

RIGHTS = Rights.of(
    {
        "scopes": ["chat"],
        "services": ["office"],
        "backends": ["llama"],
        "networks": ["10.0.0.0/8", "fd00::/8"],
        "user": "사용자 1",
    }
)
RECORD = KeyRecord(
    "AAAAAAAAAAAA", "team-a", b"\x00" * 31 + b"\xff", "p", "라벨", RIGHTS, 1.5, 2.5, 3.5, False, None, ""
)
Opening = Callable[[], KeyStore]


@pytest.fixture(params=KINDS)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    if request.param == "sqlite":
        yield lambda: SqliteKeys(tmp_path / "deep" / "keys.sqlite3")
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        yield lambda: MongoKeys.open(url, database, request.param)


@pytest.fixture
async def store(opening: Opening) -> AsyncIterator[KeyStore]:
    store = opening()
    yield store
    await store.close()


@pytest.fixture
def peppers(tmp_path: Path) -> Peppers:
    (tmp_path / "pepper").write_text(secrets.token_hex(32))
    return Peppers.load(tmp_path / "pepper")


async def test_an_empty_store_has_a_number_and_no_keys(store: KeyStore) -> None:
    assert (await store.version(), await store.find(["AAAAAAAAAAAA"]), await store.listing()) == (0, {}, ())
    await store.mark_used({"AAAAAAAAAAAA": 1.0})
    await store.rewrite({"AAAAAAAAAAAA": ("p", b"d")})
    assert await store.listing() == ()


async def test_a_key_comes_back_as_it_was_kept(store: KeyStore) -> None:
    bare = KeyRecord("BBBBBBBBBBBB", "team-b", b"d")
    await store.add(RECORD)
    await store.add(bare)

    assert await store.find([RECORD.id, bare.id, "CCCCCCCCCCCC"]) == {RECORD.id: RECORD, bare.id: bare}
    assert await store.listing() == (RECORD, bare)
    assert await store.find([]) == {}


async def test_only_end_and_replacement_of_a_key_change_and_the_number_rises(store: KeyStore) -> None:
    await store.add(RECORD)
    numbers = [await store.version()]
    ended = replace(RECORD, expires_at=9.5, is_disabled=True, replaced_by="BBBBBBBBBBBB")

    await store.change(replace(ended, tenant="other", digest=b"other", rights=Rights(), label="other"))
    numbers.append(await store.version())
    await store.mark_used({RECORD.id: 7.0})
    await store.mark_used({RECORD.id: 6.0})
    await store.rewrite({RECORD.id: ("p2", b"d2")})

    assert numbers == [1, 2] and await store.version() == 2
    assert (await store.find([RECORD.id]))[RECORD.id] == replace(ended, last_used_at=7.0, pepper="p2", digest=b"d2")


async def test_a_key_is_neither_kept_twice_nor_changed_where_there_is_none(store: KeyStore) -> None:
    await store.add(RECORD)
    for call in (store.add(replace(RECORD, tenant="other")), store.change(replace(RECORD, id="BBBBBBBBBBBB"))):
        with pytest.raises(KeyError):
            await call

    assert await store.listing() == (RECORD,)


@pytest.mark.parametrize(
    "text",
    ["", "' OR 1=1 --", '"; DROP TABLE keys; --', '{"$gt": ""}', "$where", "%", "a\x00b", "\u202e", "x" * 100_000],
)
async def test_hostile_ids_and_labels_are_only_text(store: KeyStore, text: str) -> None:
    await store.add(replace(RECORD, label=text, tenant=text))

    assert await store.find([text]) == {}
    with pytest.raises(KeyError):
        await store.change(replace(RECORD, id=text))
    assert (await store.find([RECORD.id]))[RECORD.id].label == text


async def test_simultaneous_changes_of_several_processes_are_all_counted(opening: Opening) -> None:
    stores = [opening() for _ in range(3)]
    records = [replace(RECORD, id=mint().id) for _ in range(30)]

    await asyncio.gather(*(stores[number % 3].add(record) for number, record in enumerate(records)))
    await asyncio.gather(*(stores[number % 3].change(record) for number, record in enumerate(records)))

    assert await stores[0].version() == 60
    assert len(await stores[1].listing()) == 30
    await asyncio.gather(*(store.close() for store in stores))


async def test_revoked_on_one_replica_refused_on_the_other(
    opening: Opening, peppers: Peppers, figures: Callable[..., None]
) -> None:
    """Real stores and the real look every few seconds."""
    one, other, commands = opening(), opening(), opening()
    replicas = [StoredKeys(store, peppers) for store in (one, other)]
    looking = [asyncio.create_task(replica.follow()) for replica in replicas]
    issuer = Issuer(commands, peppers)
    _, key = await issuer.create(Wish("team-a", time.time() + 1000))
    for replica in replicas:
        record = await replica.find(key)
        assert record is not None and record.is_valid_at(time.time())

    await issuer.revoke(key.id)
    revoked = time.monotonic()
    refused = [await refusal(replica, key) - revoked for replica in replicas]

    figures(seconds_to_refusal=[round(seconds, 2) for seconds in refused])
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    await asyncio.gather(*(replica.close() for replica in replicas), commands.close())


async def refusal(replica: StoredKeys, key: object) -> float:
    """When the replica knows that a key is revoked; a minute is far more than the ten seconds that are promised."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        record = await replica.find(key)  # type: ignore[arg-type]
        if record is None or not record.is_valid_at(time.time()):
            return time.monotonic()
        await asyncio.sleep(0.05)
    raise AssertionError("still valid after a minute")


async def test_the_store_holds_no_key(opening: Opening, peppers: Peppers, tmp_path: Path) -> None:
    store = opening()
    keys = [(await Issuer(store, peppers).create(Wish("a", time.time() + 9)))[1] for _ in range(20)]
    listed = repr(await store.listing())
    await store.close()

    files = (
        b"".join(file.read_bytes() for file in (tmp_path / "deep").glob("*")) if (tmp_path / "deep").exists() else b""
    )
    assert all(key.text not in listed and key.text[17:].encode() not in files for key in keys)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_server_that_hangs_is_told_in_time_and_known_keys_hold(peppers: Peppers, driver: str) -> None:
    with running_server() as server:
        store = MongoKeys.open(server.url, "chatbot", driver)  # type: ignore[arg-type]
        replica = StoredKeys(store, peppers)
        _, key = await Issuer(store, peppers).create(Wish("a", time.time() + 1000))
        assert await replica.find(key) is not None
        server.suspend()
        try:
            with pytest.raises(KeysUnavailable):
                async with asyncio.timeout(10 * CALL_SECONDS):  # it says so; a busy machine may say it late
                    await replica.find(mint())
            await replica.look()
            assert await replica.find(key) is not None
            with pytest.raises(StoreUnavailable) as told:
                await store.listing()
            assert "MongoDB" in str(told.value)
        finally:
            server.resume()
        await replica.look()
        assert await replica.find(key) is not None
        await replica.close()


async def test_a_document_that_is_no_key_locks_nobody_out(url: str, peppers: Peppers) -> None:
    with scratch_database(url) as database, MongoClient(url) as client:
        store = MongoKeys.open(url, database, "pymongo")
        _, key = await Issuer(store, peppers).create(Wish("a", time.time() + 1000))
        client[database]["keys"].insert_one({"_id": "ZZZZZZZZZZZZ", "tenant": 7})

        assert set(await store.find([key.id, "ZZZZZZZZZZZZ"])) == {key.id}
        assert [record.id for record in await store.listing()] == [key.id]
        await store.close()


async def test_a_row_that_is_no_key_locks_nobody_out(tmp_path: Path, peppers: Peppers) -> None:
    store = SqliteKeys(tmp_path / "keys")
    (_, key), (_, other) = [await Issuer(store, peppers).create(Wish("a", time.time() + 1000)) for _ in range(2)]
    with contextlib.closing(sqlite3.connect(tmp_path / "keys")) as hand, hand:
        hand.execute("UPDATE keys SET rights = '{' WHERE id = ?", (other.id,))

    assert set(await store.find([key.id, other.id])) == {key.id}
    assert [record.id for record in await store.listing()] == [key.id]
    await store.close()


async def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"not a database, for certain" * 99)
    store = SqliteKeys(tmp_path / "keys")

    with pytest.raises(StoreUnavailable, match="CHATBOT_AUTH_SQLITE_PATH"):
        await store.version()
    await store.close()
    assert (tmp_path / "keys").read_bytes().startswith(b"not a database")


def test_the_closed_set_of_scopes_is_what_is_kept() -> None:
    assert Rights().fields()["scopes"] == sorted(str(scope) for scope in Scope if scope is not Scope.ADMIN)
