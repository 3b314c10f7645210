"""Files and vector stores through the unchanged `openai` client, on every store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.adapters.shelves.mongo import MongoShelves
from chatbot.adapters.shelves.sqlite import SqliteShelves
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.errors import DocumentQuota
from chatbot.domain.shelves.shelf_store import RowKind, ShelfBounds, ShelfRow, ShelfStore
from parts.document_place import ALICE, BOB, kept_bytes, open_documents
from parts.document_zoo import encrypted_pdf, korean_pdf
from parts.http_service import Service, ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.mongo_server import scratch_database
from parts.store_place import StorePlace

FILE_BYTES = 1_000_000
RULES = "# 휴가\n연차는 15일이다.\n\n# 출장\n숙박비는 12만 원이다.".encode()


FILTERS: list[tuple[Any, set[str]]] = [
    ({"type": "eq", "key": "team", "value": "hr"}, {"0", "1"}),
    ({"type": "ne", "key": "team", "value": "hr"}, {"2", "3"}),
    ({"type": "gt", "key": "year", "value": 2024}, {"1", "2"}),
    ({"type": "gte", "key": "year", "value": 2024}, {"0", "1", "2"}),
    ({"type": "lt", "key": "year", "value": 2025}, {"0"}),
    ({"type": "lte", "key": "year", "value": 2025.5}, {"0", "1"}),
    ({"type": "in", "key": "team", "value": ["it", "hr"]}, {"0", "1", "2"}),
    ({"type": "nin", "key": "team", "value": ["it", "hr"]}, {"3"}),
    ({"type": "eq", "key": "draft", "value": True}, {"2"}),
    ({"type": "eq", "key": "draft", "value": 1}, set()),
    ({"type": "gt", "key": "team", "value": 1}, set()),
    (
        {
            "type": "and",
            "filters": [
                {"type": "eq", "key": "team", "value": "hr"},
                {
                    "type": "or",
                    "filters": [
                        {"type": "eq", "key": "year", "value": 2025},
                        {"type": "eq", "key": "year", "value": 2099},
                    ],
                },
            ],
        },
        {"1"},
    ),
]


WRONG_FILTERS: list[tuple[Any, str]] = [
    ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
    ({"type": {"$ne": 1}, "key": "a", "value": "b"}, "filters.type"),
    ({"type": "eq", "key": {"$gt": ""}, "value": "b"}, "filters.key"),
    ({"type": "eq", "key": "a", "value": {"$ne": ""}}, "filters.value"),
    ({"type": "in", "key": "a", "value": "b"}, "filters.value"),
    ({"type": "and", "filters": []}, "filters.filters"),
    ({"type": "or", "filters": [{"type": "eq", "key": "a"}]}, "filters.filters[0].value"),
    ({"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}] * 40}, "filters.filters[31]"),
]


def open_shelf_store(place: StorePlace) -> ShelfStore:
    if place.kind == "sqlite":
        return SqliteShelves(Path(place.where).with_name("files.sqlite3"))
    return MongoShelves.open(place.where, place.database, place.kind)  # type: ignore[arg-type]


class Desk:
    """A service with documents, and clients for it."""

    def __init__(self, service: Service, shelves: Shelves) -> None:
        self.service, self.shelves = service, shelves

    def client(self, user: str = "", language: str = "en") -> openai.AsyncOpenAI:
        headers = {"Accept-Language": language} | ({"X-User-ID": user} if user else {})
        return openai.AsyncOpenAI(
            api_key="none", base_url=f"{self.service.url}/v1", default_headers=headers, max_retries=0, timeout=60.0
        )


@asynccontextmanager
async def options_at(place: StorePlace, bounds: ShelfBounds | None = None) -> AsyncIterator[ServiceOptions]:
    documents, kept = open_documents(place, DocumentBounds()), open_shelf_store(place)
    ingestor = Ingestor(documents, lambda job: ReaderProcess.open(job, ReaderLimits()), IngestPolicy(0.2, 0.1))
    library = Library(documents, Retriever(documents), ingestor.wake, FILE_BYTES)
    working = asyncio.create_task(ingestor.run())
    yield ServiceOptions(documents=library, shelves=Shelves(kept, library, bounds))
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await documents.close()
    await kept.close()


@asynccontextmanager
async def desk_at(place: StorePlace, folder: Path, bounds: ShelfBounds | None = None) -> AsyncIterator[Desk]:
    async with options_at(place, bounds) as options, running_service(folder, options) as service:
        assert options.shelves is not None
        yield Desk(service, options.shelves)


@pytest.fixture(params=["sqlite", "motor"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """The contract suites of the stores run on each driver; here one will do."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "deep" / "store.sqlite3"))
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        yield StorePlace(request.param, url, database)


