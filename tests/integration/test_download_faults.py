"""The downloader against servers that lie, connections that end and processes that die."""

import hashlib
import ipaddress
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot_operator.download.faults import DownloadFault, Reason
from chatbot_operator.download.fetch import Transport
from chatbot_operator.download.guard import Reach
from chatbot_operator.download.kind import Kind
from chatbot_operator.download.source import MountedSource, RemoteSource, parse
from chatbot_operator.download.task import Download, Order
from chatbot_operator.download.volume import RevisionRecord, Volume
from parts.file_server import Act, FileServer, serve_file
from parts.toy_gguf import make_toy

LOOPBACK = Reach(allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),))


class Silent:
    """A progress that nobody looks at."""

    def update(self, done_bytes: int, total_bytes: int | None, attempt: int) -> None: ...

    def interrupted(self, reason: str, message: str) -> None: ...

    def finish(self) -> None: ...


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf").read_bytes()


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Remembering(Silent):
    """A progress that remembers what went wrong."""

    def __init__(self) -> None:
        self.troubles: list[str] = []

    def interrupted(self, reason: str, message: str) -> None:
        self.troubles.append(f"{reason}: {message}")


def download(
    volume: Path,
    source: RemoteSource | MountedSource,
    sha256: str = "",
    stall_seconds: float = 20.0,
    token: str = "",
    kind: Kind | None = None,
) -> RevisionRecord:
    order = Order(url="https://example.org/a.gguf", source=source, sha256=sha256, partial_key="key", kind=kind)
    task = Download(order, Volume(volume), Transport(LOOPBACK, stall_seconds=stall_seconds, token=token), Silent())
    task.sleep = lambda _seconds: None
    return task.run()


def remote(server: FileServer) -> RemoteSource:
    return RemoteSource(server.url, "127.0.0.1")


@pytest.mark.parametrize(
    "acts",
    [
        pytest.param((), id="honest"),
        pytest.param((Act(cut_after=100_000),), id="cut once"),
        pytest.param((Act(cut_after=100_000), Act(cut_after=0), Act(cut_after=50_000)), id="cut three times"),
        pytest.param((Act(cut_after=100_000), Act(ignores_range=True)), id="200 for a range"),
        pytest.param((Act(cut_after=100_000), Act(shifts_range=7)), id="another range than asked"),
        pytest.param((Act(cut_after=100_000, etag='"old"'),), id="changed between two tries"),
        pytest.param((Act(cut_after=100_000, etag=None), Act(etag=None)), id="no validator"),
        pytest.param((Act(status=503), Act(status=429), Act(status=500)), id="errors that pass"),
        pytest.param((Act(encoding="gzip"),), id="claims to compress"),
    ],
)
@pytest.mark.parametrize("verified", [True, False], ids=["sha256", "unverified"])
def test_right_file_in_the_end(acts: tuple[Act, ...], verified: bool, model: bytes, tmp_path: Path) -> None:
    with serve_file(model, *acts) as server:
        record = download(tmp_path, remote(server), sum_of(model) if verified else "")

    assert record.sha256 == sum_of(model)
    assert (tmp_path / record.sha256[:16] / "model.gguf").read_bytes() == model


def test_complete_partial_is_not_fetched_again(model: bytes, tmp_path: Path) -> None:
    partial = tmp_path / ".partial" / "key"
    partial.mkdir(parents=True)
    (partial / "model.gguf").write_bytes(model)
    (partial / "source.json").write_text(json.dumps({"url": "https://example.org/a.gguf", "validator": '"one"'}))

    with serve_file(model) as server:
        record = download(tmp_path, remote(server), sum_of(model))

    assert record.size_bytes == len(model)
    assert server.bytes_sent == 0


def test_whole_revision_asks_nobody(model: bytes, tmp_path: Path) -> None:
    with serve_file(model) as server:
        download(tmp_path, remote(server), sum_of(model))
        asked = len(server.requests)

        download(tmp_path, remote(server), sum_of(model))

        assert len(server.requests) == asked


def test_stall_is_cut_and_resumed(model: bytes, tmp_path: Path) -> None:
    with serve_file(model, Act(stall_after=100_000)) as server:
        record = download(tmp_path, remote(server), sum_of(model), stall_seconds=0.3)

    assert record.sha256 == sum_of(model)
    assert server.requests[1]["range"] == "bytes=100000-"


