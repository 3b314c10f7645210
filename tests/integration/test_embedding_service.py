"""A whole service process with an embedding model of its own: settings, worker, endpoints, and a killed engine."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from chatbot.server.settings.documents import EmbeddingSettings
from chatbot.server.wiring.embedding import open_embedding
from parts.embedding_models import make_embedding_toy
from parts.office_processes import OfficeProcess, nursery, settings_for
from parts.store_place import StorePlace

USER = {"X-User-ID": "alice"}
TEXT = "\n\n".join(f"# {number}번 규정\n{number}번째 규정의 내용이다." for number in range(40))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[OfficeProcess]:
    place = StorePlace("sqlite", str(tmp_path / "history.sqlite3"))
    settings = settings_for(place, tmp_path, "http://127.0.0.1:9/v1") | {
        "CHATBOT_DOCUMENTS_STORE": "sqlite",
        "CHATBOT_DOCUMENTS_SQLITE_PATH": str(tmp_path / "documents.sqlite3"),
        "CHATBOT_EMBEDDING_PATH": str(make_embedding_toy(tmp_path / "embedding.gguf")),
        "CHATBOT_EMBEDDING_NAME": "words-to-numbers",
        "CHATBOT_EMBEDDING_LEAST_COSINE": "-1",
    }
    with nursery() as offices:
        office = offices.start(tmp_path, settings)
        await office.ready()
        yield office
        await office.close()


async def until(look: Callable[[], Any], seconds: float = 90.0) -> Any:
    """What `look` gives, once it is true."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)
    return found


async def test_documents_get_vectors_of_the_process_own_model_also_when_that_is_killed(office: OfficeProcess) -> None:
    http = office.client

    async def embedding() -> Any:
        return (await http.get("/info")).json()["embedding"]

    told = await until(embedding)
    engine = _engine_of(office)
    added = (await http.post("/documents", json={"content": TEXT, "name": "a.md"}, headers=USER)).json()
    os.kill(engine, signal.SIGKILL)

    async def is_complete() -> bool:
        found = (await http.get(added["links"]["self"], headers=USER)).json()
        return found["status"] == "completed"

    await until(is_complete)
    answer = await http.post("/rag/query", json={"question": "7번째 규정", "generate": False}, headers=USER)
    vectors = await http.post("/v1/embeddings", json={"model": "words-to-numbers", "input": ["a", "b"]})
    listed = (await http.get("/v1/models")).json()

    assert told == {"name": "words-to-numbers", "dimensions": 128, "local": True}
    assert _engine_of(office) != engine
    found = answer.json()
    assert (found["retrieval"]["mode"], found["retrieval"]["reason"]) == ("hybrid", None)
    assert found["retrieval"]["dense"] > 0
    assert len(vectors.json()["data"]) == 2
    assert "words-to-numbers" in [model["id"] for model in listed["data"]]


def name_revision(folder: Path, revision: str) -> None:
    """As the kubelet does it: a file of another content in its place."""
    new = folder / ".new"
    new.write_text(revision)
    new.rename(folder / "model-revision")


def followed(folder: Path, revisions: dict[str, dict[str, Any]]) -> tuple[dict[str, str], Path]:
    """Settings of a process that follows what a folder names, and the folder; all revisions are on the volume."""
    models, info = folder / "embedding-models", folder / "info"
    for revision, options in revisions.items():
        (models / revision).mkdir(parents=True)
        make_embedding_toy(models / revision / "model.gguf", **options)
    info.mkdir()
    settings = settings_for(StorePlace("sqlite", str(folder / "history.sqlite3")), folder, "http://127.0.0.1:9/v1")
    return settings | {
        "CHATBOT_DOCUMENTS_STORE": "sqlite",
        "CHATBOT_DOCUMENTS_SQLITE_PATH": str(folder / "documents.sqlite3"),
        "CHATBOT_EMBEDDING_DIR": str(models),
        "CHATBOT_EMBEDDING_REVISION_DIR": str(info),
        "CHATBOT_EMBEDDING_LEAST_COSINE": "-1",
    }, info


async def test_documents_follow_the_model_that_a_cluster_names_and_stay_with_a_good_one(tmp_path: Path) -> None:
    first, second, bad = ("a" * 16, "b" * 16, "c" * 16)
    settings, info = followed(tmp_path, {first: {}, second: {"seed": 8}, bad: {"nan": True}})
    (info / "good-revision").write_text(first)
    with nursery() as offices:
        office = offices.start(tmp_path, settings)
        await office.ready()
        http = office.client

        async def page() -> dict[str, Any]:
            return dict((await http.get(f"{office.internal_url}/embedding")).json())

        async def says(state: str, expected: str, served: str = "") -> Any:
            told = await page()
            wanted = (state, expected, served or expected)
            return told if (told["state"], told["expected"], told["revision"]) == wanted else None

        async def mode() -> tuple[Any, Any]:
            asked = {"question": "7번째 규정", "generate": False}
            told = (await http.post("/rag/query", json=asked, headers=USER)).json()["retrieval"]
            return told["mode"], told["reason"]

        async def is_hybrid() -> bool:
            return await mode() == ("hybrid", None)

        served = [(await until(lambda: says("serving", first)))["revision"]]
        await http.post("/documents", json={"content": TEXT, "name": "a.md"}, headers=USER)
        await until(is_hybrid)
        name_revision(info, second)
        served.append((await until(lambda: says("serving", second)))["revision"])
        await until(is_hybrid)  # every vector was made anew by the second
        name_revision(info, bad)
        await until(is_hybrid)  # the second still serves
        failed = await until(lambda: says("failed", bad, second))
        await office.close()

    assert served == [first, second]
    assert (failed["revision"], failed["reason"]) == (second, "SmokeNaN")


def _engine_of(office: OfficeProcess) -> int:
    children = psutil.Process(office._pid).children(recursive=True)
    return next(child.pid for child in children if "chatbot.llm.engine.embedding.process" in child.cmdline())


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"path": Path("a.gguf"), "dir": Path("/embedding-models")}, "CHATBOT_EMBEDDING_DIR"),
        ({"path": Path("a.gguf"), "url": "http://a/v1", "model": "m"}, "CHATBOT_EMBEDDING_PATH"),
        ({"url": "http://a/v1"}, "CHATBOT_EMBEDDING_MODEL"),
        ({"model": "m"}, "CHATBOT_EMBEDDING_URL"),
    ],
)
def test_half_or_double_settings_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        open_embedding(EmbeddingSettings(**settings), None)  # type: ignore[arg-type]


def test_without_settings_there_is_no_model() -> None:
    assert open_embedding(EmbeddingSettings(), None) is None  # type: ignore[arg-type]
