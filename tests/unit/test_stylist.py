"""Answers edited to their rules: what is changed without the model, what is not, and when it is shown."""

from dataclasses import replace

import pytest
from chatbot.core.style.checks import CHECKS, Rules, broken
from chatbot.core.style.sentences import pieces
from chatbot.core.style.stylist import State, Stylist
from chatbot.core.style.wording import reminder
from chatbot.domain.style.rules import CharacterRepair, CharacterStyle, SentenceSuffix
from hypothesis import given
from hypothesis import strategies as st

CAT = Rules(
    CharacterStyle("ko", SentenceSuffix(("냥", "다냥"), 0.8), 3, 60, ("AI 언어 모델",)),
    CharacterRepair(),
    "나비",
    "민준",
)
LOOSE = replace(CAT, style=CharacterStyle(forbid=("nothing of this",)))
SAID = st.lists(
    st.sampled_from(
        [
            *("어서 와라냥.", " 좋다.", " 뭐?", "\n", "나비: ", "\n민준: ", " {{user}}", "<|im_end|>", " *손짓한다*"),
            *(" 저는 AI 언어 모델입니다.", " Hello there, my friend!", " 3.14다.", "음…", "😸", "냥"),
            *("「네.」", " ", "`a.b`"),
            *(" 가나다라 마바사아 자차카타 파하 ", "긴말" * 30, "ありがとう。"),
        ]
    ),
    max_size=12,
).map("".join)


def edited(text: str, rules: Rules = CAT, *, was_cut: bool = False) -> str:
    """The text after its edits, made in one piece."""
    stylist = Stylist(rules, is_whole=True, may_refuse=False)
    stylist.feed(text)
    stylist.end(was_cut=was_cut)
    return stylist.whole()


def streamed(text: str, cuts: list[int], rules: Rules = CAT, *, may_refuse: bool = False) -> tuple[list[str], State]:
    """What is shown of it, piece by piece."""
    stylist = Stylist(rules, is_whole=False, may_refuse=may_refuse)
    parts = pieces(text, sorted({cut for cut in cuts if 0 < cut < len(text)}))
    shown = [stylist.feed(part) for part in parts] + [stylist.end(was_cut=False)]
    return [one for one in shown if one], stylist.state


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("어서 와라.", "어서 와라냥."),
        ("오늘은 좋다!! 😸", "오늘은 좋다냥!! 😸"),
        ("좋다냥. 싫다.", "좋다냥. 싫다냥."),
        ("좋다냥. 그렇다냥. 3.14다냥.", "좋다냥. 그렇다냥. 3.14다냥."),
        ("「좋다.」 *웃는다*", "「좋다.」 *웃는다*"),
        ("음… 그렇다.", "음… 그렇다냥."),
        ("하나냥. 둘이냥. 셋이냥. 넷이냥.", "하나냥. 둘이냥. 셋이냥."),
        ("하나냥. " + "가" * 70 + "냥.", "하나냥."),
        ("저는 AI 언어 모델입니다. 그래도 반갑다냥.", "그래도 반갑다냥."),
        ("저는 ai  언어 모델이다냥. 반갑다냥.", "반갑다냥."),
        ("반갑다냥.\n민준: 나도 반가워!\n나비: 그래냥.", "반갑다냥."),
        ("나비: 반갑다냥.", "반갑다냥."),
        ("**나비:** 반갑다냥.", "반갑다냥."),
        ("반갑다냥, {{user}}!<|im_end|>", "반갑다냥, 민준냥!"),
        ("{{char}}는 고양이다냥.</s>", "나비는 고양이다냥."),
        ("어서 와라냥. 그런데 오늘은 무", "어서 와라냥. 그런데 오늘은 무냥"),
    ],
)
def test_an_edit_brings_an_answer_to_its_rules(text: str, kept: str) -> None:
    assert edited(text) == kept


def test_an_answer_that_was_cut_ends_with_its_last_whole_sentence() -> None:
    assert edited("어서 와라냥. 그런데 오늘은 무", was_cut=True) == "어서 와라냥."
    assert edited("그런데 오늘은 무", was_cut=True) == "그런데 오늘은 무냥"


def test_code_is_left_as_it_is() -> None:
    text = "이렇게 써라냥: `{{user}}`와 `<s>`다냥."

    assert edited(text) == text


def test_what_turns_in_a_circle_ends_before_it() -> None:
    once = "나는 오늘 서점에 가서 책을 산다냥."
    text = "안녕하냥. " + " ".join([once] * 9)

    kept = edited(text, LOOSE)

    assert broken(text, LOOSE) == ("loop",)
    assert kept == f"안녕하냥. {once} {once}"
    assert broken(kept, LOOSE) == ()


