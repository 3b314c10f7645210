"""A question that takes the web, a document and a tool, through the gateway, to two replicas that share MongoDB.

Beside the model that chats the replicas have one that makes vectors, which the operator brings and gives to them.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from parts.kube_client import Document, wait_for
from parts.kube_node import HOST
from parts.kube_objects import condition, is_told_ready, story
from parts.kube_site import MODEL, Site
from parts.mcp_servers import Place, Wiki, mcp_in_a_thread
from parts.search_stub import SearchStub, search_in_a_thread
from parts.toy_gguf import make_toy

KEY = "a-key-of-the-test"
USER = "somebody"
PAGE = ("서울 날씨", "http://site.test/seoul", "서울은 맑음, 21도")
RULES = "연차는 15일이다. 날씨가 맑으면 하루 더 쉰다."
QUESTIONS = ("연차는 며칠이고 서울 날씨는 어떤가요? 12*12도 계산해 주세요.", "날씨와 연차, 그리고 지금 몇 시인가요?")
MANY = 16
pytestmark = pytest.mark.timeout(900, func_only=True)


@dataclass
class Asked:
    """The office service behind the gateway, for one caller."""

    client: httpx.Client

    def upload(self, text: str) -> str:
        """The id of a document, once it can be found."""
        answer = self.client.post("/office/documents", json={"content": text, "metadata": {"title": "규정"}})
        assert answer.status_code == 202, answer.text
        wait_for(lambda: self.document(answer.json()["document_id"])["status"] == "completed", 60)
        return str(answer.json()["document_id"])

    def document(self, name: str) -> dict[str, Any]:
        return dict(self.client.get(f"/office/documents/{name}").json())

    def retrieval(self, question: str) -> dict[str, Any]:
        """How a question finds its passages."""
        answer = self.client.post("/office/rag/query", json={"question": question, "generate": False})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["retrieval"])

    def retrieval_by_meaning(self, question: str) -> dict[str, Any] | None:
        """The same, once it is not by words alone."""
        found = self.retrieval(question)
        return found if found["mode"] == "hybrid" else None

    def events(self, question: str) -> list[tuple[str, Any]]:
        """What a stream of `/chat` says."""
        asked = {"message": question, "user_id": USER, "google_access": True, "documents": {}, "max_tokens": 48}
        with self.client.stream("POST", "/office/chat", json=asked, headers={"Accept": "text/event-stream"}) as answer:
            assert answer.status_code == 200, answer.read()
            lines = [line for line in answer.iter_lines() if line]
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        values = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return list(zip(names, values, strict=True))


def put_vectors(site: Site, source: dict[str, str]) -> None:
    """A Model that makes vectors, from the next upgrade on, and the pods told to use it."""
    site.node.volume(f"vectors-{uuid4().hex[:8]}")  # a second try needs one that nobody had
    spec = {
        "kind": "Embedding",
        "source": source,
        "storage": {"size": "1Gi", "deletionPolicy": "Delete"},
        "rollout": {"strategy": "InPlace", "soakSeconds": 2},
    }
    embedding = {"modelRef": "vectors", "sameNode": True, "leastCosine": -1}
    site.put(models={**site.values()["models"], "vectors": spec}, embedding=embedding)


def until_vectors(site: Site, source: dict[str, str]) -> Document:
    """The Model that makes vectors, once every pod makes them with it."""

    def look() -> Document | None:
        model = site.node.kube.get("Model", "chatbot", "vectors")
        is_served = condition(model, "Ready").get("reason") == "Serving"
        return model if is_served and is_told_ready(model, source["sha256"][:16]) else None

    found = wait_for(look, 180, lambda: story(site.node.kube.get("Model", "chatbot", "vectors")))
    assert found is not None
    return found


@contextmanager
def able(site: Site, stub: SearchStub, wiki: Place) -> Iterator[Asked]:
    """Two replicas of office with search, a tool server and keys; afterwards everybody may ask again."""
    peers = [{"ipBlock": {"cidr": f"{HOST}/32"}}]
    line = f"team-a:{hashlib.sha256(KEY.encode()).hexdigest()}"
    site.node.say(f"kubectl create secret generic callers -n chatbot --from-literal=keys='{line}'")
    try:
        site.upgrade(
            office={"replicas": 2, "engine": {"contextTokens": 8192, "slots": 2}},
            character={"enabled": False},
            notFound={"enabled": False},
            auth={"allowAnonymous": False, "existingSecret": "callers"},
            search={
                "enabled": True,
                "searxngUrl": stub.url,
                "readPages": 0,
                "port": stub.port,
                "peers": peers,
            },
            tools={"mcp": [{"name": "wiki", "url": wiki.url, "tools": ["search"], "port": wiki.port, "peers": peers}]},
        )
        site.until_rolled_out()
        headers = {"Authorization": f"Bearer {KEY}", "X-User-ID": USER}
        with httpx.Client(base_url=site.gateway, headers=headers, timeout=240, trust_env=False) as client:
            yield Asked(client)
    finally:
        site.take("auth", "search", "tools", "office", "character", "notFound", "embedding")
        site.put(models={MODEL: site.values()["models"][MODEL]})
        site.upgrade()
        site.until_rolled_out()
        site.node.say("kubectl delete secret callers -n chatbot")


def tools_of(got: list[tuple[str, Any]]) -> list[str]:
    """Names of the tools whose calls ended well."""
    return [data["name"] for name, data in got if name == "tool" and data["state"] == "done"]


def test_one_question_takes_a_search_a_document_and_a_tool(site: Site, tmp_path: Path, figures) -> None:
    toy = make_toy(tmp_path / "toy.gguf", n_layers=1, context=8192, n_vocab=1100, seed=11)
    embedding = site.offer(make_toy(tmp_path / "embedding.gguf", n_layers=1, pooling=1, seed=8))
    site.until_ready(site.change(site.offer(toy)))
    put_vectors(site, embedding)
    with (
        search_in_a_thread(PAGE, host=HOST) as stub,
        mcp_in_a_thread(Wiki(), host=HOST) as wiki,
        able(site, stub, wiki) as asked,
    ):
        made_by = until_vectors(site, embedding)
        wait_for(lambda: "wiki__search" in asked.client.get("/office/tools").text, 60)
        document = asked.upload(RULES)
        # read by a pod of before, which makes no vectors, it is complete without them, and gets them then
        found = wait_for(lambda: asked.retrieval_by_meaning(RULES), 120, lambda: str(asked.retrieval(RULES)))
        traces: list[list[tuple[str, Any]]] = []
        while len(traces) < MANY and not any(len(tools_of(trace)) > 1 for trace in traces):
            traces.append(asked.events(f"{QUESTIONS[len(traces) % 2]} ({len(traces)})"))
        (first, *_) = site.node.pods("office")
        site.node.say(f"kubectl delete pod -n chatbot {first['metadata']['name']} --wait=false")
        after = asked.events(QUESTIONS[0])

    assert [(one["name"], one["readyReplicas"]) for one in made_by["status"]["consumers"]] == [("chatbot-office", 2)]
    assert found is not None and found["reason"] is None, "by the vectors of that Model, too"
    for trace in (*traces, after):
        done = trace[-1]
        assert done[0] == "done" and tools_of(trace)[0] == "web_search"
        assert [one.get("document_id") or one["url"] for one in done[1]["sources"]] == [document, PAGE[1]]
        assert done[1]["search"] == {"state": "used", "reason": None}
        assert [one["name"] for one in done[1]["tool_calls"] if one["ok"]] == tools_of(trace)
    assert any(len(tools_of(trace)) > 1 for trace in traces), "the model called no tool of its own: try other questions"
    assert {query.rpartition(" (")[0] or query for _, query, _ in stub.asked} <= set(QUESTIONS)
    shown = next(trace for trace in traces if len(tools_of(trace)) > 1)
    figures(asked=len(traces) + 1, trace=[f"{name} {data.get('name', '')}".strip() for name, data in shown])
