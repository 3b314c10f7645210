"""A streaming client that costs little: while an answer runs it only notes when bytes came; it reads them afterwards.

HTTP/1.1 with chunked transfer (RFC 9112, section 7.1) and server-sent events in the format of the OpenAI API, as all
servers of the comparison speak it.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine_bench.load.texts import Message, prompt_tokens, tokens_in

SAMPLING: Final[dict[str, Any]] = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.0,
    "repeat_penalty": 1.08,
}
"""The product's defaults, said to every server, because theirs differ."""
MODEL: Final = "engine-bench"


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        key: Names it within its run; the same on every server.
        kind: What it counts as: first, later, stream, long, …
        user: Who asks; servers that share fairly need to know.
        leaves: Looks at the pieces so far and says whether the client goes away.
    """

    key: str
    kind: str
    user: str
    messages: Sequence[Message]
    answer_tokens: int
    seed: int = 1
    leaves: Callable[[int], bool] | None = None

    def body(self) -> bytes:
        """The JSON body."""
        fields = {
            "model": MODEL,
            "messages": list(self.messages),
            "max_tokens": self.answer_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": self.user,
            "seed": self.seed,
            **SAMPLING,
        }
        return json.dumps(fields).encode()


@dataclass(slots=True)
class Exchange:
    """What came back. Times are seconds of `time.perf_counter`.

    Attributes:
        status: 0 where no answer came.
        pieces: When text came, and how many tokens it held.
        cached_tokens: As the server says; None where it says nothing.
        retry_after_seconds: Of a refusal.
        is_whole: Whether the stream came to its end.
    """

    key: str
    kind: str
    user: str
    wanted_prompt_tokens: int
    wanted_tokens: int
    sent_at: float
    done_at: float = 0.0
    status: int = 0
    pieces: list[tuple[float, int]] = field(default_factory=list)
    text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    finish: str | None = None
    retry_after_seconds: float | None = None
    is_whole: bool = False
    has_left: bool = False

    @property
    def first_seconds(self) -> float:
        """Time to the first token."""
        return self.pieces[0][0] - self.sent_at if self.pieces else float("inf")

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """When each piece but the first came, and how long after the one before, seconds."""
        times = [at for at, _ in self.pieces]
        return [(then, then - before) for before, then in zip(times, times[1:], strict=False)]

    def believe(self) -> None:
        """Of a server that tells no counts: the prompt is believed, the answer is what arrived."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            self.prompt_tokens, self.completion_tokens = self.wanted_prompt_tokens, tokens_in(self.text)

    def fault(self) -> str | None:
        """What of it is not the work that was asked for, or None."""
        if self.status != 200:
            return f"status {self.status}"
        if not self.is_whole:
            return "cut off"
        counted = tokens_in(self.text)
        told = (self.prompt_tokens, self.completion_tokens, counted)
        if told != (self.wanted_prompt_tokens, self.wanted_tokens, self.wanted_tokens):
            return (
                f"prompt {told[0]} of {self.wanted_prompt_tokens} tokens, "
                f"answer {told[1]} told and {counted} received of {self.wanted_tokens}"
            )
        return None if self.finish == "length" else f"finish {self.finish}"


class _Connection(asyncio.Protocol):
    """One request on a connection of its own."""

    def __init__(self, head_and_body: bytes, leaves: Callable[[int], bool] | None) -> None:
        self.received: list[tuple[float, bytes]] = []
        self.ended = asyncio.get_running_loop().create_future()
        self.has_left = False
        self._request = head_and_body
        self._leaves = leaves
        self._transport: asyncio.Transport | None = None
        self._events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received.append((time.perf_counter(), data))
        if self._leaves is not None:
            self._events += data.count(b'"content":')
            if self._leaves(self._events):
                self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def leave(self) -> None:
        """Go away, as a browser does whose window is closed."""
        self.has_left = True
        if self._transport is not None:
            self._transport.abort()


async def ask(port: int, question: Question, patience_seconds: float | None = None) -> Exchange:
    """Ask and wait for the end. No fault is raised: it is in the exchange.

    Args:
        port: On loopback.
        question: What.
        patience_seconds: The client goes away after so long.
    """
    body = question.body()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    wanted = prompt_tokens(question.messages)
    exchange = Exchange(question.key, question.kind, question.user, wanted, question.answer_tokens, time.perf_counter())
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: _Connection(head.encode() + body, question.leaves), "127.0.0.1", port
        )
    except OSError:
        exchange.done_at = time.perf_counter()
        return exchange
    try:
        await asyncio.wait_for(connection.ended, patience_seconds)
    except TimeoutError:
        connection.leave()
    exchange.done_at = time.perf_counter()
    exchange.has_left = connection.has_left
    read(exchange, connection.received)
    return exchange


def read(exchange: Exchange, received: Sequence[tuple[float, bytes]]) -> None:
    """Understand what was received, piece by piece, with the time of each."""
    head, body = b"", _Body()
    for at, data in received:
        if not body.is_open:
            head += data
            before, found, rest = head.partition(b"\r\n\r\n")
            if not found:
                continue
            _read_head(exchange, before, body)
        else:
            rest = data
        for line in body.lines(rest):
            _read_line(exchange, at, line)


def _read_head(exchange: Exchange, head: bytes, body: "_Body") -> None:
    lines = head.split(b"\r\n")
    exchange.status = int(lines[0].split()[1])
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if value := fields.get(b"retry-after", b""):
        exchange.retry_after_seconds = float(value)
    body.open(is_chunked=b"chunked" in fields.get(b"transfer-encoding", b"").lower())


def _read_line(exchange: Exchange, at: float, line: bytes) -> None:
    if not line.startswith(b"data:"):
        return
    data = line[5:].strip()
    if data == b"[DONE]":
        exchange.is_whole = True
        return
    event = json.loads(data)
    if usage := event.get("usage"):
        exchange.prompt_tokens = usage.get("prompt_tokens")
        exchange.completion_tokens = usage.get("completion_tokens")
        exchange.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    for choice in event.get("choices", []):
        exchange.finish = choice.get("finish_reason") or exchange.finish
        if text := choice.get("delta", {}).get("content"):
            exchange.text += text
            exchange.pieces.append((at, max(1, tokens_in(text))))


class _Body:
    """Chunks off, lines out."""

    def __init__(self) -> None:
        self.is_open = False
        self._is_chunked = False
        self._raw = self._line = b""
        self._left = 0

    def open(self, *, is_chunked: bool) -> None:
        self.is_open, self._is_chunked = True, is_chunked

    def lines(self, data: bytes) -> list[bytes]:
        *whole, self._line = (self._line + (self._unchunked(data) if self._is_chunked else data)).split(b"\n")
        return whole

    def _unchunked(self, data: bytes) -> bytes:
        raw, body = self._raw + data, []
        while raw:
            if self._left:
                part, raw = raw[: self._left], raw[self._left :]
                self._left -= len(part)
                body.append(part)
                continue
            if raw.startswith(b"\r\n"):  # the end of the chunk before
                raw = raw[2:]
                continue
            size, found, rest = raw.partition(b"\r\n")
            if not found:
                break
            self._left, raw = int(size.split(b";")[0], 16), rest
            if not self._left:
                raw = b""  # the last chunk; trailers say nothing here
        self._raw = raw
        return b"".join(body)
