"""Settings of web search -> its working parts."""

import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from chatbot.adapters.web.guard import GuardedNetwork
from chatbot.adapters.web.outbound import Outbound, WebBounds
from chatbot.adapters.web.pages import WebPages
from chatbot.adapters.web.search.provider import Provider, ProviderPlace
from chatbot.adapters.web.search.providers import Providers
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.web.referenced import Web
from chatbot.core.web.search_tool import WebSearchTool
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import SearchSettings

PAGE_SECONDS: Final = 5.0
_READING_SECONDS: Final = 6.0  # of pages that were fetched: the process starts, and reads
_ANSWER_BYTES: Final = 2 * 2**20


def open_web(settings: SearchSettings, service: str, meters: Meters, network: GuardedNetwork | None = None) -> Web:
    """The web for one service; without a provider it only tells that there is none.

    Args:
        settings: Of the process.
        service: For the metrics.
        meters: Count.
        network: Opens connections to pages. None: the machine's, public addresses alone.

    Raises:
        ValueError: The machine's certificate authorities cannot be read.
    """
    providers = tuple(_providers(settings))
    if not providers:
        return Web()
    pages = Outbound(network or GuardedNetwork(), WebBounds(seconds=PAGE_SECONDS))
    tool = WebSearchTool(Providers(service, providers, meters), WebPages(service, pages, meters), settings.read_pages)
    reading = PAGE_SECONDS + _READING_SECONDS if settings.read_pages else 0.0
    bounds = AgentBounds(tool_seconds=settings.timeout_seconds * len(providers) + reading + 1.0)
    return Web(Toolbox(service, (tool,), bounds, meters))


def places(settings: SearchSettings) -> Iterator[ProviderPlace]:
    """The providers that are configured, in the order in which they are asked."""
    if settings.searxng_url:
        yield ProviderPlace("searxng", settings.searxng_url)
    if settings.brave_key_file is not None:
        yield ProviderPlace("brave", settings.brave_url, settings.brave_key_file)
    if settings.tavily_key_file is not None:
        yield ProviderPlace("tavily", settings.tavily_url, settings.tavily_key_file)


def _providers(settings: SearchSettings) -> Iterator[Provider]:
    tls = ssl.create_default_context()
    for place in places(settings):
        parts = urlsplit(place.base_url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        trusted = frozenset({(parts.hostname or "", port)})
        bounds = WebBounds(settings.timeout_seconds, _ANSWER_BYTES, 0, ("application/json",))
        yield Provider(place, Outbound(GuardedNetwork(trusted), bounds, trusted=trusted, tls=tls))
