"""Vectors of documents: what waits for them, who finds by them, and that those of two models never meet."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chatbot.adapters.documents import sqlite_documents
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.embedding import Embedder, EmbedPolicy
from chatbot.core.retrieval.terms import query_terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds, DocumentStore, Lookup
from chatbot.domain.documents import (
    Coverage,
    Document,
    DocumentState,
    FailureReason,
    LeaseLost,
    Upload,
    VectorSpace,
)
from parts.document_place import (
    ALICE,
    BOB,
    HandClock,
    claimed,
    claimed_for_vectors,
    completed,
    embedded,
    open_documents,
    passages,
    unit,
)
from parts.embedding_models import HandmadeMeaning
from parts.store_place import StorePlace

BOUNDS = DocumentBounds(lease_seconds=20)
TEXTS = ["연차는 15일이다.", "출장비는 하루 3만 원이다.", "Dogs are welcome."]
PLANE = [(1, 0), (0, 1), (-1, 0)]
SPACE = VectorSpace("compass", 2, 1)
OTHERS = [replace(SPACE, model="needle"), replace(SPACE, dimensions=3), replace(SPACE, recipe=2)]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(place: StorePlace, clock: HandClock) -> AsyncIterator[DocumentStore]:
    store = open_documents(place, BOUNDS, clock)
    yield store
    await store.close()


def upload(content: str = "a", **changes: object) -> Upload:
    return replace(Upload("rules.txt", content.encode()), **changes)


async def read(store: DocumentStore, content: str = "a", owner: Caller = ALICE, **changes: object) -> Document:
    """A document whose passages are stored and wait for vectors."""
    added = await store.add(owner, upload(content, **changes))
    job = await claimed(store)
    await store.store_chunks(job, passages([f"{text} {content}" for text in TEXTS]))
    await store.complete(job, awaits_vectors=True)
    return added


async def near(
    store: DocumentStore, owner: Caller, direction: tuple[float, ...], space: VectorSpace = SPACE, **more: object
) -> list[tuple[str, float]]:
    found = await store.search_vectors(owner, space, unit(*direction), Lookup((), **more))
    return [(one.chunk.text, round(one.score, 2)) for one in found]


async def state(store: DocumentStore, document: Document) -> Document:
    found = await store.read(document.owner, document.document_id)
    assert found is not None
    return found


async def test_document_is_found_by_words_first_and_by_meaning_when_it_has_all_its_vectors(
    store: DocumentStore,
) -> None:
    document = await read(store)
    waiting = await state(store, document)
    by_words = await store.search(ALICE, Lookup(query_terms("연차는 며칠?")))
    job = await claimed_for_vectors(store, SPACE)
    await store.store_vectors(job, {0: unit(1, 0), 1: unit(0, 1)})
    half = await near(store, ALICE, (1, 0))

    await store.store_vectors(job, {2: unit(-1, 0)})
    await store.finish_vectors(job)

    assert (waiting.state, len(by_words), half) == (DocumentState.EMBEDDING, 1, [])
    assert (await state(store, document)).state is DocumentState.COMPLETED
    assert await near(store, ALICE, (4, 1)) == [
        (f"{TEXTS[0]} a", 0.97),
        (f"{TEXTS[1]} a", 0.24),
        (f"{TEXTS[2]} a", -0.97),
    ]
    assert await near(store, ALICE, (1, 4), limit=1) == [(f"{TEXTS[1]} a", 0.97)]
    assert await store.claim_vectors(SPACE) is None


async def test_job_goes_on_where_it_stopped(store: DocumentStore, clock: HandClock) -> None:
    await read(store)
    lost = await claimed_for_vectors(store, SPACE)
    first = await store.without_vector(lost, 2)
    await store.store_vectors(lost, {0: unit(1, 0)})
    clock.now += 19
    nobody = await store.claim_vectors(SPACE)
    clock.now += 2

    follower = await claimed_for_vectors(store, SPACE)

    assert nobody is None
    assert [one.number for one in first] == [0, 1]
    assert [(one.number, one.text) for one in await store.without_vector(follower, 9)] == [
        (1, f"{TEXTS[1]} a"),
        (2, f"{TEXTS[2]} a"),
    ]
    for write in (store.store_vectors(lost, {1: unit(0, 1)}), store.finish_vectors(lost), store.beat(lost)):
        with pytest.raises(LeaseLost):
            await write
    with pytest.raises(LeaseLost):
        await store.without_vector(lost, 1)
    clock.now += 19
    await store.beat(follower)
    clock.now += 19
    assert await store.claim_vectors(SPACE) is None


async def test_passage_that_can_have_none_is_done(store: DocumentStore) -> None:
    await read(store)
    job = await claimed_for_vectors(store, SPACE)

    await store.store_vectors(job, {0: unit(1, 0), 1: None, 2: None})
    rest = await store.without_vector(job, 9)
    await store.finish_vectors(job)

    assert rest == ()
    assert await near(store, ALICE, (1, 0)) == [(f"{TEXTS[0]} a", 1.0)]


@pytest.mark.parametrize("vector", [unit(1, 0, 0), b"abc", b"", b"\x00\x00\x80\x7f\x00\x00\x00\x00"])
async def test_vector_that_is_none_is_never_stored(store: DocumentStore, vector: bytes) -> None:
    await read(store)
    job = await claimed_for_vectors(store, SPACE)

    with pytest.raises(ValueError, match=r"2 finite numbers|buffer size"):
        await store.store_vectors(job, {0: unit(1, 0), 1: vector})

    assert len(await store.without_vector(job, 9)) == 3


async def test_waiting_document_tells_why_until_it_goes_on(store: DocumentStore) -> None:
    document = await read(store)
    await store.release_vectors(await claimed_for_vectors(store, SPACE), FailureReason.EMBEDDING_UNAVAILABLE)
    waiting = await state(store, document)

    job = await claimed_for_vectors(store, SPACE)
    await store.store_vectors(job, {0: unit(1, 0)})

    assert (waiting.state, waiting.reason) == (DocumentState.EMBEDDING, FailureReason.EMBEDDING_UNAVAILABLE)
    assert (await state(store, document)).reason is None


async def test_complete_document_waits_for_a_new_model_without_a_word(store: DocumentStore) -> None:
    document = await completed(store, ALICE, upload(), TEXTS)

    await store.release_vectors(await claimed_for_vectors(store, SPACE), FailureReason.EMBEDDING_UNAVAILABLE)

    assert (await state(store, document)) == document


async def test_without_a_model_nothing_waits(store: DocumentStore) -> None:
    document = await read(store)
    job = await claimed_for_vectors(store, SPACE)

    await store.forgo_vectors()

    assert (await state(store, document)).state is DocumentState.COMPLETED
    with pytest.raises(LeaseLost):
        await store.finish_vectors(job)


async def test_new_documents_come_before_old_ones_and_owners_take_turns(store: DocumentStore) -> None:
    old = [(await completed(store, ALICE, upload(str(number)), TEXTS)).document_id for number in range(2)]
    mine = [(await read(store, f"new {number}")).document_id for number in range(2)]
    theirs = (await read(store, owner=BOB)).document_id

    order = [(await claimed_for_vectors(store, SPACE)).document_id for _ in range(5)]

    assert set(order[:2]) == {mine[0], theirs}
    assert order[2:] == [mine[1], *old]


@pytest.mark.parametrize("other", OTHERS, ids=["model", "dimensions", "recipe"])
async def test_vectors_of_another_space_are_never_found(store: DocumentStore, other: VectorSpace) -> None:
    await read(store)
    await embedded(store, SPACE, PLANE)

    assert await near(store, ALICE, (1,) * other.dimensions, other) == []
    assert (await claimed_for_vectors(store, other)).space == other


async def test_old_vectors_serve_until_every_document_has_new_ones(store: DocumentStore) -> None:
    for content in ("1", "2"):
        await read(store, content)
        await embedded(store, SPACE, PLANE)
    await read(store, "3", BOB)
    await embedded(store, SPACE, PLANE)
    newer = OTHERS[1]
    await embedded(store, newer, [(1, 0, 0)] * 3)
    between = await store.coverage(ALICE)
    old = len(await near(store, ALICE, (1, 0)))
    await embedded(store, newer, [(1, 0, 0)] * 3)
    still = await store.coverage(ALICE)
    await embedded(store, newer, [(1, 0, 0)] * 3)

    assert (between, old) == (Coverage(6, {SPACE: 6, newer: 3}), 6)
    assert still == between  # it was the other owner's turn
    assert await store.coverage(ALICE) == Coverage(6, {newer: 6})
    assert await near(store, ALICE, (1, 0)) == []
    assert len(await near(store, ALICE, (1, 0, 0), newer)) == 6
    assert await store.coverage(BOB) == Coverage(3, {newer: 3})


async def test_coverage_counts_what_is_complete(store: DocumentStore) -> None:
    nothing = await store.coverage(ALICE)
    await completed(store, ALICE, upload("1"), TEXTS)
    await read(store, "2")
    await embedded(store, SPACE, PLANE)
    await read(store, "3")

    assert nothing == Coverage(0, {})
    assert await store.coverage(ALICE) == Coverage(6, {SPACE: 3})


async def test_lookup_narrows_what_is_near(store: DocumentStore) -> None:
    for content, collection, team in (("1", "hr", "hr"), ("2", "it", "it")):
        document = await read(store, content, collection=collection, metadata={"team": team})
        await embedded(store, SPACE, PLANE[:1])

    async def texts(**more: object) -> set[str]:
        return {text[-1] for text, _ in await near(store, ALICE, (1, 0), **more)}

    assert await texts() == {"1", "2"}
    assert await texts(collections=["hr"]) == {"1"}
    assert await texts(filters={"team": "it"}) == await texts(ids=[document.document_id]) == {"2"}
    assert await texts(ids=["' OR 1=1 --"]) == set()


@pytest.mark.parametrize("how", ["erase", "erase_owner", "cancel"])
async def test_nothing_is_near_once_it_was_erased(store: DocumentStore, how: str) -> None:
    document = await read(store)
    job = await claimed_for_vectors(store, SPACE)
    await store.store_vectors(job, {number: unit(*vector) for number, vector in enumerate(PLANE)})
    if how != "cancel":
        await store.finish_vectors(job)
        assert len(await near(store, ALICE, (1, 0))) == 3

    if how == "erase_owner":
        await store.erase_owner(ALICE)
    else:
        await getattr(store, how)(ALICE, document.document_id)

    assert await near(store, ALICE, (1, 0)) == []
    with pytest.raises(LeaseLost):
        await store.finish_vectors(job)
    await read(store)  # the same bytes again begin anew
    assert len(await store.without_vector(await claimed_for_vectors(store, SPACE), 9)) == 3


async def test_document_that_is_read_anew_gets_new_vectors(store: DocumentStore) -> None:
    document = await read(store)
    await embedded(store, SPACE, PLANE)
    await store.erase(ALICE, document.document_id)
    await read(store)
    await embedded(store, SPACE, [(0, 1)] * 3)

    assert [score for _, score in await near(store, ALICE, (1, 0))] == [0.0] * 3


@pytest.mark.scale
async def test_nobody_is_near_somebody_elses_passages(
    store: DocumentStore, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """The same vectors for both; each passage carries its owner's canary."""
    for owner in (ALICE, BOB):
        for number in range(4):
            await read(store, f"{number} {owner.user}canary", owner)
            await embedded(store, SPACE, PLANE)
    foreign = seen = 0
    for number in range(scale(100, 1000)):
        owner = (ALICE, BOB)[number % 2]
        found = await near(store, owner, PLANE[number % 3], limit=10)
        seen += len(found)
        foreign += sum(f"{owner.user}canary" not in text for text, _ in found)

    assert (foreign, seen) == (0, scale(1000, 10_000))
    figures(passages_seen=seen, foreign=foreign)


