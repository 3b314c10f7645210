"""What a swap does to requests, readiness and the line in each of its turns, on a process that does as it is told."""

import asyncio
import os
import signal

import pytest
from chatbot.domain.errors import EngineLost
from chatbot.domain.model import ModelReason, ModelState
from parts.engine_hosts import eventually, scripted_engine
from parts.scripted_child import write_script

A, B, C = "a" * 16, "b" * 16, "c" * 16
ENDLESS = {"token_seconds": 0.02, "tokens": 1_000_000}


async def running(engine, text="x", seconds=60):
    """A generation that has begun."""
    task = asyncio.create_task(engine.answer(text, seconds=seconds))
    await eventually(lambda: engine.host.child().running_seconds())
    return task


@pytest.mark.parametrize("ready_during_swap", [True, False])
async def test_running_generation_ends_first_and_a_newcomer_waits(tmp_path, ready_during_swap):
    old = write_script(tmp_path / "a.gguf", token_seconds=0.05, tokens=20)
    new = write_script(tmp_path / "b.gguf", piece="new", load_seconds=0.3)

    async with scripted_engine(old, A, ready_during_swap=ready_during_swap) as engine:
        await engine.serves(A)
        before = await running(engine)
        await engine.host.swap(new, B)
        await eventually(lambda: engine.host.child() is None)
        newcomer = asyncio.create_task(engine.answer("x"))
        said, ready, capacity = engine.told, engine.host.ready(), engine.host.capacity()
        await engine.serves(B)

        assert said == (ModelState.SWAPPING, A, B)
        assert ready is ready_during_swap
        assert (capacity.open, capacity.opens_in_seconds > 0.3) == (False, True)
        assert len((await before)[0].split()) == 20
        assert (await newcomer)[0] == "newnewnew"
        assert engine.told == (ModelState.SERVING, B, B)
        assert engine.host.status().engine_restarts == 0


async def test_going_back_while_draining_keeps_the_engine(tmp_path):
    old = write_script(tmp_path / "a.gguf", **ENDLESS)
    new = write_script(tmp_path / "b.gguf")

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        pid, task = engine.host.child().pid, await running(engine, seconds=2)
        await engine.host.swap(new, B)
        await eventually(lambda: engine.host.child() is None)
        await engine.host.swap(old, A)
        await engine.serves(A)

        assert engine.host.child().pid == pid
        assert engine.told == (ModelState.SERVING, A, A)
        await task


async def test_another_revision_while_one_loads_is_taken_at_once(tmp_path):
    old, third = write_script(tmp_path / "a.gguf"), write_script(tmp_path / "c.gguf", piece="third")
    slow = write_script(tmp_path / "b.gguf", load_seconds=60)

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        await engine.host.swap(slow, B)
        await eventually(lambda: engine.host.load_fraction() == 0.5)
        await engine.host.swap(third, C)
        await engine.serves(C)

        assert engine.told == (ModelState.SERVING, C, C)
        assert (await engine.answer("x"))[0] == "thirdthirdthird"


async def test_model_that_kills_the_engine_three_times_is_taken_back(tmp_path):
    old = write_script(tmp_path / "a.gguf")
    deadly = write_script(tmp_path / "b.gguf", deaths_loading=100)

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        await engine.host.swap(deadly, B)
        await eventually(lambda: engine.host.status().state is ModelState.FAILED)
        await engine.serves(A)
        status = engine.host.status()

        assert (status.state, status.revision, status.expected) == (ModelState.FAILED, A, B)
        assert (status.reason, status.engine_restarts) == (ModelReason.ENGINE_CRASHED, 3)
        assert engine.host.ready()
        assert all(capacity.opens_in_seconds is not None for capacity in engine.capacities)


async def test_one_death_while_loading_does_not_condemn_a_model(tmp_path):
    old = write_script(tmp_path / "a.gguf")
    unlucky = write_script(tmp_path / "b.gguf", deaths_loading=1)

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        await engine.host.swap(unlucky, B)
        await engine.serves(B)

        assert engine.told == (ModelState.SERVING, B, B)


async def test_engine_that_dies_while_draining_is_started_on_the_new_file(tmp_path):
    old = write_script(tmp_path / "a.gguf", **ENDLESS)
    new = write_script(tmp_path / "b.gguf")

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        pid, task = engine.host.child().pid, await running(engine)
        await engine.host.swap(new, B)
        await eventually(lambda: engine.host.child() is None)
        os.kill(pid, signal.SIGKILL)
        await engine.serves(B)

        assert engine.told == (ModelState.SERVING, B, B)
        assert (tmp_path / "a.loads").read_text() == "1"
        with pytest.raises(EngineLost):
            await task


async def test_crash_after_a_failed_swap_keeps_saying_what_was_wrong(tmp_path):
    old = write_script(tmp_path / "a.gguf")
    bad = write_script(tmp_path / "b.gguf", fail=("SmokeEmpty", "Nothing printable: it is no chat model."))

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        await engine.host.swap(bad, B)
        await eventually(lambda: engine.host.status().reason)
        await engine.serves(A)
        os.kill(engine.host.child().pid, signal.SIGKILL)
        await eventually(lambda: engine.host.status().engine_restarts)
        assert engine.host.ready()
        await engine.serves(A)
        status = engine.host.status()

        assert (status.state, status.reason) == (ModelState.FAILED, ModelReason.SMOKE_EMPTY)
        assert (tmp_path / "b.loads").read_text() == "1"


async def test_same_bad_revision_named_again_is_tried_again(tmp_path):
    old = write_script(tmp_path / "a.gguf")
    bad = write_script(tmp_path / "b.gguf", fail=("OutOfMemory", "Too big."), fail_times=1)

    async with scripted_engine(old, A) as engine:
        await engine.serves(A)
        await engine.host.swap(bad, B)
        await eventually(lambda: engine.host.status().reason)
        await engine.serves(A)
        await engine.host.swap(old, A)
        await eventually(lambda: engine.host.status().state is ModelState.SERVING)
        await engine.host.swap(bad, B)
        await engine.serves(B)

        assert engine.told == (ModelState.SERVING, B, B)