@pytest.fixture
async def desk(place: StorePlace, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_at(place, tmp_path) as desk:
        yield desk


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Desk]:
    """On the embedded store alone, for what is the same on all."""
    async with desk_at(StorePlace("sqlite", str(tmp_path / "documents.sqlite3")), tmp_path) as desk:
        yield desk


async def test_client_uploads_polls_searches_and_deletes(desk: Desk, place: StorePlace) -> None:
    async with desk.client() as client:
        store = await client.vector_stores.create(name="규정", metadata={"team": "hr"})
        placed = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("규정.md", RULES), poll_interval_ms=50
        )
        filled = await client.vector_stores.retrieve(store.id)
        found = await client.vector_stores.search(store.id, query="연차는 며칠인가요?", max_num_results=1)
        file = await client.files.wait_for_processing(placed.id, poll_interval=0.05)
        content = await client.files.content(placed.id)

        assert (store.name, store.metadata, store.file_counts.total, store.status) == (
            "규정",
            {"team": "hr"},
            0,
            "completed",
        )
        assert (placed.status, placed.last_error, placed.vector_store_id) == ("completed", None, store.id)
        assert (filled.file_counts.completed, filled.file_counts.total, filled.usage_bytes) == (1, 1, len(RULES))
        (one,) = found.data
        assert (one.file_id, one.filename, one.score) == (placed.id, "규정.md", 1.0)
        assert [part.text for part in one.content] == ["연차는 15일이다."]
        assert (file.status, file.bytes, file.filename, file.purpose) == (
            "processed",
            len(RULES),
            "규정.md",
            "assistants",
        )
        assert content.content == RULES
        assert (await client.files.delete(file.id)).deleted
        assert (await client.vector_stores.search(store.id, query="연차")).data == []
        assert (await client.vector_stores.files.list(store.id)).data == []
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file.id)
        assert (await client.vector_stores.delete(store.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.vector_stores.retrieve(store.id)
    assert "연차".encode() not in kept_bytes(place)


async def test_file_is_in_two_stores_and_leaves_one(desk: Desk) -> None:
    async with desk.client() as client:
        file = await client.files.create(file=("a.md", RULES), purpose="user_data")
        stores = [await client.vector_stores.create(file_ids=[file.id]) for _ in range(2)]
        for store in stores:
            await client.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=50)

        await client.vector_stores.files.delete(file.id, vector_store_id=stores[0].id)

        found = [(await client.vector_stores.search(store.id, query="연차")).data for store in stores]
        assert [len(one) for one in found] == [0, 1]
        assert (await client.files.retrieve(file.id)).status == "processed"
        with pytest.raises(openai.NotFoundError):
            await client.vector_stores.files.retrieve(file.id, vector_store_id=stores[0].id)


async def test_same_bytes_twice_in_a_store_are_read_once_and_go_with_the_last(desk: Desk) -> None:
    async with desk.client() as client:
        store = await client.vector_stores.create()
        both = [
            await client.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=("a.md", RULES), poll_interval_ms=50
            )
            for _ in range(2)
        ]
        assert [one.status for one in both] == ["completed"] * 2
        assert both[0].id != both[1].id
        assert len((await client.vector_stores.search(store.id, query="연차")).data) == 1

        await client.files.delete(both[0].id)
        left = (await client.vector_stores.search(store.id, query="연차")).data
        await client.files.delete(both[1].id)

        assert [one.file_id for one in left] == [both[1].id]
        assert (await client.vector_stores.search(store.id, query="연차")).data == []