async def test_file_of_the_version_before_goes_on(tmp_path: Path) -> None:
    """The tables of version 1, with a document in them, are upgraded when they are opened."""
    path = tmp_path / "documents.sqlite3"
    store = SqliteDocuments(path, BOUNDS)
    document = await completed(store, ALICE, upload(), TEXTS)
    await store.close()
    with sqlite3.connect(path) as connection:
        for table in ("embedded", "vectors", "spaces"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE documents DROP COLUMN added_at")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    upgraded = SqliteDocuments(path, BOUNDS)

    assert await state(upgraded, document) == document
    await embedded(upgraded, SPACE, PLANE)
    assert len(await near(upgraded, ALICE, (1, 0))) == 3
    await upgraded.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == sqlite_documents.LAYOUT.version
    connection.close()


async def test_documents_that_stay_in_the_house_get_no_vectors_made_elsewhere(store: DocumentStore) -> None:
    class Elsewhere(HandmadeMeaning):
        is_remote = True

    async def at_once() -> None:
        """No chat waits."""

    source, private = Elsewhere(), Caller("private", "alice")
    staying, going = await read(store, "stays", private), await read(store, "goes")
    embedder = Embedder(store, source, EmbedPolicy(), at_once, lambda tenant: tenant == "private")
    while await embedder.work():
        pass

    assert [count for _, count in source.calls] == [len(TEXTS)]  # of one document
    states = [await store.read(one.owner, one.document_id) for one in (staying, going)]
    assert [one.state for one in states if one] == [DocumentState.COMPLETED] * 2
    by_words = await store.search(private, Lookup(query_terms("연차"), 5))
    by_meaning = await store.search_vectors(
        private, source.space, source.vector("연차", source.space) or b"", Lookup(())
    )
    assert by_words and not by_meaning


async def test_processes_of_two_models_do_not_make_the_same_vectors_for_ever(store: DocumentStore) -> None:
    """As the pods of a rollout, for as long as it lasts. A document that is new is everybody's, at any time."""

    async def at_once() -> None:
        """No chat waits."""

    async def worked(embedder: Embedder) -> bool:
        try:
            return await embedder.work()
        except Exception as contested:
            assert type(contested).__name__ == "_Contested"
            return False

    document = await read(store)
    sources = HandmadeMeaning("old"), HandmadeMeaning("new")
    old, new = (Embedder(store, source, EmbedPolicy(), at_once) for source in sources)
    hasty = Embedder(store, sources[0], EmbedPolicy(peace_seconds=0), at_once)
    for _ in range(10):
        await worked(old)
        await worked(new)
    made = [len(source.calls) for source in sources]
    added = await read(store, "b")
    is_taken = await worked(old)

    assert made == [1, 1], "each once, and then there is peace"
    assert is_taken and (await state(store, added)).state is DocumentState.COMPLETED
    assert await worked(hasty), "without peace it goes on"
    assert (await state(store, document)).state is DocumentState.COMPLETED
