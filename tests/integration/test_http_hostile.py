"""Hundreds of hostile requests through a raw socket: a 4xx with a reason or a closed door, never a 5xx or an echo."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.api.profiles import CHARACTER
from parts.http_service import Service, ServiceOptions, running_service
from parts.raw_http import RawAnswer, request, send_raw

CANARY = "canary7f3a"
MARK = CANARY.encode()
PATHS = ("/Llama", "/OpenAI", "/v1/chat/completions")
PRODUCT: dict[str, Any] = {"input_data": "hi", "user_id": "u", "character_name": "c", "greeting": "", "context": ""}
V1: dict[str, Any] = {"model": "stub", "messages": [{"role": "user", "content": "hi"}]}
VALID = PRODUCT | V1


def broken_bodies() -> Iterator[bytes]:
    """Bodies that are wrong as bytes or as JSON."""
    yield from (b"", b"\x00", b"\xff\xfe", b"null", b"[]", b'"' + MARK + b'"', b"1e999", b"-", b"{", b"}", b'{"')
    yield from (MARK, b'{"' + MARK + b'": NaN}', b'{"input_data": ' + MARK + b"}", b"\xef\xbb\xbf{}")
    for value in (
        b'"\\ud83d"',
        b'"\\udfff' + MARK + b'"',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 6000,
        b"0x10",
        b"tru",
    ):
        for name in (b"input_data", b"user_id", b"messages", b"model", b"x" + MARK):
            yield b'{"%s": %s, "user_id": "u", "input_data": "q"}' % (name, value)
    for opener in (b"[", b'{"a":', b'[{"a":'):
        for depth in (33, 1_000, 20_000):
            yield b'{"input_data": ' + opener * depth
    yield b'{"input_data": "' + MARK + b"\xed\xa0\x80" + b'"}'


def wrong_fields(valid: dict[str, Any]) -> Iterator[bytes]:
    """Objects of which one field is wrong."""
    changes: list[dict[str, Any]] = []
    for name in valid:
        changes += [{name: CANARY + text} for text in ("\x00", "\x1b[2J", "\x7f", "a\x00b", "각" * 20_000)]
        changes += [{name: value} for value in (None, True, 0, -1, 1.5, 10**30, [], [[]], {}, {"$ne": CANARY})]
        changes += [{name: [CANARY]}, {name: {CANARY: CANARY}}]
        yield json.dumps({key: value for key, value in valid.items() if key != name}).encode()
    if "messages" in valid:
        roles = ("system", "tool", CANARY, None, 7)
        changes += [{"messages": [{"role": role, "content": CANARY}]} for role in roles]
        changes += [
            {"n": CANARY},
            {"tools": [CANARY]},
            {"tools": [{"type": "function", "function": {"name": CANARY + "!"}}]},
            {"tools": [{"type": CANARY}]},
            {"tool_choice": CANARY},
            {"tool_choice": {"type": "function", "function": {"name": CANARY}}},
            {"parallel_tool_calls": CANARY},
            {"messages": [{"role": "tool", "tool_call_id": CANARY, "content": CANARY}]},
            {"messages": [{"role": "assistant", "tool_calls": [{"id": CANARY, "function": CANARY}]}]},
            {"stop": [CANARY] * 9},
            {"seed": CANARY},
            {"logit_bias": CANARY},
        ]
    else:
        changes += [{"db_id": "../" + CANARY}, {"db_id": 1}, {"local_only": CANARY}, {"input_data": CANARY * 51}]
    yield from (json.dumps(valid | change).encode() for change in changes)


def heads() -> Iterator[bytes]:
    """Requests that are wrong as HTTP."""
    good = json.dumps(VALID).encode()
    yield from (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n")
    yield from (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 100, MARK * 10 + b"\r\n\r\n")
    for target in (
        "*",
        "//",
        "/" + CANARY,
        "/%ff" + CANARY,
        "/%00" + CANARY,
        "/..%2f..%2f" + CANARY,
        "/Llama?" + CANARY,
    ):
        yield request("GET", target)
        yield request("DELETE", target, good)
    yield b"GET /\xff" + MARK + b" HTTP/1.1\r\nhost: a\r\n\r\n"
    yield request("GET", "http://" + CANARY + "/Llama")
    yield request("GET", "/" + CANARY * 2_000)
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW" + CANARY):
        yield request(method, "/Llama", good)
    for name, value in (
        ("content-type", "text/" + CANARY),
        ("content-type", "application/json; charset=" + CANARY),
        ("content-type", "multipart/form-data; boundary=" + CANARY),
        ("content-encoding", "gzip"),
        ("content-length", "-1"),
        ("content-length", "1" * 30),
        ("content-length", CANARY),
        ("content-length", "999999999"),
        ("transfer-encoding", "gzip"),
        ("transfer-encoding", "chunked, " + CANARY),
        ("transfer-encoding", "chunked"),
        ("authorization", CANARY * 100),
        ("idempotency-key", CANARY + " "),
        ("idempotency-key", CANARY * 20),
        ("x-user-id", "%ff" + CANARY),
        ("x-user-id", "\xff" + CANARY),
        ("x-user-id", ""),
        ("x-request-id", CANARY + "\x0b"),
        ("x-request-id", CANARY * 50),
        ("accept-language", CANARY + ";q=" + CANARY),
        ("accept-language", "q=" * 10_000),
        ("accept", CANARY * 400),
        ("traceparent", "00-" + CANARY),
        ("x-forwarded-for", CANARY),
        ("cookie", CANARY * 5_000),
        ("expect", CANARY),
        ("upgrade", "websocket"),
        ("connection", "close, " + CANARY),
        ("host", CANARY),
    ):
        body = json.dumps(VALID | {"db_id": "d", "input_data": ""}).encode()
        yield request("POST", "/Llama", body, {name: value})
        yield request("GET", "/conversations", b"", {name: value})
    yield request("GET", "/conversations?limit=" + CANARY, b"", {"x-user-id": "u"})
    yield request("GET", "/conversations?after=../" + CANARY, b"", {"x-user-id": "u"})
    yield request("GET", "/conversations/%00" + CANARY, b"", {"x-user-id": "u"})
    yield request("DELETE", "/conversations/" + "x" * 200 + CANARY, b"", {"x-user-id": "u"})
    yield request("GET", "/v1/models/" + CANARY)
    yield b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % number for number in range(5_000)) + b"\r\n"
    yield b"POST /Llama HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    yield b"POST /Llama HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"
    yield b"POST /Llama HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n" + MARK + b"\r\n"
    yield b"GET / HTTP/1.1\r\nhost: a\r\n" + MARK + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nhost: a\r\nx: \x00" + MARK + b"\r\n\r\n"


def cuts() -> Iterator[bytes]:
    """Requests that have no end."""
    good = request("POST", "/Llama", json.dumps(VALID).encode())
    yield from (good[:length] for length in range(1, len(good), 7))
    yield from (b"\r\n\r\n", request("POST", "/Llama", MARK, {"content-length": "999"}))
    yield b"POST /Llama HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n" + MARK


def is_refusal(answer: RawAnswer) -> bool:
    """A 4xx, or an end without an answer."""
    return answer.status == 0 or 400 <= answer.status < 500


async def check(service: Service, raw: bytes, log: pytest.LogCaptureFixture, *, cut: bool = False) -> str | None:
    """What was wrong with the answer to a hostile request, if anything.

    Args:
        service: Who answers.
        raw: The request.
        log: What it logged.
        cut: Whether the request has no end; then the client ends it.
    """
    log.clear()
    try:
        answer = await send_raw(service.port, raw, end=cut)
    except TimeoutError:
        return f"no end to {raw[:120]!r}"
    told = answer.body + "".join(f"{name}: {value}\n" for name, value in answer.headers.items()).encode()
    if not is_refusal(answer):
        return f"{answer.status} to {raw[:120]!r}"
    if not cut and answer.status == 0:
        return f"no answer to {raw[:120]!r}"
    if MARK in told.replace(b"x-request-id: " + MARK, b""):
        return f"echo to {raw[:120]!r}"
    if any(CANARY in record.getMessage() or CANARY in str(record.__dict__.get("where")) for record in log.records):
        return f"log line for {raw[:120]!r}"
    return None


@pytest.mark.parametrize("path", PATHS)
async def test_every_hostile_body_is_refused_with_a_reason(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with running_service(tmp_path, ServiceOptions(profile=CHARACTER)) as service:
        found = [
            problem
            for body in (*broken_bodies(), *wrong_fields(V1 if path.startswith("/v1") else PRODUCT))
            if (problem := await check(service, request("POST", path, body), caplog))
        ]

        assert found == []
        assert service.generator.requests == []


async def test_every_hostile_request_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with running_service(tmp_path) as service:
        found = [problem for raw in heads() if (problem := await check(service, raw, caplog))]
        found += [problem for raw in cuts() if (problem := await check(service, raw, caplog, cut=True))]

        assert found == []
        assert service.generator.requests == []


async def test_ten_megabytes_are_refused_at_once_and_the_connection_stays_in_order(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        raw = request("POST", "/Llama", b"x" * 10 * 2**20, {"connection": "keep-alive"})

        answer = await send_raw(service.port, raw + request("GET", "/healthz"))

    assert answer.status == 413
    assert json.loads(answer.body.split(b"HTTP/1.1")[0])["code"] == "body_too_large"
    assert b"HTTP/1.1 200 OK" in answer.body


async def test_an_endless_body_is_cut(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            b"POST /Llama HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        sent = 0
        async with asyncio.timeout(30):
            try:
                while not reader.at_eof() and sent < 512 * 2**20:
                    writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    await writer.drain()
                    sent += 65536
            except ConnectionError:
                pass
        writer.transport.abort()

    assert sent <= 64 * 2**20
