"""A proxy in front of the API server that counts calls and kills the operator after one of its writes.

Plain HTTP on loopback, so that the operator's calls can be read; everything, the login too, is passed on.
"""

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

import aiohttp
from aiohttp import web

from parts.kube_client import Login

_HOP_BY_HOP = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-encoding"}
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}


class Moment(Enum):
    """When the operator dies: both leave the write in the API server."""

    AFTER_THE_RESPONSE = "after"
    BEFORE_THE_RESPONSE = "before"


class WatchFault(Enum):
    """What goes wrong with watches."""

    SILENT = "they stay open and tell nothing"
    GONE_STATUS = "each is answered with the status 410"
    GONE_EVENT = "each tells an ERROR with the code 410 and ends"
    EXPIRED = "each asks from a version that the API server has long forgotten; it answers itself"


class ApiProxy:
    """Passes calls on.

    Attributes:
        url: Where it listens.
        writes: `METHOD path` of every write so far, Events not counted: they change no object.
        calls: How many calls of each kind, `METHOD plural`; a watch counts once.
        faulty_watches: How many watches were hit by a fault.
        expired_watches: How many watches the API server itself ended with a 410.
        answers: How many calls of each verb and resource got which status, in the words of RBAC.
        delay_seconds: Every answer comes so much later.
        is_undiscoverable: While true, nobody can ask which resources there are, so Kopf cannot begin.
        watch_fault: What goes wrong with watches now.
        pod_log: What every pod's log says, "" for what the API server answers: fake nodes keep no logs.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._kill: tuple[int, Moment, Callable[[], None]] | None = None
        self._watches: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.url = ""
        self.writes: list[str] = []
        self.calls: Counter[str] = Counter()
        self.answers: Counter[tuple[str, str, int]] = Counter()
        self.delay_seconds = 0.0
        self.is_undiscoverable = False
        self.watch_fault: WatchFault | None = None
        self.faulty_watches = 0
        self.expired_watches = 0
        self.pod_log = ""

    def kill_after(self, number: int, moment: Moment, kill: Callable[[], None]) -> None:
        """Call `kill` once, at the given write counted from now on."""
        self._kill = (len(self.writes) + number, moment, kill)

    def cut(self) -> None:
        """End all watches that run."""
        assert self._loop is not None
        for task in list(self._watches):
            self._loop.call_soon_threadsafe(task.cancel)

    async def run(self, ready: threading.Event, over: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        context = ssl.create_default_context(cafile=self._login.ca_file)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
            application = web.Application(client_max_size=16 * 2**20)

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._pass(request, session)

            application.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await over.wait()
            await runner.cleanup()

    async def _pass(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = f"{self._login.server}{request.raw_path}"
        self.calls[f"{request.method} {_plural(request.path)}"] += 1
        if self.is_undiscoverable and request.path in ("/api", "/apis"):
            return web.json_response({"kind": "Status", "code": 415}, status=415)
        if self.pod_log and request.path.endswith("/log"):
            return web.Response(text=self.pod_log)
        if "watch=true" in request.query_string and self.watch_fault is not None:
            self.faulty_watches += 1
            if self.watch_fault in (WatchFault.GONE_STATUS, WatchFault.GONE_EVENT):
                return _gone(self.watch_fault)
            if self.watch_fault is WatchFault.EXPIRED:
                url = re.sub(r"resourceVersion=\d+", "resourceVersion=1", url)
        return await self._forward(request, session, url, headers)

    async def _forward(
        self, request: web.Request, session: aiohttp.ClientSession, url: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        body = await request.read()
        no_type = ("Content-Type",)  # an empty body has none; the API server refuses an invented one
        async with session.request(
            request.method, url, data=body or None, headers=headers, skip_auto_headers=no_type
        ) as answer:
            verb, resource = _in_words_of_rbac(request)
            self.answers[verb, resource, answer.status] += 1
            if verb == "patch" and answer.status == 201:  # an apply that made the object: asked for both rights
                self.answers["create", resource, answer.status] += 1
            if "watch=true" in request.query_string:
                return await self._stream(request, answer)
            content = await answer.read()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            response = web.Response(status=answer.status, body=content, content_type=answer.content_type)
            return await self._killing(request, response, answer.status)

    async def _killing(self, request: web.Request, response: web.Response, status: int) -> web.StreamResponse:
        """Answer; where this is the write to die at, the operator never sees the answer, or dies right after it."""
        if request.method not in _WRITES or status >= 400 or "/events" in request.path:
            return response
        self.writes.append(f"{request.method} {request.path}")
        if self._kill is None or len(self.writes) != self._kill[0]:
            return response
        _, moment, kill = self._kill
        self._kill = None
        if moment is Moment.BEFORE_THE_RESPONSE:
            await asyncio.to_thread(kill)
            return response
        await response.prepare(request)
        await response.write_eof()
        await asyncio.to_thread(kill)
        return response

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            async for piece in answer.content.iter_any():
                if self.watch_fault is WatchFault.SILENT:
                    continue
                self.expired_watches += b'"type":"ERROR"' in piece and b'"code":410' in piece
                await response.write(piece)
        except ConnectionError:
            pass
        finally:
            self._watches.discard(task)
        return response


def _gone(fault: WatchFault) -> web.Response:
    """What an API server says of a version that it has forgotten.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
    """
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "too old resource version: 1 (2)",
        "reason": "Expired",
        "code": 410,
    }
    if fault is WatchFault.GONE_STATUS:
        return web.json_response(status, status=410)
    return web.json_response({"type": "ERROR", "object": status})


def _in_words_of_rbac(request: web.Request) -> tuple[str, str]:
    """Verb and resource of a call; `discover` is what everybody may do: look which kinds there are.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
    """
    parts = request.path.strip("/").split("/")
    if "namespaces" not in parts:
        return "discover", request.path
    is_named = len(parts) > parts.index("namespaces") + 3
    if request.method == "GET":
        verb = "watch" if "watch=true" in request.query_string else "get" if is_named else "list"
    else:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "other")
    return verb, _plural(request.path)


def _plural(path: str) -> str:
    parts = path.strip("/").split("/")
    rest = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
    return "/".join([rest[0], *rest[2:]]) if rest else path


@contextmanager
def api_proxy(login: Login) -> Iterator[ApiProxy]:
    """A proxy in a thread of its own, while the context lasts."""
    proxy, ready, over = ApiProxy(login), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(proxy.run(ready, over))
        loop.run_until_complete(_end_all(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=20)


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """End what connections of killed clients have left."""
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
