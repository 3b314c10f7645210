"""The SDK's HTTP with our bounds: one origin, a token from a file, counted bytes, failures as errors of the protocol.

The SDK ends a whole session where one request fails below HTTP, and it reads answers of any size. So nothing is raised
here: what fails is told to the SDK as an error of the request that failed, with a code of ours. A server that wrote
such a code itself would only say that it failed.

Source:
    MCP, revision 2026-07-28, Streamable HTTP; HTML Living Standard, server-sent events, for the framing.
"""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2

from chatbot.domain.toolservers.server import MAX_RESULT_BYTES

NOT_DELIVERED: Final = -31901
BROKEN: Final = -31902
REFUSED: Final = -31903
TOO_LARGE: Final = -31904
GONE: Final = -31905
"""Codes of failures. `NOT_DELIVERED`: nobody was reached. `BROKEN`: the answer broke off, or is a server's error.
`GONE`: the server does not know the session any more."""
MAX_OTHER_BYTES: Final = 2**20
"""Of any answer but a call's: a list of 32 tools of the largest size fits."""
_ENVELOPE_BYTES: Final = 4096
_ORIGIN_PORTS: Final = {"http": 80, "https": 443}
_EVENT_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END: Final = 4
_RESUMING: Final = re.compile(rb"^(id|retry)[^\r\n]*(\r\n|\n|\r)", re.MULTILINE)


class BoundedHttp(httpx2.AsyncBaseTransport):
    """Sends requests to one server, and to nobody else.

    Args:
        url: The server's.
        token_file: Sent as a bearer token, read again for each request; None: none is sent.
        inner: Opens connections.
    """

    def __init__(self, url: str, token_file: Path | None, inner: httpx2.AsyncBaseTransport) -> None:
        self._origin = _origin(httpx2.URL(url))
        self._token_file = token_file
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, or what stands for it."""
        if request.method == "GET":  # a stream for what the server has to say by itself: nothing that we want
            return httpx2.Response(405, request=request)
        if _origin(request.url) != self._origin:
            return _failure(request, REFUSED)
        try:
            self._sign(request)
        except (OSError, ValueError):
            return _failure(request, REFUSED)
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return _failure(request, NOT_DELIVERED)
        except (httpx2.HTTPError, httpx2.StreamError, OSError):
            return _failure(request, BROKEN)
        return await _bounded(request, response)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    def _sign(self, request: httpx2.Request) -> None:
        """Add the token.

        Raises:
            OSError, ValueError: There is none that fits a header.
        """
        request.headers["Accept-Encoding"] = "identity"
        if self._token_file is None:
            return
        token = self._token_file.read_text("ascii").strip()
        if not token or not token.isprintable() or " " in token:
            raise ValueError("no token on one line")
        request.headers["Authorization"] = f"Bearer {token}"


class _Events(httpx2.AsyncByteStream):
    """Whole server-sent events, without what would let a server order the client to come again and when."""

    def __init__(self, body: httpx2.AsyncByteStream, limit_bytes: int, failure: bytes) -> None:
        self._body = body
        self._limit_bytes = limit_bytes
        self._failure = b"event: message\ndata: " + failure + b"\n\n"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held, received_bytes = bytearray(), 0
        try:
            async for piece in self._body:
                received_bytes += len(piece)
                if received_bytes > self._limit_bytes:
                    yield self._failure
                    return
                # Only what is new is looked through: a server that sends byte by byte must not cost a CPU.
                begin = max(0, len(held) - _LONGEST_END)
                held += piece
                ends = [match.end() for match in _EVENT_END.finditer(held, begin)]
                if ends:
                    ready = bytes(held[: ends[-1]])
                    del held[: ends[-1]]
                    yield _RESUMING.sub(b"", ready)
        except (httpx2.HTTPError, httpx2.StreamError, OSError):
            return  # a stream that ends without an answer is an error of its own

    async def aclose(self) -> None:
        await self._body.aclose()


async def _bounded(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """The answer with a body that is counted, or the failure that it is."""
    code = _failed(request, response)
    if code is not None:
        await response.aclose()
        return _failure(request, code)
    limit_bytes = (
        MAX_RESULT_BYTES + _ENVELOPE_BYTES if _sent(request).get("method") == "tools/call" else MAX_OTHER_BYTES
    )
    stream = response.stream
    if not isinstance(stream, httpx2.AsyncByteStream):
        return _failure(request, BROKEN)
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream":
        events = _Events(stream, limit_bytes, _error(request, TOO_LARGE))
        return httpx2.Response(response.status_code, headers=_kept(response), stream=events, request=request)
    body = bytearray()
    try:
        async for piece in stream:
            body += piece
            if len(body) > limit_bytes:
                return _failure(request, TOO_LARGE)
    except (httpx2.HTTPError, httpx2.StreamError, OSError):
        return _failure(request, BROKEN)
    finally:
        await response.aclose()
    return httpx2.Response(response.status_code, headers=_kept(response), content=bytes(body), request=request)


def _failed(request: httpx2.Request, response: httpx2.Response) -> int | None:
    """The failure that an answer is by its status; None where it is to be read."""
    if response.status_code == 404 and "mcp-session-id" in request.headers:
        return GONE
    if response.status_code in (401, 403, 407):
        return REFUSED
    if response.status_code >= 500:
        return BROKEN
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    return None if encoding in ("", "identity") else BROKEN


def _kept(response: httpx2.Response) -> dict[str, str]:
    """Headers of an answer that the SDK reads. Of the body's length nothing: it may be cut."""
    names = ("content-type", "location", "mcp-session-id", "mcp-protocol-version")
    return {name: response.headers[name] for name in names if name in response.headers}


def _failure(request: httpx2.Request, code: int) -> httpx2.Response:
    """A failure, as the SDK takes it: an answer to a request, nothing but a status to the rest."""
    if "id" not in _sent(request):
        return httpx2.Response(502, request=request)
    headers = {"Content-Type": "application/json"}
    return httpx2.Response(200, headers=headers, content=_error(request, code), request=request)


def _error(request: httpx2.Request, code: int) -> bytes:
    error = {"jsonrpc": "2.0", "id": _sent(request).get("id"), "error": {"code": code, "message": "failed"}}
    return json.dumps(error).encode()


def _sent(request: httpx2.Request) -> dict[str, Any]:
    """The message of a request; empty where it has none."""
    sent = json.loads(request.content) if request.content else {}
    return sent if isinstance(sent, dict) else {}


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _ORIGIN_PORTS.get(url.scheme)
