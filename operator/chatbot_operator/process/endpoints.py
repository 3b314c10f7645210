"""`/metrics` and `/healthz` on the internal port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from chatbot_operator.process.heartbeat import Heartbeat


@asynccontextmanager
async def endpoints(
    host: str, port: int, registry: CollectorRegistry, heartbeat: Heartbeat
) -> AsyncIterator[web.AppRunner]:
    """Answer while the context lasts.

    Raises:
        OSError: The address is taken or not ours.
    """
    application = web.Application()

    async def metrics(request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = await asyncio.to_thread(encoder, registry)  # of a thousand Models this takes a while
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        silence = f"last sign of life {heartbeat.silence_seconds:.0f} s ago\n"
        return web.Response(text=silence, status=200 if heartbeat.is_alive else 503)

    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", healthz)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner
    finally:
        await runner.cleanup()