@pytest.mark.parametrize("where", [0, 30_000, -1], ids=["first", "middle", "last"])
def test_flipped_byte_is_never_published(where: int, model: bytes, tmp_path: Path) -> None:
    with serve_file(model, Act(flips_byte=where % len(model))) as server, pytest.raises(DownloadFault) as fault:
        download(tmp_path, remote(server), sum_of(model))

    assert (fault.value.reason, fault.value.exit_status) == (Reason.CHECKSUM, 65)
    assert sum_of(model) in str(fault.value)
    assert not list(tmp_path.glob("*/model.gguf")) and not list(tmp_path.glob(".partial/*/model.gguf"))


def test_file_that_is_no_model_is_never_published(tmp_path: Path) -> None:
    page = b"<html>not a model</html>" * 1000
    with serve_file(page) as server, pytest.raises(DownloadFault) as fault:
        download(tmp_path, remote(server))

    assert (fault.value.reason, fault.value.exit_status) == (Reason.NOT_GGUF, 65)


def test_file_of_the_other_kind_is_never_published(tmp_path: Path) -> None:
    model = make_toy(tmp_path / "toy.gguf", pooling=3).read_bytes()
    with serve_file(model) as server, pytest.raises(DownloadFault) as fault:
        download(tmp_path / "volume", remote(server), sum_of(model), kind="Chat")

    assert (fault.value.reason, fault.value.exit_status) == (Reason.WRONG_KIND, 65)
    assert not list(tmp_path.glob("volume/*/model.gguf")) and not list(tmp_path.glob("volume/.partial/*/model.gguf"))


def test_file_that_another_model_brought_for_its_kind_stays_and_is_not_taken_for_this_one(tmp_path: Path) -> None:
    model = make_toy(tmp_path / "toy.gguf", pooling=3).read_bytes()
    with serve_file(model) as server:
        download(tmp_path / "volume", remote(server), sum_of(model), kind="Embedding")
        with pytest.raises(DownloadFault) as fault:
            download(tmp_path / "volume", remote(server), sum_of(model), kind="Chat")

    assert fault.value.reason is Reason.WRONG_KIND
    assert [file.read_bytes() == model for file in tmp_path.glob("volume/*/model.gguf")] == [True]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, Reason.UNAUTHORIZED), (403, Reason.UNAUTHORIZED), (404, Reason.NOT_FOUND), (400, Reason.BAD_URL)],
)
def test_refusal_is_asked_once(status: int, reason: Reason, model: bytes, tmp_path: Path) -> None:
    with serve_file(model, Act(status=status)) as server, pytest.raises(DownloadFault) as fault:
        download(tmp_path, remote(server))

    assert (fault.value.reason, fault.value.exit_status) == (reason, 64)
    assert len(server.requests) == 1


def test_server_that_never_recovers_ends_in_a_retryable_fault(model: bytes, tmp_path: Path) -> None:
    with serve_file(model, *[Act(status=503)] * 20) as server, pytest.raises(DownloadFault) as fault:
        download(tmp_path, remote(server))

    assert (fault.value.reason, fault.value.exit_status) == (Reason.SERVER_ERROR, 75)


def test_redirect_to_another_host_never_sees_the_token(model: bytes, tmp_path: Path) -> None:
    with serve_file(model) as other:
        there = other.url.replace("127.0.0.1", "127.0.0.2")
        with serve_file(model, Act(status=302, location=there)) as first:
            download(tmp_path, remote(first), sum_of(model), token="hf_canary")  # noqa: S106 - a canary

    assert first.requests[0]["authorization"] == "Bearer hf_canary"
    assert all("authorization" not in request for request in other.requests)


@pytest.mark.parametrize("target", ["http://10.0.0.1/a", "http://169.254.169.254/latest", "file:///etc/passwd", ""])
def test_redirect_into_the_private_network_is_refused(target: str, model: bytes, tmp_path: Path) -> None:
    with (
        serve_file(model, Act(status=302, location=target)) as server,
        pytest.raises(DownloadFault) as fault,
    ):
        download(tmp_path, remote(server))

    assert (fault.value.reason, fault.value.exit_status) == (Reason.NOT_ALLOWED, 64)


