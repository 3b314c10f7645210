"""`chatbot-not-found` as a process, the way a cluster's gateway reaches it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx2
import pytest

START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(**variables: str) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
    return subprocess.Popen(
        [sys.executable, "-c", "from chatbot.not_found import main; main()"],
        env={**inherited, "CHATBOT_HTTP_HOST": "127.0.0.1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.fixture
def serving() -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    port = free_port()
    process = started(CHATBOT_HTTP_PORT=str(port))
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                client.get("/healthz")
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        yield process, client
    process.kill()
    process.communicate()


def test_every_path_is_the_page_and_sigterm_ends_it(serving: tuple[subprocess.Popen[bytes], httpx2.Client]) -> None:
    process, client = serving

    answers = [
        client.get("/"),
        client.post("/office-typo/Llama", json={"input_data": "x"}),
        client.request("PURGE", "/%F0%9F%98%80?canary=1"),
    ]
    health = client.get("/healthz")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=START_SECONDS)

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert health.status_code == 200
    assert all("/office/docs" in answer.json()["docs"] for answer in answers)
    assert process.returncode in (0, -signal.SIGTERM)
    assert b"canary" not in output
    assert b"Traceback" not in output


def test_wrong_setting_is_a_sentence_and_an_exit() -> None:
    process = started(CHATBOT_HTTP_PROT="1")

    output, _ = process.communicate(timeout=START_SECONDS)

    assert process.returncode == 2
    assert b"CHATBOT_HTTP_PORT" in output
    assert b"Traceback" not in output
