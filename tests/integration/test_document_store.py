"""Stores of documents: what it keeps, whom it shows it, and how jobs are claimed and lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from chatbot.core.retrieval.search import Retriever, Search
from chatbot.core.retrieval.terms import query_terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds, DocumentStore, Lookup
from chatbot.domain.documents import Document, DocumentState, FailureReason, Found, LeaseLost, Unreadable, Upload
from parts.document_place import ALICE, BOB, HandClock, claimed, completed, kept_bytes, open_documents, passages
from parts.store_place import StorePlace

BOUNDS = DocumentBounds(file_bytes=1000, documents=5, text_bytes=2000, chunks=8, lease_seconds=20)
NOBODY = Caller("", "nobody")
RULES = ["연차는 15일이다.", "출장비는 하루 3만 원이다.", "Dogs are welcome."]


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


async def search(store: DocumentStore, owner: Caller, question: str, **more: object) -> tuple[Found, ...]:
    return await store.search(owner, replace(Lookup(query_terms(question)), **more))


async def state(store: DocumentStore, document: Document) -> Document:
    found = await store.read(document.owner, document.document_id)
    assert found is not None
    return found


async def test_document_is_found_by_its_owner_when_it_is_complete(store: DocumentStore) -> None:
    added = await store.add(ALICE, upload())
    job = await claimed(store)
    await store.store_chunks(job, passages(RULES))
    before = await search(store, ALICE, "연차는 며칠?")

    await store.complete(job)

    assert (added.state, before) == (DocumentState.QUEUED, ())
    found = await search(store, ALICE, "연차는 며칠?")
    assert [(one.document_id, one.chunk.text) for one in found] == [(added.document_id, RULES[0])]
    ended = await state(store, added)
    assert (ended.state, ended.chunks_done, ended.chunks_total) == (DocumentState.COMPLETED, 3, 3)


@pytest.mark.parametrize(
    "other",
    [BOB, Caller("acme", "Alice"), Caller("", "alice"), Caller("acmea", "lice"), Caller("acme", "%"), NOBODY],
    ids=["user", "case", "tenant", "border moved", "wildcard", "nobody"],
)
async def test_nobody_else_sees_or_touches_it(store: DocumentStore, other: Caller) -> None:
    document = await completed(store, ALICE, upload(), RULES)
    if other is not NOBODY:
        await completed(store, other, upload(), ["연차는 없다."])

    found = await search(store, other, "연차는 며칠인가요? 출장비 dogs")

    assert {one.chunk.text for one in found} <= {"연차는 없다."}
    assert await store.read(other, document.document_id) is None
    assert await store.cancel(other, document.document_id) is None
    assert not await store.erase(other, document.document_id)
    assert document.document_id not in [one.document_id for one in await store.listing(other, limit=9)]
    await store.erase_owner(other)
    assert await state(store, document) == document


async def test_what_others_keep_does_not_change_a_score(store: DocumentStore) -> None:
    await completed(store, ALICE, upload(), RULES)
    before = await search(store, ALICE, "연차는 며칠? dogs")
    for number in range(4):
        await completed(store, BOB, upload(f"{number}"), ["연차 연차 dogs dogs"] * 8)

    assert await search(store, ALICE, "연차는 며칠? dogs") == before


async def test_single_character_finds_words_that_begin_with_it(store: DocumentStore) -> None:
    await completed(store, ALICE, upload(), ["税金を払う。", "免税店で買う。", "店に行く。"])

    found = {one.chunk.text for one in await search(store, ALICE, "税")}

    assert found == {"税金を払う。", "免税店で買う。"}


@pytest.mark.parametrize(
    "question",
    ['"', "연차 OR *", "NEAR(연차 15)", "terms:연차", "연차') --", "^연차", "{연차}", "-연차", "\0연차", "AND", "'"],
)
async def test_question_is_never_a_command_of_the_index(store: DocumentStore, question: str) -> None:
    await completed(store, ALICE, upload(), RULES)

    found = await search(store, ALICE, question) if query_terms(question) else ()

    assert {one.chunk.text for one in found} <= {RULES[0]}


async def test_terms_of_somebody_elses_making_do_no_harm(store: DocumentStore) -> None:
    await completed(store, ALICE, upload(), RULES)

    assert await store.search(ALICE, Lookup(('"', 'a" OR "연차', "\0", "terms : 연차"))) == ()


async def test_collections_and_metadata_narrow_the_search(store: DocumentStore) -> None:
    await completed(store, ALICE, upload("1", collection="hr", metadata={"team": "hr", 'a"b': "$"}), ["연차 하나"])
    await completed(store, ALICE, upload("2", collection="it", metadata={"team": "it"}), ["연차 둘"])

    async def texts(**more: object) -> set[str]:
        return {one.chunk.text for one in await search(store, ALICE, "연차", **more)}

    assert await texts() == {"연차 하나", "연차 둘"}
    assert await texts(collections=["hr"]) == {"연차 하나"}
    assert await texts(collections=["hr", "it"], filters={"team": "it"}) == {"연차 둘"}
    assert await texts(filters={'a"b': "$"}) == {"연차 하나"}
    assert await texts(filters={"team": "' OR 1=1 --"}) == await texts(collections=["none"]) == set()


async def test_named_documents_narrow_the_search_to_those_of_the_owner(store: DocumentStore) -> None:
    one = await completed(store, ALICE, upload("1", collection="hr"), ["연차 하나"])
    two = await completed(store, ALICE, upload("2"), ["연차 둘"])
    foreign = await completed(store, BOB, upload("3"), ["연차 셋"])

    async def texts(*ids: str, **more: object) -> set[str]:
        return {each.chunk.text for each in await search(store, ALICE, "연차", ids=ids, **more)}

    assert await texts(one.document_id) == {"연차 하나"}
    assert await texts(one.document_id, two.document_id) == {"연차 하나", "연차 둘"}
    assert await texts(one.document_id, two.document_id, collections=["hr"]) == {"연차 하나"}
    assert await texts(foreign.document_id) == await texts("' OR 1=1 --") == set()


async def test_one_document_gives_at_most_three_passages(store: DocumentStore) -> None:
    await completed(store, ALICE, upload("1"), ["연차 연차 연차"] * 6)
    await completed(store, ALICE, upload("2"), ["연차는 다른 곳에도 나온다."])

    found = await Retriever(store).search(ALICE, Search("연차"))

    assert [one.chunk.text for one in found.passages] == ["연차 연차 연차"] * 3 + ["연차는 다른 곳에도 나온다."]
    assert found.passages[0].score == 1.0 > found.passages[-1].score > 0


async def test_same_bytes_again_are_the_same_document(store: DocumentStore) -> None:
    first = await store.add(ALICE, upload())

    again = await store.add(ALICE, upload(name="other.txt"))
    elsewhere = await store.add(ALICE, upload(collection="other"))
    others = await store.add(BOB, upload())

    assert again == first
    assert len({first.document_id, elsewhere.document_id, others.document_id}) == 3


async def test_failed_document_is_queued_anew_when_it_comes_again(store: DocumentStore) -> None:
    first = await store.add(ALICE, upload())
    await store.fail(await claimed(store), FailureReason.PARSER_TIMEOUT)
    failed = await state(store, first)

    again = await store.add(ALICE, upload())

    assert (failed.state, failed.reason) == (DocumentState.FAILED, FailureReason.PARSER_TIMEOUT)
    assert (again.document_id, again.state, again.reason) == (first.document_id, DocumentState.QUEUED, None)
    assert (await claimed(store)).content == b"a"


async def test_file_that_is_too_large_is_refused(store: DocumentStore) -> None:
    with pytest.raises(Unreadable, match="too_large"):
        await store.add(ALICE, upload("x" * 1001))

    assert await store.listing(ALICE, limit=9) == ()


async def test_owner_may_keep_so_many_documents(store: DocumentStore) -> None:
    for number in range(5):
        await store.add(ALICE, upload(str(number)))

    with pytest.raises(Unreadable, match="quota"):
        await store.add(ALICE, upload("one more"))

    await store.add(BOB, upload())


async def test_owner_may_keep_so_much_text(store: DocumentStore) -> None:
    await completed(store, ALICE, upload("1"), ["x" * 1500])
    await store.add(ALICE, upload("2"))
    job = await claimed(store)

    with pytest.raises(Unreadable, match="quota"):
        await store.store_chunks(job, passages(["x" * 501]))


async def test_document_may_have_so_many_passages(store: DocumentStore) -> None:
    await store.add(ALICE, upload())
    job = await claimed(store)
    await store.store_chunks(job, passages(["a"] * 8))

    with pytest.raises(Unreadable, match="too_large"):
        await store.store_chunks(job, passages(["a"], first=8))


async def test_listing_pages_through_all_of_an_owner(store: DocumentStore) -> None:
    added = [(await store.add(ALICE, upload(str(number)))).document_id for number in range(5)]
    await store.add(BOB, upload())

    pages, after = [], ""
    while page := await store.listing(ALICE, limit=2, after=after):
        pages.append(page)
        after = page[-1].document_id

    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(added) == [one.document_id for page in pages for one in page]


async def test_lost_worker_is_followed_by_one_that_goes_on(store: DocumentStore, clock: HandClock) -> None:
    await store.add(ALICE, upload())
    lost = await claimed(store)
    await store.store_chunks(lost, passages(RULES[:2]))
    clock.now += 19
    nobody = await store.claim(1)
    clock.now += 2

    follower = await claimed(store)

    assert nobody is None
    assert follower.chunks_done == 2
    with pytest.raises(LeaseLost):
        await store.store_chunks(lost, passages(RULES[2:], first=2))
    with pytest.raises(LeaseLost):
        await store.beat(lost)
    await store.store_chunks(follower, passages(RULES[2:], first=2))
    await store.complete(follower)
    assert len(await search(store, ALICE, "연차 출장비 dogs")) == 3


async def test_worker_that_lives_keeps_its_document(store: DocumentStore, clock: HandClock) -> None:
    await store.add(ALICE, upload())
    job = await claimed(store)
    for _ in range(5):
        clock.now += 15
        await store.beat(job)
        assert await store.claim(1) is None

    await store.complete(job)


async def test_document_that_never_gets_done_is_given_up(store: DocumentStore, clock: HandClock) -> None:
    document = await store.add(ALICE, upload())
    for _ in range(3):
        await store.store_chunks(await claimed(store), passages(["canary"], (await state(store, document)).chunks_done))
        clock.now += 21

    assert await store.claim(1) is None

    ended = await state(store, document)
    assert (ended.state, ended.reason, ended.chunks_done) == (DocumentState.FAILED, FailureReason.INTERRUPTED, 0)


async def test_released_document_costs_no_try(store: DocumentStore) -> None:
    document = await store.add(ALICE, upload())
    for _ in range(9):
        await store.release(await claimed(store), counts_try=False)

    assert (await state(store, document)).tries == 0


async def test_passages_of_other_code_are_thrown_away(store: DocumentStore) -> None:
    await store.add(ALICE, upload())
    job = await claimed(store, pipeline=1)
    await store.store_chunks(job, passages(RULES))
    await store.release(job, counts_try=True)

    newer = await claimed(store, pipeline=2)

    assert newer.chunks_done == 0
    await store.store_chunks(newer, passages(["출장비 새 규정"]))
    await store.complete(newer)
    assert [one.chunk.text for one in await search(store, ALICE, "연차 출장비")] == ["출장비 새 규정"]


async def test_passages_are_never_stored_twice(store: DocumentStore) -> None:
    await store.add(ALICE, upload())
    job = await claimed(store)
    await store.store_chunks(job, passages(RULES))

    with pytest.raises(LeaseLost):
        await store.store_chunks(job, passages(RULES))


async def test_owners_take_turns_and_two_at_once(store: DocumentStore) -> None:
    mine = [(await store.add(ALICE, upload(str(number)))).document_id for number in range(4)]
    theirs = [(await store.add(BOB, upload(str(number)))).document_id for number in range(2)]

    claims = [await store.claim(1) for _ in range(5)]

    assert [one and one.document_id for one in claims] == [mine[0], theirs[0], mine[1], theirs[1], None]


@pytest.mark.parametrize("chunks", [0, 3])
async def test_cancelled_job_ends_and_leaves_nothing(store: DocumentStore, chunks: int) -> None:
    document = await store.add(ALICE, upload())
    job = await claimed(store)
    if chunks:
        await store.store_chunks(job, passages(RULES[:chunks]))

    cancelled = await store.cancel(ALICE, document.document_id)

    assert cancelled is not None
    assert (cancelled.state, cancelled.chunks_done) == (DocumentState.CANCELLED, 0)
    with pytest.raises(LeaseLost):
        await store.complete(job)
    assert await store.claim(1) is None


async def test_completed_document_is_not_cancelled(store: DocumentStore) -> None:
    document = await completed(store, ALICE, upload(), RULES)

    assert await store.cancel(ALICE, document.document_id) == document


async def test_erasure_wins_over_a_running_job(store: DocumentStore) -> None:
    document = await store.add(ALICE, upload())
    job = await claimed(store)
    await store.store_chunks(job, passages(RULES))

    assert await store.erase(ALICE, document.document_id)

    for write in (store.store_chunks(job, passages(["x"], 3)), store.complete(job), store.beat(job)):
        with pytest.raises(LeaseLost):
            await write
    await store.release(job, counts_try=True)
    assert await store.listing(ALICE, limit=9) == () == await search(store, ALICE, "연차")


@pytest.mark.parametrize("whole_owner", [False, True])
async def test_erased_text_is_kept_nowhere(store: DocumentStore, place: StorePlace, whole_owner: bool) -> None:
    """Also not as a word of the index, whose shared beginnings are left out: the ends of the words are looked for."""
    canary = upload("originalcanary", name="namecanary", metadata={"key": "metacanary"})
    document = await completed(store, ALICE, canary, ["textcanary zz9canary 비밀카나리"])
    await completed(store, ALICE, upload("other"), RULES)
    await completed(store, BOB, upload("other"), RULES)

    def traces() -> list[bytes]:
        content = kept_bytes(place)
        return [word for word in (b"canary", b"9canary", "카나".encode(), "나리".encode()) if word in content]

    before = traces()
    if whole_owner:
        await store.erase_owner(ALICE)
    else:
        await store.erase(ALICE, document.document_id)

    assert len(before) == 4
    assert traces() == []
    assert len(await search(store, BOB, "연차")) == 1
    assert len(await search(store, ALICE, "연차")) == int(not whole_owner)


async def test_owner_whose_last_document_is_erased_is_forgotten(store: DocumentStore, place: StorePlace) -> None:
    somebody = Caller("tenantcanary", "usercanary")
    documents = [await completed(store, somebody, upload(str(number)), RULES) for number in range(2)]
    await completed(store, BOB, upload(), RULES)

    await store.erase(somebody, documents[0].document_id)
    still_found = await search(store, somebody, "연차")
    await store.erase(somebody, documents[1].document_id)

    assert len(still_found) == 1
    assert b"canary" not in kept_bytes(place)
    assert await search(store, somebody, "연차") == ()
    await completed(store, somebody, upload("again"), RULES)
    assert len(await search(store, somebody, "연차")) == 1
    assert len(await search(store, BOB, "연차")) == 1


async def test_cancelled_text_is_kept_nowhere_once_it_was_tidied(store: DocumentStore, place: StorePlace) -> None:
    document = await store.add(ALICE, upload("canary"))
    await store.store_chunks(await claimed(store), passages(["zz9canary"]))
    await store.cancel(ALICE, document.document_id)

    await store.tidy()

    assert b"9canary" not in kept_bytes(place)


async def test_two_processes_worth_of_stores_share_a_place(place: StorePlace) -> None:
    stores = [open_documents(place) for _ in range(2)]
    uploads = [stores[number % 2].add(Caller("", f"user{number % 5}"), upload(str(number))) for number in range(40)]
    await asyncio.gather(*uploads)

    async def work(store: DocumentStore) -> list[str]:
        done = []
        while job := await store.claim(1):
            await store.store_chunks(job, passages(RULES))
            await store.complete(job)
            done.append(job.document_id)
        return done

    both = await asyncio.gather(*map(work, stores))

    assert len(both[0]) + len(both[1]) == len({*both[0], *both[1]}) == 40
    for number in range(5):
        assert len(await search(stores[0], Caller("", f"user{number}"), "연차")) == 8
    await asyncio.gather(*(store.close() for store in stores))


async def test_search_beside_erasures_never_fails(store: DocumentStore) -> None:
    async def upload_and_erase() -> None:
        for number in range(15):
            document = await completed(store, ALICE, upload(str(number)), RULES)
            await store.erase(ALICE, document.document_id)

    working = asyncio.create_task(upload_and_erase())
    seen = set()
    while not working.done():
        seen.add(len(await search(store, ALICE, "연차는 며칠?")))
    await working

    assert seen <= {0, 1}


@pytest.mark.scale
async def test_no_passage_of_somebody_else_is_ever_found(
    place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Two owners with the same texts; each passage carries its owner's canary."""
    store = open_documents(place)
    texts = [f"{rule} {number}번 규정" for number in range(100) for rule in RULES]
    for owner in (ALICE, BOB):
        for number in range(4):
            await completed(store, owner, upload(str(number)), [f"{text} {owner.user}canary" for text in texts])
    foreign = seen = 0
    for number in range(scale(100, 1000)):
        owner = (ALICE, BOB)[number % 2]
        question = f"{RULES[number % 3]} {number % 100}번 {'bob' if owner is ALICE else 'alice'}canary"
        found = await search(store, owner, question, limit=10)
        seen += len(found)
        foreign += sum(f"{owner.user}canary" not in one.chunk.text for one in found)
    await store.close()

    assert (foreign, seen) == (0, scale(1000, 10_000))
    figures(passages_seen=seen, foreign=foreign)


@pytest.mark.scale
async def test_cost_of_a_question_among_many_passages(
    place: StorePlace, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    from parts.retrieval_evaluation import noise, questions

    count = scale(
        500 if place.kind == "qdrant" else 2000, 20_000
    )  # its test server judges every point that it is given
    store = open_documents(place)
    texts = noise(count)
    for first in range(0, count, 1000):
        await completed(store, ALICE, upload(str(first)), texts[first : first + 1000])
    retriever = Retriever(store)

    found = [await retriever.search(ALICE, Search(question.text)) for question in questions()]
    await store.close()

    seconds = sorted(one.seconds for one in found)
    assert sum(bool(one.passages) for one in found) > 60
    figures(
        passages=count,
        query_ms_p50=round(seconds[len(seconds) // 2] * 1000, 1),
        p95=round(seconds[int(len(seconds) * 0.95)] * 1000, 1),
        stored_mib=round(len(kept_bytes(place)) / 2**20, 1),
    )