async def test_collection_is_a_vector_store(local: Desk) -> None:
    async with local.client("alice") as client, local.service.client(headers={"X-User-ID": "alice"}) as plain:
        answer = await plain.post("/documents", json={"content": RULES.decode(), "collection": "hr", "name": "b.md"})
        document_id = answer.json()["document_id"]
        told = await client.vector_stores.files.poll(document_id, vector_store_id="hr", poll_interval_ms=50)
        store = await client.vector_stores.create()
        placed = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("a.md", RULES), poll_interval_ms=50, attributes={"team": "it", "year": 2026}
        )
        stores = [one.id async for one in await client.vector_stores.list(order="asc")]
        seen = (await plain.get("/documents")).json()["documents"]
        asked = await plain.post(
            "/rag/query",
            json={"question": "연차", "collections": [store.id], "filters": {"year": "2026"}, "generate": False},
        )
        found = (await client.vector_stores.search("hr", query="연차")).data

        assert (told.status, placed.status, stores) == ("completed", "completed", ["hr", store.id])
        assert {(one["collection"], one["name"]) for one in seen} == {("hr", "b.md"), (store.id, "a.md")}
        assert len(asked.json()["sources"]) == 1
        assert [one.file_id for one in found] == [document_id]
        assert (await client.vector_stores.delete("hr")).deleted
        assert [one["collection"] for one in (await plain.get("/documents")).json()["documents"]] == [store.id]


async def test_filters_mean_what_they_say(local: Desk) -> None:
    attributes: list[dict[str, Any]] = [
        {"team": "hr", "year": 2024},
        {"team": "hr", "year": 2025},
        {"team": "it", "year": 2026, "draft": True},
        {},
    ]
    async with local.client() as client:
        store = await client.vector_stores.create()
        for number, one in enumerate(attributes):
            file = await client.files.create(file=(f"{number}.txt", f"canary {number}".encode()), purpose="assistants")
            await client.vector_stores.files.create_and_poll(
                file.id, vector_store_id=store.id, attributes=one, poll_interval_ms=50
            )
        for filters, expected in FILTERS:
            found = await client.vector_stores.search(store.id, query="canary", filters=filters, max_num_results=50)
            assert {one.filename[0] for one in found.data} == expected, filters


async def test_wrong_filter_is_told_by_its_field(local: Desk) -> None:
    async with local.client() as client:
        store = await client.vector_stores.create()
        for filters, field in WRONG_FILTERS:
            with pytest.raises(openai.BadRequestError) as told:
                await client.vector_stores.search(store.id, query="x", filters=filters)
            assert told.value.param == field


async def test_nobody_else_reaches_a_file_or_a_store(desk: Desk) -> None:
    async with desk.client("alice") as alice, desk.client("bob") as bob, desk.client() as shared:
        store = await alice.vector_stores.create(name="x")
        placed = await alice.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("a.md", RULES), poll_interval_ms=50
        )
        own = await bob.vector_stores.create()
        for other in (bob, shared):
            for call in (
                lambda: other.files.retrieve(placed.id),  # noqa: B023
                lambda: other.files.content(placed.id),  # noqa: B023
                lambda: other.files.delete(placed.id),  # noqa: B023
                lambda: other.vector_stores.retrieve(store.id),  # noqa: B023
                lambda: other.vector_stores.delete(store.id),  # noqa: B023
                lambda: other.vector_stores.search(store.id, query="연차"),  # noqa: B023
                lambda: other.vector_stores.files.list(store.id),  # noqa: B023
                lambda: other.vector_stores.files.retrieve(placed.id, vector_store_id=store.id),  # noqa: B023
                lambda: other.vector_stores.files.delete(placed.id, vector_store_id=store.id),  # noqa: B023
                lambda: other.vector_stores.files.create(own.id, file_id=placed.id),  # noqa: B023
            ):
                with pytest.raises(openai.NotFoundError):
                    await call()
            assert (await other.files.list()).data == []
        assert [one.id async for one in await bob.vector_stores.list()] == [own.id]
        assert len((await alice.vector_stores.search(store.id, query="연차")).data) == 1


