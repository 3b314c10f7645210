"""`POST /v1/embeddings` with the official openai client, and documents that are found by their meaning over HTTP."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.embedding.clients import MOST_REQUESTS
from chatbot.core.retrieval.embedding import Embedder, EmbedPolicy
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Meaning, Retriever
from chatbot.domain.access import Rights, Scope
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Embedded, Purpose
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import Backend
from chatbot.domain.limits import Limits
from parts.embedding_models import HandmadeMeaning, make_embedding_toy, serving
from parts.http_service import Service, ServiceOptions, running_service
from parts.keyed_service import keyed_service
from parts.waiting import until

MODEL = "handmade-meaning"
USER = {"X-User-ID": "alice", "Accept-Language": "en"}


@asynccontextmanager
async def service_of(folder: Path, source: Any) -> AsyncIterator[tuple[Service, openai.AsyncOpenAI]]:
    async with (
        running_service(folder, ServiceOptions(embedding=source)) as service,
        openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield service, client


async def test_client_gets_vectors_as_it_asks_for_them(tmp_path: Path) -> None:
    """The client asks for base64 by itself, and gives lists."""
    async with service_of(tmp_path, HandmadeMeaning()) as (_, client):
        one = await client.embeddings.create(model=MODEL, input="휴가")
        many = await client.embeddings.create(model=MODEL, input=["휴가", "연차", "주차"], encoding_format="float")
        short = await client.embeddings.create(model=MODEL, input="휴가", dimensions=500)
        raw = await client.embeddings.with_raw_response.create(model=MODEL, input="휴가", encoding_format="base64")

    vectors = [row.embedding for row in many.data]
    assert [len(vector) for vector in vectors] == [512] * 3
    assert one.data[0].embedding == pytest.approx(vectors[0], abs=1e-6)
    assert sum(number * number for number in vectors[0]) == pytest.approx(1, abs=1e-5)
    dot = [sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:]]
    assert dot[0] > 0.5 > dot[1]
    assert len(short.data[0].embedding) == 500
    assert sum(number * number for number in short.data[0].embedding) == pytest.approx(1, abs=1e-5)
    packed = base64.b64decode(raw.http_response.json()["data"][0]["embedding"])
    assert struct.unpack("<512f", packed) == pytest.approx(vectors[0], abs=1e-6)
    assert [row.index for row in many.data] == [0, 1, 2]
    assert (many.model, many.usage.prompt_tokens, many.usage.total_tokens) == (MODEL, 6, 6)


async def test_model_is_listed_and_told(tmp_path: Path) -> None:
    async with service_of(tmp_path, HandmadeMeaning()) as (service, client), service.client() as http:
        listed = [model.id async for model in await client.models.list()]
        named = await client.models.retrieve(MODEL)
        info = (await http.get("/info")).json()

    assert listed == ["stub", MODEL]
    assert (named.id, named.owned_by) == (MODEL, "local")
    assert info["embedding"] == {"name": MODEL, "dimensions": 512, "local": True}


async def test_without_a_model_nothing_is_listed_and_nothing_is_found(tmp_path: Path) -> None:
    async with service_of(tmp_path, None) as (service, client), service.client() as http:
        with pytest.raises(openai.NotFoundError) as refused:
            await client.embeddings.create(model=MODEL, input="휴가")
        listed = [model.id async for model in await client.models.list()]
        info = (await http.get("/info")).json()

    assert (refused.value.code, listed, info["embedding"]) == ("model_not_found", ["stub"], None)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "input"),
    ({"input": ""}, "input[0]"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": [1, 2, 3]}, "input"),
    ({"input": [[1, 2], [3]]}, "input"),
    ({"input": [{"text": "a"}]}, "input[0]"),
    ({"input": ["a"] * 2049}, "input"),
    ({"input": "a", "dimensions": 0}, "dimensions"),
    ({"input": "a", "dimensions": 513}, "dimensions"),
    ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ({}, "input"),
]


async def test_wrong_field_is_named(tmp_path: Path) -> None:
    async with service_of(tmp_path, HandmadeMeaning()) as (service, _), service.client() as http:
        answers = [await http.post("/v1/embeddings", json={"model": MODEL, **fields}) for fields, _ in WRONG]

    errors = [answer.json()["error"] for answer in answers]
    assert {(answer.status_code, error["type"]) for answer, error in zip(answers, errors, strict=True)} == {
        (400, "invalid_request_error")
    }
    assert [error["param"] for error in errors] == [param for _, param in WRONG]
    assert all(error["message"] for error in errors)


async def test_other_model_is_not_found(tmp_path: Path) -> None:
    async with service_of(tmp_path, HandmadeMeaning()) as (_, client):
        for name in ("stub", "text-embedding-3-small"):
            with pytest.raises(openai.NotFoundError):
                await client.embeddings.create(model=name, input="휴가")


async def test_faults_are_those_that_clients_understand(tmp_path: Path) -> None:
    class Faulty(HandmadeMeaning):
        async def embed(
            self, texts: Any, purpose: Purpose, deadline: float, space: VectorSpace | None = None
        ) -> Embedded:
            if "long" in texts[0]:
                raise PromptTooLong("input", 9000, 512)
            return await super().embed(texts, purpose, deadline, space)

    faulty = Faulty()
    async with service_of(tmp_path, faulty) as (_, client):
        with pytest.raises(openai.BadRequestError) as too_long:
            await client.embeddings.create(model=MODEL, input="long")
        faulty.is_down = True
        with pytest.raises(openai.InternalServerError) as down:
            await client.embeddings.create(model=MODEL, input="휴가")

    assert (too_long.value.code, too_long.value.param) == ("context_length_exceeded", "input")
    assert (down.value.status_code, down.value.code) == (503, "embedding_unavailable")
    assert down.value.response.headers["retry-after"] == "5"


async def test_fixed_dimensions_cannot_be_chosen(tmp_path: Path) -> None:
    async with (
        serving(make_embedding_toy(tmp_path / "model.gguf")) as source,
        service_of(tmp_path, source) as (_, client),
    ):
        whole = await client.embeddings.create(model="toy", input=["연차", "a"], dimensions=128)
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(model="toy", input="연차", dimensions=64)

    assert [len(row.embedding) for row in whole.data] == [128, 128]
    assert whole.usage.prompt_tokens > 2
    assert refused.value.param == "dimensions"


async def test_only_so_many_requests_at_once(tmp_path: Path) -> None:
    class Held(HandmadeMeaning):
        waiting = 0
        released = asyncio.Event()

        async def embed(
            self, texts: Any, purpose: Purpose, deadline: float, space: VectorSpace | None = None
        ) -> Embedded:
            self.waiting += 1
            await self.released.wait()
            return await super().embed(texts, purpose, deadline, space)

    held = Held()
    async with service_of(tmp_path, held) as (_, client):
        asking = [
            asyncio.create_task(client.embeddings.create(model=MODEL, input="휴가")) for _ in range(MOST_REQUESTS)
        ]
        await until(lambda: held.waiting == MOST_REQUESTS)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.embeddings.create(model=MODEL, input="휴가")
        held.released.set()
        answers = await asyncio.gather(*asking)
        after = await client.embeddings.create(model=MODEL, input="휴가")

    assert refused.value.response.headers["retry-after"]
    assert len(answers) + len(after.data) == MOST_REQUESTS + 1


async def test_key_needs_the_scope_and_the_backend_and_has_limits(tmp_path: Path) -> None:
    remote = HandmadeMeaning()
    remote.is_remote = True
    body = {"model": MODEL, "input": "휴가 규정"}  # 5 characters: as many tokens to the stub
    async with keyed_service(tmp_path, ServiceOptions(embedding=remote)) as keyed:
        async with keyed.service.client() as http:

            async def ask(rights: Rights | None, path: str = "/v1/embeddings") -> httpx.Response:
                header = await keyed.header(rights) if rights is not None else {}
                return await http.post(path, json=body, headers=header)

            nobody = await ask(None)
            no_scope = await ask(Rights(scopes=frozenset({Scope.DOCUMENTS})))
            local_only = await ask(Rights(backends=frozenset({str(Backend.LLAMA)})))
            header = await keyed.header(Rights(limits=Limits(tokens_per_day=200)))
            granted = await http.post("/v1/embeddings", json=body, headers=header)
            told = (await http.get("/key", headers=header)).json()
            spent = await http.post("/v1/embeddings", json=body | {"input": "휴가 " * 500}, headers=header)
            header = await keyed.header(Rights(backends=frozenset({str(Backend.LLAMA)})))
            listed = (await http.get("/v1/models", headers=header)).json()

    statuses = [nobody.status_code, no_scope.status_code, local_only.status_code, granted.status_code]
    assert statuses == [401, 403, 403, 200]
    assert local_only.json()["error"]["code"] == "model_not_allowed"
    left = [one["remaining"] for one in told["limits"] if "token" in str(one)]
    assert left == [195]
    assert spent.status_code in (400, 429)
    assert [model["id"] for model in listed["data"]] == ["stub"]


@asynccontextmanager
async def documents(folder: Path, source: HandmadeMeaning) -> AsyncIterator[httpx.AsyncClient]:
    """A service whose documents get vectors."""
    store = SqliteDocuments(folder / "documents.sqlite3", DocumentBounds())

    async def at_once() -> None:
        pass

    embedder = Embedder(store, source, EmbedPolicy(idle_seconds=0.05, pauses_seconds=(0.05,)), at_once)
    policy = IngestPolicy(0.2, 0.1, awaits_vectors=True)
    ingestor = Ingestor(store, lambda job: ReaderProcess.open(job, ReaderLimits()), policy, embedder.wake)
    library = Library(store, Retriever(store, meaning=Meaning(source)), ingestor.wake, 1_000_000)
    working = [asyncio.create_task(ingestor.run()), asyncio.create_task(embedder.run())]
    async with running_service(folder, ServiceOptions(documents=library)) as service:
        async with service.client(headers=USER) as client:
            yield client
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    await store.close()


async def test_document_waits_tells_so_and_is_then_found_by_its_meaning(tmp_path: Path) -> None:
    source = HandmadeMeaning()
    source.is_down = True
    async with documents(tmp_path, source) as client:
        added = (await client.post("/documents", json={"content": "# 규정\n연차는 15일이다.", "name": "a.md"})).json()

        async def becomes(status: str, *, has_reason: bool) -> dict[str, Any]:
            async with asyncio.timeout(60):
                while True:
                    now = (await client.get(added["links"]["self"])).json()
                    if now["status"] == status and bool(now["reason"]) is has_reason:
                        return dict(now)
                    await asyncio.sleep(0.05)

        async def ask(question: str) -> dict[str, Any]:
            return dict((await client.post("/rag/query", json={"question": question, "generate": False})).json())

        waiting = await becomes("embedding", has_reason=True)
        by_words = await ask("연차 며칠?")
        source.is_down = False
        await becomes("completed", has_reason=False)
        by_meaning = await ask("휴가 며칠?")
        source.is_down = True
        down = await ask("연차 며칠?")

    assert (waiting["reason"], bool(waiting["remedy"])) == ("embedding_unavailable", True)
    assert len(by_words["sources"]) == 1
    assert (by_meaning["retrieval"]["mode"], by_meaning["retrieval"]["dense"]) == ("hybrid", 1)
    source_shown = by_meaning["sources"][0]
    assert (source_shown["lexical_rank"], source_shown["dense_rank"], source_shown["score"]) == (None, 1, 0.5)
    assert (down["retrieval"]["mode"], down["retrieval"]["reason"]) == ("lexical", "embedding_unavailable")
