"""What must not leave the house, be kept or be recalled: the strictest of tenant, conversation and request holds."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatbot.adapters.documents.sqlite_store import SqliteDocuments
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.retrieval.library import Library
from chatbot.core.retrieval.search import Meaning, Retriever
from chatbot.core.tools.contract import JsonValue, Reach, ToolContext, ToolResult
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Upload
from chatbot.domain.errors import ModelUnavailable
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tenants.policy import Policies, Tenant
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import SearchSettings
from chatbot.server.wiring.web import open_web
from parts.calling_model import CallingModel, Move, call
from parts.document_place import completed, embedded
from parts.embedding_models import HandmadeMeaning
from parts.http_service import Service, ServiceOptions, running_service
from parts.search_stub import search_stub
from parts.stub_generator import StubGenerator

ME = {"x-user-id": "u"}
ASKED = {"input_data": "연차는 며칠인가요?", "user_id": "u"}


class Elsewhere(HandmadeMeaning):
    """An embedding model that is not in the house."""

    is_remote = True


class OutsideTool:
    """Asks somebody outside."""

    name = "ask_outside"
    description = "Knows everything."
    parameters: Mapping[str, JsonValue] = {"type": "object", "properties": {"q": {"type": "string"}}}
    reach = Reach(leaves=True, is_outside=True)

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        self.asked += 1
        return {"answer": "15"}

    def say(self, result: ToolResult, language: str) -> str:
        return "15"


def eager(request: GenerationRequest) -> list[Move]:
    """Calls whatever asks outside, once, where it is offered; known by name it is called also where it is not."""
    if request.tools is not None and not request.dialogue.rounds:
        return [call("ask_outside", {"q": "연차"})]
    return ["15일", "입니다."]


class Model(CallingModel):
    """A local model that is away for every fourth request."""

    has_model = True

    def __init__(self) -> None:
        super().__init__(eager)
        turns = itertools.count()
        self.refusal = lambda _request: ModelUnavailable() if next(turns) % 4 == 3 else None


@dataclass
class House:
    """A service with everything that could leave it, counted."""

    service: Service
    client: httpx.AsyncClient
    meaning: Elsewhere
    remote: StubGenerator
    searches: list[Any]
    tool: OutsideTool = field(default_factory=OutsideTool)

    @property
    def left(self) -> dict[str, int]:
        """How often words left, by the way."""
        return {
            "backend": len(self.remote.requests),
            "web": len(self.searches),
            "tool": self.tool.asked,
            "vectors": len(self.meaning.calls),
        }


@asynccontextmanager
async def house(folder: Path, policy: Privacy | None = None) -> AsyncIterator[House]:
    """It runs; one document of the user has its vectors, which were not made by a question."""
    meaning, tool, remote = Elsewhere(), OutsideTool(), StubGenerator(("밖에서",), Backend.OPENAI, "gpt-stub")
    store = SqliteDocuments(folder / "documents.sqlite3", DocumentBounds())
    await completed(
        store, Caller("", "u"), Upload("r.md", "연차는 15일이다.".encode(), "default", {}), ["연차는 15일이다."]
    )
    await embedded(store, meaning.space, [[1.0] + [0.0] * (meaning.dimensions - 1)])
    async with search_stub() as stub:
        chosen = SearchSettings(searxng_url=stub.url, read_pages=0)

        def agent(meters: Meters) -> Agent:
            return Agent(Toolbox("office", (*built_in(), tool), AgentBounds(), meters), "Asia/Seoul")

        options = ServiceOptions(
            generator=Model(),  # type: ignore[arg-type]
            remote=remote,
            may_fall_back=True,
            web=lambda meters: open_web(chosen, "office", meters),
            agent=agent,
            embedding=meaning,
            documents=Library(store, Retriever(store, meaning=Meaning(meaning)), lambda: None, 1_000_000),
            tenants=Policies([Tenant(name="default", privacy=policy)] if policy else []),
        )
        async with running_service(folder, options) as service, service.client() as client:
            yield House(service, client, meaning, remote, stub.asked, tool)


Kind = tuple[str, dict[str, Any]]


def kinds(chance: random.Random) -> Kind:
    """A request of any kind: path and body."""
    google = {"google_access": chance.random() < 0.5}
    talk = {"db_id": f"c{chance.randrange(20)}"} if chance.random() < 0.7 else {}
    asked = ASKED | {"input_data": f"연차는 며칠인가요? {chance.random()}"}  # what was found before is kept
    chat: dict[str, Any] = {"message": asked["input_data"], "user_id": "u", **google}
    if talk:
        chat["session_id"] = talk["db_id"]
    choices: list[Callable[[], Kind]] = [
        lambda: ("/Llama", asked | google | talk),
        lambda: ("/OpenAI", asked | google | talk),
        lambda: ("/chat", chat | {"model": chance.choice(("local", "openai", "gpt-stub"))}),
        lambda: ("/chat", chat | {"documents": {}}),
        lambda: ("/rag/query", {"question": "연차는 며칠인가요?", "generate": chance.random() < 0.5}),
        lambda: ("/v1/chat/completions", {"model": "gpt-stub", "messages": [{"role": "user", "content": "연차"}]}),
        lambda: ("/v1/embeddings", {"model": "handmade-meaning", "input": "연차"}),
    ]
    return chance.choice(choices)()


async def send(house: House, kind: Kind, **more: Any) -> httpx.Response:
    path, body = kind
    stream = {"accept": "text/event-stream"} if path in ("/Llama", "/chat") and len(json.dumps(body)) % 2 else {}
    return await house.client.post(path, json=body | more, headers={**ME, **stream})


async def test_words_leave_by_every_way_where_nothing_forbids_it(tmp_path: Path) -> None:
    """What the zeros of the next test are worth."""
    chance = random.Random(7)
    async with house(tmp_path) as at:
        for _ in range(120):
            await send(at, kinds(chance))

        assert all(count > 2 for count in at.left.values()), at.left


@pytest.mark.parametrize("who", ["request", "tenant", "conversation"])
async def test_no_word_leaves_the_house_whoever_says_so(
    who: str, tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    chance, count = random.Random(11), scale(340, 3400)
    statuses: list[int] = []
    async with house(tmp_path, Privacy(local_only=True) if who == "tenant" else None) as at:
        if who == "conversation":
            for number in range(20):
                at.service.generator.refusal = lambda _request: None  # type: ignore[assignment,misc]
                await send(at, ("/Llama", ASKED | {"db_id": f"c{number}", "local_only": True}))
        while len(statuses) < count:
            kind = kinds(chance)
            if who == "conversation" and not {"db_id", "session_id"} & set(kind[1]):
                continue
            answer = await send(at, kind, **({"local_only": True} if who == "request" else {}))
            statuses.append(answer.status_code)
            assert answer.status_code != 200 or answer.headers["x-backend"] == "llama"

        figures(who=who, requests=count, answered=statuses.count(200), left=sum(at.left.values()))
        assert at.left == dict.fromkeys(at.left, 0)
        assert set(statuses) <= {200, 400, 403, 422, 503} and statuses.count(200) > count / 4


async def test_a_conversation_that_stays_in_the_house_cannot_be_loosened(tmp_path: Path) -> None:
    async with house(tmp_path) as at:
        await at.client.post("/Llama", json=ASKED | {"db_id": "c", "local_only": True})
        loosened = await at.client.post("/OpenAI", json=ASKED | {"db_id": "c", "local_only": False})
        read = (await at.client.get("/conversations/c", headers=ME)).json()

    assert (loosened.status_code, loosened.json()["code"], read["local_only"]) == (422, "invalid_input", True)


def on_disk(folder: Path) -> bytes:
    """All that the stores have written, pages that are free again included."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("path", ["/Llama", "/chat"])
