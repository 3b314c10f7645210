"""A provider of web search that speaks SearXNG's, Brave's and Tavily's formats, and may be told to fail."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from parts.web_world import response

Result = tuple[str, str, str]
"""Title, address, excerpt."""


@dataclass
class SearchStub:
    """What it answers, and what it was asked: (provider, query, headers)."""

    host: str = "127.0.0.1"
    port: int = 0
    mode: str = "ok"
    results: list[Result] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = lines[0].split(" ")
            provider, query = _read(method, target, body)
            self.asked.append((provider, query, headers))
            if self.mode == "hang":
                await reader.read()
            writer.write(self._answer(provider))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, provider: str) -> bytes:
        if self.mode.isdigit():
            more = ["Retry-After: 120"] if self.mode == "429" else []
            return response(int(self.mode), b"<html>no</html>", "text/html", *more)
        odd = {
            "drop": b"",
            "html": response(200, b"<html></html>", "text/html"),
            "garbage": response(200, b'{"results": [', "application/json"),
            "other": response(200, b'{"answer": {"results": 3}}', "application/json"),
            "list": response(200, b"[]", "application/json"),
            "deep": response(200, b"[" * 100_000, "application/json"),
            "huge": response(200, b" " * 3 * 2**20, "application/json"),
            "redirect": response(302, b"", "text/html", f"Location: {self.url}/search?q=x"),
        }
        return (
            odd[self.mode]
            if self.mode in odd
            else response(200, json.dumps(self._shaped(provider)).encode(), "application/json")
        )

    def _shaped(self, provider: str) -> dict[str, Any]:
        text = {"searxng": "content", "brave": "description", "tavily": "content"}[provider]
        listed = [{"title": title, "url": url, text: excerpt} for title, url, excerpt in self.results]
        if provider == "brave":
            return {"type": "search", "web": {"type": "search", "results": listed}} if listed else {"type": "search"}
        return {"query": "q", "results": listed, "unresponsive_engines": []}


def _read(method: str, target: str, body: bytes) -> tuple[str, str]:
    """Which provider was meant, and the query; refuses what its documentation does not say."""
    parts = urlsplit(target)
    given = parse_qs(parts.query)
    if method == "POST":
        assert parts.path == "/search"
        asked = json.loads(body)
        assert set(asked) == {"query", "max_results", "search_depth"} and asked["max_results"] <= 20
        return "tavily", asked["query"]
    if parts.path == "/res/v1/web/search":
        assert int(given["count"][0]) <= 20 and given["search_lang"][0] in ("ko", "en", "jp")
        return "brave", given["q"][0]
    assert (parts.path, given["format"]) == ("/search", ["json"]) and given["language"][0] in ("ko", "en", "ja")
    return "searxng", given["q"][0]


@asynccontextmanager
async def search_stub(*results: Result, host: str = "127.0.0.1") -> AsyncIterator[SearchStub]:
    """A provider on a free port."""
    stub = SearchStub(host, results=list(results))
    server = await asyncio.start_server(stub.serve, host, 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()


@contextmanager
def search_in_a_thread(*results: Result, host: str = "127.0.0.1") -> Iterator[SearchStub]:
    """The same beside a test that has no event loop."""
    ready: Future[SearchStub] = Future()
    end = threading.Event()

    async def serve() -> None:
        async with search_stub(*results, host=host) as stub:
            ready.set_result(stub)
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield ready.result(timeout=30)
    finally:
        end.set()
        thread.join()
