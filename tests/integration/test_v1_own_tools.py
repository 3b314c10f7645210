"""`chatbot_tools` on `/v1`: tools of the service that are run for whoever speaks the OpenAI API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.kept_answers.keeper import KeepingPolicy
from chatbot.core.tools.outside.weather import ATTRIBUTION, ATTRIBUTION_URL
from chatbot.domain.generation import Backend
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Policies, Tenant
from chatbot.server.observe.telemetry import Meters
from parts.calling_model import CallingModel, call
from parts.http_service import Service, ServiceOptions, running_service
from parts.outside_world import forecast, weather
from parts.stub_generator import StubGenerator
from parts.web_world import web_world

NOON = datetime(2026, 7, 21, 3, tzinfo=UTC)
ASKED: dict[str, Any] = {"model": "calling", "messages": [{"role": "user", "content": "지금 몇 시야? 서울 날씨는?"}]}
BOTH = {"chatbot_tools": ["current_time", "weather"]}
FUNCTION = {"type": "function", "function": {"name": "mine"}}


@dataclass(slots=True)
class Place:
    service: Service
    client: httpx.AsyncClient
    model: CallingModel
    outside: list[str]

    async def ask(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json=ASKED | fields, headers={"accept-language": "en"})


@asynccontextmanager
async def place(folder: Path, *rounds: Any, **options: Any) -> AsyncIterator[Place]:
    async with web_world() as world:
        world.pages["/v1/forecast"] = forecast()

        def agent(meters: Meters) -> Agent:
            tools = (weather(world, meters), *built_in())
            return Agent(Toolbox("office", tools, AgentBounds(), meters), "Asia/Seoul", now=lambda: NOON)

        model: Any = CallingModel.playing(*rounds)
        model.has_model, model.slots = True, 4
        given = ServiceOptions(generator=model, agent=agent, **options)
        async with running_service(folder, given) as service, service.client() as client:
            yield Place(service, client, model, world.requests)


def offered(at: Place, number: int = 0) -> set[str]:
    tools = at.model.requests[number].tools
    return {one.name for one in tools.definitions} if tools is not None else set()


async def test_tools_are_run_and_told_of_and_the_same_in_a_stream(tmp_path: Path) -> None:
    rounds = [[call("current_time"), call("weather", {"place": "서울"})], ["정오, ", "흐림 [1]"]]
    async with place(tmp_path, *rounds, *rounds) as at:
        whole = (await at.ask(**BOTH)).json()
        stream = (await at.ask(**BOTH, stream=True)).text

    message, lines = whole["choices"][0]["message"], stream.splitlines()
    chunks = [json.loads(one[6:]) for one in lines if one.startswith("data: {")]
    streamed = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)
    assert message["content"] == streamed == f"정오, 흐림 [1]\n\n출처:\n[1] {ATTRIBUTION} - {ATTRIBUTION_URL}"
    assert "tool_calls" not in message and whole["choices"][0]["finish_reason"] == "stop"
    for told in (whole, chunks[-1]):
        assert [(one["name"], one["ok"]) for one in told["chatbot_tool_calls"]] == [
            ("current_time", True),
            ("weather", True),
        ]
        assert told["sources"] == [{"number": 1, "title": ATTRIBUTION, "url": ATTRIBUTION_URL, "cited": True}]
        assert told["search"] == {"state": "used", "reason": None}
    steps = {one for one in lines if one.startswith(": tool ")}
    assert steps == {f": tool {name} {state}" for name in BOTH["chatbot_tools"] for state in ("started", "done")}
    assert offered(at) == set(BOTH["chatbot_tools"])


async def test_nothing_is_run_that_was_not_asked_for(tmp_path: Path) -> None:
    async with place(tmp_path, ["hello"]) as at:
        plain = (await at.ask()).json()
        none = (await at.ask(chatbot_tools=[])).json()
        one = (await at.ask(chatbot_tools=["calculate"])).json()

    assert offered(at, 0) == offered(at, 1) == set() and offered(at, 2) == {"calculate"}
    assert "chatbot_tool_calls" not in plain
    assert none["chatbot_tool_calls"] == one["chatbot_tool_calls"] == []


async def test_the_openai_client_gets_an_answer_it_knows(tmp_path: Path) -> None:
    async with place(tmp_path, [call("current_time")], ["noon"]) as at:
        async with openai.AsyncOpenAI(base_url=f"{at.service.url}/v1", api_key="none", max_retries=0) as client:
            answer = await client.chat.completions.create(**ASKED, extra_body={"chatbot_tools": ["current_time"]})

    assert answer.choices[0].message.content == "noon"
    assert (answer.model_extra or {})["chatbot_tool_calls"][0]["name"] == "current_time"


@pytest.mark.parametrize("by_tenant", [False, True])
async def test_what_stays_in_the_house_calls_nothing_outside(tmp_path: Path, by_tenant: bool) -> None:
    tenants = Policies([Tenant("default", privacy=Privacy(local_only=by_tenant))])
    async with place(tmp_path, [call("weather", {"place": "서울"})], ["no"], tenants=tenants) as at:
        await at.ask(**BOTH, local_only=not by_tenant)

    assert offered(at) == {"current_time"} and not at.outside


async def test_an_answer_that_a_clock_made_is_not_kept_for_another(tmp_path: Path) -> None:
    kept = KeepingPolicy(seconds=60, limit_bytes=1 << 20, most=100, tenants=frozenset({"default"}))
    async with place(tmp_path, [call("current_time")], ["noon"], [call("current_time")], ["later"], kept=kept) as at:
        said = [(await at.ask(**BOTH, temperature=0)).json() for _ in range(2)]

    assert [one["choices"][0]["message"]["content"] for one in said] == ["noon", "later"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"chatbot_tools": ["no_such"]}, "current_time"),
        ({"chatbot_tools": ["current_time"], "tools": [FUNCTION]}, "cannot stand beside"),
        ({"chatbot_tools": ["current_time"], "response_format": {"type": "json_object"}}, "cannot stand beside"),
        ({"chatbot_tools": ["current_time"], "model": "gpt"}, "second backend"),
        ({"chatbot_tools": "current_time"}, "list"),
        ({"chatbot_tools": ["current_time"] * 17}, "16"),
    ],
)
async def test_what_cannot_be_is_named(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    remote = StubGenerator(backend=Backend.OPENAI, name="gpt")
    async with place(tmp_path, ["hello"], remote=remote) as at:
        refused = await at.ask(**fields)

    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "chatbot_tools"), error
    assert problem in error["message"] and not at.model.requests and not remote.requests
