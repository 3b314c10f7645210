"""What lies in a real Redis of conversations: its ends, its names, what is a person's, and what is somebody else's."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chatbot.adapters.history_bounds import GRACE, TOMBSTONE, HistoryBounds
from chatbot.adapters.redis.connection import RedisConnection
from chatbot.adapters.redis.conversations import PURPOSE, RedisConversations
from chatbot.adapters.redis.names import Place
from chatbot.adapters.redis.removal import Removal
from chatbot.core.history import History
from chatbot.domain.chat import Caller, ConversationKey, Turn
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.erasure import UserErased
from chatbot.domain.personal.stores import Overdue
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.history import HistorySettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import open_store
from parts.people import person
from parts.redis_history import BOUNDS, KEY, RIGHTS, Openings, every_call, kept, turn
from parts.redis_server import RedisServer, running_redis
from redis import Redis

MINA, NOAH = person("mina@example.org"), person("noah@example.org")


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


async def test_the_rights_that_the_manual_names_are_enough(server: RedisServer, opened: Openings, raw: Redis) -> None:
    manual = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert " ".join(right for right in RIGHTS if right[0] == "+") in " ".join(manual.split())
    raw.execute_command("ACL", "SETUSER", "history", "on", ">secret", *RIGHTS)
    url = f"redis://history:secret@127.0.0.1:{server.port}/0"
    store, people = opened.store(url, HistoryBounds(max_turns=1)), opened.people(url)

    for call in every_call(store):
        await call()
    epoch = (await store.load(KEY)).epoch
    for number in range(3):
        await store.append(KEY, turn(str(number)), epoch=epoch)
    await store.remember(KEY, pins=("a",))
    mina = person("CANARY", tenant="")
    assert (await people.count(mina), len([row async for row in people.export(mina)])) == (1, 2)
    assert await people.oldest() is not None
    assert await people.expire(Overdue(time.time() + 100)) == 1
    await people.erase(mina)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c, k: c.set(k, "mine"),
        lambda c, k: c.hset(k, "mine", "mine"),
        lambda c, k: c.hset(k, mapping={"epoch": "x", "expires_at": "9999999999999", "turns": "1"}),
        lambda c, k: c.hset(k, mapping={"epoch": "0", "expires_at": "9999999999999", "turns": "1", "t:1": "mine"}),
    ],
    ids=["a text", "another hash", "no epoch", "no turn"],
)
async def test_what_is_not_ours_is_told_of_and_left_alone(
    store: RedisConversations, raw: Redis, spoil: Callable[[Redis, str], object]
) -> None:
    key = Place.of(KEY).key
    spoil(raw, key)
    before = raw.type(key)

    with pytest.raises(StoreUnavailable):
        await store.load(KEY)
    assert raw.type(key) == before
    assert await store.append(replace(KEY, db_id="other"), turn(), epoch=0)


async def test_a_conversation_ends_by_itself_and_each_turn_puts_its_end_off(
    store: RedisConversations, raw: Redis
) -> None:
    place = Place.of(KEY)
    whole = (BOUNDS.ttl_seconds + GRACE.total_seconds()) * 1000
    await store.append(KEY, turn("1"), epoch=0)
    for key in (place.key, place.owned):
        assert whole - 60_000 < int(raw.pttl(key)) <= whole
        raw.pexpire(key, 60_000)

    await store.load(KEY)
    await store.remember(KEY, pins=("a",))
    assert int(raw.pttl(place.key)) <= 60_000
    await store.append(KEY, turn("2"), epoch=0)
    assert min(int(raw.pttl(place.key)), int(raw.pttl(place.owned))) > whole - 60_000

    await store.erase(KEY)
    assert int(raw.pttl(place.key)) <= (TOMBSTONE + GRACE).total_seconds() * 1000
    assert int(raw.pttl(place.owned)) > whole - 60_000, "others of its user live longer than a tombstone"


async def test_names_of_what_the_server_dropped_are_swept(
    opened: Openings, store: RedisConversations, raw: Redis
) -> None:
    people = opened.people()
    for number in range(120):
        await store.append(replace(KEY, db_id=f"CANARY{number}"), turn(), epoch=0)
    for number in range(119):  # as their end would have it: the key goes, and its time was before now
        place = Place.of(replace(KEY, db_id=f"CANARY{number}"))
        raw.delete(place.key)
        raw.zadd("chatbot:history:ends", {place.name: 1000 + number})

    assert await people.oldest() is not None

    assert [raw.zcard(key) for key in ("chatbot:history:ends", "chatbot:history:ages")] == [1, 1]
    assert raw.zrange(Place.of(KEY).owned, 0, -1) == ["CANARY119"]
    assert [line.db_id for line in await store.listing("office", KEY.caller, limit=9)] == ["CANARY119"]


async def test_a_listing_passes_over_many_that_were_erased(store: RedisConversations) -> None:
    for number in range(450):
        key = replace(KEY, db_id=f"c{number:03}")
        await (store.append(key, turn(), epoch=0) if number in (3, 210, 449) else store.erase(key))

    assert [line.db_id for line in await store.listing("office", KEY.caller, limit=2)] == ["c003", "c210"]
    assert [line.db_id for line in await store.listing("office", KEY.caller, limit=2, after="c210")] == ["c449"]


async def test_a_turn_that_is_taken_back_leaves_nothing(
    opened: Openings, store: RedisConversations, raw: Redis
) -> None:
    shorter = opened.store(bounds=HistoryBounds(max_turns=2))
    for number in ("1", "2", "3"):
        await store.append(KEY, turn(number), epoch=0)
    await store.retract(KEY, "2")
    await store.retract(KEY, "2")
    assert [one.turn_id for one in (await store.load(KEY)).turns] == ["1", "3"]
    for later in range(4, 8):  # a gap among its places keeps no bound from holding
        await shorter.append(KEY, turn(str(later)), epoch=0)
    assert [one.turn_id for one in (await store.load(KEY)).turns] == ["6", "7"]

    await store.retract(KEY, "6")
    await store.retract(KEY, "7")

    assert kept(raw) == ""


async def test_everything_of_one_user_goes_and_nothing_of_the_other(
    opened: Openings, store: RedisConversations, raw: Redis
) -> None:
    people = opened.people()
    elsewhere = person(MINA.user, tenant="team-b")
    for who in (MINA, NOAH, elsewhere):
        for service in ("office", "character"):
            for number in range(110):
                key = ConversationKey(service, who.caller(), f"{who.user}-{number}")
                await store.append(key, Turn("t", f"{who.user} asks", "a", datetime.now(UTC)), epoch=0)
    await store.erase(ConversationKey("office", MINA.caller(), f"{MINA.user}-1"))  # its tombstone names her, too
    await store.remember(ConversationKey("office", MINA.caller(), f"{MINA.user}-2"), pins=("mina's pin",))

    rows = [row async for row in people.export(MINA)]
    assert sum(row["kind"] == "turn" for row in rows) == 219
    assert [row["pins"] for row in rows if row.get("pins")] == [["mina's pin"]]
    assert {row["question"] for row in rows if row["kind"] == "turn"} == {"mina@example.org asks"}
    assert (await people.count(MINA), people.keeps(MINA)) == (220, "")
    await people.erase(MINA)
    await people.erase(MINA)

    assert [await people.count(who) for who in (MINA, NOAH, elsewhere)] == [0, 220, 220]
    assert '"team-a","office","mina' not in kept(raw) and "mina's pin" not in kept(raw)
    assert raw.zcard("chatbot:history:ends") == raw.zcard("chatbot:history:ages") == 440


async def test_conversations_go_when_they_were_kept_long_enough_tenant_by_tenant(
    server: RedisServer, opened: Openings, raw: Redis
) -> None:
    now = time.time()
    store = opened.store(clock=lambda: datetime.fromtimestamp(now - 1000, UTC))
    people = opened.people()
    other = person(MINA.user, tenant="team-b")
    for number in range(230):
        for who in (MINA, other):
            await store.append(ConversationKey("office", who.caller(), f"c{number}"), turn(), epoch=0)
    fresh = ConversationKey("office", MINA.caller(), "c0")
    await opened.store().append(fresh, turn("new"), epoch=0)

    oldest = await people.oldest()
    assert oldest is not None and abs(oldest - (now - 1000)) < 1
    assert await people.expire(Overdue(now - 2000)) == 0
    assert await people.expire(Overdue(now - 500, tenant="nobody")) == 0
    assert await people.expire(Overdue(now - 500, except_tenants=frozenset({"team-a"}), most=200)) == 200
    assert await people.expire(Overdue(now - 500, except_tenants=frozenset({"team-a"}), most=200)) == 30
    assert (await people.count(MINA), await people.count(other)) == (230, 0)
    assert await people.expire(Overdue(now - 500, tenant="team-a")) == 229
    assert len((await store.load(fresh)).turns) == 2, "it was changed since"
    assert "team-b" not in kept(raw)

    connection = RedisConnection.open(server.url, PURPOSE)  # as it is where the turn came after the search
    assert await Removal(connection).remove([Place.of(fresh)], "old", int((now - 500) * 1000)) == 0
    await connection.close()
    assert await people.count(MINA) == 1


def test_what_is_missing_or_no_url_is_told_by_the_name_of_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("http://:CANARY@host")
    for given in (None, tmp_path / "missing", file):
        with pytest.raises(ValueError, match="CHATBOT_HISTORY_REDIS_URL_FILE") as told:
            open_store(Settings(history=HistorySettings(store="redis", redis_url_file=given)))
        assert "CANARY" not in str(told.value)


class ErasedMeanwhile:
    """A guard that learns of an erasure while a turn is written."""

    def __init__(self) -> None:
        self.asked = 0

    def epoch(self, tenant: str, user: str) -> int | None:
        return 0

    def erased_since(self, tenant: str, user: str, began: float) -> bool:
        return False

    async def check(self, caller: Caller) -> None:
        self.asked += 1
        if self.asked > 1:
            raise UserErased


async def test_a_turn_of_a_user_who_is_erased_meanwhile_leaves_nothing(store: RedisConversations, raw: Redis) -> None:
    meters = Meters(["office"]).of("office")
    history = History("office", store, meters, refuses_when_down=True, guard=ErasedMeanwhile())

    with pytest.raises(UserErased):
        await history.append(await store.load(KEY), turn(), local_only=False)

    assert kept(raw) == ""
