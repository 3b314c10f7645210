"""Sending an answer: opened, written whole or in pieces, and closed whatever happens.

One place races the client's leaving against everything else, streaming or not, and cuts readers that stall. A stream
that was cut never looks complete: it ends with `done` or `error`, or not at all.

The status line goes with the first event, so what fails before it gets a status of its own, which clients know how to
try again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatbot.api.accounts.usage_noting import note_use, usage_header
from chatbot.api.style.voice import Voice
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.api.wire.departure import ClientGone, until_departure
from chatbot.api.wire.reuse import reuse_headers
from chatbot.core.answering.pump import Answer
from chatbot.core.performance import Statistics
from chatbot.core.question import AnswerEvent, Done, Queued
from chatbot.domain.errors import ChatError

_LOG = logging.getLogger(__name__)
ABORT_EXTENSION = "chatbot.abort"
"""Key in the scope's `extensions`: `abort` resets the connection, where the server offers it."""

EVENT_STREAM_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx: hand on each event at once
}

QUEUED_AFTER_SECONDS = 0.02
"""A stream's first word on the line, and so its headers, waits this long; the answer is made meanwhile. Proxies on Go's
`httputil.ReverseProxy` look once more at a request's body after they passed it on, and cut off an answer whose headers
overtake that look (golang/go#40747): of streams whose headers came at once, Traefik cut 41 of 600."""


class AnswerFormat(Protocol):
    """How an answer is written."""

    @property
    def is_stream(self) -> bool:
        """Whether the answer is sent in pieces."""

    def whole(self, done: Done) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an answer in one piece."""

    def stream_headers(self) -> Mapping[str, str]:
        """Headers of a stream, besides those of every event stream."""

    def event(self, event: AnswerEvent) -> bytes:
        """Bytes of one event, b"" where it has none; `Done` includes whatever ends the stream."""

    def error(self, error: Exception, context: RequestContext) -> bytes:
        """Bytes that tell of an error after the status line."""


class AnswerResponse(Response):
    """Opens an answer, sends it, closes it.

    Raises, when it is called:
        ChatError: Opening failed, or a whole answer, or a stream before its first event; nothing was sent yet.
    """

    def __init__(
        self,
        opening: Callable[[], Awaitable[Answer]],
        shape: AnswerFormat,
        statistics: Statistics,
        send_timeout_seconds: float,
    ) -> None:
        super().__init__()
        self._opening = opening
        self._shape = shape
        self._statistics = statistics
        self._send_timeout_seconds = send_timeout_seconds
        self._is_started = False
        self._error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request (ASGI)."""
        context = context_of(scope)
        context.outcome = "client_gone"  # until it is known better
        answer: Answer | None = None
        self._statistics.started()
        started = time.monotonic()
        try:
            async with until_departure(receive):
                answer = await self._opening()
                context.backend, context.quota = answer.backend, answer.quota
                if self._shape.is_stream:
                    await self._send_stream(answer, context, scope, send)
                else:
                    await self._send_whole(answer, context, send)
                    context.outcome = "ok"
        except ClientGone:
            return  # nobody is left to tell
        except Exception as exc:
            self._error, context.outcome = exc, None  # by the status that the error gets
            raise
        finally:
            try:
                if answer is not None:
                    await answer.close()
            finally:
                self._ended(scope, answer, time.monotonic() - started)

    def _ended(self, scope: Scope, answer: Answer | None, seconds: float) -> None:
        self._statistics.ended(context_of(scope).outcome == "ok", seconds)
        note_use(scope, answer, self._error, seconds)

    async def _send_whole(self, answer: Answer, context: RequestContext, send: Send) -> None:
        done = Voice(answer.speech, context.language).whole(await answer.collect())
        body, headers = self._shape.whole(done)
        headers = {**headers, **usage_header(answer.meter), **reuse_headers(answer.reuse)}
        response = Response(body, headers={**headers, "Content-Type": "application/json"})
        await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, answer: Answer, context: RequestContext, scope: Scope, send: Send) -> None:
        told = {**EVENT_STREAM_HEADERS, **self._shape.stream_headers(), **reuse_headers(answer.reuse)}
        headers = Response(headers=told).raw_headers
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        try:
            async for frame in self._frames(answer, context):
                async with asyncio.timeout(self._send_timeout_seconds):
                    if not self._is_started:
                        self._is_started = True
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            context.outcome = "client_gone"
            abort = scope.get("extensions", {}).get(ABORT_EXTENSION)
            if abort is not None:  # closing would wait for the reader
                abort["abort"]()

    async def _frames(self, answer: Answer, context: RequestContext) -> AsyncIterator[bytes]:
        outcome, voice = context.outcome, Voice(answer.speech, context.language)
        try:
            async for event in answer.events():
                if isinstance(event, Queued) and not self._is_started:
                    await asyncio.sleep(QUEUED_AFTER_SECONDS)
                if isinstance(event, Done):
                    outcome = "ok"
                if frame := b"".join(map(self._shape.event, voice.events(event))):
                    yield frame
        except Exception as exc:
            if not self._is_started:
                raise
            if not isinstance(exc, ChatError):
                _LOG.error("stream failed", extra={"error": type(exc).__name__, "request_id": context.request_id})
            outcome, self._error = "error", exc
            yield self._shape.error(exc, context)
        context.outcome = outcome
