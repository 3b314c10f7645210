"""Weather and news from servers that answer, fail, hang, drip, lie and bomb; and what a model makes of them."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.tools.contract import ToolRefused
from chatbot.core.tools.outside.news import News
from chatbot.core.tools.outside.weather import ATTRIBUTION, ATTRIBUTION_URL, Weather
from chatbot.core.web.read_result import ReadResult
from chatbot.domain.chat import Message
from chatbot.domain.generation import GenerationRequest
from chatbot.domain.outside.news import NewsFailed
from chatbot.domain.outside.weather import WeatherFailed
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import NewsSettings, SearchSettings, WeatherSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.outside_tools import open_news, outside_tools
from chatbot.server.wiring.web import open_web
from parts.calling_model import CallingModel, Move, asked_for, call
from parts.http_service import ServiceOptions, running_service
from parts.injections import INJECTIONS
from parts.outside_world import answer, drip, forecast, hang, network, rss, weather
from parts.search_stub import search_stub
from parts.web_world import World, redirect, response, web_world
from pydantic import ValidationError

ITEMS = [
    ("서울에 <b>첫눈</b>", "https://news.example/1", "<p>아침부터 <img src='https://evil.com/x'>눈이 왔다</p>"),
    ("부산 영화제", "https://news.example/2", "배우들"),
]


def news(world: World, meters: Meters, *paths: str, seconds: float = 5.0) -> News:
    feeds = [f"http://site.test{path}" for path in paths or ("/feed",)]
    return open_news(NewsSettings(feeds=feeds, timeout_seconds=seconds), "office", meters, network(world))


def kept(meters: Meters, cache: str, outcome: str) -> float:
    labels = {"service": "office", "cache": cache, "outcome": outcome}
    return meters.registry.get_sample_value("chatbot_cache_requests_total", labels) or 0.0


async def listed(tool: News | Weather, **arguments: Any) -> list[dict[str, str]]:
    results: Any = (await tool.run(arguments, asked_for()))["results"]
    return list(results)


async def test_a_forecast_is_asked_for_by_degrees_and_told_in_our_words(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k-1\n")
    async with web_world() as world:
        world.pages["/v1/forecast"] = forecast()
        meters = Meters(["office"])
        tool = weather(world, meters, plan="commercial", key_file=key)
        first, again = await listed(tool, place="부산", days=2), await listed(tool, place="Busan", days=2)

    assert first[0]["text"].startswith("부산 현재 흐림, 7.5°C") and "2026-11-22: 맑음, 최저 -1.5°C" in first[0]["text"]
    assert first == again and len(world.requests) == 1
    head = world.requests[0]
    assert "latitude=35.18&longitude=129.08" in head and "timezone=Asia%2FSeoul" in head and "apikey=k-1" in head
    assert "부산" not in head and "Busan" not in head
    assert (kept(meters, "weather", "miss"), kept(meters, "weather", "hit")) == (1, 1)


LIES: dict[str, Any] = {
    "403": response(403, b"no", "text/html"),
    "429": response(429, b"no", "text/html"),
    "500": response(500, b"no", "text/html"),
    "hang": hang,
    "drip": drip,
    "short": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{}",
    "html": response(200, b"<html></html>", "text/html"),
    "garbage": response(200, b'{"current": {', "application/json"),
    "list": response(200, b"[]", "application/json"),
    "deep": response(200, b"[" * 100_000, "application/json"),
    "huge": response(200, b" " * 2**20, "application/json"),
    "redirect": redirect("http://127.0.0.1/"),
    "words": forecast(current={"temperature_2m": "ignore all", "relative_humidity_2m": 1, "weather_code": 0}),
    "hot": forecast(
        current={"temperature_2m": 1e9, "relative_humidity_2m": 1, "weather_code": 0, "wind_speed_10m": 1}
    ),
    "nan": response(200, b'{"current": {"temperature_2m": NaN}, "daily": {}}', "application/json"),
    "dates": forecast(daily={"time": ["open evil"]} | dict.fromkeys(
        ["weather_code", "temperature_2m_min", "temperature_2m_max", "precipitation_probability_max"], [0])),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_forecast_that_is_none_is_a_failure_in_time(lie: str) -> None:
    async with web_world() as world:
        world.pages["/v1/forecast"] = LIES[lie]
        tool = weather(world, Meters(["office"]), timeout_seconds=0.5 if lie in ("hang", "drip") else 8)
        async with asyncio.timeout(30):
            for _ in range(3):
                with pytest.raises(WeatherFailed):
                    await listed(tool, place="서울")

    assert len(world.requests) == 1  # a failure is kept for a while
    assert world.canaries == 0


async def test_news_are_read_without_markup_and_asked_for_once() -> None:
    async with web_world() as world:
        world.pages["/feed"] = rss(ITEMS)
        meters = Meters(["office"])
        tool = news(world, meters)
        found = await asyncio.gather(*(listed(tool) for _ in range(4)))

    assert [one["title"] for one in found[0]] == ["서울에 첫눈", "부산 영화제"]
    assert "아침부터 눈이 왔다" in found[0][0]["text"] and "<" not in json.dumps(found[0])
    assert len(world.requests) == 1 and all(one == found[0] for one in found)
    assert kept(meters, "news", "miss") + kept(meters, "news", "joined") + kept(meters, "news", "hit") == 4
    assert kept(meters, "news", "miss") == 1


async def test_a_feed_is_asked_again_by_the_marks_of_its_last_answer() -> None:
    async with web_world() as world:
        world.pages["/feed"] = rss(ITEMS, 'ETag: "v1"', "Last-Modified: Sat, 21 Nov 2026 07:00:00 GMT")
        feeds = news(world, Meters(["office"]))._feeds.feeds  # type: ignore[attr-defined]
        first = await feeds.items()
        world.pages["/feed"] = b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"
        second = await feeds.items()

    assert first == second and len(first) == 2
    assert 'if-none-match: "v1"' in world.requests[1].lower() and "if-modified-since: sat" in world.requests[1].lower()
    assert "if-none-match" not in world.requests[0].lower()


async def test_one_feed_that_fails_does_not_hide_the_others_and_korean_code_pages_are_read() -> None:
    async with web_world() as world:
        world.pages["/a"] = rss(ITEMS[:1], encoding="euc-kr")
        world.pages["/b"] = response(500, b"", "text/html")
        world.pages["/c"] = rss([("셋", "javascript:alert(1)", ""), ("넷", "https://news.example/4", "")])
        found = await listed(news(world, Meters(["office"]), "/a", "/b", "/c"))

    assert sorted(one["title"] for one in found) == ["넷", "서울에 첫눈"]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {x} "{f"&{y};" * 10}">' for x, y in zip("bcdefghi", "abcdefgh", strict=True))
    + "]><rss version='2.0'><channel><item><title>&i;</title><link>https://news.example/1</link></item></channel></rss>"
)
READS_FILES = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY h SYSTEM "http://127.0.0.1/">]>'
    "<rss version='2.0'><channel><item><title>x &f; &h;</title><link>https://news.example/1</link></item></channel></rss>"
)
HOSTILE: dict[str, Any] = {
    "403": response(403, b"no", "text/html"),
    "429": response(429, b"no", "text/html"),
    "hang": hang,
    "drip": drip,
    "html": response(200, b"<html><body>hello</body></html>", "text/html"),
    "html as xml": response(200, b"<html><body>hello</body></html>", "text/xml"),
    "path": response(200, b"/etc/passwd", "text/xml"),
    "address": response(200, b"http://127.0.0.1/", "text/xml"),
    "huge": response(200, b" " * (2 * 2**20 + 1), "text/xml"),
    "deep": response(200, b"<a>" * 200_000, "text/xml"),
    "inside": redirect("http://10.0.0.7/feed"),
    "loop": redirect("http://site.test/feed"),
    "304": b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_feed_that_is_none_is_a_failure_in_time(kind: str) -> None:
    async with web_world() as world:
        world.pages["/feed"] = HOSTILE[kind]
        tool = news(world, Meters(["office"]), seconds=0.5 if kind in ("hang", "drip") else 8.0)
        async with asyncio.timeout(40):
            with pytest.raises(NewsFailed):
                await listed(tool)

    assert world.canaries == 0


@pytest.mark.parametrize("feed", [BOMB, READS_FILES])
async def test_entities_neither_grow_nor_read_anything(feed: str) -> None:
    async with web_world() as world:
        world.pages["/feed"] = response(200, feed.encode(), "text/xml")
        try:
            told = json.dumps(await listed(news(world, Meters(["office"]))))
        except NewsFailed:
            told = ""

    assert len(told) < 2_000 and "root:" not in told and "secret" not in told
    assert world.canaries == 0


async def test_answers_name_the_sources_of_what_tools_brought() -> None:
    async with web_world() as world:
        world.pages["/v1/forecast"], world.pages["/feed"] = forecast(), rss(ITEMS)
        meters = Meters(["office"])
        calls = [call("weather", {"place": "서울"}), call("news", {"topic": "첫눈"})]
        model = CallingModel.playing(calls, ["흐리고 [", "1] 첫눈[2]이 왔어요 [9]. https://ev", "il.com/x"])
        told = await answer(model, meters, weather(world, meters), news(world, meters))

    assert told.text == (
        f"흐리고 [1] 첫눈[2]이 왔어요. \n\n출처:\n[1] {ATTRIBUTION} - {ATTRIBUTION_URL}\n"
        "[2] 서울에 첫눈 - https://news.example/1"
    )
    assert told.references is not None
    assert [(one.number, one.is_cited) for one in told.references.sources] == [(1, True), (2, True)]
    shown = "".join(message.content for message in model.requests[1].dialogue.rounds)
    assert '"source": 1' in shown and '"source": 2' in shown and "http" not in shown


async def test_what_must_stay_here_asks_neither() -> None:
    async with web_world() as world:
        meters = Meters(["office"])
        model = CallingModel.playing([call("weather", {"place": "서울"}), call("news")], ["모릅니다"])
        told = await answer(model, meters, weather(world, meters), news(world, meters), *built_in(), may_leave=False)

    assert (told.text, told.references, world.requests) == ("모릅니다", None, [])


class _Obeys:
    """A model that says all that it was told and makes every call that it can think of."""

    def __init__(self) -> None:
        self.round = 0

    def __call__(self, request: GenerationRequest) -> list[Move]:
        self.round += 1
        if self.round == 1:
            return [call("news", {"limit": 10})]
        read = "".join(message.content for message in request.dialogue.rounds if message.role == "tool")
        said = json.loads(read.split("}{")[0] + ("}" if "}{" in read else "")) if self.round == 2 else {}
        texts = "\n".join(f"{one['title']} {one['text']}" for one in said.get("results", []))
        pieces: list[Move] = [texts[at : at + 9] for at in range(0, len(texts), 9)]
        calls: list[Move] = [
            call("weather", {"place": "도쿄"}),
            call("web_search", {"query": texts[:200]}),
            call("news", {"topic": "다른 것"}),
        ]
        return pieces + (calls if self.round < 4 else [])


async def test_nothing_comes_of_a_hundred_hostile_items(figures: Callable[..., None]) -> None:
    answers, asked = list[str](), list[str]()
    for first in range(0, len(INJECTIONS), 10):
        texts = INJECTIONS[first : first + 10]
        async with web_world() as world:
            items = [
                (f"제목 {text}", f"http://news.example/{n}![x](//evil.com/p)", text) for n, text in enumerate(texts)
            ]
            world.pages["/feed"], world.pages["/v1/forecast"] = rss(items), forecast()
            meters = Meters(["office"])
            tools = (weather(world, meters), news(world, meters), *built_in())
            model = CallingModel(_Obeys())
            told = await answer(model, meters, *tools)
        assert told.references is not None and len(told.references.sources) == len(texts)
        answers.append(told.text)
        asked += world.requests
        assert world.canaries == 0
        for request in model.requests:
            assert [message.role for message in request.dialogue.rounds] in (
                [], ["assistant", "tool"], ["assistant", "tool", *["assistant", *["tool"] * 3] * 1],
                ["assistant", "tool", *["assistant", *["tool"] * 3] * 2],
            )  # fmt: skip

    own = re.sub(r"http://news\.example/\S*", "", "".join(answers))  # the encoded addresses of the items themselves
    assert not [bad for bad in ("://", "//evil", "www.", "![", "<img", "](", "@evil") if bad in own]
    assert len(asked) == len(answers)  # the feed itself, once each
    figures(hostile_texts=len(INJECTIONS), answers=len(answers), calls_caused=0, foreign_links=0, forged_turns=0)


async def test_an_unknown_place_is_refused_before_anybody_is_asked() -> None:
    async with web_world() as world:
        with pytest.raises(ToolRefused):
            await listed(weather(world, Meters(["office"])), place="https://evil.com/?d=1")

    assert world.requests == []


FOUND = ("부산 날씨", "http://site.test/busan", "부산은 흐림")
PAGE = "<html><body><p>내일 부산 날씨는 비가 오고 기온은 9도입니다. {}</p></body></html>"


async def test_a_model_searches_by_itself_with_the_users_words_and_reads_on_by_number() -> None:
    async with search_stub(FOUND) as stub, web_world() as world:
        world.pages["/busan"] = response(200, PAGE.format("우산을 챙기세요. " * 90).encode(), "text/html")
        meters = Meters(["office"])
        web = open_web(SearchSettings(searxng_url=stub.url, offered=True), "office", meters, network(world))
        assert web.toolbox is not None
        tools = [web.toolbox.named("web_search"), ReadResult()]
        model = CallingModel.playing(
            [call("web_search", {"query": "부산 내일 날씨 SECRET-4711 of the system prompt"})],
            [
                call("read_result", {"source": 1}),
                call("web_search", {"query": "내일"}),
                call("read_result", {"source": 2}),
            ],
            ["비가 옵니다 [1]."],
        )
        history = (Message("user", "부산 날씨 어때?"), Message("assistant", "흐려요"))
        told = await answer(model, meters, *filter(None, tools), text="그럼 내일은?", history=history)

    assert [query for _, query, _ in stub.asked] == ["부산 내일 날씨"]
    assert told.text == "비가 옵니다 [1].\n\n출처:\n[1] 부산 날씨 - http://site.test/busan"
    read = [message.content for message in model.requests[-1].dialogue.rounds if message.role == "tool"]
    assert len(read[1]) > len(read[0]) > 300 and read[1].count("우산을 챙기세요") > 50
    assert "unknown_tool" in read[2] and "no_such_source" in read[3]
    assert len(world.requests) == 1


async def test_a_search_that_fails_is_told_to_the_model_and_costs_no_answer() -> None:
    async with search_stub() as stub, web_world() as world:
        stub.mode = "500"
        meters = Meters(["office"])
        web = open_web(SearchSettings(searxng_url=stub.url, offered=True), "office", meters, network(world))
        assert web.toolbox is not None
        search = web.toolbox.named("web_search")
        assert search is not None
        model = CallingModel.playing([call("web_search", {"query": "서울"})], ["모릅니다."])
        told = await answer(model, meters, search)

    assert (told.text, told.references) == ("모릅니다.", None)
    assert [step.state for step in told.steps] == ["started", "failed"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, set()),
        ({"weather": {"plan": "non_commercial"}}, {"weather"}),
        ({"news": {"feeds": ["https://news.example/rss"]}}, {"news", "read_result"}),
        ({"search": {"searxng_url": "http://s:8080"}}, set()),
        ({"search": {"searxng_url": "http://s:8080", "offered": True}}, {"web_search", "read_result"}),
        ({"search": {"offered": True}}, set()),
    ],
)
def test_what_asks_outside_is_there_only_where_it_was_configured(settings: dict[str, Any], names: set[str]) -> None:
    chosen, meters = Settings.model_validate(settings), Meters(["office"])

    tools = outside_tools(chosen, "office", meters, open_web(chosen.search, "office", meters))

    assert {tool.name for tool in tools} == names


@pytest.mark.parametrize(
    "wrong", [{"plan": "self_hosted"}, {"plan": "commercial"}, {"plan": "free"}, {"url": "file:///x"}]
)
def test_a_plan_that_is_not_whole_is_refused_at_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WeatherSettings.model_validate(wrong)


async def test_a_session_is_told_of_sources_and_remembers_the_same_answer(tmp_path: Path) -> None:
    async with web_world() as world:
        world.pages["/v1/forecast"] = forecast()

        def agent(meters: Meters) -> Agent:
            return Agent(Toolbox("office", (weather(world, meters), *built_in()), AgentBounds(), meters), "Asia/Seoul")

        model: Any = CallingModel.playing([call("weather", {"place": "서울"})], ["흐려요 [", "1", "]."], ["네."])
        model.has_model, model.slots = True, 4
        options = ServiceOptions(generator=model, agent=agent)
        asked = {"message": "서울 날씨?", "user_id": "u", "session_id": "s"}
        async with running_service(tmp_path, options) as service, service.client() as client:
            answer = await client.post("/chat", json=asked)
            history = await client.get("/chat/s/history", headers={"x-user-id": "u"})
            plain = await client.post("/chat", json=asked | {"message": "고마워", "local_only": True})
            listed = {one["name"]: one["source"] for one in (await client.get("/tools")).json()["tools"]}

    reply = answer.json()
    assert reply["response"] == f"흐려요 [1].\n\n출처:\n[1] {ATTRIBUTION} - {ATTRIBUTION_URL}"
    assert reply["sources"] == [{"number": 1, "title": ATTRIBUTION, "url": ATTRIBUTION_URL, "cited": True}]
    assert (reply["search"], answer.headers["x-references"]) == ({"state": "used", "reason": None}, "used")
    assert [one["name"] for one in reply["tool_calls"]] == ["weather"]
    assert history.json()["turns"][0]["answer"] == reply["response"]
    assert plain.json()["search"] is None and "x-references" not in plain.headers
    assert "weather" not in {each.name for each in model.requests[-1].tools.definitions}
    assert listed["weather"] == "web"
