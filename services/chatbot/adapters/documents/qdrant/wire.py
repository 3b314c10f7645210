"""Calls to a Qdrant over its REST API: each bounded in time, size and tries, each failure told with its remedy.

No client library: it would bring gRPC, and decide for us what is tried again, logged and waited for. Every call may be
made again, since points have names of their own (https://api.qdrant.tech/api-reference).
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.domain.errors import DocumentsUnavailable

ANSWER_BYTES: Final = 8 * 2**20
"""Longest answer that is read: 100 points and their payloads take 20 KiB."""

WRITE_SECONDS: Final = 10.0
"""A call that writes or removes may take so long: jobs and sweeps make those, no question waits for them."""

_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 1.0
_CONNECTIONS: Final = 16
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_URL: Final = "CHATBOT_DOCUMENTS_QDRANT_URL"
_KEY: Final = "CHATBOT_DOCUMENTS_QDRANT_API_KEY_FILE"
_REMEDIES: Final = {
    400: "it refused the request; is it older than 1.19?",
    401: f"it asks for a key: {_KEY} names none, or a wrong one",
    403: f"the key of {_KEY} may not do this: it must read, write and make collections",
    404: f"there is no such thing: is {_URL} that of a Qdrant?",
    413: "it refused the request as too large: raise service.max_request_size_mb",
    429: "it refuses more requests: raise its limits",
    507: "its disk is full",
}
Body = Mapping[str, Any]


class MissingCollection(Exception):
    """The collection is not there (any more)."""


class _TryAgain(Exception):
    """What a further attempt may mend; the text says what it was."""


class QdrantWire:
    """Connections to one Qdrant; each call may fail and the next one work again.

    Args:
        client: Has the address and the key.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @classmethod
    def open(cls, url: str, api_key: str = "") -> "QdrantWire":
        """Make them; the first call connects.

        Certificates are judged by the authorities of the machine, or by those of `SSL_CERT_FILE`. No proxy of the
        environment is used, and no redirect followed: the key would go along.

        Args:
            url: `http://host:6333` or `https://…`.
            api_key: "" sends none.

        Raises:
            ValueError: `url` is none, or `api_key` cannot be sent; the message repeats neither.
        """
        if not _is_address(url):
            raise ValueError(f"{_URL}: not the address of a server (http://host:6333), without user and password")
        if not api_key.isascii() or not api_key.isprintable():
            raise ValueError(f"{_KEY}: a key has printable ASCII characters alone, on one line")
        for library in ("httpx2", "httpcore2"):  # at DEBUG they log headers
            logging.getLogger(library).setLevel(logging.WARNING)
        headers = {"Accept-Encoding": "identity", **({"api-key": api_key} if api_key else {})}
        client = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers=headers,
            verify=ssl.create_default_context()
            if url.startswith("https:")
            else False,  # reading authorities takes time
            timeout=httpx2.Timeout(WRITE_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
        )
        return cls(client)

    async def call(self, method: str, path: str, body: Body | None = None, seconds: float = CALL_SECONDS) -> Any:
        """What `result` of the answer has; of `/`, all of the answer.

        Args:
            method: Of HTTP.
            path: With its query, below the address.
            body: Sent as JSON.
            seconds: Longest time, all attempts together.

        Raises:
            MissingCollection: The collection that `path` names is not there.
            DocumentsUnavailable: No usable answer in time.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
        try:
            async with asyncio.timeout(seconds):
                return await self._attempts(method, path, content)
        except TimeoutError:
            raise DocumentsUnavailable(f"Qdrant: no answer within {seconds:g} s: it is slow or hangs") from None

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _attempts(self, method: str, path: str, content: bytes | None) -> Any:
        """The answer; a call that may work if it is made again is, a few times."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(method, path, content)
            except _TryAgain as exc:
                if attempt == _ATTEMPTS - 1:
                    raise DocumentsUnavailable(f"Qdrant: {exc}") from None
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, method: str, path: str, content: bytes | None) -> Any:
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with self._client.stream(method, path, content=content, headers=headers) as answer:
                text = bytearray()
                async for piece in answer.aiter_raw():
                    text += piece
                    if len(text) > ANSWER_BYTES:
                        raise DocumentsUnavailable(f"Qdrant: an answer of more than {ANSWER_BYTES} bytes")
                return _result(path, answer.status_code, bytes(text))
        except httpx2.ConnectError as exc:
            raise _TryAgain(f"no connection: check {_URL}, the server, its certificate and the network") from exc
        except httpx2.HTTPError as exc:
            raise _TryAgain(f"the connection broke: check the server and the network ({type(exc).__name__})") from exc


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and url.isascii() and url.isprintable() and not (parts.username or parts.query or parts.fragment)


def _result(path: str, status: int, text: bytes) -> Any:
    """What an answer holds. Texts of its errors are left out: they may repeat what was sent."""
    if status == 404 and path.startswith("/collections/"):
        raise MissingCollection
    if status != 200:
        remedy = _REMEDIES.get(status, "see its log")
        error = _TryAgain if status in _AGAIN else DocumentsUnavailable
        told = f"answered with status {status}: {remedy}"
        raise error(told if error is _TryAgain else f"Qdrant: {told}")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise DocumentsUnavailable(f"Qdrant: an answer that is none of a Qdrant's: check {_URL}")
    if path == "/":
        return answer
    if answer.get("status") != "ok" or "result" not in answer:
        raise DocumentsUnavailable(f"Qdrant: an answer that is none of a Qdrant's: check {_URL}")
    return answer["result"]
