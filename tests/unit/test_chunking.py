"""Blocks become passages that lose nothing, cross no heading and have a size."""

import pytest
from chatbot.core.retrieval.chunking import OVERLAP, PASSAGE_SIZE, chunks
from chatbot.core.retrieval.terms import spaceless_characters
from chatbot.domain.documents import Block, Chunk
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["연차는 이월된다. ", "会議室を使う。", "One day. ", "word ", "\n", "가", "x" * 700, "…", "??", "  "]
)
TEXTS = st.lists(WORDS, max_size=60).map("".join)
BLOCKS = st.lists(
    st.one_of(
        st.builds(Block, TEXTS),
        st.builds(Block, st.sampled_from(["제목", "Heading", "見出し"]), st.integers(1, 6)),
        st.builds(Block, TEXTS, page=st.integers(1, 3)),
        st.builds(Block, st.just("a | b"), table_header=st.just("name | price")),
    ),
    max_size=12,
)


def cut(*blocks: Block) -> list[Chunk]:
    return list(chunks(blocks))


def size(text: str) -> float:
    spaceless = spaceless_characters(text)
    return spaceless + (len(text) - spaceless) / 2


def test_short_text_is_one_passage() -> None:
    assert cut(Block("연차는 15일이다.", page=2)) == [Chunk(0, "", "연차는 15일이다.", 2, 0, 10)]


def test_passage_knows_the_headings_above_it() -> None:
    found = cut(Block("Rules", 1), Block("Leave", 2), Block("15 days."), Block("Travel", 2), Block("By train."))

    assert [(one.heading, one.text) for one in found] == [
        ("Rules > Leave", "15 days."),
        ("Rules > Travel", "By train."),
    ]


@pytest.mark.parametrize("level", [1, 2])
def test_heading_without_a_text_is_found_too(level: int) -> None:
    found = cut(Block("Alone", 2), Block("Other", level), Block("Text."))

    assert [one.text for one in found] == ["Alone", "Text."]


@pytest.mark.parametrize("blank", ["", " ", "\n \n"])
def test_heading_above_nothing_but_blanks_is_found_too(blank: str) -> None:
    assert [one.text for one in cut(Block("Alone", 1), Block(blank), Block("Other", 1), Block(blank))] == [
        "Alone",
        "Other",
    ]


def test_last_heading_without_a_text_is_found_too() -> None:
    assert [one.text for one in cut(Block("Text."), Block("End", 1))] == ["Text.", "End"]


def test_passage_ends_with_a_sentence_and_repeats_the_end_of_the_one_before() -> None:
    text = "".join(f"{number}번째 문장은 여기에서 끝난다. " for number in range(200))

    found = cut(Block(text))

    assert len(found) > 2
    for one, following in zip(found, found[1:], strict=False):
        assert one.text.endswith("끝난다.")
        assert one.start < following.start < one.end
        assert size(text[following.start : one.end]) <= PASSAGE_SIZE * OVERLAP


def test_table_that_goes_on_repeats_its_first_row() -> None:
    rows = [Block(f"상품 {number} | {number}00원", table_header="이름 | 값") for number in range(300)]

    found = cut(Block("이름 | 값", table_header="이름 | 값"), *rows)

    assert len(found) > 1
    assert all(one.text.startswith("이름 | 값\n") for one in found)
    assert found[0].text.count("이름") == 1
    assert all(line.endswith(("원", "값")) for one in found for line in one.text.splitlines())


def test_sentence_without_an_end_is_cut_at_spaces() -> None:
    found = cut(Block("word " * 3000))

    assert len(found) > 1
    assert all(set(one.text.split()) == {"word"} for one in found)


@pytest.mark.parametrize("character", [".", "。", "a", "가", "\n", " ", "!"])
def test_million_equal_characters_take_no_longer_than_others(character: str) -> None:
    assert sum(one.end - one.start for one in cut(Block(character * 200_000))) <= 200_000 * 1.3


@given(BLOCKS)
def test_nothing_is_lost_and_nothing_is_too_long(blocks: list[Block]) -> None:
    text = "\n".join(block.text for block in blocks)
    found = cut(*blocks)

    assert [one.number for one in found] == list(range(len(found)))
    told = "".join(one.heading + one.text for one in found)
    assert {character for character in text if not character.isspace()} <= set(told)
    covered = {place for one in found for place in range(one.start, one.end)}
    body, place = set(), 0
    for block in blocks:
        body |= {place + at for at, character in enumerate(block.text) if not block.level and not character.isspace()}
        place += len(block.text) + 1
    assert body <= covered
    assert all(size(one.text) <= PASSAGE_SIZE * 1.1 + size("name | price\n") for one in found)
    assert found == cut(*blocks)
