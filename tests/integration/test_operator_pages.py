"""The operator asks pods what they serve; an answer that is lost once changes nothing."""

import asyncio
from typing import Any

import pytest
from chatbot_operator.cluster.served import ModelPages

PAGE = b'{"state": "serving", "revision": "aaaaaaaaaaaaaaaa"}'
POD: dict[str, Any] = {"metadata": {"uid": "u", "namespace": "space", "name": "pod"}, "status": {"podIP": "127.0.0.1"}}


@pytest.mark.parametrize(("lost", "is_heard"), [(0, True), (1, True), (2, False)])
async def test_one_lost_answer_is_asked_for_again_and_two_are_silence(lost: int, is_heard: bool) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if asked > lost else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(PAGE), PAGE))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    pages = ModelPages(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{{name}}", timeout_seconds=20)
    try:
        found = await pages.ask([POD])
    finally:
        await pages.close()
        server.close()

    assert ("u" in found) == is_heard
    assert asked == min(lost + 1, 2)


async def test_the_wait_for_ones_turn_is_no_silence() -> None:
    """Ten pods, one at a time, half a second each: together longer than any of them may take, even asked twice."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{{name}}"
    pages = ModelPages(url, timeout_seconds=2, most_at_once=1)
    try:
        found = await pages.ask([{**POD, "metadata": {**POD["metadata"], "uid": str(number)}} for number in range(10)])
    finally:
        await pages.close()
        server.close()

    assert len(found) == 10
    assert asked >= 10
