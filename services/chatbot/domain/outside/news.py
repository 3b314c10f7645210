"""News as the core sees it: items of feeds. All of it is other people's text."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NewsItem:
    """One item of a feed.

    Attributes:
        url: http or https, at most 1,000 characters.
        summary: Plain text.
        published: ISO 8601 in UTC; "" where the feed does not say.
        feed: The feed's own title.
    """

    title: str
    url: str
    summary: str
    published: str
    feed: str


class NewsFailed(Exception):
    """No feed can be read."""


class NewsFeeds(Protocol):
    """The feeds that the operator chose."""

    async def items(self) -> tuple[NewsItem, ...]:
        """All items, the newest first. Bounded in time; a feed that fails is left out.

        Raises:
            NewsFailed: All of them fail.
        """
