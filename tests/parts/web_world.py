"""A small internet on loopback: public addresses lead to a site of the test, every other address to a canary.

The servers are real, the names are asked of a real name server; only the last step, which address leads where, is the
test's: nothing here connects to anything but loopback.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore2
from chatbot.adapters.web.guard import GuardedNetwork, resolve
from chatbot.adapters.web.outbound import Outbound, WebBounds

from parts.dns_server import Zone, lookup, name_server

PUBLIC = "93.184.216.34"
DEAD = "93.184.216.35"
"""A public address where nobody answers."""
Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class World(httpcore2.AsyncNetworkBackend):
    """Where addresses lead."""

    zone: Zone
    site_port: int = 0
    canary_port: int = 0
    public: tuple[str, ...] = (PUBLIC, "2606:2800:220:1::1")
    connected: list[str] = field(default_factory=list)
    canaries: int = 0
    requests: list[str] = field(default_factory=list)
    pages: dict[str, bytes | Handler] = field(default_factory=dict)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.connected.append(host)
        if host == DEAD:
            raise httpcore2.ConnectError("nobody there")
        at = self.site_port if host in self.public else self.canary_port
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", at, timeout)

    async def resolve(self, host: str, port: int) -> list[str]:
        """Names of the zone from the name server; what needs none as the machine does."""
        return await lookup(self.zone, host) if host.rstrip(".") in self.zone.names else await resolve(host, port)

    def client(self, bounds: WebBounds | None = None, **options: Any) -> Outbound:
        """A client as the product makes it, in this world."""
        network = GuardedNetwork(options.get("trusted", ()), self.resolve, self)
        return Outbound(network, bounds or WebBounds(seconds=10.0), tls=self.tls, **options)

    async def serve_site(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request to the site: a page is bytes of a whole HTTP answer, or writes what it likes."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((int(line[15:]) for line in head.lower().split("\r\n") if line[:15] == "content-length:"), 0)
            body = (await reader.readexactly(length)).decode() if length else ""
            self.requests.append(head + body)
            page = self.pages.get(head.split(" ")[1].partition("?")[0], response(404, b"", "text/html"))
            if isinstance(page, bytes):
                writer.write(page)
            else:
                await page(head, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def serve_canary(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whoever comes here went where nobody may."""
        self.canaries += 1
        writer.write(response(200, b"secret", "text/html"))
        writer.close()


def response(status: int, body: bytes, media_type: str, *more: str) -> bytes:
    """A whole HTTP answer."""
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    """An answer that leads on."""
    return response(status, b"", "text/html", f"Location: {location}")


@asynccontextmanager
async def web_world() -> AsyncIterator[World]:
    """A world with the name `site.test` and the page `/ok`."""
    async with name_server() as zone:
        world = World(zone)
        zone.names["site.test"] = [[PUBLIC]]
        world.pages["/ok"] = response(200, "<html><body><p>안녕하세요</p></body></html>".encode(), "text/html")
        site = await asyncio.start_server(world.serve_site, "127.0.0.1", 0)
        canary = await asyncio.start_server(world.serve_canary, "127.0.0.1", 0)
        world.site_port = site.sockets[0].getsockname()[1]
        world.canary_port = canary.sockets[0].getsockname()[1]
        try:
            yield world
        finally:
            site.close()
            canary.close()
