"""Redis that goes away, hangs, is full, may evict, refuses or forgets: it is told of, and used again."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chatbot.adapters.redis.conversations import RedisConversations
from chatbot.domain.chat import Conversation
from chatbot.domain.errors import ConversationErased, StoreUnavailable
from chatbot.server.settings.history import HistorySettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import open_store
from parts.http_service import ServiceOptions, running_service
from parts.people import person
from parts.redis_history import KEY, RIGHTS, Openings, complaints, every_call, kept, recovered, turn
from parts.redis_server import RedisServer, running_redis
from redis import Redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def raw(server: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def opened(server: RedisServer) -> AsyncIterator[Openings]:
    opened = Openings(server.url)
    yield opened
    await opened.close()


@pytest.fixture
def store(opened: Openings) -> RedisConversations:
    return opened.store()


async def test_a_server_that_stops_is_told_of_and_used_again(server: RedisServer, store: RedisConversations) -> None:
    await store.append(KEY, turn(), epoch=0)
    server.stop()

    said = await complaints(store)
    server.start()
    await recovered(store)
    again = await store.append(KEY, turn(), epoch=0)

    assert any("CHATBOT_HISTORY_REDIS_URL_FILE" in text for text in said)
    assert again.turn_id == "CANARY"


async def test_a_turn_whose_answer_was_lost_is_stored_once(server: RedisServer, store: RedisConversations) -> None:
    one = await store.append(KEY, turn("before"), epoch=0)
    server.suspend()
    try:
        said = await complaints(store)
        with pytest.raises(StoreUnavailable):
            await store.append(replace(KEY, db_id="lost"), one, epoch=0)
    finally:
        server.resume()  # now it reads what was sent
    await recovered(store)
    lost = replace(KEY, db_id="lost")

    assert await store.append(lost, one, epoch=0) == one
    assert (await store.load(lost)).turns == (one,)
    assert all("no answer" in text or "no connection" in text for text in said)


async def test_calls_that_were_given_up_never_answer_later_ones(server: RedisServer, store: RedisConversations) -> None:
    keys = [replace(KEY, db_id=f"chat{number}") for number in range(20)]
    for number, key in enumerate(keys):
        await store.append(key, turn(f"t{number}"), epoch=0)
    server.suspend()
    hanging = [asyncio.create_task(store.load(key)) for key in keys]
    await asyncio.sleep(0.1)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    server.resume()
    await recovered(store)

    found = await asyncio.gather(*(store.load(key) for key in keys))

    assert [one.turns[0].turn_id for one in found] == [f"t{number}" for number in range(20)]


async def test_an_append_only_file_brings_turns_and_erasures_over_a_restart(tmp_path: Path) -> None:
    erased = replace(KEY, db_id="erased")
    with running_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        opened = Openings(server.url)
        store = opened.store()
        kept_turn = await store.append(KEY, turn(), epoch=0)
        await store.erase(erased)
        server.stop()
        server.start()
        await recovered(store)

        assert (await store.load(KEY)).turns == (kept_turn,)
        with pytest.raises(ConversationErased):
            await store.append(erased, turn(), epoch=0)
        await opened.close()


async def test_a_server_that_may_evict_is_refused_until_it_is_mended(
    server: RedisServer, store: RedisConversations, raw: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    raw.config_set("maxmemory", "50mb")
    for policy in ("allkeys-lru", "volatile-ttl"):
        raw.config_set("maxmemory-policy", policy)
        assert all(policy in text and "noeviction" in text for text in await complaints(store))
    assert list(raw.scan_iter("*")) == []
    raw.config_set("maxmemory-policy", "noeviction")

    await store.append(KEY, turn(), epoch=0)
    raw.config_set("maxmemory-policy", "allkeys-random")
    with pytest.raises(StoreUnavailable, match="allkeys-random"):
        await store.ping()

    assert "append-only" in caplog.text
    refusals = [record.args for record in caplog.records if record.levelno == logging.ERROR]
    assert refusals == [("allkeys-lru",), ("volatile-ttl",), ("allkeys-random",)], "each once"


async def test_a_policy_means_nothing_where_memory_has_no_bound(
    server: RedisServer, store: RedisConversations, raw: Redis
) -> None:
    raw.config_set("maxmemory-policy", "allkeys-lru")

    assert await store.append(KEY, turn(), epoch=0)


async def test_a_full_server_refuses_turns_and_keeps_those_it_has(
    opened: Openings, store: RedisConversations, raw: Redis
) -> None:
    before = await store.append(KEY, turn("before"), epoch=0)
    raw.config_set("maxmemory", "1mb")
    with pytest.raises(StoreUnavailable, match="more memory"):
        await store.append(KEY, turn("after"), epoch=0)

    assert await store.load(KEY) == Conversation(KEY, 0, (before,))
    await opened.people().erase(person("CANARY", tenant=""))
    assert "CANARY" not in kept(raw), "who is erased must not wait for memory"


async def test_a_wrong_password_a_replica_and_missing_rights_are_told_apart(
    server: RedisServer, opened: Openings, raw: Redis, tmp_path: Path
) -> None:
    raw.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~chatbot:*", "+get", "+info")
    with running_redis(tmp_path, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        urls = (
            f"redis://:secret@127.0.0.1:{server.port}",
            f"redis://reader:secret@127.0.0.1:{server.port}",
            replica.url,
        )
        stores = [opened.store(url) for url in urls]
        said = []
        for store in stores:
            with pytest.raises(StoreUnavailable) as told:
                await store.append(KEY, turn(), epoch=0)
            said.append(str(told.value))

    assert "wrong user or password" in said[0]
    assert "docs/operations.md" in said[1]
    assert "fail-over" in said[2]
    assert "secret" not in str(said)


async def test_a_server_that_does_not_tell_its_policy_is_used_with_a_warning(
    server: RedisServer, opened: Openings, raw: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    rights = [right for right in RIGHTS if right != "+info"]
    raw.execute_command("ACL", "SETUSER", "history", "on", ">secret", *rights)
    store = opened.store(f"redis://history:secret@127.0.0.1:{server.port}/0")

    assert await store.append(KEY, turn(), epoch=0)

    assert "noeviction" in caplog.text


@pytest.mark.parametrize(("refuses", "status", "saved"), [(True, 503, None), (False, 200, "false")])
async def test_a_service_says_what_it_could_not_keep_while_its_redis_is_away(
    server: RedisServer, tmp_path: Path, refuses: bool, status: int, saved: str | None
) -> None:
    file = tmp_path / "url"
    file.write_text(server.url + "\n")
    store = open_store(Settings(history=HistorySettings(store="redis", redis_url_file=file)))
    assert isinstance(store, RedisConversations)
    asked = {"input_data": "안녕하세요!", "user_id": "u", "db_id": "d"}
    async with running_service(tmp_path, ServiceOptions(store=store, refuses_when_down=refuses)) as service:
        async with service.client() as client:
            before = await client.post("/Llama", json=asked)
            server.stop()
            away = await client.post("/Llama", json=asked)
            server.start()
            deadline = time.monotonic() + 120
            while (back := await client.post("/Llama", json=asked)).headers.get("x-history-saved") != "true":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
    await store.close()

    assert before.headers["x-history-saved"] == "true"
    assert (away.status_code, away.headers.get("x-history-saved")) == (status, saved)
    assert back.status_code == 200


async def test_nothing_that_a_user_wrote_is_logged(
    server: RedisServer, store: RedisConversations, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for call in every_call(store):
        await call()
    server.stop()
    await complaints(store)

    assert "CANARY" not in caplog.text
