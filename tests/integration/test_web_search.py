"""`google_access`: providers in their own formats and faults, pages, sources, and answers that say what they are."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from chatbot.adapters.web.guard import GuardedNetwork
from chatbot.core.retrieval.library import Library
from chatbot.core.web.sentences import note
from chatbot.domain.errors import EngineLost, PromptTooLong
from chatbot.domain.generation import GenerationRequest
from chatbot.server.settings.search import SearchSettings
from chatbot.server.wiring.web import open_web
from parts.http_service import Service, ServiceOptions, running_service
from parts.search_stub import Result, SearchStub, search_stub
from parts.sse import events
from parts.stub_generator import StubGenerator
from parts.two_users import NOT_MINE, two_users_documents
from parts.web_world import World, response, web_world

QUESTION = {"input_data": "서울 날씨 알려줘", "user_id": "u", "google_access": True}
SEOUL: Result = ("서울 날씨", "http://site.test/seoul", "서울은 <b>맑음</b>, 21&deg;C")
BUSAN: Result = ("부산 날씨", "http://site.test/busan", "부산은 비")
PAGE = """<html><head><title>서울 날씨</title><script>steal()</script></head><body><nav>메뉴</nav>
<h1>서울 날씨</h1><p>서울 날씨는 오늘 맑고 낮 기온은 23도입니다.</p><p style="display:none">x</p></body></html>"""


@dataclass
class Site:
    """A service, its provider, and the world that it may reach."""

    service: Service
    stub: SearchStub
    world: World
    generator: StubGenerator

    def prompt(self) -> str:
        return self.generator.requests[-1].dialogue.question.content

    def searched(self, provider: str, outcome: str) -> float:
        return self.service.metric("chatbot_search_requests_total", provider=provider, outcome=outcome)

    async def ask(self, **more: object) -> tuple[str, str]:
        """The answer, and what the header says of references."""
        async with self.service.client() as client:
            answer = await client.post("/Llama", json=QUESTION | more)
        assert answer.status_code == 200, answer.text
        return answer.json(), answer.headers["x-references"]


@asynccontextmanager
async def site(
    folder: Path,
    *results: Result,
    generator: StubGenerator | None = None,
    documents: Library | None = None,
    keys: Path | None = None,
    **settings: object,
) -> AsyncIterator[Site]:
    """Office with SearXNG, and Brave and Tavily where `settings` name their key files."""
    generator = generator or StubGenerator(["서울은 맑습니다", " [1]."])
    async with search_stub(*results) as stub, web_world() as world:
        world.pages["/seoul"] = response(200, PAGE.encode(), "text/html; charset=utf-8")
        chosen = SearchSettings.model_validate(
            {"searxng_url": stub.url, "brave_url": stub.url, "tavily_url": stub.url} | settings
        )
        network = GuardedNetwork((), world.resolve, world)
        options = ServiceOptions(
            generator=generator,
            documents=documents,
            keys_file=keys,
            web=lambda meters: open_web(chosen, "office", meters, network),
        )
        async with running_service(folder, options) as service:
            yield Site(service, stub, world, generator)


async def test_an_answer_is_made_from_pages_and_names_them(tmp_path: Path) -> None:
    generator = StubGenerator(["서울은 맑습니다 [", "1]. 더 보기: https://ev", "il.com/x [7]"])
    async with site(tmp_path, SEOUL, BUSAN, generator=generator) as at:
        said, header = await at.ask()
        async with at.service.client() as client:
            info = (await client.get("/info")).json()

    assert said == "서울은 맑습니다 [1]. 더 보기: \n\n출처:\n[1] 서울 날씨 - http://site.test/seoul"
    assert (header, info["search"]) == ("used", True)
    assert [(provider, query) for provider, query, _ in at.stub.asked] == [("searxng", QUESTION["input_data"])]
    lines = at.prompt().split("\n")
    assert lines[0] == lines[-2] and lines[0].startswith("=== ") and lines[-1] == "Question: 서울 날씨 알려줘"
    assert "서울은 맑음, 21°C" in at.prompt() and "낮 기온은 23도" in at.prompt() and "부산은 비" in at.prompt()
    assert "steal" not in at.prompt() and "<b>" not in at.prompt()
    assert at.service.metric("chatbot_web_pages_total", outcome="ok") == 1
    assert at.service.metric("chatbot_tool_calls_total", tool="web_search", outcome="ok") == 1


async def test_a_stream_tells_the_search_and_the_sources_and_says_the_same(tmp_path: Path) -> None:
    async with site(tmp_path, SEOUL, BUSAN, read_pages=0) as at, at.service.client() as client:
        answer = await client.post("/Llama", json=QUESTION, headers={"accept": "text/event-stream"})
        whole, _ = await at.ask()

    told = [event async for event in events(answer)]
    steps = [data["state"] for name, data in told if name == "tool"]
    done = told[-1][1]
    assert steps == ["started", "done"]
    assert "".join(data["text"] for name, data in told if name == "token") == whole
    assert done["search"] == {"state": "used", "reason": None}
    assert [(one["number"], one["url"], one["cited"]) for one in done["sources"]] == [
        (1, SEOUL[1], True),
        (2, BUSAN[1], False),
    ]
    assert done["tool_calls"][0]["name"] == "web_search"


@pytest.mark.parametrize(("question", "language"), [("날씨?", "ko"), ("Weather?", "en"), ("天気は？", "ja")])
async def test_without_a_provider_the_answer_says_so(tmp_path: Path, question: str, language: str) -> None:
    async with running_service(tmp_path) as service, service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | {"input_data": question})
        stream = await client.post("/Llama", json=QUESTION, headers={"accept": "text/event-stream"})

    assert answer.json() == f"안녕하세요!\n\n({note('not_configured', language)})"
    assert (answer.headers["x-references"], stream.headers["x-references"]) == ("unavailable", "unavailable")
    done = [event async for event in events(stream)][-1][1]
    assert done["search"] == {"state": "unavailable", "reason": "not_configured"}


async def test_an_answer_that_names_no_source_lists_all_that_it_was_given(tmp_path: Path) -> None:
    async with site(tmp_path, SEOUL, BUSAN, read_pages=0, generator=StubGenerator(["맑습니다."])) as at:
        said, _ = await at.ask()

    assert said == f"맑습니다.\n\n참고한 웹 페이지:\n[1] 서울 날씨 - {SEOUL[1]}\n[2] 부산 날씨 - {BUSAN[1]}"


async def test_what_must_stay_here_is_not_searched_for(tmp_path: Path) -> None:
    async with site(tmp_path, SEOUL) as at:
        first = await at.ask(local_only=True, db_id="c")
        later = await at.ask(db_id="c")  # holds for the whole conversation

    for said, header in (first, later):
        assert header == "unavailable" and note("local_only", "ko") in said
    assert (at.stub.asked, at.world.requests) == ([], [])


async def test_a_message_of_a_session_names_its_pages_and_remembers_the_same_answer(tmp_path: Path) -> None:
    asked = {"message": QUESTION["input_data"], "user_id": "u", "session_id": "s", "google_access": True}
    async with site(tmp_path, SEOUL, BUSAN, read_pages=0) as at, at.service.client() as client:
        answer = await client.post("/chat", json=asked)
        history = await client.get("/chat/s/history", headers={"x-user-id": "u"})

    reply = answer.json()
    assert reply["response"] == "서울은 맑습니다 [1].\n\n출처:\n[1] 서울 날씨 - http://site.test/seoul"
    assert reply["search"] == {"state": "used", "reason": None}
    assert [(one["number"], one["url"], one["cited"]) for one in reply["sources"]] == [
        (1, SEOUL[1], True),
        (2, BUSAN[1], False),
    ]
    assert [one["name"] for one in reply["tool_calls"]] == ["web_search"]
    assert answer.headers["x-references"] == "used"
    assert history.json()["turns"][0]["answer"] == reply["response"]


async def test_documents_and_pages_are_numbered_together_and_nothing_of_a_document_is_searched_for(
    tmp_path: Path,
) -> None:
    generator = StubGenerator(["연차는 15일 [1], 서울은 ", "맑음 [2", "] [4]."])
    asked = {"message": "연차와 서울 날씨?", "user_id": "test_user", "google_access": True, "documents": {}}
    library = await two_users_documents(tmp_path)
    async with (
        site(tmp_path, SEOUL, BUSAN, generator=generator, documents=library) as at,
        at.service.client() as client,
    ):
        reply = (await client.post("/chat", json=asked)).json()
        stream = await client.post("/chat", json=asked, headers={"accept": "text/event-stream"})
        at.stub.mode = "500"
        other = asked | {"message": "연차와 부산 날씨?"}  # what was found for the first one is kept
        without = (await client.post("/chat", json=other)).json()

    assert reply["response"] == f"연차는 15일 [1], 서울은 맑음 [2].\n\n출처:\n[2] 서울 날씨 - {SEOUL[1]}"
    assert [(one.get("id") or one["number"], one["cited"]) for one in reply["sources"]] == [
        (1, True), (2, True), (3, False),
    ]  # fmt: skip
    prompt = generator.requests[0].dialogue.question.content
    assert prompt.index("[2] 서울 날씨") < prompt.index("[1] 규정") and NOT_MINE not in prompt
    assert [query for _, query, _ in at.stub.asked] == ["연차와 서울 날씨?", "연차와 부산 날씨?"]
    got = [event async for event in events(stream)]
    assert "".join(data["text"] for name, data in got if name == "token") == reply["response"]
    assert got[-1][1]["sources"] == reply["sources"]
    assert [one["cited"] for one in without["sources"]] == [True], "the documents' alone"
    assert without["response"] == f"연차는 15일 [1], 서울은 맑음.\n\n({note('failed', 'ko')})"


async def test_nothing_is_searched_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with site(tmp_path, SEOUL) as at, at.service.client() as client:
        answer = await client.post("/Llama", json=QUESTION | {"google_access": False})

    assert answer.json() == "서울은 맑습니다 [1]." and "x-references" not in answer.headers
    assert at.stub.asked == []


async def test_every_provider_is_asked_as_its_documentation_says(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k-123\n")
    for name, sent in (("brave", ("x-subscription-token", "k-123")), ("tavily", ("authorization", "Bearer k-123"))):
        async with site(tmp_path, SEOUL, searxng_url="", **{f"{name}_key_file": key}) as at:
            said, _ = await at.ask(input_data="ソウルの天気は？")
        provider, query, headers = at.stub.asked[0]
        assert (provider, query, headers[sent[0]]) == (name, "ソウルの天気は？", sent[1])
        assert "출처" not in said and "出典:\n[1] 서울 날씨" in said


FAULTS = [
    ("403", "refused"), ("401", "refused"), ("429", "limited"), ("432", "limited"), ("500", "unreachable"),
    ("drop", "unreachable"), ("hang", "timeout"), ("html", "garbage"), ("garbage", "garbage"), ("other", "garbage"),
    ("list", "garbage"), ("deep", "garbage"), ("huge", "garbage"), ("redirect", "garbage"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "outcome"), FAULTS)
async def test_a_provider_that_fails_costs_references_and_no_answer(tmp_path: Path, mode: str, outcome: str) -> None:
    async with site(tmp_path, SEOUL, timeout_seconds=0.5 if mode == "hang" else 20.0) as at:
        at.stub.mode = mode
        said = [await at.ask(input_data=f"{QUESTION['input_data']} {n}") for n in range(5)]
        asked = len(at.stub.asked)

    assert set(said) == {(f"서울은 맑습니다 [1].\n\n({note('failed', 'ko')})", "unavailable")}
    assert asked == (1 if outcome in ("refused", "limited") else 3)  # then it is left alone
    assert at.searched("searxng", outcome) == asked
    assert at.searched("searxng", "resting") == 5 - asked


async def test_the_next_provider_answers_where_one_fails(tmp_path: Path) -> None:
    key, missing = tmp_path / "key", tmp_path / "missing"
    key.write_text("k")
    keys = {"brave_key_file": missing, "tavily_key_file": key}
    async with site(tmp_path, SEOUL, searxng_url="http://127.0.0.1:9", **keys) as at:
        said, header = await at.ask()

    assert header == "used" and "[1] 서울 날씨" in said
    assert [provider for provider, _, _ in at.stub.asked] == ["tavily"]
    assert (at.searched("searxng", "unreachable"), at.searched("brave", "refused")) == (1, 1)


async def test_finding_nothing_is_no_fault(tmp_path: Path) -> None:
    odd: Result = ("odd", "ftp://site.test/x", "not of the web")
    async with site(tmp_path, odd) as at:
        said, header = await at.ask()

    assert said.endswith(f"({note('empty', 'ko')})") and header == "unavailable"
    assert at.searched("searxng", "empty") == 1


async def test_pages_that_cannot_be_read_leave_the_excerpt(tmp_path: Path) -> None:
    bad = ["http://127.0.0.1/", "http://inside.test/", "http://site.test:6379/", "http://site.test/none"]
    results = [(f"결과 {n}", url, f"요약 {n}") for n, url in enumerate(bad, start=1)]
    async with site(tmp_path, *results, read_pages=4) as at:
        at.world.zone.names["inside.test"] = [["10.0.0.7"]]
        said, header = await at.ask()

    assert (header, at.world.canaries) == ("used", 0)
    assert all(f"요약 {n}" in at.prompt() for n in range(1, 5))
    assert at.service.metric("chatbot_web_pages_total", outcome="refused") == 3


class _Small(StubGenerator):
    """Takes prompts up to so many characters."""

    most = 0

    async def check(self, request: GenerationRequest) -> None:
        if len(request.dialogue.question.content) > self.most:
            raise PromptTooLong("question", 2, 1)


@pytest.mark.parametrize("most", [900, 60])
async def test_a_small_context_gets_as_much_as_it_takes(tmp_path: Path, most: int) -> None:
    generator = _Small(["답 [1]"])
    generator.most = most
    long = [(f"제목 {n}", f"http://site.test/{n}", "가나다 " * 400) for n in range(5)]
    async with site(tmp_path, *long, read_pages=0, generator=generator) as at:
        said, header = await at.ask()

    assert header == ("used" if most == 900 else "unavailable")
    assert len(at.prompt()) <= most
    assert ("출처" in said) is (most == 900) and (note("context", "ko") in said) is (most == 60)


class _LostOnce(StubGenerator):
    """Its engine dies before the first word, once."""

    async def generate(self, request: GenerationRequest):  # type: ignore[no-untyped-def, override]
        self.failure = EngineLost("died") if not self.requests else None
        shown = self if self.requests else replace(self, pieces=())
        self.requests.append(request)
        async for event in StubGenerator.generate(replace(shown, keep_requests=False), request):
            yield event


async def test_an_engine_that_dies_does_not_make_it_search_twice(tmp_path: Path) -> None:
    async with site(tmp_path, SEOUL, read_pages=0, generator=_LostOnce(["맑음 [1]"])) as at:
        said, _ = await at.ask()

    assert said.startswith("맑음 [1]\n\n출처") and len(at.stub.asked) == 1 and len(at.generator.requests) == 2


async def test_what_was_found_is_kept_for_the_tenant_and_a_page_for_everybody(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    hashes = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in (("ours", "k1"), ("theirs", "k2"))}
    keys.write_text("".join(f"{name}:{digest}\n" for name, digest in hashes.items()))
    async with site(tmp_path, SEOUL, keys=keys) as at:
        for key in ("k1", "k1", "k2"):
            async with at.service.client(headers={"authorization": f"Bearer {key}"}) as client:
                for text in ("서울  날씨 알려줘", "서울 날씨 알려줘"):
                    answer = await client.post("/Llama", json=QUESTION | {"input_data": text})
                    assert "[1] 서울 날씨" in answer.json(), answer.text

    assert (len(at.stub.asked), len(at.world.requests)) == (2, 1)
    asked = {
        outcome: at.service.metric("chatbot_cache_requests_total", cache="search", outcome=outcome)
        for outcome in ("miss", "hit", "joined", "failure_hit")
    }
    assert asked == {"miss": 2, "hit": 4, "joined": 0, "failure_hit": 0}


async def test_a_query_is_in_no_log_and_no_label(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with site(tmp_path, SEOUL) as at:
        at.stub.mode = "500"
        await at.ask(input_data="아주비밀스러운질문")
        metrics = at.service.meters.render("")[0].decode()

    logged = json.dumps([record.__dict__ for record in caplog.records], default=str, ensure_ascii=False)
    assert "아주비밀" not in metrics + caplog.text + logged
