"""One request to the web: guarded connections, redirects judged anew, and bounds of time, bytes and media types.

No proxy of the environment is used: behind one, nobody here could judge the address. No compression is asked for and
none is taken, so the bytes that are counted are those of the answer. Cookies and referrers are neither kept nor sent.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpcore2
import httpx2

from chatbot.adapters.web.address_text import checked_url, joined_url
from chatbot.adapters.web.guard import GuardedNetwork, WebRefused

_REDIRECTS = (301, 302, 303, 307, 308)
_AGENT = "chatbot-platform"


@dataclass(frozen=True, slots=True)
class WebBounds:
    """Of one request, its redirects included.

    Attributes:
        body_bytes: Longest body; a longer one is refused.
        redirects: That are followed.
        media_types: That are taken.
    """

    seconds: float = 5.0
    body_bytes: int = 2 * 2**20
    redirects: int = 3
    media_types: tuple[str, ...] = ("text/html", "text/plain", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer.

    Attributes:
        headers: Lower-case names; of repeated ones the last.
        media_type: Lower case, without parameters.
    """

    status: int
    headers: Mapping[str, str]
    media_type: str
    body: bytes


class Outbound:
    """A client. Every connection is opened anew, and judged.

    Args:
        network: Opens connections.
        bounds: Of every request.
        trusted: Hosts with ports that the operator named; any port is taken of them.
        tls: Authorities that are trusted.
        most_at_once: Connections.
    """

    def __init__(
        self,
        network: GuardedNetwork,
        bounds: WebBounds,
        *,
        trusted: frozenset[tuple[str, int]] = frozenset(),
        tls: ssl.SSLContext | None = None,
        most_at_once: int = 32,
    ) -> None:
        self._bounds = bounds
        self._trusted = trusted
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=most_at_once,
            max_keepalive_connections=0,
            network_backend=network,
        )

    async def fetch(self, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Fetched:
        """Ask, with POST where there is a body. Redirects are followed with GET alone.

        Raises:
            WebRefused: `url`, `address`, `redirects`, `media_type`, `encoding` or `too_large`.
            TimeoutError: It did not end in time.
            OSError: Nobody answers, or not with HTTP.
        """
        try:
            async with asyncio.timeout(self._bounds.seconds):
                target = checked_url(url, self._trusted)
                for _ in range(self._bounds.redirects + 1):
                    found = await self._once(target, headers or {}, body)
                    if isinstance(found, Fetched):
                        return found
                    target = checked_url(joined_url(target, found), self._trusted)
                    headers, body = None, None  # keys are for the host that was named
                raise WebRefused("redirects")
        except httpcore2.TimeoutException:
            raise TimeoutError from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ssl.SSLError):
            raise ConnectionError("no answer in HTTP") from None

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()

    async def _once(self, url: httpx2.URL, headers: Mapping[str, str], body: bytes | None) -> Fetched | str:
        """One answer, or where it redirects to."""
        sent = {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", "User-Agent": _AGENT, **headers}
        method = "GET" if body is None else "POST"
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
        async with self._pool.stream(method, target, headers=encoded, content=body) as response:
            told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in _REDIRECTS and "location" in told:
                return told["location"]
            if told.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                raise WebRefused("encoding")
            media_type = told.get("content-type", "").partition(";")[0].strip().lower()
            if response.status == 200 and media_type not in self._bounds.media_types:
                raise WebRefused("media_type")
            content = b""
            async for piece in response.aiter_stream():
                content += piece
                if len(content) > self._bounds.body_bytes:
                    raise WebRefused("too_large")
            return Fetched(response.status, told, media_type, content)
