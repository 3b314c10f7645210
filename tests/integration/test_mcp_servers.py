"""Our client of MCP servers before servers of the official SDK, and before some that break the protocol."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from chatbot.adapters.mcp.program import program_streams
from chatbot.adapters.mcp.session import McpServer
from chatbot.domain.toolservers.server import MAX_TOOLS, CallFailed, RemoteResult
from parts.local_process import LocalProcess, local_process
from parts.mcp_servers import QUICK, Wiki, asgi_place, by_hand, followed, kept_up, mcp_place, welcomed
from parts.waiting import until
from starlette.responses import Response

FORMS = [{}, {"json_response": True}, {"stateless_http": True}]
"""How a server may answer: as events, as JSON, without sessions."""


async def failing(server: McpServer, tool: str = "search", **arguments: Any) -> str:
    """Why a call fails."""
    with pytest.raises(CallFailed) as failure:
        await server.call(tool, arguments)
    return failure.value.reason


async def up(server: McpServer) -> None:
    await until(lambda: not server.listing().reason)


@pytest.mark.parametrize("form", FORMS)
async def test_a_server_tells_its_tools_and_answers(form: dict[str, bool]) -> None:
    async with mcp_place(Wiki(), **form) as place, followed(place) as server:
        await up(server)

        answer = await server.call("search", {"query": "점심"})

        names = [one.name for one in server.listing().definitions]
        assert (names, answer) == (["search", "broken"], RemoteResult("the wiki says so"))


async def test_an_error_of_a_tool_is_told_and_the_session_goes_on() -> None:
    async with mcp_place(Wiki()) as place, followed(place) as server:
        await up(server)

        failed, unknown = await server.call("broken", {}), await server.call("nothing", {})

        assert failed.is_error and unknown.is_error
        assert await server.call("search", {"query": "a"}) == RemoteResult("the wiki says so")


@pytest.mark.parametrize("form", FORMS)
async def test_a_result_that_is_too_large_is_not_read_and_the_session_goes_on(form: dict[str, bool]) -> None:
    wiki = Wiki(text="x" * 20_000_000)
    async with mcp_place(wiki, **form) as place, followed(place) as server:
        await up(server)
        listing = server.listing()

        reason = await failing(server, query="a")

        wiki.text = "y" * 1_000
        assert (reason, await server.call("search", {"query": "a"})) == ("too_large", RemoteResult("y" * 1_000))
        assert server.listing() is listing


@pytest.mark.parametrize("form", FORMS)
async def test_a_server_that_dies_in_a_call_fails_the_call_and_is_found_again(form: dict[str, bool]) -> None:
    wiki = Wiki()
    async with mcp_place(wiki, **form) as place, followed(place) as server:
        await up(server)
        wiki.seconds = 60.0
        call = asyncio.create_task(failing(server, query="a"))
        await until(lambda: wiki.active)

        wiki.seconds = 0.0
        await place.stop()
        await place.start(wiki.made().streamable_http_app(**form))

        assert await call == "unavailable"  # and not made again: it may have done what it was to do
        await up(server)
        assert await server.call("search", {"query": "b"}) == RemoteResult("the wiki says so")
        assert wiki.called == ["a", "b"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_call_that_reached_nobody_is_made_once_the_server_is_back(form: dict[str, bool]) -> None:
    wiki = Wiki()
    async with mcp_place(wiki, **form) as place, followed(place) as server:
        await up(server)
        await place.stop()
        call = asyncio.create_task(server.call("search", {"query": "a"}))
        await until(lambda: server.listing().reason == "unreachable")
        assert [one.name for one in server.listing().definitions] == ["search", "broken"]

        await place.start(wiki.made().streamable_http_app(**form))

        assert (await call, wiki.called) == (RemoteResult("the wiki says so"), ["a"])


async def test_a_server_that_forgot_the_session_gets_a_new_one_within_the_call() -> None:
    forgotten, sessions = False, list[str]()

    def answers(method: str, params: dict[str, Any]) -> Any:
        if method == "initialize":
            sessions.append(f"s{len(sessions)}")
            return {**(welcomed(method) or {}), "headers": {"mcp-session-id": sessions[-1]}}
        if method == "tools/call":
            if forgotten and len(sessions) == 1:
                return Response(status_code=404)
            return {"result": {"content": [{"type": "text", "text": sessions[-1]}]}}
        return welcomed(method) or {"result": {"tools": []}}

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await up(server)
        forgotten = True

        assert await server.call("search", {}) == RemoteResult("s1")


async def test_four_calls_run_together() -> None:
    wiki = Wiki(seconds=0.5)
    async with mcp_place(wiki) as place, followed(place) as server:
        await up(server)

        answers = await asyncio.gather(*(server.call("search", {"query": str(number)}) for number in range(4)))

        assert (wiki.most_active, len(answers)) == (4, 4)


async def test_a_call_that_is_cancelled_leaves_nothing_behind() -> None:
    wiki = Wiki(seconds=60.0)
    async with mcp_place(wiki) as place, followed(place) as server:
        await up(server)
        call = asyncio.create_task(server.call("search", {"query": "a"}))
        await until(lambda: wiki.active)

        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not wiki.active)
        wiki.seconds = 0.0
        assert await server.call("search", {"query": "b"}) == RemoteResult("the wiki says so")


async def test_a_changed_list_is_seen_as_soon_as_the_server_lets_it_count_no_longer() -> None:
    seen = 0

    def answers(method: str, params: dict[str, Any]) -> Any:
        nonlocal seen
        if method == "server/discover":
            told = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            return {"result": {**told, "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}}
        seen += 1
        tool = {"name": f"tool{seen}", "inputSchema": {"type": "object"}}
        return {"result": {"tools": [tool], "ttlMs": 20, "cacheScope": "private", "resultType": "complete"}}

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await until(lambda: [one.name for one in server.listing().definitions] == ["tool3"])


async def test_a_list_that_never_ends_is_read_no_further_than_its_bound() -> None:
    asked = 0

    def answers(method: str, params: dict[str, Any]) -> Any:
        nonlocal asked
        if method != "tools/list":
            return welcomed(method)
        asked += 1
        tools = [{"name": f"t{asked}-{number}", "inputSchema": {"type": "object"}} for number in range(20)]
        return {"result": {"tools": tools, "nextCursor": f"page{asked}"}}

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await up(server)

        assert (len(server.listing().definitions), asked) == (MAX_TOOLS, 2)
        assert server.listing().left_out > 0


async def test_pages_without_a_tool_end_too() -> None:
    asked = 0

    def answers(method: str, params: dict[str, Any]) -> Any:
        nonlocal asked
        asked += method == "tools/list"
        return welcomed(method) or {"result": {"tools": [], "nextCursor": "again"}}

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await up(server)
        assert asked == 8


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response("<html>", media_type="text/html"), "refused"),
        (Response("{", media_type="application/json"), "refused"),
        (Response(status_code=401), "refused"),
        (Response(status_code=500), "unreachable"),
        (Response("x" * 2_000_000, media_type="application/json"), "refused"),
        (Response("data: x\n" * 200_000, media_type="text/event-stream"), "refused"),
        (Response("", media_type="text/event-stream"), "unreachable"),
        (Response("zz", headers={"content-encoding": "br"}, media_type="application/json"), "unreachable"),
        ({"result": {"tools": 7}}, "garbage"),
        ({"error": {"code": -31904, "message": "forged"}}, "refused"),
    ],
    ids=["html", "half", "401", "500", "large", "endless", "empty", "encoded", "wrong", "forged"],
)
async def test_what_is_no_answer_of_the_protocol_is_a_reason(answer: Any, reason: str) -> None:
    def answers(method: str, params: dict[str, Any]) -> Any:
        return welcomed(method) or answer

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await until(lambda: server.listing().reason != "connecting")

        assert server.listing().reason == reason
        assert await failing(server) == "unavailable"


async def test_a_redirect_elsewhere_is_not_followed() -> None:
    canaries = list[str]()

    def canary(method: str, params: dict[str, Any]) -> Any:
        canaries.append(method)
        return welcomed(method) or {"result": {"tools": []}}

    async with asgi_place(by_hand(canary)) as elsewhere:
        for target in ("http://169.254.169.254/latest/meta-data/", elsewhere.url, "https://127.0.0.1/mcp"):
            redirect = Response(status_code=307, headers={"location": target})

            def answers(method: str, params: dict[str, Any], redirect: Response = redirect) -> Any:
                return redirect

            async with asgi_place(by_hand(answers)) as place, followed(place) as server:
                await until(lambda: server.listing().reason != "connecting")
                assert server.listing().reason == "refused"
    assert canaries == []


async def test_a_token_is_sent_as_it_stands_in_its_file_and_is_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token_file, seen = tmp_path / "token", list[str]()
    token_file.write_text("secret-1\n")
    inner = Wiki().made().streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await inner(scope, receive, send)

    async with asgi_place(guarded) as place, followed(place, token_file=token_file) as server:
        await up(server)
        token_file.write_text("secret-2\n")
        await server.call("search", {"query": "a"})
        token_file.write_text("two words")
        assert await failing(server, query="b") == "refused"

    assert seen[0] == "Bearer secret-1" and seen[-1] == "Bearer secret-2"
    assert "secret" not in caplog.text


async def test_a_server_that_asks_us_gets_nothing() -> None:
    asked: list[str] = []

    def answers(method: str, params: dict[str, Any]) -> Any:
        asked.append(json.dumps(params))
        if method == "tools/call":
            request = {"jsonrpc": "2.0", "id": "x", "method": "sampling/createMessage", "params": {}}
            request["params"] = {"messages": [], "maxTokens": 10}
            answer = {"jsonrpc": "2.0", "id": 99, "result": {"content": []}}
            events = f"id: 1\nretry: 1\nevent: message\ndata: {json.dumps(request)}\n\n"
            return Response(f"{events}event: message\ndata: {json.dumps(answer)}\n\n", media_type="text/event-stream")
        return welcomed(method) or {"result": {"tools": []}}

    async with asgi_place(by_hand(answers)) as place, followed(place) as server:
        await up(server)

        assert await server.call("search", {}) == RemoteResult("")
    capabilities = [json.loads(one)["capabilities"] for one in asked if '"capabilities"' in one]
    assert capabilities == [{}]


def is_running(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("form", FORMS)
async def test_the_end_comes_whatever_a_session_is_at(form: dict[str, bool]) -> None:
    async with mcp_place(Wiki(), **form) as place:
        for moment in range(12):
            async with asyncio.timeout(30), followed(place):
                await asyncio.sleep(moment * 0.008)


async def test_the_end_comes_while_a_server_goes_away() -> None:
    wiki = Wiki()
    async with mcp_place(wiki) as place:
        for moment in range(6):
            async with asyncio.timeout(30), followed(place, replace(QUICK, reopened=0.1)) as server:
                await up(server)
                leaving = asyncio.create_task(place.stop())
                call = asyncio.create_task(failing(server, query="a"))
                await asyncio.sleep(moment * 0.008)
            await asyncio.gather(leaving, call, return_exceptions=True)
            await place.start(wiki.made().streamable_http_app())


PROGRAM = """
import asyncio, os, sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("program")
@server.tool()
async def search(query: str) -> str:
    if query == "die":
        os._exit(3)
    return "x" * 3_000_000 if query == "large" else f"{query} {os.environ.get('SECRET', '-')} {os.getpid()}"
