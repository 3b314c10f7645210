"""The download container's process is killed on the way, shares its volume, and is no slower than a plain copy."""

import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from parts.file_server import Act, FileServer, serve_file
from parts.toy_gguf import make_toy

PROGRAM = str(Path(sys.executable).parent / "chatbot-download")
PLAIN_COPY = """
import hashlib, os, sys, urllib.request
digest = hashlib.sha256()
with urllib.request.urlopen(sys.argv[1]) as answer, open(sys.argv[2], "wb") as file:
    while chunk := answer.read(1 << 20):
        file.write(chunk)
        digest.update(chunk)
    file.flush()
    os.fsync(file.fileno())
assert digest.hexdigest() == sys.argv[3]
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """About 80 MiB that are a whole GGUF."""
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", n_layers=8, n_embd=512).read_bytes()


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def command(volume: Path, sha256: str, key: str = "key") -> list[str]:
    options = ["--volume", str(volume), "--sha256", sha256, "--allow-network", "127.0.0.0/8", "--partial-key", key]
    return [PROGRAM, "hf://o/r/model.gguf", *options]


def environment(port: int) -> dict[str, str]:
    """The hub is the server of the test: an https:// address would need a certificate."""
    return {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{port}"}


@pytest.mark.parametrize("percent", [1, 25, 50, 75, 99])
def test_a_download_killed_on_its_way_fetches_only_what_had_not_arrived(
    big: bytes, tmp_path: Path, percent: int, figures: Callable[..., None]
) -> None:
    """The server sends so much and waits: what the process has written by then is not asked for again."""
    first = len(big) * percent // 100
    with serve_file(big, Act(stall_after=first)) as server:
        process = subprocess.Popen(
            command(tmp_path, sum_of(big)), env=environment(server.port), stdout=subprocess.DEVNULL
        )
        _until(lambda: server.bytes_sent >= first)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert not list(tmp_path.glob("*/model.gguf"))
        kept = sum(file.stat().st_size for file in tmp_path.glob(".partial/*/model.gguf"))
        done = subprocess.run(
            command(tmp_path, sum_of(big)), env=environment(server.port), capture_output=True, timeout=120
        )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / sum_of(big)[:16] / "model.gguf").read_bytes() == big
    again = server.bytes_sent - len(big)
    assert again == first - kept, "what was kept is asked for again"
    figures(percent=percent, mib=len(big) >> 20, bytes_fetched_again=again)


def test_five_models_with_one_source_share_a_claim_and_a_wrong_sum_spoils_nothing(big: bytes, tmp_path: Path) -> None:
    wrong = "0" * 64
    sums = [sum_of(big)] * 4 + [wrong]
    with serve_file(big) as server:
        processes = [_start(server, command(tmp_path, sha256, f"p{n}")) for n, sha256 in enumerate(sums)]
        ends = [process.communicate(timeout=240)[0].splitlines()[-1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0, 0, 65]
    assert [json.loads(line).get("sha256") for line in ends[:4]] == [sum_of(big)] * 4
    published = [folder.name for folder in tmp_path.iterdir() if not folder.name.startswith(".")]
    assert published == [sum_of(big)[:16]]
    assert (tmp_path / published[0] / "model.gguf").read_bytes() == big
    assert list(tmp_path.glob(".partial/p4/model.gguf")) == [], "what is wrong is never resumed"


def _start(server: FileServer, arguments: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(arguments, env=environment(server.port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.scale
def test_a_download_is_about_as_quick_as_a_plain_copy_with_a_sum(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Measured from the first request to the end of the process, so that the start of Python does not count."""
    content = make_toy(tmp_path / "toy.gguf", n_layers=scale(8, 2), n_embd=scale(512, 2048))
    sha256 = sum_of(content.read_bytes())
    ours, plain = [], []
    with quick_server(content) as (port, asked_at):
        for number in range(scale(1, 7)):
            volume = tmp_path / f"volume-{number}"
            volume.mkdir()
            ours.append(_seconds(command(volume, sha256), port, asked_at))
            copy = [sys.executable, "-c", PLAIN_COPY, f"http://127.0.0.1:{port}/", str(volume / "copy"), sha256]
            plain.append(_seconds(copy, port, asked_at))
            assert (volume / sha256[:16] / "model.gguf").stat().st_size == content.stat().st_size
            for file in (volume / sha256[:16] / "model.gguf", volume / "copy"):
                file.unlink()

    mib = content.stat().st_size / 2**20
    ratio = statistics.median(plain) / statistics.median(ours)
    figures(
        mib=round(mib),
        mib_per_second=round(mib / statistics.median(ours)),
        plain_mib_per_second=round(mib / statistics.median(plain)),
        ratio=round(ratio, 2),
        rounds=len(ours),
    )


def _seconds(arguments: list[str], port: int, asked_at: list[float]) -> float:
    asked_at.clear()
    done = subprocess.run(arguments, env=environment(port), capture_output=True, timeout=300)
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    return ended - asked_at[0]


@contextmanager
def quick_server(file: Path) -> Iterator[tuple[int, list[float]]]:
    """A server whose kernel sends the file; its port, and when requests came."""
    asked_at: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked_at.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            self.wfile.flush()
            with file.open("rb") as stream:
                self.connection.sendfile(stream)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1], asked_at
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.002)
