"""A Qdrant that is away, slow, full, strict or broken: what callers are told, how often it is asked, what is logged."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.adapters.documents.qdrant import wire as wire_module
from chatbot.adapters.documents.qdrant.wire import ANSWER_BYTES, MissingCollection, QdrantWire
from chatbot.core.retrieval.terms import query_terms
from chatbot.domain.document_store import DocumentStore, Lookup
from chatbot.domain.documents import Upload
from chatbot.domain.errors import DocumentsUnavailable
from parts.document_place import ALICE, completed, open_documents
from parts.forward_proxy import private_authority
from parts.mongo_server import scratch_database
from parts.qdrant_server import Qdrant, Told, ok, qdrant_server, told
from parts.store_place import StorePlace
from qdrant_client import QdrantClient

KEY = "key-canary"
BODY = {"filter": {"must": [{"key": "owner", "match": {"value": "ownercanary"}}]}, "exact": True}


@pytest.fixture
async def wire(qdrant: Qdrant, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QdrantWire]:
    monkeypatch.setattr(wire_module, "_PAUSE_SECONDS", 0.01)
    wire = QdrantWire.open(qdrant.url, KEY)
    qdrant.asked.clear()
    yield wire
    qdrant.fault = lambda _method, _path: None
    await wire.close()


@pytest.fixture
def both(url: str, qdrant: Qdrant) -> Iterator[StorePlace]:
    with scratch_database(url) as database:
        yield StorePlace("qdrant", url, database, qdrant.url, str(qdrant.folder))
        qdrant.fault = lambda _method, _path: None
        qdrant.drop(database)


async def asked(wire: QdrantWire, seconds: float = 2.5) -> Any:
    return await wire.call("POST", "/collections/one/points/count", BODY, seconds)


@pytest.mark.parametrize(
    ("fault", "remedy", "tries"),
    [
        (told(400, {"status": {"error": "ownercanary"}}), "older than 1.19", 1),
        (told(401, {}), "API_KEY_FILE", 1),
        (told(403, {}), "API_KEY_FILE", 1),
        (told(413, {}), "max_request_size_mb", 1),
        (told(429, {"status": {"error": "ownercanary"}}), "limits", 3),
        (told(500, {"status": {"error": "ownercanary"}}), "see its log", 3),
        (told(503, {}), "status 503", 3),
        ((302, b""), "status 302", 1),
        ("drop", "the connection broke", 3),
        ("cut", "the connection broke", 3),
        ((200, b'{"result": {'), "none of a Qdrant's", 1),
        ((200, b"[]"), "none of a Qdrant's", 1),
        ((200, b"[" * 100_000), "none of a Qdrant's", 1),
        ((200, b"<html>"), "none of a Qdrant's", 1),
        ((200, b'{"result": 3}'), "none of a Qdrant's", 1),
        (told(200, {"status": {"error": "ownercanary"}, "result": None}), "none of a Qdrant's", 1),
        ((200, b" " * (ANSWER_BYTES + 1)), "more than", 1),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
async def test_failure_is_told_with_its_remedy_and_nothing_of_the_request(
    wire: QdrantWire, qdrant: Qdrant, caplog: pytest.LogCaptureFixture, fault: Told | str, remedy: str, tries: int
) -> None:
    qdrant.fault = lambda _method, _path: fault
    with caplog.at_level(logging.DEBUG), pytest.raises(DocumentsUnavailable) as raised:
        await asked(wire)

    assert remedy in str(raised.value)
    assert "canary" not in str(raised.value) + caplog.text
    assert len(qdrant.asked) == tries


async def test_failure_that_passes_is_not_told(wire: QdrantWire, qdrant: Qdrant) -> None:
    answers = iter([told(503, {}), "drop", ok({"count": 7})])
    qdrant.fault = lambda _method, _path: next(answers)

    assert await asked(wire) == {"count": 7}


async def test_server_that_hangs_costs_no_more_than_the_time_of_a_call(wire: QdrantWire, qdrant: Qdrant) -> None:
    qdrant.fault = lambda _method, _path: "hang"

    with pytest.raises(DocumentsUnavailable, match="no answer within 0.3 s"):
        await asked(wire, 0.3)
    assert len(qdrant.asked) == 1


async def test_key_is_sent_with_every_call_and_asked_for(wire: QdrantWire, qdrant: Qdrant) -> None:
    qdrant.api_key = KEY
    without = QdrantWire.open(qdrant.url)
    try:
        with pytest.raises(MissingCollection):
            await asked(wire)
        with pytest.raises(DocumentsUnavailable, match="asks for a key"):
            await asked(without)
    finally:
        qdrant.api_key = ""
        await without.close()
    assert [headers.get("api-key") for _, _, headers, _ in qdrant.asked] == [KEY, None]


async def test_nobody_listens() -> None:
    wire = QdrantWire.open("http://127.0.0.1:1", KEY)
    with pytest.raises(DocumentsUnavailable, match="no connection: check CHATBOT_DOCUMENTS_QDRANT_URL"):
        await asked(wire)
    await wire.close()


@pytest.mark.parametrize(
    "url",
    ["", "qdrant:6333", "ftp://host", "http://", "http://a:b@host", "http://host:99999", "http://host/?key=canary"]
    + ["http://ho\nst", "http://[", "http://호스트"],
)
def test_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="CHATBOT_DOCUMENTS_QDRANT_URL") as raised:
        QdrantWire.open(url)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("key", ["canary\n", "canary\r\nx: y", "canary열쇠", "canary\x7f"])
def test_key_that_is_none_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="CHATBOT_DOCUMENTS_QDRANT_API_KEY_FILE") as raised:
        QdrantWire.open("http://host", key)
    assert "canary" not in str(raised.value)


async def test_key_goes_by_tls_to_a_server_that_an_authority_of_ours_vouches_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = private_authority(tmp_path, "localhost")
    with qdrant_server(context) as server:
        url = f"https://localhost:{server.port}"
        stranger = QdrantWire.open(url, KEY)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        friend = QdrantWire.open(url, KEY)
        with pytest.raises(DocumentsUnavailable, match="certificate"):
            await asked(stranger)
        seen_by_stranger = list(server.asked)
        with pytest.raises(MissingCollection):
            await asked(friend)
        for one in (stranger, friend):
            await one.close()

    assert seen_by_stranger == []
    assert [headers["api-key"] for _, _, headers, _ in server.asked] == [KEY]


async def test_environments_proxy_is_not_told_the_key(
    wire: QdrantWire, qdrant: Qdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    other = QdrantWire.open(qdrant.url, KEY)
    with pytest.raises(MissingCollection):
        await asked(other)
    await other.close()


async def test_search_goes_on_when_the_server_is_back(
    both: StorePlace, qdrant: Qdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "_PAUSE_SECONDS", 0.0)
    store = open_documents(both)
    lookup = Lookup(query_terms("연차"))
    await completed(store, ALICE, Upload("a", b"a"), ["연차는 15일이다."])
    qdrant.fault = lambda _method, _path: told(503, {})
    with pytest.raises(DocumentsUnavailable):
        await store.search(ALICE, lookup)
    listed = await store.listing(ALICE, limit=9)
    qdrant.fault = lambda _method, _path: None

    found = await store.search(ALICE, lookup)
    await store.close()

    assert len(listed) == len(found) == 1


async def test_the_official_client_finds_what_we_wrote(both: StorePlace, qdrant: Qdrant) -> None:
    """Our front of the engine, and what we write through it, are a Qdrant's to the client that its makers publish."""
    store: DocumentStore = open_documents(both)
    await completed(store, ALICE, Upload("a", b"a"), ["연차는 15일이다.", "출장비"])
    await store.close()
    client = QdrantClient(url=qdrant.url, timeout=5, check_compatibility=False)
    names = [one.name for one in client.get_collections().collections if one.name.startswith(both.database)]

    assert [name.rpartition("_")[2] for name in names] == ["terms"]
    assert client.count(names[0], exact=True, count_filter={"must": []}).count == 2
    client.close()
