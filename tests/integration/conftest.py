"""Stores of every kind, each test on one of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.mongo_server import mongo_url, scratch_database
from parts.store_place import KINDS, StorePlace


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Connection string of a MongoDB of the file's own."""
    with mongo_url() as url:
        yield url


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """Where a store keeps its data: in a file, or in MongoDB by either driver."""
    if request.param == "sqlite":
        yield StorePlace("sqlite", str(tmp_path / "deep" / "store.sqlite3"))
        return
    url = request.getfixturevalue("url")
    with scratch_database(url) as database:
        yield StorePlace(request.param, url, database)
