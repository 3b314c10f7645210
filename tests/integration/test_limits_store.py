"""One suite for every store of limits: SQLite, MongoDB by motor and by PyMongo's asyncio client, Redis."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from chatbot.adapters.limits.mongo import MongoAccounts
from chatbot.adapters.limits.redis import RedisAccounts
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.core.limits.asks import Ask, Granted, Refused
from chatbot.core.limits.ledger import Ledger
from chatbot.core.limits.windows import Calendar
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import IDLE_SECONDS, AccountStore, Limits, Policy, State
from parts.limit_racer import LIMITS, NOON, PROMPT_BOUND, PROMPT_TOKENS, everybody, open_accounts
from parts.mongo_server import running_server, scratch_database
from parts.redis_server import empty_accounts, redis_url, running_redis
from parts.store_place import KINDS, StorePlace

RACERS = 4
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis of the file's own."""
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=(*KINDS, "redis"))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """Where limits are counted."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "deep" / "store.sqlite3"))
    elif request.param == "redis":
        url = request.getfixturevalue("redis")
        with empty_accounts(url):
            yield StorePlace("redis", url)
    else:
        url = request.getfixturevalue("url")
        with scratch_database(url) as database:
            yield StorePlace(request.param, url, database)


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[AccountStore]:
    store = open_accounts(place)
    yield store
    await store.close()


def plus(amount: int) -> Callable[[State | None], tuple[State | None, int]]:
    def change(state: State | None) -> tuple[State | None, int]:
        number = (state or {"number": 0})["number"] + amount
        return {"number": number, "text": "한 '\"\\ \x00"}, number

    return change


async def test_an_account_is_what_was_last_made_of_it(store: AccountStore) -> None:
    assert await store.update("a", lambda state: (None, state)) is None
    assert [await store.update("a", plus(1)) for _ in range(3)] == [1, 2, 3]
    assert await store.update("a", lambda state: (None, state)) == {"number": 3, "text": "한 '\"\\ \x00"}
    assert await store.update("b", lambda state: (None, state)) is None


@pytest.mark.parametrize("name", ["", "' OR 1=1 --", '{"$gt": ""}', "$where", "a.b", "x" * 500, "사용자"])
async def test_hostile_names_are_only_text(store: AccountStore, name: str) -> None:
    assert await store.update(name, plus(2)) == 2
    assert await store.update("other", lambda state: (None, state)) is None


async def test_changes_at_once_are_all_made_and_each_sees_the_one_before(place: StorePlace) -> None:
    stores = [open_accounts(place) for _ in range(3)]

    results = await asyncio.gather(*(stores[number % 3].update("a", plus(1)) for number in range(150)))
    await asyncio.gather(*(store.close() for store in stores))

    assert sorted(results) == list(range(1, 151))


async def test_accounts_that_nobody_used_for_two_months_are_removed(place: StorePlace) -> None:
    if place.kind == "sqlite":
        store = SqliteAccounts(Path(place.where))
        await store.update("old", plus(1))
        await store.update("new", plus(1))
        with contextlib.closing(sqlite3.connect(place.where)) as file, file:
            file.execute("UPDATE accounts SET state = json_set(state, '$.changed_at', 1) WHERE id = 'old'")
            file.execute("INSERT INTO accounts VALUES ('spoilt', 'nonsense')")
        store._until_sweep = 0
        told = [await store.update(name, lambda state: (None, state)) for name in ("old", "new")]
        await store.close()
        assert told == [None, {"number": 1, "text": "한 '\"\\ \x00"}]
        return
    if place.kind == "redis":
        kept = open_accounts(place)
        assert isinstance(kept, RedisAccounts)
        lives = []
        for _ in range(2):  # a change begins its life anew
            await kept.update("a", plus(1))
            lives.append(await kept._server.client.ttl("chatbot:limits:a"))
            await kept._server.client.expire("chatbot:limits:a", 5)
        await kept.close()
        assert all(IDLE_SECONDS - 300 < seconds <= IDLE_SECONDS for seconds in lives)
        return
    mongo = open_accounts(place)
    assert isinstance(mongo, MongoAccounts)
    await mongo.update("a", plus(1))
    index = (await mongo._accounts.index_information())["idle"]
    row = await mongo._accounts.find_one({"_id": "a"})
    await mongo.close()
    assert (index["key"], index["expireAfterSeconds"]) == ([("changed_at", 1)], IDLE_SECONDS)
    assert row is not None and isinstance(row["changed_at"], datetime)


async def test_replicas_that_take_turns_see_what_the_other_wrote(place: StorePlace) -> None:
    one, other = open_accounts(place), open_accounts(place)

    told = [await store.update("a", plus(1)) for _ in range(5) for store in (one, one, other)]
    read = [await store.update("a", lambda state: (None, state["number"])) for store in (one, other)]  # type: ignore[index]
    await asyncio.gather(one.close(), other.close())

    assert told == list(range(1, 16)) and read == [15, 15]


async def test_a_change_that_fails_changes_nothing_and_hurts_nobody_else(store: AccountStore) -> None:
    def broken(state: State | None) -> tuple[State | None, None]:
        raise ZeroDivisionError

    await store.update("a", plus(1))
    with pytest.raises(ZeroDivisionError):
        await store.update("a", broken)

    assert await store.update("a", plus(1)) == 2


async def test_whoever_leaves_takes_nobody_with_him(store: AccountStore) -> None:
    waiting = [asyncio.create_task(store.update("a", plus(1))) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()

    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(result, int) for result in results[1::2])
    assert await store.update("a", plus(0)) <= 20


async def raced(place: StorePlace, each: int, *more: str) -> tuple[list[int | None], list[list[Any]]]:
    """Processes that begin together: their exit codes, and what each of them says that it got."""
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "parts.limit_racer", place.to_text(), str(each), *more),
            cwd=TESTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(RACERS)
    ]
    told = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    return [racer.returncode for racer in racers], [json.loads(out) for out, _ in told]


async def test_four_processes_that_race_never_pass_a_strict_limit(
    place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    each = scale(100, 300)
    codes, got = await raced(place, each)

    reserved = sum(tokens + PROMPT_TOKENS for tokens in sum(got, []))
    assert codes == [0] * RACERS
    ledger = Ledger(open_accounts(place), Calendar(), now=lambda: NOON)
    quota = await ledger.quota(LIMITS)
    used = {one.policy: one.used for one in quota.standings}[Policy.TOKENS_DAY]
    await ledger.close()
    assert used == reserved <= 5000, "each knows what it got, and nobody got the same twice"
    assert 5000 - reserved < PROMPT_TOKENS + 16, "and what there is is given out"
    figures(place=place.kind, asked=RACERS * each, granted=sum(map(len, got)), tokens=reserved, of=5000)


async def test_four_processes_that_race_pass_no_limit_of_user_key_or_tenant(
    place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Half of the requests settle less than they reserved, with money, while the others still race."""
    each = scale(100, 300)
    codes, told = await raced(place, each, "together")
    got = sum(told, [])

    store = open_accounts(place)
    ledger = Ledger(store, Calendar(), now=lambda: NOON)
    rows = {one.limits.account: one for user in range(5) for key in range(3) for one in everybody(user, key)}
    for account, one in rows.items():
        subject, number = account.split("/")
        owners = [({"user": user, "key": key}.get(subject, 0), tokens) for user, key, tokens in got]
        of = [tokens for owner, tokens in owners if owner == int(number)]
        used = {one.policy: one.used for one in (await ledger.quota(one.limits)).standings}
        most = {policy: one.limits.of(policy) or 0 for policy in used}
        assert used[Policy.TOKENS_DAY] == sum(of) + PROMPT_BOUND * len(of) <= most[Policy.TOKENS_DAY], account
        if Policy.USD_DAY in used:
            assert used[Policy.USD_DAY] == 2 * sum(of) + PROMPT_BOUND * len(of) <= most[Policy.USD_DAY], account
    await store.close()
    assert codes == [0] * RACERS and 0 < len(got) < RACERS * each
    figures(place=place.kind, asked=RACERS * each, granted=len(got), accounts=len(rows))