async def test_keys_of_a_tenant_share_what_names_no_user(tmp_path: Path) -> None:
    place = StorePlace("sqlite", str(tmp_path / "documents.sqlite3"))
    async with options_at(place) as options, keyed_service(tmp_path, options) as keyed:

        async def client(tenant: str = "team-a", **rights: Any) -> openai.AsyncOpenAI:
            key = await keyed.key(Rights(**rights), tenant=tenant)
            return openai.AsyncOpenAI(api_key=key.text, base_url=f"{keyed.service.url}/v1", max_retries=0)

        one, other, foreign = await client(), await client(), await client("team-b")
        bound, chatting = await client(user="alice"), await client(scopes=frozenset({Scope.CHAT}))
        file = await one.files.create(file=("a.md", RULES), purpose="assistants")
        own = await bound.files.create(file=("b.md", RULES), purpose="assistants")

        async def seen(by: openai.AsyncOpenAI, **headers: str) -> list[str]:
            return [each.id for each in (await by.files.list(extra_headers=headers)).data]

        assert [await seen(by) for by in (one, other, foreign, bound)] == [[file.id], [file.id], [], [own.id]]
        assert await seen(one, **{"X-User-ID": "alice"}) == [own.id]
        for by, headers in ((bound, {"X-User-ID": "bob"}), (chatting, {})):
            with pytest.raises(openai.PermissionDeniedError):
                await seen(by, **headers)
        for each in (one, other, foreign, bound, chatting):
            await each.close()


@pytest.mark.parametrize(("language", "word"), [("en", "password"), ("ko", "암호"), ("ja", "パスワード")])
async def test_unreadable_file_says_why(local: Desk, language: str, word: str) -> None:
    async with local.client(language=language) as client:
        store = await client.vector_stores.create()

        placed = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("a.pdf", encrypted_pdf("x")), poll_interval_ms=50
        )

        assert placed.status == "failed"
        assert placed.last_error is not None
        assert placed.last_error.code == "invalid_file"
        assert word in placed.last_error.message
        assert (await client.files.retrieve(placed.id)).status == "error"
        assert (await client.vector_stores.retrieve(store.id)).file_counts.failed == 1


async def test_lists_are_walked_in_pages_either_way(local: Desk) -> None:
    async with local.client() as client:
        made = [(await client.vector_stores.create(name=str(number))).id for number in range(5)]
        files = [
            (await client.files.create(file=(f"{n}.pdf", korean_pdf()), purpose=purpose)).id
            for n, purpose in enumerate(["assistants", "user_data", "assistants"])
        ]

        assert [one.id async for one in await client.vector_stores.list(limit=2)] == made[::-1]
        assert [one.id async for one in await client.vector_stores.list(limit=2, order="asc")] == made
        assert [one.id for one in (await client.vector_stores.list(before=made[0], limit=2)).data] == [made[2], made[1]]
        assert [one.id async for one in await client.files.list(limit=2, order="asc")] == files
        assert [one.id for one in (await client.files.list(purpose="assistants")).data] == [files[2], files[0]]


