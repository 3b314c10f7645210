from typing import Any

import pytest
from chatbot.server.gateway import Gateway, Prefixed
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Recorder:
    """An app that notes the scope it was given."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


async def ask(app: ASGIApp, path: str, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": kind, "method": "GET", "path": path, "root_path": "", "headers": []}
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("path", "served_by"),
    [
        ("/office", "office"),
        ("/office/", "office"),
        ("/office/Llama", "office"),
        ("/character/docs", "character"),
        ("/officer", "otherwise"),
        ("/Office/Llama", "otherwise"),
        ("/", "otherwise"),
        ("", "otherwise"),
        ("*", "otherwise"),
        ("//office/Llama", "otherwise"),
        ("/x/office", "otherwise"),
    ],
)
async def test_path_goes_to_its_service(path: str, served_by: str) -> None:
    apps = {name: Recorder() for name in ("office", "character", "otherwise")}
    gateway = Gateway({"office": apps["office"], "character": apps["character"]}, apps["otherwise"])

    await ask(gateway, path)

    assert [name for name, app in apps.items() if app.scopes] == [served_by]
    assert apps[served_by].scopes[0]["root_path"] == ("" if served_by == "otherwise" else f"/{served_by}")


async def test_prefix_is_taken_off_once() -> None:
    async def say(request: Request) -> JSONResponse:
        return JSONResponse(request.url.path)

    service = Router([Route("/Llama", say)])
    gateway = Gateway({"office": service}, Recorder())

    statuses = [(await ask(gateway, path))[0]["status"] for path in ("/office/Llama", "/office/office/Llama")]

    assert statuses == [200, 404]


async def test_prefix_that_a_gateway_stripped_is_given_back() -> None:
    async def say(request: Request) -> JSONResponse:
        return JSONResponse(request.scope["root_path"])

    app = Prefixed(Router([Route("/Llama", say)]), "/office")

    sent = {path: await ask(app, path) for path in ("/Llama", "/office/Llama")}

    assert [messages[0]["status"] for messages in sent.values()] == [200, 404]
    assert sent["/Llama"][1]["body"] == b'"/office"'


async def test_websocket_is_refused() -> None:
    sent = await ask(Gateway({"office": Recorder()}, Recorder()), "/office", kind="websocket")

    assert sent == [{"type": "websocket.close", "code": 1008}]