def test_laughter_is_no_loop() -> None:
    assert broken("하하 하하 하하 하하 하하 하하. はははははははは", LOOSE) == ()
    assert broken("하하 " * 40, LOOSE) == ("loop",)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("Hello there, my dear friend냥.", "language"),
        ("좋다.", "suffix"),
        ("하나냥. 둘냥. 셋냥. 넷냥.", "sentences"),
        ("가" * 61 + "냥", "characters"),
        ("저는 AI 언어  모델이다냥", "forbidden"),
        ("안녕냥\n사용자: 안녕냥", "user_speech"),
        ("안녕냥 {{user}}냥", "markers"),
        ("나비: 안녕냥", "markers"),
        ("가 나 다 라냥 가 나 다 라냥 가 나 다 라냥", "loop"),
    ],
)
def test_each_check_finds_what_it_is_about(text: str, check: str) -> None:
    assert broken(text, CAT) == (check,)


def test_checks_look_only_at_rules_that_there_are() -> None:
    assert CAT.checks == CHECKS
    assert LOOSE.checks == ("forbidden", "user_speech", "markers", "loop")
    assert broken("좋다냥. 어서 와라냥!", CAT) == ()


@given(SAID, st.lists(st.integers(0, 200)))
def test_a_stream_shows_what_a_plain_answer_would_be(text: str, cuts: list[int]) -> None:
    roomy = replace(CAT, repair=CharacterRepair(hold_back_chars=200))

    shown, _ = streamed(text, cuts, roomy)

    whole = edited(text, roomy)
    assert "".join(shown) == whole.rstrip()
    assert shown == [] or shown[-1].strip()


@given(SAID, st.lists(st.integers(0, 200)), st.integers(1, 30))
def test_nothing_that_was_shown_is_changed_however_little_is_held_back(text: str, cuts: list[int], held: int) -> None:
    rules = replace(CAT, repair=CharacterRepair(hold_back_chars=held))
    stylist = Stylist(rules, is_whole=False, may_refuse=False)
    shown = ""
    for part in pieces(text, sorted({cut for cut in cuts if 0 < cut < len(text)})):
        shown += stylist.feed(part)
        assert stylist.whole().startswith(shown.rstrip())

    shown += stylist.end(was_cut=False)

    assert shown == stylist.shown
    assert "<|im_end|>" not in shown or "`" in shown or stylist.whole() == text.rstrip()


@given(SAID)
def test_an_answer_that_keeps_the_rules_is_left_as_it_is(text: str) -> None:
    if not broken(text, CAT):
        assert edited(text) == text.strip()


@given(SAID)
def test_off_changes_nothing(text: str) -> None:
    off = replace(CAT, repair=CharacterRepair("off"))

    assert edited(text, off) == text.rstrip()
    assert "".join(streamed(text, [3, 9, 27], off)[0]) == text.rstrip()


def test_a_stream_is_shown_sentence_by_sentence() -> None:
    text = "어서 와라. 오늘은 좋다. 끝이다."

    shown, _ = streamed(text, list(range(len(text))))

    assert shown == ["어서 와라냥.", " 오늘은 좋다냥.", " 끝이다냥."]


def test_a_long_first_sentence_is_shown_but_for_its_last_word() -> None:
    stylist = Stylist(replace(CAT, repair=CharacterRepair(hold_back_chars=10)), is_whole=False, may_refuse=True)

    assert stylist.feed("오늘은 날씨가 참") == ""
    assert stylist.feed(" 좋은 것") == "오늘은 날씨가 참 좋은"
    assert stylist.feed(" 같다. 그") == " 것 같다냥."


def test_a_slow_first_sentence_is_shown_after_a_second() -> None:
    stylist = Stylist(CAT, is_whole=False, may_refuse=True)

    assert stylist.feed("오늘은 날", 0.9) == ""
    assert stylist.feed("씨", 1.0) == "오늘은"


@pytest.mark.parametrize("text", ["Hello there, my friend! ", "저는 AI 언어 모델입니다. ", "민준: 안녕? 나는"])
def test_an_answer_that_begins_wrong_is_refused_before_anything_is_shown(text: str) -> None:
    shown, state = streamed(text, list(range(len(text))), may_refuse=True)

    assert (shown, state) == ([], State.REFUSED)


def test_an_answer_that_was_shown_is_never_refused() -> None:
    text = "어서 와라냥. Hello there, my friend! And now all of it is in English."

    shown, state = streamed(text, list(range(len(text))), may_refuse=True)

    assert state is State.ENOUGH
    assert shown[0] == "어서 와라냥."


def test_a_first_sentence_that_tells_no_language_waits_for_the_next() -> None:
    text = "OK! Hello there, my friend."

    assert streamed(text, [4], may_refuse=True) == ([], State.REFUSED)


def test_a_sentence_that_never_ends_does_not_cost_more_the_longer_it_is() -> None:
    stylist = Stylist(LOOSE, is_whole=False, may_refuse=False)
    longest = 0
    for _ in range(3_000):
        stylist.feed("{`ab")
        longest = max(longest, len(stylist._pending))

    assert longest < 400


@pytest.mark.parametrize("language", ["ko", "en", "ja", "zh", "tlh"])
def test_the_rules_have_words_in_every_language(language: str) -> None:
    said = reminder(CAT, language)

    assert "60" in said
    assert "AI 언어 모델" in said
    assert "나비" in said
    assert "{" not in said
