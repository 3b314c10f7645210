"""One suite for every store of use: SQLite, MongoDB by motor, MongoDB by PyMongo's asyncio client."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.usage.rows import Ask, Group, Sums, UsageRow, UsageStore
from parts.store_place import StorePlace
from parts.usage_rows import DAY, NOON, open_usage, row, rows, whole

TESTS = Path(__file__).parents[1]


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[UsageStore]:
    store = open_usage(place)
    yield store
    await store.close()


async def both(store: UsageStore, tenant: str = "team-a") -> Sums:
    """The sums of a tenant, after single requests and days were seen to say the same."""
    by_day = {
        tuple(line.values()): sums for line, sums in await store.report(whole(Group.DAY, Group.KEY, tenant=tenant))
    }
    by_row: dict[tuple[str, ...], Sums] = {}
    for line, sums in await store.report(whole(Group.DAY, Group.KEY, Group.USER, tenant=tenant)):
        group = (line[Group.DAY], line[Group.KEY])
        by_row[group] = by_row.get(group, Sums()) + sums
    assert by_day == by_row
    return sum(by_day.values(), Sums())


async def test_sums_of_requests_and_of_days_are_what_was_added(store: UsageStore) -> None:
    made = rows(300)

    for begin in range(0, 300, 40):
        await store.add(made[begin : begin + 40])

    assert await both(store) == sum((Sums.of(one) for one in made), Sums())
    for group in Group:
        found = {line[group]: sums.requests for line, sums in await store.report(whole(group))}
        assert found == Counter(one.group(group) for one in made), group


async def test_a_report_is_of_one_tenant_some_days_one_key_or_one_user(store: UsageStore) -> None:
    made = [
        row("a", key="k1", user="u_1"),
        row("b", key="k2", user="u_1", at=NOON + 86_400),
        row("c", key="k1", user="u_2"),
        row("d", key="k1", user="u_1", tenant="team-b"),
    ]
    await store.add(made)

    async def requests(ask: Ask) -> int:
        return sum(sums.requests for _, sums in await store.report(ask))

    assert await requests(whole()) == 3
    assert await requests(whole(tenant="team-b")) == 1
    assert await requests(whole(tenant="team")) == 0
    assert await requests(Ask("team-a", DAY, DAY)) == 2
    assert await requests(replace(whole(Group.KEY), key="k1")) == 2
    assert await requests(replace(whole(Group.DAY), user="u_1")) == 2
    assert await requests(replace(whole(), key="k2", user="u_2")) == 0
    assert await store.report(whole(tenant="nobody")) == []


async def test_rows_that_come_twice_count_once(store: UsageStore) -> None:
    made = rows(60)
    await store.add(made)

    await store.add(made)
    await store.add(made[:20])

    assert (await both(store)).requests == 60


@pytest.mark.parametrize(
    "name", ["' OR 1=1 --", '{"$gt": ""}', "$where", "a.b", "x" * 500, "사용자", "\x00", "__proto__"]
)
async def test_hostile_names_are_only_text(store: UsageStore, name: str) -> None:
    inner = name.lstrip("$")  # mongo-java-server takes a grouped value for a field's name there; MongoDB does not
    await store.add([row("a", tenant=name, key=inner, user=inner, model=inner), row("b")])

    assert (await both(store, name)).requests == 1
    (line, _), *more = await store.report(whole(Group.MODEL, Group.USER, tenant=name))
    assert (line, more) == ({Group.MODEL: inner, Group.USER: inner}, [])
    assert (await both(store)).requests == 1


async def test_writers_at_once_lose_and_double_nothing(place: StorePlace, scale: Callable[[int, int], int]) -> None:
    stores = [open_usage(place) for _ in range(4)]
    each = scale(10, 60)

    async def write(number: int) -> None:
        for batch in range(each):
            made = rows(7, prefix=f"{number}-{batch}-")
            while True:
                try:
                    await stores[number].add(made)
                    break
                except StoreUnavailable:  # a file that four write is busy at times: the same rows again
                    await asyncio.sleep(0.01)

    await asyncio.gather(*map(write, range(4)))

    assert (await both(stores[0])).requests == 4 * each * 7
    await asyncio.gather(*(store.close() for store in stores))


async def test_what_is_old_goes_and_sums_stay_longer(store: UsageStore) -> None:
    old = [row(f"o{number}", at=NOON - number * 86_400) for number in range(10)]
    await store.add(old)

    await store.expire(DAY - timedelta(days=2), DAY - timedelta(days=5))

    by_user = await store.report(whole(Group.DAY, Group.USER))
    by_day = await store.report(whole(Group.DAY))
    assert len(by_user) == 3
    assert len(by_day) == 6


async def test_no_text_and_no_name_of_a_person_has_a_place_in_a_row(store: UsageStore) -> None:
    assert set(UsageRow.__slots__) == {
        *("id", "at", "tenant", "key", "user", "service", "route", "backend", "model", "revision", "outcome"),
        *("prompt_tokens", "cached_tokens", "completion_tokens", "queue_seconds", "first_seconds", "seconds"),
        *("tools", "micro_usd", "price", "is_estimated"),
    }


async def test_a_writer_that_was_killed_leaves_sums_that_agree_with_its_rows(place: StorePlace) -> None:
    """Killed again and again in the middle of batches; what it said was kept is there, and once only."""
    said: list[str] = []
    for life in range(3):
        command = [sys.executable, "-m", "parts.usage_writer", place.to_text(), f"life{life}-"]
        process = subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        assert process.stdout is not None
        for _ in range(3 + life):
            said.append(await asyncio.to_thread(process.stdout.readline))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        said += process.stdout.readlines()
        process.stdout.close()

    store = open_usage(place, now=datetime(2027, 1, 1, tzinfo=UTC).timestamp)
    long_ago = DAY - timedelta(days=100)
    await store.expire(long_ago, long_ago)  # counts what was left behind
    sums = await both(store)
    await store.close()

    kept = sum(int(line) for line in said if line.endswith("\n"))
    assert kept <= sums.requests <= kept + 3 * 50, "at most the batch in hand of each life is kept without being told"


async def test_a_report_ends_where_there_are_too_many_groups(
    store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatbot.adapters.usage.sqlite.MOST_GROUPS", 5)
    monkeypatch.setattr("chatbot.adapters.usage.mongo.MOST_GROUPS", 5)
    await store.add([row(str(number), user=f"u_{number}") for number in range(20)])

    assert len(await store.report(whole(Group.USER))) == 6


async def test_a_file_that_is_none_of_ours_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text("hello, this is a text of somebody\n" * 100)
    store = SqliteUsage(tmp_path / "usage")

    with pytest.raises(StoreUnavailable, match="CHATBOT_USAGE_SQLITE_PATH"):
        await store.add([row("a")])
    await store.close()


@pytest.mark.parametrize("place", ["motor", "pymongo"], indirect=True)  # the other one has nothing in between
@pytest.mark.parametrize("step", ["_count", "_mark"])
async def test_rows_of_a_writer_that_died_between_two_steps_are_counted_once(
    place: StorePlace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    dead = open_usage(place)
    await dead.add(rows(30, prefix="before-"))

    async def die(_batch: str) -> None:
        raise StoreUnavailable("killed")

    monkeypatch.setattr(dead, step, die)
    with pytest.raises(StoreUnavailable):
        await dead.add(rows(40, prefix="last-"))
    await dead.close()

    for _ in range(2):
        heir = open_usage(place, now=datetime(2027, 1, 1, tzinfo=UTC).timestamp)
        await heir.expire(DAY - timedelta(days=100), DAY - timedelta(days=100))
        assert (await both(heir)).requests == 70
        await heir.close()