async def test_cost_of_an_answers_limits(place: StorePlace, figures: Callable[..., None]) -> None:
    """Reserve and settle, on a key that one replica uses alone, and on one that two use in turn."""
    store, other = open_accounts(place), open_accounts(place)
    took: dict[str, list[float]] = {"alone": [], "in_turn": []}
    for number in range(200):
        for name, keepers in (("alone", (store, store)), ("in_turn", (store, other))):
            first, then = (Ledger(keeper, Calendar(), now=lambda: NOON) for keeper in keepers)
            limits = replace(LIMITS, account=name)
            began = time.perf_counter()
            outcome, _ = await first.reserve(limits, Ask(str(number), 5, 5, NOON + 600))
            await then.settle(limits, str(number), 7)
            took[name].append((time.perf_counter() - began) * 1000)
            assert outcome == Granted(5)
    for name in took:
        quota = await Ledger(store, Calendar(), now=lambda: NOON).quota(replace(LIMITS, account=name))
        assert {one.policy: one.used for one in quota.standings}[Policy.TOKENS_DAY] == 200 * 7
    await asyncio.gather(store.close(), other.close())

    middle = {name: round(sorted(times)[100], 2) for name, times in took.items()}
    figures(place=place.kind, both_ms_p50=middle["alone"], in_turn_ms_p50=middle["in_turn"])


