"""SIGTERM under load: what was admitted ends well, who comes later is told, nobody is reset, and the exit code is 0."""

import asyncio
import errno
import json
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
from chatbot.server.serving.latecomers import refuse_latecomers
from parts.raw_http import RawAnswer, request, send_raw
from parts.stub_office import Stub, StubOffice, stub_office
from parts.waiting import until

RUNNING, WAITING = 10, 20


def ask(office: StubOffice, number: int, accept: str = "application/json") -> "asyncio.Task[RawAnswer]":
    body = json.dumps({"input_data": "hi", "user_id": f"user-{number}"}).encode()
    return asyncio.create_task(send_raw(office.port, request("POST", "/Llama", body, {"accept": accept}), seconds=60))


async def performance(office: StubOffice) -> dict[str, int]:
    async with httpx.AsyncClient(base_url=office.url, trust_env=False) as client:
        counts: dict[str, int] = (await client.get("/performance")).json()
        return counts


async def test_all_admitted_end_well_and_later_ones_are_told(tmp_path: Path, figures: Callable[..., None]) -> None:
    with stub_office(tmp_path, Stub(slots=RUNNING, pieces=20, piece_seconds=0.1)) as office:
        accepts = ["application/json", "text/event-stream"]
        admitted = [ask(office, number, accepts[number % 2]) for number in range(RUNNING + WAITING)]
        while (await performance(office))["queue_size"] < WAITING:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)

        office.terminate()
        terminated_at = time.monotonic()
        later, refused = await _one_more_each_100_ms(office)
        ended_seconds = time.monotonic() - terminated_at
        answers = await asyncio.gather(*admitted)
        code = await asyncio.to_thread(office.process.wait, 20)

    whole = [answer.body for answer in answers[::2]]
    streams = [answer.body for answer in answers[1::2]]
    counts = Counter(answer.status for answer in later)
    figures(later=dict(counts), refused_connections=refused, drained_seconds=round(ended_seconds, 2), exit_code=code)
    assert {answer.status for answer in answers} == {200}
    assert all(json.loads(body) == "단어 " * 20 for body in whole)
    assert all(b"event: done" in body for body in streams)
    assert set(counts) <= {200, 503} and counts[503] > 10
    assert all(a.headers["retry-after"] == "1" and a.headers["connection"] == "close" for a in later if a.status == 503)
    assert code == 0


async def _one_more_each_100_ms(office: StubOffice) -> tuple[list[RawAnswer], int]:
    """Answers until nobody listens any more; then, how many connections were refused (always the last one)."""
    answers: list[RawAnswer] = []
    number = 1000
    while True:
        number += 1
        try:
            answers.append(await ask(office, number))
        except ConnectionRefusedError:
            return answers, 1
        await asyncio.sleep(0.1)


async def test_a_lame_duck_serves_whoever_still_comes_and_then_refuses(tmp_path: Path) -> None:
    settings = {"CHATBOT_HTTP_LAME_DUCK_SECONDS": "3"}
    with stub_office(tmp_path, Stub(slots=2, pieces=80, piece_seconds=0.1), settings) as office:
        running = ask(office, 1)
        while (await performance(office))["active_requests"] < 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)

        office.terminate()
        async with httpx.AsyncClient(base_url=office.url, trust_env=False) as client:
            while (await client.get("/readyz")).status_code == 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
            late = ask(office, 2, "text/event-stream")
            told = await client.get("/performance")
            while (refused := await client.get("/performance")).status_code == 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        answers = await asyncio.gather(running, late)
        code = await asyncio.to_thread(office.process.wait, 20)

    assert (told.status_code, told.headers["connection"]) == (200, "close")
    assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert [answer.status for answer in answers] == [200, 200] and b"event: done" in answers[1].body
    assert code == 0


async def test_a_lame_duck_stays_though_nothing_runs(tmp_path: Path) -> None:
    """A gateway that has not learned of the end would send the next one into a 503, or to a closed port."""
    settings = {"CHATBOT_HTTP_LAME_DUCK_SECONDS": "3"}
    with stub_office(tmp_path, Stub(slots=1, pieces=1), settings) as office:
        office.terminate()
        await asyncio.sleep(2)
        late = await ask(office, 1)
        code = await asyncio.to_thread(office.process.wait, 20)

    assert (late.status, code) == (200, 0)


async def test_readiness_says_no_and_liveness_yes_while_draining(tmp_path: Path) -> None:
    with stub_office(tmp_path, Stub(slots=1, pieces=20, piece_seconds=0.1)) as office:
        running = ask(office, 1)
        while (await performance(office))["active_requests"] < 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)

        office.terminate()
        async with httpx.AsyncClient(base_url=office.url, trust_env=False) as client:
            while (ready := await client.get("/readyz")).status_code == 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
            alive = await client.get("/healthz")
            metrics = await client.get(f"http://127.0.0.1:{office.metrics_port}/metrics")
        answer = await running

    assert (ready.status_code, ready.json()["code"], ready.headers["retry-after"]) == (503, "draining", "1")
    assert (alive.status_code, metrics.status_code, answer.status) == (200, 200, 200)


async def test_a_storm_of_connections_at_the_end_sees_no_reset(tmp_path: Path, figures: Callable[..., None]) -> None:
    with stub_office(tmp_path, Stub(slots=4, pieces=1)) as office:
        outcomes: Counter[str] = Counter()

        async def client() -> None:
            while True:
                try:
                    answer = await ask(office, 1)
                except ConnectionRefusedError:
                    return
                except OSError as exc:
                    outcomes[type(exc).__name__] += 1
                    return
                outcomes[str(answer.status)] += 1

        storm = [asyncio.create_task(client()) for _ in range(8)]
        await until(lambda: outcomes["200"] > 50)
        office.terminate()
        await asyncio.gather(*storm)
        code = await asyncio.to_thread(office.process.wait, 20)

    figures(**outcomes)
    assert outcomes.keys() <= {"200", "503"} and outcomes["503"] > 0
    assert code == 0


async def test_who_comes_between_the_last_look_and_the_close_is_refused_not_reset() -> None:
    with socket.socket() as late:
        late.setblocking(False)

        class SlowToClose(socket.socket):
            """Preempted before its close, as a process on a busy machine is: the kernel goes on without it."""

            def close(self) -> None:
                late.connect_ex(self.getsockname())
                time.sleep(0.05)
                super().close()

        queue = SlowToClose()
        queue.bind(("127.0.0.1", 0))
        queue.listen()
        await refuse_latecomers([queue], 0.01)

        await asyncio.to_thread(select.select, [], [late], [], 10)
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with stub_office(tmp_path, Stub(slots=1, first_seconds=50)) as office:
        running = ask(office, 1)
        while (await performance(office))["active_requests"] < 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)

        office.terminate()
        await asyncio.sleep(0.2)
        office.terminate()
        await asyncio.to_thread(office.process.wait, 20)
        answer = await running

    assert answer.status != 200
