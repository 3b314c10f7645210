"""A key of the user's own for the second backend: it pays, it is told of nowhere, and another's never pays for it."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.adapters.usage.sqlite import SqliteUsage
from chatbot.core.kept_answers.keeper import KeepingPolicy
from chatbot.domain.errors import ModelUnavailable
from chatbot.domain.limits import Limits
from chatbot.domain.tenants.policy import Policies, Tenant, TenantLimits
from chatbot.domain.usage.prices import PriceTable
from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions
from chatbot.llm.openai.refused_keys import MOST_KEYS, REFUSED_SECONDS, RefusedKeys
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.remote import FallbackSettings, OpenAISettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.remote import open_remote
from parts.http_service import Service, ServiceOptions, running_service
from parts.openai_stub import OpenAIStub, Talk, cut_after_text, openai_stub, reset, status, well
from parts.sse import events
from parts.stub_generator import StubGenerator

OWN, OTHER, OURS = "sk-users-own-canary-1234", "sk-another-users-canary", "sk-the-services-own-key"
MESSAGE: dict[str, Any] = {"message": "안녕하세요!", "user_id": "mina", "model": "openai"}
PRICES = PriceTable.parse([{"model": "gpt", "from": "2026-01-01", "input": 3, "output": 5}])


@dataclass(slots=True)
class Place:
    stub: OpenAIStub
    service: Service
    client: httpx.AsyncClient

    @property
    def keys(self) -> list[str]:
        """What the second backend was asked with."""
        return [asked.headers.get("authorization", "").removeprefix("Bearer ") for asked in self.stub.calls]

    async def chat(self, own: str | None = OWN, **fields: Any) -> tuple[int, dict[str, Any]]:
        given = {} if own is None else {"x-upstream-api-key": own}
        answer = await self.client.post("/chat", json=MESSAGE | fields, headers={"accept-language": "en"} | given)
        return answer.status_code, dict(answer.json())


@asynccontextmanager
async def place(folder: Path, *, free_mode: bool = True, **options: Any) -> AsyncIterator[Place]:
    (folder / "ours").write_text(OURS)
    async with openai_stub() as stub:
        chosen = OpenAIOptions(stub.base_url, "gpt", folder / "ours", timeout_seconds=5, free_mode=free_mode)
        remote = OpenAIGenerator(chosen)
        given = ServiceOptions(remote=remote, **options)  # type: ignore[arg-type]
        async with running_service(folder, given) as service, service.client() as client:
            yield Place(stub, service, client)
        await remote.close()


def files(folder: Path) -> list[Path]:
    """What lies there; the key of the service's own is one."""
    return [file for file in folder.rglob("*") if file.is_file()]


async def only_ours(talk: Talk) -> None:
    """Takes the service's key alone."""
    is_ours = talk.asked.headers.get("authorization") == f"Bearer {OURS}"
    await (well if is_ours else status(401))(talk)


async def test_the_users_key_wins_wherever_the_second_backend_is_asked(tmp_path: Path) -> None:
    header = {"x-upstream-api-key": OWN}
    v1 = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
    async with place(tmp_path) as at:
        by_header, by_body = await at.chat(), await at.chat(None, api_key=OTHER)
        without, empty = await at.chat(None), await at.chat(None, api_key="")
        local = await at.chat(model="local")
        others = [
            await at.client.post("/OpenAI", json={"input_data": "hi", "user_id": "mina"}, headers=header),
            await at.client.post("/v1/chat/completions", json=v1, headers=header),
        ]
        stream = {"accept": "text/event-stream"} | header
        told = [one async for one in events(await at.client.post("/chat", json=MESSAGE, headers=stream))]

    sources = [body["api_key_source"] for _, body in (by_header, by_body, without, empty, local)]
    assert sources == ["user", "user", "default", "default", "none"]
    assert [one.status_code for one in others] == [200, 200]
    assert at.keys == [OWN, OTHER, OURS, OURS, OWN, OWN, OWN]
    assert told[-1][1]["api_key_source"] == "user"


