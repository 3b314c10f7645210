"""The outermost layer: ids, addresses, headers, drain and the one line per request."""

import json
from ipaddress import ip_network
from typing import Any

import pytest
from chatbot.api.wire.context import context_of
from chatbot.api.wire.front import Front, client_address
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send


class Told:
    """What the front told, as gate and as telemetry."""

    def __init__(self, *, is_draining: bool = False) -> None:
        self.is_draining = self.is_refusing = is_draining
        self.ended: list[tuple[Any, ...]] = []

    def is_ready(self) -> bool:
        return True

    def request_ended(self, service: str, route: str, status: int, outcome: str, seconds: float) -> None:
        self.ended.append((service, route, status, outcome))

    def unknown_fields(self, service: str, count: int) -> None:
        """Not of interest here."""


async def answer_ok(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": context_of(scope).language.encode()})


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("canary")


async def fail_late(scope: Scope, receive: Receive, send: Send) -> None:
    await answer_ok(scope, receive, send)
    raise RuntimeError("canary")


async def served(app: Any, told: Told, path: str = "/Llama", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[Message] = []
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw, "client": ("192.0.2.1", 5)}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Front(app, service="office", gate=told, telemetry=told)(scope, receive, send)
    shown = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], shown, b"".join(message.get("body", b"") for message in sent[1:])


async def test_every_response_carries_id_and_backend() -> None:
    status, headers, body = await served(answer_ok, Told(), accept_language="ja", x_request_id="order-17")

    assert (status, body, headers["x-a"]) == (200, b"ja", "b")
    assert (headers["x-request-id"], headers["x-backend"]) == ("order-17", "llama")


@pytest.mark.parametrize("path", ["/Llama", "/v1/chat/completions"])
async def test_an_unknown_error_is_a_500_of_the_right_shape(path: str, caplog: pytest.LogCaptureFixture) -> None:
    told = Told()

    status, headers, body = await served(fail, told, path)

    parsed = json.loads(body)
    assert status == 500 and b"canary" not in body and "canary" not in caplog.text
    assert (parsed["error"]["type"] == "server_error") if path.startswith("/v1") else parsed["code"] == "internal"
    assert headers["x-request-id"] == (parsed.get("error") or parsed)["request_id"]
    assert told.ended == [("office", "other", 500, "error")]
    assert "fail" in caplog.records[0].__dict__["where"]


async def test_an_error_after_the_answer_is_not_answered_twice() -> None:
    status, _, body = await served(fail_late, Told())

    assert (status, body) == (200, b"ko")


@pytest.mark.parametrize(
    ("path", "status"), [("/Llama", 503), ("/v1/models", 503), ("/healthz", 200), ("/readyz", 200)]
)
async def test_newcomers_are_turned_away_while_draining(path: str, status: int) -> None:
    got, headers, _ = await served(answer_ok, Told(is_draining=True), path)

    assert got == status
    assert headers["connection"] == "close"
    assert headers.get("retry-after") == ("1" if status == 503 else None)


def test_a_forged_line_above_the_proxys_own_is_not_believed() -> None:
    headers = Headers(raw=[(b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-for", b"198.51.100.7")])

    address = client_address({"type": "http", "client": ("10.0.0.1", 1)}, headers, [ip_network("10.0.0.0/8")])

    assert address == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", "198.51.100.7", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
    ],
)
def test_believes_forwarded_addresses_of_trusted_proxies_only(peer: str, forwarded: str, address: str) -> None:
    headers = Headers({"x-forwarded-for": forwarded})
    trusted = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]

    assert client_address({"type": "http", "client": (peer, 1)}, headers, trusted) == address
