"""Debian's redis-server, in memory, on a free port; or a Redis or Valkey of `CHATBOT_TEST_REDIS_URL`.

Of a server that is given, accounts of limits, or conversations, are dropped before and after each test.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from parts.kube_cluster import free_ports
from parts.needs import need

HOW = "apt-get install redis-server (or `make deps`)"


class RedisServer:
    """The server as a process that can be stopped, started again on its port, and suspended."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._program = need("redis-server", HOW)
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(8)
        self.port = 0

    @property
    def url(self) -> str:
        """With its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port it had before."""
        for _ in range(5):  # somebody may have taken the port meanwhile
            self.port = self.port or free_ports(1)[0]
            self._process = subprocess.Popen(
                [
                    *(self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", self.password),
                    *("--save", "", "--appendonly", "no", "--dir", str(self._folder), *self._options),
                ],
                stdout=subprocess.DEVNULL,
            )
            if self._answers():
                return
            self.stop()
            self.port = 0
        raise AssertionError("redis-server did not start")

    def _answers(self) -> bool:
        deadline = time.monotonic() + 60
        with Redis.from_url(self.url) as client:
            while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
                try:
                    return bool(client.ping())
                except NotThere:
                    time.sleep(0.02)
        return False

    def stop(self) -> None:
        """Kill it; its data is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=10)

    def suspend(self) -> None:
        """Stop the process with SIGSTOP: connections stay open, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # a signal takes its time

    def resume(self) -> None:
        """Let a suspended process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server of one's own."""
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis_url(folder: Path) -> Iterator[str]:
    """URL of the user's Redis or Valkey, else of a server started here."""
    given = os.environ.get("CHATBOT_TEST_REDIS_URL")
    if given:
        yield given
        return
    with running_redis(folder) as server:
        yield server.url


@contextmanager
def empty_accounts(url: str) -> Iterator[None]:
    """Accounts of limits that did not exist before and do not afterwards."""
    with _empty(url, "chatbot:limits:*"):
        yield


@contextmanager
def empty_history(url: str) -> Iterator[None]:
    """Conversations that did not exist before and do not afterwards."""
    with _empty(url, "chatbot:history:*"):
        yield


@contextmanager
def _empty(url: str, pattern: str) -> Iterator[None]:
    with Redis.from_url(url) as client:
        _drop(client, pattern)
        yield
        _drop(client, pattern)


def _drop(client: Redis, pattern: str) -> None:
    for key in client.scan_iter(pattern):
        client.delete(key)
