"""An OpenAI-compatible server that answers well or misbehaves, over real sockets.

Behaviours are coroutines that write an HTTP response; `stub.then(a, b)` plays them one per call, the last one for
every further call. What was asked is in `stub.calls`.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

WORDS = ("안녕", "하세요", ", ", "hello", " 😀")
TEXT = "".join(WORDS)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Talk:
    """One connection: what was asked, and where the answer goes."""

    asked: Asked
    writer: asyncio.StreamWriter
    hung_up: asyncio.Event

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, content_type: str, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", "Connection: close", *headers]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def chunk(self, data: bytes) -> None:
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, payload: object) -> None:
        await self.chunk(b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n")

    async def open_stream(self) -> None:
        await self.head(200, "text/event-stream", "Transfer-Encoding: chunked")

    async def json(self, status: int, payload: object, *headers: str) -> None:
        body = json.dumps(payload).encode()
        await self.head(status, "application/json", f"Content-Length: {len(body)}", *headers)
        await self.send(body)

    def abort(self) -> None:
        self.writer.transport.abort()


Behaviour = Callable[[Talk], Awaitable[None]]


def delta(text: object, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}


USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 3}}


async def well(talk: Talk) -> None:
    """As the API does: a stream if asked for one, usage if asked for it."""
    if not talk.asked.body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "stub"}
        await talk.json(200, {**answer, "choices": [choice], "usage": USAGE})
        return
    await talk.open_stream()
    for word in WORDS:
        await talk.event(delta(word))
    await talk.event(delta("", "stop"))
    if talk.asked.body.get("stream_options"):
        await talk.event({**delta(""), "choices": [], "usage": USAGE})
    await talk.chunk(b"data: [DONE]\n\n")
    await talk.send(b"0\r\n\r\n")


def status(number: int, *headers: str, **error: object) -> Behaviour:
    """An error response; its message quotes the request, as some servers do."""

    async def answer(talk: Talk) -> None:
        said = {
            "message": json.dumps(talk.asked.body, ensure_ascii=False) + talk.asked.headers.get("authorization", ""),
            **error,
        }
        await talk.json(number, {"error": said}, *headers)

    return answer


async def hang(talk: Talk) -> None:
    """Takes the request and says nothing."""
    await talk.hung_up.wait()


async def drip(talk: Talk) -> None:
    """A stream that is alive and brings nothing."""
    await talk.open_stream()
    while not talk.hung_up.is_set():
        await talk.chunk(b": wait\n\n")
        await asyncio.sleep(0.02)


async def drip_after_a_word(talk: Talk) -> None:
    await talk.open_stream()
    await talk.event(delta(WORDS[0]))
    await talk.hung_up.wait()


async def reset(talk: Talk) -> None:
    """Hangs up instead of answering."""
    talk.abort()


async def cut_json(talk: Talk) -> None:
    """200, and half a JSON text (as an event where a stream was asked for)."""
    half = b'{"id":"c","object":"chat.completion","choices":[{"index":0,"mess'
    if talk.asked.body.get("stream"):
        await talk.open_stream()
        await talk.chunk(b"data: " + half + b"\n\n")
        await talk.send(b"0\r\n\r\n")
        return
    await talk.head(200, "application/json", f"Content-Length: {len(half)}")
    await talk.send(half)


async def bad_utf8(talk: Talk) -> None:
    await talk.head(200, "text/event-stream" if talk.asked.body.get("stream") else "application/json")
    await talk.send(b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe\x80"}}]}\n\n')


async def html(talk: Talk) -> None:
    """A login page with status 200."""
    await talk.head(200, "text/html")
    await talk.send(b"<!doctype html><title>Sign in</title>")


async def wrong_types(talk: Talk) -> None:
    await talk.open_stream()
    for payload in ([1], {"choices": "x"}, {"choices": ["x"]}, {"choices": [{"delta": 5, "finish_reason": 7}]}):
        await talk.event(payload)
    await talk.send(b"0\r\n\r\n")


async def deep_json(talk: Talk) -> None:
    await talk.head(200, "text/event-stream" if talk.asked.body.get("stream") else "application/json")
    await talk.send(b"data: " + b"[" * 100_000 + b"\n\n")


async def cut_before_text(talk: Talk) -> None:
    await talk.open_stream()
    talk.abort()


async def cut_after_text(talk: Talk) -> None:
    await talk.open_stream()
    await talk.event(delta(WORDS[0]))
    await asyncio.sleep(0.05)
    talk.abort()


async def end_without_finish(talk: Talk) -> None:
    """A body that ends well, but not the answer in it: no finish reason, no [DONE]."""
    await talk.open_stream()
    await talk.event(delta(WORDS[0]))
    await talk.send(b"0\r\n\r\n")


async def error_event(talk: Talk) -> None:
    await talk.open_stream()
    await talk.event({"error": {"message": json.dumps(talk.asked.body), "type": "server_error"}})
    await talk.send(b"0\r\n\r\n")


async def endless(talk: Talk) -> None:
    """One line without an end."""
    await talk.head(200, "text/event-stream")
    await talk.send(b"data: ")
    while not talk.hung_up.is_set():
        await talk.send(b"x" * 65536)


async def halves(talk: Talk) -> None:
    """Characters cut in the middle: both halves in two chunks, then a half that stays alone."""
    await talk.open_stream()
    for half in (r"a\ud83d", r"\ude00b", r"\ud83d"):
        await talk.chunk(f'data: {{"choices":[{{"index":0,"delta":{{"content":"{half}"}}}}]}}\n\n'.encode())
    await talk.event(delta("", "stop"))
    await talk.chunk(b"data: [DONE]\n\n")
    await talk.send(b"0\r\n\r\n")


def unless_streaming(behaviour: Behaviour) -> Behaviour:
    """Well without streaming, else `behaviour`."""

    async def answer(talk: Talk) -> None:
        await (behaviour if talk.asked.body.get("stream") else well)(talk)

    return answer


def needs_less(limit_messages: int) -> Behaviour:
    """A model whose context holds so many messages."""

    async def answer(talk: Talk) -> None:
        fits = len(talk.asked.body["messages"]) <= limit_messages
        await (well if fits else status(400, code="context_length_exceeded"))(talk)

    return answer


def knows_no(parameter: str, *, names_it: bool = True) -> Behaviour:
    """A server without some parameter."""

    async def answer(talk: Talk) -> None:
        refusal = status(400, code="unsupported_parameter", param=parameter) if names_it else status(400)
        await (refusal if parameter in talk.asked.body else well)(talk)

    return answer


class OpenAIStub:
    """The server."""

    def __init__(self) -> None:
        self.calls: list[Asked] = []
        self.left = asyncio.Event()
        self.base_url = ""
        self.port = 0
        self._script: list[Behaviour] = [well]

    def then(self, *behaviours: Behaviour) -> None:
        """Play these from the next call on."""
        self._script = list(behaviours)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read_request(reader)
            self.calls.append(asked)
            talk = Talk(asked, writer, asyncio.Event())
            gone = asyncio.create_task(self._watch(reader, talk))
            behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            try:
                await behaviour(talk)
            finally:
                gone.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader, talk: Talk) -> None:
        await reader.read()
        talk.hung_up.set()
        self.left.set()


async def _read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split()[1], headers, json.loads(body))


@asynccontextmanager
async def openai_stub(context: ssl.SSLContext | None = None) -> AsyncIterator[OpenAIStub]:
    """A running stub on a free port of loopback, with TLS where a context is given."""
    stub = OpenAIStub()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, ssl=context)
    stub.port = server.sockets[0].getsockname()[1]
    stub.base_url = f"http://127.0.0.1:{stub.port}/v1"
    try:
        yield stub
    finally:
        server.close()