def test_redirects_in_a_circle_end(model: bytes, tmp_path: Path) -> None:
    with serve_file(model, *[Act(status=302, location="/again")] * 20) as server, pytest.raises(DownloadFault):
        download(tmp_path, remote(server))

    assert len(server.requests) <= 8


def test_mounted_file_is_copied_and_verified(model: bytes, tmp_path: Path) -> None:
    mount, volume = tmp_path / "source", tmp_path / "models"
    mount.mkdir()
    volume.mkdir()
    (mount / "a.gguf").write_bytes(model)
    order = Order("pvc://c/a.gguf", parse("pvc://c/a.gguf"), sum_of(model), "key", source_mount=mount)

    record = Download(order, Volume(volume), Transport(LOOPBACK), Silent()).run()

    assert (volume / record.sha256[:16] / "model.gguf").read_bytes() == model


def _command(server: FileServer, volume: Path, sha256: str) -> list[str]:
    """The installed command, its hub pointed at the server (an https:// address would need a certificate)."""
    program = str(Path(sys.executable).parent / "chatbot-download")
    options = ["--volume", str(volume), "--sha256", sha256, "--allow-network", "127.0.0.0/8"]
    return [program, "hf://o/r/model.gguf", *options]


def _environment(server: FileServer) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.port}"}


def test_killed_download_fetches_little_again(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    content = make_toy(tmp_path / "big.gguf", n_layers=scale(4, 8), n_embd=512).read_bytes()
    volume = tmp_path / "models"
    volume.mkdir()
    rng, kills = random.Random(3), scale(5, 20)

    with serve_file(content) as server:
        server.script = [Act(stall_after=len(content) // (kills + 1)) for _ in range(kills)]  # never the whole file
        for _ in range(kills):
            asked = len(server.requests)
            process = subprocess.Popen(
                _command(server, volume, sum_of(content)), env=_environment(server), stdout=subprocess.DEVNULL
            )
            _wait_until(lambda asked=asked: len(server.requests) > asked)
            time.sleep(rng.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert not list(volume.glob("*/model.gguf"))
        done = subprocess.run(
            _command(server, volume, sum_of(content)), env=_environment(server), capture_output=True, timeout=60
        )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["sha256"] == sum_of(content)
    assert (volume / sum_of(content)[:16] / "model.gguf").read_bytes() == content
    figures(kills=kills, bytes_sent_per_byte=round(server.bytes_sent / len(content), 3))


def test_five_at_once_publish_one_right_file(model: bytes, tmp_path: Path) -> None:
    with serve_file(model) as server:
        commands = [[*_command(server, tmp_path, sum_of(model)), "--partial-key", f"p{n}"] for n in range(5)]
        processes = [
            subprocess.Popen(c, env=_environment(server), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for c in commands
        ]
        results = [(p.wait(60), p.stderr.read() if p.stderr else b"") for p in processes]
        for process in processes:
            assert process.stderr is not None
            process.stderr.close()

    assert [status for status, _ in results] == [0] * 5, results
    assert (tmp_path / sum_of(model)[:16] / "model.gguf").read_bytes() == model


def test_result_is_one_short_json_object_in_the_termination_log(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    with serve_file(b"x", Act(status=404)) as server:
        command = [*_command(server, tmp_path, "0" * 64), "--termination-log", str(log)]
        done = subprocess.run(command, env=_environment(server), capture_output=True, timeout=60)

    assert done.returncode == 64
    assert json.loads(log.read_text())["reason"] == "NotFound"
    assert b"Traceback" not in done.stderr


def _wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_failure_is_told_before_it_is_tried_again(model: bytes, tmp_path: Path) -> None:
    progress = Remembering()
    with serve_file(model, Act(status=503), Act(cut_after=100_000)) as server:
        order = Order(url="https://example.org/a.gguf", source=remote(server), sha256="", partial_key="key")
        task = Download(order, Volume(tmp_path), Transport(LOOPBACK), progress)
        task.sleep = lambda _seconds: None
        task.run()

    assert [line.split(":")[0] for line in progress.troubles] == ["ServerError", "Unreachable"]