@pytest.mark.parametrize("number", [401, 403])
async def test_a_refused_key_is_replaced_by_ours_in_free_mode_alone_and_not_tried_again(
    tmp_path: Path, number: int
) -> None:
    async with place(tmp_path) as at:
        at.stub.then(only_ours if number == 401 else status(403), well)
        free = await at.chat()
        at.stub.then(only_ours)
        again = await at.chat()
        strict = await at.chat(free_mode=False)
        another = await at.chat(OTHER, free_mode=False)
        v1 = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
        elsewhere = await at.client.post("/v1/chat/completions", json=v1, headers={"x-upstream-api-key": OWN})
        unharmed = await at.chat(None)

    assert [(status, body["api_key_source"]) for status, body in (free, again)] == [(200, "default")] * 2
    assert [(status, body["code"]) for status, body in (strict, another)] == [(401, "user_key_refused")] * 2
    assert strict[1]["success"] is False and strict[1]["error_message"] == strict[1]["detail"]
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (401, "user_key_refused")
    assert elsewhere.headers["www-authenticate"] == 'Bearer realm="upstream"'
    assert unharmed[0] == 200, "a user's bad key is no trouble of ours"
    assert at.keys == [OWN, OURS, OURS, OTHER, OURS]


@pytest.mark.parametrize(
    ("trouble", "calls", "code", "seconds"),
    [
        (status(429, "Retry-After: 7"), 1, "user_key_limited", "7"),
        (status(429), 1, "user_key_limited", "1"),
        (status(500), 2, "backend_unavailable", None),
        (reset, 2, "backend_unavailable", None),
        (cut_after_text, 1, "backend_unavailable", None),
    ],
)
async def test_other_trouble_of_the_users_key_never_moves_the_cost_to_us(
    tmp_path: Path, trouble: Any, calls: int, code: str, seconds: str | None
) -> None:
    async with place(tmp_path) as at:
        at.stub.then(trouble)
        given = {"x-upstream-api-key": OWN}
        answer = await at.client.post("/chat", json=MESSAGE | {"free_mode": True}, headers=given)
        at.stub.then(well)
        others = [await at.chat(OTHER), await at.chat(None)]

    assert (answer.status_code, answer.json()["code"]) == (429 if seconds else 503, code)
    assert answer.headers.get("retry-after") == seconds
    assert at.keys == [OWN] * calls + [OTHER, OURS]
    assert [status for status, _ in others] == [200, 200]


