"""The engine host on uvloop, which the services run on: it has its own processes, sockets and clocks."""

import asyncio
import os
import signal

import uvloop
from chatbot.domain.model import ModelState
from parts.engine_hosts import eventually, scripted_engine
from parts.scripted_child import write_script


def test_engine_lives_dies_and_comes_back_on_uvloop(tmp_path):
    model = write_script(tmp_path / "a.gguf")

    async def scene():
        async with scripted_engine(model) as engine:
            await engine.serves()
            before, _ = await engine.answer("x")
            pid = engine.host.child().pid
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: engine.host.status().engine_restarts == 1)
            await engine.serves()
            after, _ = await engine.answer("x")
            return before, after, engine.host.child().pid, engine.host.status().state

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, after, pid, state = runner.run(scene())

    assert before == after == "x.0 x.1 x.2 "
    assert state is ModelState.SERVING
    assert not os.path.exists(f"/proc/{pid}")
