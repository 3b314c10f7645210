"""Connections that are slow, silent, old-fashioned or in a hurry; and starts that cannot work."""

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from chatbot.api.wire import guard
from chatbot.server.serving import protocol
from parts.http_service import ServiceOptions, running_service
from parts.raw_http import parse, request, send_raw
from parts.stub_generator import StubGenerator

BODY = json.dumps({"input_data": "hi", "user_id": "u"}).encode()


@pytest.mark.parametrize(
    "sent", [b"", b"POST /Llama HTTP/1.1\r\nhost: a\r\nx-", b"\r\n"], ids=["nothing", "head", "line"]
)
async def test_a_connection_that_does_not_get_on_is_closed(
    sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.2)
    async with running_service(tmp_path) as service:
        answer = await send_raw(service.port, sent, seconds=5)

    assert answer.body == b""


async def test_a_body_that_trickles_is_answered_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "READ_TIMEOUT_SECONDS", 0.2)
    async with running_service(tmp_path) as service:
        answer = await send_raw(service.port, request("POST", "/Llama", BODY, {"content-length": "999"}), seconds=5)

    assert (answer.status, json.loads(answer.body)["code"]) == (408, "body_timeout")


async def test_a_connection_may_be_used_again_and_in_advance(tmp_path: Path) -> None:
    both = request("POST", "/Llama", BODY, {"connection": "keep-alive"}) + request("GET", "/healthz")
    async with running_service(tmp_path) as service:
        answer = await send_raw(service.port, both)

    first, second = answer.body.split(b"HTTP/1.1", 1)
    assert json.loads(first) == "안녕하세요!"
    assert parse(b"HTTP/1.1" + second).status == 200


async def test_what_is_written_is_sent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first event of a stream waits 40 ms for the client to acknowledge the head."""
    made: list[int] = []
    begin = protocol.BoundedProtocol.connection_made

    def connection_made(self: protocol.BoundedProtocol, transport: asyncio.BaseTransport) -> None:
        begin(self, transport)
        accepted = transport.get_extra_info("socket")
        made.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(protocol.BoundedProtocol, "connection_made", connection_made)
    async with running_service(tmp_path) as service:
        await send_raw(service.port, request("GET", "/healthz"))

    assert made and all(made)


async def test_a_flood_of_requests_in_advance_is_not_read_while_one_is_answered(tmp_path: Path) -> None:
    options = ServiceOptions(generator=StubGenerator(first_seconds=60))
    async with running_service(tmp_path, options) as service:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        one = request("POST", "/Llama", BODY, {"connection": "keep-alive"})
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                while sent < 64 * 2**20:
                    writer.write(one * 100)
                    await writer.drain()
                    sent += len(one) * 100
        writer.transport.abort()

    assert len(service.generator.requests) == 1


async def test_asks_for_the_body_only_where_it_is_wanted(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(request("POST", "/Llama", b"", {"content-length": str(len(BODY)), "expect": "100-continue"}))
        went_on = await reader.readuntil(b"\r\n\r\n")
        writer.write(BODY)
        rest = await reader.read()
        writer.close()
        large = await send_raw(
            service.port, request("POST", "/Llama", b"", {"content-length": "9999999", "expect": "100-continue"})
        )

    assert went_on.startswith(b"HTTP/1.1 100 ")
    assert parse(rest).status == 200
    assert large.status == 413


async def test_the_old_protocol_is_understood(tmp_path: Path) -> None:
    raw = request("POST", "/Llama", BODY).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with running_service(tmp_path) as service:
        answer = await send_raw(service.port, raw)

    assert json.loads(answer.body) == "안녕하세요!"


def start(**environ: str) -> "subprocess.CompletedProcess[str]":
    command = Path(sys.executable).with_name("chatbot-office")
    return subprocess.run([command], env=environ, capture_output=True, text=True, timeout=60)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start(CHATBOT_HTTP_HOST="127.0.0.1", CHATBOT_HTTP_PORT=str(port))

    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("CHATBOT_AUTH_KEYS_FILE", {}),
        ("CHATBOT_MONGODB_URI_FILE", {"CHATBOT_HISTORY_STORE": "mongodb"}),
    ],
)
def test_a_file_that_is_missing_is_named(name: str, others: dict[str, str], tmp_path: Path) -> None:
    ended = start(**{name: str(tmp_path / "missing")}, **others)

    assert ended.returncode == 2
    assert name in ended.stderr and "Traceback" not in ended.stderr
