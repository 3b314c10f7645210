"""The engine host against an engine process that misbehaves on purpose."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from chatbot.domain.errors import EngineLost, ModelUnavailable, PromptTooLong, TimedOut, Unavailable
from chatbot.domain.generation import FinishReason
from chatbot.domain.model import ModelReason, ModelState
from chatbot.llm.supervision.engine_child import SPINS
from parts.engine_hosts import Engine, eventually, running_engine, scripted_engine
from parts.scripted_child import write_script
from parts.toy_gguf import make_toy

A, B = "a" * 16, "b" * 16


async def test_answers_and_counts(tmp_path):
    model = write_script(tmp_path / "a.gguf", tokens=3, slots=7)

    async with scripted_engine(model) as engine:
        await engine.serves()
        text, end = await engine.answer("x")

        assert text == "x.0 x.1 x.2 "
        assert end.reason is FinishReason.STOP
        assert end.usage.completion_tokens == 3
        assert engine.told == (ModelState.SERVING, A, A)
        assert engine.capacities[-1].open
        assert engine.host.capacity().slots == 7
        assert engine.generator.model().name == "scripted"


@pytest.mark.parametrize("said", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
async def test_threads_of_an_engine_sleep_soon_unless_the_environment_says_otherwise(tmp_path, monkeypatch, said):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)

    async with scripted_engine(write_script(tmp_path / "a.gguf")) as engine:
        await engine.serves()
        environment = psutil.Process(engine.host.child().pid).environ()

    waiting = {name: value for name, value in environment.items() if name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    assert waiting == (said or {"GOMP_SPINCOUNT": str(SPINS)})


async def test_line_is_told_that_there_is_no_model():
    engine = Engine()

    engine.host.no_model("Name one.")

    assert (engine.capacities[-1].open, engine.capacities[-1].opens_in_seconds) == (False, None)
    assert engine.host.status().state is ModelState.NO_MODEL
    assert engine.generator.model() is None


async def test_request_waits_while_the_engine_loads(tmp_path):
    model = write_script(tmp_path / "a.gguf", load_seconds=0.5)

    async with scripted_engine(model) as engine:
        assert not engine.host.ready()
        assert not engine.host.capacity().open
        assert engine.host.capacity().opens_in_seconds > 0
        text, _ = await engine.answer("x")

        assert text.startswith("x.0")


async def test_request_times_out_at_its_deadline_while_the_engine_loads(tmp_path):
    model = write_script(tmp_path / "a.gguf", load_seconds=60)

    async with scripted_engine(model) as engine:
        with pytest.raises(TimedOut):
            await engine.answer("x", seconds=0.3)


@pytest.mark.parametrize("fault", ["garbage", "oversized", "broken_event", "exit"])
async def test_broken_engine_is_lost_once_and_started_again(tmp_path, fault, caplog):
    model = write_script(tmp_path / "a.gguf", on_generate=fault)

    async with scripted_engine(model) as engine:
        await engine.serves()
        first_pid = engine.host.child().pid
        with pytest.raises(EngineLost):
            await engine.answer("secret words")
        write_script(tmp_path / "a.gguf")
        await eventually(lambda: engine.host.child() and engine.host.child().pid != first_pid)
        text, _ = await engine.answer("x")

        assert text.startswith("x.0")
        assert engine.host.status().engine_restarts == 1
        assert engine.told == (ModelState.SERVING, A, A)
    assert "secret words" not in caplog.text


@pytest.mark.parametrize("fault", ["silent", "stuck_step"])
async def test_stuck_engine_is_killed(tmp_path, fault):
    model = write_script(tmp_path / "a.gguf", on_generate=fault)

    async with scripted_engine(model) as engine:
        await engine.serves()
        with pytest.raises(EngineLost):
            await engine.answer("x")

        assert engine.host.ready()  # for a minute


async def test_stopped_engine_is_killed_and_started_again(tmp_path):
    model = write_script(tmp_path / "a.gguf", token_seconds=0.05, tokens=10_000)

    async with scripted_engine(model) as engine:
        await engine.serves()
        running = asyncio.create_task(engine.answer("x", seconds=120))
        await eventually(lambda: engine.host.child().running_seconds())
        os.kill(engine.host.child().pid, signal.SIGSTOP)
        with pytest.raises(EngineLost):
            await running
        assert engine.host.child() is None  # so that a second try waits instead of failing again
        await engine.serves()

        assert engine.host.status().engine_restarts == 1


async def test_load_that_takes_too_long_is_given_up_with_its_reason(tmp_path):
    model = write_script(tmp_path / "a.gguf", load_seconds=60)

    async with scripted_engine(model, load_timeout_seconds=0.5) as engine:
        status = await eventually(lambda: engine.host.status().reason and engine.host.status())

        assert (status.state, status.reason) == (ModelState.FAILED, ModelReason.LOAD_TIMEOUT)
        assert "CHATBOT_ENGINE_LOAD_TIMEOUT_SECONDS" in status.message
        assert not engine.host.ready()


async def test_three_deaths_while_loading_fail_and_a_smoke_answer_mends_it(tmp_path):
    model = write_script(tmp_path / "a.gguf", deaths_loading=3)

    async with scripted_engine(model) as engine:
        status = await eventually(lambda: engine.host.status().reason and engine.host.status())
        refused = engine.host.capacity().opens_in_seconds
        await engine.serves()

        assert (status.state, status.reason) == (ModelState.FAILED, ModelReason.ENGINE_CRASHED)
        assert "exit status 7" in status.message
        assert refused is None
        assert engine.told == (ModelState.SERVING, A, A)
        assert engine.host.status().engine_restarts == 3
        assert engine.host.ready()


async def test_refused_file_is_not_tried_again_until_it_changes(tmp_path):
    model = write_script(tmp_path / "a.gguf", fail=("ModelInvalid", "Bad tensors: download it again."))

    async with scripted_engine(model) as engine:
        await eventually(lambda: engine.host.status().state is ModelState.FAILED)
        status = engine.host.status()
        await asyncio.sleep(2.5)
        loads = int((tmp_path / "a.loads").read_text())
        write_script(tmp_path / "a.gguf", tokens=1)
        await engine.serves()

        assert (status.reason, status.message) == (ModelReason.MODEL_INVALID, "Bad tensors: download it again.")
        assert loads == 1
        assert engine.told == (ModelState.SERVING, A, A)


async def test_file_that_appears_later_is_served(tmp_path):
    async with scripted_engine(tmp_path / "a.gguf") as engine:
        await eventually(lambda: engine.host.status().reason is ModelReason.MODEL_MISSING)
        assert engine.host.capacity().opens_in_seconds is None
        write_script(tmp_path / "a.gguf")
        await engine.serves()


async def test_good_file_that_fails_once_is_tried_again_at_once(tmp_path):
    model = write_script(tmp_path / "a.gguf")

    async with scripted_engine(model) as engine:
        await engine.serves()
        write_script(tmp_path / "a.gguf", fail=("OutOfMemory", "Not yet free."), fail_times=2)
        os.kill(engine.host.child().pid, signal.SIGKILL)
        await eventually(lambda: engine.host.child() is None)
        await engine.serves(seconds=20)

        assert engine.told == (ModelState.SERVING, A, A)


@pytest.mark.parametrize(
    ("fault", "error"), [("error", Unavailable), ("too_long", PromptTooLong)], ids=["error", "too long"]
)
async def test_end_that_the_engine_names_becomes_its_error(tmp_path, fault, error):
    model = write_script(tmp_path / "a.gguf", on_generate=fault)

    async with scripted_engine(model) as engine:
        await engine.serves()
        with pytest.raises(error):
            await engine.answer("x")

        assert engine.host.child() is not None


async def test_answer_ends_at_its_deadline_though_the_engine_does_not_say_so(tmp_path):
    model = write_script(tmp_path / "a.gguf", token_seconds=0.05, tokens=10_000)

    async with scripted_engine(model) as engine:
        await engine.serves()
        text, end = await engine.answer("x", seconds=0.5)

        assert text.startswith("x.0 x.1")
        assert end.reason is FinishReason.LENGTH
        assert end.usage.completion_tokens > 1
        await eventually(lambda: engine.host.stats().get("active") == 0)


async def test_no_token_until_the_deadline_is_a_timeout(tmp_path):
    model = write_script(tmp_path / "a.gguf", on_generate="nothing")

    async with scripted_engine(model) as engine:
        await engine.serves()
        with pytest.raises(TimedOut) as caught:
            await engine.answer("x", seconds=0.2)

        assert caught.value.phase == "generation"


async def test_reader_that_leaves_cancels_in_the_engine(tmp_path):
    model = write_script(tmp_path / "a.gguf", token_seconds=0.05, tokens=10_000)

    async with scripted_engine(model) as engine:
        await engine.serves()
        async with contextlib.aclosing(engine.generator.generate(engine.request("x"))) as events:
            await anext(events)
            await eventually(lambda: engine.host.stats().get("active") == 1)

        assert engine.host.child().running_seconds() == []
        await eventually(lambda: engine.host.stats().get("active") == 0)


async def test_reader_that_stalls_is_cancelled(tmp_path):
    model = write_script(tmp_path / "a.gguf", token_seconds=0.001, tokens=1_000_000, piece="x" * 4000)

    async with scripted_engine(model) as engine:
        await engine.serves()
        async with contextlib.aclosing(engine.generator.generate(engine.request("x"))) as events:
            await anext(events)
            await eventually(lambda: engine.host.child().running_seconds() == [])
            with pytest.raises(Unavailable):
                await anext(events)
        await eventually(lambda: engine.host.stats().get("active") == 0)


async def test_check_counts_only_where_bytes_leave_a_doubt(tmp_path):
    model = write_script(tmp_path / "a.gguf", context_tokens=512)

    async with scripted_engine(model) as engine:
        await engine.generator.check(engine.request("x" * 5000))  # nothing known yet: accepted
        await engine.serves()
        await engine.generator.check(engine.request("x" * 100))
        await engine.generator.check(engine.request("x" * 500))
        with pytest.raises(PromptTooLong) as caught:
            await engine.generator.check(engine.request("x" * 600))

        assert (caught.value.field, caught.value.limits["prompt_tokens"]) == ("question", 600)


async def test_engine_that_ignores_the_end_of_file_is_killed_at_stop(tmp_path):
    model = write_script(tmp_path / "a.gguf", hard_to_end=True)

    async with scripted_engine(model) as engine:
        await engine.serves()
        pid = engine.host.child().pid
        started = time.monotonic()
        await engine.host.stop()

        assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stop_while_loading_leaves_no_process(tmp_path):
    model = write_script(tmp_path / "a.gguf", load_seconds=60)

    async with scripted_engine(model) as engine:
        await eventually(lambda: engine.host.load_fraction() == 0.5)

    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert tasks == []


async def test_command_that_cannot_be_started_is_told_and_tried_again(tmp_path):
    model = write_script(tmp_path / "a.gguf")

    async with running_engine(model, command=(str(tmp_path / "nothing"),)) as engine:
        status = await eventually(lambda: engine.host.status().reason and engine.host.status())

        assert (status.state, status.reason) == (ModelState.FAILED, ModelReason.ENGINE_CRASHED)
        assert "No such file" in status.message


async def test_request_that_waits_for_an_engine_learns_that_the_host_stops(tmp_path):
    model = write_script(tmp_path / "a.gguf", load_seconds=60)

    async with scripted_engine(model) as engine:
        waiting = asyncio.create_task(engine.answer("x"))
        await eventually(lambda: engine.host.load_fraction() == 0.5)
        await engine.host.stop()

        with pytest.raises(ModelUnavailable):
            await waiting


@pytest.mark.parametrize("phase", ["loading", "serving"])
def test_engine_dies_with_a_parent_that_is_killed(tmp_path, phase):
    model = make_toy(tmp_path / "toy.gguf")
    program = f"""
import asyncio, sys
from pathlib import Path
from parts.engine_hosts import Engine, eventually, running_engine

async def main():
    async with running_engine(Path({str(model)!r}), slots=1, context_tokens=512, threads=1) as engine:
        await eventually(lambda: engine.host._process)
        if {phase!r} == "serving":
            await engine.serves()
        print(engine.host._process.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()

    end = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(pid)


def is_alive(pid):
    """Whether it runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
