"""Everything of a user over HTTP: put there by every endpoint, fetched once, and erased beside all that goes on."""

import asyncio
import hashlib
import io
import json
import logging
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.api.accounts.decisions import DECISIONS
from chatbot.api.personal.texts import PERSONAL_TEXTS
from chatbot.api.texts import LANGUAGES
from chatbot.core.personal.eraser import Eraser
from chatbot.core.personal.tombstones import Tombstones
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.core.shelves.shelves import Shelves
from chatbot.domain.access import Rights, Scope
from chatbot.domain.chat import ConversationKey, Turn
from chatbot.domain.documents import DocumentState
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.stores import Person, Row
from chatbot.server.observe.logs import JsonLines
from parts.document_place import kept_bytes
from parts.http_service import ServiceOptions
from parts.keyed_service import Keyed, keyed_service
from parts.people import QUICK, People, Told, open_people, person
from parts.store_place import StorePlace
from parts.stub_generator import StubGenerator
from parts.waiting import until

TENANT = "team-a"
ALL = Rights()
"""Of the application that asks for its users."""


@dataclass
class Site:
    """A service that keeps everything of its users, with keys."""

    keyed: Keyed
    people: People
    header: dict[str, str]

    def client(self, **headers: str) -> httpx.AsyncClient:
        return self.keyed.service.client(headers={**self.header, "accept-language": "en", **headers})

    async def erased(self, user: str, **headers: str) -> dict[str, Any]:
        """The erasure of a user when it is over."""
        async with self.client(**headers) as client, asyncio.timeout(30):
            while True:
                answer = await client.get("/users/me/erasure", headers={"X-User-ID": user})
                if answer.json().get("state") == "done":
                    return dict(answer.json())
                await asyncio.sleep(0.02)


@asynccontextmanager
async def site_in(folder: Path, **chosen: Any) -> AsyncIterator[Site]:
    place = StorePlace("sqlite", str(folder / "kept" / "store.sqlite3"))
    people = open_people(place)
    known: list[Keyed] = []

    def pseudonyms(tenant: str, user: str) -> tuple[str, ...]:
        return known[0].peppers.pseudonyms.every(tenant, user) if known else ()

    eraser = Eraser(people.stores, Tombstones(people.erasures, time.time), pseudonyms, Told(), QUICK)
    ingestor = Ingestor(people.documents, lambda job: ReaderProcess.open(job, ReaderLimits()), IngestPolicy(0.2, 0.1))
    library = Library(people.documents, Retriever(people.documents), ingestor.wake, 1_000_000, eraser.tombstones)
    options = ServiceOptions(
        store=people.conversations,
        documents=library,
        shelves=Shelves(people.shelves, library),
        accounts=people.accounts,
        usage=people.usage,
        eraser=eraser,
        **chosen,
    )
    working = asyncio.create_task(ingestor.run())
    (folder / "keys").mkdir()
    try:
        async with keyed_service(folder / "keys", options) as keyed:
            known.append(keyed)
            yield Site(keyed, people, await keyed.header(ALL))
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await people.close()


class Canaries:
    """Words of one user, each of them sent once; which of them are kept is seen in the stores."""

    def __init__(self, user: str) -> None:
        self.user, self.made = user, 0
        self.by_operation: dict[str, int] = {}

    def word(self, operation: str) -> str:
        self.made += 1
        self.by_operation[operation] = self.by_operation.get(operation, 0) + 1
        return f"canary{self.user}{self.made:03d}"


async def until_read(people: People, user: str) -> None:
    """Return when all documents of a user were read."""
    owner = person(user, tenant=TENANT).caller()
    async with asyncio.timeout(60):
        while True:
            states = {one.state for one in await people.documents.listing(owner, limit=100)}
            if states <= {DocumentState.COMPLETED, DocumentState.FAILED}:
                return
            await asyncio.sleep(0.05)


