"""Feeds of news: fetched through the guard, read in a process that may be killed, and asked again by their own marks.

Source:
    RSS 2.0 (https://www.rssboard.org/rss-specification), Atom (RFC 4287); conditional requests: RFC 9110, section 13.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import Fetched, Outbound
from chatbot.adapters.web.shown import plain_text, shown_url
from chatbot.domain.outside.breaker import BreakerOpen, CircuitBreaker
from chatbot.domain.outside.news import NewsFailed, NewsItem

MEDIA_TYPES: Final = (
    "application/rss+xml",
    "application/atom+xml",
    "application/xml",
    "text/xml",
    "application/rdf+xml",
)
MAX_ITEMS: Final = 200
"""Of one feed."""
MAX_TITLE_CHARACTERS: Final = 200
MAX_SUMMARY_CHARACTERS: Final = 500
READING_SECONDS: Final = 6.0
READER_COMMAND: Final = (sys.executable, "-P", "-m", "chatbot.server.reading.feed_child")
_MAX_LINES_BYTES: Final = 2 * 2**20
_MAX_MARK_CHARACTERS: Final = 200


@dataclass(slots=True)
class Feed:
    """One feed.

    Attributes:
        url: The operator's.
        outbound: Trusts its host.
        breaker: Of its failures.
        etag: What the publisher called the last answer; `modified` likewise. "" where there is none.
        items: Of the last answer.
    """

    url: str
    outbound: Outbound
    breaker: CircuitBreaker
    etag: str = ""
    modified: str = ""
    items: tuple[NewsItem, ...] = ()


class Feeds:
    """Implements `NewsFeeds`, without keeping anything but what the publishers call unchanged.

    Args:
        feeds: At least one.
        command: Starts the reader.
    """

    def __init__(self, feeds: Sequence[Feed], command: Sequence[str] = READER_COMMAND) -> None:
        self._feeds = feeds
        self._command = command

    async def items(self) -> tuple[NewsItem, ...]:
        """See `NewsFeeds`."""
        found = await asyncio.gather(*map(self._items, self._feeds))
        if all(one is None for one in found):
            raise NewsFailed
        items = {item.url: item for one in found for item in one or ()}
        return tuple(sorted(items.values(), key=lambda item: item.published, reverse=True))

    async def close(self) -> None:
        """Close all connections."""
        for feed in self._feeds:
            await feed.outbound.close()

    async def _items(self, feed: Feed) -> tuple[NewsItem, ...] | None:
        try:
            attempt = feed.breaker.attempt()
        except BreakerOpen:
            return None
        try:
            await self._refresh(feed)
            attempt.succeeded()
        except (WebRefused, OSError, ValueError, RecursionError):
            attempt.failed()
            return None
        finally:
            attempt.release()
        return feed.items

    async def _refresh(self, feed: Feed) -> None:
        headers = {"Accept": ", ".join(MEDIA_TYPES)}
        if feed.items:
            headers |= {name: mark for name, mark in _marks(feed) if mark}
        answer = await feed.outbound.fetch(feed.url, headers=headers)
        if answer.status == 304 and feed.items:
            return
        if answer.status != 200:
            raise ConnectionError("no feed")
        feed.items = tuple(filter(None, map(_item, await self._read(answer.body))))
        feed.etag, feed.modified = _mark(answer, "etag"), _mark(answer, "last-modified")

    async def _read(self, body: bytes) -> list[Any]:
        """The items of a feed as another process reads them.

        Raises:
            ValueError: It cannot.
            TimeoutError: Not in time.
            OSError: There is no process.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(READING_SECONDS):
                said, _ = await process.communicate(body)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode or len(said) > _MAX_LINES_BYTES:
            raise ValueError("no feed")
        return list(json.loads(said)[:MAX_ITEMS])


def _marks(feed: Feed) -> tuple[tuple[str, str], ...]:
    return ("If-None-Match", feed.etag), ("If-Modified-Since", feed.modified)


def _mark(answer: Fetched, name: str) -> str:
    mark = answer.headers.get(name, "")
    return mark if len(mark) <= _MAX_MARK_CHARACTERS and mark.isascii() and mark.isprintable() else ""


def _item(told: Any) -> NewsItem | None:
    """An item as it may be shown; None where it leads nowhere."""
    url = shown_url(told.get("link"))
    title = plain_text(told.get("title"), MAX_TITLE_CHARACTERS)
    if url is None or not title:
        return None
    summary = plain_text(told.get("summary"), MAX_SUMMARY_CHARACTERS)
    return NewsItem(title, url, summary, plain_text(told.get("published"), 25), plain_text(told.get("feed"), 80))