async def test_backends_that_fail_users_pause_for_users_alone(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        at.stub.then(status(500))
        broken = [await at.chat() for _ in range(5)]
        at.stub.then(well)
        users, ours = await at.chat(), await at.chat(None)

    assert [status for status, _ in broken] == [503] * 5
    assert (users[0], ours[0]) == (503, 200)


async def test_without_free_mode_nobody_is_answered_with_our_key(tmp_path: Path) -> None:
    async with place(tmp_path, free_mode=False) as at:
        none = [await at.chat(None), await at.chat(None, free_mode=True)]
        openai = await at.client.post("/OpenAI", json={"input_data": "hi", "user_id": "mina"})
        at.stub.then(only_ours)
        refused = await at.chat(free_mode=True)
        again = await at.chat(free_mode=True)
        at.stub.then(well)
        own = await at.chat(OTHER)

    assert [(status, body["code"]) for status, body in none] == [(401, "user_key_needed")] * 2
    assert (openai.status_code, openai.json()["code"]) == (401, "user_key_needed")
    assert [(status, body["code"]) for status, body in (refused, again)] == [(401, "user_key_refused")] * 2
    assert (own[0], own[1]["api_key_source"]) == (200, "user")
    assert at.keys == [OWN, OTHER]


async def test_who_refuses_our_key_gets_no_answer_of_it_while_the_local_model_is_away(tmp_path: Path) -> None:
    away = StubGenerator(refusal=ModelUnavailable())
    async with place(tmp_path, generator=away, may_fall_back=True) as at:
        refused = await at.chat(None, model="local", free_mode=False)
        own = await at.chat(model="local", free_mode=False)

    assert refused[0] == 503
    assert (own[0], own[1]["api_key_source"]) == (200, "user")
    assert at.keys == [OWN]


async def test_the_users_own_money_is_not_ours(tmp_path: Path) -> None:
    tenant = Tenant("default", limits=TenantLimits(tenant=Limits(micro_usd_per_day=1_000_000)))
    spent = Tenant("default", limits=TenantLimits(tenant=Limits(micro_usd_per_day=1)))
    options: dict[str, Any] = {"prices": PRICES, "accounts": SqliteAccounts(tmp_path / "limits.sqlite3")}

    async def used(at: Place) -> int:
        await at.service.answerer.idle()
        return next(one["used"] for one in (await at.client.get("/key")).json()["limits"])

    async with place(tmp_path, tenants=Policies([tenant]), **options) as at:
        own = [await at.chat(), await at.chat(free_mode=False)]
        nothing = await used(at)
        at.stub.then(only_ours)
        fell_back = await at.chat(OTHER)
        something = await used(at)
    async with place(tmp_path, tenants=Policies([spent]), **options) as at:
        refused = await at.chat(None)
        still = [await at.chat(), await at.chat(free_mode=False), await at.chat()]

    assert [(status, body["api_key_source"]) for status, body in own] == [(200, "user")] * 2
    assert fell_back[1]["api_key_source"] == "default"
    assert (nothing, something) == (0, 11 * 3 + 5 * 5)
    assert "cost_usd" not in own[0][1]["usage"]
    assert refused[0] == 429
    assert [(status, body["api_key_source"]) for status, body in still] == [(200, "user")] * 3


async def test_an_answer_of_ones_own_key_is_given_to_nobody_else(tmp_path: Path) -> None:
    kept = KeepingPolicy(seconds=60, limit_bytes=1 << 20, most=100, tenants=frozenset({"default"}))
    async with place(tmp_path, kept=kept) as at:
        bodies = [await at.chat(temperature=0) for _ in range(2)]
        await at.chat(OTHER, temperature=0)

    assert [body["api_key_source"] for _, body in bodies] == ["user", "user"]
    assert at.keys == [OWN, OWN, OTHER]


async def test_the_key_is_told_and_kept_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    usage = SqliteUsage(tmp_path / "usage.sqlite3")
    caplog.set_level(logging.DEBUG)
    async with place(tmp_path, usage=usage) as at:
        told: list[Any] = [await at.chat(session_id="s")]
        for trouble in (status(401), status(429), status(500), status(400)):
            at.stub.then(trouble)
            told.append(await at.chat(OTHER, free_mode=False))
            told.append(await at.chat(None, api_key=OWN, free_mode=False))
        told += [
            await at.chat(OWN, api_key=OTHER),
            await at.chat(None, api_key={"key": OWN}),
            await at.chat(None, api_key=[OWN]),
            await at.chat(None, api_key=OWN, temperature="hot"),
            await at.chat(None, api_key=f"{OWN} {OWN}"),
            await at.chat(None, api_key=OWN + "\n"),
            await at.chat(OWN * 20),
            await at.chat("short"),
        ]
        metrics = at.service.meters.render("")[0].decode()
        log = json.dumps([record.__dict__ for record in caplog.records], default=repr)

    problems = [(status, body["field"], body["problem"]) for status, body in told[-8:]]
    assert problems == [
        (422, "api_key", "two_upstream_keys"),
        (422, "api_key", "not_text"),
        (422, "api_key", "not_text"),
        (422, "temperature", "not_number"),
        (422, "api_key", "bad_upstream_key"),
        (422, "api_key", "bad_upstream_key"),
        (422, "X-Upstream-Api-Key", "bad_upstream_key"),
        (422, "X-Upstream-Api-Key", "bad_upstream_key"),
    ]
    kept = b"".join(file.read_bytes() for file in files(tmp_path))
    for key in (OWN, OTHER):
        assert key not in json.dumps(told) + metrics + log
        assert key.encode() not in kept


def test_refused_keys_are_remembered_for_a_while_and_bounded() -> None:
    now = 0.0
    refused = RefusedKeys(lambda: now)
    refused.add(OWN)
    assert OWN in refused and OTHER not in refused
    now = REFUSED_SECONDS
    assert OWN not in refused
    for number in range(MOST_KEYS + 5):
        refused.add(f"{number:020}")

    assert f"{0:020}" not in refused and f"{MOST_KEYS + 4:020}" in refused
    assert not [one for one in vars(refused).values() if OWN in repr(one)]


def test_a_fallback_that_nobody_may_pay_for_stops_the_start() -> None:
    chosen = OpenAISettings(model="gpt", free_mode=False)
    settings = Settings().model_copy(update={"openai": chosen, "fallback": FallbackSettings(enabled=True)})
    with pytest.raises(ValueError, match="CHATBOT_FALLBACK_ENABLED"):
        open_remote(settings, Meters(["office"]))