# What an operation that is not in `sow` has of a user: only ids of what others put there, or nothing at all.
ONLY_NAMES = {
    *("readSession", "eraseSession", "listConversations", "readConversation", "eraseConversation"),
    *("readNote", "readPins", "continueConversation"),
    *("eraseUser", "readErasure", "exportUser", "readExport", "fetchExport"),
    *("listDocuments", "readDocument", "eraseDocument", "watchDocument", "cancelDocument"),
    *("listFiles", "retrieveFile", "deleteFile", "downloadFile", "listVectorStores", "retrieveVectorStore"),
    *("deleteVectorStore", "listVectorStoreFiles", "retrieveVectorStoreFile", "deleteVectorStoreFile"),
}
OF_NOBODY = {
    *("listModels", "retrieveModel", "ownKey", "listTools", "readUsage", "performance", "info", "health", "readiness"),
    *("listCharacters", "readCharacter", "exportCharacter", "previewCharacter"),  # cards are a tenant's
    *("importCharacter", "putCharacter", "eraseCharacter"),
}
NOT_HERE = {"askOpenAI", "createEmbedding"}  # the same code as askLlama; a text that is not kept


async def sow(client: httpx.AsyncClient, canaries: Canaries) -> None:
    """Say words of a user in every field that takes one."""
    user, word = canaries.user, canaries.word
    for number in range(6):
        body = {"input_data": word("askLlama"), "user_id": user, "db_id": word("askLlama")}
        assert (await client.post("/Llama", json=body)).status_code == 200
        beside = f"/conversations/{body['db_id']}"
        assert (await client.put(f"{beside}/note", json={"text": word("putNote")})).status_code == 200
        assert (await client.put(f"{beside}/pins", json={"pins": [word("putPins")]})).status_code == 200
        assert (await client.post(f"{beside}/continue")).status_code == 200
        body = {"message": word("chat"), "user_id": user, "session_id": word("chat"), "role": word("chat")}
        answer = await client.post("/chat", json=body | {"memory_context": [word("chat")]})
        assert answer.status_code == 200, answer.text
        asked = {"model": "stub", "messages": [{"role": "user", "content": word("createChatCompletion")}], "user": user}
        assert (await client.post("/v1/chat/completions", json=asked)).status_code == 200
        if number < 3:
            text = {
                "content": f"{word('addDocument')} is a word.",
                "name": word("addDocument"),
                "collection": word("addDocument"),
                "metadata": {word("addDocument"): word("addDocument")},
            }
            assert (await client.post("/documents", json=text)).status_code == 202
            question = {"question": word("askDocuments"), "generate": True}
            assert (await client.post("/rag/query", json=question)).status_code == 200
    content = word("createFile").encode()
    file = await client.post(
        "/v1/files", data={"purpose": "assistants"}, files={"file": (word("createFile") + ".txt", content)}
    )
    fields = {"name": word("createVectorStore"), "metadata": {"a": word("createVectorStore")}}
    store = await client.post("/v1/vector_stores", json=fields)
    place = {"file_id": file.json()["id"], "attributes": {"a": word("createVectorStoreFile")}}
    address = f"/v1/vector_stores/{store.json()['id']}"
    assert (await client.post(f"{address}/files", json=place)).status_code == 200
    await client.post(f"{address}/search", json={"query": word("searchVectorStore")})


def canaries_in(dump: bytes, canaries: Canaries) -> set[str]:
    return {word for n in range(1, canaries.made + 1) if (word := f"canary{canaries.user}{n:03d}").encode() in dump}


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What is logged, as services log it."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    try:
        yield told
    finally:
        logging.getLogger().removeHandler(handler)


async def sown(site: Site, canaries: Canaries) -> None:
    """Have everything of a user kept that can be."""
    async with site.client(**{"x-user-id": canaries.user}) as client:
        await sow(client, canaries)
    await until_read(site.people, canaries.user)
    owner = person(canaries.user, tenant=TENANT).caller()
    key = ConversationKey("character", owner, canaries.word("character"))
    await site.people.conversations.append(key, Turn("t", canaries.word("character"), "", datetime.now(UTC)), epoch=0)
    recorder = site.keyed.service.recorder
    assert recorder is not None
    await until(lambda: recorder.is_idle)