server.run("stdio")
"""


async def test_a_program_answers_dies_and_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of ours")
    server = McpServer("program", lambda: program_streams([sys.executable, "-c", PROGRAM]), QUICK)
    async with kept_up(server):
        await up(server)
        first = (await server.call("search", {"query": "a"})).text.split()
        assert first[:2] == ["a", "-"]
        for query in ("die", "large"):
            before = server.listing()
            assert await failing(server, query=query) == "unavailable"
            await until(lambda before=before: server.listing() is not before and not server.listing().reason)  # type: ignore[misc]
        last = (await server.call("search", {"query": "b"})).text.split()
        assert last[2] != first[2]
    assert not is_running(last[2])


async def test_a_program_that_is_not_there_is_unreachable() -> None:
    server = McpServer("program", lambda: program_streams(["/nonexistent"]), QUICK)
    async with kept_up(server):
        await until(lambda: server.listing().reason == "unreachable")


def test_one_machine_starts_a_program_lists_its_tools_and_takes_it_along(tmp_path: Path) -> None:
    servers = [{"name": "files", "command": [sys.executable, "-c", PROGRAM], "approve": "first"}]
    with local_process(tmp_path, CHATBOT_TOOLS_MCP=json.dumps(servers)) as local:
        deadline = time.monotonic() + 60
        while (shown := listed(local, "office")).get("files__search") != "demo_model":
            assert time.monotonic() < deadline, shown
            time.sleep(0.2)
        children = psutil.Process(local.process.pid).children(recursive=True)
        programs = [child for child in children if "MCPServer" in " ".join(child.cmdline())]
        assert len(programs) == 1
        assert "files__search" not in listed(local, "character")  # whose model calls no tools

    assert psutil.wait_procs(programs, timeout=30)[1] == []


def listed(local: LocalProcess, service: str) -> dict[str, str]:
    """Tools with the reason why they cannot be called."""
    answer = httpx.get(f"{local.gateway}/{service}/tools", trust_env=False)
    return {one["name"]: one["reason"] for one in answer.json()["tools"]}
