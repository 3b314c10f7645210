"""Words and meaning together, over the real store: what is found, what is said of it, and what happens without."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.embedding import Embedder, EmbedPolicy
from chatbot.core.retrieval.search import Meaning, Mode, Retriever, Search, WordsAlone
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Document, DocumentState, FailureReason, Upload, VectorSpace
from chatbot.domain.embedding.source import Embedded, Purpose
from chatbot.domain.errors import EmbeddingUnavailable, InvalidInput
from parts.document_place import ALICE, BOB, claimed, completed, passages
from parts.embedding_models import HandmadeMeaning, make_embedding_toy, serving

LEAVE = "연차는 15일이다."
TEXTS = [LEAVE, "출장비는 하루 3만 원이다.", "Dogs are welcome."]
QUICK = EmbedPolicy(idle_seconds=0.02, pauses_seconds=(0.02,))


async def at_once() -> None:
    """No chat waits."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteDocuments]:
    store = SqliteDocuments(tmp_path / "documents.sqlite3", DocumentBounds())
    yield store
    await store.close()


@pytest.fixture
def stub() -> HandmadeMeaning:
    return HandmadeMeaning()


async def read(store: SqliteDocuments, content: str = "a", texts: list[str] | None = None) -> Document:
    """A document that waits for vectors."""
    added = await store.add(ALICE, Upload("rules.txt", content.encode()))
    job = await claimed(store)
    await store.store_chunks(job, passages(texts or TEXTS))
    await store.complete(job, awaits_vectors=True)
    return added


async def embed_all(store: SqliteDocuments, source: HandmadeMeaning) -> None:
    embedder = Embedder(store, source, QUICK, at_once)
    while await embedder.work():
        pass


@asynccontextmanager
async def working(store: SqliteDocuments, source: HandmadeMeaning) -> AsyncIterator[Embedder]:
    embedder = Embedder(store, source, QUICK, at_once)
    task = asyncio.create_task(embedder.run())
    try:
        yield embedder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def state(store: SqliteDocuments, document: Document) -> Document:
    found = await store.read(document.owner, document.document_id)
    assert found is not None
    return found


async def becomes(store: SqliteDocuments, document: Document, is_so: Callable[[Document], bool]) -> Document:
    async with asyncio.timeout(30):
        while not is_so(now := await state(store, document)):  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
    return now


