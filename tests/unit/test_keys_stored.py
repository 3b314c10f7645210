"""Keys of a store as a replica knows them: no store call for a known key, others' changes at the next look, and what
holds while the store is away."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chatbot.core.accounts import stored
from chatbot.core.accounts.issue import DAY_SECONDS, Issuer, NoSuchKey, Wish
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.key_text import KeyText, mint
from chatbot.core.accounts.peppers import PepperError, Peppers
from chatbot.core.accounts.stored import StoredKeys
from chatbot.domain.access import KeyRecord
from chatbot.domain.errors import KeysUnavailable, Unauthorized
from parts.memory_keys import MemoryKeys

START = 1_800_000_000.0
OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)


def peppers(*lines: str) -> Peppers:
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("\n".join(lines))
        file.flush()
        return Peppers.load(Path(file.name))


class Hands:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def unix(self) -> float:
        return START + self.seconds


class World:
    """A store, and replicas of a service."""

    def __init__(self) -> None:
        self.store = MemoryKeys()
        self.clock = Hands()
        self.peppers = peppers(NEW)
        self.issuer = Issuer(self.store, self.peppers, now=self.clock.unix)
        self.opened: list[StoredKeys] = []

    def replica(self, own: Peppers | None = None) -> StoredKeys:
        replica = StoredKeys(self.store, own or self.peppers, clock=self.clock.monotonic, now=self.clock.unix)
        self.opened.append(replica)
        return replica

    async def key(self, days: float = 90) -> KeyText:
        return (await self.issuer.create(Wish("team-a", self.clock.unix() + days * DAY_SECONDS)))[1]

    async def is_in(self, replica: StoredKeys, key: KeyText) -> bool:
        try:
            return (await KeyCheck(stored=replica, now=self.clock.unix).principal(key.text)).key_id == key.id
        except Unauthorized:
            return False


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    for replica in world.opened:
        await replica.close()


async def test_a_key_opens_for_its_tenant_and_a_wrong_secret_does_not(world: World) -> None:
    key, other = await world.key(), mint()
    replica = world.replica()
    check = KeyCheck(stored=replica, now=world.clock.unix)

    principal = await check.principal(key.text)

    assert (principal.tenant, principal.key_id) == ("team-a", key.id)
    for wrong in (other, KeyText(key.id, other.text)):
        with pytest.raises(Unauthorized):
            assert await replica.find(wrong) is None
            raise Unauthorized
    with pytest.raises(Unauthorized):
        await check.principal(other.text)


async def test_a_known_key_never_asks_the_store(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    await replica.find(key)
    before = dict(world.store.calls)

    for _ in range(100):
        assert await world.is_in(replica, key)

    assert world.store.calls == before


async def test_typing_errors_die_without_the_store(world: World) -> None:
    check = KeyCheck(stored=world.replica(), now=world.clock.unix)
    key = mint().text

    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), "x", key[:20], "cbk_" + "0" * 51, "a" * 5000):
        with pytest.raises(Unauthorized):
            await check.principal(wrong)

    assert world.store.calls == {}


async def test_a_revoked_key_is_refused_by_the_other_replica_at_its_next_look(world: World) -> None:
    key = await world.key()
    one, other = world.replica(), world.replica()
    assert await world.is_in(one, key) and await world.is_in(other, key)
    await other.look()

    await world.issuer.revoke(key.id)
    world.clock.seconds += stored.LOOK_SECONDS
    await other.look()

    assert not await world.is_in(other, key)
    assert stored.LOOK_SECONDS + stored.CALL_SECONDS < 10.0  # what is promised


async def test_a_key_that_is_read_while_it_is_revoked_is_read_again(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    await replica.look()
    world.store.may_answer.clear()
    reading = asyncio.create_task(replica.find(key))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.store.calls["find"] == 1

    world.store.records[key.id] = replace(world.store.records[key.id], is_disabled=True)
    world.store.number += 1
    await replica.look()
    world.store.may_answer.set()
    record = await reading

    assert record is not None and record.is_disabled
    assert world.store.calls["find"] == 2


async def test_a_key_revoked_without_a_word_is_found_by_the_regular_reading(world: World) -> None:
    """A process that died between the change and the number, or somebody who edited the database."""
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    await replica.look()

    world.store.records[key.id] = replace(world.store.records[key.id], is_disabled=True)
    world.clock.seconds += stored.READ_AGAIN_SECONDS
    await replica.look()

    assert not await world.is_in(replica, key)


async def test_whatever_goes_wrong_at_a_look_the_next_one_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stored, "LOOK_SECONDS", 0.001)
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    version, seen = world.store.version, asyncio.Event()

    async def broken() -> int:
        seen.set()
        raise RuntimeError("CANARY")

    world.store.version = broken  # type: ignore[method-assign]
    looking = asyncio.create_task(replica.follow())
    await seen.wait()
    await world.issuer.revoke(key.id)
    world.store.version = version  # type: ignore[method-assign]
    async with asyncio.timeout(60):
        while await world.is_in(replica, key):  # noqa: ASYNC110 - nobody tells when a key is refused
            await asyncio.sleep(0.001)
    looking.cancel()

    assert "could not be looked at" in caplog.text and "CANARY" not in caplog.text


@pytest.mark.parametrize("days", [0.5])
async def test_a_key_begins_and_ends_at_its_moments(world: World, days: float) -> None:
    later = world.clock.unix() + 3600
    _, key = await world.issuer.create(Wish("a", later + days * DAY_SECONDS, not_before=later))
    replica = world.replica()

    seen = []
    for moment in (0, 3600 - 61, 3600 - 59, 3600 + days * DAY_SECONDS - 1, 3600 + days * DAY_SECONDS):
        world.clock.seconds = moment
        await replica.look()
        seen.append(await world.is_in(replica, key))

    assert seen == [False, False, True, True, False]


async def test_while_the_store_is_away_known_keys_hold_and_unknown_ones_are_not_judged(world: World) -> None:
    known, unknown = await world.key(), await world.key()
    replica = world.replica()
    assert await world.is_in(replica, known)
    world.store.is_away = True

    for _ in range(50):
        world.clock.seconds += stored.LOOK_SECONDS
        await replica.look()
    assert await world.is_in(replica, known)
    for stranger in (unknown, mint()):
        with pytest.raises(KeysUnavailable):
            await replica.find(stranger)

    world.clock.seconds = stored.TRUST_SECONDS + 1
    with pytest.raises(KeysUnavailable):
        await replica.find(known)

    world.store.is_away = False
    await replica.look()
    assert await world.is_in(replica, known) and await world.is_in(replica, unknown)


async def test_what_was_revoked_while_the_store_was_away_is_refused_when_it_is_back(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    await replica.look()
    world.store.is_away = True
    await replica.look()
    world.store.is_away = False

    await world.issuer.revoke(key.id)
    await replica.look()

    assert not await world.is_in(replica, key)


async def test_a_store_that_hangs_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CALL_SECONDS", 0.02)
    key = await world.key()
    replica = world.replica()
    world.store.may_answer.clear()

    with pytest.raises(KeysUnavailable):
        await replica.find(key)
    world.store.may_answer.set()

    assert await world.is_in(replica, key)


async def test_invented_ids_cost_bounded_memory_and_one_look_up_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MAX_KNOWN", 100)
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    strangers = [mint() for _ in range(300)]

    for stranger in strangers:
        assert await replica.find(stranger) is None
    finds = world.store.calls["find"]
    assert await replica.find(strangers[-1]) is None

    assert world.store.calls["find"] == finds == 301
    assert len(replica._unknown) == 100 and len(replica._known) == 1
    world.clock.seconds += stored.UNKNOWN_SECONDS
    assert await replica.find(strangers[-1]) is None
    assert world.store.calls["find"] == finds + 1


async def test_a_flood_of_invented_ids_leaves_known_keys_alone(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    world.store.may_answer.clear()
    flood = [asyncio.create_task(replica.find(mint())) for _ in range(500)]
    await asyncio.sleep(0.01)

    assert await world.is_in(replica, key)
    world.store.may_answer.set()
    results = await asyncio.gather(*flood, return_exceptions=True)

    assert sum(isinstance(one, KeysUnavailable) for one in results) == 500 - stored.MAX_LOOKUPS
    assert results.count(None) == stored.MAX_LOOKUPS


async def test_many_who_come_at_once_with_one_key_cost_one_look_up(world: World) -> None:
    key = await world.key()
    replica = world.replica()

    found = await asyncio.gather(*(replica.find(key) for _ in range(200)))

    assert {record.id for record in found if record} == {key.id} and None not in found
    assert world.store.calls["find"] == 1


async def test_who_leaves_while_his_key_is_looked_up_takes_nobody_with_him(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    world.store.may_answer.clear()
    leaving, staying = (asyncio.create_task(replica.find(key)) for _ in range(2))
    await asyncio.sleep(0.01)

    leaving.cancel()
    world.store.may_answer.set()

    assert (await staying) is not None
    assert leaving.cancelled() or leaving.cancelling()


async def test_an_unknown_id_is_compared_like_a_known_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await world.key()
    replica = world.replica()
    compared: list[tuple[int, int]] = []
    real = Peppers.matches

    def counted(self: Peppers, record: KeyRecord, text: str) -> bool:
        compared.append((len(record.digest), len(text)))
        return real(self, record, text)

    monkeypatch.setattr(Peppers, "matches", counted)
    for asked in (key, mint(), KeyText(key.id, mint().text)):
        await replica.find(asked)
        await replica.find(asked)

    assert compared == [(32, 55)] * 6


async def test_a_rotation_leaves_no_moment_without_a_key_and_the_old_one_ends(world: World) -> None:
    old = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, old)

    _, new = await world.issuer.rotate(old.id, overlap_seconds=100, life_seconds=1000)
    await replica.look()
    both = [await world.is_in(replica, key) for key in (old, new)]
    world.clock.seconds += 100
    after = [await world.is_in(replica, key) for key in (old, new)]

    assert (both, after) == ([True, True], [False, True])
    assert (await replica.find(new)).rights == world.store.records[old.id].rights  # type: ignore[union-attr]
    with pytest.raises(NoSuchKey):
        await world.issuer.rotate(old.id, overlap_seconds=1, life_seconds=1)


async def test_an_overlap_never_lengthens_a_life(world: World) -> None:
    _, key = await world.issuer.create(Wish("a", world.clock.unix() + 50))

    await world.issuer.rotate(key.id, overlap_seconds=1000, life_seconds=1000)

    assert world.store.records[key.id].expires_at == world.clock.unix() + 50


async def test_the_last_use_is_written_once_a_minute(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    for _ in range(24):
        assert await world.is_in(replica, key)
        world.clock.seconds += stored.LOOK_SECONDS
        await replica.look()

    assert world.store.calls["mark_used"] == 2
    assert world.store.records[key.id].last_used_at == START + 115


async def test_last_uses_wait_for_a_store_that_is_away(world: World) -> None:
    key = await world.key()
    replica = world.replica()
    assert await world.is_in(replica, key)
    world.clock.seconds += stored.NOTE_SECONDS
    world.store.is_away = True
    await replica.look()
    world.store.is_away = False

    await replica.look()

    assert world.store.records[key.id].last_used_at == START


async def test_digests_move_to_the_new_pepper_as_keys_are_used(world: World) -> None:
    before = Issuer(world.store, peppers(OLD), now=world.clock.unix)
    (_, used), (_, idle) = [await before.create(Wish("a", world.clock.unix() + 1000)) for _ in range(2)]
    both = world.replica(peppers(NEW, OLD))
    assert await world.is_in(both, used)
    world.clock.seconds += stored.NOTE_SECONDS
    await both.look()

    alone = world.replica(peppers(NEW))

    assert await world.is_in(alone, used)
    assert not await world.is_in(alone, idle)
    assert await world.is_in(both, used) and await world.is_in(both, idle)


@pytest.mark.parametrize("lines", [[], ["short"], ["a" * 31], ["a" * 32, "b" * 31], ["a" * 32, "b" * 32, "c" * 32]])
def test_a_pepper_that_is_none_stops_the_start_and_is_not_repeated(lines: list[str]) -> None:
    with pytest.raises(PepperError) as wrong:
        peppers(*lines)

    assert "CHATBOT_AUTH_PEPPER_FILE" in str(wrong.value)
    assert not any(line in str(wrong.value) for line in lines)


@pytest.mark.scale
async def test_cost_of_a_check(world: World, scale: Callable[[int, int], int], figures: Callable[..., None]) -> None:
    keys = [await world.key() for _ in range(scale(100, 1000))]
    check = KeyCheck(stored=world.replica(), now=world.clock.unix)
    for key in keys:
        await check.principal(key.text)
    seconds = []

    for number in range(scale(2000, 200_000)):
        began = time.perf_counter()
        await check.principal(keys[number % len(keys)].text)
        seconds.append(time.perf_counter() - began)

    seconds.sort()
    figures(
        check_us_p50=round(seconds[len(seconds) // 2] * 1e6, 1),
        p99=round(seconds[int(len(seconds) * 0.99)] * 1e6, 1),
        keys=len(keys),
        checks=len(seconds),
    )
    assert world.store.calls["find"] == len(keys)
