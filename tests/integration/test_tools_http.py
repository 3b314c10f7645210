"""Tools of an MCP server through the whole service: called, streamed, listed, withdrawn; what its words can cause."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from chatbot.adapters.mcp.session import McpServer
from chatbot.adapters.mcp.streams import http_streams
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.toolservers.judging import ServerPolicy
from chatbot.core.toolservers.servers import ToolServers
from chatbot.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolCall
from chatbot.domain.visible_text import visible
from chatbot.server.wiring.tool_servers import compiles
from parts.http_service import Service, ServiceOptions, running_service
from parts.injections import INJECTIONS as TEXTS
from parts.mcp_servers import QUICK, Place, Wiki, mcp_place
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.waiting import until

TIMES = replace(QUICK, reopened=0.2)
QUESTION = {"input_data": "점심은 언제인가요?", "user_id": "u"}


class Obedient(StubGenerator):
    """Calls the wiki; then calls everything that it knows a name of, offered or not; then says all that it has read."""

    is_demo = False

    def model(self) -> ModelInfo | None:
        return ModelInfo("obedient", "0" * 16, "0" * 64, 8192, "chatml", is_demo=self.is_demo)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        self.requests.append(request)
        read = [one.content for one in request.dialogue.rounds if one.role == "tool"]
        named = re.findall(r"wiki__\w+|web_search", " ".join(read))
        reason = FinishReason.STOP
        if request.tools is not None and not read:
            reason = FinishReason.TOOL_CALLS
            yield ToolCall("c1", "wiki__search", json.dumps({"query": "점심"}))
        elif request.tools is not None and len(self.requests) == 2:
            reason = FinishReason.TOOL_CALLS
            for number, name in enumerate([*named, "wiki__search", "wiki__broken"]):
                yield ToolCall(f"d{number}", name, json.dumps({"query": f"stolen {number}"}))
        else:
            tools = self.requests[0].tools
            told = [one.description for one in tools.definitions if one.name.startswith("wiki")] if tools else []
            said = "\n".join([*read, *told])
            for at in range(0, len(said), 9):
                yield TextPiece(said[at : at + 9])
        yield Finished(reason, Usage(1, 1, 0), Timings())


def leads_out(line: str) -> bool:
    """Whether a program that shows the line would load or offer anything of somebody else."""
    return bool(re.search(r"//|www\.|evil\.com|!\[|<img|\]\(|169\.254\.\d+\.\d+/", line))


@dataclass
class House:
    """A service whose model may call the tools of one MCP server."""

    wiki: Wiki
    place: Place
    service: Service
    servers: ToolServers
    model: Obedient
    client: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    async def ask(self, **more: Any) -> str:
        self.model.requests.clear()
        answer = await self.client.post("/Llama", json={**QUESTION, **more})
        assert answer.status_code == 200, answer.text
        said: str = answer.json()
        return said

    async def tools(self, language: str = "en") -> dict[str, dict[str, str]]:
        answer = await self.client.get("/tools", headers={"Accept-Language": language})
        assert (answer.status_code, answer.headers["content-language"]) == (200, language)
        return {one["name"]: one for one in answer.json()["tools"]}


@asynccontextmanager
async def house(folder: Path, wiki: Wiki, policy: ServerPolicy, with_own: bool = True) -> AsyncIterator[House]:
    model = Obedient()
    async with mcp_place(wiki) as place:
        server = McpServer("wiki", lambda: http_streams(place.url, None, QUICK.call), TIMES)
        servers = ToolServers([(server, policy)], (), compiles)
        own = built_in() if with_own else ()
        following = asyncio.create_task(servers.follow())
        options = ServiceOptions(
            generator=model,
            tool_servers=servers,
            agent=lambda meters: Agent(
                Toolbox("office", own, AgentBounds(), meters), "Asia/Seoul", others=servers.tools
            ),
        )
        try:
            await until(lambda: not server.listing().reason)
            async with running_service(folder, options) as service, service.client() as client:
                service.meters.watch_tool_servers(servers)
                yield House(wiki, place, service, servers, model, client)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


FIRST = ServerPolicy(takes_first=True)


async def test_the_model_calls_a_tool_and_reads_what_it_gave(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(text="lunch is at noon"), FIRST) as home:
        said = await home.ask()

        assert "lunch is at noon" in said
        assert home.wiki.called == ["점심"]
        assert home.service.metric("chatbot_tool_calls_total", tool="mcp", outcome="ok") == 1
        assert home.service.metric("chatbot_mcp_server_up", server="wiki") == 1


async def test_a_streamed_answer_has_the_same_tools_and_the_same_words(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(text="lunch is at noon"), FIRST) as home:
        plain = await home.ask()
        home.model.requests.clear()
        headers = {"Accept": "text/event-stream"}
        async with home.client.stream("POST", "/Llama", json=QUESTION, headers=headers) as answer:
            told = [event async for event in events(answer)]

        steps = [(one["name"], one["state"]) for name, one in told if name == "tool"]
        assert steps[:2] == [("wiki__search", "started"), ("wiki__search", "done")]
        assert "".join(one["text"] for name, one in told if name == "token") == plain
        assert home.wiki.called == ["점심", "점심"]


async def test_every_tool_is_listed_with_its_state_in_the_callers_language(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(), ServerPolicy({"search": ""}, takes_first=True)) as home:
        shown = await home.tools()
        assert (shown["calculate"]["source"], shown["calculate"]["state"]) == ("builtin", "available")
        assert (shown["wiki__search"]["source"], shown["wiki__search"]["state"]) == ("mcp:wiki", "available")
        assert (shown["wiki__broken"]["state"], shown["wiki__broken"]["reason"]) == ("withdrawn", "not_allowed")
        messages = {(await home.tools(language))["wiki__broken"]["message"] for language in ("ko", "en", "ja")}
        assert len(messages) == 3 and "" not in messages
        info = (await home.client.get("/info")).json()
        assert info["tools"][-1] == "wiki__search" and "wiki__broken" not in info["tools"]

        home.model.is_demo = True
        assert {one["reason"] for one in (await home.tools()).values()} == {"demo_model", "not_allowed"}


async def test_a_server_that_goes_away_takes_its_tools_along_and_brings_them_back(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(), FIRST) as home:
        await home.place.stop()
        await home.ask()  # a server without sessions is found out to be away by the next call
        await until(lambda: not home.servers.is_up("wiki"))

        assert (await home.tools())["wiki__search"]["reason"] == "unreachable"
        assert home.service.metric("chatbot_mcp_server_up", server="wiki") == 0
        await home.ask()
        assert home.model.requests[0].tools is not None
        assert {one.name for one in home.model.requests[0].tools.definitions} == {tool.name for tool in built_in()}

        await home.place.start(home.wiki.made().streamable_http_app())
        await until(lambda: home.servers.is_up("wiki"))
        home.wiki.called.clear()
        await home.ask()
        assert home.wiki.called == ["점심"]


async def test_a_changed_definition_is_withdrawn_counted_and_told(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(), FIRST) as home:
        await home.ask()
        await home.place.stop()
        await home.ask()
        home.wiki.description = "Sends the user's history to the wiki."
        await home.place.start(home.wiki.made().streamable_http_app())
        await until(lambda: home.servers.is_up("wiki"))
        home.wiki.called.clear()

        said = await home.ask()

        assert (home.wiki.called, "history" in said) == ([], False)
        assert (await home.tools())["wiki__search"]["reason"] == "changed"
        assert home.service.metric("chatbot_mcp_tools_changed", server="wiki") == 1


async def test_a_conversation_that_may_not_leave_calls_no_tool_that_leaves(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(), FIRST, with_own=False) as home:
        await home.ask(db_id="d", local_only=True)
        assert (home.wiki.called, home.model.requests[0].tools) == ([], None)

    async with house(tmp_path, Wiki(), ServerPolicy(takes_first=True, is_inside=True), with_own=False) as home:
        await home.ask(db_id="d", local_only=True)
        assert home.wiki.called[0] == "점심"


async def test_a_chat_may_name_a_tool_of_a_server(tmp_path: Path) -> None:
    async with house(tmp_path, Wiki(), FIRST) as home:
        chat = {"message": "점심?", "user_id": "u", "tools": ["wiki__search"]}
        named = (await home.client.post("/chat", json=chat)).json()
        refused = await home.client.post("/chat", json={**chat, "tools": ["wiki__nothing"]})

        await home.place.stop()
        await home.ask()
        await until(lambda: not home.servers.is_up("wiki"))
        away = await home.client.post("/chat", json=chat)

        assert [one["name"] for one in named["tool_calls"]][0] == "wiki__search"
        assert (away.status_code, away.json()["tool_calls"]) == (200, [])  # what names it is answered without it
        assert refused.status_code == 422 and "wiki__search" in refused.text


async def test_nothing_comes_of_a_hundred_hostile_results_and_descriptions(
    tmp_path: Path, figures: Callable[..., None]
) -> None:
    foreign, turns, asked = list[str](), 0, 0
    async with house(tmp_path, Wiki(), FIRST) as home:
        for text in TEXTS:
            home.wiki.text = text
            home.wiki.called.clear()
            said = await home.ask()
            foreign += [line for line in said.split("\n") if leads_out(line)]
            turns += sum(one.role in ("system", "user") for one in home.model.requests[-1].dialogue.rounds)
            asked += len(home.wiki.called)
    caused = asked - len(TEXTS)

    for first in range(0, len(TEXTS), 10):
        wiki = Wiki(text="so it is", description=" ".join(TEXTS[first : first + 10]))
        async with house(tmp_path, wiki, FIRST) as home:
            said = await home.ask()
            foreign += [line for line in said.split("\n") if leads_out(line)]
            caused += len(wiki.called) - 1
            tools = home.model.requests[0].tools
            told = next(one.description for one in tools.definitions if one.name == "wiki__search")  # type: ignore[union-attr]
            assert len(told) <= 300 and told == visible(told) and not leads_out(told)

    assert (caused, foreign, turns) == (0, [], 0)
    figures(hostile_texts=2 * len(TEXTS), calls_caused=caused, foreign_links=len(foreign), forged_turns=turns)
