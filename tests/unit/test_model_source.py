"""Which file is served: a fixed path, or what a folder of revisions names."""

import asyncio
import hashlib
import json
import os
from datetime import UTC, datetime

import pytest
from chatbot.domain.model import ModelReason, ModelState, ModelStatus
from chatbot.llm.model_source import FixedModel, FollowedModel
from chatbot.llm.supervision.model_file import fault_at_a_glance, sha256_of

A, B = "0123456789abcdef", "fedcba9876543210"


class RecordingHost:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []
        self.state = ModelState.LOADING

    async def start(self, path, revision="", sha256=""):
        self.heard.append(("start", str(path), revision, sha256))

    async def swap(self, path, revision, sha256=""):
        self.heard.append(("swap", str(path), revision, sha256))

    def no_model(self, message):
        self.heard.append(("no_model", message))

    def identify(self, path, sha256):
        self.heard.append(("identify", str(path), sha256))

    def status(self):
        return ModelStatus(self.state, "", "", datetime.now(UTC))


@pytest.fixture
def host():
    return RecordingHost()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "info").mkdir()
    return tmp_path


def followed(folder):
    return FollowedModel(folder / "models", folder / "info")


async def test_follows_the_named_revision(folder, host):
    source = followed(folder)

    for revision in (A, A, B + "\n", B):
        (folder / "info/model-revision").write_text(revision)
        await source.look(host)

    assert host.heard == [
        ("start", str(folder / "models" / A / "model.gguf"), A, ""),
        ("swap", str(folder / "models" / B / "model.gguf"), B, ""),
    ]


async def test_starts_with_the_good_revision_and_then_ignores_it(folder, host):
    source = followed(folder)
    (folder / "info/good-revision").write_text(A)
    (folder / "info/model-revision").write_text("")

    await source.look(host)
    (folder / "info/good-revision").write_text(B)
    await source.look(host)
    (folder / "info/model-revision").write_text(B)
    await source.look(host)

    assert [(kind, revision) for kind, _, revision, _ in host.heard] == [("start", A), ("swap", B)]


async def test_keeps_serving_when_the_revision_is_taken_away(folder, host):
    source = followed(folder)
    (folder / "info/model-revision").write_text(A)
    await source.look(host)

    (folder / "info/model-revision").unlink()
    await source.look(host)

    assert len(host.heard) == 1


async def test_says_what_to_do_until_something_is_named(folder, host):
    source = followed(folder)

    await source.look(host)
    (folder / "info/model-revision").write_text(A)
    await source.look(host)

    assert [heard[0] for heard in host.heard] == ["no_model", "start"]
    assert "CHATBOT_MODEL_PATH" in host.heard[0][1]


@pytest.mark.parametrize(
    "text",
    ["../../etc/passwd", "0123456789ABCDEF", A + "0", A[:-1], "/etc/passwd\0", f"{A}/../{B}", f"{A}\n{B}", "\xff" * 16],
    ids=["traversal", "upper case", "long", "short", "absolute", "nested", "two lines", "not ASCII"],
)
async def test_never_makes_a_path_of_what_is_no_revision(folder, host, text, caplog):
    source = followed(folder)
    (folder / "info/model-revision").write_bytes(text.encode("latin-1"))

    await source.look(host)
    await source.look(host)

    assert [heard[0] for heard in host.heard] == ["no_model", "no_model"]
    assert len([record for record in caplog.records if "16 lower-case hex" in record.getMessage()]) == 1
    assert text not in caplog.text


async def test_sees_the_symlink_swap_of_a_projected_volume(folder, host):
    for name, revision in (("one", A), ("two", B)):
        (folder / name).mkdir()
        (folder / name / "model-revision").write_text(revision)
    info = folder / "info"
    (info / "..data").symlink_to(folder / "one")
    (info / "model-revision").symlink_to(info / "..data/model-revision")
    source = followed(folder)

    await source.look(host)
    (info / "new").symlink_to(folder / "two")
    os.replace(info / "new", info / "..data")
    await source.look(host)

    assert [heard[2] for heard in host.heard] == [A, B]


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ({"sha256": A + "0" * 48}, A + "0" * 48),
        ({"sha256": B + "0" * 48}, ""),
        ({"sha256": A}, ""),
        ({"sha256": 7}, ""),
        ([], ""),
    ],
    ids=["fits", "of another revision", "short", "no text", "no object"],
)
async def test_believes_a_published_sum_that_fits(folder, host, told, believed):
    (folder / "info/model-revision").write_text(A)
    (folder / "models" / A).mkdir(parents=True)
    (folder / "models" / A / "revision.json").write_text(json.dumps(told))

    await followed(folder).look(host)

    assert host.heard[0][3] == believed


async def test_fixed_file_is_started_first_and_summed_beside(folder, host):
    path = folder / "model.gguf"
    path.write_bytes(b"GGUF" + b"x" * 3_000_000)
    seen = []

    await FixedModel(path, lambda done, total: seen.append((done, total))).look(host)

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert host.heard == [("start", str(path), "", ""), ("identify", str(path), sha256)]
    assert len(seen) == 3
    assert seen[-1] == (3_000_004, 3_000_004)


async def test_fixed_file_that_comes_later_is_summed_then(folder, host):
    path = folder / "model.gguf"
    source = FixedModel(path)
    host.state = ModelState.FAILED

    for content in (None, b"GGUFfirst", b"GGUFfirst", b"GGUFsecond"):
        if content is not None and not (path.exists() and path.read_bytes() == content):
            path.write_bytes(content)
        await source.look(host)

    sums = [heard[2] for heard in host.heard if heard[0] == "identify"]
    assert sums == [hashlib.sha256(content).hexdigest() for content in (b"GGUFfirst", b"GGUFsecond")]


async def test_served_fixed_file_keeps_its_sum_when_another_lies_there(folder, host):
    path = folder / "model.gguf"
    source = FixedModel(path)
    path.write_bytes(b"GGUFfirst")
    await source.look(host)

    host.state = ModelState.SERVING
    path.write_bytes(b"GGUFsecond")
    await source.look(host)

    assert [heard[0] for heard in host.heard] == ["start", "identify"]


async def test_following_goes_on_after_a_look_that_failed(folder, host):
    (folder / "info/model-revision").write_text(A)
    is_started = asyncio.Event()
    failures = [RuntimeError("can't start new thread")]

    async def start(path, revision="", sha256=""):
        if failures:
            raise failures.pop()
        is_started.set()

    host.start = start

    following = asyncio.create_task(FollowedModel(folder / "models", folder / "info", poll_seconds=0).follow(host))
    async with asyncio.timeout(20):
        await is_started.wait()
    following.cancel()


def test_sum_of_a_file_that_is_not_there_is_empty(folder):
    assert sha256_of(folder / "nothing") == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, ModelReason.MODEL_MISSING), (b"", ModelReason.MODEL_INVALID), (b"<html>", ModelReason.MODEL_INVALID)],
    ids=["missing", "empty", "another kind"],
)
def test_glance_tells_the_reason_and_the_remedy(folder, content, reason):
    path = folder / "model.gguf"
    if content is not None:
        path.write_bytes(content)

    fault = fault_at_a_glance(path)

    assert fault is not None
    assert fault.reason is reason
    assert ":" in fault.message


def test_glance_finds_a_folder_unreadable_and_a_model_fine(folder):
    (folder / "model.gguf").write_bytes(b"GGUFrest")

    assert fault_at_a_glance(folder / "model.gguf") is None
    assert fault_at_a_glance(folder).reason is ModelReason.MODEL_MISSING
