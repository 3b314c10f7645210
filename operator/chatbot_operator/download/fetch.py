"""One ranged GET after another, guarded: redirects drop credentials, ranges are checked, stalls are cut."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpcore

from chatbot_operator.download.faults import DownloadFault, Interrupted, Reason, Refused
from chatbot_operator.download.guard import GuardedBackend, Reach
from chatbot_operator.download.source import RemoteSource

STALL_SECONDS = 60.0
_CHUNK_LIMIT_REDIRECTS = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_REFUSALS = {
    401: (Reason.UNAUTHORIZED, "The source asks for credentials (401); give a Secret with HF_TOKEN in secretRef."),
    403: (
        Reason.UNAUTHORIZED,
        "The source refuses the credentials (403); accept the model's licence or mend the token.",
    ),
    404: (Reason.NOT_FOUND, "There is nothing at this address (404); check repository, file and revision."),
    410: (Reason.NOT_FOUND, "The file was withdrawn (410); choose another source."),
}


@dataclass(frozen=True, slots=True)
class Transport:
    """How the network is reached. `proxy` is an `http://` address without credentials, "" for none."""

    reach: Reach
    ca_bundle: Path | None = None
    proxy: str = ""
    token: str = ""
    stall_seconds: float = STALL_SECONDS


@dataclass(frozen=True, slots=True)
class Part:
    """What a server sends now.

    Attributes:
        offset: Where in the file the first chunk belongs: what was asked for, or 0 where the server starts anew.
        total_bytes: Size of the whole file; None where the server does not say.
        validator: Strong ETag, else Last-Modified, for `If-Range`; "" where there is none.
        chunks: The bytes. Empty where nothing is missing.
    """

    offset: int
    total_bytes: int | None
    validator: str
    chunks: Iterator[bytes]


class Fetcher:
    """Asks one source. Not safe for several threads."""

    def __init__(self, source: RemoteSource, transport: Transport) -> None:
        self._source = source
        self._transport = transport
        backend = GuardedBackend(transport.reach)
        context = ssl.create_default_context(cafile=str(transport.ca_bundle) if transport.ca_bundle else None)
        self._pool: httpcore.ConnectionPool = (
            # The proxy resolves names itself, so only host names can be checked here.
            httpcore.HTTPProxy(transport.proxy, ssl_context=context)
            if transport.proxy
            else httpcore.ConnectionPool(ssl_context=context, network_backend=backend)
        )

    @contextmanager
    def part(self, offset: int, validator: str) -> Iterator[Part]:
        """Ask for the file from `offset` on, if it is still what `validator` names.

        Raises:
            Refused: The source will not give it, or may not be asked.
            Interrupted: Connection lost, stalled, an answer that makes no sense, or a server error.
        """
        try:
            with self._answer(offset, validator) as response:
                yield self._read(response, offset)
        except httpcore.TimeoutException as exc:
            raise Interrupted(Reason.STALLED, f"Nothing came for {self._transport.stall_seconds:.0f} s.") from exc
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, ssl.SSLError) as exc:
            raise Interrupted(Reason.UNREACHABLE, f"The connection failed ({type(exc).__name__}).") from exc

    def close(self) -> None:
        """Close connections."""
        self._pool.close()

    @contextmanager
    def _answer(self, offset: int, validator: str) -> Iterator[httpcore.Response]:
        """The first answer that is no redirect."""
        url = self._source.url
        for _ in range(_CHUNK_LIMIT_REDIRECTS):
            self._transport.reach.check_host(urlsplit(url).hostname or "")
            with self._pool.stream(
                "GET", url, headers=self._headers(url, offset, validator), extensions={"timeout": self._timeouts()}
            ) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _next_url(url, _header(response, b"location"))
        raise Refused(Reason.BAD_URL, "The source redirects in a circle.")

    def _headers(self, url: str, offset: int, validator: str) -> list[tuple[str, str]]:
        headers = [
            ("Host", urlsplit(url).netloc),
            ("User-Agent", "chatbot-download"),
            ("Accept-Encoding", "identity"),
        ]
        if offset:
            headers.append(("Range", f"bytes={offset}-"))
            headers.extend([("If-Range", validator)] if validator else [])
        if self._transport.token and urlsplit(url).hostname == self._source.token_host:
            headers.append(("Authorization", f"Bearer {self._transport.token}"))
        return headers

    def _timeouts(self) -> dict[str, float]:
        stall = self._transport.stall_seconds
        return {"connect": min(30.0, stall), "read": stall, "write": stall, "pool": stall}

    def _read(self, response: httpcore.Response, offset: int) -> Part:
        fault = _fault(response.status)
        if fault:
            raise fault
        if _header(response, b"content-encoding") not in ("", "identity"):
            raise Interrupted(Reason.SERVER_ERROR, "The source compresses the file although it was asked not to.")
        validator = _validator(response)
        if response.status == 200:
            length = _header(response, b"content-length")
            return Part(0, int(length) if length.isdigit() else None, validator, response.iter_stream())
        start, total = _content_range(_header(response, b"content-range"))
        if response.status == 416 and total == offset:
            return Part(offset, total, validator, iter(()))
        if response.status == 206 and start == offset:
            return Part(offset, total, validator, response.iter_stream())
        raise _Unusable(Reason.SERVER_ERROR, "The source answered another range than was asked for; starting anew.")


class _Unusable(Interrupted):
    """A range answer that cannot be used: ask again from the beginning."""


def must_start_anew(fault: DownloadFault) -> bool:
    """Whether what was kept is useless to this server, so that the next try starts at 0."""
    return isinstance(fault, _Unusable)


def _fault(status: int) -> DownloadFault | None:
    if status in (200, 206, 416):
        return None
    if status in _REFUSALS:
        return Refused(*_REFUSALS[status])
    if status in (408, 425, 429) or status >= 500:
        return Interrupted(Reason.SERVER_ERROR, f"The source answered {status}.")
    return Refused(Reason.BAD_URL, f"The source answered {status}; check the address.")


def _next_url(url: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        Refused: Nowhere, to another scheme than HTTP(S), or from https down to http.
    """
    target = urljoin(url, location)
    parts = urlsplit(target)
    if not location or parts.scheme not in ("https", urlsplit(url).scheme) or not parts.hostname:
        raise Refused(Reason.NOT_ALLOWED, "The source redirects to an address that is not https.")
    return target


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _validator(response: httpcore.Response) -> str:
    etag = _header(response, b"etag")
    return etag if etag.startswith('"') else _header(response, b"last-modified")


def _content_range(text: str) -> tuple[int | None, int | None]:
    """Start and total of `bytes 5-9/10` or `bytes */10` (RFC 9110, 14.4)."""
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    start = span.split("-")[0]
    known = unit == "bytes"
    return (int(start) if known and start.isdigit() else None, int(total) if known and total.isdigit() else None)
