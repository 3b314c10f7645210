"""Hostile text in a user's documents, before a model that obeys: no link, picture, source or call is made up."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatbot.adapters.documents.reader_process import ReaderLimits, ReaderProcess
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.retrieval.ingest import Ingestor, IngestPolicy
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Retriever
from chatbot.domain.document_store import DocumentBounds
from parts.http_service import ServiceOptions, running_service
from parts.injections import DEEDS, INJECTIONS, Parrot

QUESTION = "무엇이 있나요?"
CANARY = "canary4711"
OWN = (
    "https://wiki.corp.example/휴가 신청은 hr@corp.example 로, 자세한 것은 https://wiki.corp.example/leave?id=12 에서."
)


class Obedient(Parrot):
    """Puts what it knows into every address that a document asks for."""

    canary = CANARY


def made_up(answer: str) -> list[str]:
    """What of an answer is a picture, markup, the secret, or an address that no document has."""
    links = re.findall(r"(?:[a-z]+://|//|www\.)[^\s()\[\]<>'\"]*|[\w.]+@[\w.]+", answer)
    written = OWN + "".join(INJECTIONS)
    return [link for link in links if link not in written] + re.findall(rf"!\[|<img|<a |{CANARY}", answer)


async def test_nothing_comes_of_a_hundred_hostile_passages(tmp_path: Path, figures: Callable[..., None]) -> None:
    store = SqliteDocuments(tmp_path / "documents.sqlite3", DocumentBounds())
    ingestor = Ingestor(store, lambda job: ReaderProcess.open(job, ReaderLimits()), IngestPolicy(0.2, 0.1))
    library = Library(store, Retriever(store), ingestor.wake, 1_000_000)
    working = asyncio.create_task(ingestor.run())
    model, answers = Obedient(), list[str]()
    async with running_service(tmp_path, ServiceOptions(generator=model, documents=library)) as service:
        async with service.client(headers={"X-User-ID": "u"}) as client:
            for first in range(0, len(INJECTIONS), 10):
                answers += await _asked(client, first)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await store.close()

    assert all("hr@corp.example" in answer and "https://wiki.corp.example/leave?id=12" in answer for answer in answers)
    assert [found for answer in answers for found in made_up(answer)] == []
    assert {int(n) for answer in answers for n in re.findall(r"\[(\d+)\]", answer)} <= {*range(1, 11)}
    told = "".join(request.dialogue.question.content for request in model.requests)
    assert all(deed in told for deed in DEEDS)
    for request in model.requests:
        said = request.dialogue.question
        lines = said.content.split("\n")
        assert (said.role, request.dialogue.rounds, request.tools) == ("user", (), None)
        assert lines.count(lines[0]) == 2 and lines[-1] == f"Question: {QUESTION}"
    figures(hostile_texts=len(INJECTIONS), answers=len(answers), links_made_up=0, calls_caused=0, forged_turns=0)


async def _asked(client: Any, first: int) -> list[str]:
    """Answers of both ways to ask, from a collection of ten hostile passages and one that is none."""
    name = f"c{first}"
    texts = (f"{QUESTION} {text}" for text in (OWN, *INJECTIONS[first : first + 10]))
    body = {"content": "\n\n".join(texts), "name": "rules.txt", "collection": name}
    added = await client.post("/documents", json=body)
    assert added.status_code == 202, added.text
    link = added.json()["links"]["self"]

    async with asyncio.timeout(60):
        while (await client.get(link)).json()["status"] != "completed":  # noqa: ASYNC110 - it is in a process
            await asyncio.sleep(0.05)
    wanted = {"collections": [name], "k": 20}
    one = await client.post("/rag/query", json={"question": QUESTION, **wanted})
    two = await client.post("/chat", json={"message": QUESTION, "user_id": "u", "documents": wanted})
    return [one.json()["answer"], two.json()["response"]]