async def test_of_all_words_of_an_erased_user_none_is_left_and_of_the_other_all(
    tmp_path: Path, figures: Callable[..., None]
) -> None:
    mina, noah = Canaries("MinaOfTheMill"), Canaries("NoahOfTheMill")  # so long that no hash says one by chance
    with logged() as told:
        async with site_in(tmp_path) as site, site.client() as client:
            for canaries in (mina, noah):
                await sown(site, canaries)
            before = kept_bytes(site.people.place)
            assert (await client.delete(f"/users/{mina.user}")).status_code == 202
            receipt = (await site.erased(mina.user))["receipt"]
            dump = kept_bytes(site.people.place)
            metrics, _ = site.keyed.service.meters.render("text/plain")
            marks = [site.keyed.peppers.pseudonyms.every(TENANT, user)[0].encode() for user in (mina.user, noah.user)]

    his = canaries_in(before, noah)
    assert len(canaries_in(before, mina)) >= 40 and len(his) >= 40
    assert (canaries_in(dump, mina), canaries_in(dump, noah)) == (set(), his)
    assert (mina.user.encode() in dump, noah.user.encode() in dump) == (False, True)
    assert (marks[0] in dump, marks[1] in dump) == (False, True)
    for text, words in product((told.getvalue().encode(), metrics), (mina, noah)):
        assert canaries_in(text, words) == set()
        assert words.user.encode() not in text
    counts = {one["store"]: one["rows"] for one in receipt["erased"]}
    assert min(counts[name] for name in ("conversations", "documents", "files", "usage")) > 0
    assert len(receipt["outside"]) == 4
    # Whoever adds an operation says here what it has of a user.
    assert set(DECISIONS) == set(mina.by_operation) - {"character"} | ONLY_NAMES | OF_NOBODY | NOT_HERE
    figures(canaries=mina.made, kept_before=len(canaries_in(before, mina)), left=len(canaries_in(dump, mina)))


async def test_answers_that_run_and_wait_end_with_the_erasure_of_their_user(tmp_path: Path) -> None:
    generator = StubGenerator(first_seconds=0.05, piece_seconds=0.05, pieces=["word "] * 600)
    async with site_in(tmp_path, generator=generator, slots=2) as site, site.client() as client:

        def ask(user: str, name: str) -> asyncio.Task[httpx.Response]:
            body = {"input_data": f"canary {name}", "user_id": user, "db_id": name}
            return asyncio.create_task(client.post("/Llama", json=body))

        running, others = ask("Mina", "runs"), ask("Noah", "others")
        await until(lambda: len(generator.running) == 2)
        waiting = ask("Mina", "waits")
        line = site.keyed.service.admission
        await until(lambda: line.line("office").depth == 1)

        await client.delete("/users/Mina")
        ended = [await running, await waiting]
        assert not others.done()
        await site.erased("Mina")
        others.cancel()
        with suppress(asyncio.CancelledError):
            await others
        recorder = site.keyed.service.recorder
        assert recorder is not None
        await until(lambda: recorder.is_idle)
        dump = kept_bytes(site.people.place)
        mark = site.keyed.peppers.pseudonyms.every(TENANT, "Mina")[0].encode()

    assert mark not in dump, "records of what was given up have no subject"
    assert [(answer.status_code, answer.json()["code"]) for answer in ended] == [(409, "user_erased")] * 2
    assert b"canary runs" not in dump and b"canary waits" not in dump


async def test_a_stream_ends_with_the_erasure_of_its_user(tmp_path: Path) -> None:
    generator = StubGenerator(piece_seconds=0.02, pieces=["word "] * 600)
    async with site_in(tmp_path, generator=generator) as site, site.client() as client:
        body = {"input_data": "hi", "user_id": "Mina"}
        async with client.stream("POST", "/Llama", json=body, headers={"accept": "text/event-stream"}) as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if line.startswith("event: token"):
                    break
            await client.delete("/users/Mina")
            rest = [line async for line in lines]

    assert any("user_erased" in line for line in rest)


