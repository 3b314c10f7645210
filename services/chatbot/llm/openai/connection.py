"""The SDK's client with our bounds: its key from a file, its bytes counted, no redirects, no retries of its own.

Proxies are those of the standard environment, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
"""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

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


async def _bound(response: httpx2.Response) -> None:
    """Let a body longer than `MAX_ANSWER_BYTES` end in `AnswerTooLarge`, whichever way it came."""
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _CountedBody(response.stream)


def trusted_authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the machine's certificate authorities, and those of a file besides.

    Raises:
        ValueError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    machines_own = Path(ssl.get_default_verify_paths().openssl_cafile)
    if machines_own.is_file():  # SSL_CERT_FILE of the environment has taken its place
        context.load_verify_locations(machines_own)
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as exc:  # ssl.SSLError is one
            raise ValueError(
                f"SSL_CERT_FILE: {ca_file} cannot be read, or holds no certificate; give a PEM file"
            ) from exc
    return context


def _check_proxies() -> None:
    """Look at what the client will read from the environment; SOCKS needs a library that is not installed.

    Raises:
        ValueError: A proxy cannot be used; its address is not told, for it may hold a password.
    """
    for kind, address in getproxies().items():
        if kind not in ("http", "https", "all"):
            continue
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"{kind.upper()}_PROXY: no proxy that can be used here; write http://host:port")


def connect(
    base_url: str, timeout_seconds: float, max_connections: int, ca_file: Path | None = None
) -> openai.AsyncOpenAI:
    """Make a client. It opens no connection before the first call.

    The key is given with each call. Compression is declined, so that the counted bytes are those of the answer.

    Raises:
        ValueError: The environment names a proxy or authorities that cannot be used.
    """

    async def no_key() -> str:
        return ""

    timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds))
    _check_proxies()
    client = httpx2.AsyncClient(
        verify=trusted_authorities(ca_file),
        timeout=timeout,
        limits=httpx2.Limits(max_connections=max_connections),
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )
    return openai.AsyncOpenAI(
        api_key=no_key,  # else the SDK takes OPENAI_API_KEY of the environment
        base_url=base_url,
        max_retries=0,
        timeout=timeout,
        default_headers={"Accept-Encoding": "identity"},
        http_client=client,
    )
