"""The tool `news`: the newest items of the feeds that the operator chose. Nothing of a question leaves the house."""

from collections.abc import Mapping, Sequence
from typing import Final

from chatbot.core.retrieval.answer_text import plain_title
from chatbot.core.retrieval.terms import query_terms, terms
from chatbot.core.tools.contract import JsonValue, Reach, ToolContext, ToolResult, text_argument
from chatbot.domain.outside.news import NewsFeeds, NewsItem

MAX_TOPIC_CHARACTERS: Final = 100
MAX_ITEMS: Final = 10
SECONDS: Final = 12.0
_ITEMS: Final = 5
_TEXT_CHARACTERS: Final = 240
_NONE: Final = {"ko": "찾은 소식이 없습니다.", "en": "No news was found.", "ja": "ニュースは見つかりませんでした。"}


class News:
    """Implements `Tool`.

    Args:
        feeds: The feeds.
    """

    name = "news"
    reach = Reach(leaves=True, is_outside=True, seconds=SECONDS, has_sources=True)
    description = "The newest news items, on a topic where one is named."
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "description": "a few words", "maxLength": MAX_TOPIC_CHARACTERS},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS},
        },
        "additionalProperties": False,
    }

    def __init__(self, feeds: NewsFeeds) -> None:
        self._feeds = feeds

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{results: [{title, url, text}]}`, newest first, or those of the topic, best first.

        Raises:
            NewsFailed: No feed can be read.
        """
        topic = text_argument(arguments, "topic", MAX_TOPIC_CHARACTERS)
        asked = arguments.get("limit", _ITEMS)
        limit = min(max(asked, 1), MAX_ITEMS) if isinstance(asked, int) and not isinstance(asked, bool) else _ITEMS
        items = await self._feeds.items()
        chosen = _about(items, topic) if topic else items
        return {"results": [_shown(item) for item in chosen[:limit]]}

    def say(self, result: ToolResult, language: str) -> str:
        """The titles."""
        listed = result["results"]
        titles = [str(one["title"]) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        return "; ".join(filter(None, map(plain_title, titles))) or _NONE[language]


def _about(items: Sequence[NewsItem], topic: str) -> Sequence[NewsItem]:
    """Items that share at least half of the topic's terms, the most of them first."""
    wanted = frozenset(query_terms(topic))
    counts = {item: len(wanted.intersection(terms(f"{item.title}\n{item.summary}"))) for item in items}
    least = max(1, len(wanted) // 2)
    return sorted((item for item in items if counts[item] >= least), key=lambda item: -counts[item])


def _shown(item: NewsItem) -> dict[str, JsonValue]:
    when = f"{item.published[:10]} " if item.published else ""
    return {"title": item.title, "url": item.url, "text": f"{when}{item.summary[:_TEXT_CHARACTERS]}".strip()}
