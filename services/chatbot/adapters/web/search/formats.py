"""What the providers are asked and what they answer, each as its documentation says.

Source:
    SearXNG: https://docs.searxng.org/dev/search_api (JSON has to be switched on there, else it answers 403). Brave:
    https://api-dashboard.search.brave.com/app/documentation/web-search. Tavily:
    https://docs.tavily.com/documentation/api-reference/endpoint/search.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from chatbot.adapters.web.shown import plain_text, shown_url
from chatbot.domain.outside.web import WebResult

MAX_TITLE_CHARACTERS: Final = 200
MAX_SNIPPET_CHARACTERS: Final = 2_000
_BRAVE_LANGUAGES: Final = {"ja": "jp"}  # its own name of it


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a provider; `body` None asks with GET."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """How one provider is spoken to.

    Attributes:
        ask: Base URL, key, query, language and count -> request.
        results: The whole answer, parsed -> its list of results; raises LookupError or TypeError where it has none.
        snippet: Name of the field with the text.
    """

    ask: Callable[[str, str, str, str, int], Asked]
    results: Callable[[Any], Any]
    snippet: str


def found(provider: Format, body: bytes, limit: int) -> tuple[WebResult, ...]:
    """The results of an answer; those without a usable address are left out, and an address counts once.

    Raises:
        ValueError: It is no answer of this provider.
    """
    try:
        listed = provider.results(json.loads(body))
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError("no results in it") from None
    if not isinstance(listed, list):
        raise ValueError("no list of results")
    results: dict[str, WebResult] = {}
    for one in listed:
        for result in _result(one, provider.snippet):
            results.setdefault(result.url, result)
    return tuple(results.values())[:limit]


def _result(one: Any, snippet: str) -> Iterator[WebResult]:
    if not isinstance(one, dict):
        return
    url = shown_url(one.get("url"))
    if url is not None:
        title, text = one.get("title"), one.get(snippet)
        yield WebResult(plain_text(title, MAX_TITLE_CHARACTERS), url, plain_text(text, MAX_SNIPPET_CHARACTERS))


def _ask_searxng(base: str, key: str, query: str, language: str, count: int) -> Asked:
    parameters = urlencode({"q": query, "format": "json", "language": language})
    return Asked(f"{base.rstrip('/')}/search?{parameters}", {"Accept": "application/json"})


def _ask_brave(base: str, key: str, query: str, language: str, count: int) -> Asked:
    language = _BRAVE_LANGUAGES.get(language, language)
    parameters = urlencode({"q": query, "count": count, "search_lang": language, "text_decorations": "false"})
    headers = {"Accept": "application/json", "X-Subscription-Token": key}
    return Asked(f"{base.rstrip('/')}/res/v1/web/search?{parameters}", headers)


def _ask_tavily(base: str, key: str, query: str, language: str, count: int) -> Asked:
    body = json.dumps({"query": query, "max_results": count, "search_depth": "basic"}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return Asked(f"{base.rstrip('/')}/search", headers, body)


def _of_brave(answer: Any) -> Any:
    return answer["web"]["results"] if "web" in answer else []  # left out where nothing is found


FORMATS: Final[Mapping[str, Format]] = {
    "searxng": Format(_ask_searxng, lambda answer: answer["results"], "content"),
    "brave": Format(_ask_brave, _of_brave, "description"),
    "tavily": Format(_ask_tavily, lambda answer: answer["results"], "content"),
}
PROVIDERS: Final = tuple(FORMATS)
"""In the order in which they are tried."""
