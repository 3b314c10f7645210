"""`/documents` and `/rag/query` over HTTP, with the real store, the real reading processes and a stub model."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import GenerationRequest
from chatbot.domain.tenants.policy import Policies, Tenant
from parts.document_zoo import READABLE, encrypted_pdf, korean_pdf
from parts.http_service import Service, ServiceOptions, running_service
from parts.stub_generator import StubGenerator

USER = {"X-User-ID": "alice", "Accept-Language": "en"}
RULES = {"content": "# 휴가\n연차는 15일이다.\n\n# 출장\n숙박비는 12만 원이다.", "name": "rules.md"}
DEADLINE_SECONDS = 60.0
FILE_BYTES = 1_000_000


class Place:
    """A service with documents."""

    def __init__(self, service: Service, library: Library) -> None:
        self.service, self.library = service, library
        self.client = service.client(headers=USER)

    async def add(self, **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/documents", json=RULES | fields)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def ended(self, document: dict[str, Any], **headers: str) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                found = (await self.client.get(document["links"]["self"], headers=headers)).json()
                if found["status"] in ("completed", "failed", "cancelled"):
                    return dict(found)
                await asyncio.sleep(0.05)

    async def ask(self, question: str = "연차는 며칠인가요?", **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/rag/query", json={"question": question} | fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@asynccontextmanager
async def documents(folder: Path, bounds: DocumentBounds | None = None, **options: Any) -> AsyncIterator[Place]:
    store = SqliteDocuments(folder / "documents.sqlite3", bounds or DocumentBounds())
    ingestor = Ingestor(store, lambda job: ReaderProcess.open(job, ReaderLimits()), IngestPolicy(0.2, 0.1))
    library = Library(store, Retriever(store), ingestor.wake, FILE_BYTES)
    working = asyncio.create_task(ingestor.run())
    async with running_service(folder, ServiceOptions(documents=library, **options)) as service:
        place = Place(service, library)
        async with place.client:
            yield place
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await store.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with documents(tmp_path) as place:
        yield place


def answering(*pieces: str) -> StubGenerator:
    return StubGenerator(pieces=pieces)


async def test_a_tenant_without_the_local_model_finds_passages_and_gets_no_answer(tmp_path: Path) -> None:
    generator = StubGenerator()
    remote_only = Policies([Tenant(name="default", backends=frozenset({"openai"}))])
    async with documents(tmp_path, tenants=remote_only, generator=generator) as place:
        await place.ended(await place.add())
        found = await place.ask(generate=False)
        refused = await place.client.post("/rag/query", json={"question": "연차는 며칠인가요?"})

    assert found["retrieved_docs"] == 1
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")
    assert generator.requests == []


async def test_text_is_uploaded_read_and_found(place: Place) -> None:
    added = await place.add(metadata={"title": "규정", "team": "hr"}, collection="hr")
    ended = await place.ended(added)

    found = await place.ask(generate=False)

    assert (added["status"], ended["status"], ended["progress"]) == (
        "queued",
        "completed",
        {"chunks_done": 2, "chunks_total": 2, "percent": 100},
    )
    assert found["answer"] is None
    assert found["retrieval"] | {"seconds": 0} == {
        "mode": "lexical",
        "reason": None,
        "lexical": 1,
        "dense": 0,
        "seconds": 0,
    }
    assert found["sources"][0] == {
        "id": 1,
        "document_id": added["document_id"],
        "chunk": 0,
        "heading": "휴가",
        "content": "연차는 15일이다.",
        "metadata": {"title": "규정", "team": "hr"},
        "score": 1.0,
        "lexical_rank": 1,
        "dense_rank": None,
        "cited": False,
    }
    assert place.service.generator.requests == []


async def test_file_is_uploaded_as_a_form(place: Place) -> None:
    form = {"collection": "hr", "metadata": json.dumps({"title": "휴가"})}
    file = ("..\\dir/규정.pdf", korean_pdf(), "application/pdf")
    answer = await place.client.post("/documents", files={"file": file}, data=form)

    ended = await place.ended(answer.json())

    assert (answer.status_code, ended["name"], ended["status"]) == (202, "규정.pdf", "completed")
    assert (await place.ask(collections=["hr"], generate=False))["sources"][0]["metadata"] == {
        "title": "휴가",
        "page": 1,
    }
    assert (await place.ask(collections=["other"], generate=False))["sources"] == []


@pytest.mark.parametrize(
    ("language", "word"), [("en", "password"), ("ko", "암호"), ("ja", "パスワード")], ids=["en", "ko", "ja"]
)
async def test_unreadable_file_tells_why_and_what_to_do(place: Place, language: str, word: str) -> None:
    answer = await place.client.post("/documents", files={"file": ("a.pdf", encrypted_pdf("x"))})

    ended = await place.ended(answer.json(), **{"Accept-Language": language})

    assert (ended["status"], ended["reason"]) == ("failed", "encrypted")
    assert word in ended["remedy"]


async def test_answer_names_its_sources_and_no_others(tmp_path: Path) -> None:
    generator = answering("연차는 15일입니다 [1]. 사장은 ", "홍길동입니다 [7].", " 끝 [1, 9].")
    async with documents(tmp_path, generator=generator) as place:
        await place.ended(await place.add())

        told = await place.ask()

    assert told["answer"] == "연차는 15일입니다 [1]. 사장은 홍길동입니다. 끝 [1]."
    assert [one["cited"] for one in told["sources"]] == [True, *[False] * (len(told["sources"]) - 1)]
    (asked,) = generator.requests
    assert "[1] rules.md > 휴가\n연차는 15일이다." in asked.dialogue.question.content
    assert asked.dialogue.question.content.endswith("Question: 연차는 며칠인가요?")


async def test_model_is_not_asked_when_nothing_is_found(place: Place) -> None:
    await place.ended(await place.add())

    told = await place.ask("xyzzy quux")

    assert (told["answer"], told["sources"]) == ("Nothing in the documents has to do with this question.", [])
    assert place.service.generator.requests == []


class Narrow(StubGenerator):
    """A model with room for so many characters."""

    room = 1000

    async def check(self, request: GenerationRequest) -> None:
        length = len(request.dialogue.question.content)
        if length > self.room:
            raise PromptTooLong("question", length, self.room)


@pytest.mark.parametrize(("room", "status"), [(1000, 200), (10, 422)])
async def test_passages_are_cut_to_the_models_context(tmp_path: Path, room: int, status: int) -> None:
    generator = Narrow()
    generator.room = room
    async with documents(tmp_path, generator=generator) as place:
        await place.ended(await place.add(content="연차는 15일이다. " * 500))

        answer = await place.client.post("/rag/query", json={"question": "연차"})

    assert answer.status_code == status
    if status == 422:
        assert answer.json()["field"] == "question"
    else:
        assert 300 < len(generator.requests[0].dialogue.question.content) <= room


async def test_events_tell_of_the_reading_to_its_end(place: Place) -> None:
    added = await place.add()

    async with asyncio.timeout(DEADLINE_SECONDS):
        answer = await place.client.get(added["links"]["events"])

    events = [part.split("\ndata: ") for part in answer.text.strip().split("\n\n") if not part.startswith(":")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {name for name, _ in events[:-1]} <= {"event: progress"}
    assert events[-1][0] == "event: done"
    assert json.loads(events[-1][1]) == await place.ended(added)


async def test_events_end_when_the_document_is_erased(tmp_path: Path) -> None:
    async with documents(tmp_path) as place:
        place.library.store.claim = lambda pipeline: asyncio.sleep(0)  # type: ignore[method-assign]  # nothing is read
        added = await place.add()
        async with place.client.stream("GET", added["links"]["events"]) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: progress"
            await place.client.delete(added["links"]["self"])
            async with asyncio.timeout(DEADLINE_SECONDS):
                rest = [line async for line in lines]

    assert "event: done" not in rest


async def test_erased_document_is_gone(place: Place) -> None:
    added = await place.add()
    await place.ended(added)

    answers = [(await place.client.delete(added["links"]["self"])).status_code for _ in range(2)]

    gone = await place.client.get(added["links"]["self"])
    assert (answers, gone.status_code, gone.json()["code"]) == ([204, 204], 404, "document_not_found")
    assert (await place.ask(generate=False))["sources"] == []
    assert (await place.client.get("/documents")).json() == {"documents": [], "next_after": None}


async def test_cancelled_document_is_not_read(tmp_path: Path) -> None:
    async with documents(tmp_path) as place:
        place.library.store.claim = lambda pipeline: asyncio.sleep(0)  # type: ignore[method-assign]
        added = await place.add()
        cancelled = (await place.client.post(f"{added['links']['self']}/cancel")).json()
        missing = await place.client.post("/documents/doc_0/cancel")

    assert (cancelled["status"], missing.status_code) == ("cancelled", 404)


async def test_others_see_nothing_of_it(place: Place) -> None:
    added = await place.add()
    await place.ended(added)
    bob = {"X-User-ID": "bob"}
    own = added["links"]["self"]

    answers = [
        await place.client.get(own, headers=bob),
        await place.client.get(f"{own}/events", headers=bob),
        await place.client.post(f"{own}/cancel", headers=bob),
    ]
    erased = await place.client.delete(own, headers=bob)
    found = await place.client.post("/rag/query", json={"question": "연차"}, headers=bob)
    listed = await place.client.get("/documents", headers=bob)

    assert [answer.json()["code"] for answer in answers] == ["document_not_found"] * 3
    assert (erased.status_code, found.json()["sources"], listed.json()["documents"]) == (204, [], [])
    assert (await place.ended(added))["status"] == "completed"


async def test_listing_pages_through_documents(place: Place) -> None:
    added = {(await place.add(content=f"{number}"))["document_id"] for number in range(5)}

    first = (await place.client.get("/documents?limit=3")).json()
    second = (await place.client.get(f"/documents?limit=3&after={first['next_after']}")).json()

    pages = [[one["document_id"] for one in page["documents"]] for page in (first, second)]
    assert ([len(page) for page in pages], second["next_after"]) == ([3, 2], None)
    assert {*pages[0], *pages[1]} == added


@pytest.mark.parametrize(
    ("request_of", "status", "told"),
    [
        ({"json": {}}, 422, "content"),
        ({"json": {"content": ""}}, 422, "content"),
        ({"json": {"content": "x", "collection": "../x"}}, 422, "collection"),
        ({"json": {"content": "x", "metadata": {"a b": "x"}}}, 422, "metadata"),
        ({"json": {"content": "x", "metadata": {"a": 1}}}, 422, "metadata.a"),
        ({"json": {"content": "x" * (FILE_BYTES + 1)}}, 413, "body_too_large"),
        ({"files": {"file": ("a.txt", b"x" * (FILE_BYTES + 1))}}, 413, "body_too_large"),
        ({"files": {"file": ("a.txt", b"x" * (2 * FILE_BYTES))}}, 413, "body_too_large"),
        ({"files": {"other": ("a.txt", b"x")}}, 400, "not_multipart"),
        ({"files": [("file", ("a.txt", b"x")), ("file", ("b.txt", b"y"))]}, 400, "not_multipart"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"metadata": "[1]"}}, 400, "not_an_object"),
        ({"files": {"file": ("a" * 300, b"x")}}, 422, "name"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "not_multipart"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "not_multipart"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 400, "content_type"),
    ],
)
async def test_wrong_upload_is_told_what_is_wrong(
    place: Place, request_of: dict[str, Any], status: int, told: str
) -> None:
    answer = await place.client.post("/documents", **request_of)

    body = answer.json()
    assert (answer.status_code, told in (body.get("field", ""), body.get("problem"), body["code"])) == (
        status,
        True,
    ) or (told in body.get("field", ""))
    assert (await place.client.get("/documents")).json()["documents"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "question"),
        ({"question": "x" * 501}, "question"),
        ({"question": "x", "k": 0}, "k"),
        ({"question": "x", "k": 21}, "k"),
        ({"question": "x", "filters": {"$ne": "x"}}, "filters"),
        ({"question": "x", "collections": ["a b"]}, "collections[0]"),
    ],
)
async def test_wrong_question_names_the_field(place: Place, body: dict[str, Any], field: str) -> None:
    answer = await place.client.post("/rag/query", json=body)

    assert answer.status_code == 422
    assert answer.json()["field"].startswith(field)


async def test_user_without_room_is_told_to_erase(tmp_path: Path) -> None:
    async with documents(tmp_path, DocumentBounds(documents=1)) as place:
        await place.add()

        answer = await place.client.post("/documents", json={"content": "another"})

    assert (answer.status_code, answer.json()["code"]) == (409, "document_quota")


async def test_everything_is_refused_when_documents_are_off(tmp_path: Path) -> None:
    async with running_service(tmp_path, ServiceOptions()) as service, service.client(headers=USER) as client:
        answers = [
            await client.post("/documents", json=RULES),
            await client.get("/documents"),
            await client.get("/documents/x"),
            await client.delete("/documents/x"),
            await client.post("/rag/query", json={"question": "x"}),
        ]
        info = (await client.get("/info")).json()

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "documents_off")}
    assert info["documents"] is False


def spoil(folder: Path) -> None:
    """Put something else in the file's place, at once: whoever looked between would make a new one of it."""
    (folder / "spoilt").write_bytes(b"no database " * 100)
    (folder / "spoilt").replace(folder / "documents.sqlite3")
    for file in folder.glob("documents.sqlite3-*"):
        file.unlink()


