"""Limits of keys through every route that generates: refusals, headers, what is charged, and a store that is away."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.api.accounts.decisions import DECISIONS
from chatbot.core.admission import AdmissionPolicy
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import LimiterPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Upload
from chatbot.domain.errors import EngineLost, StoreUnavailable
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Change, Limits, T
from parts.document_place import completed
from parts.http_service import ServiceOptions
from parts.keyed_service import Keyed, bearer, keyed_service
from parts.stub_generator import StubGenerator
from parts.waiting import until

ASKED = {"input_data": "안녕하세요!", "user_id": "u1"}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
CHAT = {"model": "stub", "messages": HELLO}
NOON = 1_795_262_400.0
STUB_TOKENS = 10  # of one answer of the stub: 7 of the prompt, 3 pieces


class FlakyAccounts(MemoryAccounts):
    """A store that can be away, or hang."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.hangs = False
        self.calls = 0

    async def update(self, account: str, change: Change[T]) -> T:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().update(account, change)


def frozen(**options: Any) -> ServiceOptions:
    """Options with a clock of the limits that stands still: what comes back with time is no matter of a machine's."""
    return ServiceOptions(limiter_now=lambda: NOON, **options)


def limited(**limits: int) -> Rights:
    return Rights(limits=Limits(**limits))


@asynccontextmanager
async def asking(
    keyed: Keyed, rights: Rights, tenant: str = "team-a"
) -> AsyncIterator[Callable[..., Awaitable[httpx.Response]]]:
    """Asks one route with a key of its own."""
    headers = await keyed.header(rights, tenant=tenant)

    async def ask(path: str = "/Llama", body: dict[str, Any] | None = None, **more: str) -> httpx.Response:
        return await client.post(path, json=body or (CHAT if path.startswith("/v1") else ASKED), headers=headers | more)

    async with keyed.service.client() as client:
        yield ask


async def used(keyed: Keyed, headers: dict[str, str], policy: str = "tokens-day") -> int:
    """What `GET /key` says."""
    async with keyed.service.client() as client:
        limits = (await client.get("/key", headers=headers)).json()["limits"]
    return int(next(one["used"] for one in limits if one["policy"] == policy))


@pytest.mark.parametrize("path", ["/Llama", "/v1/chat/completions"])
async def test_requests_a_minute_are_counted_and_told(tmp_path: Path, path: str) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, asking(keyed, limited(requests_per_minute=3)) as ask:
        answers = [await ask(path) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"].split(";t=")[0] for answer in answers] == [
        f'"requests-minute";r={n}' for n in (2, 1, 0, 0)
    ]
    refused = answers[-1]
    assert refused.headers["ratelimit-policy"] == '"requests-minute";q=3;w=60'
    seconds = int(refused.headers["retry-after"])
    assert 1 <= int(refused.headers["ratelimit"].split("t=")[1]) <= seconds <= 22
    assert "x-should-retry" not in refused.headers
    is_v1 = path.startswith("/v1")
    error = refused.json()["error"] if is_v1 else refused.json()
    assert error["code"] == ("rate_limit_exceeded" if is_v1 else "rate_limited")
    assert ("x-ratelimit-remaining-requests" in refused.headers) == is_v1
    if is_v1:
        assert re.fullmatch(r"\d+s", refused.headers["x-ratelimit-reset-requests"])
    else:
        assert (error["retry_after"], error["queue_size"]) == (seconds, 0)
        assert error["violated-policies"] == ["requests-minute"]


async def test_what_an_answer_used_is_charged_and_shown(tmp_path: Path) -> None:
    rights = limited(tokens_per_day=5000, tokens_per_month=9000, requests_per_minute=60)
    async with keyed_service(tmp_path, frozen()) as keyed, keyed.service.client() as client:
        headers = await keyed.header(rights)
        for path, body in (("/Llama", ASKED), ("/v1/chat/completions", CHAT)):
            assert (await client.post(path, json=body, headers=headers)).status_code == 200
        await keyed.service.answerer.idle()
        shown = (await client.get("/key", headers=headers)).json()["limits"]

    assert [(one["policy"], one["quota"], one["used"]) for one in shown] == [
        ("requests-minute", 60, 2),
        ("tokens-day", 5000, 2 * STUB_TOKENS),
        ("tokens-month", 9000, 2 * STUB_TOKENS),
    ]
    assert all(one["remaining"] == one["quota"] - one["used"] and one["resets_in"] > 0 for one in shown)


