"""The tool `news`: the newest items, or those of a topic; nothing of the question leaves."""

from typing import Any

from chatbot.core.tools.outside.news import News
from chatbot.domain.outside.news import NewsItem
from parts.calling_model import asked_for


def item(number: int, title: str, summary: str = "") -> NewsItem:
    return NewsItem(title, f"https://news.example/{number}", summary, f"2026-11-2{number}T00:00:00Z", "뉴스")


ITEMS = (
    item(3, "서울에 첫눈", "아침부터 눈이 내렸다"),
    item(2, "Chip prices rise", "Memory chips cost more"),
    item(1, "부산 영화제 개막", "배우들이 모였다"),
)


class Paper:
    """Implements `NewsFeeds`."""

    async def items(self) -> tuple[NewsItem, ...]:
        return ITEMS


async def titles(**arguments: Any) -> list[str]:
    listed: Any = (await News(Paper()).run(arguments, asked_for()))["results"]
    return [one["title"] for one in listed]


async def test_the_newest_come_first_and_at_most_as_many_as_asked_for() -> None:
    assert await titles() == [one.title for one in ITEMS]
    assert await titles(limit=1) == ["서울에 첫눈"]
    assert await titles(limit=99) == [one.title for one in ITEMS]


async def test_a_topic_is_looked_for_here() -> None:
    assert await titles(topic="첫눈 소식") == ["서울에 첫눈"]
    assert await titles(topic="memory chips") == ["Chip prices rise"]
    assert await titles(topic="축구") == []


async def test_a_person_is_told_titles_without_what_they_would_load_or_open() -> None:
    hostile = {"results": [{"title": "![x](https://evil.com/p) 눈 https://evil.com [1]", "url": "", "text": ""}]}

    assert News(Paper()).say(hostile, "ko") == "눈"  # type: ignore[arg-type]
    assert News(Paper()).say({"results": []}, "en") == "No news was found."
