"""Settings of web search, a section of `Settings`."""

from pathlib import Path

from pydantic import Field

from chatbot.server.settings.section import Section

_URL = r"^https?://[^@\s?#]+$"


class SearchSettings(Section):
    """Web search, for `google_access`. Off until a provider is named; several are asked in turn until one answers."""

    searxng_url: str = Field("", pattern=rf"^$|{_URL}")
    """Base URL of a SearXNG whose settings allow the format json. Empty: it is not asked."""

    brave_key_file: Path | None = None
    """File with a subscription token of the Brave Search API. None: it is not asked."""

    brave_url: str = Field("https://api.search.brave.com", pattern=_URL)
    """Base URL of the Brave Search API."""

    tavily_key_file: Path | None = None
    """File with a key of Tavily. None: it is not asked."""

    tavily_url: str = Field("https://api.tavily.com", pattern=_URL)
    """Base URL of Tavily's API."""

    timeout_seconds: float = Field(4.0, gt=0, le=30)
    """Longest wait for one provider, seconds; it is left alone for a while after it failed."""

    read_pages: int = Field(3, ge=0, le=5)
    """How many of the results are fetched and read, in a process with limits; public addresses alone. 0: none, the
    provider's own excerpts count."""