async def test_a_process_killed_between_reserve_and_settle_leaks_nothing(place: StorePlace) -> None:
    racer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, place.to_text()), cwd=TESTS, stdout=asyncio.subprocess.PIPE
    )
    await racer.communicate()
    assert racer.returncode == -signal.SIGKILL

    def at(seconds: float) -> Ledger:
        return Ledger(store, Calendar(), now=lambda: NOON + seconds)

    store = open_accounts(place)
    ask = Ask("next", 100, 100, NOON + 900)
    assert isinstance((await at(599).reserve(LIMITS, ask))[0], Refused)
    assert (await at(601).reserve(LIMITS, ask))[0] == Granted(100)
    await store.close()


KILLED = f"""
import asyncio, os, sys
from chatbot.core.limits.asks import Ask
from chatbot.core.limits.ledger import Ledger
from chatbot.core.limits.windows import Calendar
from parts.limit_racer import LIMITS, NOON, open_accounts
from parts.store_place import StorePlace

async def main():
    ledger = Ledger(open_accounts(StorePlace.from_text(sys.argv[1])), Calendar(), now=lambda: NOON)
    await ledger.reserve(LIMITS, Ask("held", 1000, 4000, NOON + 600))
    os.kill(os.getpid(), {int(signal.SIGKILL)})

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["motor", "pymongo", "redis"])
async def test_a_server_that_hangs_is_told_and_comes_back(driver: str, tmp_path: Path) -> None:
    with running_redis(tmp_path) if driver == "redis" else running_server() as server:
        store = open_accounts(StorePlace(driver, server.url, "chatbot"))
        assert await store.update("a", plus(1)) == 1
        server.suspend()
        try:
            with pytest.raises(StoreUnavailable, match="Redis" if driver == "redis" else "MongoDB"):
                async with asyncio.timeout(30):
                    await store.update("a", plus(1))
        finally:
            server.resume()
        assert await store.update("a", plus(0)) in (1, 2)  # what was sent before it hung may have been done
        await store.close()


async def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "limits").write_bytes(b"not a database, for certain" * 99)
    store = open_accounts(StorePlace("sqlite", str(tmp_path / "limits")))

    with pytest.raises(StoreUnavailable, match="CHATBOT_LIMITS_SQLITE_PATH"):
        await store.update("a", plus(1))
    await store.close()
    assert (tmp_path / "limits").read_bytes().startswith(b"not a database")


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    async def make() -> None:
        store = open_accounts(StorePlace("sqlite", str(tmp_path / "limits")))
        await store.update("a", plus(1))
        await store.close()

    asyncio.run(make())
    assert os.stat(tmp_path / "limits").st_mode & 0o077 == 0


def test_limits_of_the_race_are_those_of_a_key() -> None:
    assert Limits.parse(LIMITS.fields()) == LIMITS