async def test_other_words_for_the_same_find_the_passage(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    document = await read(store)
    question = Search("휴가 며칠?")
    before = await Retriever(store).search(ALICE, question)
    await embed_all(store, stub)

    found = await Retriever(store, meaning=Meaning(stub)).search(ALICE, question)

    assert (before.mode, before.passages) == (Mode.LEXICAL, ())
    assert (found.mode, found.words_alone, found.candidates, found.dense) == (Mode.HYBRID, None, 0, 1)
    assert [(one.chunk.text, one.lexical_rank, one.dense_rank) for one in found.passages] == [(LEAVE, None, 1)]
    assert (await state(store, document)).state is DocumentState.COMPLETED


async def test_what_is_not_like_the_question_is_not_found(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    await read(store)
    await embed_all(store, stub)
    retriever = Retriever(store, meaning=Meaning(stub))

    nothing = await retriever.search(ALICE, Search("ロケットの速度"))
    foreign = await retriever.search(BOB, Search("휴가 며칠?"))

    assert (nothing.mode, nothing.passages, nothing.dense) == (Mode.HYBRID, (), 0)
    assert foreign.passages == ()


async def test_source_that_is_down_leaves_the_words_and_says_so(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    await read(store)
    await embed_all(store, stub)
    stub.is_down = True

    found = await Retriever(store, meaning=Meaning(stub)).search(ALICE, Search("연차 며칠?"))

    assert (found.mode, found.words_alone) == (Mode.LEXICAL, WordsAlone.EMBEDDING_UNAVAILABLE)
    assert [one.chunk.text for one in found.passages] == [LEAVE]


async def test_question_that_must_stay_here_is_not_sent_away(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    await read(store)
    await embed_all(store, stub)
    stub.calls.clear()
    stub.is_remote = True

    found = await Retriever(store, meaning=Meaning(stub)).search(ALICE, Search("연차", local_only=True))

    assert (found.mode, found.words_alone, stub.calls) == (Mode.LEXICAL, WordsAlone.LOCAL_ONLY, [])


async def test_document_waits_while_the_source_is_down_and_goes_on_then(
    store: SqliteDocuments, stub: HandmadeMeaning
) -> None:
    stub.is_down = True
    document = await read(store)
    async with working(store, stub):
        waiting = await becomes(store, document, lambda now: now.reason is not None)
        by_words = await Retriever(store, meaning=Meaning(stub)).search(ALICE, Search("연차"))
        stub.is_down = False
        done = await becomes(store, document, lambda now: now.state is DocumentState.COMPLETED)

    assert (waiting.state, waiting.reason) == (DocumentState.EMBEDDING, FailureReason.EMBEDDING_UNAVAILABLE)
    assert len(by_words.passages) == 1
    assert done.reason is None


async def test_new_model_takes_over_when_all_is_done_and_the_old_one_serves_until_then(
    store: SqliteDocuments, stub: HandmadeMeaning
) -> None:
    for content in ("1", "2"):
        await read(store, content)
    await embed_all(store, stub)
    newer = HandmadeMeaning("another-meaning")
    newer.old = {stub.space}
    embedder, retriever = Embedder(store, newer, QUICK, at_once), Retriever(store, meaning=Meaning(newer))
    question = Search("휴가 며칠?")

    await embedder.work()
    by_old = await retriever.search(ALICE, question)
    newer.old = set()
    nobody = await retriever.search(ALICE, question)
    await embedder.work()
    by_new = await retriever.search(ALICE, question)

    assert (by_old.mode, len(by_old.passages)) == (Mode.HYBRID, 2)
    assert (nobody.mode, nobody.words_alone) == (Mode.LEXICAL, WordsAlone.REINDEXING)
    assert (by_new.mode, len(by_new.passages)) == (Mode.HYBRID, 2)
    assert not await embedder.work()


async def test_documents_from_before_the_model_get_vectors(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    await completed(store, ALICE, Upload("old.txt", b"old"), TEXTS)
    retriever = Retriever(store, meaning=Meaning(stub))
    before = await retriever.search(ALICE, Search("휴가 며칠?"))

    await embed_all(store, stub)

    assert before.words_alone is WordsAlone.REINDEXING
    assert len((await retriever.search(ALICE, Search("휴가 며칠?"))).passages) == 1


async def test_passage_that_the_model_refuses_holds_up_no_other(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    class Picky(HandmadeMeaning):
        async def embed(
            self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
        ) -> Embedded:
            if any("출장비" in text for text in texts):
                raise InvalidInput("input", "too_long")
            return await super().embed(texts, purpose, deadline, space)

    picky = Picky()
    document = await read(store)

    await embed_all(store, picky)

    assert (await state(store, document)).state is DocumentState.COMPLETED
    retriever = Retriever(store, meaning=Meaning(picky, least_cosine=-1))
    assert len((await retriever.search(ALICE, Search("dogs"))).passages) == 2


async def test_stopped_worker_gives_its_document_back_at_once(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    begun = asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    document = await read(store)
    task = asyncio.create_task(Embedder(store, stub, QUICK, for_ever).run())
    await asyncio.wait_for(begun.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    follower = await store.claim_vectors(stub.space)

    assert follower is not None
    assert follower.document_id == document.document_id


async def test_passages_are_asked_for_in_small_steps(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    await read(store, texts=[f"{number}번 규정" for number in range(40)])

    await embed_all(store, stub)

    assert stub.calls == [(Purpose.PASSAGE, 16), (Purpose.PASSAGE, 16), (Purpose.PASSAGE, 8)]


async def test_real_model_makes_vectors_and_finds_by_them(store: SqliteDocuments, tmp_path: Path) -> None:
    """Random weights: nothing is said of quality, everything of the way."""
    document = await read(store, texts=[f"{number}번 규정입니다." for number in range(40)])
    async with serving(make_embedding_toy(tmp_path / "model.gguf")) as source:
        embedder = Embedder(store, source, QUICK, at_once)
        task = asyncio.create_task(embedder.run())
        await becomes(store, document, lambda now: now.state is DocumentState.COMPLETED)
        found = await Retriever(store, meaning=Meaning(source, least_cosine=0.9)).search(
            ALICE, replace(Search("7번 규정입니다."), per_document=50)
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert found.mode is Mode.HYBRID
    assert (found.passages[0].chunk.text, found.passages[0].dense_rank) == ("7번 규정입니다.", 1)


async def test_nothing_is_known_of_a_source_that_never_answered(store: SqliteDocuments, stub: HandmadeMeaning) -> None:
    class Unknown(HandmadeMeaning):
        def model(self) -> None:
            return None

    document = await read(store)

    with pytest.raises(EmbeddingUnavailable):
        await Embedder(store, Unknown(), QUICK, at_once).work()

    assert (await state(store, document)).state is DocumentState.EMBEDDING
    found = await Retriever(store, meaning=Meaning(Unknown())).search(ALICE, Search("연차"))
    assert len(found.passages) == 1


@pytest.mark.scale
async def test_cost_of_a_question_among_many_vectors(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Vectors of 1,024 numbers, as many models make; the question's own is not part of the time."""
    from parts.retrieval_evaluation import noise, questions

    class Wide(HandmadeMeaning):
        """Directions at random."""

        dimensions = 1024
        drawn = np.random.default_rng(1)

        async def embed(
            self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
        ) -> Embedded:
            numbers = self.drawn.standard_normal((len(texts), self.dimensions))
            unit = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
            return Embedded(tuple(row.astype("<f4").tobytes() for row in unit), 0)

    count, source = scale(1000, 20_000), Wide()
    texts = noise(count)
    path = tmp_path / "many.sqlite3"
    store = SqliteDocuments(path, DocumentBounds())
    for first in range(0, count, 1000):
        await read(store, str(first), texts[first : first + 1000])
    began = time.monotonic()
    embedder = Embedder(store, source, EmbedPolicy(passages=64), at_once)
    while await embedder.work():
        pass
    embedded_seconds = time.monotonic() - began
    retriever = Retriever(store, meaning=Meaning(source, least_cosine=-1))

    found = [await retriever.search(ALICE, Search(question.text)) for question in questions()]
    await store.close()

    assert {one.mode for one in found} == {Mode.HYBRID}
    assert {one.dense for one in found} == {50}
    seconds = sorted(one.seconds for one in found[1:])
    figures(
        passages=count,
        first_ms=round(found[0].seconds * 1000, 1),
        query_ms_p50=round(seconds[len(seconds) // 2] * 1000, 1),
        p95=round(seconds[int(len(seconds) * 0.95)] * 1000, 1),
        file_mib=round(path.stat().st_size / 2**20, 1),
        vectors_stored_per_second=round(count / embedded_seconds),
    )
