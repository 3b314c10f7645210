"""The real engine process killed and stopped under a full line: no waiting request is lost, no text comes twice."""

import asyncio
import os
import random
import signal
import time

import pytest
from chatbot.domain.errors import EngineLost
from parts.answering import Service, percentile
from parts.engine_hosts import eventually, running_engine
from parts.toy_gguf import make_toy

SLOTS, CLIENTS = 4, 16
HEAD_CHARACTERS = 8
LONG = "once upon a time there was a toy " * 24


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", n_layers=4, n_embd=256)


def prompts(user):
    return [f"{LONG} {user} {n}" for n in range(3)]


async def expected_answers(service):
    """What each prompt is answered with by an engine that nobody disturbs."""
    asked = await asyncio.gather(*(service.ask("before", prompt) for n in range(CLIENTS) for prompt in prompts(n)))
    service.asked.clear()
    return {one.prompt: one.whole for one in asked}


def says_twice(one, expected):
    """Whether the client saw more than the answer, or the answer begins a second time inside.

    Not compared to its end: a nearly tied token may fall otherwise where a step has another shape.
    """
    head = expected[:HEAD_CHARACTERS]
    return (
        (one.whole is not None and one.text != one.whole)
        or not head.startswith(one.text[:HEAD_CHARACTERS])
        or head in one.text[1:]
    )


def newest_pid(host):
    return host._process.pid if host._process is not None else None


async def until_in_prefill(service):
    """A moment in which something runs that has not said anything yet."""
    child = await eventually(lambda: service.engine.host.child())
    await eventually(lambda: service.engine.host.child() is not child or min(child.running_seconds(), default=1) < 0.03)


async def kill(service, phase, rng):
    """Kill the engine at a moment of the phase; the line is at least half full.

    Returns:
        Those that waited, and the time of the kill.
    """
    host = service.engine.host
    await eventually(lambda: host.child() is not None, 120)
    await eventually(lambda: len(service.waiting()) >= CLIENTS // 2, 60)
    if phase == "prefill":
        await until_in_prefill(service)
    else:
        await asyncio.sleep(rng.uniform(0.0, 1.0))
    await eventually(lambda: len(service.waiting()) >= CLIENTS // 2, 60)
    pid = newest_pid(host)
    waiting = hit(service, pid, signal.SIGSTOP if phase == "stop" else signal.SIGKILL)
    if phase == "load":
        await eventually(lambda: newest_pid(host) != pid, 30)
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        waiting = hit(service, newest_pid(host), signal.SIGKILL)
    return waiting, time.monotonic()


def hit(service, pid, number):
    """Send the signal; note whom it hits running and who waits."""
    waiting = service.waiting()
    for one in service.asked:
        one.was_hit_running |= one.ended_at is None and one not in waiting
    os.kill(pid, number)
    return waiting


async def recovered(service, killed_at):
    """Seconds until the first text of an answer after the kill."""
    await eventually(lambda: service.engine.host.child() is None, 30)
    await eventually(lambda: service.engine.host.child() is not None, 120)
    await eventually(lambda: any((one.first_text_at or 0) > killed_at for one in service.asked), 120)
    return time.monotonic() - killed_at


@pytest.mark.timeout(1200)
@pytest.mark.scale
async def test_no_waiting_request_is_lost_when_the_engine_is_killed(toy, scale, figures):
    rng = random.Random(11)
    phases = ["stop"] + ["load"] * scale(1, 5) + ["prefill"] * scale(1, 5) + ["any"] * scale(1, 10)
    rng.shuffle(phases)

    async with running_engine(toy, slots=SLOTS, context_tokens=1024, threads=1) as engine:
        await engine.serves()
        service = Service(engine)
        expected = await expected_answers(service)
        clients = [asyncio.create_task(service.client(str(n), prompts(n), streams=n % 2 == 0)) for n in range(CLIENTS)]
        waited, recoveries = [], []
        for phase in phases:
            waiting, killed_at = await kill(service, phase, rng)
            waited.append(waiting)
            recoveries.append(await recovered(service, killed_at))
        service.is_over = True
        await asyncio.gather(*clients)

        lost = [one for waiting in waited for one in waiting if one.whole is None and not one.was_hit_running]
        twice = [one for one in service.asked if says_twice(one, expected[one.prompt])]
        failed = [one for one in service.asked if one.error is not None]
        figures(
            kills=len(phases),
            waiting_min=min(map(len, waited)),
            waiting_lost=len(lost),
            answered=sum(one.whole is not None for one in service.asked),
            broken_off_after_text=sum(bool(one.text) for one in failed),
            broken_off_twice_hit=sum(not one.text for one in failed),
            text_twice=len(twice),
            refused_meanwhile=len(service.refused),
            recovery_p50_s=percentile(recoveries, 0.5),
            recovery_max_s=percentile(recoveries, 1.0),
            restarts=engine.host.status().engine_restarts,
        )
        assert min(map(len, waited)) >= CLIENTS // 2
        assert lost == []
        assert twice == []
        assert all(isinstance(one.error, EngineLost) for one in failed)
