"""A swap to a file that its header gives away: refused while the old model goes on serving, nothing is drained."""

import asyncio
import struct
import sys
from pathlib import Path

import pytest
from chatbot.domain.model import ModelReason, ModelState
from chatbot.llm.supervision.inspection import fault_in_header
from parts.engine_hosts import eventually, running_engine, scripted_engine
from parts.scripted_child import write_script
from parts.toy_gguf import make_toy

A, B = "a" * 16, "b" * 16
SIZES = {"context_tokens": 512, "slots": 2, "kv_tokens": 2048, "threads": 1, "gpu_layers": 0}


def cut(content: bytes, keep: float) -> bytes:
    return content[: int(len(content) * keep)]


def swollen(content: bytes) -> bytes:
    """The number of tensors is one more than there are."""
    (tensors,) = struct.unpack_from("<Q", content, 8)
    return content[:8] + struct.pack("<Q", tensors + 1) + content[16:]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cut in the weights", lambda content: cut(content, 0.6)),
        ("one byte short", lambda content: content[:-40]),
        ("cut in the header", lambda content: content[:700]),
        ("a tensor too many", swollen),
        ("another version", lambda content: content[:4] + struct.pack("<I", 9) + content[8:]),
    ],
)
async def test_running_answers_go_on_when_the_new_file_cannot_be_one(tmp_path: Path, name: str, damage) -> None:
    good = make_toy(tmp_path / "good.gguf")
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(damage(good.read_bytes()))
    async with running_engine(good, A, **SIZES) as engine:
        await engine.serves(A)
        child = engine.host.child()
        running = asyncio.create_task(engine.answer("x", seconds=60, max_tokens=300, temperature=0.0))
        await eventually(child.running_seconds)
        told = len(engine.capacities)
        await engine.host.swap(bad, B)
        await eventually(lambda: engine.host.status().state is ModelState.FAILED)
        status = engine.host.status()

        assert (status.revision, status.expected, status.reason) == (A, B, ModelReason.MODEL_INVALID), name
        assert "download it again" in status.message
        assert engine.host.ready()
        assert engine.host.child() is child, "the same process serves"
        assert all(capacity.open for capacity in engine.capacities[told:]), "it was never closed"
        assert (await running)[1].usage.completion_tokens > 0
        assert engine.host.status().engine_restarts == 0


async def test_file_that_becomes_whole_is_served(tmp_path: Path) -> None:
    good, late = make_toy(tmp_path / "good.gguf"), tmp_path / "late.gguf"
    late.write_bytes(cut(good.read_bytes(), 0.5))
    async with running_engine(good, A, **SIZES) as engine:
        await engine.serves(A)
        await engine.host.swap(late, B)
        await eventually(lambda: engine.host.status().state is ModelState.FAILED)
        late.write_bytes(good.read_bytes())
        await engine.serves(B)

        assert engine.told == (ModelState.SERVING, B, B)


@pytest.mark.parametrize("inspection", ["import os; os.abort()", "print('{')", 'print(\'{"reason": "Nonsense"}\')'])
async def test_inspection_that_fails_leaves_the_judgement_to_the_load(tmp_path: Path, inspection: str) -> None:
    old, new = write_script(tmp_path / "a.gguf"), write_script(tmp_path / "b.gguf")
    async with scripted_engine(old, A, inspection=(sys.executable, "-c", inspection)) as engine:
        await engine.serves(A)
        await engine.host.swap(new, B)
        await engine.serves(B)

        assert engine.told == (ModelState.SERVING, B, B)


async def test_inspection_that_hangs_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    hangs = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(600)"

    fault = await fault_in_header(tmp_path / "x", (sys.executable, "-c", hangs), seconds=5.0)

    assert fault is None
    assert not note.exists() or not Path(f"/proc/{note.read_text()}").exists()  # noqa: ASYNC240
    assert await fault_in_header(tmp_path / "x", ("/no/such/program",)) is None