async def test_a_spent_quota_cuts_the_answer_then_refuses_in_each_language(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, asking(keyed, limited(tokens_per_day=400)) as ask:
        first = await ask()
        cut = keyed.service.generator.requests[0].sampling.most_tokens
        limits = Limits(tokens_per_day=400, account=f"key/{keyed.keys[0].id}")
        await keyed.service.limiter.counters.shared.charge(limits, 380)
        refused = [await ask(**{"accept-language": language}) for language in ("ko", "en", "ja")]

    assert first.status_code == 200 and cut is not None and 16 <= cut < 400
    assert {(one.status_code, one.headers["x-should-retry"], one.json()["code"]) for one in refused} == {
        (429, "false", "insufficient_quota")
    }
    texts = [one.json()["detail"] for one in refused]
    assert "하루 토큰 수" in texts[0] and "tokens a day" in texts[1] and "1日のトークン数" in texts[2]
    assert len(keyed.service.generator.requests) == 1


async def test_a_request_that_no_new_day_would_grant_is_a_wrong_field(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, asking(keyed, limited(tokens_per_day=30)) as ask:
        product, v1 = await ask(), await ask("/v1/chat/completions", {"model": "stub", "messages": HELLO * 9})

    assert (product.status_code, product.json()["field"], product.json()["problem"]) == (
        422,
        "input_data",
        "above_limit",
    )
    assert (v1.status_code, v1.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize("failure", [EngineLost("gone"), RuntimeError("bug")])
async def test_a_failure_of_ours_costs_nothing(tmp_path: Path, failure: Exception) -> None:
    options = frozen(generator=StubGenerator(failure=failure))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header(limited(tokens_per_day=5000, requests_per_minute=2))
        answers = [await client.post("/Llama", json=ASKED, headers=headers) for _ in range(5)]
        await keyed.service.answerer.idle()

        assert {answer.status_code for answer in answers} <= {500, 503}
        assert (await used(keyed, headers), await used(keyed, headers, "requests-minute")) == (0, 0)


async def test_a_refusal_of_the_line_gives_everything_back(tmp_path: Path) -> None:
    options = frozen(generator=StubGenerator(first_seconds=30), slots=1, policy=AdmissionPolicy(180.0, 1))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        other, headers = await keyed.header(tenant="b"), await keyed.header(limited(tokens_per_day=50_000))
        held = [asyncio.create_task(client.post("/Llama", json=ASKED, headers=other)) for _ in range(2)]
        await until(lambda: keyed.service.admission.line("office").depth == 1)
        refused = await client.post("/Llama", json=ASKED, headers=headers)
        await until_async(lambda: used(keyed, headers), 0)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")


@pytest.mark.parametrize("chunk", range(4))
async def test_a_stream_that_is_cut_pays_for_what_was_made(tmp_path: Path, chunk: int) -> None:
    """The client leaves after so many pieces; the prompt's length is then an estimate, learnt from answers before."""
    options = frozen(generator=StubGenerator(["가"] * 50, piece_seconds=0.05))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header(limited(tokens_per_day=50_000))
        stub = keyed.service.generator
        stub.piece_seconds = 0.0
        assert (await client.post("/Llama", json=ASKED, headers=headers)).status_code == 200
        await keyed.service.answerer.idle()
        before, stub.piece_seconds = await used(keyed, headers), 0.05
        async with client.stream(
            "POST", "/Llama", json=ASKED, headers=headers | {"accept": "text/event-stream"}
        ) as answer:
            seen = 0
            async for line in answer.aiter_lines():
                seen += line.startswith("event: token")
                if seen >= chunk and stub.running:
                    break
        await until(lambda: not stub.running)
        await keyed.service.answerer.idle()
        charged = await used(keyed, headers) - before

    assert before == 7 + 50
    assert 7 + chunk <= charged <= 7 + chunk + 10, "the prompt, what was read, and what was on its way"


async def test_who_leaves_while_waiting_pays_nothing(tmp_path: Path) -> None:
    options = frozen(generator=StubGenerator(first_seconds=30), slots=1)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header(limited(tokens_per_day=50_000, requests_per_minute=9))
        blocking = asyncio.create_task(client.post("/Llama", json=ASKED, headers=await keyed.header(tenant="b")))
        await until(lambda: bool(keyed.service.generator.running))
        waiting = asyncio.create_task(client.post("/Llama", json=ASKED, headers=headers))
        await until(lambda: keyed.service.admission.line("office").depth == 1)
        held = await used(keyed, headers)
        waiting.cancel()
        await until_async(lambda: used(keyed, headers), 0)
        blocking.cancel()
        await asyncio.gather(waiting, blocking, return_exceptions=True)
        assert held > 0 and await used(keyed, headers, "requests-minute") == 0


async def test_keys_do_not_slow_each_other_and_one_without_limits_has_none(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, keyed.service.client() as client:
        spent, free = await keyed.header(limited(requests_per_minute=1)), await keyed.header()
        other = await keyed.header(limited(requests_per_minute=1))
        hammered = [(await client.post("/Llama", json=ASKED, headers=spent)).status_code for _ in range(50)]
        answers = [await client.post("/Llama", json=ASKED, headers=headers) for headers in (free, other)]

    assert hammered.count(200) == 1 and set(hammered) == {200, 429}
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "ratelimit" not in answers[0].headers and len(keyed.service.generator.requests) == 3


async def test_hammering_a_spent_key_costs_the_store_and_the_models_nothing(tmp_path: Path) -> None:
    accounts, remote = FlakyAccounts(), StubGenerator(backend=Backend.OPENAI)
    options = frozen(accounts=accounts, remote=remote)
    async with keyed_service(tmp_path, options) as keyed, asking(keyed, limited(requests_per_minute=1)) as ask:
        await ask()
        before = accounts.calls
        refused = await asyncio.gather(*(ask("/OpenAI") for _ in range(50)))

    assert {answer.status_code for answer in refused} == {429}
    assert not remote.requests and accounts.calls - before <= 10


async def test_who_hammers_for_long_is_refused_from_memory_without_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = FlakyAccounts()
    options = frozen(accounts=accounts)
    async with keyed_service(tmp_path, options) as keyed, asking(keyed, limited(requests_per_minute=1)) as ask:
        await ask()
        limiter = keyed.service.limiter
        limiter.refusals._clock = lambda: now
        now = 0.0
        for _ in range(12):
            refused = await ask()
        now = 2.0  # a second and more: the store is asked once more, and the answer holds for ten seconds
        await ask()
        before, now = accounts.calls, 11.0
        with caplog.at_level("INFO", "chatbot.access"):
            caplog.clear()
            quiet = [await ask() for _ in range(20)]
            lines = [record for record in caplog.records if record.name == "chatbot.access"]

    assert {answer.status_code for answer in quiet} == {429} and quiet[0].json()["code"] == refused.json()["code"]
    assert accounts.calls == before and not lines
    assert keyed.service.metric("chatbot_limit_decisions_total", limit="requests-minute", outcome="refused") == 33


async def test_a_rotation_refills_nothing(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, keyed.service.client() as client:
        key = await keyed.key(limited(requests_per_minute=2))
        first = [(await client.post("/Llama", json=ASKED, headers=bearer(key))).status_code for _ in range(2)]
        _, sibling = await keyed.issuer.rotate(key.id, overlap_seconds=60, life_seconds=1000)
        _, third = await keyed.issuer.rotate(sibling.id, overlap_seconds=60, life_seconds=1000)
        later = [(await client.post("/Llama", json=ASKED, headers=bearer(one))).status_code for one in (sibling, third)]

    assert (first, later) == ([200, 200], [429, 429])


async def test_other_limits_act_without_a_new_key(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, keyed.service.client() as client:
        key = await keyed.key(limited(requests_per_minute=1))
        first = [(await client.post("/Llama", json=ASKED, headers=bearer(key))).status_code for _ in range(2)]
        await keyed.issuer.limit(key.id, Limits(requests_per_minute=5))
        await keyed.stored.look()
        raised = [(await client.post("/Llama", json=ASKED, headers=bearer(key))).status_code for _ in range(2)]
        await keyed.issuer.limit(key.id, Limits())
        await keyed.stored.look()
        lifted = [(await client.post("/Llama", json=ASKED, headers=bearer(key))).status_code for _ in range(9)]

    assert (first, raised, set(lifted)) == ([200, 429], [200, 200], {200})


@pytest.mark.parametrize("trouble", ["is_away", "hangs"])
async def test_without_the_store_each_replica_grants_its_share(tmp_path: Path, trouble: str) -> None:
    accounts = FlakyAccounts()
    options = frozen(accounts=accounts, limiter=LimiterPolicy(replicas=2, call_seconds=0.5))
    async with keyed_service(tmp_path, options) as keyed, asking(keyed, limited(requests_per_minute=10)) as ask:
        assert (await ask()).headers["ratelimit"].startswith('"requests-minute";r=9')
        setattr(accounts, trouble, True)
        answers = [await ask() for _ in range(8)]
        degraded = keyed.service.metric("chatbot_limits_degraded")
        setattr(accounts, trouble, False)
        await until(lambda: keyed.service.limiter.counters._clock() >= keyed.service.limiter.counters._probe_at)
        after = await ask()

    granted = [answer for answer in answers if answer.status_code == 200]
    assert 4 <= len(granted) <= 5, "half of ten, less the one that this replica granted before"
    assert {answer.headers.get("x-chatbot-degraded") for answer in granted} == {"limits"}
    assert answers[-1].status_code == 429 and degraded == 1
    assert after.status_code in (200, 429) and "x-chatbot-degraded" not in after.headers


async def test_what_the_store_missed_is_paid_when_it_is_back(tmp_path: Path) -> None:
    accounts = FlakyAccounts()
    options = frozen(accounts=accounts, generator=StubGenerator(first_seconds=0.2))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header(limited(tokens_per_day=5000))
        asking = asyncio.create_task(client.post("/Llama", json=ASKED, headers=headers))
        await until(lambda: bool(keyed.service.generator.running))
        accounts.is_away = True
        assert (await asking).status_code == 200
        await keyed.service.answerer.idle()
        accounts.is_away = False
        assert await used(keyed, headers) > STUB_TOKENS, "still reserved"
        await keyed.service.limiter.counters.pay()

        assert await used(keyed, headers) == STUB_TOKENS


async def test_an_account_that_somebody_spoilt_keeps_nobody_else_from_being_settled(tmp_path: Path) -> None:
    accounts = FlakyAccounts()
    options = frozen(accounts=accounts, generator=StubGenerator(first_seconds=0.2))
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        spoilt, whole = (
            await keyed.header(limited(tokens_per_day=5000)),
            await keyed.header(limited(tokens_per_day=9000)),
        )
        asking = [asyncio.create_task(client.post("/Llama", json=ASKED, headers=one)) for one in (spoilt, whole)]
        await until(lambda: len(keyed.service.generator.running) == 2)
        accounts.is_away = True
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
        await keyed.service.answerer.idle()
        accounts.is_away = False
        await accounts.update(f"key/{keyed.keys[0].id}", lambda _: ({"windows": "nonsense"}, None))
        await keyed.service.limiter.counters.pay()

        assert await used(keyed, whole) == STUB_TOKENS
        assert (await client.post("/Llama", json=ASKED, headers=whole)).status_code == 200


async def test_two_replicas_share_one_limit(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    path = tmp_path / "limits.sqlite3"
    one = frozen(accounts=SqliteAccounts(path))
    two = frozen(accounts=SqliteAccounts(path))
    rights = Rights(limits=Limits(requests_per_minute=20, account="shared"))
    async with keyed_service(tmp_path / "a", one) as first, keyed_service(tmp_path / "b", two) as second:
        async with asking(first, rights) as ask_first, asking(second, rights) as ask_second:
            answers = await asyncio.gather(*(ask() for ask in (ask_first, ask_second) for _ in range(40)))

    assert [answer.status_code for answer in answers].count(200) == 20
    assert {answer.status_code for answer in answers} == {200, 429}


@pytest.mark.parametrize(
    ("rights", "charged", "calls"),
    [
        (limited(requests_per_minute=60, burst=1), 0, 3),  # a second each: the client comes back, as it should
        (limited(tokens_per_day=500), 490, 1),
        (limited(tokens_per_month=500), 490, 1),
    ],
)
async def test_how_often_the_openai_client_comes_back(tmp_path: Path, rights: Rights, charged: int, calls: int) -> None:
    seen: list[str] = []

    async with keyed_service(tmp_path, frozen()) as keyed:
        key = await keyed.key(rights)
        limits = Limits.parse(rights.limits.fields() | {"account": f"key/{key.id}"})

        await keyed.service.limiter.counters.shared.charge(limits, charged)

        async def note(request: httpx.Request) -> None:
            seen.append(request.url.path)

        transport = httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]})
        async with openai.AsyncOpenAI(
            base_url=f"{keyed.service.url}/v1", api_key=key.text, max_retries=2, http_client=transport
        ) as client:
            with pytest.raises(openai.RateLimitError) as refused:
                await client.chat.completions.create(model="stub", messages=HELLO)

    assert len(seen) == calls
    assert refused.value.code == ("insufficient_quota" if charged else "rate_limit_exceeded")


async def test_every_decision_is_counted(tmp_path: Path) -> None:
    async with keyed_service(tmp_path, frozen()) as keyed, asking(keyed, limited(requests_per_minute=2)) as ask:
        for _ in range(5):
            await ask()
        counted = {
            limit: keyed.service.metric("chatbot_limit_decisions_total", limit=limit, outcome=outcome)
            for limit, outcome in (("all", "granted"), ("requests-minute", "refused"))
        }
        calls = keyed.service.metric("chatbot_limit_store_seconds_count", outcome="ok")

    assert counted == {"all": 2, "requests-minute": 3} and calls >= 4


GENERATING = {
    "askLlama": ("/Llama", ASKED),
    "askOpenAI": ("/OpenAI", ASKED),
    "createChatCompletion": ("/v1/chat/completions", CHAT),
    "chat": ("/chat", {"message": "hello", "user_id": "u1"}),
    "askDocuments": ("/rag/query", {"question": "연차는 며칠인가요?"}),
}


NO_TEXT = {"createEmbedding", "listTools", "putNote", "putPins", "continueConversation"}
"""Keys that chat may do this, and no model makes text for it."""


def test_every_operation_that_generates_is_in_the_matrix() -> None:
    chatting = {name for name, decision in DECISIONS.items() if decision.scope is Scope.CHAT}

    assert chatting - NO_TEXT | {"askDocuments"} == GENERATING.keys()


@pytest.mark.parametrize("name", GENERATING)
async def test_every_operation_that_generates_is_limited(tmp_path: Path, name: str) -> None:
    path, body = GENERATING[name]
    store = SqliteDocuments(tmp_path / "documents.sqlite3", DocumentBounds())
    await completed(store, Caller("team-a", "u1"), Upload("rules.md", b"x"), ["연차는 15일이다."])
    library = Library(store, Retriever(store), lambda: None, 1_000_000)
    options = frozen(remote=StubGenerator(backend=Backend.OPENAI), documents=library)
    async with keyed_service(tmp_path, options) as keyed, keyed.service.client() as client:
        headers = await keyed.header(limited(requests_per_minute=1, tokens_per_day=50_000)) | {"x-user-id": "u1"}
        answers = [await client.post(path, json=body, headers=headers) for _ in range(2)]
        await keyed.service.answerer.idle()

        assert [answer.status_code for answer in answers] == [200, 429], answers[0].text
        assert all("ratelimit" in answer.headers for answer in answers)
        assert await used(keyed, headers) == STUB_TOKENS
    await store.close()


async def until_async(read: Callable[[], Awaitable[int]], wanted: int) -> None:
    """Wait until something that is read has a value."""
    async with asyncio.timeout(60):
        while True:
            if await read() == wanted:
                return
            await asyncio.sleep(0.02)
