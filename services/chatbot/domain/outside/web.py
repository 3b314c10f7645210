"""The web as the core sees it: results of a search, and what a page says. All of it is other people's text."""

from dataclasses import dataclass
from typing import Final, Protocol

from chatbot.domain.documents import IndexedChunk

SEARCH_OUTCOMES: Final = ("ok", "empty", "refused", "limited", "timeout", "unreachable", "garbage", "resting")
"""How asking a provider ended; a label of metrics. `resting`: not asked, because it failed shortly before."""
PAGE_OUTCOMES: Final = ("ok", "refused", "unreachable", "timeout", "unreadable")
"""How reading a page ended; a label of metrics. `refused`: its address, type or size is not allowed."""


@dataclass(frozen=True, slots=True)
class WebResult:
    """One result of a search.

    Attributes:
        url: http or https, at most 1,000 characters.
        snippet: What the provider says of it; plain text.
    """

    title: str
    url: str
    snippet: str


class SearchFailed(Exception):
    """No provider gave results.

    Args:
        reason: One of `SEARCH_OUTCOMES`, of the provider that was asked last.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WebSearch(Protocol):
    """Providers of web search."""

    async def search(self, query: str, language: str, limit: int) -> tuple[WebResult, ...]:
        """The best results, at most `limit`; none where nothing is found.

        Args:
            query: What is looked for; leaves the house.
            language: ko, en or ja: which results are preferred.
            limit: 1-10.

        Raises:
            SearchFailed: No provider answered.
        """


class PageReader(Protocol):
    """Reads pages of the web, and only of the web: never an address inside the house."""

    async def read(self, url: str) -> tuple[IndexedChunk, ...]:
        """The passages of a page in order; none where it cannot be read, for whatever reason. Bounded in time."""


class WebTelemetry(Protocol):
    """Who counts. Never a query or an address."""

    def provider_asked(self, service: str, provider: str, outcome: str) -> None:
        """A provider was asked, or left out because it rests; `outcome` is one of `SEARCH_OUTCOMES`."""

    def page_read(self, service: str, outcome: str) -> None:
        """A page was read or not; `outcome` is one of `PAGE_OUTCOMES`."""