async def test_what_is_not_offered_is_refused_by_name(local: Desk) -> None:
    static: Any = {"type": "static", "static": {}}
    expiry: Any = {"anchor": "created_at", "seconds": 1}
    async with local.client() as client:
        stores, files = client.vector_stores, client.files
        calls: list[tuple[Callable[[], Any], str]] = [
            (lambda: stores.list(limit=101), "limit"),
            (lambda: stores.list(after="nobody"), "after"),
            (lambda: stores.list(order="up"), "order"),  # type: ignore[arg-type]
            (lambda: files.list(purpose="batch"), "purpose"),
            (lambda: files.create(file=b"x", purpose="fine-tune"), "purpose"),
            (lambda: files.create(file=b"x", purpose="assistants", expires_after=expiry), "expires_after"),
            (lambda: stores.create(expires_after={"anchor": "last_active_at", "days": 1}), "expires_after"),
            (lambda: stores.create(chunking_strategy=static), "chunking_strategy.type"),
        ]
        for call, param in calls:
            with pytest.raises(openai.BadRequestError) as told:
                await call()
            assert told.value.param == param


async def test_owner_may_keep_so_much(place: StorePlace, tmp_path: Path) -> None:
    async with desk_at(place, tmp_path, ShelfBounds(files=2, bytes=100, stores=1)) as desk, desk.client() as client:
        await client.files.create(file=("a", b"x" * 60), purpose="assistants")
        with pytest.raises(openai.ConflictError):
            await client.files.create(file=("b", b"x" * 60), purpose="assistants")
        await client.files.create(file=("c", b"x"), purpose="assistants")
        with pytest.raises(openai.ConflictError):
            await client.files.create(file=("d", b"x"), purpose="assistants")
        await client.vector_stores.create()
        with pytest.raises(openai.ConflictError):
            await client.vector_stores.create()
        with pytest.raises(openai.APIStatusError) as told:
            await client.files.create(file=("e", b"x" * (FILE_BYTES + 1)), purpose="assistants")
        assert told.value.status_code == 413


async def test_uploads_that_race_never_pass_the_bound(place: StorePlace) -> None:
    async with options_at(place, ShelfBounds(files=3, stores=2)) as options:
        shelves = options.shelves
        assert shelves is not None

        files = [shelves.add_file(ALICE, "a", b"a", "assistants") for _ in range(10)]
        stores = [shelves.add_store(ALICE, "a", {}) for _ in range(10)]
        results = await asyncio.gather(*files, *stores, return_exceptions=True)

        assert len(await shelves.files(ALICE)) <= 3
        assert len(await shelves.stores(ALICE)) <= 2
        refused = [one for one in results if isinstance(one, BaseException)]
        assert {type(one) for one in refused} == {DocumentQuota}
        await shelves.add_file(BOB, "a", b"a", "assistants")


async def test_upload_that_died_is_not_seen_and_makes_room(place: StorePlace, tmp_path: Path) -> None:
    """The row is there, the bytes are not whole: after ten minutes the next upload removes it."""
    async with desk_at(place, tmp_path, ShelfBounds(files=1)) as desk:
        fields = {"name": "a", "purpose": "assistants", "bytes": 9, "whole": False}
        await desk.shelves.store.put(ALICE, ShelfRow(RowKind.FILE, "file-1", 1, fields))
        await desk.shelves.store.keep(ALICE, "file-1", b"canary")

        assert await desk.shelves.files(ALICE) == []
        await desk.shelves.add_file(ALICE, "b", b"b", "assistants")

    assert b"canary" not in kept_bytes(place)


async def test_large_file_comes_back_whole_and_only_to_its_owner(place: StorePlace) -> None:
    store = open_shelf_store(place)
    content = bytes(range(256)) * 40_000
    fields = {"name": "a", "purpose": "assistants", "bytes": len(content), "whole": True}
    for owner in (ALICE, BOB):
        await store.put(owner, ShelfRow(RowKind.FILE, "file-1", 1, fields))
    await store.keep(ALICE, "file-1", content)

    assert await store.content(ALICE, "file-1") == content
    for other in (BOB, Caller("", "alice"), Caller("acmea", "lice")):
        assert await store.content(other, "file-1") is None
    assert await store.remove(ALICE, RowKind.FILE, "file-1")
    assert await store.content(ALICE, "file-1") is None
    await store.close()
