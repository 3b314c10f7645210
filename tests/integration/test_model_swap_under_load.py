"""Models swapped under clients that never stop asking, some of them to files that are broken."""

import asyncio
import contextlib
import random
import shutil
import time

import pytest
from chatbot.domain.model import ModelState
from chatbot.llm.model_source import FollowedModel
from parts.answering import Service, percentile
from parts.engine_hosts import eventually, running_engine
from parts.toy_gguf import make_toy

CLIENTS = 8
GOOD = ("a" * 16, "b" * 16)
BROKEN = {"c" * 16: "truncated", "d" * 16: "wrong magic", "e" * 16: "NaN", "f" * 16: "missing", "0" * 16: "empty"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for revision in (*GOOD, *BROKEN):
        (folder / revision).mkdir()
    for n, revision in enumerate(GOOD):
        make_toy(folder / revision / "model.gguf", seed=n)
    whole = (folder / GOOD[0] / "model.gguf").read_bytes()
    (folder / ("c" * 16) / "model.gguf").write_bytes(whole[: len(whole) // 2])
    (folder / ("d" * 16) / "model.gguf").write_bytes(b"GGML" + whole[4:])
    make_toy(folder / ("e" * 16) / "model.gguf", nan=True)
    (folder / ("0" * 16) / "model.gguf").write_bytes(b"")
    return folder


@contextlib.asynccontextmanager
async def following(models, info, **options):
    """A service whose model follows the folder, from the first good revision on."""
    info.mkdir()
    (info / "model-revision").write_text(GOOD[0])
    async with running_engine(models / GOOD[0] / "model.gguf", GOOD[0], **options) as engine:
        source = asyncio.create_task(FollowedModel(models, info, poll_seconds=0.05).follow(engine.host))
        await engine.serves(GOOD[0])
        yield engine
        source.cancel()
        await asyncio.wait([source])


def settled(engine, revision):
    """What is said once the swap is over, else None."""
    status = engine.host.status()
    is_over = status.expected == revision and engine.host.child() is not None
    return status if is_over and (status.revision == revision or status.state is ModelState.FAILED) else None


def plan(rng, good, broken):
    """Good ones in turn, each a change; broken ones strewn in."""
    wanted = [GOOD[(n + 1) % 2] for n in range(good)]
    kinds = list(BROKEN)
    for n in range(broken):
        wanted.insert(rng.randrange(len(wanted)), kinds[n % len(kinds)])
    return wanted


@pytest.mark.timeout(1200)
@pytest.mark.scale
async def test_no_request_fails_while_models_are_swapped(models, tmp_path, scale, figures):
    rng = random.Random(5)
    wanted = plan(rng, scale(3, 15), scale(2, 5))

    async with following(models, tmp_path / "info", slots=4, context_tokens=1024, threads=1) as engine:
        service = Service(engine)
        clients = [
            asyncio.create_task(service.client(str(n), [f"tell me {n} {i}" for i in range(3)], streams=n % 2 == 0))
            for n in range(CLIENTS)
        ]
        said, seconds = [], []
        for revision in wanted:
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            started = time.monotonic()
            (tmp_path / "info" / "model-revision").write_text(revision)
            status = await eventually(lambda r=revision: settled(engine, r), 120)
            seconds.append(time.monotonic() - started)
            said.append(f"{BROKEN.get(revision, 'good')}={status.state}{f'/{status.reason}' if status.reason else ''}")
        service.is_over = True
        await asyncio.gather(*clients)

        failed = [one for one in service.asked if one.error is not None]
        promises = engine.reopenings()
        waits = [one.ended_at - one.accepted_at for one in service.asked]
        figures(
            swaps=len(wanted),
            broken=sum(revision in BROKEN for revision in wanted),
            requests=len(service.asked),
            failed=len(failed),
            refused=len(service.refused),
            longest_s=percentile(waits, 1.0),
            swap_p50_s=percentile(seconds, 0.5),
            swap_max_s=percentile(seconds, 1.0),
            reopens_told_p50_s=percentile([told for told, _ in promises], 0.5),
            reopens_took_p50_s=percentile([took for _, took in promises], 0.5),
            said=sorted(set(said)),
        )
        assert failed == []
        assert engine.host.status().engine_restarts == 0
        assert promises and all(told is not None for told, _ in promises)
        assert all(("good=serving" in line) or ("=failed/" in line) for line in said)


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("c" * 16, "ModelInvalid"),
        ("d" * 16, "ModelInvalid"),
        ("e" * 16, "SmokeNaN"),
        ("f" * 16, "ModelMissing"),
        ("0" * 16, "ModelInvalid"),
    ],
    ids=list(BROKEN.values()),
)
async def test_bad_revision_is_taken_back_and_told(models, tmp_path, revision, reason):
    async with following(models, tmp_path / "info", slots=2, context_tokens=512, threads=1) as engine:
        before, _ = await engine.answer("tell me", temperature=0.0, max_tokens=8)
        (tmp_path / "info" / "model-revision").write_text(revision)
        status = await eventually(lambda: settled(engine, revision), 60)
        after, _ = await engine.answer("tell me", temperature=0.0, max_tokens=8)

        assert (status.state, status.reason, status.revision) == (ModelState.FAILED, reason, GOOD[0])
        assert ":" in status.message or ";" in status.message
        assert engine.host.ready()
        assert after == before

        (tmp_path / "info" / "model-revision").write_text(GOOD[1])
        status = await eventually(lambda: settled(engine, GOOD[1]), 60)
        assert (status.state, status.reason, status.message) == (ModelState.SERVING, None, "")


async def test_revision_that_arrives_late_is_served_without_a_new_word(models, tmp_path):
    late = tmp_path / "models"
    shutil.copytree(models / GOOD[0], late / GOOD[0])

    async with following(late, tmp_path / "info", slots=2, context_tokens=512, threads=1) as engine:
        (tmp_path / "info" / "model-revision").write_text(GOOD[1])
        await eventually(lambda: settled(engine, GOOD[1]))
        shutil.copytree(models / GOOD[1], late / GOOD[1])
        await engine.serves(GOOD[1])

        assert engine.told == (ModelState.SERVING, GOOD[1], GOOD[1])