@pytest.mark.parametrize("who", ["request", "tenant"])
async def test_what_must_not_be_kept_is_kept_nowhere_and_what_was_kept_is_told(
    path: str, who: str, tmp_path: Path
) -> None:
    name = "session_id" if path == "/chat" else "db_id"
    base = {"message": "", "user_id": "u"} if path == "/chat" else dict(ASKED)
    text = "message" if path == "/chat" else "input_data"
    secret = f"canary-{who}"
    forbidden = Privacy(may_store=False)
    policies = [Tenant(name="default")]
    generator = StubGenerator()
    tenants = Policies(policies)
    async with running_service(tmp_path, ServiceOptions(generator=generator, tenants=tenants)) as service:
        async with service.client() as client:
            await client.post(path, json=base | {text: "먼저", name: "c"})
    if who == "tenant":
        tenants = Policies([Tenant(name="default", privacy=forbidden)])
    own = {"store": False} if who == "request" else {"store": True}
    async with running_service(tmp_path, ServiceOptions(generator=generator, tenants=tenants)) as service:
        async with service.client() as client:
            told = await client.post(path, json=base | own | {text: secret, name: "c"})
            alone = await client.post(path, json=base | own | {text: secret})
            turns = (await client.get("/conversations/c", headers=ME)).json()["turns"]
            listed = (await client.get("/conversations", headers=ME)).json()["conversations"]

    assert (told.status_code, alone.status_code) == (200, 200)
    assert [turn["question"] for turn in turns] == ["먼저"]
    assert [one["db_id"] for one in listed] == ["c"]
    assert [m.content for m in generator.requests[1].dialogue.history] == ["먼저", "안녕하세요!"]
    if path == "/chat":
        assert (told.json()["history_saved"], told.json()["session_id"]) == (None, "c")
        assert alone.json()["session_id"] is None
    else:
        assert "x-history-saved" not in told.headers
    assert secret.encode() not in on_disk(tmp_path)


@pytest.mark.parametrize("path", ["/Llama", "/chat"])
async def test_the_model_is_told_nothing_of_before_where_that_is_wished(path: str, tmp_path: Path) -> None:
    name, text = ("session_id", "message") if path == "/chat" else ("db_id", "input_data")
    async with running_service(tmp_path) as service, service.client() as client:
        for words, more in (("먼저", {}), ("지금", {"no_memory": True}), ("후에", {})):
            answer = await client.post(path, json={text: words, name: "c", "user_id": "u", **more})
            assert answer.status_code == 200, answer.text

    told = [[m.content for m in one.dialogue.history if m.role == "user"] for one in service.generator.requests]
    assert told == [[], [], ["먼저", "지금"]]  # it is kept all the same
