"""Sentences, characters and languages, as rules of style see them."""

import pytest
from chatbot.core.style.graphemes import graphemes, is_emoji
from chatbot.core.style.sentences import Scanner, pieces, split
from chatbot.core.style.spoken import is_spoken, language_in, spoken_end
from hypothesis import given
from hypothesis import strategies as st

TRICKY = st.text(
    alphabet=st.sampled_from(
        [*'.!?。！？…"“”「」*`()[]~ \n,ab13냥다。のか漢', "M", "r", "👩", "\u200d", "👧", "\ufe0f", "é", "\u0301"]
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("파이는 3.14이다. v1.2.3을 써라!", ["파이는 3.14이다.", " v1.2.3을 써라!"]),
        ("Mr. Kim met Dr. Lee. J. K. left, e.g. home.", ["Mr. Kim met Dr. Lee.", " J. K. left, e.g. home."]),
        ("行くぞ！帰るぞ。", ["行くぞ！", "帰るぞ。"]),
        ("「本当に？」と言った。そう？！", ["「本当に？」と言った。", "そう？！"]),
        ("“Hi!” She left.", ["“Hi!”", " She left."]),
        ("음… 그렇다냥. 음...", ["음… 그렇다냥.", " 음..."]),
        ("좋다냥!😸 또 와라냥.", ["좋다냥!😸", " 또 와라냥."]),
        ("*He sighs. He waves.* Hello!", ["*He sighs. He waves.*", " Hello!"]),
        ("1. 하나다\n2. 둘이다", ["1. 하나다", "\n2. 둘이다"]),
        ("했다.그리고 갔다.", ["했다.", "그리고 갔다."]),
        ("node.js는 https://a.example/b?c=d!e 에 있다.", ["node.js는 https://a.example/b?c=d!e 에 있다."]),
        ("보라 ```a. b\nc! d.\n``` 끝이다.", ["보라 ```a. b\nc! d.\n``` 끝이다."]),
        ("* 첫째. 둘째.", ["* 첫째.", " 둘째."]),
        ("네?! 정말!! 그래……", ["네?!", " 정말!!", " 그래……"]),
        ("(속삭인다. 조용히.) 쉿!", ["(속삭인다. 조용히.)", " 쉿!"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_says(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_dots_of_omission_are_a_pause() -> None:
    assert split("うん…そうだね。음... 그래", at_pauses=True) == ["うん…", "そうだね。", "음...", " 그래"]


@given(TRICKY, st.lists(st.integers(0, 60)))
def test_sentences_are_the_same_in_whatever_pieces_a_text_comes(text: str, cuts: list[int]) -> None:
    whole = Scanner().feed(text)

    scanner = Scanner()
    parts = pieces(text, sorted(cut for cut in cuts if cut <= len(text)))
    apart = [border for part in parts for border in scanner.feed(part)]

    assert apart == whole
    assert "".join(split(text)) == text
    assert all(0 < border.at < len(text) for border in whole)


def test_characters_are_those_that_people_see() -> None:
    text = "👨‍👩‍👧a🇰🇷🇯🇵e\u0301각1️⃣👍🏽\r\n"

    clusters = graphemes(text)

    assert clusters == ["👨‍👩‍👧", "a", "🇰🇷", "🇯🇵", "e\u0301", "각", "1️⃣", "👍🏽", "\r\n"]
    assert [is_emoji(one) for one in clusters] == [True, False, True, True, False, False, True, True, False]


@given(st.text(max_size=40))
def test_characters_joined_are_the_text(text: str) -> None:
    assert "".join(graphemes(text)) == text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("어서 와라냥.", "ko"),
        ("GPU 서버가 준비됐다", "ko"),
        ("Hello, who are you?", "en"),
        ("C'est la vie, mon ami", "en"),
        ("ありがとうございます", "ja"),
        ("東京都に行きます", "ja"),
        ("你好，我是小猫。", "zh"),
        ("東京都知事選挙", "ja"),
        ("Привет, друг", "other"),
        ("어서 와. 你好", "ko"),
        ('"Hello my dear friend" 라고 한다', "ko"),
        ('"Hello my dear friend"', "en"),
        ("`print(hello_world_again)` 이라고 써", "ko"),
        ("...", ""),
        ("3.14 😸", ""),
        ("OK!", ""),
    ],
)
def test_a_language_is_known_by_its_letters(text: str, language: str) -> None:
    otherwise = "ja" if language == "ja" else "ko"

    assert language_in(text, otherwise) == language


def test_han_alone_is_a_language_that_is_written_so_and_never_korean() -> None:
    assert language_in("東京都知事選挙", "ja") == "ja"
    assert language_in("東京都知事選挙", "zh") == "zh"
    assert language_in("東京都知事選挙", "ko") == "zh"


@pytest.mark.parametrize(
    ("sentence", "before"),
    [
        ("어서 와라냥!", "어서 와라냥"),
        ("어서 와라냥~♪ 😸", "어서 와라냥"),
        ("그건 「정말」이다냥。", "그건 「정말」이다냥"),
        ("**좋다냥**.", "**좋다냥"),
        ("이리 와 *손짓한다*", None),
        ('그 이름은 "나비".', None),
        ("*손짓한다*", None),
        ("보라 `x.y`", None),
        ("!", None),
    ],
)
def test_the_last_word_of_a_sentence_stands_before_marks_and_outside_of_quotes(
    sentence: str, before: str | None
) -> None:
    end = spoken_end(sentence)

    assert (None if end is None else sentence[:end]) == before


def test_what_is_quoted_acted_or_code_is_not_spoken() -> None:
    assert [is_spoken(text) for text in ("*wave*", '"hi"', "`x`", "1.", "😸", "hi")] == [False] * 5 + [True]


@given(
    st.text(alphabet="가각a \n.,。「」のかケ漢é…ー", max_size=30), st.sampled_from(["", "👩‍👧", "\u0301", "\r\n", "각"])
)
def test_what_stands_beside_a_joining_character_changes_no_other(text: str, odd: str) -> None:
    assert graphemes(text + "\n" + odd) == [*graphemes(text), "\n", *graphemes(odd)]
