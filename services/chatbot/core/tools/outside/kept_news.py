"""News that is not asked for again at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatbot.core.web.kept import Kept
from chatbot.domain.outside.news import NewsFeeds, NewsItem


@dataclass(frozen=True, slots=True)
class KeptNews:
    """Implements `NewsFeeds` over another one."""

    feeds: NewsFeeds
    kept: Kept[tuple[NewsItem, ...]]

    async def items(self) -> tuple[NewsItem, ...]:
        """See `NewsFeeds`. Nothing in them depends on who asks."""
        return await self.kept.get((), self.feeds.items)


def news_bytes(items: Sequence[NewsItem]) -> int:
    """About how much memory items take."""
    return sum(len(one.title) + len(one.url) + len(one.summary) for one in items) * 4 + 200
