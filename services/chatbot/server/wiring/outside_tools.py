"""Settings of weather, news and search -> the tools that the model may call."""

import ssl
from collections.abc import Iterator
from typing import Final

from chatbot.adapters.web.feeds import MEDIA_TYPES, Feed, Feeds
from chatbot.adapters.web.guard import GuardedNetwork
from chatbot.adapters.web.open_meteo import OpenMeteo
from chatbot.adapters.web.outbound import Outbound, WebBounds
from chatbot.core.tools.contract import Tool
from chatbot.core.tools.outside.kept_news import KeptNews, news_bytes
from chatbot.core.tools.outside.news import News
from chatbot.core.tools.outside.weather import Weather
from chatbot.core.web.kept import KeepPolicy, Kept
from chatbot.core.web.read_result import ReadResult
from chatbot.core.web.referenced import Web
from chatbot.domain.outside.breaker import BreakerPolicy, CircuitBreaker
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import NewsSettings, WeatherSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.web import trusted_host

PLANS: Final = {"non_commercial": "https://api.open-meteo.com", "commercial": "https://customer-api.open-meteo.com"}
WEATHER_KEPT_SECONDS: Final = 600.0
NEWS_KEPT_SECONDS: Final = 900.0
_FORECAST_BYTES: Final = 2_000
_ANSWER_BYTES: Final = 256 * 2**10
_FEED_BYTES: Final = 2 * 2**20
_FEED_REDIRECTS: Final = 3
_BREAKER: Final = BreakerPolicy(failures=3, open_seconds=30.0)


def outside_tools(settings: Settings, service: str, meters: Meters, web: Web) -> tuple[Tool, ...]:
    """The tools that ask outside, as far as they are configured.

    Args:
        settings: Of the process.
        service: For the metrics.
        meters: Count.
        web: Of the service: has `web_search` where there is a provider.

    Raises:
        ValueError: The machine's certificate authorities cannot be read.
    """
    return tuple(_tools(settings, service, meters, web))


def _tools(settings: Settings, service: str, meters: Meters, web: Web) -> Iterator[Tool]:
    if settings.weather.plan:
        yield open_weather(settings.weather, service, meters)
    if settings.news.feeds:
        yield open_news(settings.news, service, meters)
    search = web.toolbox.named("web_search") if settings.search.offered and web.toolbox else None
    if search is not None:
        yield search
    if search is not None or settings.news.feeds:
        yield ReadResult()


def open_weather(
    settings: WeatherSettings, service: str, meters: Meters, network: GuardedNetwork | None = None
) -> Weather:
    """The tool `weather`; arguments as of `open_news`."""
    url = settings.url or PLANS[settings.plan]
    trusted = trusted_host(url)
    bounds = WebBounds(settings.timeout_seconds, _ANSWER_BYTES, 0, ("application/json",))
    provider = OpenMeteo(url, Outbound(network or GuardedNetwork(trusted), bounds, trusted=trusted), settings.key_file)
    policy = KeepPolicy("weather", WEATHER_KEPT_SECONDS, limit_bytes=2**20)
    return Weather(provider, Kept(service, policy, meters, lambda _: _FORECAST_BYTES))


def open_news(settings: NewsSettings, service: str, meters: Meters, network: GuardedNetwork | None = None) -> News:
    """The tool `news`.

    Args:
        settings: Of the tool, which is on.
        service: For the metrics.
        meters: Count.
        network: Opens connections. None: the machine's; public addresses, and each feed's own host.
    """
    tls = ssl.create_default_context()
    bounds = WebBounds(settings.timeout_seconds, _FEED_BYTES, _FEED_REDIRECTS, MEDIA_TYPES)
    feeds = []
    for url in settings.feeds:
        trusted = trusted_host(url)
        outbound = Outbound(network or GuardedNetwork(trusted), bounds, trusted=trusted, tls=tls)
        feeds.append(Feed(url, outbound, CircuitBreaker(_BREAKER)))
    policy = KeepPolicy("news", NEWS_KEPT_SECONDS)
    return News(KeptNews(Feeds(feeds), Kept(service, policy, meters, news_bytes)))