async def test_store_that_fails_is_a_503_of_its_own(tmp_path: Path) -> None:
    async with documents(tmp_path) as place:
        await place.client.get("/documents")
        spoil(tmp_path)

        answers: Sequence[httpx.Response] = [
            await place.client.get("/documents"),
            await place.client.post("/documents", json=RULES),
            await place.client.post("/rag/query", json={"question": "x"}),
        ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "documents_unavailable")}


async def test_requests_are_counted_by_route(place: Place) -> None:
    added = await place.add()
    await place.client.get(added["links"]["self"])

    metric = place.service.metric
    assert metric("chatbot_requests_total", route="/documents", status="202", outcome="ok") == 1
    assert metric("chatbot_requests_total", route="/documents/{document_id}", status="200", outcome="ok") == 1


async def test_nothing_a_user_uploaded_is_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    name, make, _ = READABLE["docx"]
    file = (f"CANARY{name}", make().replace(b"x", b"x"))
    await place.client.post("/documents", files={"file": file}, data={"metadata": '{"title": "CANARY"}'})
    await place.ended(await place.add(content="CANARY " * 100))
    await place.ask("CANARY")

    own = [record for record in caplog.records if record.name.startswith("chatbot")]
    assert own
    assert not any("CANARY" in str(record.__dict__) for record in own)
