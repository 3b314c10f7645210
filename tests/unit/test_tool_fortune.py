"""The fortune of the day: the same all day, another for another user and day, and it says that it is for fun."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from chatbot.core.tools.contract import ToolContext
from chatbot.core.tools.fortune import Fortune, _sentences
from chatbot.domain.chat import Caller

NOON = datetime(2026, 7, 21, 3, tzinfo=UTC)


async def drawn(user: str = "user", now: datetime = NOON, language: str = "ko", tenant: str = "") -> str:
    context = ToolContext(Caller(tenant, user), language, now, "Asia/Seoul")
    told = await Fortune().run({}, context)
    assert Fortune().say(told, language) == told["text"]
    return str(told["text"])


async def test_it_is_the_same_from_midnight_to_midnight_of_the_zone() -> None:
    midnight = datetime(2026, 7, 20, 15, tzinfo=UTC)  # in Seoul

    day = {await drawn(now=midnight + timedelta(minutes=minutes)) for minutes in range(0, 24 * 60, 30)}
    days = {await drawn(now=midnight + timedelta(days=number)) for number in range(30)}

    assert len(day) == 1
    assert len(days) > 10


async def test_users_and_tenants_have_their_own() -> None:
    assert len({await drawn(user=f"user-{number}") for number in range(50)}) > 30
    assert len({await drawn(tenant=f"tenant-{number}") for number in range(50)}) > 30
    assert await drawn(tenant="a", user="bc") != await drawn(tenant="ab", user="c")


@pytest.mark.parametrize(("language", "end"), [("ko", "재미로"), ("en", "just for fun"), ("ja", "楽しみとして")])
async def test_it_says_that_it_is_for_fun(language: str, end: str) -> None:
    assert end in await drawn(language=language)


async def test_every_language_says_the_same() -> None:
    columns = {language: number for number, language in enumerate(("ko", "en", "ja"))}
    korean, english = await drawn(language="ko"), await drawn(language="en")

    aspects = [row for row in _sentences()["aspect"] if row[columns["ko"]] in korean]
    assert [row[columns["en"]] in english for row in aspects] == [True]


def test_every_sentence_is_there_in_every_language() -> None:
    assert all(len(row) == 3 and all(row) for rows in _sentences().values() for row in rows)


async def test_no_luck_is_drawn_much_more_often_than_another(scale: Callable[[int, int], int]) -> None:
    users = scale(500, 20_000)

    lucks = Counter([(await drawn(user=f"user-{number}")).split(".")[0] for number in range(users)])

    assert len(lucks) == 5
    assert min(lucks.values()) > users / 10
