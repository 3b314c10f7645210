"""The engine process of an embedding model, on real files of random weights."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Purpose
from chatbot.domain.errors import EmbeddingUnavailable, PromptTooLong
from chatbot.domain.model import ModelReason, ModelState
from chatbot.llm.embedding.local import TEXTS_A_FRAME, LocalEmbedding, LocalOptions
from parts.embedding_models import CLS, LAST, MEAN, make_embedding_toy, serving, vectors, within
from parts.engine_hosts import eventually
from parts.toy_gguf import MISTRAL_SPECIALS, make_toy

TEXTS = [
    "연차는 며칠인가요?",
    "회의실 예약",
    "hello world, this is a longer text of some words",
    "a",
    "日本語の文です。",
]


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[LocalEmbedding]:
    async with serving(make_embedding_toy(tmp_path / "model.gguf")) as source:
        yield source


@pytest.mark.parametrize("pooling", [MEAN, LAST], ids=["mean", "last"])
async def test_vector_is_that_of_the_text_alone_and_of_length_one(tmp_path: Path, pooling: int) -> None:
    """Texts of several lengths and requests share steps; none may see another."""
    async with serving(make_embedding_toy(tmp_path / "model.gguf", pooling=pooling)) as source:
        together = await vectors(source, *TEXTS * 5)
        alone = np.concatenate([await vectors(source, text) for text in TEXTS])
        others = np.concatenate(await asyncio.gather(*(vectors(source, text, "그리고") for text in TEXTS)))[::2]

    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.abs(together - np.tile(alone, (5, 1))).max() < 0.01
    assert np.abs(others - alone).max() < 0.01
    between = alone @ alone.T - np.eye(len(TEXTS))
    assert between.max() < 0.9


async def test_model_is_named_by_its_content_and_way_of_pooling(source: LocalEmbedding) -> None:
    model = source.model()

    assert model is not None
    assert model.space == VectorSpace(f"gguf:{'a' * 16}:mean", 128, 1)
    assert (model.name, model.context_tokens, model.may_shorten) == ("toy", 2048, False)
    assert source.serves(model.space)
    assert not source.serves(VectorSpace(model.space.model, 128, 2))


async def test_passage_is_cut_and_plain_text_is_refused_when_it_is_too_long(tmp_path: Path) -> None:
    async with serving(make_embedding_toy(tmp_path / "model.gguf"), context_tokens=32) as source:
        long = "word " * 100

        cut = await source.embed([long, long + "and more"], Purpose.PASSAGE, within())
        with pytest.raises(PromptTooLong) as refused:
            await source.embed(["short", long], Purpose.PLAIN, within())

    assert cut.vectors[0] == cut.vectors[1]
    assert cut.tokens == 64
    assert refused.value.field == "input"
    assert refused.value.limits["context_tokens"] == 32 < int(refused.value.limits["prompt_tokens"])


async def test_vectors_of_the_file_before_are_never_given_for_those_of_the_one_after(tmp_path: Path) -> None:
    """Whoever asked for one space is told that it is gone, also between two frames of the same question."""
    async with serving(make_embedding_toy(tmp_path / "first.gguf")) as source:
        first, texts = source.model(), [f"{number}" for number in range(2 * TEXTS_A_FRAME)]
        assert first is not None
        before = await vectors(source, "연차")
        sent = source.host.child()
        assert sent is not None
        measure, second = sent.measure, make_embedding_toy(tmp_path / "second.gguf", seed=8)

        async def swap_behind(embed_id: str, frame: bytes) -> dict[str, Any]:
            answer = await measure(embed_id, frame)
            await source.host.swap(second, "b" * 16)
            await eventually(lambda: source.host.child() not in (None, sent), 60.0)
            return answer

        sent.measure = swap_behind  # type: ignore[method-assign]
        with pytest.raises(EmbeddingUnavailable):
            await source.embed(texts, Purpose.PLAIN, within())
        with pytest.raises(EmbeddingUnavailable):
            await source.embed(["연차"], Purpose.PASSAGE, within(), first.space)
        after = await vectors(source, "연차")
        now = source.model()

    assert now is not None and now.space == VectorSpace(f"gguf:{'b' * 16}:mean", 128, 1)
    assert not source.serves(first.space)
    assert np.abs(after - before).max() > 0.01


async def test_texts_of_a_family_get_its_words(tmp_path: Path) -> None:
    async with serving(make_embedding_toy(tmp_path / "model.gguf", name="Multilingual-E5 small")) as source:
        asked = await vectors(source, "연차", purpose=Purpose.QUESTION)
        kept = await vectors(source, "연차", purpose=Purpose.PASSAGE)
        plain = await vectors(source, "query: 연차", "passage: 연차", "연차")

    assert np.abs(asked[0] - plain[0]).max() < 0.01
    assert np.abs(kept[0] - plain[1]).max() < 0.01
    assert np.abs(asked[0] - plain[2]).max() > 0.01


async def test_shorter_vectors_are_the_first_numbers(tmp_path: Path) -> None:
    path = make_embedding_toy(tmp_path / "model.gguf")
    async with serving(path) as source:
        whole = (await vectors(source, "연차"))[0]
    async with serving(path, dimensions=32) as source:
        short = (await vectors(source, "연차"))[0]
        model = source.model()

    assert model is not None
    assert model.space.dimensions == len(short) == 32
    assert np.abs(short - whole[:32] / np.linalg.norm(whole[:32])).max() < 0.01


@pytest.mark.parametrize(
    ("pooling", "options", "reason"),
    [
        # The first row of a model that only looks back knows its first token alone.
        (CLS, {}, ModelReason.SMOKE_EMPTY),
        (None, {}, ModelReason.MODEL_INVALID),
        (0, {}, ModelReason.MODEL_INVALID),
        (MEAN, {"nan": True}, ModelReason.SMOKE_NAN),
    ],
    ids=["first row", "says nothing", "none", "nan"],
)
async def test_file_that_gives_no_vectors_is_refused_with_the_remedy(
    tmp_path: Path, pooling: int | None, options: dict[str, bool], reason: ModelReason
) -> None:
    source = LocalEmbedding(LocalOptions())
    await source.host.start(make_toy(tmp_path / "model.gguf", pooling=pooling, **options), "a" * 16)
    try:
        status = await eventually(lambda: source.host.status().state is ModelState.FAILED and source.host.status(), 60)
        with pytest.raises(EmbeddingUnavailable):
            await source.embed(["연차"], Purpose.QUESTION, within(0.1))
    finally:
        await source.close()

    assert status.reason is reason
    if reason is ModelReason.MODEL_INVALID:
        assert "CHATBOT_EMBEDDING_POOLING" in status.message


async def test_pooling_can_be_configured_where_the_file_says_nothing(tmp_path: Path) -> None:
    async with serving(make_toy(tmp_path / "model.gguf"), pooling="last") as source:
        assert len(await vectors(source, "연차")) == 1


async def test_killed_engine_comes_back_and_whoever_waited_is_told(source: LocalEmbedding) -> None:
    before = await vectors(source, "연차")
    first = source.host.child()
    assert first is not None
    asking = asyncio.create_task(source.embed(["연차 " * 300] * 64, Purpose.PASSAGE, within()))
    await asyncio.sleep(0)
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(EmbeddingUnavailable):
        await asking

    again = await vectors(source, "연차")

    second = source.host.child()
    assert second is not None
    assert second.pid != first.pid
    assert np.abs(before - again).max() < 0.01


async def test_question_overtakes_passages(source: LocalEmbedding) -> None:
    done: list[str] = []

    async def ask(name: str, count: int, purpose: Purpose) -> None:
        await source.embed(["연차 규정 " * 8] * count, purpose, within())
        done.append(name)

    passages = [asyncio.create_task(ask(f"passages {number}", 16, Purpose.PASSAGE)) for number in range(4)]
    await asyncio.sleep(0)
    await ask("question", 1, Purpose.QUESTION)
    await asyncio.gather(*passages)

    assert "question" in done[:2]  # the step that ran when it came may have ended a request


async def test_logits_of_the_rows_are_not_computed_where_the_last_one_is_pooled(tmp_path: Path) -> None:
    """They would take 4 bytes a row and token of the vocabulary, twice: here 2 x 1,000 x 18,000 x 4 = 144 MB."""
    path = make_toy(
        tmp_path / "wide.gguf",
        n_vocab=18_000,
        n_layers=1,
        specials=MISTRAL_SPECIALS,
        is_sentencepiece=True,
        pooling=LAST,
    )
    async with serving(path) as source:
        child = source.host.child()
        assert child is not None
        await vectors(source, "word", purpose=Purpose.PASSAGE)
        before = psutil.Process(child.pid).memory_info().rss
        made = await source.embed(["word " * 1000], Purpose.PASSAGE, within())
        after = psutil.Process(child.pid).memory_info().rss

    assert made.tokens > 900
    assert after - before < 60e6


@pytest.mark.scale
async def test_speed_of_a_toy(
    source: LocalEmbedding, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    count = scale(64, 1024)
    began = asyncio.get_running_loop().time()

    made = await source.embed(
        [f"{number}번 규정: 연차는 매년 새로 생깁니다." for number in range(count)], Purpose.PASSAGE, within()
    )

    seconds = asyncio.get_running_loop().time() - began
    assert len(made.vectors) == count
    figures(texts_per_second=round(count / seconds), tokens_per_second=round(made.tokens / seconds))
