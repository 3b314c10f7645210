"""What texts and questions are found by."""

import unicodedata

import pytest
from chatbot.core.retrieval.terms import MAX_TERM_CHARACTERS, QUERY_TERMS, query_terms, spaceless_characters, terms
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("연차는", ["연차", "차는"]),
        ("会議室で", ["会議", "議室", "室で"]),
        ("データ", ["デー", "ータ"]),
        ("税", ["税"]),
        ("Vacation DAYS", ["vacation", "day"]),
        ("policies glass status bus", ["policy", "glass", "status", "bus"]),
        ("ERR-4012", ["err-4012", "err", "4012"]),
        ("QX31", ["qx31", "qx", "31"]),
        ("C++ node.js", ["c++", "node.js", "node", "js"]),
        ("café", ["cafe"]),
        ("한글ABC漢字", ["한글", "abc", "漢字"]),
        ("e.g., (hello)!", ["e.g", "hello"]),
        ("", []),
        ("… — !?", []),
    ],
)
def test_text_is_cut_by_its_script(text: str, expected: list[str]) -> None:
    assert list(terms(text)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("ＡＢＣ１２３", "abc123"),
        ("연차", unicodedata.normalize("NFD", "연차")),
        ("STRASSE", "straße"),
    ],
    ids=["half width", "full width", "decomposed hangul", "sharp s"],
)
def test_other_writings_of_a_word_are_the_same_terms(one: str, other: str) -> None:
    assert terms(one) == terms(other) != ()


def test_accents_that_make_another_letter_stay() -> None:
    assert terms("が") != terms("か")


def test_two_character_word_is_found_inside_a_longer_one() -> None:
    assert set(terms("회의")) <= set(terms("임시회의실에서"))


def test_question_has_each_term_once_and_a_bound() -> None:
    question = " ".join(f"word{number} word{number}" for number in range(QUERY_TERMS))

    looked_up = query_terms(question)

    assert len(looked_up) == len(set(looked_up)) == QUERY_TERMS


@given(st.text(max_size=200))
def test_no_term_holds_what_an_index_would_split_or_obey(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= MAX_TERM_CHARACTERS
        assert not any(character.isspace() or character in "\"'*():^{}\0" for character in term)


@given(st.text(max_size=200))
def test_terms_of_terms_are_terms(text: str) -> None:
    assert set(terms(text)) <= set(terms(" ".join(terms(text))))


def test_characters_of_spaceless_scripts_are_counted() -> None:
    assert spaceless_characters("가나 ab 漢字。") == 4
