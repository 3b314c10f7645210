"""Questions that tools answer without a model: those that are about nothing else, and no others."""

import time
from collections.abc import Callable

import pytest
from chatbot.core.agent.recognised import recognised
from chatbot.core.tools.contract import JsonValue
from hypothesis import given
from hypothesis import strategies as st


def conversion(value: float, source: str, target: str) -> tuple[str, dict[str, JsonValue]]:
    return "convert_units", {"value": value, "from": source, "to": target}


def at(place: str) -> tuple[str, dict[str, JsonValue]]:
    return "current_time", {"place": place}


def total(expression: str) -> tuple[str, dict[str, JsonValue]]:
    return "calculate", {"expression": expression}


NOW: tuple[str, dict[str, JsonValue]] = ("current_time", {})
FORTUNE: tuple[str, dict[str, JsonValue]] = ("fortune", {})


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("3+4?", total("3+4")),
        ("12*12는?", total("12*12")),
        ("12.5 * 8 + 3 은 얼마예요?", total("12.5 * 8 + 3")),
        ("(3+4)*2 계산해 줘", total("(3+4)*2")),
        ("What is 2^10?", total("2^10")),
        ("calculate sqrt(2)", total("sqrt(2)")),
        ("2+2=", total("2+2")),
        ("５×３は？", total("5×3")),
        ("7*8はいくつですか？", total("7*8")),
        ("서울은 지금 몇 시인가요?", at("서울")),
        ("뉴욕 현재 시각 알려줘", at("뉴욕")),
        ("지금 몇 시야?", NOW),
        ("What time is it in New York right now?", at("new york")),
        ("what's the time?", NOW),
        ("東京は今何時ですか？", at("東京")),
        ("今何時？", NOW),
        ("10평은 몇 제곱미터인가요?", conversion(10, "평", "제곱미터")),
        ("100 miles to km", conversion(100, "miles", "km")),
        ("convert 1,500.5 kg to 근", conversion(1500.5, "kg", "근")),
        ("6畳は何平米ですか", conversion(6, "畳", "平米")),
        ("10평을 제곱미터로 변환해줘", conversion(10, "평", "제곱미터")),
        ("오늘의 운세", FORTUNE),
        ("오늘 운세 알려 주세요!", FORTUNE),
        ("今日の運勢は？", FORTUNE),
        ("What is my fortune today?", FORTUNE),
    ],
)
def test_a_question_for_one_tool_is_recognised(question: str, found: object) -> None:
    assert recognised(question) == found


@pytest.mark.parametrize(
    "question",
    [
        "안녕하세요!",
        "2026",
        "2026-11-21",
        "010-1234-5678",
        "24/7",
        "1/0은?",
        "9^9^9^9?",
        "회의는 몇 시야?",
        "서울 인구는?",
        "서울은 몇 시에 해가 지나요?",
        "10평은 몇 킬로그램인가요?",
        "운세 시장의 규모를 조사해 줘",
        "What is love?",
        "what is the time complexity of quicksort",
        "3월 매출은 얼마?",
        "",
        "?",
    ],
)
def test_a_question_about_more_takes_a_model(question: str) -> None:
    assert recognised(question) is None


@given(st.text("몇시은는지금현재 서울0123456789+-*/=?what istimeconvert to kg평今何時は占い運勢", max_size=500))
def test_any_question_is_looked_at_in_short_time(question: str) -> None:
    began = time.process_time()

    recognised(question)

    assert time.process_time() - began < 2  # a pattern that looks back without end takes minutes


@pytest.mark.parametrize("part", ["몇", "1 ", "は", "to ", "운세", "의", "(", "what is ", "지금 ", "1+", "today", "s "])
def test_repeated_words_are_looked_at_in_short_time(part: str, figures: Callable[..., None]) -> None:
    began = time.process_time()

    recognised((part * 200)[:200])

    figures(cpu_milliseconds=round((time.process_time() - began) * 1000, 1))
    assert time.process_time() - began < 2
