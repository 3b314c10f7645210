"""The gateway of one machine: paths to services, without a network hop, so that a service sees its client leave.

In a cluster an Ingress or an HTTPRoute does the same.
"""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Gateway:
    """Hands `/<name>` and `/<name>/…` to the app of that name, everything else to `otherwise` (ASGI).

    The prefix becomes the scope's `root_path`; `path` stays whole, as the ASGI specification says, so that a prefix
    that comes twice is not taken off twice.
    """

    def __init__(self, services: Mapping[str, ASGIApp], otherwise: ASGIApp) -> None:
        self._services = dict(services)
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request. Websockets are refused; lifespan events are none of its business."""
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        name = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        service = self._services.get(name)
        if service is None:
            await self._otherwise(scope, receive, send)
            return
        await service({**scope, "root_path": f"{scope.get('root_path', '')}/{name}"}, receive, send)


class Prefixed:
    """Gives an app the prefix that a gateway in front has stripped, so that its docs are written with it (ASGI).

    `path` becomes whole again, as a server does it that knows the prefix itself.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            raw_path = self._root_path.encode() + (scope.get("raw_path") or b"")
            scope = {
                **scope,
                "root_path": self._root_path,
                "path": self._root_path + scope["path"],
                "raw_path": raw_path,
            }
        await self._app(scope, receive, send)


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
