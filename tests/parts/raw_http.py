"""Raw bytes over a socket, and whatever comes back: for requests that no client library would send."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class RawAnswer:
    """What came back. `status` is 0 where the connection ended without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, *, host: str = "test"
) -> bytes:
    """A plain request; a header of the value "-" is left out."""
    given = {"host": host, "content-length": str(len(body)), "content-type": "application/json", "connection": "close"}
    given |= {name.lower(): value for name, value in (headers or {}).items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value != "-")]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def send_raw(port: int, raw: bytes, *, seconds: float = 10.0, end: bool = False) -> RawAnswer:
    """Send bytes, read to the end of the connection.

    Args:
        port: On loopback.
        raw: All that is sent.
        seconds: Longest wait for the end.
        end: Whether the writing side is closed afterwards.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        if end:
            writer.write_eof()
        async with asyncio.timeout(seconds):
            got = await _to_the_end(reader)
    finally:
        writer.transport.abort()
    return parse(got)


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    got = b""
    try:
        while chunk := await reader.read(65536):
            got += chunk
    except ConnectionError:  # a reset after the answer, because not all of the request was read
        pass
    return got


def parse(raw: bytes) -> RawAnswer:
    """The first answer in some bytes."""
    if not raw.startswith(b"HTTP/1.1 "):
        return RawAnswer(0, {}, raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return RawAnswer(int(lines[0].split()[1]), headers, body)
