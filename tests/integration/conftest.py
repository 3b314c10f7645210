"""Stores of every kind, each test on one of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.mongo_server import mongo_url, scratch_database
from parts.qdrant_server import Qdrant, qdrant_server
from parts.redis_server import empty_history, redis_url
from parts.store_place import DOCUMENT_KINDS, HISTORY_KINDS, KINDS, StorePlace

_KINDS_OF = {
    **dict.fromkeys(("test_conversation_store.py", "test_history_kills.py", "test_proposals_store.py"), HISTORY_KINDS),
    **dict.fromkeys(("test_document_store.py", "test_document_vectors.py"), DOCUMENT_KINDS),
}


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let tests of conversations run on Redis, and of documents on Qdrant, too, where a test does not say on what."""
    says_itself = any(mark.args[0] == "place" for mark in metafunc.definition.iter_markers("parametrize"))
    kinds = _KINDS_OF.get(metafunc.definition.path.name)
    if kinds and "place" in metafunc.fixturenames and not says_itself:
        metafunc.definition.add_marker(pytest.mark.parametrize("place", kinds, indirect=True))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Connection string of a MongoDB of the file's own."""
    with mongo_url() as url:
        yield url


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis of the file's own."""
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def qdrant() -> Iterator[Qdrant]:
    """A Qdrant of the file's own."""
    with qdrant_server() as server:
        yield server


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """Where a store keeps its data: in a file, in MongoDB by either driver, in Redis, or in MongoDB and Qdrant."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "deep" / "store.sqlite3"))
        return
    if request.param == "redis":
        url = request.getfixturevalue("redis")
        with empty_history(url):
            yield StorePlace("redis", url)
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        if request.param == "qdrant":
            server = request.getfixturevalue("qdrant")
            yield StorePlace("qdrant", url, database, server.url, str(server.folder))
            server.drop(database)
            return
        yield StorePlace(request.param, url, database)
