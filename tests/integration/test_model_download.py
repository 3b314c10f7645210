"""A model from a URL: servers that cut, lie, stall and change give the right file or a clean failure."""

import hashlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from chatbot.adapters.model_download import DownloadFailed, DownloadPolicy, Phase, Progress, download, folder_of
from parts.file_server import Act, FileServer, serve_file

CONTENT = b"GGUF" + random.Random(1).randbytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POLICY = DownloadPolicy(stall_seconds=0.3, first_delay_seconds=0.0, spare_bytes=0)


def fetch(files: FileServer, cache: Path, sha256: str = "", policy: DownloadPolicy = POLICY) -> Path:
    return download(files.url, cache, sha256=sha256, policy=policy, sleep=lambda _: None)


def left_behind(cache: Path) -> set[str]:
    """Names of files that could be taken for a model."""
    return {path.name for path in cache.rglob("*.gguf")}


@pytest.mark.parametrize(
    "acts",
    [
        (),
        (Act(cut_after=100_000),),
        (Act(cut_after=1),),
        (Act(cut_after=100_000), Act(cut_after=50_000), Act(cut_after=200_000)),
        (Act(cut_after=100_000), Act(ignores_range=True)),
        (Act(cut_after=100_000), Act(ignores_range=True, cut_after=20_000)),
        (Act(cut_after=100_000), Act(shifts_range=5)),
        (Act(cut_after=100_000, etag='"old"'),),
        (Act(cut_after=100_000, etag=None),),
        (Act(stall_after=100_000),),
        (Act(status=503), Act(status=429), Act(status=500)),
        (Act(cut_after=len(CONTENT) - 1),),
    ],
    ids=[
        *("honest", "cut", "cut at once", "cut thrice", "200 for a range", "200 for a range and cut"),
        *("range from elsewhere", "changed meanwhile", "no validator", "stalls", "in trouble", "cut before the end"),
    ],
)
def test_right_file_arrives(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    with serve_file(CONTENT, *acts) as files:
        path = fetch(files, tmp_path, SHA256)

    assert path.read_bytes() == CONTENT
    assert left_behind(tmp_path) == {"model.gguf"}


def test_only_what_is_missing_is_fetched_again(tmp_path: Path) -> None:
    with serve_file(CONTENT, Act(cut_after=300_000)) as files:
        fetch(files, tmp_path)

        assert files.bytes_sent == len(CONTENT)
        assert files.requests[1]["range"] == "bytes=300000-"
        assert files.requests[1]["if-range"] == '"one"'
        assert files.requests[1]["accept-encoding"] == "identity"


def test_interrupted_download_goes_on_in_the_next_run(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done_bytes > 100_000:
            raise KeyboardInterrupt

    with serve_file(CONTENT) as files:
        with pytest.raises(KeyboardInterrupt):
            download(files.url, tmp_path, on_progress=interrupt, policy=POLICY)
        assert left_behind(tmp_path) == set()

        path = fetch(files, tmp_path, SHA256)

        assert path.read_bytes() == CONTENT
        assert "range" in files.requests[-1]


def test_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    with serve_file(CONTENT) as files:
        fetch(files, tmp_path)
        fetch(files, tmp_path, SHA256)

        assert len(files.requests) == 1


def test_whole_partial_needs_no_more_than_an_answer(tmp_path: Path) -> None:
    with serve_file(CONTENT) as files:
        folder = folder_of(files.url, tmp_path)
        path = fetch(files, tmp_path)
        path.rename(folder / "model.gguf.partial")
        (folder / "model.gguf.partial.json").write_text(f'{{"validator": "\\"one\\"", "total_bytes": {len(CONTENT)}}}')

        assert fetch(files, tmp_path).read_bytes() == CONTENT
        assert files.bytes_sent == len(CONTENT)


@pytest.mark.parametrize(
    ("content", "acts", "said"),
    [
        (CONTENT, (Act(status=404),), "404"),
        (CONTENT, (Act(status=401),), "401"),
        (CONTENT, (Act(status=302, location="/model.gguf"),) * 9, "circles"),
        (CONTENT, (Act(encoding="gzip"),), "compressed"),
        (b"<!doctype html><title>Sign in</title>", (), "/resolve/"),
        (b"GG", (), "no GGUF|hangs up"),
        (b"", (), "no GGUF|hangs up"),
        (CONTENT, (Act(status=503),) * 20, "503"),
        (CONTENT, (Act(cut_after=0),) * 20, "breaks off|hangs up"),
        (
            CONTENT,
            (Act(cut_after=100_000), *(Act(shifts_range=1), Act(cut_after=100_000)) * 20),
            "contradicts|breaks off|hangs up",
        ),
        (CONTENT, (Act(stall_after=0),) * 20, "stalls"),
    ],
    ids=[
        *("404", "401", "redirects for ever", "compressed", "a web page", "two bytes", "empty", "always 503"),
        *("always cut", "always another range", "always stalls"),
    ],
)
def test_what_cannot_come_fails_with_its_reason(
    tmp_path: Path, content: bytes, acts: tuple[Act, ...], said: str
) -> None:
    with serve_file(content, *acts) as files, pytest.raises(DownloadFailed, match=said):
        fetch(files, tmp_path)

    assert left_behind(tmp_path) == set()


def test_changed_byte_is_noticed_and_deleted(tmp_path: Path) -> None:
    with serve_file(CONTENT, Act(flips_byte=200_000)) as files:
        with pytest.raises(DownloadFailed, match="sha256"):
            fetch(files, tmp_path, SHA256)
        assert left_behind(tmp_path) == set()

        assert fetch(files, tmp_path, SHA256).read_bytes() == CONTENT


def test_server_that_is_not_there_fails_cleanly(tmp_path: Path) -> None:
    with serve_file(CONTENT) as files:
        pass

    with pytest.raises(DownloadFailed, match="reached"):
        fetch(files, tmp_path)


def test_too_little_space_is_said_before_a_byte_is_written(tmp_path: Path) -> None:
    with serve_file(CONTENT) as files, pytest.raises(DownloadFailed, match="disk space"):
        fetch(files, tmp_path, policy=DownloadPolicy(spare_bytes=1 << 62))

    assert not any(path.stat().st_size for path in tmp_path.rglob("*.partial"))


def test_second_process_does_not_mix_in(tmp_path: Path) -> None:
    refused: list[DownloadFailed] = []

    def try_too(_: Progress) -> None:
        if not refused:
            with pytest.raises(DownloadFailed) as second:
                fetch(files, tmp_path)
            refused.append(second.value)

    with serve_file(CONTENT) as files:
        path = download(files.url, tmp_path, on_progress=try_too, policy=POLICY)

    assert "another process" in str(refused[0])
    assert path.read_bytes() == CONTENT


def test_progress_grows_to_the_whole(tmp_path: Path) -> None:
    seen: list[Progress] = []

    with serve_file(CONTENT, Act(cut_after=100_000)) as files:
        download(files.url, tmp_path, sha256=SHA256, on_progress=seen.append, policy=POLICY, sleep=lambda _: None)

    for phase in Phase:
        done = [progress.done_bytes for progress in seen if progress.phase is phase]
        assert done == sorted(done)
        assert done[-1] == len(CONTENT)
        assert {progress.total_bytes for progress in seen} == {len(CONTENT)}


def _waits() -> tuple[list[float], Callable[[float], None]]:
    waits: list[float] = []
    return waits, waits.append


def test_waits_grow_and_stay_bounded(tmp_path: Path) -> None:
    waits, sleep = _waits()

    with serve_file(CONTENT, *(Act(status=503),) * 20) as files, pytest.raises(DownloadFailed):
        download(files.url, tmp_path, policy=DownloadPolicy(fruitless_tries=9), sleep=sleep)

    assert len(waits) == 8
    assert 0.5 <= waits[0] <= 1.0
    assert 15.0 <= waits[-1] <= 30.0


def test_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with serve_file(CONTENT) as files:
        path = fetch(files, tmp_path)

    assert path.stat().st_mode & 0o077 == 0
    assert threading.active_count() < 50
