"""Weather and feeds as the product asks them, in the small internet of `web_world`, and feeds to be served there."""

import asyncio
import json
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

from chatbot.adapters.web.guard import GuardedNetwork
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.question import Question, References, ToolStep
from chatbot.core.tools.contract import Tool
from chatbot.core.tools.outside.weather import Weather
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.generation import Backend, GenerationRequest, Sampling, TextPiece
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import WeatherSettings
from chatbot.server.wiring.outside_tools import open_weather

from parts.calling_model import CallingModel
from parts.web_world import World, response

DAYS = ["2026-11-21", "2026-11-22"]
FORECAST = {
    "current": {"temperature_2m": 7.5, "relative_humidity_2m": 41, "weather_code": 3, "wind_speed_10m": 2.0},
    "daily": {
        "time": DAYS,
        "weather_code": [61, 0],
        "temperature_2m_min": [3.0, -1.5],
        "temperature_2m_max": [9, 6.0],
        "precipitation_probability_max": [80, None],
    },
}


def forecast(**changes: object) -> bytes:
    """An answer of Open-Meteo."""
    return response(200, json.dumps(FORECAST | changes).encode(), "application/json")


def rss(items: Iterable[tuple[str, str, str]], *more: str, encoding: str = "utf-8") -> bytes:
    """A feed of (title, address, summary), newest first, as a whole HTTP answer."""
    told = "".join(
        f"<item><title>{escape(title)}</title><link>{escape(url)}</link><description>{escape(text)}</description>"
        f"<pubDate>{formatdate(1_795_000_000 - 60 * number, usegmt=True)}</pubDate></item>"
        for number, (title, url, text) in enumerate(items)
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><title>뉴스</title>'
    return response(200, f"{head}{told}</channel></rss>".encode(encoding), "application/rss+xml", *more)


async def hang(head: str, writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing."""
    await asyncio.sleep(3600)


async def drip(head: str, writer: asyncio.StreamWriter) -> None:
    """Say a byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def network(world: World) -> GuardedNetwork:
    """What connects in that world as the product connects."""
    return GuardedNetwork((), world.resolve, world)


def weather(world: World, meters: Meters, **settings: Any) -> Weather:
    """The tool, as it is configured there."""
    chosen = WeatherSettings.model_validate({"plan": "self_hosted", "url": "http://site.test"} | settings)
    return open_weather(chosen, "office", meters, network(world))


class Told:
    """What somebody who asks is told."""

    def __init__(self) -> None:
        self.text = ""
        self.steps: list[ToolStep] = []
        self.references: References | None = None


async def answer(
    model: CallingModel,
    meters: Meters,
    *tools: Tool,
    text: str = "서울 날씨와 소식은?",
    history: tuple[Message, ...] = (),
    may_leave: bool = True,
) -> Told:
    """An answer of a model with these tools."""
    agent = Agent(Toolbox("office", tools, AgentBounds(), meters), "Asia/Seoul")
    question = Question("r", Caller("", "u"), text, {}, None, None, False, Backend.LLAMA, "ko")
    dialogue = Dialogue("be kind", (), history, Message("user", text))
    source, told = agent.source(question, model, may_leave=may_leave), Told()
    deadline = asyncio.get_running_loop().time() + 600
    async for event in source.generate(GenerationRequest("r", dialogue, Sampling(), deadline)):
        if isinstance(event, TextPiece):
            told.text += event.text
        elif isinstance(event, ToolStep):
            told.steps.append(event)
        elif isinstance(event, References):
            told.references = event
    return told
