"""Settings of what is asked of the web: search, weather, news; sections of `Settings`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

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

    offered: bool = False
    """Whether the local model may search by itself, as a tool, also where nobody asked for `google_access`: words of
    the user's own messages then leave the house when it does."""


class WeatherSettings(Section):
    """The tool `weather`, by an API that speaks as Open-Meteo does. Off until a plan is named."""

    plan: Literal["", "non_commercial", "commercial", "self_hosted"] = ""
    """On whose terms it is asked: Open-Meteo's own API is free for non-commercial use only, costs money else, or is a
    server of yours. Empty: there is no such tool."""

    url: str = Field("", pattern=rf"^$|{_URL}")
    """Base URL of the API. Empty: that of Open-Meteo's plan; a server of yours must be named."""

    key_file: Path | None = None
    """File with the key of the commercial plan."""

    timeout_seconds: float = Field(5.0, gt=0, le=8)
    """Longest wait, seconds."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.plan == "self_hosted" and not self.url:
            raise ValueError("self_hosted needs the url of your server")
        if self.plan == "commercial" and self.key_file is None:
            raise ValueError("commercial needs a key_file")
        return self


class NewsSettings(Section):
    """The tool `news`, from feeds of your choice. Off until one is named; their terms of use are your affair."""

    feeds: list[Annotated[str, StringConstraints(pattern=r"^https?://[^@\s#]+$", max_length=500)]] = Field(
        [], max_length=20
    )
    """Addresses of RSS or Atom feeds, a JSON list, at most 20."""

    timeout_seconds: float = Field(5.0, gt=0, le=8)
    """Longest wait for a feed, seconds."""
