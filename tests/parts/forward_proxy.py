"""A real HTTP proxy that leads every host to one port of loopback; and a certificate that a private authority signed.

CONNECT tunnels bytes (RFC 9110, 9.3.6); anything else is a request in absolute form and is sent on as it came.
"""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from parts.waiting import until


@dataclass
class ForwardProxy:
    """The proxy. `asked` has the first line of each request, `carried` the bytes that clients sent through."""

    leads_to: int
    refuses: bytes = b""
    url: str = ""
    open: int = 0
    asked: list[str] = field(default_factory=list)
    carried: bytearray = field(default_factory=bytearray)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b"\r\n")[0].decode())
            if self.refuses:
                writer.write(b"HTTP/1.1 " + self.refuses + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            await self._lead(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open -= 1

    async def _lead(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self.leads_to)
        try:
            if head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                onward.write(head)
            await asyncio.gather(self._carry(reader, onward), _pipe(there, writer))
        finally:
            onward.close()

    async def _carry(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.carried += data
            onward.write(data)
        onward.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def forward_proxy(leads_to: int, refuses: bytes = b"") -> AsyncIterator[ForwardProxy]:
    """A running proxy on a free port of loopback."""
    proxy = ForwardProxy(leads_to, refuses)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await until(lambda: proxy.open == 0)


def private_authority(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate, and a server's context for `host` that it signed. Made by openssl, for a day."""
    ca, ca_key, request, key, certificate = (
        str(folder / name) for name in ("ca.crt", "ca.key", "host.csr", "host.key", "host.crt")
    )
    names = folder / "names"
    names.write_text(f"subjectAltName=DNS:{host}\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        ["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "1", "-subj", "/CN=Test authority"],
        ["req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={host}"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1"]
        + ["-extfile", str(names), "-out", certificate],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)  # noqa: S607
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return Path(ca), context
