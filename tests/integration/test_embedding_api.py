"""Vectors of an OpenAI-compatible API, over real sockets: what is asked, what is believed, and when nobody is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Purpose
from chatbot.domain.errors import EmbeddingUnavailable, InvalidInput, PromptTooLong
from chatbot.llm.embedding.remote import TEXTS_A_CALL, RemoteEmbedding, RemoteOptions
from parts import openai_stub as stub
from parts.embedding_models import within
from parts.openai_stub import Behaviour, OpenAIStub, Talk

KEY = "sk-embeddingcanary"


def vectors(dimensions: int = 4, *, backwards: bool = False, **changes: Any) -> Behaviour:
    """As the API does: text n points into direction n."""

    async def answer(talk: Talk) -> None:
        texts = talk.asked.body["input"]
        rows = [
            {
                "object": "embedding",
                "index": place,
                "embedding": [float(place % dimensions == n) * 3 for n in range(dimensions)],
            }
            for place in range(len(texts))
        ]
        usage = {"prompt_tokens": 2 * len(texts), "total_tokens": 2 * len(texts)}
        told = {"object": "list", "model": "m", "data": rows[::-1] if backwards else rows, "usage": usage}
        await talk.json(200, told | changes)

    return answer


@asynccontextmanager
async def source_of(**options: Any) -> AsyncIterator[tuple[RemoteEmbedding, OpenAIStub]]:
    async with stub.openai_stub() as server:
        server.then(vectors())
        source = RemoteEmbedding(RemoteOptions(**({"base_url": server.base_url, "model": "bge-m3"} | options)))
        try:
            yield source, server
        finally:
            await source.close()


async def test_texts_go_in_batches_with_the_key_and_the_words_of_the_family(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    async with source_of(model="intfloat/multilingual-e5-large", api_key_file=key) as (source, server):
        before = source.model()
        made = await source.embed([f"text {n}" for n in range(TEXTS_A_CALL + 6)], Purpose.PASSAGE, within())
        await source.embed(["연차?"], Purpose.QUESTION, within())
        await source.embed(["연차?"], Purpose.PLAIN, within())
        model = source.model()

    assert before is None
    assert model is not None
    assert model.space == VectorSpace("api:intfloat/multilingual-e5-large", 4, 1)
    inputs = [call.body["input"] for call in server.calls]
    assert [len(texts) for texts in inputs] == [TEXTS_A_CALL, 6, 1, 1]
    assert inputs[0][1] == "passage: text 1"
    assert inputs[2:] == [["query: 연차?"], ["연차?"]]
    assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    assert {call.path for call in server.calls} == {"/v1/embeddings"}
    assert {"dimensions"} & set(server.calls[0].body) == set()
    assert made.tokens == 2 * (TEXTS_A_CALL + 6)
    assert len(made.vectors) == TEXTS_A_CALL + 6
    assert np.frombuffer(made.vectors[1] or b"", "<f4").tolist() == [0, 1, 0, 0]  # of length 1 again


async def test_vectors_are_put_into_the_order_of_the_texts() -> None:
    async with source_of() as (source, server):
        server.then(vectors(backwards=True))
        made = await source.embed(["a", "b", "c"], Purpose.PLAIN, within())

    assert [np.frombuffer(one or b"", "<f4").argmax() for one in made.vectors] == [0, 1, 2]


async def test_shorter_vectors_are_asked_for_where_the_model_knows_them() -> None:
    async with source_of(model="text-embedding-3-small", dimensions=2) as (source, server):
        made = await source.embed(["a"], Purpose.PLAIN, within())
        model = source.model()

    assert server.calls[0].body["dimensions"] == 2
    assert model is not None
    assert model.space.dimensions == 2
    assert np.frombuffer(made.vectors[0] or b"", "<f4").tolist() == [1, 0]  # cut here where the server does not


async def test_other_length_than_the_one_before_is_never_mixed_in() -> None:
    async with source_of() as (source, server):
        await source.embed(["a"], Purpose.PLAIN, within())
        server.then(vectors(5))
        with pytest.raises(EmbeddingUnavailable, match="CHATBOT_EMBEDDING_DIMENSIONS"):
            await source.embed(["a"], Purpose.PLAIN, within())


@pytest.mark.parametrize(
    "behaviour",
    [
        stub.html,
        stub.cut_json,
        stub.reset,
        vectors(data=[]),
        vectors(data=[{"object": "embedding", "index": 0, "embedding": ["a", 1.0]}]),
        vectors(data=[{"object": "embedding", "index": 1, "embedding": [1.0]}]),
        vectors(data=[{"object": "embedding", "index": 0, "embedding": "AAAA"}]),
        vectors(data=None),
        stub.status(500),
        stub.status(401),
        stub.status(404),
        stub.status(429, "Retry-After: 1"),
    ],
)
async def test_broken_answer_is_told_and_never_believed(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    async with source_of(api_key_file=key) as (source, server):
        server.then(behaviour)
        with pytest.raises(EmbeddingUnavailable) as told:
            await source.embed(["usercanary"], Purpose.PASSAGE, within())
        model = source.model()

    assert model is None
    assert len(server.calls) <= 2
    assert "canary" not in str(told.value) + caplog.text


async def test_one_fault_is_tried_again() -> None:
    async with source_of() as (source, server):
        server.then(stub.status(500), vectors())
        made = await source.embed(["a"], Purpose.PLAIN, within())

    assert len(made.vectors) == 1
    assert len(server.calls) == 2


async def test_server_that_is_down_is_left_alone_and_then_asked_again() -> None:
    async with source_of() as (source, server):
        server.then(stub.status(500))
        for _ in range(20):
            with pytest.raises(EmbeddingUnavailable):
                await source.embed(["a"], Purpose.PLAIN, within())

    assert len(server.calls) <= 8


@pytest.mark.parametrize(("behaviour", "error"), [(stub.status(413), PromptTooLong), (stub.status(400), InvalidInput)])
async def test_texts_that_are_refused_say_nothing_about_others(behaviour: Behaviour, error: type[Exception]) -> None:
    async with source_of() as (source, server):
        for _ in range(8):
            server.then(behaviour)
            with pytest.raises(error):
                await source.embed(["a"], Purpose.PASSAGE, within())
        server.then(vectors())
        made = await source.embed(["b"], Purpose.PASSAGE, within())

    assert len(made.vectors) == 1


async def test_silent_server_is_given_up_at_the_deadline() -> None:
    async with source_of() as (source, server):
        server.then(stub.hang)
        with pytest.raises(EmbeddingUnavailable):
            await source.embed(["a"], Purpose.QUESTION, within(0.2))


async def test_earlier_model_is_asked_as_long_as_it_is_there() -> None:
    old = VectorSpace("api:nomic-embed-text-v1.5", 3, 1)
    others = [VectorSpace("gguf:aa:mean", 4, 1), VectorSpace("api:bge-m3", 4, 2)]
    async with source_of() as (source, server):
        await source.embed(["a"], Purpose.PLAIN, within())
        known, foreign = source.serves(old), [source.serves(space) for space in others]
        made = await source.embed(["연차?"], Purpose.QUESTION, within(), old)
        server.then(stub.status(404))
        with pytest.raises(EmbeddingUnavailable):
            await source.embed(["연차?"], Purpose.QUESTION, within(), old)
        gone = source.serves(old)
        server.then(vectors())
        after = await source.embed(["a"], Purpose.PLAIN, within())

    assert (known, foreign, gone) == (True, [False, False], False)
    assert server.calls[1].body["model"] == "nomic-embed-text-v1.5"
    assert server.calls[1].body["input"] == ["search_query: 연차?"]
    assert len(made.vectors[0] or b"") == 3 * 4
    assert len(after.vectors[0] or b"") == 4 * 4
