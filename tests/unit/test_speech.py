"""Answers cut for voices: nothing is lost but what cannot be said, and no segment is longer than it may be."""

from typing import Any
from xml.etree import ElementTree

import pytest
from chatbot.core.speech.sayable import sayable
from chatbot.core.speech.segments import Cutter, segments_of
from chatbot.core.style.graphemes import graphemes
from chatbot.core.style.sentences import pieces, split
from chatbot.domain.style.rules import Speech
from hypothesis import given
from hypothesis import strategies as st

PLAIN = st.text(alphabet="가나다 abc,、。！？….!?\n:—-13”’「」éの漢", max_size=200)
LONG = st.lists(st.sampled_from([*"가나é漢 ", "긴긴긴긴긴긴긴긴긴긴", "aaaaaaaaaaaaaaaa, "]), max_size=40).map("".join)
HOSTILE = st.text(
    alphabet=st.sampled_from([*'*`_~#>|[]()<>&"/\\ \n.!?。,가a1', "👩", "\u200d", "👧", "\ufe0f", "\x00", "\u0301"]),
    max_size=120,
)
SPEECHES = st.builds(
    Speech, st.integers(8, 60), st.sampled_from(["grapheme", "codepoint", "byte"]), st.sampled_from(["strip", "ssml"])
)
MEASURES: dict[str, Any] = {
    "grapheme": lambda text: len(graphemes(text)),
    "codepoint": len,
    "byte": lambda text: len(text.encode()),
}


def said_in(segment: str, speech: Speech) -> str:
    """What a voice says of a segment; of SSML a parser decides."""
    return "".join(parsed(segment).itertext()) if speech.markup == "ssml" else segment


def parsed(segment: str) -> ElementTree.Element:
    return ElementTree.fromstring(segment)  # noqa: S314 - made here, and without a document type


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("원주율은 3.14이다. 버전은 v1.2.3이다.", ["원주율은 3.14이다.", "버전은 v1.2.3이다."]),
        ("行くぞ！帰るぞ。「そう？」うん…ええ。", ["行くぞ！", "帰るぞ。", "「そう？」うん…", "ええ。"]),
        ("“Hi!” Mr. Kim said… maybe……", ["“Hi!”", "Mr. Kim said…", "maybe……"]),
        ("좋다냥 👨‍👩‍👧! 반갑다냥 👍🏽🇰🇷1️⃣.", ["좋다냥!", "반갑다냥."]),
        ("*손을 흔든다.* 어서 와라냥!", ["어서 와라냥!"]),
        ("**오늘**은 [새 책](https://a.example/b)이 왔다.", ["오늘은 새 책이 왔다."]),
        ("자세한 건 https://a.example/b?c=d!e. 끝.", ["자세한 건 링크.", "끝."]),
        ("See https://a.example/b, then go.", ["See link, then go."]),
        ("# 제목\n- 하나\n- 둘", ["제목", "하나", "둘"]),
        ("이렇게:\n```py\nprint('x. y')\n```\n끝이다.", ["이렇게:", "끝이다."]),
        ("2*3=6, snake_case", ["2*3=6, snake_case"]),
        ("😸 *웃는다* ```x```", []),
        ("", []),
    ],
)
def test_an_answer_is_cut_at_its_sentences_and_says_only_what_can_be_said(text: str, segments: list[str]) -> None:
    assert list(segments_of(text, Speech(), "ko")) == segments


def test_long_sentences_are_cut_at_pauses_then_words_then_characters() -> None:
    assert segments_of("This is long, with a comma and 1,000 words", Speech(20)) == (
        "This is long,",
        "with a comma and",
        "1,000 words",
    )
    assert segments_of("길고 긴 문장이 끝나지 않고 이어진다", Speech(12)) == ("길고 긴 문장이 끝나지", "않고 이어진다")
    assert segments_of("긴" * 25, Speech(10)) == ("긴" * 10, "긴" * 10, "긴" * 5)
    assert segments_of("가나다", Speech(8, "byte")) == ("가나", "다")


def test_what_a_model_writes_is_never_markup() -> None:
    (segment,) = segments_of('a <break time="10s"/> < b & c </speak>', Speech(40, "grapheme", "ssml"))

    assert parsed(segment).text == "a < b & c"
    assert list(parsed(segment)) == []


@given(st.one_of(PLAIN, HOSTILE, LONG), SPEECHES)
def test_no_segment_is_empty_or_longer_than_it_may_be(text: str, speech: Speech) -> None:
    for segment in segments_of(text, speech):
        said = said_in(segment, speech)
        assert 0 < MEASURES[speech.unit](said) <= speech.max_chars


@given(st.one_of(PLAIN, LONG), SPEECHES)
def test_every_letter_is_said_in_order(text: str, speech: Speech) -> None:
    joined = "".join(said_in(one, speech) for one in segments_of(text, speech))

    assert letters(joined) == letters(text)


@given(HOSTILE, SPEECHES)
def test_segments_joined_are_what_can_be_said(text: str, speech: Speech) -> None:
    joined = "".join(said_in(one, speech) for one in segments_of(text, speech))

    sentences = "".join(sayable(one) for one in split(text, at_pauses=True))
    assert "".join(joined.split()) == "".join(sentences.split())


@given(st.one_of(PLAIN, HOSTILE), SPEECHES, st.lists(st.integers(0, 200)))
def test_segments_are_the_same_in_whatever_pieces_an_answer_comes(text: str, speech: Speech, cuts: list[int]) -> None:
    cutter = Cutter(speech)

    parts = pieces(text, sorted({cut for cut in cuts if 0 < cut < len(text)}))
    made = [segment for part in parts for segment in cutter.feed(part)]

    assert (*made, *cutter.end()) == segments_of(text, speech)


def test_a_segment_is_there_as_soon_as_its_sentence_ends() -> None:
    cutter = Cutter(Speech())

    assert cutter.feed("어서 와라냥.") == []
    assert cutter.feed(" ") == ["어서 와라냥."]
    assert cutter.feed("반갑다") == []
    assert cutter.end() == ["반갑다"]
