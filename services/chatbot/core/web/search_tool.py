"""The tool `web_search`: searches the web, reads the first pages, and gives what in them has to do with the query.

It is called before the model saw any outside text, by the service or by the model itself, which then chooses among the
user's own words: no text of a page can cause a call (ADR 0015).
"""

import asyncio
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.core.retrieval.terms import query_terms
from chatbot.core.tools.contract import JsonValue, Reach, ToolContext, ToolResult, text_argument
from chatbot.core.web.kept import Kept
from chatbot.core.web.own_words import own_words
from chatbot.domain.documents import IndexedChunk
from chatbot.domain.outside.web import PageReader, WebResult, WebSearch

MAX_QUERY_CHARACTERS: Final = 500
RESULTS: Final = 5
MAX_PAGE_CHARACTERS: Final = 2_400
_PASSAGES: Final = 2


@dataclass(frozen=True, slots=True)
class KeptWeb:
    """What was found and read in the last minutes."""

    results: Kept[tuple[WebResult, ...]]
    pages: Kept[tuple[IndexedChunk, ...]]


def result_bytes(results: Sequence[WebResult]) -> int:
    """About how much memory results take."""
    return sum(len(one.title) + len(one.url) + len(one.snippet) for one in results) * 4 + 200


def page_bytes(passages: Sequence[IndexedChunk]) -> int:
    """About how much memory a page takes: text, and its terms."""
    return sum(len(one.chunk.text) * 4 + len(one.terms) * 60 for one in passages) + 200


class _Unread(Exception):
    """A page that gave nothing."""


class WebSearchTool:
    """Implements `Tool`.

    Args:
        search: The providers.
        pages: Reads pages.
        read_pages: How many of the first results are read; of the others the provider's snippet counts.
        kept: What was found in the last minutes.
        seconds: Longest call.
    """

    name = "web_search"
    description = "Searches the web; for what is newer than your knowledge, or must be looked up."
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {"query": {"type": "string", "maxLength": MAX_QUERY_CHARACTERS}},
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(self, search: WebSearch, pages: PageReader, read_pages: int, kept: KeptWeb, seconds: float) -> None:
        self.reach = Reach(leaves=True, is_outside=True, seconds=seconds, has_sources=True)
        self._search = search
        self._pages = pages
        self._read_pages = read_pages
        self._kept = kept

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{results: [{title, url, text}]}`.

        Raises:
            SearchFailed: No provider answered.
        """
        query = " ".join(text_argument(arguments, "query", MAX_QUERY_CHARACTERS).split())
        if context.said:
            query = own_words(query, context.said)[:MAX_QUERY_CHARACTERS]
        results = await self._results(query, context)
        pages = await asyncio.gather(*(self._page(result.url) for result in results[: self._read_pages]))
        looked_for = frozenset(query_terms(query))
        texts = [_text(result, _best(page, looked_for)) for result, page in zip(results, pages, strict=False)]
        texts += [result.snippet for result in results[len(texts) :]]
        return {
            "results": [
                {"title": result.title, "url": result.url, "text": text}
                for result, text in zip(results, texts, strict=True)
                if text or result.title
            ]
        }

    async def _results(self, query: str, context: ToolContext) -> tuple[WebResult, ...]:
        """Of the tenant: what its users look for is told to no other, not even by how fast it is found."""
        key = (
            context.caller.tenant,
            context.language,
            " ".join(unicodedata.normalize("NFKC", query).casefold().split()),
        )
        return await self._kept.results.get(key, lambda: self._search.search(query, context.language, RESULTS))

    async def _page(self, url: str) -> Sequence[IndexedChunk]:
        async def read() -> tuple[IndexedChunk, ...]:
            passages = await self._pages.read(url)
            if not passages:
                raise _Unread  # tried again sooner than a page that was read
            return passages

        try:
            return await self._kept.pages.get((url,), read)
        except _Unread:
            return ()

    def say(self, result: ToolResult, language: str) -> str:
        """The titles."""
        listed = result["results"]
        titles = [str(one["title"]) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        return "; ".join(filter(None, titles))


def _best(page: Sequence[IndexedChunk], looked_for: frozenset[str]) -> str:
    """The passages with the most of what is looked for, in their order; "" where none has any of it."""

    def weight(passage: IndexedChunk) -> tuple[int, int]:
        counts = Counter(term for term in passage.terms if term in looked_for)
        return len(counts), counts.total()

    best = sorted((one for one in page if weight(one) > (0, 0)), key=weight, reverse=True)[:_PASSAGES]
    best.sort(key=lambda one: one.chunk.number)
    return "\n".join(one.chunk.text for one in best)[:MAX_PAGE_CHARACTERS]


def _text(result: WebResult, of_page: str) -> str:
    """The snippet and what of the page it does not say already."""
    if not of_page or result.snippet in of_page:
        return of_page or result.snippet
    return f"{result.snippet}\n{of_page}" if result.snippet else of_page
