"""The SDK's client with our bounds: its key from a file, its bytes counted, no redirects, no retries of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import openai

from chatbot.domain.errors import BackendUnavailable
from chatbot.llm.openai.fault import AnswerTooLarge

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 8 * 2**20  # the longest answer is far below 1 MiB, framing included below 8


class KeyFile:
    """The API key, read again when the file changes (a rotated Secret arrives without a restart)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._key = ""

    def read(self) -> tuple[str, bool]:
        """The key ("" where none is configured) and whether it differs from the last one read.

        Raises:
            BackendUnavailable: The file cannot be read, or holds no key that fits a header.
        """
        if self._path is None:
            return "", False
        try:
            key = self._path.read_text("ascii").strip()
        except (OSError, ValueError) as exc:
            raise BackendUnavailable("CHATBOT_OPENAI_API_KEY_FILE cannot be read, or is not plain ASCII") from exc
        if not key or not key.isprintable() or " " in key:
            raise BackendUnavailable("CHATBOT_OPENAI_API_KEY_FILE must hold one key on one line")
        changed = bool(self._key) and key != self._key
        self._key = key
        return key, changed


class _CountedBody(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received_bytes = 0
        async for chunk in self._body:
            received_bytes += len(chunk)
            if received_bytes > MAX_ANSWER_BYTES:
                raise AnswerTooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class BoundedTransport(httpx2.AsyncHTTPTransport):
    """The usual transport; a body longer than `MAX_ANSWER_BYTES` ends in `AnswerTooLarge`."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; see httpx2."""
        response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _CountedBody(response.stream)
        return response


def connect(base_url: str, timeout_seconds: float, max_connections: int) -> openai.AsyncOpenAI:
    """Make a client. It opens no connection before the first call.

    The key is given with each call. Compression is declined, so that the counted bytes are those of the answer.
    """

    async def no_key() -> str:
        return ""

    transport = BoundedTransport(limits=httpx2.Limits(max_connections=max_connections))
    timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds))
    return openai.AsyncOpenAI(
        api_key=no_key,  # else the SDK takes OPENAI_API_KEY of the environment
        base_url=base_url,
        max_retries=0,
        timeout=timeout,
        default_headers={"Accept-Encoding": "identity"},
        http_client=httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False),
    )
