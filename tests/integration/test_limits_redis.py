"""Limits in a real Redis that goes away, hangs, is full, is somebody else's, or may not be written."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chatbot.adapters.limits.redis import RedisAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy, Wanted
from chatbot.domain.access import Rights
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.generation import Backend, GenerationRequest, Sampling
from chatbot.domain.limits import Limited, Limits, RateLimited, State, Subject
from chatbot.server.settings.accounts import LimitSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import open_accounts
from parts.http_service import ServiceOptions
from parts.keyed_service import keyed_service
from parts.limit_racer import NOON, Silent
from parts.redis_server import RedisServer, running_redis
from redis import Redis

ACCOUNT = "tenant/secret-user"


def plus(amount: int) -> Callable[[State | None], tuple[State | None, int]]:
    def change(state: State | None) -> tuple[State | None, int]:
        number = (state or {"number": 0})["number"] + amount
        return {"number": number}, number

    return change


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


async def refusal(store: RedisAccounts) -> str:
    """What the store says of itself; never an account."""
    with pytest.raises(StoreUnavailable) as told:
        await store.update(ACCOUNT, plus(1))
    text = str(told.value)
    assert "secret" not in text and "redis://" not in text
    return text


async def test_a_server_that_begins_anew_is_used_again_and_nothing_is_remembered_of_before(server: RedisServer) -> None:
    store = RedisAccounts.open(server.url)
    assert [await store.update("a", plus(1)) for _ in range(3)] == [1, 2, 3]
    server.stop()

    away = await refusal(store)
    server.start()
    after = [await store.update("a", plus(1)) for _ in range(2)]
    await store.close()

    assert "CHATBOT_LIMITS_REDIS_URL_FILE" in away
    assert after == [1, 2], "what was counted is gone, and is not counted from what a replica remembers"


async def test_calls_that_were_given_up_never_answer_later_ones(server: RedisServer) -> None:
    store = RedisAccounts.open(server.url)
    for number in range(20):
        await store.update(f"a{number}", plus(100 * number))
    server.suspend()
    hanging = [asyncio.create_task(store.update(f"a{number}", plus(0))) for number in range(20)]
    await asyncio.sleep(0.1)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    server.resume()

    told = await asyncio.gather(*(store.update(f"a{number}", plus(0)) for number in range(20)), return_exceptions=True)
    again = await asyncio.gather(*(store.update(f"a{number}", plus(0)) for number in range(20)))
    await store.close()

    assert again == [100 * number for number in range(20)]
    assert all(isinstance(one, StoreUnavailable) or one == 100 * number for number, one in enumerate(told))


async def test_a_full_server_refuses_and_says_so(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as server:
        store = RedisAccounts.open(server.url)
        told = await refusal(store)
        await store.close()

    assert "more memory" in told


async def test_a_replica_refuses_and_says_so(server: RedisServer, tmp_path: Path) -> None:
    with running_redis(tmp_path, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        store = RedisAccounts.open(replica.url)
        told = await refusal(store)
        await store.close()

    assert "fail-over" in told


async def test_a_wrong_password_and_a_user_without_rights_are_told_apart(server: RedisServer) -> None:
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~chatbot:*", "+get", "+client", "+hello")
    wrong = RedisAccounts.open(f"redis://:secret@127.0.0.1:{server.port}/0")
    reader = RedisAccounts.open(f"redis://reader:secret@127.0.0.1:{server.port}/0")
    told = [await refusal(wrong), await refusal(reader)]
    await asyncio.gather(wrong.close(), reader.close())

    assert "password" in told[0] and "EVALSHA" in told[1]


async def test_the_rights_that_the_manual_names_are_enough(server: RedisServer) -> None:
    rights = [
        "resetchannels",
        "~chatbot:limits:*",
        "-@all",
        "+get",
        "+set",
        "+del",
        "+evalsha",
        "+script|load",
        "+client|setname",
    ]
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "limits", "on", ">secret", *rights)
    store = RedisAccounts.open(f"redis://limits:secret@127.0.0.1:{server.port}/0")

    assert [await store.update("a", plus(1)) for _ in range(2)] == [1, 2]
    await store.remove("a")  # as an erasure of its user does
    assert await store.update("a", plus(1)) == 1
    await store.close()


@pytest.mark.parametrize(
    "spoil", [lambda c, k: c.set(k, "mine"), lambda c, k: c.lpush(k, "mine"), lambda c, k: c.set(k, b"\xff")]
)
async def test_keys_of_somebody_else_are_left_alone(server: RedisServer, spoil: Callable[[Redis, str], object]) -> None:
    key = f"chatbot:limits:{ACCOUNT}"
    with Redis.from_url(server.url) as client:
        spoil(client, key)
        before = client.dump(key)
        store = RedisAccounts.open(server.url)
        await refusal(store)
        assert await store.update("b", plus(1)) == 1
        await store.close()
        assert client.dump(key) == before


async def test_what_is_no_redis_is_told() -> None:
    def speak_http(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=speak_http, args=(listener,), daemon=True).start()
        store = RedisAccounts.open(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        told = await refusal(store)
        await store.close()
        listener.shutdown(socket.SHUT_RDWR)

    assert told.startswith("Redis: ")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:6379", "http://:secret@h", "redis://:secret@h:port/0", "unix:///secret"]
)
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="CHATBOT_LIMITS_REDIS_URL_FILE") as told:
        RedisAccounts.open(url)

    assert "secret" not in str(told.value)


async def test_a_replica_counts_alone_while_the_server_is_away_and_owes_nothing_afterwards(server: RedisServer) -> None:
    """As with every other store: neither open nor closed, its share of the limit (ADR 0016)."""
    limits = Limits(requests_per_minute=4, tokens_per_day=1000, account="k")
    caller = Caller("t", "u", "k", (Limited(Subject.KEY, limits),))
    request = GenerationRequest("r", Dialogue("", (), (), Message("user", "x")), Sampling(max_tokens=5), 0.0)
    wanted = Wanted("office", Backend.LLAMA, request, "m", 100, {}, 60.0)
    policy = LimiterPolicy(replicas=2, call_seconds=30.0)
    limiter = Limiter(RedisAccounts.open(server.url), policy, Silent(), now=lambda: NOON)

    first = await limiter.reserve(caller, wanted)
    server.stop()
    alone = [await limiter.reserve(caller, wanted) for _ in range(2)]
    with pytest.raises(RateLimited):
        await limiter.reserve(caller, wanted)
    server.start()
    for hold in (first, *alone):
        await hold.finish()
    left = (await limiter.quota(caller.limited)).standings
    await limiter.close()

    assert [hold.quota.is_degraded for hold in (first, *alone)] == [False, True, True]
    assert [one.used for one in left] == [0, 0]


async def test_a_service_goes_on_while_its_redis_is_away_and_says_so(server: RedisServer, tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text(server.url + "\n")
    accounts = open_accounts(Settings(limits=LimitSettings(redis_url_file=url)))
    assert isinstance(accounts, RedisAccounts)
    policy = LimiterPolicy(replicas=2, call_seconds=30.0)
    # A clock that stands still: nothing comes back while a busy machine takes its time.
    options = ServiceOptions(accounts=accounts, limiter=policy, limiter_now=lambda: NOON)
    async with keyed_service(tmp_path, options) as keyed:
        header = await keyed.header(Rights(limits=Limits(requests_per_minute=6)))
        async with keyed.service.client(headers=header) as client:
            asked = {"input_data": "안녕하세요!", "user_id": "u"}
            before = [await client.post("/Llama", json=asked) for _ in range(2)]
            server.stop()
            away = [await client.post("/Llama", json=asked) for _ in range(4)]
            server.start()
            for _ in range(150):
                back = await client.post("/Llama", json=asked)
                if "x-chatbot-degraded" not in back.headers:
                    break
                await asyncio.sleep(0.2)
    await accounts.close()

    assert [one.status_code for one in before] == [200, 200]
    assert [one.headers["ratelimit"].split(";")[1] for one in before] == ["r=5", "r=4"]
    assert [one.status_code for one in away] == [200, 429, 429, 429], "its half of the limit, with what was used before"
    assert away[0].headers["x-chatbot-degraded"] == "limits"
    assert back.status_code == 200


def test_a_file_that_is_missing_is_told_by_the_name_of_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CHATBOT_LIMITS_REDIS_URL_FILE: cannot be read"):
        open_accounts(Settings(limits=LimitSettings(redis_url_file=tmp_path / "missing")))
