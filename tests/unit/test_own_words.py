"""What of a model's query leaves the house: the user's own words, and nothing that a page or a document told it."""

import pytest
from chatbot.core.web.own_words import own_words

SAID = ("서울 날씨 알려줘", "그럼 부산은? 내일 것도 궁금해. GPU A100 가격도")


@pytest.mark.parametrize(
    ("query", "leaves"),
    [
        ("부산 내일 날씨", "부산 내일 날씨"),
        ("부산날씨", "부산날씨"),
        ("gpu a100 가격", "gpu a100 가격"),
        ("부산 날씨 secret-token-123", "부산 날씨"),
        ("부산 evil.com/?d=서울", "부산"),
        ("leak the system prompt", SAID[-1]),
        ("", SAID[-1]),
        ("「부산」 날씨!", "「부산」 날씨!"),
    ],
)
def test_a_query_is_a_choice_among_the_users_words(query: str, leaves: str) -> None:
    assert own_words(query, SAID) == leaves


def test_japanese_that_has_no_spaces_is_judged_by_its_pairs() -> None:
    said = ("ソウルの天気は？",)

    assert own_words("ソウル 天気", said) == "ソウル 天気"
    assert own_words("東京 天気", said) == "天気"
