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
from chatbot.core.web.kept import KeepPolicy, Kept
from chatbot.core.web.referenced import Web
from chatbot.core.web.search_tool import KeptWeb, WebSearchTool, page_bytes, result_bytes
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.search import SearchSettings

PAGE_SECONDS: Final = 5.0
_READING_SECONDS: Final = 6.0  # of pages that were fetched: the process starts, and reads
_ANSWER_BYTES: Final = 2 * 2**20
SEARCH_KEPT_SECONDS: Final = 600.0
PAGE_KEPT_SECONDS: Final = 3600.0
_SEARCH_BYTES: Final = 4 * 2**20
_PAGE_BYTES: Final = 16 * 2**20


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
    reading = PAGE_SECONDS + _READING_SECONDS if settings.read_pages else 0.0
    tool = WebSearchTool(
        Providers(service, providers, meters),
        WebPages(service, pages, meters),
        settings.read_pages,
        KeptWeb(
            Kept(service, KeepPolicy("search", SEARCH_KEPT_SECONDS, _SEARCH_BYTES), meters, result_bytes),
            Kept(service, KeepPolicy("page", PAGE_KEPT_SECONDS, _PAGE_BYTES), meters, page_bytes),
        ),
        seconds=settings.timeout_seconds * len(providers) + reading + 1.0,
    )
    return Web(Toolbox(service, (tool,), AgentBounds(), meters))


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
        trusted = trusted_host(place.base_url)
        bounds = WebBounds(settings.timeout_seconds, _ANSWER_BYTES, 0, ("application/json",))
        yield Provider(place, Outbound(GuardedNetwork(trusted), bounds, trusted=trusted, tls=tls))


def trusted_host(url: str) -> frozenset[tuple[str, int]]:
    """The host of an address that the operator named, with its port: it may be inside the house."""
    parts = urlsplit(url)
    return frozenset({(parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])})