async def test_an_export_is_what_is_kept_and_is_fetched_once(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    turns = scale(500, 10_000)
    async with site_in(tmp_path) as site, site.client(**{"x-user-id": "Mina"}) as client:
        who = replace(person("Mina", tenant=TENANT), pseudonyms=site.keyed.peppers.pseudonyms.every(TENANT, "Mina"))
        await site.people.fill(who, "canary")
        owner = who.caller()
        for number in range(turns):
            key = ConversationKey("office", owner, f"long{number // 100}")
            asked = Turn(f"t{number}", f"question {number} " + "x" * 400, "y" * 400, datetime.now(UTC))
            await site.people.conversations.append(key, asked, epoch=0)
        assert (await client.get("/users/me/export")).status_code == 404
        offered = await client.post("/users/me/export")
        again = await client.get("/users/me/export")
        began = time.monotonic()
        answer = await client.get("/users/me/export/file")
        seconds = time.monotonic() - began
        second = await client.get("/users/me/export/file")
        expected = {store.name: [row async for row in store.export(who)] for store in site.people.stores}

    assert (offered.status_code, again.status_code, answer.status_code) == (202, 200, 200)
    assert (second.status_code, second.json()["code"]) == (404, "export_not_found")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        for line in manifest["stores"]:
            content = archive.read(line["file"])
            rows = [json.loads(one) for one in content.splitlines()]
            assert (line["rows"], line["sha256"]) == (len(rows), hashlib.sha256(content).hexdigest())
            assert rows == json.loads(json.dumps(expected[line["store"]]))
    assert {line["store"] for line in manifest["stores"]} == {store.name for store in site.people.stores}
    told = sum(row.get("question", "").startswith("question ") for row in expected["conversations"])
    assert told == turns
    figures(turns=turns, seconds=round(seconds, 2), zip_bytes=len(answer.content))


async def test_a_key_without_the_scope_gets_no_documents(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        await site.people.fill(person("Mina", tenant=TENANT), "canary")
        header = await site.keyed.header(Rights(frozenset({Scope.CONVERSATIONS_READ})))
        async with site.client(**header, **{"x-user-id": "Mina"}) as client:
            await client.post("/users/me/export")
            answer = await client.get("/users/me/export/file")

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["left_out"] == ["documents", "files"]
        assert not {"documents.ndjson", "files.ndjson"} & set(archive.namelist())


async def test_an_export_that_breaks_off_opens_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaking(_who: Person) -> AsyncIterator[Row]:
        yield {"kind": "thing"}
        raise StoreUnavailable("away")

    async with site_in(tmp_path) as site, site.client(**{"x-user-id": "Mina"}) as client:
        await client.post("/users/me/export")
        monkeypatch.setattr(site.people.stores[2], "export", breaking)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/users/me/export/file")
        assert (await client.get("/users/me/export")).status_code == 404


async def test_whose_data_a_key_may_name(tmp_path: Path) -> None:
    erase = frozenset({Scope.CONVERSATIONS_ERASE, Scope.CONVERSATIONS_READ})
    rights = {
        "her own": (Rights(erase, user="Mina"), "/users/Mina", 202, ""),
        "her own as me": (Rights(erase, user="Mina"), "/users/me", 202, ""),
        "another's": (Rights(erase, user="Mina"), "/users/Noah", 403, "user_mismatch"),
        "an application": (Rights(erase), "/users/Mina", 202, ""),
        "an application of one service": (
            Rights(erase, services=frozenset({"office"})), "/users/Mina", 403, "service_not_allowed"
        ),
        "no scope": (Rights(frozenset({Scope.CHAT})), "/users/Mina", 403, "scope_missing"),
        "an administrator": (Rights(frozenset({Scope.ADMIN})), f"/users/Mina?tenant={TENANT}", 202, ""),
        "nobody named": (Rights(erase), "/users/me", 422, "invalid_input"),
        "no user": (Rights(erase), "/users/%00", 422, "invalid_input"),
    }  # fmt: skip
    found = {}
    async with site_in(tmp_path) as site:
        for name, (right, path, _, _) in rights.items():
            header = await site.keyed.header(right, tenant="operators" if "admin" in name else TENANT)
            async with site.client(**header) as client:
                answer = await client.delete(path)
            found[name] = (answer.status_code, answer.json().get("code", ""))
        await site.erased("Mina")
        admin = await site.keyed.header(Rights(frozenset({Scope.ADMIN})), tenant="operators")
        async with site.client(**admin) as client:
            elsewhere = await client.get("/users/Mina/erasure")
            there = await client.get("/users/Mina/erasure", params={"tenant": TENANT})
            question = await client.post("/Llama", json={"input_data": "hi", "user_id": "Mina"})

    assert found == {name: (status, code) for name, (_, _, status, code) in rights.items()}
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "erasure_not_found")
    assert there.json()["state"] == "done"
    assert question.status_code == 403


async def test_a_receipt_speaks_the_language_of_its_reader(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site, site.client() as client:
        await client.delete("/users/Mina")
        await site.erased("Mina")
        told = [
            (await client.get("/users/Mina/erasure", headers={"accept-language": language})).json()["receipt"][
                "outside"
            ]
            for language in LANGUAGES
        ]

    assert [texts[0] for texts in told] == list(PERSONAL_TEXTS["outside.provider"])
